//! Checks the block decoder: it returns an error or the right content, in bounded memory.

use crate::{heap::peak_of, reference};
use rekindle_domain::{
    block::{Block, BlockError, MAX_BLOCK_ID_BYTES, MAX_BLOCK_ROWS, Sealed, decode, encode},
    facet::Kind,
    filter::{Filter, Known, Program, Tallied},
    interaction::MAX_USER_ID,
    rows::{UserRows, user_hash},
};
use serde_json::json;

/// Magic, version and checksum.
const HEADER: usize = 12;
/// The most memory that decoding any block may take. The fullest block that the format allows (131,072 users, each with a
/// facet of its own, 8 MiB of ids, 8 MiB of facets) was measured at 37 MiB; the rest is for vectors, which grow by doubling.
pub const MOST_MEMORY: usize = 64 << 20;

/// Tries `data` as a block, and as the content of a block whose checksum is right.
pub fn check(data: &[u8]) {
    read(data);
    let sealed = sealed(data.get(HEADER..).unwrap_or(data));
    if read(&sealed).is_some() {
        damaged_is_an_error(&sealed, user_hash(data));
    }
}

fn sealed(content: &[u8]) -> Vec<u8> {
    let mut block = b"RKB\x01".to_vec();
    block.extend_from_slice(&user_hash(content).to_le_bytes());
    block.extend_from_slice(content);
    block
}

/// Counts the block as a whole. If the block decodes, the count must equal that over its users one by one.
fn count(bytes: &[u8], block: Option<&Block>) {
    let clicked = json!({ "clicked": { "any": true } });
    let filter = Filter::parse(&clicked, "filter").expect("a filter");
    let program = Program::compile(&filter, &Known::default());
    let mut presence = program.presence().expect("it asks nothing else");
    let (counted, peak) = peak_of(|| presence.count(&Sealed::open(bytes)?));
    assert!(peak <= MOST_MEMORY, "{} bytes took {peak} to count", bytes.len());
    if let Some(Block { rows, .. }) = block {
        let clicks = |user: &UserRows<'_>| {
            user.rows.iter().any(|row| rows.facets[row.facet as usize].kind == Kind::Clicked)
        };
        let yes = rows.iter().filter(clicks).count() as u64;
        let counted = counted.expect("a block that decodes can be counted");
        assert!(counted.is_none_or(|counted| counted == Tallied { yes, unknown: 0 }), "{counted:?}, not {yes}");
    }
}

/// Decodes the bytes within the bound, and compares the block with the reference decoder's.
fn read(bytes: &[u8]) -> Option<Block> {
    let (decoded, peak) = peak_of(|| decode(bytes));
    assert!(peak <= MOST_MEMORY, "{} bytes took {peak} to decode", bytes.len());
    count(bytes, decoded.as_ref().ok());
    let reference = reference::decode(bytes);
    let block = match decoded {
        Ok(block) => block,
        Err(error) => {
            assert!(reference.is_none(), "{error}, though {reference:?}");
            return None;
        }
    };
    in_order(&block);
    assert_eq!(Some(reference::Content::of(&block)), reference);
    // The encoder counts numbered ids with all their digits, so a full block may be too large to encode again.
    if block.rows.id_bytes() + block.rows.len() * 18 <= MAX_BLOCK_ID_BYTES {
        let again = encode(&block.rows, 0..block.rows.len(), block.cover);
        assert_eq!(decode(&again).as_ref(), Ok(&block));
        let twice = encode(&block.rows, 0..block.rows.len(), block.cover);
        assert_eq!(again, twice);
    }
    Some(block)
}

/// Checks everything that readers rely on.
fn in_order(Block { rows, cover }: &Block) {
    assert!(rows.len() <= MAX_BLOCK_ROWS && rows.row_count() <= MAX_BLOCK_ROWS);
    assert!(rows.id_bytes() <= MAX_BLOCK_ID_BYTES);
    assert!(rows.facets.is_sorted_by(|a, b| a < b));
    let mut used = vec![false; rows.facets.len()];
    for user in rows.iter() {
        assert_eq!(user.hash, user_hash(user.id));
        assert!((1..=MAX_USER_ID).contains(&user.id.len()));
        assert!(!user.rows.is_empty() && user.rows.is_sorted_by(|a, b| a.facet < b.facet));
        for row in user.rows {
            assert!(row.first_at <= row.last_at);
            used[row.facet as usize] = true;
        }
    }
    assert!(used.into_iter().all(|used| used), "a facet without a row");
    let users: Vec<_> = rows.iter().map(|u| (u.hash, u.id)).collect();
    let Some(cover) = cover else {
        assert!(users.is_sorted_by(|(_, a), (_, b)| (a.len(), a) < (b.len(), b)));
        return;
    };
    assert!(users.is_sorted_by(|a, b| a < b));
    let next = cover.next;
    assert!(next.is_none_or(|next| (cover.start.hash, cover.start.ordinal) < (next.hash, next.ordinal)));
    // A chain's successor starts at the same hash, which may be before that of its users.
    let is_chain = next.is_some_and(|next| next.hash == cover.start.hash);
    assert!(!is_chain || users.iter().all(|(hash, _)| *hash == users[0].0));
    for (hash, _) in users {
        assert!(cover.start.hash <= hash && next.is_none_or(|next| hash < next.hash || is_chain));
    }
}

/// Changes, cuts or adds a byte at a place drawn from `chance`: the decoder must refuse the block.
fn damaged_is_an_error(good: &[u8], chance: u64) {
    let mut bytes = good.to_vec();
    let at = (chance % bytes.len() as u64) as usize;
    bytes[at] ^= ((chance >> 32) as u8).max(1);
    let expected = match at {
        0..3 => BlockError::NotABlock,
        3 => BlockError::UnknownVersion(bytes[3]),
        _ => BlockError::Checksum,
    };
    assert_eq!(decode(&bytes), Err(expected), "byte {at}");
    assert!(decode(&good[..at]).is_err(), "cut at {at}");
    bytes.clone_from_slice(good);
    bytes.insert(at.max(4), chance as u8);
    assert!(decode(&bytes).is_err(), "longer at {at}");
}
