//! The block codec: many rows in few bytes, in inboxes and in hot copies.
//!
//! Version 1, little endian:
//!
//! ```text
//! "RKB" 0x01                      magic and version
//! u64                             XXH3-64 (seed 0) of all that follows
//! order                           0 by id, 1 by hash
//! [by hash] u64 varint            where the block's cover starts: hash, ordinal
//! [by hash] 0 | 1 u64 varint      where the next block's cover starts; 0 at the end of the slot
//! varint varint                   users, rows
//! ids                             0 bytes: ids as they are    (lengths as ints, then all of them as bytes)
//!                                 1 bytes: canonical UUIDs    (16 bytes each)
//!                                 2 varint prefix digits ints: a prefix and a number, `digits` wide (0: no padding);
//!                                   by id: differences, by hash: the numbers
//! ints                            rows of each user
//! varint bytes                    facets, and their encodings one after the other
//! ints ints ints                  of each row: facet, first_at, 1 if last_at differs from it
//! ints                            of each row that says so: last_at - first_at
//! ```
//!
//! `ints` and `bytes` are described at the functions of `codec.rs`. What 16 random bytes of a UUID cost, and a time
//! within the minute, is entropy; the rest is next to nothing.
//!
//! Users stand in the block's order, each once and, by hash, within the cover; facets are ascending, and each is used; of a
//! user each has one row, and they are ascending. Readers merge and search by this order, so that a block out of it would
//! be a wrong answer: it is malformed.

mod columns;
mod cover;
mod ids;
mod packer;

pub(crate) use columns::Columns;
pub use cover::{Cover, CoverCheck, Position};
pub use packer::{Packed, Packer, encode_inbox};

use crate::{
    codec::{Reader, Truncated, put_bytes, put_ints, put_varint, read_bytes, read_ints},
    facet::Facet,
    rows::{Row, Rows},
};
use cover::{put_cover, read_cover};
use ids::{MAX_DIGITS, put_ids, read_ids};
use thiserror::Error;
use twox_hash::XxHash3_64;

const MAGIC: [u8; 3] = *b"RKB";
const VERSION: u8 = 1;
/// The most rows (and users) a block may have.
pub const MAX_BLOCK_ROWS: usize = 131_072;
/// The most bytes a block's user ids may take, decoded.
pub const MAX_BLOCK_ID_BYTES: usize = 8 << 20;
const MAX_FACET_BYTES: usize = 8 << 20;

/// A decoded block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The rows of its users, in the block's order.
    pub rows: Rows,
    /// The part of a slot that it covers; `None` for an inbox block.
    pub cover: Option<Cover>,
}

/// The error for bytes that are not a block. A part of a block is never returned.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum BlockError {
    /// The bytes are not a block of Rekindle's.
    #[error("not a block (no magic)")]
    NotABlock,
    /// A later version wrote the block.
    #[error("block version {0} is newer than this software; update it")]
    UnknownVersion(u8),
    /// The checksum does not match.
    #[error("damaged block (checksum mismatch)")]
    Checksum,
    /// The checksum matches, but this version does not write such content.
    #[error("malformed block")]
    Malformed,
}

impl From<Truncated> for BlockError {
    fn from(_: Truncated) -> Self {
        Self::Malformed
    }
}

/// Encodes users `range` of `rows`, which stand in the order that `cover` implies (`None`: by id, an inbox block).
///
/// The bytes are a function of the rows alone: the order of their dictionary does not show.
pub fn encode(rows: &Rows, range: std::ops::Range<usize>, cover: Option<Cover>) -> Vec<u8> {
    encode_bounded(rows, range, cover).0
}

/// Encodes, and says whether [`decode`] accepts the block: few bytes may hold more rows than it allows.
fn encode_bounded(rows: &Rows, range: std::ops::Range<usize>, cover: Option<Cover>) -> (Vec<u8>, bool) {
    let users = range.len();
    let first_row = rows.row_start(range.start);
    let end_row = rows.row_start(range.end);
    let records = &rows.all_rows()[first_row..end_row];
    let mut out = Vec::with_capacity(64 + users * 20 + records.len() * 6);
    out.extend_from_slice(&MAGIC);
    out.push(VERSION);
    out.extend_from_slice(&[0; 8]);
    put_cover(&mut out, cover);
    put_varint(&mut out, users as u64);
    put_varint(&mut out, records.len() as u64);
    let ids: Vec<&[u8]> = range.clone().map(|u| rows.user(u).id).collect();
    put_ids(&mut out, &ids, cover.is_none());
    let id_bytes: usize = ids.iter().map(|id| id.len() + usize::from(MAX_DIGITS)).sum();
    let mut column: Vec<i64> = range.clone().map(|u| rows.user(u).rows.len() as i64).collect();
    put_ints(&mut out, &column);
    let (local, facet_bytes) = put_facets(&mut out, &rows.facets, records);
    let records = renumbered(rows, range, &local);
    let mut put_column = |value: &dyn Fn(&Row) -> i64| {
        column.clear();
        column.extend(records.iter().map(value));
        put_ints(&mut out, &column);
    };
    put_column(&|r| i64::from(r.facet));
    put_column(&|r| r.first_at);
    // Most rows stand for one interaction: a bit says whether `last_at` differs, and only such rows hold the difference.
    put_column(&|r| i64::from(r.last_at != r.first_at));
    column.clear();
    column.extend(records.iter().map(|r| r.last_at.wrapping_sub(r.first_at)).filter(|d| *d != 0));
    put_ints(&mut out, &column);
    let checksum = XxHash3_64::oneshot(&out[12..]);
    out[4..12].copy_from_slice(&checksum.to_le_bytes());
    let bounded =
        records.len() <= MAX_BLOCK_ROWS && id_bytes <= MAX_BLOCK_ID_BYTES && facet_bytes <= MAX_FACET_BYTES;
    (out, bounded)
}

/// The rows of users `range` with their new facet numbers, each user's sorted by them.
fn renumbered(rows: &Rows, range: std::ops::Range<usize>, local: &[u32]) -> Vec<Row> {
    let mut out = Vec::with_capacity(rows.row_start(range.end) - rows.row_start(range.start));
    for user in range {
        let first = out.len();
        out.extend(rows.user(user).rows.iter().map(|r| Row { facet: local[r.facet as usize], ..*r }));
        out[first..].sort_unstable_by_key(|r| r.facet);
    }
    out
}

/// Writes the facets that are used, in canonical order; returns the new number of each old one, and their size.
fn put_facets(out: &mut Vec<u8>, facets: &[Facet], records: &[Row]) -> (Vec<u32>, usize) {
    let mut local = vec![u32::MAX; facets.len()];
    for row in records {
        local[row.facet as usize] = 0;
    }
    let mut used: Vec<u32> = (0..facets.len() as u32).filter(|f| local[*f as usize] == 0).collect();
    used.sort_unstable_by(|a, b| facets[*a as usize].cmp(&facets[*b as usize]));
    let mut text = Vec::new();
    for (number, facet) in used.iter().enumerate() {
        local[*facet as usize] = number as u32;
        facets[*facet as usize].encode(&mut text);
    }
    put_varint(out, used.len() as u64);
    put_bytes(out, &text);
    (local, text.len())
}

/// Decodes a block.
///
/// # Errors
/// [`BlockError`]: never a shorter answer, and never an allocation beyond what a block may hold.
pub fn decode(bytes: &[u8]) -> Result<Block, BlockError> {
    let sealed = Sealed::open(bytes)?;
    Ok(Block { rows: sealed.rows()?, cover: sealed.cover })
}

/// A block whose checksum matches, before its rows are read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sealed<B> {
    bytes: B,
    cover: Option<Cover>,
    /// Where the bytes behind the cover begin.
    content: usize,
}

impl<B: AsRef<[u8]>> Sealed<B> {
    /// Checks the version and the checksum, and reads the cover.
    ///
    /// # Errors
    /// [`BlockError`], where version or checksum is wrong or the cover does not decode.
    pub fn open(block: B) -> Result<Self, BlockError> {
        let bytes = block.as_ref();
        let mut reader = Reader(bytes.strip_prefix(&MAGIC).ok_or(BlockError::NotABlock)?);
        match reader.byte()? {
            VERSION => {}
            other => return Err(BlockError::UnknownVersion(other)),
        }
        if reader.u64()? != XxHash3_64::oneshot(reader.0) {
            return Err(BlockError::Checksum);
        }
        let cover = read_cover(&mut reader)?;
        let content = bytes.len() - reader.0.len();
        Ok(Self { bytes: block, cover, content })
    }

    /// The part of a slot that it covers; `None` for an inbox block.
    pub const fn cover(&self) -> Option<Cover> {
        self.cover
    }

    fn content(&self) -> Reader<'_> {
        Reader(&self.bytes.as_ref()[self.content..])
    }

    /// Decodes its rows.
    ///
    /// # Errors
    /// [`BlockError::Malformed`]: never fewer rows, and never an allocation beyond what a block may hold.
    pub fn rows(&self) -> Result<Rows, BlockError> {
        let mut reader = self.content();
        let users = reader.count(MAX_BLOCK_ROWS)?;
        let row_count = reader.count(MAX_BLOCK_ROWS)?;
        let mut rows = Rows::default();
        read_ids(&mut reader, users, self.cover.is_none(), &mut rows)?;
        if self.cover.is_some_and(|cover| !is_within(&rows, cover)) {
            return Err(BlockError::Malformed);
        }
        let mut ends = 0i64;
        let mut user = 0;
        let mut fits = true;
        read_ints(&mut reader, users, |n| {
            fits &= (1..=row_count as i64 - ends).contains(&n);
            ends = if fits { ends + n } else { ends };
            rows.set_row_end(user, ends as u32);
            user += 1;
        })?;
        if !fits || ends != row_count as i64 {
            return Err(BlockError::Malformed);
        }
        let facet_count = reader.count(row_count)?;
        rows.facets = read_facets(&mut reader, facet_count)?;
        read_records(&mut reader, row_count, facet_count, &mut rows)?;
        let facets_ascend = rows.facets.is_sorted_by(|a, b| a < b);
        if reader.0.is_empty() && facets_ascend && rows.facets_of_users_ascend() {
            Ok(rows)
        } else {
            Err(BlockError::Malformed)
        }
    }

    /// The rows of many blocks: of a whole chain, each user once.
    ///
    /// # Errors
    /// As [`Sealed::rows`].
    pub fn gather(blocks: &[Self]) -> Result<Rows, BlockError> {
        match blocks {
            [block] => block.rows(),
            blocks => {
                let rows = blocks.iter().map(Self::rows).collect::<Result<Vec<_>, _>>()?;
                Ok(Rows::gather(&rows, 0..=u64::MAX))
            }
        }
    }
}

fn read_facets(reader: &mut Reader<'_>, n: usize) -> Result<Vec<Facet>, Truncated> {
    let text = read_bytes(reader, MAX_FACET_BYTES)?;
    let mut text = Reader(&text);
    let facets = (0..n).map(|_| Facet::decode(&mut text)).collect::<Result<_, _>>()?;
    if text.0.is_empty() { Ok(facets) } else { Err(Truncated) }
}

/// Whether the users stand in ledger order, each once, and the cover is theirs. A block whose chain goes on holds one hash.
fn is_within(rows: &Rows, cover: Cover) -> bool {
    // The users are in order, so that it suffices to check the first and the last.
    let ends = rows.len().checked_sub(1).map(|last| (rows.hash(0), rows.hash(last)));
    let fits = |(first, last): (u64, u64)| {
        cover.covers(first) && cover.covers(last) && (first == last || !cover.is_continued())
    };
    cover.next.is_none_or(|next| cover.start < next) && ends.is_none_or(fits) && rows.users_ascend_by_hash()
}

fn read_records(reader: &mut Reader<'_>, n: usize, facets: usize, rows: &mut Rows) -> Result<(), Truncated> {
    let out = rows.rows_mut();
    out.reserve_exact(n);
    let mut legal = true;
    let mut used = 0u64;
    read_ints(reader, n, |v| {
        legal &= (0..facets as i64).contains(&v);
        used |= 1u64.wrapping_shl(v as u32);
        out.push(Row { facet: v as u32, first_at: 0, last_at: 0 });
    })?;
    if !legal || !(if facets <= 64 { used.count_ones() as usize == facets } else { are_used(out, facets) }) {
        return Err(Truncated);
    }
    let mut records = out.iter_mut();
    read_ints(reader, n, |v| records.next().into_iter().for_each(|r| r.first_at = v))?;
    let mut records = out.iter_mut();
    let mut lasting = Vec::new();
    read_ints(reader, n, |v| {
        legal &= (0..=1).contains(&v);
        if let Some(r) = records.next() {
            r.last_at = r.first_at;
            if v == 1 {
                lasting.push(r);
            }
        }
    })?;
    let mut durations = lasting.into_iter();
    read_ints(reader, durations.len(), |v| {
        if let Some(r) = durations.next() {
            r.last_at = r.first_at.wrapping_add(v);
            legal &= r.last_at > r.first_at;
        }
    })?;
    if legal { Ok(()) } else { Err(Truncated) }
}

/// Whether each of that many facets has a row.
fn are_used(rows: &[Row], facets: usize) -> bool {
    let mut used = vec![false; facets];
    rows.iter().for_each(|r| used[r.facet as usize] = true);
    used.into_iter().all(|used| used)
}
