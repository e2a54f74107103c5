//! The block codec: what goes in comes out, and nothing else is ever read.

use crate::support::{
    Model, TWINS, assert_well_formed, cases, facet, model, rows_of, rows_over, sort_by_hash, sort_by_id,
    users,
};
use proptest::{collection::vec, prelude::*};
use rekindle_domain::{
    block::{
        Block, BlockError, Cover, MAX_BLOCK_ID_BYTES, MAX_BLOCK_ROWS, Position, decode, encode, encode_inbox,
    },
    facet::{Channel, Facet, Kind},
    rows::{Row, Rows, user_hash},
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

fn varint(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
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

/// What the format could hold, and no encoder writes: each field out of its bounds, one at a time.
#[test]
fn l5_content_out_of_bounds_is_malformed() {
    let fine = Content::fine().read().unwrap();
    let ids: Vec<&[u8]> = fine.rows.iter().map(|u| u.id).collect();
    assert_eq!(ids, [b"u1", b"u2"]);
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
    type Change = fn(&mut Content);
    let wrong: Vec<(&str, Change)> = vec![
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
        ("another unknown kind", |c| c.facet_text[0] = 10),
        ("an unknown channel", |c| c.facet_text[1] = 9),
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
    for (what, change) in wrong {
        let mut content = Content::fine();
        change(&mut content);
        assert_eq!(content.read(), Err(BlockError::Malformed), "{what}");
    }
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

/// Readers merge and search by the order of users and facets: what is out of it, or there twice, is malformed.
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
    // No id is empty, and a padded number is no wider than it says.
    assert_eq!(block(&[""], None), malformed);
    assert_eq!(block(&[""], all), malformed);
    let fine = Content::fine;
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

/// Decodes what `encode_inbox` made; asserts the limit and the counts.
fn read_inbox(blocks: &[(Vec<u8>, u64)], limit: usize) -> Model {
    let mut back = Model::new();
    for (bytes, row_count) in blocks {
        let rows = decode(bytes).unwrap().rows;
        assert!(bytes.len() <= limit || rows.len() == 1, "{} bytes of {limit}", bytes.len());
        assert_eq!(rows.row_count() as u64, *row_count);
        back.extend(model(&rows));
    }
    back
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
