//! What the laws are tried on: ids of every shape, rows over them, and a plain model to compare with.

use proptest::{collection::vec, prelude::*, sample::select};
use rekindle_domain::{
    block::{CoverCheck, Packed, Packer, Position, Sealed},
    facet::{Channel, Facet, Kind},
    rows::{Row, Rows, normalize, user_hash},
};
use std::collections::{BTreeMap, BTreeSet};

/// How many cases a law is tried on: `n`, times `REKINDLE_LAWS` where that was set at compile time, for a long night.
/// No file remembers failures: what fails is printed whole, and belongs into a test of its own.
pub fn cases(n: u32) -> ProptestConfig {
    let times = option_env!("REKINDLE_LAWS").and_then(|t| t.parse().ok());
    ProptestConfig { cases: n * times.unwrap_or(1), failure_persistence: None, ..ProptestConfig::default() }
}

/// Two ids with one hash, in ledger order. It took some ten thousand million tries to find them.
pub const TWINS: [&[u8]; 2] = [b"u6f99c844441237c3", b"ue9d077ddf4b65ec6"];

/// First and last time, by facet.
pub type UserModel = BTreeMap<Facet, (i64, i64)>;
/// Users in some order, each with its rows.
pub type Model = Vec<(Vec<u8>, UserModel)>;

/// What `rows` hold, in their order, independent of their dictionary.
pub fn model(rows: &Rows) -> Model {
    let user_model = |rows: &Rows, of: &[Row]| -> UserModel {
        of.iter().map(|r| (rows.facets[r.facet as usize].clone(), (r.first_at, r.last_at))).collect()
    };
    rows.iter().map(|u| (u.id.to_vec(), user_model(rows, u.rows))).collect()
}

/// The users of inbox blocks, one after the other; a user whose rows stand in several stands there once.
pub fn joined(blocks: impl IntoIterator<Item = Model>) -> Model {
    let mut out = Model::new();
    for (id, facets) in blocks.into_iter().flatten() {
        match out.last_mut().filter(|(last, _)| *last == id) {
            Some((_, known)) => {
                assert!(facets.keys().all(|f| !known.contains_key(f)), "a row stands in two blocks");
                known.extend(facets);
            }
            None => out.push((id, facets)),
        }
    }
    out
}

/// Several models as one, in ledger order: the oracle of every merge.
pub fn merged(models: impl IntoIterator<Item = Model>) -> Model {
    let mut all: BTreeMap<(u64, Vec<u8>), UserModel> = BTreeMap::new();
    for (id, facets) in models.into_iter().flatten() {
        let user = all.entry((user_hash(&id), id)).or_default();
        for (facet, (first, last)) in facets {
            let row = user.entry(facet).or_insert((first, last));
            *row = (row.0.min(first), row.1.max(last));
        }
    }
    all.into_iter().map(|((_, id), facets)| (id, facets)).collect()
}

/// Asserts what every [`Rows`] promises: true hashes, rows sorted by facet without repetition, times in order.
pub fn assert_well_formed(rows: &Rows) {
    for user in rows.iter() {
        assert_eq!(user.hash, user_hash(user.id));
        assert!(!user.rows.is_empty(), "a user without rows");
        assert!(user.rows.windows(2).all(|w| w[0].facet < w[1].facet), "rows out of order: {:?}", user.rows);
        assert!(user.rows.iter().all(|r| r.first_at <= r.last_at && (r.facet as usize) < rows.facets.len()));
    }
}

/// Rows of a model, as they stand there, over the dictionary `facets`.
pub fn rows_over(facets: Vec<Facet>, users: &Model) -> Rows {
    let numbers: BTreeMap<Facet, u32> = facets.iter().cloned().zip(0..).collect();
    let mut out = Rows::with_facets(facets);
    for (id, of) in users {
        let mut rows: Vec<Row> = of
            .iter()
            .map(|(f, (first_at, last_at))| Row { facet: numbers[f], first_at: *first_at, last_at: *last_at })
            .collect();
        normalize(&mut rows);
        out.push(user_hash(id), id, &rows);
    }
    out
}

/// Rows of a model over the facets that occur in it.
pub fn rows_of(users: &Model) -> Rows {
    let facets: BTreeSet<Facet> = users.iter().flat_map(|(_, f)| f.keys().cloned()).collect();
    rows_over(facets.into_iter().collect(), users)
}

/// The order of inbox blocks.
pub fn sort_by_id(users: &mut Model) {
    users.sort_by(|(a, _), (b, _)| a.len().cmp(&b.len()).then_with(|| a.cmp(b)));
}

/// The order of runs.
pub fn sort_by_hash(users: &mut Model) {
    users.sort_by(|(a, _), (b, _)| (user_hash(a), a).cmp(&(user_hash(b), b)));
}

fn text(max: usize) -> impl Strategy<Value = Option<Box<str>>> {
    prop_oneof![
        4 => Just(None),
        2 => select(vec!["A", "B", "cta"]).prop_map(|s| Some(s.into())),
        1 => "[a-z0-9:._-]{1,40}".prop_map(|s| Some(s.into())),
        1 => Just(Some("x".repeat(max).into())),
    ]
}

/// Any facet, also such as no interaction gives.
pub fn facet() -> impl Strategy<Value = Facet> {
    let channel = prop_oneof![Just(None), select(Channel::ALL.to_vec()).prop_map(Some)];
    let texts = (text(128), text(128), text(256));
    (select(Kind::ALL.to_vec()), channel, any::<bool>(), prop_oneof![3 => Just(0u8), 1 => any::<u8>()], texts)
        .prop_map(|(kind, channel, machine, conversion, (variant, step, alias))| Facet {
            kind,
            channel,
            machine,
            conversion,
            variant,
            step,
            alias,
        })
}

fn uuid(bits: u128) -> String {
    let hex = format!("{bits:032x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

fn id_styles() -> Vec<BoxedStrategy<Vec<u8>>> {
    let bytes = |s: String| s.into_bytes();
    vec![
        any::<u128>().prop_map(move |n| bytes(uuid(n))).boxed(),
        any::<u128>().prop_map(move |n| bytes(uuid(n).to_uppercase())).boxed(),
        any::<u128>().prop_map(move |n| bytes(uuid(n).replace('-', "_"))).boxed(),
        (0u64..2_000_000).prop_map(move |n| bytes(format!("user-{n}"))).boxed(),
        (0u64..1_000_000).prop_map(move |n| bytes(format!("{n:06}"))).boxed(),
        (0u64..1_000).prop_map(move |n| bytes(format!("acme-{n:018}"))).boxed(),
        (0u64..1_000, 1usize..6).prop_map(move |(n, width)| bytes(format!("{n:0width$}"))).boxed(),
        (0u64..1_000).prop_map(move |n| bytes(n.to_string())).boxed(),
        (999_999_999_999_999_990u64..1_000_000_000_000_000_009)
            .prop_map(move |n| bytes(n.to_string()))
            .boxed(),
        any::<u128>().prop_map(move |n| bytes(n.to_string())).boxed(),
        any::<u64>().prop_map(move |n| bytes(format!("v2-{n}"))).boxed(),
        (0u64..100_000).prop_map(move |n| bytes(format!("{}{n}", "9".repeat(490)))).boxed(),
        (0u64..100_000).prop_map(move |n| bytes(format!("{}{n:07}", "p".repeat(505)))).boxed(),
        "[a-z]{1,12}(\\.[a-z]{1,8})?@(example|mail)\\.(com|org)".prop_map(bytes).boxed(),
        "[a-z]{1,3}[0-9]{0,3}[a-z]?".prop_map(bytes).boxed(),
        vec(select(vec!["é", "日", "🙂", "a"]), 170..=512)
            .prop_map(|parts| {
                let mut id = String::new();
                for part in parts.into_iter().take_while(|p| p.len() <= 4) {
                    if id.len() + part.len() <= 512 {
                        id.push_str(part);
                    }
                }
                id.into_bytes()
            })
            .boxed(),
        vec(any::<u8>(), 1..=512).boxed(),
    ]
}

/// Distinct ids: all of one style, or of all mixed.
pub fn ids(most: usize) -> BoxedStrategy<BTreeSet<Vec<u8>>> {
    let mut kinds: Vec<BoxedStrategy<BTreeSet<Vec<u8>>>> =
        id_styles().into_iter().map(|s| prop::collection::btree_set(s, 1..=most).boxed()).collect();
    kinds.push(prop::collection::btree_set(proptest::strategy::Union::new(id_styles()), 1..=most).boxed());
    proptest::strategy::Union::new(kinds).boxed()
}

fn times() -> impl Strategy<Value = (i64, i64)> {
    let near = (1_763_000_000_000i64..1_763_000_060_000, prop_oneof![2 => Just(0i64), 1 => 0i64..100_000]);
    prop_oneof![
        8 => near.prop_map(|(first, more)| (first, first + more)),
        1 => (any::<i64>(), any::<i64>()).prop_map(|(a, b)| (a.min(b), a.max(b))),
    ]
}

/// Users with rows, in no particular order.
pub fn users(most: usize) -> impl Strategy<Value = Model> {
    (ids(most), prop::collection::btree_set(facet(), 1..8))
        .prop_flat_map(|(ids, facets)| {
            let facets: Vec<Facet> = facets.into_iter().collect();
            let rows = prop::collection::btree_map(select(facets), times(), 1..5);
            let n = ids.len();
            (Just(ids), vec(rows, n))
        })
        .prop_map(|(ids, rows)| ids.into_iter().zip(rows).collect())
}

/// Packs users, which stand in ledger order within one slot, with a dictionary that grows as a rewrite's does.
pub fn pack(first_hash: u64, limit: usize, rows: &Rows) -> Vec<Packed> {
    let mut out = Vec::new();
    let mut packer = Packer::new(first_hash, limit);
    let mut known = 0;
    for user in rows.iter() {
        known = user.rows.iter().map(|r| r.facet as usize + 1).fold(known, usize::max);
        packer.push(user.hash, user.id, user.rows, &rows.facets[..known], &mut out);
    }
    packer.finish(&mut out);
    out
}

/// Reads a slot as a reader does: every block, in order, to the slot's end. `None`: something is missing.
pub fn read_slot(start: Position, blocks: &[Packed]) -> Option<Model> {
    let mut check = CoverCheck::from(start);
    let mut out = Model::new();
    for packed in blocks {
        if let Some(blocks) = check.take(Sealed::open(&packed.bytes[..]).ok()?).ok()? {
            out.extend(model(&Sealed::gather(&blocks).ok()?));
        }
    }
    check.is_complete().then_some(out)
}

/// A small generator of test data (SplitMix64), where a strategy would be too slow.
pub struct Random(pub u64);

impl Random {
    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(n)) >> 64) as u64
    }

    /// A random UUID, as text.
    pub fn uuid(&mut self) -> Vec<u8> {
        uuid(u128::from(self.bits()) << 64 | u128::from(self.bits())).into_bytes()
    }
}
