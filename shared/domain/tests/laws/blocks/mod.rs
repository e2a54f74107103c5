//! The block codec: what goes in comes out, and nothing else is ever read.

mod content;
mod damage;
mod inbox;

use crate::support::{
    Model, assert_well_formed, cases, facet, model, rows_of, rows_over, sort_by_hash, sort_by_id, users,
};
use proptest::prelude::*;
use rekindle_domain::{
    block::{BlockError, Cover, Position, decode, encode},
    facet::{Facet, Kind},
    rows::user_hash,
};
use std::collections::BTreeMap;

/// Where a block's content starts: behind magic, version and checksum.
const HEADER: usize = 12;

/// A block of that content whose checksum is right.
fn sealed(content: &[u8]) -> Vec<u8> {
    let mut block = b"RKB\x01".to_vec();
    block.extend_from_slice(&user_hash(content).to_le_bytes());
    block.extend_from_slice(content);
    block
}

fn varint(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

fn position() -> impl Strategy<Value = Position> {
    (any::<u64>(), prop_oneof![Just(0u32), any::<u32>()])
        .prop_map(|(hash, ordinal)| Position { hash, ordinal })
}

/// A cover that has room for users from the one hash to the other.
fn cover_of(users: &Model, bounds: (Position, Option<Position>)) -> Cover {
    let hash = |user: Option<&(Vec<u8>, _)>| user.map(|(id, _)| user_hash(id));
    let (first, last) = (hash(users.first()).unwrap_or(5), hash(users.last()).unwrap_or(5));
    let start = Position { hash: bounds.0.hash % first.max(1), ..bounds.0 };
    let next = bounds.1.map(|next| Position { hash: last + 1 + next.hash % (u64::MAX - last), ..next });
    Cover { start, next }
}

fn assert_reads_back(bytes: &[u8], expected: &[(Vec<u8>, crate::support::UserModel)], cover: Option<Cover>) {
    let block = decode(bytes).unwrap();
    assert_eq!(block.cover, cover);
    assert_well_formed(&block.rows);
    assert_eq!(model(&block.rows), expected);
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn inbox_blocks_round_trip(mut users in users(40), cut in any::<(prop::sample::Index, prop::sample::Index)>()) {
        sort_by_id(&mut users);
        let rows = rows_of(&users);
        assert_reads_back(&encode(&rows, 0..rows.len(), None), &users, None);
        // Any range of the users is a block too.
        let (a, b) = (cut.0.index(users.len() + 1), cut.1.index(users.len() + 1));
        let range = a.min(b)..a.max(b);
        assert_reads_back(&encode(&rows, range.clone(), None), &users[range], None);
    }

    #[test]
    fn run_blocks_round_trip(mut users in users(40), bounds in (position(), prop::option::of(position()))) {
        sort_by_hash(&mut users);
        let cover = cover_of(&users, bounds);
        let rows = rows_of(&users);
        assert_reads_back(&encode(&rows, 0..rows.len(), Some(cover)), &users, Some(cover));
    }

    /// The bytes are a function of the rows: neither the order of the dictionary nor unused facets change them, so that
    /// attempts which met the facets in another order write the same blocks.
    #[test]
    fn the_encoding_is_canonical(
        mut users in users(20),
        unused in prop::collection::btree_set(facet(), 0..4),
        shuffle in any::<u64>(),
    ) {
        sort_by_id(&mut users);
        let rows = rows_of(&users);
        let bytes = encode(&rows, 0..rows.len(), None);
        let mut facets: Vec<Facet> = rows.facets.iter().cloned().chain(unused).collect();
        facets.sort();
        facets.dedup();
        facets.sort_by_key(|f| user_hash(format!("{shuffle} {f:?}").as_bytes()));
        let shuffled = rows_over(facets, &users);
        prop_assert_eq!(&bytes, &encode(&shuffled, 0..shuffled.len(), None));
        let back = decode(&bytes).unwrap().rows;
        prop_assert_eq!(&bytes, &encode(&back, 0..back.len(), None));
    }
}

#[test]
fn what_is_no_block_is_told_from_what_is_newer() {
    assert_eq!(decode(b""), Err(BlockError::NotABlock));
    assert_eq!(decode(b"PAR1...."), Err(BlockError::NotABlock));
    assert_eq!(decode(b"RKB"), Err(BlockError::Malformed));
    assert_eq!(decode(b"RKB\x02 whatever follows"), Err(BlockError::UnknownVersion(2)));
}

/// Ids that look alike, two by two, and must not be taken for each other.
#[test]
fn look_alike_ids_stay_apart() {
    let ids = [
        vec!["0", "00", "000"],
        vec!["7", "07", "007"],
        vec!["user-", "user-0", "user-00"],
        vec!["user-9", "user-10", "user-010"],
        vec!["999999999999999999", "1000000000000000000"],
        vec!["9223372036854775807", "9223372036854775808", "18446744073709551616"],
        vec!["000000000000000000", "0000000000000000000"],
        vec!["0f8fad5b-d9cb-469f-a165-70867728950e", "0F8FAD5B-D9CB-469F-A165-70867728950E"],
        vec!["0f8fad5b-d9cb-469f-a165-70867728950e", "0f8fad5bd9cb469fa16570867728950e"],
        vec!["a1", "b1"],
        vec!["1", "x"],
        vec!["-1", "1", "+1"],
    ];
    for ids in ids {
        let row = BTreeMap::from([(Facet::of(Kind::Received), (1, 2))]);
        let mut users: Model = ids.iter().map(|id| (id.as_bytes().to_vec(), row.clone())).collect();
        sort_by_id(&mut users);
        let rows = rows_of(&users);
        assert_reads_back(&encode(&rows, 0..rows.len(), None), &users, None);
        sort_by_hash(&mut users);
        let rows = rows_of(&users);
        let cover = Some(Cover { start: Position::at(0), next: None });
        assert_reads_back(&encode(&rows, 0..rows.len(), cover), &users, cover);
    }
}
