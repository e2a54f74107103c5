//! The part of a slot that each block covers, so that no block can be missing unnoticed.

use super::Sealed;
use crate::{
    codec::{Reader, Truncated, put_varint},
    rows::Order,
};

/// Where a block of a run begins: the first hash it covers, and its place among blocks that start at the same hash.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Position {
    /// The lowest user hash that is covered.
    pub hash: u64,
    /// The place in a chain of blocks that share one hash; otherwise 0.
    pub ordinal: u32,
}

impl Position {
    /// The first position of a hash.
    pub const fn at(hash: u64) -> Self {
        Self { hash, ordinal: 0 }
    }

    /// The block's sort key: twelve bytes that sort as positions do.
    pub fn to_key(self) -> [u8; 12] {
        let mut key = [0; 12];
        key[..8].copy_from_slice(&self.hash.to_be_bytes());
        key[8..].copy_from_slice(&self.ordinal.to_be_bytes());
        key
    }
}

/// The part of a slot that a block covers: from `start` up to the next block's start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cover {
    /// Where this block starts.
    pub start: Position,
    /// Where the next block starts; `None` at the slot's end.
    pub next: Option<Position>,
}

impl Cover {
    /// Whether the next block continues this one's hash.
    pub fn is_continued(&self) -> bool {
        self.next.is_some_and(|n| n.hash == self.start.hash)
    }

    /// Whether a user of that hash would be in this block or its chain.
    pub fn covers(&self, hash: u64) -> bool {
        self.start.hash <= hash && (self.is_continued() || self.next.is_none_or(|n| hash < n.hash))
    }
}

pub(super) fn put_cover(out: &mut Vec<u8>, cover: Option<Cover>) {
    let put_position = |out: &mut Vec<u8>, p: Position| {
        out.extend_from_slice(&p.hash.to_le_bytes());
        put_varint(out, u64::from(p.ordinal));
    };
    let Some(cover) = cover else {
        return out.push(Order::ById as u8);
    };
    out.push(Order::ByHash as u8);
    put_position(out, cover.start);
    out.push(u8::from(cover.next.is_some()));
    if let Some(next) = cover.next {
        put_position(out, next);
    }
}

pub(super) fn read_cover(reader: &mut Reader<'_>) -> Result<Option<Cover>, Truncated> {
    fn position(reader: &mut Reader<'_>) -> Result<Position, Truncated> {
        Ok(Position { hash: reader.u64()?, ordinal: u32::try_from(reader.varint()?).map_err(|_| Truncated)? })
    }
    match reader.byte()? {
        0 => return Ok(None),
        1 => {}
        _ => return Err(Truncated),
    }
    let start = position(reader)?;
    let next = match reader.byte()? {
        0 => None,
        1 => Some(position(reader)?),
        _ => return Err(Truncated),
    };
    Ok(Some(Cover { start, next }))
}

/// Checks that blocks follow each other without a gap, and brings chains together.
pub struct CoverCheck<B> {
    expected: Option<Position>,
    chain: Vec<Sealed<B>>,
}

impl<B: AsRef<[u8]>> CoverCheck<B> {
    /// Expects blocks from that position on.
    pub const fn from(start: Position) -> Self {
        Self { expected: Some(start), chain: Vec::new() }
    }

    /// Takes the next block. Returns blocks whose users are complete: the block, or a whole chain at its end.
    ///
    /// # Errors
    /// A block is missing or misplaced.
    #[allow(
        clippy::result_unit_err,
        reason = "there is one way to fail; the caller knows which block it read"
    )]
    pub fn take(&mut self, block: Sealed<B>) -> Result<Option<Vec<Sealed<B>>>, ()> {
        let cover = block.cover().ok_or(())?;
        if self.expected != Some(cover.start) {
            return Err(());
        }
        self.expected = cover.next;
        self.chain.push(block);
        Ok((!cover.is_continued()).then(|| std::mem::take(&mut self.chain)))
    }

    /// Whether the slot's end was reached.
    pub const fn is_complete(&self) -> bool {
        self.expected.is_none()
    }

    /// Whether every block up to and with that hash was taken: the slot has ended, or goes on after it.
    pub fn is_complete_to(&self, hash: u64) -> bool {
        self.expected.is_none_or(|next| next.hash > hash)
    }
}
