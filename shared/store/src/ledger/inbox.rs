//! Inbox blocks: what ingest has appended and no rewrite has taken yet.

use super::{Ledger, key};
use crate::{
    dynamo::{
        Attributes, b, binary, delete, get_all, n, number, pages, put, query_partition, s, take_binary, text,
        unbuildable, write_all,
    },
    error::StoreError,
};
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use futures::{StreamExt, TryStreamExt, stream};
use rekindle_domain::{
    Ulid,
    block::decode,
    day::Counts,
    id::{InboxId, LedgerId},
    rows::Rows,
};

/// The greatest size of an inbox block in bytes; DynamoDB allows items of 400 KB.
pub const INBOX_BLOCK_BYTES: usize = 256 * 1024;

/// The key of an inbox block within its ledger.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct InboxKey {
    /// The shard of the inbox.
    pub shard: u8,
    /// Its id.
    pub id: InboxId,
}

/// An inbox block that is about to be appended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewBlock {
    /// Its new id.
    pub id: InboxId,
    /// The encoded block.
    pub bytes: Vec<u8>,
    /// The number of its rows.
    pub rows: u64,
    /// The interactions that arrive with it, by kind, where they are counted with it.
    pub arrived: Counts,
}

/// An inbox block without its bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InboxEntry {
    /// Its key.
    pub key: InboxKey,
    /// The number of its rows.
    pub rows: u64,
    /// The size of the encoded block in bytes.
    pub bytes: u64,
    /// The interactions that arrived with it, by kind, where they are counted with it.
    pub arrived: Counts,
}

fn partition(ledger: &LedgerId, shard: u8) -> String {
    format!("i#{ledger}#{shard}")
}

fn block_key(ledger: &LedgerId, block: &InboxKey) -> Attributes {
    key(partition(ledger, block.shard), block.id.0.to_bytes())
}

impl Ledger {
    /// Appends blocks to a shard of an inbox. They are durable when this returns. After an error some may be; it is safe to
    /// append the same rows again.
    pub async fn append(
        &self,
        ledger: &LedgerId,
        shard: u8,
        blocks: Vec<NewBlock>,
    ) -> Result<(), StoreError> {
        let requests = blocks.into_iter().map(|NewBlock { id, bytes, rows, arrived }| {
            let mut item = block_key(ledger, &InboxKey { shard, id });
            item.insert("n".to_owned(), n(rows));
            item.insert("z".to_owned(), n(bytes.len()));
            if !arrived.is_empty() {
                item.insert("k".to_owned(), s(serde_json::to_string(&arrived).map_err(unbuildable)?));
            }
            item.insert("d".to_owned(), b(bytes));
            put(item)
        });
        write_all(&self.client, &self.table, requests.collect::<Result<_, _>>()?).await
    }

    /// The blocks of an inbox without their bytes, by key within each shard. The list ends with the page that reaches
    /// `most` blocks, of which it returns `most`, or that passes `most_bytes`, and otherwise with the inbox.
    pub async fn list_inbox(
        &self,
        ledger: &LedgerId,
        most: usize,
        most_bytes: u64,
    ) -> Result<Vec<InboxEntry>, StoreError> {
        let mut out = Vec::new();
        for shard in 0..ledger.inbox_shards() {
            let mut pages = pages(self.inbox(ledger, shard).projection_expression("sk, n, z, k"));
            while let Some(items) = pages.next().await? {
                for item in &items {
                    out.push(inbox_entry(shard, item)?);
                }
                if out.len() >= most || out.iter().map(|e| e.bytes).sum::<u64>() > most_bytes {
                    out.truncate(most);
                    return Ok(out);
                }
            }
        }
        Ok(out)
    }

    /// A query of a shard of an inbox.
    fn inbox(&self, ledger: &LedgerId, shard: u8) -> QueryFluentBuilder {
        query_partition(&self.client, &self.table, partition(ledger, shard))
    }

    /// All rows of an inbox, decoded: one [`Rows`] for each block.
    pub async fn read_inbox(&self, ledger: &LedgerId) -> Result<Vec<Rows>, StoreError> {
        let shards = stream::iter(0..ledger.inbox_shards()).map(|shard| self.read_shard(ledger, shard));
        let blocks: Vec<Vec<Rows>> = shards.buffered(8).try_collect().await?;
        Ok(blocks.into_iter().flatten().collect())
    }

    async fn read_shard(&self, ledger: &LedgerId, shard: u8) -> Result<Vec<Rows>, StoreError> {
        let mut out = Vec::new();
        let mut pages = pages(self.inbox(ledger, shard));
        while let Some(items) = pages.next().await? {
            for item in &items {
                let entry = inbox_entry(shard, item)?;
                let what = || format!("inbox block {}/{shard}/{}", ledger, entry.key.id);
                let block = decode(binary(item, "d").unwrap_or_default());
                out.push(block.map_err(|e| StoreError::damaged(what(), e))?.rows);
            }
        }
        Ok(out)
    }

    /// The encoded bytes of exactly these inbox blocks, in any order; a missing block is [`StoreError::Damaged`]. No
    /// key may be given twice.
    pub async fn get_inbox(&self, ledger: &LedgerId, keys: &[InboxKey]) -> Result<Vec<Vec<u8>>, StoreError> {
        let wanted = keys.iter().map(|k| block_key(ledger, k)).collect();
        let items = get_all(&self.client, &self.table, wanted).await?;
        let blocks = items.into_iter().filter_map(|mut item| take_binary(&mut item, "d"));
        let blocks: Vec<Vec<u8>> = blocks.collect();
        match keys.len() - blocks.len() {
            0 => Ok(blocks),
            missing => Err(StoreError::missing(format!("{missing} inbox block(s) of {ledger}"))),
        }
    }

    /// Deletes exactly these inbox blocks; after an error some may be left.
    pub async fn delete_inbox(&self, ledger: &LedgerId, keys: &[InboxKey]) -> Result<(), StoreError> {
        let requests = keys.iter().map(|k| delete(block_key(ledger, k)));
        write_all(&self.client, &self.table, requests.collect::<Result<_, _>>()?).await
    }
}

fn inbox_entry(shard: u8, item: &Attributes) -> Result<InboxEntry, StoreError> {
    let entry = || {
        let id: [u8; 16] = binary(item, "sk")?.try_into().ok()?;
        let key = InboxKey { shard, id: InboxId(Ulid::from_bytes(id)) };
        // Blocks of earlier versions have none. They are information: no block is damaged for want of them.
        let arrived =
            text(item, "k").and_then(|counts| serde_json::from_str(counts).ok()).unwrap_or_default();
        Some(InboxEntry { key, rows: number(item, "n")?, bytes: number(item, "z")?, arrived })
    };
    entry().ok_or_else(|| StoreError::damaged("an inbox item", "its attributes are out of shape"))
}
