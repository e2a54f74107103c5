//! Asks DuckDB the same question, on the same machine, about the same rows.

use crate::{
    Size, cpu,
    data::{CAMPAIGN, Crowd, Ids},
    deployment::Outcome,
    report::{Findings, Row, grouped, short},
};
use rekindle_domain::{
    block::{CoverCheck, Position, Sealed},
    filter::{Filter, Known, Program},
    time::Time,
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{
    fs::File,
    hint::black_box,
    io::{BufWriter, Write},
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

const NOW: Time = Time(1_800_000_000_000);
const THREADS: usize = 2;
const NATIVE_AIM: f64 = 3.0;
const PARQUET_AIM: f64 = 4.0;

/// The output of `benches/duckdb.py`.
#[derive(Deserialize)]
struct Theirs {
    version: String,
    count: u64,
    native_seconds: f64,
    parquet_seconds: f64,
}

/// Measures 5 million and 1 million users.
pub fn measure(size: Size) -> Outcome<Findings> {
    let rounds = size.pick(7, 2);
    let dir = tempfile::tempdir()?;
    let python = python(dir.path())?;
    let (mut rows, mut version) = (Vec::new(), String::new());
    for users in size.pick([5_000_000, 1_000_000], [20_000, 10_000]) {
        let (ours, count) = ours(users, rounds)?;
        let theirs = theirs(&python, dir.path(), users, rounds)?;
        if theirs.count != count {
            return Err(format!("DuckDB counts {} users and we {count}", theirs.count).into());
        }
        let ours = ours.as_secs_f64();
        let what = |kind: &str| {
            format!(
                "\"Received and not clicked\" of {} users, compared with DuckDB's {kind}",
                grouped(users as f64)
            )
        };
        let measured = |seconds: f64| {
            format!(
                "{} ms to {} ms: {} times as fast",
                short(ours * 1e3),
                short(seconds * 1e3),
                short(seconds / ours)
            )
        };
        for (kind, seconds, aim) in
            [("table", theirs.native_seconds, NATIVE_AIM), ("Parquet", theirs.parquet_seconds, PARQUET_AIM)]
        {
            rows.push(Row::aimed(
                what(kind),
                measured(seconds),
                format!("{aim} times"),
                seconds / ours >= aim,
            ));
        }
        version = theirs.version;
    }
    let how = format!(
        "**DuckDB**: wall-clock time, the best of {rounds} rounds, {THREADS} threads each, random UUIDs. Rekindle counts the blocks of a hot copy in memory, \
         which have all rows of each user, as an audience does if nothing newer has come: it verifies the checksums and reads two columns. DuckDB {version} has a table of `(user_id VARCHAR, first_at BIGINT, last_at \
         BIGINT)` for each kind, deduplicated, in memory or as Parquet (zstd), and counts `received ANTI JOIN clicked USING (user_id)`; \
         `benches/duckdb.py` has all of it. The figures under growth are of the same question through the store."
    );
    Ok(Findings { rows, how })
}

/// The path of a Python with DuckDB, in an environment of its own.
fn python(dir: &Path) -> Outcome<String> {
    let requirements =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/outside/archive/requirements.txt");
    let venv = dir.join("venv");
    run(Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
    let python = venv.join("bin/python");
    run(Command::new(&python)
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"])
        .arg(requirements))?;
    Ok(python.to_string_lossy().into_owned())
}

fn run(command: &mut Command) -> Outcome<Vec<u8>> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)).into())
}

fn crowd() -> Crowd {
    Crowd { ids: Ids::Uuids, spread: 60_000, now: NOW }
}

fn ours(users: u64, rounds: u64) -> Outcome<(Duration, u64)> {
    let (blocks, _, _) = cpu::hot_copy(&crowd(), users)?;
    let source = format!("campaign/{CAMPAIGN}");
    let question = json!({ "all": [
        { "received": { "source": source } }, { "not": { "clicked": { "source": source } } },
    ] });
    let filter = Filter::parse(&question, "filter").map_err(|e| format!("{e:?}"))?;
    let program = Program::compile(&filter, &Known::default());
    let count = || -> u64 {
        thread::scope(|scope| {
            let shares = blocks.chunks(blocks.len().div_ceil(THREADS));
            let workers: Vec<_> = shares.map(|share| scope.spawn(|| count(&program, share))).collect();
            workers.into_iter().map(|worker| worker.join().unwrap_or_default()).sum()
        })
    };
    let found = count();
    let times = (0..rounds).map(|_| {
        #[expect(clippy::disallowed_methods, reason = "it measures")]
        let begun = Instant::now();
        black_box(count());
        begun.elapsed()
    });
    Ok((times.min().unwrap_or_default(), found))
}

/// Counts as an audience does when no other copy has these users: opens each block, checks that it follows the one before,
/// and counts it.
fn count(program: &Program, blocks: &[Vec<u8>]) -> u64 {
    let Some(mut presence) = program.presence() else {
        return 0;
    };
    let first = blocks.first().and_then(|block| Sealed::open(&block[..]).ok()?.cover());
    let mut check = CoverCheck::from(first.map_or(Position::at(0), |cover| cover.start));
    let opened = blocks.iter().map(|block| check.take(Sealed::open(&block[..]).ok()?).ok()?);
    let counts = opened.map(|whole| Some(presence.count(whole?.first()?).ok()??.yes));
    counts.sum::<Option<u64>>().unwrap_or_default()
}

/// Writes the rows as a CSV file for each kind, and lets DuckDB load and count them.
fn theirs(python: &str, dir: &Path, users: u64, rounds: u64) -> Outcome<Theirs> {
    let mut files = Vec::new();
    for kind in ["received", "clicked"] {
        let mut file = BufWriter::new(File::create(dir.join(format!("{kind}.csv")))?);
        writeln!(file, "user_id,first_at,last_at")?;
        files.push((kind, file));
    }
    for from in (0..users).step_by(10_000) {
        let (body, _) = crowd().whole_story(from..(from + 10_000).min(users));
        for line in body.lines() {
            let event: Value = serde_json::from_str(line)?;
            if let Some((_, file)) = files.iter_mut().find(|(kind, _)| event["type"] == *kind) {
                let user = event["user_id"].as_str().unwrap_or_default();
                writeln!(file, "{user},{at},{at}", at = event["time"])?;
            }
        }
    }
    for (_, mut file) in files {
        file.flush()?;
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("duckdb.py");
    let (threads, rounds) = (THREADS.to_string(), rounds.to_string());
    let said = run(Command::new(python).arg(script).arg(dir).args([threads, rounds]))?;
    Ok(serde_json::from_slice(&said)?)
}
