//! What a row costs. The bounds are what the design promises; the figures are printed (`--nocapture`).

use crate::support::{Random, pack};
use rekindle_domain::{
    block::encode,
    facet::{Channel, Facet, Kind},
    rows::{Row, Rows, user_hash},
};
use std::collections::BTreeMap;

const NOW: i64 = 1_763_000_000_000;

/// What one mailing brings: mostly receipts, some opens by people and machines, some clicks.
fn facets() -> Vec<Facet> {
    let of = |kind, variant: &str| Facet {
        channel: Some(Channel::Email),
        variant: Some(variant.into()),
        ..Facet::of(kind)
    };
    let mut out = vec![];
    for variant in ["A", "B"] {
        out.push(of(Kind::Received, variant));
        out.push(of(Kind::Opened, variant));
        out.push(Facet { machine: true, ..of(Kind::Opened, variant) });
        out.push(Facet { alias: Some("call-to-action".into()), ..of(Kind::Clicked, variant) });
    }
    out
}

type Users = BTreeMap<Vec<u8>, BTreeMap<u32, (i64, i64)>>;

fn add(users: &mut Users, id: Vec<u8>, facet: u32, at: i64) {
    let times = users.entry(id).or_default().entry(facet).or_insert((at, at));
    *times = (times.0.min(at), times.1.max(at));
}

/// A facet: `received` in eight of ten cases, else an open or a click.
fn draw(random: &mut Random) -> u32 {
    let kind = if random.below(10) < 8 { 0 } else { 1 + random.below(3) as u32 };
    random.below(2) as u32 * 4 + kind
}

fn rows(users: &Users, key: impl Fn(&[u8]) -> (u64, usize)) -> Rows {
    let mut order: Vec<&Vec<u8>> = users.keys().collect();
    order.sort_by_cached_key(|id| (key(id), (*id).clone()));
    let mut out = Rows::with_facets(facets());
    for id in order {
        let of: Vec<Row> = users[id]
            .iter()
            .map(|(f, (first_at, last_at))| Row { facet: *f, first_at: *first_at, last_at: *last_at })
            .collect();
        out.push(user_hash(id), id, &of);
    }
    out
}

fn numbered(random: &mut Random) -> Vec<u8> {
    format!("user-{}", 1_000_000 + random.below(9_000_000)).into_bytes()
}

fn report(what: &str, bytes: usize, rows: usize, target: f64) {
    let each = bytes as f64 / rows as f64;
    println!("{what}: {each:.2} bytes a row (at most {target})");
    assert!(each <= target, "{what}: {each:.2} bytes a row, more than {target}");
}

/// Batches of 500 interactions within a minute, as ingest appends them.
#[test]
fn inbox_blocks_are_small() {
    let mut random = Random(7);
    for is_mixed in [false, true] {
        let mut measure = |what: &str, target: f64, id: &dyn Fn(&mut Random) -> Vec<u8>| {
            let (mut bytes, mut count) = (0, 0);
            for _ in 0..40 {
                let mut users = Users::new();
                for _ in 0..500 {
                    let facet = if is_mixed { draw(&mut random) } else { 0 };
                    add(&mut users, id(&mut random), facet, NOW + random.below(60_000) as i64);
                }
                let rows = rows(&users, |id| (0, id.len()));
                bytes += encode(&rows, 0..rows.len(), None).len();
                count += rows.row_count();
            }
            let what = format!("inbox, {what}, {}", if is_mixed { "8 facets" } else { "received only" });
            report(&what, bytes, count, target);
        };
        measure("random UUIDs", 20.0, &Random::uuid);
        measure("user-1234567", 6.0, &numbered);
    }
}

/// Hot blocks of a ledger of 100,000 users over a day, who did `more` things each beside receiving the message.
fn measure_hot(
    what: &str,
    target: f64,
    id: &dyn Fn(&mut Random) -> Vec<u8>,
    mut more: impl FnMut(&mut Random) -> Vec<u32>,
) {
    let mut random = Random(8);
    let mut users = Users::new();
    while users.len() < 100_000 {
        let id = id(&mut random);
        if users.contains_key(&id) {
            continue;
        }
        for facet in [vec![0], more(&mut random)].concat() {
            add(&mut users, id.clone(), facet, NOW + random.below(86_400_000) as i64);
        }
    }
    let rows = rows(&users, |id| (user_hash(id), 0));
    let bytes = pack(0, 32_640, &rows).iter().map(|b| b.bytes.len()).sum();
    report(&format!("hot, {what}"), bytes, rows.row_count(), target);
}

#[test]
fn hot_blocks_are_small() {
    measure_hot("random UUIDs, received only", 20.0, &Random::uuid, |_| vec![]);
    measure_hot("user-1234567, received only", 7.5, &numbered, |_| vec![]);
    // A quarter of the users open or click as well.
    let more = |random: &mut Random| {
        if random.below(4) == 0 { vec![1 + random.below(3) as u32] } else { vec![] }
    };
    measure_hot("random UUIDs, 4 facets", 20.0, &Random::uuid, more);
    measure_hot("user-1234567, 4 facets", 7.5, &numbered, more);
}

/// Rows that stand for several interactions carry two times, and are dearer: the second is as random as the first.
#[test]
fn repeated_interactions_cost_a_second_time() {
    let again = |random: &mut Random| {
        if random.below(5) == 0 { vec![0] } else { vec![] }
    };
    measure_hot("random UUIDs, a fifth received twice", 20.5, &Random::uuid, again);
    measure_hot("user-1234567, a fifth received twice", 7.5, &numbered, again);
}

/// Far from filling it, though: a batch of one costs as much as item-per-event does.
#[test]
fn a_single_interaction_fits_a_write_unit() {
    let mut random = Random(9);
    let mut users = Users::new();
    add(&mut users, random.uuid(), 3, NOW);
    let rows = rows(&users, |id| (0, id.len()));
    let bytes = encode(&rows, 0..1, None).len();
    println!("inbox, one interaction: {bytes} bytes");
    assert!(bytes <= 100, "{bytes} bytes");
}
