//! Blocks that are damaged, cut, lengthened or forged: nothing of them is read, and nothing panics.

use super::{HEADER, sealed, varint};
use crate::support::{Model, cases, model, rows_of, sort_by_hash, sort_by_id};
use proptest::{collection::vec, prelude::*};
use rekindle_domain::{
    block::{Block, BlockError, Cover, MAX_BLOCK_ID_BYTES, MAX_BLOCK_ROWS, Position, decode, encode},
    facet::{Channel, Facet, Kind},
    rows::user_hash,
};
use std::collections::BTreeMap;

fn samples() -> Vec<(&'static str, Vec<u8>)> {
    let facets = |i: usize| {
        let opened =
            Facet { channel: Some(Channel::Email), machine: i.is_multiple_of(3), ..Facet::of(Kind::Opened) };
        let alias = Some(["header", "call-to-action-in-the-middle-of-the-page", "footer"][i % 3].into());
        let clicked = Facet {
            channel: Some(Channel::Email),
            alias,
            variant: Some("A".into()),
            ..Facet::of(Kind::Clicked)
        };
        let at = 1_763_000_000_000 + i as i64 * 977;
        BTreeMap::from([(opened, (at, at)), (clicked, (at + 5, at + 1_000 * i as i64))])
    };
    let users = |id: &dyn Fn(usize) -> String| -> Model {
        (0..12).map(|i| (id(i).into_bytes(), facets(i))).collect()
    };
    let cover = Cover { start: Position::at(0), next: Some(Position { hash: u64::MAX, ordinal: 3 }) };
    let mut out = vec![];
    let mut add = |name, mut users: Model, cover: Option<Cover>| {
        if cover.is_some() {
            sort_by_hash(&mut users)
        } else {
            sort_by_id(&mut users)
        }
        let rows = rows_of(&users);
        out.push((name, encode(&rows, 0..rows.len(), cover)));
    };
    add("numbered", users(&|i| format!("user-{}", i * 7919)), None);
    add("numbered run", users(&|i| format!("user-{:05}", i * 7919)), Some(cover));
    add("uuids", users(&|i| format!("0f8fad5b-d9cb-469f-a165-{:012x}", i * 7919)), None);
    add("mails", users(&|i| format!("somebody.{i}@example.com")), None);
    add("mails run", users(&|i| format!("somebody.{i}@example.com")), Some(cover));
    out
}

/// Every byte of every sample, changed to every other value.
#[test]
fn l5_any_damaged_byte_is_an_error() {
    for (name, good) in samples() {
        let mut bytes = good.clone();
        for at in 0..bytes.len() {
            for flip in 1..=255 {
                bytes[at] ^= flip;
                let error = decode(&bytes).expect_err(name);
                let expected = match at {
                    0..3 => BlockError::NotABlock,
                    3 => BlockError::UnknownVersion(bytes[3]),
                    _ => BlockError::Checksum,
                };
                assert_eq!(error, expected, "{name}, byte {at}");
                bytes[at] ^= flip;
            }
        }
        assert_eq!(bytes, good);
    }
}

#[test]
fn l5_truncated_and_lengthened_blocks_are_errors() {
    for (name, good) in samples() {
        for end in 0..good.len() {
            assert!(decode(&good[..end]).is_err(), "{name} cut at {end}");
            // Nor does a right checksum help: what is missing is missed.
            if end >= HEADER {
                assert_eq!(
                    decode(&sealed(&good[HEADER..end])),
                    Err(BlockError::Malformed),
                    "{name} cut at {end}"
                );
            }
        }
        for more in 0..=255 {
            let longer = [&good[..], &[more]].concat();
            assert_eq!(decode(&longer), Err(BlockError::Checksum));
            assert_eq!(decode(&sealed(&longer[HEADER..])), Err(BlockError::Malformed));
        }
        assert_eq!(decode(&sealed(&good[HEADER..])), decode(&good), "{name}");
    }
}

/// Whatever was decoded, it stays within what a block may hold, and is whole.
fn assert_bounded(block: &Block) {
    let rows = &block.rows;
    assert!(rows.len() <= MAX_BLOCK_ROWS && rows.row_count() <= MAX_BLOCK_ROWS);
    assert!(rows.id_bytes() <= MAX_BLOCK_ID_BYTES);
    assert!(rows.facets.len() <= rows.row_count());
    for user in rows.iter() {
        assert_eq!(user.hash, user_hash(user.id));
        assert!(!user.rows.is_empty());
        assert!(user.rows.iter().all(|r| r.first_at <= r.last_at && (r.facet as usize) < rows.facets.len()));
    }
    // It can be written again, and then reads as it did.
    let again = decode(&encode(rows, 0..rows.len(), block.cover)).map(|b| model(&b.rows).len());
    assert!(again.is_ok() || again == Err(BlockError::Malformed));
}

proptest! {
    #![proptest_config(cases(3_000))]

    #[test]
    fn forged_content_never_panics(content in vec(any::<u8>(), 0..200)) {
        if let Ok(block) = decode(&sealed(&content)) {
            assert_bounded(&block);
        }
    }

    /// Valid blocks with bytes replaced, taken out or put in, and a right checksum: what comes nearest to the truth.
    #[test]
    fn mutated_content_never_panics(
        sample in 0usize..5,
        edits in vec((any::<prop::sample::Index>(), any::<u8>(), 0u8..4), 1..6),
    ) {
        let mut content = samples().swap_remove(sample).1.split_off(HEADER);
        for (at, byte, how) in edits {
            let at = at.index(content.len());
            match how {
                0 => drop(content.remove(at)),
                1 => content.insert(at, byte),
                2 => content[at] = byte,
                _ => content[at] ^= 1 << (byte % 8),
            }
        }
        if let Ok(block) = decode(&sealed(&content)) {
            assert_bounded(&block);
        }
    }
}

/// `order`, users, rows: how a block's content starts.
fn opening(users: u64, rows: u64) -> Vec<u8> {
    let mut content = vec![0];
    varint(&mut content, users);
    varint(&mut content, rows);
    content
}

/// Small blocks that claim to be huge.
#[test]
fn bombs_are_refused_before_they_go_off() {
    assert_eq!((MAX_BLOCK_ROWS, MAX_BLOCK_ID_BYTES), (131_072, 8 << 20));
    let mut bombs: Vec<(&str, Vec<u8>)> = vec![];
    for n in [MAX_BLOCK_ROWS as u64 + 1, u64::from(u32::MAX), u64::MAX] {
        bombs.push(("users", opening(n, 1)));
        bombs.push(("rows", opening(1, n)));
    }
    // All the users that are allowed, each with a prefix of 512 bytes: 64 MB of ids out of 3 KB.
    let mut numbered = opening(MAX_BLOCK_ROWS as u64, MAX_BLOCK_ROWS as u64);
    numbered.push(2);
    varint(&mut numbered, 512);
    numbered.extend([b'x'; 512]);
    numbered.extend([0, 0]);
    numbered.extend(vec![0; MAX_BLOCK_ROWS / 64]);
    bombs.push(("numbered ids", numbered));
    // Ids, and facets, as a long run of zeros that zstd makes tiny.
    for len in [MAX_BLOCK_ID_BYTES as u64, MAX_BLOCK_ID_BYTES as u64 + 1, 1 << 40, u64::MAX] {
        let packed = zstd::bulk::compress(&vec![0; len.min(64 << 20) as usize], 3).unwrap();
        let mut raw = opening(1, 1);
        raw.extend([0, 2, 0]);
        let mut facets = opening(1, 1);
        facets.extend([2, 1, b'u', 0, 2, 0, 2, 0, 1]);
        for content in [&mut raw, &mut facets] {
            varint(content, len);
            varint(content, packed.len() as u64);
            content.extend(&packed);
        }
        bombs.push(("raw ids", raw));
        bombs.push(("facets", facets));
    }
    // A frame that holds more than it says.
    let mut liar = opening(1, 1);
    liar.extend([0, 2, 0, 1]);
    let packed = zstd::bulk::compress(&vec![7; 32 << 20], 3).unwrap();
    varint(&mut liar, packed.len() as u64);
    liar.extend(&packed);
    bombs.push(("a lying frame", liar));
    for (name, content) in bombs {
        assert_eq!(decode(&sealed(&content)), Err(BlockError::Malformed), "{name}");
    }
}
