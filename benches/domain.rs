//! CPU costs of the pure half: `cargo bench -p rekindle-benches`.
//!
//! 10,000 interactions of one campaign, random UUID users, as one NDJSON request; throughput is in interactions.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rekindle_domain::{
    block::{decode, encode_inbox},
    filter::{Filter, Program, Truth},
    id::LedgerId,
    interaction::Collector,
    merge::Merge,
    rows::Rows,
    time::Millis,
};
use std::{collections::BTreeSet, fmt::Write, hint::black_box};

const NOW: Millis = Millis(1_800_000_000_000);
const INTERACTIONS: u64 = 10_000;
const BLOCK_BYTES: usize = 256 * 1024;

fn mix(n: u64) -> u64 {
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

fn request() -> String {
    (0..INTERACTIONS).fold(String::new(), |mut body, i| {
        let (a, b) = (mix(i + 1), mix(!i));
        let _ = writeln!(
            body,
            r#"{{"user_id":"{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}","campaign_id":"c","type":"received","channel":"email","variant_id":"A","time":{}}}"#,
            a >> 32, a >> 16 & 0xffff, a & 0xfff, b >> 52, b & 0xffff_ffff_ffff, NOW.0 - (b % 60_000) as i64,
        );
        body
    })
}

fn pack(body: &str) -> Vec<Vec<u8>> {
    let mut collector = Collector::new(NOW);
    assert!(collector.add_ndjson(body.as_bytes()).is_ok());
    let ledgers = collector.finish().ledgers;
    let of_campaign = ledgers.iter().filter(|(ledger, _)| *ledger != LedgerId::Users);
    of_campaign.flat_map(|(_, rows)| encode_inbox(rows, BLOCK_BYTES)).map(|(block, _)| block).collect()
}

fn count(program: &Program, rows: Rows) -> u64 {
    let atoms = program.facet_atoms(0, &rows);
    let mut merge = Merge::new(1);
    merge.feed(0, rows);
    merge.finish(0);
    let mut facts = program.blank();
    let mut count = 0;
    while let Some(group) = merge.next_group() {
        facts.reset();
        group.parts().for_each(|(_, _, user)| facts.learn(user.rows, &atoms));
        count += u64::from(program.answer(&facts) == Truth::Yes);
    }
    count
}

fn domain(c: &mut Criterion) {
    let body = request();
    let blocks = pack(&body);
    let decoded = || blocks.iter().map(|b| decode(b).map(|b| b.rows)).collect::<Result<Vec<_>, _>>();
    let rows = Rows::gather(&decoded().unwrap_or_default(), 0..=u64::MAX);
    let filter = serde_json::json!({ "received": { "source": "campaign/c" } });
    let filter = Filter::parse(&filter, "filter").expect("a filter");
    let program = Program::compile(&filter, &BTreeSet::new());
    assert_eq!(count(&program, rows.clone()), INTERACTIONS);

    let mut group = c.benchmark_group("10,000 interactions");
    group.throughput(Throughput::Elements(INTERACTIONS));
    group
        .bench_function("ndjson to packed blocks, campaign and users", |b| b.iter(|| pack(black_box(&body))));
    group.bench_function("blocks to rows", |b| b.iter(decoded));
    group.bench_function("rows in ledger order to a count", |b| {
        b.iter_batched(|| rows.clone(), |rows| count(&program, rows), criterion::BatchSize::LargeInput);
    });
    group.finish();
}

criterion_group!(benches, domain);
criterion_main!(benches);
