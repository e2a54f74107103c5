//! A batch is split into inbox blocks that can each be read.

use crate::support::{Model, cases, joined, model, rows_of, sort_by_id, users};
use proptest::prelude::*;
use rekindle_domain::{
    block::{decode, encode_inbox},
    facet::{Channel, Facet, Kind},
    rows::{Row, Rows, user_hash},
};

/// Decodes what `encode_inbox` made; asserts the limit and the counts.
fn read_inbox(blocks: &[(Vec<u8>, u64)], limit: usize) -> Model {
    joined(blocks.iter().map(|(bytes, row_count)| {
        let rows = decode(bytes).unwrap().rows;
        assert!(bytes.len() <= limit || rows.row_count() == 1, "{} bytes of {limit}", bytes.len());
        assert_eq!(rows.row_count() as u64, *row_count);
        model(&rows)
    }))
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn l1_encode_inbox_splits_and_loses_nothing(mut users in users(150), limit in 100usize..4_000) {
        sort_by_id(&mut users);
        prop_assert_eq!(read_inbox(&encode_inbox(&rows_of(&users), limit), limit), users);
    }
}

#[test]
fn nothing_is_no_block() {
    assert!(encode_inbox(&Rows::default(), 1_000).is_empty());
}

/// A batch of long aliases that compress well: few bytes, yet more facets than a block can hold decoded.
#[test]
fn l1_inbox_blocks_hold_no_more_facets_than_can_be_read() {
    let limit = 390_000;
    let mut rows = Rows::default();
    for i in 0..60_000u32 {
        let alias = Some(format!("{}{i:06}", "a".repeat(250)).into());
        let variant = Some("v".repeat(128).into());
        rows.facets.push(Facet { channel: Some(Channel::Email), alias, variant, ..Facet::of(Kind::Clicked) });
        let id = format!("user-{i:07}");
        rows.push(user_hash(id.as_bytes()), id.as_bytes(), &[Row { facet: i, first_at: 1, last_at: 1 }]);
    }
    let expected = model(&rows);
    assert_eq!(read_inbox(&encode_inbox(&rows, limit), limit), expected);
}

/// One user of very many facets, whose texts do not compress: as many blocks as they take, none too large.
#[test]
fn l1_the_rows_of_one_user_stand_in_as_many_inbox_blocks_as_they_take() {
    let limit = 256 * 1024;
    let mut rows = Rows::default();
    let noise = |i: u64, n: usize| -> Box<str> {
        (0..n as u64).map(|j| format!("{:016x}", user_hash(format!("{i}/{j}").as_bytes()))).collect()
    };
    for i in 0..3_000u64 {
        let (variant, step, alias) = (Some(noise(i, 8)), Some(noise(i, 8)), Some(noise(i, 16)));
        rows.facets.push(Facet { variant, step, alias, ..Facet::of(Kind::Clicked) });
    }
    let records: Vec<Row> = (0..3_000).map(|facet| Row { facet, first_at: 1, last_at: 2 }).collect();
    rows.push(user_hash(b"before"), b"before", &records[..1]);
    rows.push(user_hash(b"greedy"), b"greedy", &records);
    let blocks = encode_inbox(&rows, limit);
    assert!(blocks.len() > 1);
    assert_eq!(read_inbox(&blocks, limit), model(&rows));
}

/// The same for long user ids, both as a prefix with numbers and as they are.
#[test]
fn l1_inbox_blocks_hold_no_more_id_bytes_than_can_be_read() {
    let limit = 390_000;
    for suffix in ["", "x"] {
        let mut rows = Rows::with_facets(vec![Facet::of(Kind::Control)]);
        for i in 0..40_000u32 {
            let id = format!("{}{i:06}{suffix}", "p".repeat(500));
            rows.push(user_hash(id.as_bytes()), id.as_bytes(), &[Row { facet: 0, first_at: 1, last_at: 1 }]);
        }
        let expected = model(&rows);
        assert_eq!(read_inbox(&encode_inbox(&rows, limit), limit), expected);
    }
}
