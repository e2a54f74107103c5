//! The catalog table: everything small and transactional.
//!
//! Each item is a JSON document `doc` with a version `v`; every write is conditional on the version that was read.
//! What the three indexes need stands beside it:
//!
//! | index | partition | sort | for |
//! |---|---|---|---|
//! | `wake` | `wake`: a shard, `0` to `7` | `wake_at` | what the sweeper must look at |
//! | `updated` | `list`: `campaign`, `canvas`, `restore`, `segment` | `updated_at` | listings |
//! | `expires` | `list` | `expires_at` | listings by expiry |
//!
//! | module | item | partition key | sort key |
//! |---|---|---|---|
//! | [`sources`] | source; manifest; timeline entry | `campaign/ID` (manifest of `users`: `users`) | `source`; `manifest`; `t#ID` |
//! | [`parts`] | part; inputs of a rewrite | `copy#COPY` | `p#SLOT`; `inputs` |
//! | [`requests`] | request; its items; idempotency | `restore#ID`; `idem#HASH` | `request`; `i#SOURCE`; `idem` |
//! | [`notices`] | notice | `notice#ID` | `notice` |
//! | [`segments`] | segment | `segment#ID` | `segment` |
//! | [`tags`] | that a source carries a tag, which is no document | `tags` | `TAG#SOURCE` |
//! | [`marks`] | dirty mark, no document | `dirty#SHARD`, `0` to `7` | `UNTIL#LEDGER#WORKER` |
//! | [`keys`] | key | `keys` | `k#ID` |
//! | [`audit`] | who did what | `audit#YEAR-MONTH` | `a#ID` |

pub mod audit;
pub mod keys;
pub mod listing;
pub mod marks;
pub mod notices;
pub mod parts;
mod query;
pub mod requests;
pub mod segments;
pub mod sources;
pub mod tags;
mod transaction;

pub use marks as dirty;
pub use query::Versioned;
pub use transaction::Transaction;

use crate::dynamo::{Attributes, s};
use aws_sdk_dynamodb::Client;
use query::Window;
use transaction::{Index, Write};

/// How many partitions the `wake` index is spread over: a constant of the stored format.
const WAKE_SHARDS: u8 = 8;

/// The catalog table.
#[derive(Clone, Debug)]
pub struct Catalog {
    client: Client,
    table: String,
}

/// The key of a catalog item.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Key {
    /// Partition key.
    pub pk: String,
    /// Sort key.
    pub sk: String,
}

impl Key {
    fn new(pk: impl ToString, sk: impl ToString) -> Self {
        Self { pk: pk.to_string(), sk: sk.to_string() }
    }

    fn attributes(&self) -> Attributes {
        Attributes::from([("pk".to_owned(), s(&self.pk)), ("sk".to_owned(), s(&self.sk))])
    }

    fn wake_shard(&self) -> String {
        shard_of(&self.pk, WAKE_SHARDS).to_string()
    }
}

/// One of `shards`, by a hash of a name.
fn shard_of(name: &str, shards: u8) -> u8 {
    let sum = name.bytes().fold(0u32, |sum, b| sum.wrapping_mul(31).wrapping_add(u32::from(b)));
    (sum % u32::from(shards)) as u8
}

impl Catalog {
    pub(crate) fn new(client: Client, table: &str) -> Self {
        Self { client, table: table.to_owned() }
    }
}
