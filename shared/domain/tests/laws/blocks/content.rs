//! Content with a right checksum that no encoder writes: out of bounds, or out of order.

use super::{sealed, varint};
use crate::support::TWINS;
use rekindle_domain::{
    block::{Block, BlockError, Cover, Position, decode, encode},
    facet::{Facet, Kind},
    rows::{Row, Rows, user_hash},
};

/// The content of a block, field by field, so that each can be wrong.
#[derive(Clone)]
struct Content {
    order: Vec<u8>,
    users: u64,
    rows: u64,
    ids: Vec<u8>,
    rows_of_users: Vec<u8>,
    facets: u64,
    facet_text: Vec<u8>,
    columns: [Vec<u8>; 3],
}

/// A column of two values: the lesser (zigzag), a width, and the bits.
fn two(least: i64, width: u8, bits: &[u8]) -> Vec<u8> {
    let mut out = vec![];
    varint(&mut out, ((least << 1) ^ (least >> 63)) as u64);
    out.push(width);
    out.extend_from_slice(bits);
    out
}

impl Content {
    /// Users `u1` and `u2`, one row each.
    fn fine() -> Self {
        Self {
            order: vec![0],
            users: 2,
            rows: 2,
            ids: [&[2, 1, b'u', 0][..], &two(1, 0, &[])].concat(),
            rows_of_users: two(1, 0, &[]),
            facets: 2,
            facet_text: [&Content::facet(1)[..], &Content::facet(2)].concat(),
            columns: [two(0, 1, &[0b10]), two(1_000, 0, &[]), two(0, 0, &[])],
        }
    }

    /// A facet of that kind and no more.
    const fn facet(kind: u8) -> [u8; 7] {
        [kind, 0, 0, 0, 0, 0, 0]
    }

    fn read(self) -> Result<Block, BlockError> {
        let mut out = self.order;
        varint(&mut out, self.users);
        varint(&mut out, self.rows);
        out.extend(self.ids);
        out.extend(self.rows_of_users);
        varint(&mut out, self.facets);
        varint(&mut out, self.facet_text.len() as u64);
        out.push(0);
        out.extend(self.facet_text);
        out.extend(self.columns.concat());
        decode(&sealed(&out))
    }
}

type Change = fn(&mut Content);

/// Each field out of its bounds, one at a time.
const OUT_OF_BOUNDS: &[(&str, Change)] = &[
    ("an unknown order", |c| c.order = vec![2]),
    ("an unknown flag", |c| c.order = [&[1][..], &[0; 9], &[2]].concat()),
    ("a large ordinal", |c| {
        c.order = [&[1][..], &[0; 8], &[255, 255, 255, 255, 31, 0]].concat();
    }),
    ("a user more", |c| c.users = 3),
    ("a user less", |c| c.users = 1),
    ("a row more", |c| c.rows = 3),
    ("a row less", |c| c.rows = 1),
    ("a user without rows", |c| c.rows_of_users = two(0, 2, &[0b1000])),
    ("less than no rows", |c| c.rows_of_users = two(-1, 3, &[0b100_000])),
    ("many rows", |c| c.rows_of_users = two(i64::MAX, 0, &[])),
    ("a width of 65 bits", |c| c.rows_of_users = two(1, 65, &[0; 17])),
    ("unknown ids", |c| c.ids[0] = 3),
    ("19 digits", |c| c.ids[3] = 19),
    ("no facets", |c| c.facets = 0),
    ("a facet more", |c| c.facets = 3),
    ("a facet less", |c| c.facets = 1),
    ("an unknown kind", |c| c.facet_text[0] = 0),
    ("another unknown kind", |c| c.facet_text[0] = 16),
    ("an unknown channel", |c| c.facet_text[1] = 11),
    ("an unknown flag of a facet", |c| c.facet_text[2] = 2),
    ("a text that is cut", |c| c.facet_text[6] = 9),
    ("a text that is none", |c| {
        c.facet_text = [&[1, 0, 0, 0, 2, 0xff, 0, 0][..], &Content::facet(2)].concat();
    }),
    ("an unknown facet", |c| c.columns[0] = two(1, 1, &[0b10])),
    ("a facet below the first", |c| c.columns[0] = two(-1, 1, &[0b10])),
    ("a last time before the first", |c| c.columns[2] = two(-1, 0, &[])),
    ("a last time past all time", |c| {
        (c.columns[1], c.columns[2]) = (two(i64::MAX, 0, &[]), two(1, 0, &[]));
    }),
    ("a number that overflows", |c| {
        c.columns[2] = [&[0xff; 9][..], &[0x7f, 0]].concat();
    }),
    ("more than is said", |c| c.columns[2].push(0)),
];

/// What the format could hold, and no encoder writes: each field out of its bounds, one at a time.
#[test]
fn l5_content_out_of_bounds_is_malformed() {
    let fine = Content::fine().read().unwrap();
    let ids: Vec<&[u8]> = fine.rows.iter().map(|u| u.id).collect();
    assert_eq!(ids, [b"u1", b"u2"]);
    for (what, change) in OUT_OF_BOUNDS {
        let mut content = Content::fine();
        change(&mut content);
        assert_eq!(content.read(), Err(BlockError::Malformed), "{what}");
    }
}

/// The same of ids: numbers, ids as they are, and UUIDs.
#[test]
fn l5_ids_out_of_bounds_are_malformed() {
    let largest = 999_999_999_999_999_999i64;
    let numbered = |least: i64| [&[2, 1, b'u', 0][..], &two(least, 0, &[])].concat();
    let raw = |lengths: &[u8], bytes: &[u8]| {
        let mut out = vec![0];
        out.extend_from_slice(lengths);
        varint(&mut out, bytes.len() as u64);
        out.push(0);
        out.extend_from_slice(bytes);
        out
    };
    let with_ids = |ids: Vec<u8>| Content { ids, ..Content::fine() }.read().map(|_| ());
    // Numbers: 1 and 2 by their difference, then below zero and beyond 18 digits.
    assert_eq!(with_ids(numbered(largest / 2)), Ok(()));
    assert_eq!(with_ids(numbered(-1)), Err(BlockError::Malformed));
    assert_eq!(with_ids(numbered(largest)), Err(BlockError::Malformed));
    assert_eq!(with_ids(numbered(i64::MAX)), Err(BlockError::Malformed));
    assert_eq!(with_ids(numbered(i64::MIN)), Err(BlockError::Malformed));
    // Ids as they are: lengths that do not add up, are negative, or beyond what an id may have.
    assert_eq!(with_ids(raw(&two(1, 0, &[]), b"ab")), Ok(()));
    assert_eq!(with_ids(raw(&two(1, 0, &[]), b"abc")), Err(BlockError::Malformed));
    assert_eq!(with_ids(raw(&two(2, 0, &[]), b"abc")), Err(BlockError::Malformed));
    assert_eq!(with_ids(raw(&two(-1, 0, &[]), b"")), Err(BlockError::Malformed));
    let long = |n: usize| [vec![b'x'; n], vec![b'y'; n]].concat();
    assert_eq!(with_ids(raw(&two(512, 0, &[]), &long(512))), Ok(()));
    assert_eq!(with_ids(raw(&two(513, 0, &[]), &long(513))), Err(BlockError::Malformed));
    assert_eq!(with_ids(raw(&two(0, 0, &[]), b"")), Err(BlockError::Malformed));
    // UUIDs: not 16 bytes each.
    for bytes in [31, 33, 16, 48] {
        let ids = [&[1, bytes, 0][..], &vec![7; usize::from(bytes)]].concat();
        assert_eq!(with_ids(ids), Err(BlockError::Malformed), "{bytes} bytes of UUIDs");
    }
}

/// Readers merge and search by the order of users: a user out of it, or there twice, is malformed.
#[test]
fn l5_content_out_of_order_is_malformed() {
    let received = |facet| [Row { facet, first_at: 1, last_at: 1 }];
    let two_facets = vec![Facet::of(Kind::Received), Facet::of(Kind::Opened)];
    let block = |ids: &[&str], cover: Option<Cover>| {
        let mut rows = Rows::with_facets(two_facets.clone());
        ids.iter().for_each(|id| rows.push(user_hash(id.as_bytes()), id.as_bytes(), &received(0)));
        decode(&encode(&rows, 0..rows.len(), cover)).map(|block| block.rows.len())
    };
    let malformed = Err(BlockError::Malformed);
    let uuid = |n: u8| format!("0f8fad5b-d9cb-469f-a165-7086772895{n:02x}");
    // Each way to write ids: in order, the other way round, and one twice.
    let (a, b) = (uuid(1), uuid(2));
    for (first, second) in [("u7", "u12"), ("u07", "u12"), ("b", "ab"), ("b", "c"), (&a, &b)] {
        assert_eq!(block(&[first, second], None), Ok(2), "{first}, {second}");
        assert_eq!(block(&[second, first], None), malformed, "{second}, {first}");
        assert_eq!(block(&[first, first], None), malformed, "{first} twice");
        let all = Cover { start: Position::at(0), next: None };
        let (low, high) = if user_hash(first.as_bytes()) < user_hash(second.as_bytes()) {
            (first, second)
        } else {
            (second, first)
        };
        assert_eq!(block(&[low, high], Some(all)), Ok(2), "{low}, {high} by hash");
        assert_eq!(block(&[high, low], Some(all)), malformed, "{high}, {low} by hash");
        assert_eq!(block(&[low, low], Some(all)), malformed, "{low} twice by hash");
        // The cover: up to the ends, and a hash short of each.
        let (from, to) = (user_hash(low.as_bytes()), user_hash(high.as_bytes()));
        let within = |start, next| {
            block(&[low, high], Some(Cover { start: Position::at(start), next: Some(Position::at(next)) }))
        };
        assert_eq!(within(from, to + 1), Ok(2));
        assert_eq!(within(from + 1, to + 1), malformed);
        assert_eq!(within(from, to), malformed);
        // A chain is of one hash, and its blocks ascend.
        let chain = |ids: &[&str], ordinals: [u32; 2]| {
            let [start, next] = ordinals.map(|ordinal| Position { hash: from, ordinal });
            block(ids, Some(Cover { start, next: Some(next) }))
        };
        assert_eq!(chain(&[low], [0, 1]), Ok(1));
        assert_eq!(chain(&[low, high], [0, 1]), malformed);
        assert_eq!(chain(&[low], [1, 1]), malformed);
        assert_eq!(chain(&[low], [2, 1]), malformed);
        assert_eq!(chain(&[], [0, 0]), malformed);
    }
    // Two ids of one hash stand by their bytes.
    let twins = TWINS.map(|id| std::str::from_utf8(id).unwrap());
    let all = Some(Cover { start: Position::at(0), next: None });
    assert_eq!(block(&twins, all), Ok(2));
    assert_eq!(block(&[twins[1], twins[0]], all), malformed);
    // No id is empty.
    assert_eq!(block(&[""], None), malformed);
    assert_eq!(block(&[""], all), malformed);
}

/// A padded number is no wider than it says, and no id is longer than an id may be.
#[test]
fn l5_ids_of_a_wrong_width_are_malformed() {
    let fine = Content::fine;
    let malformed = Err(BlockError::Malformed);
    assert!(fine().read().is_ok());
    let padded = |least: i64, digits: u8| Content {
        ids: [&[2, 1, b'u', digits][..], &two(least, 0, &[])].concat(),
        ..fine()
    };
    assert!(padded(4, 1).read().is_ok());
    assert_eq!(padded(5, 1).read().map(|_| ()), malformed.map(|_: usize| ()));
    // Prefix and padding together are longer than an id may be.
    let long = |prefix: usize| {
        let mut ids = vec![2];
        varint(&mut ids, prefix as u64);
        ids.extend(vec![b'p'; prefix]);
        ids.push(18);
        ids.extend(two(1, 0, &[]));
        Content { ids, ..fine() }.read().map(|block| block.rows.len())
    };
    assert_eq!(long(512 - 18), Ok(2));
    assert_eq!(long(512 - 17), malformed);
}

/// The same of facets, and of the rows of one user.
#[test]
fn l5_facets_out_of_order_are_malformed() {
    let fine = Content::fine;
    let malformed = Err(BlockError::Malformed);
    // Facets: out of order, one twice, one that no row has.
    let facets = |kinds: [u8; 2], columns: Vec<u8>| {
        let mut content = fine();
        content.facet_text = [Content::facet(kinds[0]), Content::facet(kinds[1])].concat();
        content.columns[0] = columns;
        content.read().map(|block| block.rows.len())
    };
    assert_eq!(facets([1, 2], two(0, 1, &[0b10])), Ok(2));
    assert_eq!(facets([2, 1], two(0, 1, &[0b10])), malformed);
    assert_eq!(facets([2, 2], two(0, 1, &[0b10])), malformed);
    assert_eq!(facets([1, 2], two(0, 0, &[])), malformed);
    assert_eq!(facets([1, 2], two(1, 0, &[])), malformed);
    // One user with two rows: in order, the other way round, and the same facet twice.
    let of_one = |facets: u64, kinds: &[u8], bits: u8| {
        let mut content = Content { users: 1, facets, rows_of_users: two(2, 0, &[]), ..fine() };
        content.ids = [&[2, 1, b'u', 0][..], &two(1, 0, &[])].concat();
        content.facet_text = kinds.iter().flat_map(|kind| Content::facet(*kind)).collect();
        content.columns[0] = two(0, 1, &[bits]);
        content.read().map(|block| block.rows.row_count())
    };
    assert_eq!(of_one(2, &[1, 2], 0b10), Ok(2));
    assert_eq!(of_one(2, &[1, 2], 0b01), malformed);
    assert_eq!(of_one(1, &[1], 0b00), malformed);
}

/// The same around as many facets as a word has bits: a user for each, and then one whose facet another has.
#[test]
fn l5_of_many_facets_each_is_used() {
    for n in [63usize, 64, 65, 130] {
        let same = |value: u8| [vec![value << 1], vec![0; n.div_ceil(64)]].concat();
        let column = |facets: &[u8]| {
            let groups = facets.chunks(64).flat_map(|group| [&[8], group].concat());
            std::iter::once(0).chain(groups).collect::<Vec<u8>>()
        };
        let read = |facets: &[u8]| {
            let of = |n: u8| [Kind::Converted as u8, 0, 0, n, 0, 0, 0];
            let content = Content {
                order: vec![0],
                users: n as u64,
                rows: n as u64,
                ids: [&[2, 1, b'u', 0][..], &same(1)].concat(),
                rows_of_users: same(1),
                facets: n as u64,
                facet_text: (0..n as u8).flat_map(of).collect(),
                columns: [column(facets), same(1), same(0)],
            };
            content.read().map(|block| block.rows.facets.len())
        };
        let mut facets: Vec<u8> = (0..n as u8).collect();
        assert_eq!(read(&facets), Ok(n));
        facets[n - 1] = 0;
        assert_eq!(read(&facets), Err(BlockError::Malformed), "{n} facets");
    }
}
