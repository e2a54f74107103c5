//! Packing runs: blocks tile their slot, and nothing is missing from it unnoticed.

use crate::support::{
    Random, TWINS, assert_well_formed, cases, ids, merged, model, pack, read_slot, rows_of, sort_by_hash,
    users,
};
use proptest::prelude::*;
use rekindle_domain::{
    block::{Cover, CoverCheck, Packed, Position, Sealed, decode, encode},
    facet::{Channel, Facet, Kind},
    rows::{Row, Rows, user_hash},
    slot::{ROWS_PER_SLOT, SlotSize},
};
use std::ops::RangeInclusive;

/// Asserts that blocks tile a slot, hold `rows` and nothing else, and that each user is found where its hash says.
fn assert_tiles(hashes: &RangeInclusive<u64>, limit: usize, blocks: &[Packed], rows: &Rows) {
    let start = Position::at(*hashes.start());
    assert_eq!(blocks.first().map(|b| b.cover.start), (!rows.is_empty()).then_some(start));
    assert_eq!(blocks.last().and_then(|b| b.cover.next), None);
    for pair in blocks.windows(2) {
        assert_eq!(pair[0].cover.next, Some(pair[1].cover.start));
        assert!(pair[0].cover.start.to_key() < pair[1].cover.start.to_key());
    }
    for packed in blocks {
        assert!(packed.bytes.len() <= limit, "{} bytes of {limit}", packed.bytes.len());
        let block = decode(&packed.bytes).unwrap();
        assert_eq!(block.cover, Some(packed.cover));
        assert_well_formed(&block.rows);
        assert!(block.rows.iter().all(|u| packed.cover.covers(u.hash) && hashes.contains(&u.hash)));
    }
    if !rows.is_empty() {
        assert_eq!(read_slot(start, blocks).as_ref(), Some(&model(rows)));
    }
}

/// What a reader of one user sees: the last block that starts at or before the user's hash, with its whole chain.
fn look_up(blocks: &[Packed], id: &[u8]) -> Option<(Vec<u8>, crate::support::UserModel)> {
    let hash = user_hash(id);
    let key = Position { hash, ordinal: u32::MAX }.to_key();
    let at = blocks.partition_point(|b| b.cover.start.to_key() <= key).checked_sub(1)?;
    let chain = Position { ordinal: 0, ..blocks[at].cover.start };
    let first = blocks.iter().position(|b| b.cover.start == chain)?;
    let mut check = CoverCheck::from(chain);
    for packed in &blocks[first..] {
        if let Some(blocks) = check.take(Sealed::open(&packed.bytes[..]).unwrap()).unwrap() {
            return model(&Sealed::gather(&blocks).unwrap()).into_iter().find(|(i, _)| i == id);
        }
    }
    None
}

proptest! {
    #![proptest_config(cases(150))]

    #[test]
    fn l5_blocks_tile_their_slot(mut users in users(400), slots in 0u8..3, slot in any::<prop::sample::Index>()) {
        let bits = SlotSize::default().bits_for(ROWS_PER_SLOT << slots, 0);
        let slot = slot.index(bits.count() as usize) as u32;
        let hashes = bits.hashes(slot);
        users.retain(|(id, _)| hashes.contains(&user_hash(id)));
        sort_by_hash(&mut users);
        let rows = rows_of(&users);
        let blocks = pack(*hashes.start(), 4_096, &rows);
        assert_tiles(&hashes, 4_096, &blocks, &rows);
        for (id, facets) in users.iter().take(20) {
            prop_assert_eq!(look_up(&blocks, id), Some((id.clone(), facets.clone())));
        }
    }

    #[test]
    fn absent_users_are_not_found(mut users in users(100), others in ids(10)) {
        sort_by_hash(&mut users);
        let blocks = pack(0, 4_096, &rows_of(&users));
        for id in others.iter().filter(|id| !users.iter().any(|(u, _)| u == *id)) {
            prop_assert_eq!(look_up(&blocks, id), None);
        }
    }
}

fn received(at: i64) -> [Row; 1] {
    [Row { facet: 0, first_at: at, last_at: at }]
}

/// `n` users in ledger order, one row each.
fn many(n: u64, id: impl Fn(u64) -> Vec<u8>) -> Rows {
    let mut ids: Vec<Vec<u8>> = (0..n).map(id).collect();
    ids.sort_by_cached_key(|id| (user_hash(id), id.clone()));
    ids.dedup();
    let mut random = Random(3);
    let mut rows =
        Rows::with_facets(vec![Facet { channel: Some(Channel::Email), ..Facet::of(Kind::Received) }]);
    for id in ids {
        rows.push(user_hash(&id), &id, &received(1_763_000_000_000 + random.below(86_400_000) as i64));
    }
    rows
}

#[test]
fn blocks_are_dense() {
    let mut random = Random(1);
    let seeds: Vec<u64> = (0..60_000).map(|_| random.bits()).collect();
    let shapes: [(&str, Rows); 4] = [
        ("numbers", many(60_000, |i| format!("user-{}", seeds[i as usize] % 9_000_000).into_bytes())),
        ("uuids", many(60_000, |i| Random(seeds[i as usize]).uuid())),
        ("mails", many(60_000, |i| format!("{:x}@example.com", seeds[i as usize]).into_bytes())),
        ("mixed", many(60_000, |i| if i % 2 == 0 { i.to_string().into_bytes() } else { Random(i).uuid() })),
    ];
    for (name, rows) in shapes {
        for limit in [4_096, 32_640] {
            let blocks = pack(0, limit, &rows);
            assert_tiles(&(0..=u64::MAX), limit, &blocks, &rows);
            let bytes: usize = blocks.iter().map(|b| b.bytes.len()).sum();
            let fill = bytes as f64 / (blocks.len() * limit) as f64;
            println!("{name}, {limit}: {} blocks, {:.1} % full", blocks.len(), fill * 100.0);
            assert!(fill >= 0.9, "{name}, {limit}: blocks are {:.1} % full", fill * 100.0);
        }
    }
}

/// Users of very different weight: sizes cannot be guessed from the average.
#[test]
fn uneven_users_are_dense_too() {
    let mut random = Random(5);
    let mut rows = many(20_000, |i| format!("user-{i}").into_bytes());
    rows.facets = (0..200u32)
        .map(|i| Facet {
            alias: Some(format!("{i:0width$}", width = 1 + i as usize).into()),
            ..Facet::of(Kind::Clicked)
        })
        .collect();
    let mut uneven = Rows::with_facets(rows.facets.clone());
    for user in rows.iter() {
        let n = if random.below(50) == 0 { 1 + random.below(200) } else { 1 + random.below(3) };
        let of: Vec<Row> = (0..n as u32).map(|facet| Row { facet, ..user.rows[0] }).collect();
        uneven.push(user.hash, user.id, &of);
    }
    let blocks = pack(0, 32_640, &uneven);
    assert_tiles(&(0..=u64::MAX), 32_640, &blocks, &uneven);
    let bytes: usize = blocks.iter().map(|b| b.bytes.len()).sum();
    let fill = bytes as f64 / (blocks.len() * 32_640) as f64;
    println!("uneven: {} blocks, {:.1} % full", blocks.len(), fill * 100.0);
    assert!(fill >= 0.9, "blocks are {:.1} % full", fill * 100.0);
}

/// A slot with users who have thousands of facets: first, in the middle, and last.
fn with_giants(giants: &[u64], facets: u32) -> Rows {
    let small = many(3_000, |i| format!("user-{i}").into_bytes());
    let mut rows = Rows::with_facets(small.facets.clone());
    let aliases = (0..u64::from(facets)).map(|i| Facet {
        channel: Some(Channel::Email),
        alias: Some(format!("https://example.com/{:x}{:x}", Random(i).bits(), Random(!i).bits()).into()),
        ..Facet::of(Kind::Clicked)
    });
    rows.facets.extend(aliases);
    for (i, user) in small.iter().enumerate() {
        if giants.contains(&(i as u64)) {
            let all: Vec<Row> =
                (0..=facets).map(|facet| Row { facet, first_at: i64::from(facet), last_at: 5_000 }).collect();
            rows.push(user.hash, user.id, &all);
        } else {
            rows.push(user.hash, user.id, user.rows);
        }
    }
    rows
}

#[test]
fn a_user_with_thousands_of_facets_is_a_chain() {
    for giants in [vec![0], vec![1_500], vec![2_999], vec![0, 1, 2_998, 2_999], vec![700, 701]] {
        let rows = with_giants(&giants, 4_000);
        for limit in [4_096, 32_640] {
            let blocks = pack(0, limit, &rows);
            assert_tiles(&(0..=u64::MAX), limit, &blocks, &rows);
            assert!(blocks.iter().any(|b| b.cover.is_continued()));
            for giant in &giants {
                let user = rows.user(*giant as usize);
                assert_eq!(look_up(&blocks, user.id).unwrap().1.len(), user.rows.len(), "giant {giant}");
            }
        }
    }
}

/// Rows as long as rows may be.
#[test]
fn the_longest_rows_fit() {
    let facets = (0..500u32).map(|i| {
        let long = |max: usize| -> Option<Box<str>> {
            let mut random = Random(u64::from(i) ^ max as u64);
            Some((0..max).map(|_| char::from(b'!' + random.below(90) as u8)).collect::<String>().into())
        };
        Facet { variant: long(128), step: long(128), alias: long(256), ..Facet::of(Kind::Clicked) }
    });
    let mut rows = Rows::with_facets(facets.collect());
    let mut ids: Vec<Vec<u8>> =
        (0..20u64).map(|i| (0..512).map(|k| Random(i << 32 | k).below(256) as u8).collect()).collect();
    ids.sort_by_key(|id| user_hash(id));
    for (i, id) in ids.iter().enumerate() {
        let n = [1, 500, 2, 60][i % 4];
        let of: Vec<Row> = (0..n)
            .map(|facet| Row { facet, first_at: i64::MIN + 1, last_at: i64::MAX - i64::from(facet) })
            .collect();
        rows.push(user_hash(id), id, &of);
    }
    for limit in [4_096, 32_640] {
        assert_tiles(&(0..=u64::MAX), limit, &pack(0, limit, &rows), &rows);
    }
}

/// Many users with long ids that differ in a number only: tiny encoded, large decoded.
#[test]
fn l5_run_blocks_hold_no_more_id_bytes_than_can_be_read() {
    let mut ids: Vec<Vec<u8>> = (0..40_000).map(|i| format!("{}{i}", "p".repeat(505)).into_bytes()).collect();
    ids.sort_by_cached_key(|id| user_hash(id));
    let mut rows = Rows::with_facets(vec![Facet::of(Kind::Control)]);
    for id in ids {
        rows.push(user_hash(&id), &id, &received(1));
    }
    for limit in [32_640, 65_536] {
        assert_tiles(&(0..=u64::MAX), limit, &pack(0, limit, &rows), &rows);
    }
}

/// A block of nobody.
fn empty(cover: Cover) -> Sealed<Vec<u8>> {
    Sealed::open(encode(&Rows::default(), 0..0, Some(cover))).unwrap()
}

/// Every block left out, doubled, or changed for any other.
#[test]
fn l5_missing_doubled_and_swapped_blocks_are_noticed() {
    for (rows, limit) in
        [(many(6_000, |i| i.to_string().into_bytes()), 4_096), (with_giants(&[0, 1_500, 2_999], 800), 16_384)]
    {
        // What a block holds does not matter here, and is left out for speed.
        let packed = pack(0, limit, &rows);
        let blocks: Vec<_> = packed.iter().map(|b| empty(b.cover)).collect();
        let is_whole = |start: u64, mut blocks: &mut dyn Iterator<Item = &Sealed<Vec<u8>>>| {
            let mut check = CoverCheck::from(Position::at(start));
            (&mut blocks).all(|b| check.take(b.clone()).is_ok()) && check.is_complete()
        };
        assert!(blocks.len() > 5, "{}", blocks.len());
        assert!(is_whole(0, &mut blocks.iter()));
        assert!(!is_whole(1, &mut blocks.iter()), "another slot's blocks");
        for i in 0..blocks.len() {
            let (before, after) = blocks.split_at(i);
            assert!(!is_whole(0, &mut before.iter()), "blocks end at {i}");
            assert!(!is_whole(0, &mut before.iter().chain(&after[1..])), "block {i} is missing");
            assert!(
                !is_whole(0, &mut before.iter().chain(&after[..1]).chain(after)),
                "block {i} is there twice"
            );
            for k in (0..blocks.len()).filter(|k| *k != i) {
                let swapped = |at: usize| {
                    if at == i {
                        k
                    } else if at == k {
                        i
                    } else {
                        at
                    }
                };
                let replaced = |at: usize| if at == i { k } else { at };
                assert!(
                    !is_whole(0, &mut (0..blocks.len()).map(|at| &blocks[swapped(at)])),
                    "{i} and {k} are swapped"
                );
                assert!(
                    !is_whole(0, &mut (0..blocks.len()).map(|at| &blocks[replaced(at)])),
                    "{k} in place of {i}"
                );
            }
        }
    }
}

/// Who reads a slot up to some hash needs the blocks that start there or before, all of them, and none after.
#[test]
fn l5_a_slot_read_in_part_is_whole_as_far_as_it_was_read() {
    let rows = with_giants(&[0, 1_500, 2_999], 800);
    let covers: Vec<_> = pack(0, 16_384, &rows).iter().map(|b| b.cover).collect();
    assert!(covers.iter().any(|c| c.start.ordinal > 0), "a chain is among them");
    let reads = |count: usize, to: u64| {
        let mut check = CoverCheck::from(Position::at(0));
        covers[..count].iter().all(|c| check.take(empty(*c)).is_ok()) && check.is_complete_to(to)
    };
    for to in covers.iter().flat_map(|c| [c.start.hash.saturating_sub(1), c.start.hash, c.start.hash + 1]) {
        let enough = covers.partition_point(|c| c.start.hash <= to);
        assert!(reads(enough, to), "{enough} blocks reach {to}");
        assert!((0..enough).all(|fewer| !reads(fewer, to)), "and no fewer do");
    }
}

/// An inbox block has no cover, and is no block of a run.
#[test]
fn l5_inbox_blocks_are_no_blocks_of_runs() {
    let rows = rows_of(&merged([]));
    let inbox = encode(&rows, 0..0, None);
    assert!(CoverCheck::from(Position::at(0)).take(Sealed::open(inbox).unwrap()).is_err());
}

#[test]
fn an_empty_slot_has_no_block() {
    assert!(pack(0, 4_096, &Rows::default()).is_empty());
    assert!(!CoverCheck::<Vec<u8>>::from(Position::at(0)).is_complete());
}

/// However many users come before: those of one hash are never parted, neither by the end of a block nor in a chain.
#[test]
fn l5_users_of_one_hash_are_found_together() {
    let hash = user_hash(TWINS[0]);
    let before = many(4_000, |i| i.to_string().into_bytes());
    let after = before.iter().position(|u| u.hash > hash).unwrap();
    assert!(after > 400);
    let facets: Vec<Facet> =
        (0..60).map(|conversion| Facet { conversion, ..Facet::of(Kind::Converted) }).collect();
    let rows_of_twin: Vec<Row> = (0..60)
        .map(|facet| Row { facet, first_at: i64::from(facet) << 20, last_at: i64::MAX >> 9 })
        .collect();
    for skipped in (0..400).step_by(3) {
        let mut rows = Rows::with_facets(facets.clone());
        let mut used = before.clone();
        used.facets = facets.clone();
        rows.extend_from(&used, skipped..after);
        for twin in TWINS {
            rows.push(hash, twin, &rows_of_twin);
        }
        rows.extend_from(&used, after..used.len());
        let blocks = pack(0, 4_096, &rows);
        assert_tiles(&(0..=u64::MAX), 4_096, &blocks, &rows);
        for twin in TWINS {
            assert_eq!(look_up(&blocks, twin).map(|(_, f)| f.len()), Some(60), "{skipped}");
        }
    }
}
