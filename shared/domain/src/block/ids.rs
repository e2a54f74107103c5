//! The encodings of the user ids of a block.

use super::MAX_BLOCK_ID_BYTES;
use crate::{
    codec::{
        Reader, Truncated, put_bytes, put_ints, put_varint, read_bytes, read_ints, skip_bytes, skip_ints,
    },
    interaction::MAX_USER_ID,
    rows::Rows,
};

const RAW: u8 = 0;
const UUIDS: u8 = 1;
const NUMBERED: u8 = 2;

pub(super) fn put_ids(out: &mut Vec<u8>, ids: &[&[u8]], by_id: bool) {
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

pub(super) fn read_ids(
    reader: &mut Reader<'_>,
    n: usize,
    by_id: bool,
    rows: &mut Rows,
) -> Result<(), Truncated> {
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
            // Padded numbers all have the same width, so that sorting by id sorts by number.
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

/// Skips the ids.
pub(super) fn skip_ids(reader: &mut Reader<'_>, n: usize) -> Result<(), Truncated> {
    match reader.byte()? {
        UUIDS => skip_bytes(reader, n * 16),
        NUMBERED => {
            let len = reader.count(MAX_USER_ID)?;
            reader.bytes(len + 1)?;
            skip_ints(reader, n)
        }
        RAW => {
            skip_ints(reader, n)?;
            skip_bytes(reader, MAX_BLOCK_ID_BYTES)
        }
        _ => Err(Truncated),
    }
}

/// All ids as UUIDs, if every one of them is one.
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

/// The value of each character as a lower-case hex digit; 255 for characters that are not one.
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

pub(super) const MAX_DIGITS: u8 = 18;
/// How many digits most numbers have at most; room is made for these.
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
