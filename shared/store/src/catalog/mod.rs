//! The catalog table: everything small and transactional.
//!
//! Most items are a JSON document `doc` with a version `v`; a write of one is conditional on the version that was read.
//! Further attributes put an item into the three indexes:
//!
//! | index | partition | sort | for |
//! |---|---|---|---|
//! | `wake` | `wake`: a shard, `0` to `7` | `wake_at` | items that the sweeper must look at |
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
//! | [`tags`] | a source carries a tag; no document | `tags` | `TAG#SOURCE` |
//! | [`marks`] | dirty mark, no document | `dirty#SHARD`, `0` to `7` | `UNTIL#LEDGER#WORKER` |
//! | [`keys`] | key; how many were made | `keys` | `k#ID`; `made` |
//! | [`sessions`] | session of the console | `session#ID` | `session` |
//! | [`people`] | merge of user ids; how many were made | `people` | `m#NUMBER`; `made` |
//! | [`audit`] | audit entry | `audit#YEAR-MONTH` | `a#ID` |
//! | [`days`] | a day in numbers | `days` | `d#YEAR-MONTH-DAY` |
//!
//! Every call may answer [`StoreError::Unavailable`] or [`StoreError::Refused`]; every read of documents also
//! [`StoreError::Damaged`], where one does not decode; and every write over a version that was read also
//! [`StoreError::Conflict`], where the item has another version by now. A method of [`Transaction`] writes nothing;
//! it answers [`StoreError::Refused`] for a document that does not serialize, which is a bug.
//!
//! [`StoreError::Unavailable`]: crate::StoreError::Unavailable
//! [`StoreError::Refused`]: crate::StoreError::Refused
//! [`StoreError::Damaged`]: crate::StoreError::Damaged
//! [`StoreError::Conflict`]: crate::StoreError::Conflict

pub mod audit;
pub mod days;
pub mod keys;
pub mod listing;
pub mod marks;
pub mod notices;
pub mod parts;
pub mod people;
mod query;
pub mod requests;
pub mod segments;
pub mod sessions;
pub mod sources;
pub mod tags;
mod transaction;

pub use query::{Page, Versioned};
pub use transaction::Transaction;

use crate::dynamo::{Attributes, s};
use aws_sdk_dynamodb::Client;
use query::Window;
use transaction::{Index, Write};

/// The `wake` index is spread over this many partitions: a constant of the stored format.
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
    /// The partition key.
    pub pk: String,
    /// The sort key.
    pub sk: String,
}

impl Key {
    fn new(pk: impl ToString, sk: impl ToString) -> Self {
        Self { pk: pk.to_string(), sk: sk.to_string() }
    }

    fn attributes(&self) -> Attributes {
        Attributes::from([("pk".to_owned(), s(&self.pk)), ("sk".to_owned(), s(&self.sk))])
    }

    /// The bytes of both halves.
    const fn bytes(&self) -> usize {
        self.pk.len() + self.sk.len()
    }

    fn wake_shard(&self) -> String {
        shard_of(&self.pk, WAKE_SHARDS).to_string()
    }
}

/// The shard of a name, from 0 to `shards` - 1, by a hash.
fn shard_of(name: &str, shards: u8) -> u8 {
    let sum = name.bytes().fold(0u32, |sum, b| sum.wrapping_mul(31).wrapping_add(u32::from(b)));
    (sum % u32::from(shards)) as u8
}

impl Catalog {
    pub(crate) fn new(client: Client, table: &str) -> Self {
        Self { client, table: table.to_owned() }
    }
}
