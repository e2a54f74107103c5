//! CPU: how much one core packs in a second, and how much it decodes, merges and counts.

use crate::{
    Size,
    data::{CAMPAIGN, Crowd, Ids},
    deployment::Outcome,
    report::{Findings, Row, grouped, short},
};
use rekindle_domain::{
    block::{Packed, Packer, decode, encode_inbox},
    filter::{FacetAtoms, Filter, Known, Program, Truth},
    interaction::Collector,
    merge::Merge,
    rows::Rows,
    time::Time,
};
use rustix::time::{ClockId, clock_gettime};
use serde::Deserialize;
use serde_json::json;
use std::{hint::black_box, time::Duration};

const NOW: Time = Time(1_800_000_000_000);
/// The block size of ingest and of hot copies, in bytes.
const INBOX_BLOCK_BYTES: usize = 256 * 1024;
const HOT_BLOCK_BYTES: usize = 32 * 1024 - 128;
const LINES: u64 = 10_000;
const PACK_AIM: f64 = 1e6;
const COUNT_AIM: f64 = 20e6;

/// Measures both.
pub fn measure(size: Size) -> Outcome<Findings> {
    let rounds = size.pick(15, 2);
    let mut rows = Vec::new();
    for (name, ids) in [("random UUIDs", Ids::Uuids), ("`user-1234567`", Ids::Numbered)] {
        let crowd = Crowd { ids, spread: 60_000, now: NOW };
        rows.extend(packing(name, &crowd, rounds)?);
        rows.extend(counting(name, &crowd, size.pick(1_000_000, 20_000), rounds)?);
    }
    let how = format!(
        "**CPU**: the CPU time of one thread, the best of {rounds} rounds, everything in memory. Packing turns requests of {} lines of NDJSON \
         into the blocks of both ledgers, the campaign's and `users`; compared with `serde_json` parsing the same lines into a \
         plain struct, of `&str` and of `String`. Counting takes the blocks of a hot copy, decodes and merges them and asks \
         \"received and not clicked\" for each user; compared with zstd decompressing the same blocks, compressed once more \
         (random ids do not compress, so this is little more than a copy), and the same rows as NDJSON. The speeds are in \
         interactions, or rows, a second.",
        grouped(LINES as f64)
    );
    Ok(Findings { rows, how })
}

/// The CPU time of the shortest of some rounds. It does not contain other processes' time, though these slow the caches
/// down.
fn best<T>(rounds: u64, mut work: impl FnMut() -> T) -> Duration {
    let round = || {
        let begun = on_cpu();
        black_box(work());
        on_cpu().saturating_sub(begun)
    };
    std::iter::repeat_with(round).take(rounds as usize).min().unwrap_or_default()
}

/// The CPU time of this thread so far.
fn on_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}

fn a_second(count: u64, taken: Duration) -> f64 {
    count as f64 / taken.as_secs_f64()
}

fn millions(rate: f64) -> String {
    format!("{} million a second", short(rate / 1e6))
}

fn packing(name: &str, crowd: &Crowd, rounds: u64) -> Outcome<Vec<Row>> {
    let requests: Vec<String> = (0..10).map(|i| crowd.one_each(i * LINES..(i + 1) * LINES)).collect();
    let count = LINES * requests.len() as u64;
    if pack(&requests[0]).1 != LINES as usize {
        return Err("interactions were rejected".into());
    }
    let rate =
        a_second(count, best(rounds, || requests.iter().map(|r| pack(black_box(r)).0.len()).sum::<usize>()));
    let borrowed = a_second(
        count,
        best(rounds, || requests.iter().map(|r| parse::<Borrowed<'_>>(black_box(r))).sum::<i64>()),
    );
    let owned =
        a_second(count, best(rounds, || requests.iter().map(|r| parse::<Owned>(black_box(r))).sum::<i64>()));
    let measured = format!(
        "{}; {} and {} of the speed of `serde_json` alone",
        millions(rate),
        short(rate / borrowed),
        short(rate / owned)
    );
    let what = format!("Pack NDJSON, ids {name}");
    Ok(vec![Row::aimed(what, measured, "1 million", rate >= PACK_AIM)])
}

/// Turns the bytes of a request into the blocks of both ledgers. Returns them, and how many interactions were accepted.
fn pack(body: &str) -> (Vec<Vec<u8>>, usize) {
    let mut collector = Collector::new(NOW);
    let outcome = collector.add_ndjson(body.as_bytes());
    debug_assert!(outcome.is_ok());
    let collected = collector.finish();
    let blocks = collected.ledgers.iter().flat_map(|(_, rows)| encode_inbox(rows, INBOX_BLOCK_BYTES));
    (blocks.map(|(block, _)| block).collect(), collected.accepted)
}

trait Plain {
    fn time(&self) -> i64;
}

macro_rules! plain {
    ($name:ident $(<$life:lifetime>)?, $text:ty) => {
        #[derive(Deserialize)]
        #[expect(dead_code, reason = "parsed to see how long it takes")]
        struct $name $(<$life>)? {
            user_id: $text,
            campaign_id: $text,
            #[serde(rename = "type")]
            kind: $text,
            channel: Option<$text>,
            variant_id: Option<$text>,
            link_alias: Option<$text>,
            machine: Option<bool>,
            time: i64,
        }

        impl $(<$life>)? Plain for $name $(<$life>)? {
            fn time(&self) -> i64 {
                self.time
            }
        }
    };
}

plain!(Borrowed<'a>, &'a str);
plain!(Owned, String);

/// `serde_json` alone: parses each line and adds up one field.
fn parse<'a, T: Plain + Deserialize<'a>>(body: &'a str) -> i64 {
    let times =
        body.lines().map(|line| serde_json::from_str::<T>(line).map_or(0, |plain| black_box(plain).time()));
    times.fold(0, i64::wrapping_add)
}

fn counting(name: &str, crowd: &Crowd, users: u64, rounds: u64) -> Outcome<Vec<Row>> {
    let (blocks, row_count, plain) = hot_copy(crowd, users)?;
    let question = json!({ "all": [
        { "received": { "source": format!("campaign/{CAMPAIGN}") } },
        { "not": { "clicked": { "source": format!("campaign/{CAMPAIGN}") } } },
    ] });
    let filter = Filter::parse(&question, "filter").map_err(|e| format!("{e:?}"))?;
    let program = Program::compile(&filter, &Known::default());
    let answer = count(&program, &blocks);
    if answer == 0 || answer >= users {
        return Err(format!("{answer} of {users} users cannot be").into());
    }
    let rate = a_second(row_count, best(rounds, || count(&program, black_box(&blocks))));
    let packed: Vec<Vec<u8>> = blocks.iter().map(|b| zstd::bulk::compress(b, 3)).collect::<Result<_, _>>()?;
    let raw = a_second(row_count, best(rounds, || decompress(black_box(&packed), 1 << 16)));
    let plain: Vec<Vec<u8>> =
        plain.iter().map(|b| zstd::bulk::compress(b.as_bytes(), 3)).collect::<Result<_, _>>()?;
    let text = a_second(row_count, best(rounds, || decompress(black_box(&plain), 1 << 24)));
    let measured = format!(
        "{}; {} of the speed of zstd over the blocks, {} over NDJSON",
        millions(rate),
        short(rate / raw),
        short(rate / text)
    );
    let what = format!("Decode, merge and count, ids {name}");
    Ok(vec![Row::aimed(what, measured, "20 million", rate >= COUNT_AIM)])
}

fn decompress(packed: &[Vec<u8>], most: usize) -> usize {
    packed
        .iter()
        .map(|block| black_box(zstd::bulk::decompress(block, most)).map_or(0, |bytes| bytes.len()))
        .sum()
}

/// The blocks of a hot copy of the crowd's interactions, its number of rows, and the same rows as text.
pub fn hot_copy(crowd: &Crowd, users: u64) -> Outcome<(Vec<Vec<u8>>, u64, Vec<String>)> {
    let (mut batches, mut plain) = (Vec::new(), Vec::new());
    let mut from = 0;
    while from < users {
        let to = (from + LINES).min(users);
        let (body, _) = crowd.whole_story(from..to);
        let mut collector = Collector::new(NOW);
        collector.add_ndjson(body.as_bytes()).map_err(|e| format!("{e:?}"))?;
        batches.extend(collector.finish().ledgers.pop().map(|(_, rows)| rows));
        plain.push(body);
        from = to;
    }
    let rows = Rows::gather(&batches, 0..=u64::MAX);
    let mut packer = Packer::new(0, HOT_BLOCK_BYTES);
    let mut packed: Vec<Packed> = Vec::new();
    rows.iter().for_each(|user| packer.push(user.hash, user.id, user.rows, &rows.facets, &mut packed));
    packer.finish(&mut packed);
    Ok((packed.into_iter().map(|p| p.bytes).collect(), rows.row_count() as u64, plain))
}

/// Counts as an audience does when it must evaluate each user: merges a stream of blocks with an empty one.
fn count(program: &Program, blocks: &[Vec<u8>]) -> u64 {
    let mut merge = Merge::new(2);
    merge.finish(1);
    let mut blocks = blocks.iter();
    let mut atoms = FacetAtoms::default();
    let mut facts = program.blank();
    let mut count = 0;
    loop {
        while merge.needs().is_some() {
            match blocks.next().map(|block| decode(block)) {
                Some(Ok(block)) => {
                    atoms = program.facet_atoms(0, &block.rows.facets);
                    merge.feed(0, block.rows);
                }
                Some(Err(_)) | None => merge.finish(0),
            }
        }
        let mut ended = true;
        while let Some(group) = merge.next_group() {
            ended = false;
            facts.reset();
            group.parts().for_each(|(_, _, user)| facts.learn(user.rows, &atoms));
            count += u64::from(program.answer(&facts) == Truth::Yes);
        }
        if ended && merge.needs().is_none() {
            return count;
        }
    }
}
