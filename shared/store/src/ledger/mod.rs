//! The ledger table: inbox blocks and the blocks of hot copies.
//!
//! | item | partition key | sort key | attributes |
//! |---|---|---|---|
//! | inbox block | `i#LEDGER#SHARD` | id, 16 bytes | `d` block, `n` rows, `z` bytes |
//! | block of a hot copy | `b#COPY#ATTEMPT#SLOT` | cover's start: hash and ordinal, 12 bytes | `d` block |
//!
//! All reads are strongly consistent.
//!
//! Every call may answer [`StoreError::Unavailable`] or [`StoreError::Refused`]; every read also
//! [`StoreError::Damaged`], where an item is missing or does not decode. A write of several blocks that fails may
//! have written some of them.
//!
//! [`StoreError::Unavailable`]: crate::StoreError::Unavailable
//! [`StoreError::Refused`]: crate::StoreError::Refused
//! [`StoreError::Damaged`]: crate::StoreError::Damaged

mod inbox;
mod slots;

pub use inbox::{INBOX_BLOCK_BYTES, InboxEntry, InboxKey, NewBlock};
pub use slots::{HOT_BLOCK_BYTES, Piece, SlotKey, SlotReader};

use crate::dynamo::{Attributes, b, s};
use aws_sdk_dynamodb::Client;

/// The ledger table.
#[derive(Clone, Debug)]
pub struct Ledger {
    client: Client,
    table: String,
}

fn key(partition: String, sort: impl Into<Vec<u8>>) -> Attributes {
    Attributes::from([("pk".to_owned(), s(partition)), ("sk".to_owned(), b(sort))])
}

impl Ledger {
    pub(crate) fn new(client: Client, table: &str) -> Self {
        Self { client, table: table.to_owned() }
    }
}
