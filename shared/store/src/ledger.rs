//! The ledger table: inbox blocks and the blocks of hot copies.
//!
//! | item | partition key | sort key | attributes |
//! |---|---|---|---|
//! | inbox block | `i#LEDGER#SHARD` | id, 16 bytes | `d` block, `n` rows, `z` bytes |
//! | block of a hot copy | `b#COPY#ATTEMPT#SLOT` | cover's start: hash and ordinal, 12 bytes | `d` block |
//!
//! All reads are strongly consistent.

use crate::{
    dynamo::{
        Attributes, b, back_off, binary, delete, n, number, put, s, take_binary, throttled, unbuildable,
        write_all,
    },
    error::{StoreError, failed},
};
use aws_sdk_dynamodb::{Client, types::KeysAndAttributes};
use futures::{StreamExt, TryStreamExt, stream};
use rekindle_domain::{
    Ulid,
    block::{BlockError, Cover, CoverCheck, Packed, Position, Sealed, decode},
    breaks::{self, Break},
    id::{CopyId, InboxId, LedgerId},
    rows::Rows,
};
use std::{collections::VecDeque, ops::RangeInclusive};

/// The largest block of a hot copy, so that with its key it takes at most 32 write units.
pub const HOT_BLOCK_BYTES: usize = 32 * 1024 - 128;
/// The largest inbox block; an item may have 400 KB.
pub const INBOX_BLOCK_BYTES: usize = 256 * 1024;

/// The ledger table.
#[derive(Clone, Debug)]
pub struct Ledger {
    client: Client,
    table: String,
}

/// Names one inbox block.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct InboxKey {
    /// The shard it lies in.
    pub shard: u8,
    /// Its id.
    pub id: InboxId,
}

/// An inbox block without its bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InboxEntry {
    /// Which one.
    pub key: InboxKey,
    /// How many rows it has.
    pub rows: u64,
    /// How many bytes.
    pub bytes: u64,
}

/// Names the blocks of one slot of a hot copy.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SlotKey {
    /// The copy.
    pub copy: CopyId,
    /// The attempt whose bytes count.
    pub attempt: u32,
    /// The slot.
    pub slot: u32,
}

impl SlotKey {
    fn partition(self) -> String {
        format!("b#{}#{}#{}", self.copy, self.attempt, self.slot)
    }

    fn gap(self) -> StoreError {
        StoreError::missing(format!("a block of {}", self.partition()))
    }

    fn damaged(self, why: impl std::fmt::Display) -> StoreError {
        StoreError::damaged(format!("a block of {}", self.partition()), why)
    }
}

fn inbox_partition(ledger: &LedgerId, shard: u8) -> String {
    format!("i#{ledger}#{shard}")
}

fn key(partition: String, sort: impl Into<Vec<u8>>) -> Attributes {
    Attributes::from([("pk".to_owned(), s(partition)), ("sk".to_owned(), b(sort))])
}

impl Ledger {
    pub(crate) fn new(client: Client, table: &str) -> Self {
        Self { client, table: table.to_owned() }
    }

    /// Appends blocks to a shard of an inbox. They are durable when this returns; on an error some may be, and
    /// appending the same rows again is safe.
    pub async fn append(
        &self,
        ledger: &LedgerId,
        shard: u8,
        blocks: Vec<(InboxId, Vec<u8>, u64)>,
    ) -> Result<(), StoreError> {
        let requests = blocks.into_iter().map(|(id, block, rows)| {
            let mut item = key(inbox_partition(ledger, shard), id.0.to_bytes());
            item.insert("n".to_owned(), n(rows));
            item.insert("z".to_owned(), n(block.len()));
            item.insert("d".to_owned(), b(block));
            put(item)
        });
        write_all(&self.client, &self.table, requests.collect::<Result<_, _>>()?).await
    }

    /// The blocks of an inbox, without their bytes, in order of key within each shard; stops once it has `most` of them,
    /// or more than `most_bytes`.
    pub async fn list_inbox(
        &self,
        ledger: &LedgerId,
        most: usize,
        most_bytes: u64,
    ) -> Result<Vec<InboxEntry>, StoreError> {
        let mut out = Vec::new();
        for shard in 0..ledger.inbox_shards() {
            let mut from = None;
            loop {
                let page = self
                    .client
                    .query()
                    .table_name(&self.table)
                    .key_condition_expression("pk = :pk")
                    .expression_attribute_values(":pk", s(inbox_partition(ledger, shard)))
                    .projection_expression("sk, n, z")
                    .consistent_read(true)
                    .set_exclusive_start_key(from)
                    .send()
                    .await
                    .map_err(failed("Query"))?;
                for item in page.items() {
                    out.push(inbox_entry(shard, item)?);
                }
                from = page.last_evaluated_key;
                if out.len() >= most || out.iter().map(|e| e.bytes).sum::<u64>() > most_bytes {
                    out.truncate(most);
                    return Ok(out);
                }
                if from.is_none() {
                    break;
                }
            }
        }
        Ok(out)
    }

    /// Everything in an inbox, decoded, a batch a block.
    pub async fn read_inbox(&self, ledger: &LedgerId) -> Result<Vec<Rows>, StoreError> {
        let shards = stream::iter(0..ledger.inbox_shards()).map(|shard| self.read_shard(ledger, shard));
        let blocks: Vec<Vec<Rows>> = shards.buffered(8).try_collect().await?;
        Ok(blocks.into_iter().flatten().collect())
    }

    async fn read_shard(&self, ledger: &LedgerId, shard: u8) -> Result<Vec<Rows>, StoreError> {
        let mut out = Vec::new();
        let mut from = None;
        loop {
            let page = self
                .client
                .query()
                .table_name(&self.table)
                .key_condition_expression("pk = :pk")
                .expression_attribute_values(":pk", s(inbox_partition(ledger, shard)))
                .consistent_read(true)
                .set_exclusive_start_key(from)
                .send()
                .await
                .map_err(failed("Query"))?;
            for item in page.items() {
                let entry = inbox_entry(shard, item)?;
                let what = || format!("inbox block {}/{shard}/{}", ledger, entry.key.id);
                let block = decode(binary(item, "d").unwrap_or_default());
                out.push(block.map_err(|e| StoreError::damaged(what(), e))?.rows);
            }
            from = page.last_evaluated_key;
            if from.is_none() {
                return Ok(out);
            }
        }
    }

    /// The encoded bytes of exactly these inbox blocks, in any order. A missing one is an error.
    pub async fn get_inbox(&self, ledger: &LedgerId, keys: &[InboxKey]) -> Result<Vec<Vec<u8>>, StoreError> {
        let mut out = Vec::with_capacity(keys.len());
        for chunk in keys.chunks(100) {
            let mut left: Vec<Attributes> =
                chunk.iter().map(|k| key(inbox_partition(ledger, k.shard), k.id.0.to_bytes())).collect();
            let before = out.len();
            let mut round = 0;
            while !left.is_empty() {
                back_off(round).await;
                round += 1;
                let got = out.len();
                let request = KeysAndAttributes::builder().set_keys(Some(left)).consistent_read(true);
                let request = request.build().map_err(unbuildable)?;
                let answer = self.client.batch_get_item().request_items(&self.table, request).send().await;
                let answer = answer.map_err(failed("BatchGetItem"))?;
                let items = answer.responses.unwrap_or_default().remove(&self.table).unwrap_or_default();
                out.extend(items.into_iter().filter_map(|mut item| take_binary(&mut item, "d")));
                left = answer
                    .unprocessed_keys
                    .unwrap_or_default()
                    .remove(&self.table)
                    .map(|k| k.keys)
                    .unwrap_or_default();
                // A page holds 16 MB: going on is progress, only empty pages are throttling.
                if out.len() > got {
                    round = 0;
                } else if round > 12 {
                    return Err(throttled("BatchGetItem"));
                }
            }
            if out.len() - before != chunk.len() {
                let missing = chunk.len() - (out.len() - before);
                return Err(StoreError::missing(format!("{missing} inbox block(s) of {ledger}")));
            }
        }
        Ok(out)
    }

    /// Deletes exactly these inbox blocks.
    pub async fn delete_inbox(&self, ledger: &LedgerId, keys: &[InboxKey]) -> Result<(), StoreError> {
        let requests = keys.iter().map(|k| delete(key(inbox_partition(ledger, k.shard), k.id.0.to_bytes())));
        write_all(&self.client, &self.table, requests.collect::<Result<_, _>>()?).await
    }

    /// Writes blocks of a slot of a hot copy.
    pub async fn write_blocks(&self, slot: SlotKey, blocks: Vec<Packed>) -> Result<(), StoreError> {
        let requests = blocks.into_iter().map(|block| {
            let mut item = key(slot.partition(), block.cover.start.to_key());
            item.insert("d".to_owned(), b(block.bytes));
            put(item)
        });
        write_all(&self.client, &self.table, requests.collect::<Result<_, _>>()?).await
    }

    /// Reads the blocks of a slot of a hot copy that cover these hashes, and no others: a page is billed whole.
    pub fn read_slot(&self, slot: SlotKey, hashes: RangeInclusive<u64>, first_of_slot: u64) -> SlotReader {
        SlotReader {
            ledger: self.clone(),
            slot,
            from: *hashes.start(),
            to: *hashes.end(),
            first_of_slot,
            check: None,
            next_key: None,
            ready: VecDeque::new(),
            is_done: false,
        }
    }

    /// The rows of the users with that hash, if there are any.
    pub async fn look_up(&self, slot: SlotKey, hash: u64) -> Result<Rows, StoreError> {
        let what = || format!("block for hash {hash:016x} of {}", slot.partition());
        let block = self.block_at(slot, hash).await?.ok_or_else(|| StoreError::missing(what()))?;
        let covers = |c: &Cover| c.covers(hash) || breaks::is(Break::ReadsGapsAsEmpty);
        let cover = block.cover().filter(covers).ok_or_else(|| StoreError::missing(what()))?;
        if cover.start.ordinal == 0 && !cover.is_continued() {
            return Piece { slot, blocks: vec![block] }.rows();
        }
        let first = cover.start.hash;
        let mut reader = self.read_slot(slot, first..=first, first);
        let piece = reader.next().await?;
        piece.ok_or_else(|| StoreError::missing(what()))?.rows()
    }

    /// The last block that starts at or before `hash`.
    async fn block_at(&self, slot: SlotKey, hash: u64) -> Result<Option<Sealed<Vec<u8>>>, StoreError> {
        let answer = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("pk = :pk AND sk <= :sk")
            .expression_attribute_values(":pk", s(slot.partition()))
            .expression_attribute_values(":sk", b(Position { hash, ordinal: u32::MAX }.to_key()))
            .scan_index_forward(false)
            .limit(1)
            .consistent_read(true)
            .send()
            .await
            .map_err(failed("Query"))?;
        answer.items.into_iter().flatten().next().map(|item| open_block(slot, item)).transpose()
    }

    /// Deletes every block of a slot of a copy.
    pub async fn delete_slot(&self, slot: SlotKey) -> Result<(), StoreError> {
        let mut from = None;
        loop {
            let page = self
                .client
                .query()
                .table_name(&self.table)
                .key_condition_expression("pk = :pk")
                .expression_attribute_values(":pk", s(slot.partition()))
                .projection_expression("pk, sk")
                .consistent_read(true)
                .set_exclusive_start_key(from)
                .send()
                .await
                .map_err(failed("Query"))?;
            let requests = page.items.unwrap_or_default().into_iter().map(delete);
            write_all(&self.client, &self.table, requests.collect::<Result<_, _>>()?).await?;
            from = page.last_evaluated_key;
            if from.is_none() {
                return Ok(());
            }
        }
    }
}

fn inbox_entry(shard: u8, item: &Attributes) -> Result<InboxEntry, StoreError> {
    let entry = || {
        let id: [u8; 16] = binary(item, "sk")?.try_into().ok()?;
        let key = InboxKey { shard, id: InboxId(Ulid::from_bytes(id)) };
        Some(InboxEntry { key, rows: number(item, "n")?, bytes: number(item, "z")? })
    };
    entry().ok_or_else(|| StoreError::damaged("an inbox item", "its attributes are out of shape"))
}

fn open_block(slot: SlotKey, mut item: Attributes) -> Result<Sealed<Vec<u8>>, StoreError> {
    let block = Sealed::open(take_binary(&mut item, "d").unwrap_or_default()).map_err(|e| slot.damaged(e))?;
    if block.cover().is_some_and(|c| Some(&c.start.to_key()[..]) == binary(&item, "sk")) {
        return Ok(block);
    }
    Err(slot.damaged("it stands under another key"))
}

/// All that a slot has of some users: a block, or a chain of blocks.
pub struct Piece {
    slot: SlotKey,
    blocks: Vec<Sealed<Vec<u8>>>,
}

impl Piece {
    /// Its rows.
    ///
    /// # Errors
    /// [`StoreError::Damaged`].
    pub fn rows(&self) -> Result<Rows, StoreError> {
        Sealed::gather(&self.blocks).map_err(|e| self.slot.damaged(e))
    }

    /// The block, if it is one only.
    pub fn block(&self) -> Option<&Sealed<Vec<u8>>> {
        if let [block] = &self.blocks[..] { Some(block) } else { None }
    }

    /// Within which hashes all its users are: up to the next block, or to any if the slot ends with it.
    pub fn hashes(&self) -> RangeInclusive<u64> {
        let start = self.blocks.first().and_then(Sealed::cover).map_or(0, |cover| cover.start.hash);
        let next = self.blocks.last().and_then(Sealed::cover).and_then(|cover| cover.next);
        start..=next.map_or(u64::MAX, |next| next.hash.saturating_sub(1))
    }

    /// Says that it does not decode.
    pub fn damaged(&self, error: BlockError) -> StoreError {
        self.slot.damaged(error)
    }
}

/// Reads the blocks of a slot in order, and notices a missing one.
pub struct SlotReader {
    ledger: Ledger,
    slot: SlotKey,
    from: u64,
    to: u64,
    first_of_slot: u64,
    check: Option<CoverCheck<Vec<u8>>>,
    next_key: Option<Attributes>,
    ready: VecDeque<Piece>,
    is_done: bool,
}

impl SlotReader {
    /// The next block (or chain of blocks); `None` at the end. Users before the first hash asked for may be among the
    /// first ones, users after the last one among the last.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] where a block is missing: never a shorter answer.
    pub async fn next(&mut self) -> Result<Option<Piece>, StoreError> {
        if self.check.is_none() {
            self.start().await?;
        }
        while self.ready.is_empty() && !self.is_done {
            let page = self.page().await?;
            let slot = self.slot;
            for item in page.items.unwrap_or_default() {
                let block = open_block(slot, item)?;
                let check = self.check.as_mut().ok_or_else(|| slot.gap())?;
                let whole = if breaks::is(Break::ReadsGapsAsEmpty) {
                    Some(vec![block])
                } else {
                    check.take(block).map_err(|()| slot.gap())?
                };
                self.ready.extend(whole.map(|blocks| Piece { slot, blocks }));
            }
            self.next_key = page.last_evaluated_key;
            self.is_done = self.next_key.is_none();
            let is_complete = breaks::is(Break::ReadsGapsAsEmpty)
                || self.check.as_ref().is_some_and(|check| check.is_complete_to(self.to));
            if self.is_done && !is_complete {
                return Err(self.slot.gap());
            }
        }
        Ok(self.ready.pop_front())
    }

    /// Finds the block to begin with: the slot's first, or the one that covers the first hash asked for.
    async fn start(&mut self) -> Result<(), StoreError> {
        let mut start = Position::at(self.first_of_slot);
        if self.from > self.first_of_slot {
            let block = self.ledger.block_at(self.slot, self.from).await?;
            let cover = block.and_then(|b| b.cover()).filter(|c| c.covers(self.from));
            let cover = cover.ok_or_else(|| self.slot.gap())?;
            start = Position::at(cover.start.hash);
        }
        self.from = start.hash;
        self.check = Some(CoverCheck::from(start));
        Ok(())
    }

    async fn page(&self) -> Result<aws_sdk_dynamodb::operation::query::QueryOutput, StoreError> {
        self.ledger
            .client
            .query()
            .table_name(&self.ledger.table)
            .key_condition_expression("pk = :pk AND sk BETWEEN :from AND :to")
            .expression_attribute_values(":pk", s(self.slot.partition()))
            .expression_attribute_values(":from", b(Position::at(self.from).to_key()))
            .expression_attribute_values(":to", b(Position { hash: self.to, ordinal: u32::MAX }.to_key()))
            .consistent_read(true)
            .set_exclusive_start_key(self.next_key.clone())
            .send()
            .await
            .map_err(failed("Query"))
    }
}
