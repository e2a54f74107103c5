//! Slots of hot copies: their blocks, written, looked up and read in order.

use super::{Ledger, key};
use crate::{
    dynamo::{Attributes, Pages, b, binary, delete, pages, put, query_partition, take_binary, write_all},
    error::StoreError,
};
use rekindle_domain::{
    block::{BlockError, Cover, CoverCheck, Packed, Position, Sealed},
    breaks::{self, Break},
    id::CopyId,
    rows::Rows,
};
use std::{collections::VecDeque, ops::RangeInclusive};

/// The greatest size of a block of a hot copy in bytes; with its key it takes at most 32 write units.
pub const HOT_BLOCK_BYTES: usize = 32 * 1024 - 128;

/// Names the blocks of one slot of a hot copy, as one attempt wrote them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SlotKey {
    /// The copy.
    pub copy: CopyId,
    /// The attempt that wrote the blocks.
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

impl Ledger {
    /// Writes blocks of a slot of a hot copy.
    pub async fn write_blocks(&self, slot: SlotKey, blocks: Vec<Packed>) -> Result<(), StoreError> {
        let requests = blocks.into_iter().map(|block| {
            let mut item = key(slot.partition(), block.cover.start.to_key());
            item.insert("d".to_owned(), b(block.bytes));
            put(item)
        });
        write_all(&self.client, &self.table, requests.collect::<Result<_, _>>()?).await
    }

    /// Reads the blocks of a slot that cover these hashes, and no others, since DynamoDB charges for whole pages.
    /// `first_of_slot` is the first hash of the slot.
    pub fn read_slot(&self, slot: SlotKey, hashes: RangeInclusive<u64>, first_of_slot: u64) -> SlotReader {
        SlotReader {
            ledger: self.clone(),
            slot,
            from: *hashes.start(),
            to: *hashes.end(),
            first_of_slot,
            reading: None,
            ready: VecDeque::new(),
        }
    }

    /// The rows of a piece of the slot: it has the rows of every user with this hash, and may have those of others.
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
        let query = query_partition(&self.client, &self.table, slot.partition())
            .key_condition_expression("pk = :pk AND sk <= :sk")
            .expression_attribute_values(":sk", b(Position { hash, ordinal: u32::MAX }.to_key()))
            .scan_index_forward(false);
        let items = pages(query).next_of(1).await?;
        items.into_iter().flatten().next().map(|item| open_block(slot, item)).transpose()
    }

    /// Deletes every block of a slot of a copy.
    pub async fn delete_slot(&self, slot: SlotKey) -> Result<(), StoreError> {
        let query = query_partition(&self.client, &self.table, slot.partition());
        let mut pages = pages(query.projection_expression("pk, sk"));
        while let Some(items) = pages.next().await? {
            let requests = items.into_iter().map(delete);
            write_all(&self.client, &self.table, requests.collect::<Result<_, _>>()?).await?;
        }
        Ok(())
    }
}

fn open_block(slot: SlotKey, mut item: Attributes) -> Result<Sealed<Vec<u8>>, StoreError> {
    let block = Sealed::open(take_binary(&mut item, "d").unwrap_or_default()).map_err(|e| slot.damaged(e))?;
    if block.cover().is_some_and(|c| Some(&c.start.to_key()[..]) == binary(&item, "sk")) {
        return Ok(block);
    }
    Err(slot.damaged("it stands under another key"))
}

/// A piece of a slot, with all rows of its users: a block, or a chain of blocks that continue each other.
pub struct Piece {
    slot: SlotKey,
    blocks: Vec<Sealed<Vec<u8>>>,
}

impl Piece {
    /// Decodes its rows.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] where they do not decode.
    pub fn rows(&self) -> Result<Rows, StoreError> {
        Sealed::gather(&self.blocks).map_err(|e| self.slot.damaged(e))
    }

    /// The block of a piece that is one block; `None` for a chain.
    pub fn block(&self) -> Option<&Sealed<Vec<u8>>> {
        if let [block] = &self.blocks[..] { Some(block) } else { None }
    }

    /// The hashes that its users may have: from its first block to the block after it, or without an end where it is
    /// the last piece of its slot.
    pub fn hashes(&self) -> RangeInclusive<u64> {
        let start = self.blocks.first().and_then(Sealed::cover).map_or(0, |cover| cover.start.hash);
        let next = self.blocks.last().and_then(Sealed::cover).and_then(|cover| cover.next);
        start..=next.map_or(u64::MAX, |next| next.hash.saturating_sub(1))
    }

    /// The error for a piece that does not decode.
    pub fn damaged(&self, error: BlockError) -> StoreError {
        self.slot.damaged(error)
    }
}

/// Reads the blocks of a slot in order; a missing block is an error.
pub struct SlotReader {
    ledger: Ledger,
    slot: SlotKey,
    from: u64,
    to: u64,
    first_of_slot: u64,
    reading: Option<Reading>,
    ready: VecDeque<Piece>,
}

/// A reader that has begun: its further pages, and the check that no block between them is missing.
struct Reading {
    pages: Pages,
    check: CoverCheck<Vec<u8>>,
}

impl SlotReader {
    /// The next piece; `None` after the last. The first piece may also have users before the hashes that were asked
    /// for, the last piece users after them. After an error the reader is of no further use.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] where a block is missing: the reader never leaves one out.
    pub async fn next(&mut self) -> Result<Option<Piece>, StoreError> {
        if self.reading.is_none() {
            self.reading = Some(self.start().await?);
        }
        let slot = self.slot;
        while self.ready.is_empty()
            && let Some(Reading { pages, check }) = &mut self.reading
            && let Some(items) = pages.next().await?
        {
            for item in items {
                let block = open_block(slot, item)?;
                let whole = if breaks::is(Break::ReadsGapsAsEmpty) {
                    Some(vec![block])
                } else {
                    check.take(block).map_err(|()| slot.gap())?
                };
                self.ready.extend(whole.map(|blocks| Piece { slot, blocks }));
            }
            let is_complete = breaks::is(Break::ReadsGapsAsEmpty) || check.is_complete_to(self.to);
            if !pages.has_more() && !is_complete {
                return Err(slot.gap());
            }
        }
        Ok(self.ready.pop_front())
    }

    /// Finds the block to begin with: the first of the slot, or the one that covers the first hash that was asked for.
    async fn start(&self) -> Result<Reading, StoreError> {
        let mut start = Position::at(self.first_of_slot);
        if self.from > self.first_of_slot {
            let block = self.ledger.block_at(self.slot, self.from).await?;
            let cover = block.and_then(|b| b.cover()).filter(|c| c.covers(self.from));
            let cover = cover.ok_or_else(|| self.slot.gap())?;
            start = Position::at(cover.start.hash);
        }
        let query = query_partition(&self.ledger.client, &self.ledger.table, self.slot.partition())
            .key_condition_expression("pk = :pk AND sk BETWEEN :from AND :to")
            .expression_attribute_values(":from", b(start.to_key()))
            .expression_attribute_values(":to", b(Position { hash: self.to, ordinal: u32::MAX }.to_key()));
        Ok(Reading { pages: pages(query), check: CoverCheck::from(start) })
    }
}
