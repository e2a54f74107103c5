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

use crate::{
    codec::{Reader, Truncated, put_bytes, put_ints, put_varint, read_bytes, read_ints},
    facet::Facet,
    interaction::MAX_USER_ID,
    rows::{Order, Row, Rows},
};
use thiserror::Error;
use twox_hash::XxHash3_64;

const MAGIC: [u8; 3] = *b"RKB";
const VERSION: u8 = 1;
/// The most rows (and users) a block may have.
pub const MAX_BLOCK_ROWS: usize = 131_072;
/// The most bytes a block's user ids may take, decoded.
pub const MAX_BLOCK_ID_BYTES: usize = 8 << 20;
const MAX_FACET_BYTES: usize = 8 << 20;

/// Where a block of a run begins: the first hash it covers, and its place among blocks that start at the same hash.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Position {
    /// The lowest user hash that is covered.
    pub hash: u64,
    /// 0 but in a chain of blocks with one hash.
    pub ordinal: u32,
}

impl Position {
    /// The first position of a hash.
    pub const fn at(hash: u64) -> Self {
        Self { hash, ordinal: 0 }
    }

    /// Twelve bytes that sort as positions do: the block's sort key.
    pub fn to_key(self) -> [u8; 12] {
        let mut key = [0; 12];
        key[..8].copy_from_slice(&self.hash.to_be_bytes());
        key[8..].copy_from_slice(&self.ordinal.to_be_bytes());
        key
    }
}

/// What part of a slot a block covers: from `start` up to the next block's start, so that no block can be missing
/// unnoticed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cover {
    /// Where this block starts.
    pub start: Position,
    /// Where the next one does; `None` at the slot's end.
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

/// A decoded block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Its rows.
    pub rows: Rows,
    /// What it covers; `None` for an inbox block.
    pub cover: Option<Cover>,
}

/// Bytes that are not a block. Nothing partial is ever returned.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum BlockError {
    /// Not a block of Rekindle's.
    #[error("not a block (no magic)")]
    NotABlock,
    /// Written by a later version.
    #[error("block version {0} is newer than this software; update it")]
    UnknownVersion(u8),
    /// The checksum does not match.
    #[error("damaged block (checksum mismatch)")]
    Checksum,
    /// The checksum matches but the content is not what this version writes.
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

/// Encodes, and says whether the block stays within what [`decode`] accepts: few bytes may hold much.
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
    // Most rows stand for one interaction: whether they last is a bit, and only those that do say how long.
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

fn put_cover(out: &mut Vec<u8>, cover: Option<Cover>) {
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

fn read_cover(reader: &mut Reader<'_>) -> Result<Option<Cover>, Truncated> {
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
    let Some((magic, rest)) = bytes.split_at_checked(3).filter(|(m, _)| *m == MAGIC) else {
        return Err(BlockError::NotABlock);
    };
    debug_assert_eq!(magic, MAGIC);
    let mut reader = Reader(rest);
    match reader.byte()? {
        VERSION => {}
        other => return Err(BlockError::UnknownVersion(other)),
    }
    if reader.u64()? != XxHash3_64::oneshot(reader.0) {
        return Err(BlockError::Checksum);
    }
    let cover = read_cover(&mut reader)?;
    let users = reader.count(MAX_BLOCK_ROWS)?;
    let row_count = reader.count(MAX_BLOCK_ROWS)?;
    let mut rows = Rows::default();
    read_ids(&mut reader, users, cover.is_none(), &mut rows)?;
    if cover.is_some_and(|cover| !is_within(&rows, cover)) {
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
    let text = read_bytes(&mut reader, MAX_FACET_BYTES)?;
    let mut text = Reader(&text);
    rows.facets = (0..facet_count).map(|_| Facet::decode(&mut text)).collect::<Result<_, _>>()?;
    read_records(&mut reader, row_count, facet_count, &mut rows)?;
    let facets_ascend = rows.facets.is_sorted_by(|a, b| a < b);
    if reader.0.is_empty() && text.0.is_empty() && facets_ascend && rows.facets_of_users_ascend() {
        Ok(Block { rows, cover })
    } else {
        Err(BlockError::Malformed)
    }
}

/// Whether the users stand in ledger order, each once, and the cover is theirs. A block whose chain goes on holds one hash.
fn is_within(rows: &Rows, cover: Cover) -> bool {
    // In order, the ends speak for what is between them.
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

const RAW: u8 = 0;
const UUIDS: u8 = 1;
const NUMBERED: u8 = 2;

fn put_ids(out: &mut Vec<u8>, ids: &[&[u8]], by_id: bool) {
    if let Some(uuids) = parse_uuids(ids) {
        out.push(UUIDS);
        put_bytes(out, uuids.as_flattened());
    } else if let Some(Numbered { prefix, digits, mut numbers }) = Numbered::parse(ids) {
        out.push(NUMBERED);
        put_varint(out, prefix.len() as u64);
        out.extend_from_slice(prefix);
        out.push(digits);
        if by_id {
            for i in (1..numbers.len()).rev() {
                numbers[i] -= numbers[i - 1];
            }
        }
        put_ints(out, &numbers);
    } else {
        out.push(RAW);
        let lengths: Vec<i64> = ids.iter().map(|id| id.len() as i64).collect();
        put_ints(out, &lengths);
        put_bytes(out, &ids.concat());
    }
}

fn read_ids(reader: &mut Reader<'_>, n: usize, by_id: bool, rows: &mut Rows) -> Result<(), Truncated> {
    match reader.byte()? {
        UUIDS => {
            let bytes = read_bytes(reader, n * 16)?;
            let (uuids, rest) = bytes.as_chunks::<16>();
            if uuids.len() != n || !rest.is_empty() || (by_id && !uuids.is_sorted_by(|a, b| a < b)) {
                return Err(Truncated);
            }
            rows.reserve(n, n * 36);
            for uuid in uuids {
                rows.ids_mut().extend_from_slice(&format_uuid(uuid));
                rows.close_id();
            }
        }
        NUMBERED => {
            let len = reader.count(MAX_USER_ID)?;
            let prefix = reader.bytes(len)?;
            let digits = reader.byte()?;
            if digits > MAX_DIGITS || (n * (len + usize::from(MAX_DIGITS))) > MAX_BLOCK_ID_BYTES {
                return Err(Truncated);
            }
            // Padded numbers are as wide as they say, so that by id the numbers' order is the ids'.
            let longest = if digits == 0 { MAX_USER_ID } else { len + usize::from(digits) };
            let (mut legal, mut before) = (longest <= MAX_USER_ID, if by_id { -1 } else { i64::MIN });
            rows.reserve(n, n * (len + usize::from(digits.max(COMMON_DIGITS))));
            read_ints(reader, n, |v| {
                let number = if by_id && before >= 0 { before.wrapping_add(v) } else { v };
                legal &= (0..=MAX_NUMBER).contains(&number) && (!by_id || number > before);
                before = number;
                let out = rows.ids_mut();
                let start = out.len();
                out.extend_from_slice(prefix);
                put_decimal(out, number.unsigned_abs().min(MAX_NUMBER as u64), digits);
                legal &= out.len() - start <= longest;
                rows.close_id();
            })?;
            if !legal {
                return Err(Truncated);
            }
        }
        RAW => {
            let mut lengths = Vec::with_capacity(n);
            read_ints(reader, n, |v| lengths.push(v))?;
            let bytes = read_bytes(reader, MAX_BLOCK_ID_BYTES)?;
            rows.reserve(n, bytes.len());
            let mut bytes = Reader(&bytes);
            let mut before: &[u8] = &[];
            for length in lengths {
                let length = usize::try_from(length).ok().filter(|l| (1..=MAX_USER_ID).contains(l));
                let id = bytes.bytes(length.ok_or(Truncated)?)?;
                if by_id && (before.len(), before) >= (id.len(), id) {
                    return Err(Truncated);
                }
                before = id;
                rows.ids_mut().extend_from_slice(id);
                rows.close_id();
            }
            if !bytes.0.is_empty() {
                return Err(Truncated);
            }
        }
        _ => return Err(Truncated),
    }
    Ok(())
}

/// All ids as UUIDs, if that is what every one of them is.
fn parse_uuids(ids: &[&[u8]]) -> Option<Vec<[u8; 16]>> {
    let mut uuids = Vec::with_capacity(ids.len());
    for id in ids {
        uuids.push(parse_uuid(id)?);
    }
    Some(uuids)
}

/// The 16 bytes of a canonical (lower-case, dashed) UUID. Without a branch for each digit: this runs for each user of
/// each block that is written.
fn parse_uuid(id: &[u8]) -> Option<[u8; 16]> {
    let id: &[u8; 36] = id.try_into().ok()?;
    let mut out = [0; 16];
    let mut seen = 0;
    for (byte, at) in out.iter_mut().zip(HEX_AT) {
        let (high, low) = (NIBBLES[usize::from(id[at])], NIBBLES[usize::from(id[at + 1])]);
        seen |= high | low;
        *byte = high << 4 | low;
    }
    let is_dashed = [8, 13, 18, 23].iter().all(|i| id[*i] == b'-');
    (is_dashed && seen < 16).then_some(out)
}

/// Where each byte's two hex digits stand in a UUID.
const HEX_AT: [usize; 16] = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];
const HEX: &[u8; 16] = b"0123456789abcdef";

/// What each character is worth as a lower-case hex digit; 255 for all that are none.
const NIBBLES: [u8; 256] = {
    let mut table = [u8::MAX; 256];
    let mut n = 0;
    while n < HEX.len() {
        table[HEX[n] as usize] = n as u8;
        n += 1;
    }
    table
};

/// The two hex digits of each byte.
const HEX_PAIRS: [[u8; 2]; 256] = {
    let mut table = [[0; 2]; 256];
    let mut n = 0;
    while n < table.len() {
        table[n] = [HEX[n >> 4], HEX[n & 15]];
        n += 1;
    }
    table
};

fn format_uuid(uuid: &[u8; 16]) -> [u8; 36] {
    let mut out = [b'-'; 36];
    for (byte, at) in uuid.iter().zip(HEX_AT) {
        [out[at], out[at + 1]] = HEX_PAIRS[usize::from(*byte)];
    }
    out
}

const MAX_DIGITS: u8 = 18;
/// How many digits most numbers have at most: what room is made for.
const COMMON_DIGITS: u8 = 8;
const MAX_NUMBER: i64 = 999_999_999_999_999_999;

/// Ids that are one prefix and a number each, such as `user-1234567`.
struct Numbered<'a> {
    prefix: &'a [u8],
    /// All numbers are padded with zeros to this width; 0: no number starts with one.
    digits: u8,
    numbers: Vec<i64>,
}

impl<'a> Numbered<'a> {
    fn parse(ids: &[&'a [u8]]) -> Option<Self> {
        let first = ids.first()?;
        let digits =
            first.iter().rev().take_while(|b| b.is_ascii_digit()).count().min(usize::from(MAX_DIGITS));
        let prefix = &first[..first.len() - digits];
        let tails: Vec<&[u8]> = ids.iter().map(|id| id.strip_prefix(prefix)).collect::<Option<_>>()?;
        let padded = tails.iter().any(|t| t.len() > 1 && t[0] == b'0');
        if padded && tails.iter().any(|t| t.len() != digits) {
            return None;
        }
        let numbers = tails.iter().map(|t| parse_decimal(t)).collect::<Option<_>>()?;
        Some(Self { prefix, digits: if padded { digits as u8 } else { 0 }, numbers })
    }
}

fn parse_decimal(text: &[u8]) -> Option<i64> {
    if !(1..=usize::from(MAX_DIGITS)).contains(&text.len()) {
        return None;
    }
    text.iter().try_fold(0, |n, b| b.is_ascii_digit().then(|| n * 10 + i64::from(b - b'0')))
}

fn put_decimal(out: &mut Vec<u8>, mut n: u64, digits: u8) {
    let mut text = [b'0'; MAX_DIGITS as usize];
    let mut at = text.len();
    while n > 0 {
        at -= 1;
        text[at] = b'0' + (n % 10) as u8;
        n /= 10;
    }
    let least = text.len() - usize::from(digits).max(1);
    out.extend_from_slice(&text[at.min(least)..]);
}

/// What `rows` are packed into: blocks of at most `limit` bytes for the inbox, in order.
pub fn encode_inbox(rows: &Rows, limit: usize) -> Vec<(Vec<u8>, u64)> {
    let mut out = Vec::new();
    let mut stack: Vec<_> = std::iter::once(0..rows.len()).collect();
    while let Some(range) = stack.pop() {
        if range.is_empty() {
            continue;
        }
        let row_count = rows.row_start(range.end) - rows.row_start(range.start);
        let (block, bounded) = encode_bounded(rows, range.clone(), None);
        if range.len() > 1 && (block.len() > limit || !bounded) {
            let middle = range.start + range.len() / 2;
            stack.push(middle..range.end);
            stack.push(range.start..middle);
        } else {
            out.push((block, row_count as u64));
        }
    }
    out
}

/// Cuts the users of one slot, given in ledger order, into blocks of at most `limit` bytes that cover the slot.
pub struct Packer {
    limit: usize,
    pending: Rows,
    start: Position,
    bytes_per_row: f64,
}

/// A packed block of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed {
    /// What it covers; `cover.start` is its sort key.
    pub cover: Cover,
    /// The encoded block.
    pub bytes: Vec<u8>,
}

impl Packer {
    /// A packer for a slot that starts at `first_hash`. `limit` is in bytes and at least 4,096.
    pub fn new(first_hash: u64, limit: usize) -> Self {
        Self { limit, pending: Rows::default(), start: Position::at(first_hash), bytes_per_row: 20.0 }
    }

    /// Adds a user; `facets` is the dictionary of its rows, which may only grow from call to call.
    pub fn push(&mut self, hash: u64, id: &[u8], rows: &[Row], facets: &[Facet], out: &mut Vec<Packed>) {
        if self.pending.facets.len() < facets.len() {
            self.pending.facets.extend_from_slice(&facets[self.pending.facets.len()..]);
        }
        self.pending.push(hash, id, rows);
        // A quarter more than a block is thought to hold, so that the last guess can still grow.
        let enough = self.limit as f64 * 1.25;
        while self.pending.row_count() as f64 * self.bytes_per_row > enough && self.pending.len() > 1 {
            let before = self.pending.len();
            self.emit(false, out);
            if self.pending.len() == before {
                break;
            }
        }
    }

    /// Packs what is left. Empty slots have no block.
    pub fn finish(mut self, out: &mut Vec<Packed>) {
        while !self.pending.is_empty() {
            self.emit(true, out);
        }
    }

    /// Emits the largest block that fits, guessed from the density so far and corrected by what came out.
    fn emit(&mut self, last: bool, out: &mut Vec<Packed>) {
        let mut users = self.guess();
        let mut best = None;
        for _ in 0..6 {
            users = self.whole_hashes(users);
            if users == 0 {
                break;
            }
            if users == self.pending.len() && !last {
                // What follows must be known: it may fit too, and says where the next block starts.
                return;
            }
            let (packed, bounded) = self.encode_front(users);
            let rows = self.pending.row_start(users).max(1);
            let size = packed.bytes.len();
            self.bytes_per_row = size as f64 / rows as f64;
            if size <= self.limit && bounded {
                let full = size as f64 > self.limit as f64 * 0.97 || users == self.pending.len();
                best = Some((users, packed));
                if full {
                    break;
                }
                let next = self.guess();
                if self.whole_hashes(next) <= users {
                    break;
                }
                users = next;
            } else if let Some((fits, _)) = &best {
                users = usize::midpoint(*fits, users);
                if users == *fits {
                    break;
                }
            } else if bounded {
                users = self.guess().min(users - 1);
            } else {
                users /= 2;
            }
        }
        match best {
            Some((users, packed)) => {
                self.start = packed.cover.next.unwrap_or(self.start);
                out.push(packed);
                self.pending.drop_front(users);
            }
            None => self.emit_chain(last, out),
        }
    }

    /// How many users are thought to fill a block.
    fn guess(&self) -> usize {
        let rows = (self.limit as f64 * 0.992 / self.bytes_per_row) as usize;
        self.pending.users_within(rows.min(MAX_BLOCK_ROWS)).max(1)
    }

    /// The greatest number of users up to `users` that splits no hash.
    fn whole_hashes(&self, mut users: usize) -> usize {
        while users > 0
            && users < self.pending.len()
            && self.pending.hash(users - 1) == self.pending.hash(users)
        {
            users -= 1;
        }
        users
    }

    fn encode_front(&self, users: usize) -> (Packed, bool) {
        let next = (users < self.pending.len()).then(|| Position::at(self.pending.hash(users)));
        let cover = Cover { start: self.start, next };
        let (bytes, bounded) = encode_bounded(&self.pending, 0..users, Some(cover));
        (Packed { cover, bytes }, bounded)
    }

    /// Emits the first hash alone, over as many blocks as its rows take.
    fn emit_chain(&mut self, last: bool, out: &mut Vec<Packed>) {
        let hash = self.pending.hash(0);
        let users =
            (0..self.pending.len()).find(|u| self.pending.hash(*u) != hash).unwrap_or(self.pending.len());
        if users == self.pending.len() && !last {
            return;
        }
        let after = (users < self.pending.len()).then(|| Position::at(self.pending.hash(users)));
        // One user of `pieces` is one block.
        let mut pieces = Rows::with_facets(self.pending.facets.clone());
        for user in 0..users {
            let user = self.pending.user(user);
            // A row is at most some 1,100 bytes, so that a piece of this many always fits.
            for rows in user.rows.chunks((self.limit / 1_200).max(1)) {
                pieces.push(user.hash, user.id, rows);
            }
        }
        for i in 0..pieces.len() {
            let next = if i + 1 < pieces.len() {
                Some(Position { ordinal: self.start.ordinal + 1, ..self.start })
            } else {
                after
            };
            let cover = Cover { start: self.start, next };
            out.push(Packed { cover, bytes: encode(&pieces, i..i + 1, Some(cover)) });
            self.start = next.unwrap_or(self.start);
        }
        self.pending.drop_front(users);
    }
}

/// Checks that blocks follow each other without a gap, and joins chains.
pub struct CoverCheck {
    expected: Option<Position>,
    chain: Vec<Rows>,
}

impl CoverCheck {
    /// Expects blocks from that position on.
    pub const fn from(start: Position) -> Self {
        Self { expected: Some(start), chain: Vec::new() }
    }

    /// Takes the next block; returns rows as soon as they are whole. `Err`: a block is missing or misplaced.
    #[allow(
        clippy::result_unit_err,
        reason = "there is one way to fail; the caller knows which block it read"
    )]
    pub fn take(&mut self, block: Block) -> Result<Option<Rows>, ()> {
        let cover = block.cover.ok_or(())?;
        if self.expected != Some(cover.start) {
            return Err(());
        }
        self.expected = cover.next;
        if cover.is_continued() {
            self.chain.push(block.rows);
            return Ok(None);
        }
        if self.chain.is_empty() {
            return Ok(Some(block.rows));
        }
        self.chain.push(block.rows);
        Ok(Some(Rows::gather(&std::mem::take(&mut self.chain), 0..=u64::MAX)))
    }

    /// Whether the slot's end was reached.
    pub const fn is_complete(&self) -> bool {
        self.expected.is_none()
    }

    /// Whether everything up to and with that hash has come: the slot has ended, or goes on after it.
    pub fn is_complete_to(&self, hash: u64) -> bool {
        self.expected.is_none_or(|next| next.hash > hash)
    }
}
