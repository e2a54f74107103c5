//! `cargo run -p rekindle-tests --bin simulate`: plays any number of simulated histories.

use clap::Parser;
use rekindle_tests::sim::history::{Fault, LEANING, Report, play};
use std::{
    process::ExitCode,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Instant,
};

/// Plays random histories of the whole system and audits each. A history follows from its seed alone.
#[derive(Parser)]
#[command(name = "simulate")]
struct Arguments {
    /// How many histories to play.
    #[arg(long, default_value_t = 10_000)]
    histories: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Play one history and print each of its steps.
    #[arg(long, conflicts_with_all = ["histories", "from", "breaks"])]
    seed: Option<u64>,
    /// Break one rule after the other instead, and print how many histories it took to notice each. Fails if a broken rule
    /// is not noticed within `--histories`.
    #[arg(long)]
    breaks: bool,
    /// Play with one broken rule, by a name that `--breaks` lists.
    #[arg(long)]
    broken: Option<String>,
    /// How many threads to use.
    #[arg(long, default_value_t = thread::available_parallelism().map_or(1, usize::from))]
    threads: usize,
}

/// The sums over all histories.
#[derive(Default)]
struct Sum {
    played: AtomicU64,
    calls: AtomicU64,
    faults: AtomicU64,
    audits: AtomicU64,
    kills: AtomicU64,
    moves: AtomicU64,
    violation: Mutex<Option<String>>,
    is_over: AtomicBool,
}

impl Sum {
    fn add(&self, report: &Report) {
        self.played.fetch_add(1, Ordering::Relaxed);
        self.calls.fetch_add(report.calls, Ordering::Relaxed);
        self.faults.fetch_add(report.faults, Ordering::Relaxed);
        self.audits.fetch_add(report.audits, Ordering::Relaxed);
        self.kills.fetch_add(report.kills, Ordering::Relaxed);
        self.moves.fetch_add(report.moves, Ordering::Relaxed);
    }

    fn fail(&self, violation: String) {
        self.violation.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(violation);
        self.is_over.store(true, Ordering::SeqCst);
    }
}

/// Plays histories on all threads until one violates something or all are played.
fn play_all(arguments: &Arguments, fault: Option<Fault>, is_quiet: bool) -> Sum {
    let sum = Sum::default();
    let next = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..arguments.threads {
            scope.spawn(|| {
                while !sum.is_over.load(Ordering::SeqCst) {
                    let n = next.fetch_add(1, Ordering::SeqCst);
                    if n >= arguments.histories {
                        return;
                    }
                    // With a broken rule, every other history favours the moments at which rules matter.
                    let seed = match fault {
                        Some(_) if n % 2 == 1 => LEANING + arguments.from + n / 2,
                        Some(_) => arguments.from + n / 2,
                        None => arguments.from + n,
                    };
                    match play(seed, fault, false) {
                        Ok(report) => sum.add(&report),
                        Err(violation) => sum.fail(violation),
                    }
                    if !is_quiet && (n + 1).is_multiple_of(1_000) {
                        println!("{} histories", n + 1);
                    }
                }
            });
        }
    });
    sum
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let named = |name: &String| Fault::all().into_iter().find(|f| format!("{f:?}").contains(name.as_str()));
    let broken = arguments.broken.as_ref().map(|name| named(name).expect("no such rule; see --breaks"));
    if let Some(seed) = arguments.seed {
        return match play(seed, broken, true) {
            Ok(report) => {
                println!("{report:?}");
                ExitCode::SUCCESS
            }
            Err(violation) => {
                println!("{violation}");
                ExitCode::FAILURE
            }
        };
    }
    if arguments.breaks {
        return see_breaks(&arguments);
    }
    #[allow(clippy::disallowed_methods, reason = "it measures real time")]
    let begin = Instant::now();
    let sum = play_all(&arguments, broken, false);
    let n = |count: &AtomicU64| count.load(Ordering::Relaxed);
    println!(
        "{} histories from seed {} in {} s: {} calls interleaved, {} of them with a fault, {} processes killed, {} expiries and restores, {} audits",
        n(&sum.played),
        arguments.from,
        begin.elapsed().as_secs(),
        n(&sum.calls),
        n(&sum.faults),
        n(&sum.kills),
        n(&sum.moves),
        n(&sum.audits)
    );
    match sum.violation.into_inner().unwrap_or_else(PoisonError::into_inner) {
        None => {
            println!("no violation");
            ExitCode::SUCCESS
        }
        Some(violation) => {
            println!("VIOLATION of {violation}\nsee each step with --seed");
            ExitCode::FAILURE
        }
    }
}

fn see_breaks(arguments: &Arguments) -> ExitCode {
    let mut is_fine = true;
    for fault in Fault::all() {
        let sum = play_all(arguments, Some(fault), true);
        let played = sum.played.load(Ordering::Relaxed);
        match sum.violation.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(violation) => println!("{fault:?}: noticed after {played} histories: {violation}"),
            None => {
                println!("{fault:?}: NOT noticed in {played} histories");
                is_fine = false;
            }
        }
    }
    if is_fine { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
