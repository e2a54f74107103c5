//! Measures the costs of Rekindle: `cargo run --release -p rekindle-benches` prints one table, and how it was measured.
//!
//! This is no test of speed: a figure that misses its aim is marked in the table, and the command still succeeds. It fails
//! if the system answers wrongly.
//!
//! | module | measures, or holds |
//! |---|---|
//! | [`units`] | write units of appending, and of one item for each event |
//! | [`trickle`] | all units of interactions that arrive in small batches, until they are compacted |
//! | [`restore`] | expiring and restoring a million users |
//! | [`merged`] | merging users, and questions about merged users |
//! | [`console`] | the console's pages, with 10,000 campaigns |
//! | [`cpu`] | packing; decoding, merging and counting |
//! | [`beside`] | the same question asked of DuckDB |
//! | [`memory`] | a worker's peak, by [`allocator`] |
//! | [`cold`] | cold starts of the functions |
//! | [`growth`] | everything from 10,000 to 10,000,000 users, with a [`chart`] |
//! | [`data`], [`deployment`], [`meter`] | the interactions; the system; DynamoDB's charges |
//! | [`report`] | the table |

mod allocator;
mod beside;
mod chart;
mod cold;
mod console;
mod cpu;
mod data;
mod deployment;
mod growth;
mod memory;
mod merged;
mod meter;
mod report;
mod restore;
mod trickle;
mod units;

use clap::{Parser, ValueEnum};
use deployment::Outcome;
use report::Findings;
use std::path::Path;
use tokio::runtime::Runtime;

#[global_allocator]
static ALLOCATOR: allocator::Counting = allocator::Counting;

/// How much is measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Size {
    /// The sizes that the figures name.
    Full,
    /// Small sizes, to check that the bench works.
    Quick,
}

impl Size {
    /// The one for a full run or the one for a quick run.
    pub fn pick<T>(self, full: T, quick: T) -> T {
        match self {
            Self::Full => full,
            Self::Quick => quick,
        }
    }
}

/// A part of the bench.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, ValueEnum)]
enum Section {
    /// Measure write units of appending.
    Units,
    /// Measure small batches over weeks.
    Trickle,
    /// Measure expiry and restore.
    Restore,
    /// Measure merged users.
    Merged,
    /// Measure the console's pages.
    Console,
    /// Measure packing and counting.
    Cpu,
    /// Compare counting with DuckDB; needs Python with venv, and PyPI.
    Beside,
    /// Measure a worker's peak of memory.
    Memory,
    /// Measure cold starts; only if named. Run `.ci/functions` and `.ci/functions hello` before.
    Cold,
    /// Measure everything from 10,000 to 10,000,000 users.
    Growth,
}

/// Measures what Rekindle costs and prints one table.
#[derive(Parser)]
struct Arguments {
    /// Measure these parts only; without any, all except cold.
    sections: Vec<Section>,
    /// Use small sizes, to check that the bench works; the figures mean nothing.
    #[arg(long, conflicts_with = "write")]
    quick: bool,
    /// Also puts the table into docs/figures.md and the chart into docs/growth.svg. All parts, from one run.
    #[arg(long, conflicts_with = "sections")]
    write: bool,
}

/// The command as it was given.
fn command() -> String {
    let profile = if cfg!(debug_assertions) { "" } else { " --release" };
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments = if arguments.is_empty() { String::new() } else { format!(" -- {}", arguments.join(" ")) };
    format!("cargo run{profile} -p rekindle-benches{arguments}")
}

fn main() -> Outcome<()> {
    let arguments = Arguments::parse();
    let size = if arguments.quick { Size::Quick } else { Size::Full };
    let mut sections = arguments.sections;
    if sections.is_empty() {
        // The part that needs the built functions runs only if it is named.
        sections.extend(Section::value_variants().iter().filter(|section| **section != Section::Cold));
    }
    let (mut findings, mut chart) = (Vec::new(), None);
    for section in sections {
        eprintln!("measuring: {section:?}");
        findings.push(measure(section, size, &mut chart)?);
    }
    if size == Size::Quick {
        // The aims are for other sizes.
        findings.iter_mut().flat_map(|f| &mut f.rows).for_each(|row| row.aim = None);
    }
    let table = report::markdown(&findings);
    let figures = format!("{}\n{table}", report::circumstances(&command()));
    println!("{figures}");
    if arguments.write {
        let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
        let chart = chart.ok_or("there is no chart")?;
        std::fs::write(docs.join("growth.svg"), chart)?;
        let picture = "![What each operation takes as a ledger grows](growth.svg)";
        report::write_into(&docs.join("figures.md"), &format!("\n{figures}\n{picture}\n\n"))?;
        eprintln!("written: docs/figures.md, docs/growth.svg");
    }
    Ok(())
}

fn measure(section: Section, size: Size, chart: &mut Option<String>) -> Outcome<Findings> {
    // Each section gets a runtime of its own, so that none sees another's tasks.
    let runtime = || Runtime::new();
    match section {
        Section::Units => runtime()?.block_on(units::measure(size)),
        Section::Trickle => runtime()?.block_on(trickle::measure(size)),
        Section::Restore => runtime()?.block_on(restore::measure(size)),
        Section::Merged => runtime()?.block_on(merged::measure(size)),
        Section::Console => runtime()?.block_on(console::measure(size)),
        Section::Cpu => cpu::measure(size),
        Section::Beside => beside::measure(size),
        Section::Memory => memory::measure(size),
        Section::Cold => runtime()?.block_on(cold::measure(size)),
        Section::Growth => {
            let (findings, drawn) = runtime()?.block_on(growth::measure(size))?;
            *chart = Some(drawn);
            Ok(findings)
        }
    }
}
