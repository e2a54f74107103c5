//! What the compactor merges: random histories of arrivals, folded and merged as planned, beside the bounds.

use crate::{manifest::run_id, support::cases};
use proptest::{collection::vec, prelude::*};
use rekindle_domain::{
    compact::{InboxSize, Merge, RunSize, Tiering, plan},
    id::RunId,
};

/// A ledger as the compactor sees it, and what was spent on it.
#[derive(Default)]
struct Ledger {
    runs: Vec<RunSize>,
    inbox: Vec<(u64, u64)>,
    ids: u64,
    arrived: u64,
    written: u64,
    largest: u64,
}

/// What somebody asks of the ledger.
#[derive(Clone, Debug)]
enum Event {
    /// A batch arrives: rows, and bytes a row.
    Append { rows: u64, each: u64 },
    /// What is there is archived; restored later, its rows are one run with a cold copy.
    Archive,
}

fn event() -> impl Strategy<Value = Event> {
    let few = (1u64..40, 4u64..20).prop_map(|(rows, each)| Event::Append { rows, each });
    let many = (1u64..3_000, 4u64..20).prop_map(|(rows, each)| Event::Append { rows, each });
    prop_oneof![120 => few, 8 => many, 1 => Just(Event::Archive)]
}

fn tiering() -> impl Strategy<Value = Tiering> {
    (1usize..9, 100u64..5_000, 2usize..9, 1u64..300).prop_map(
        |(inbox_blocks, inbox_bytes, fanout, smallest)| Tiering {
            inbox_blocks,
            inbox_bytes,
            fanout,
            smallest,
        },
    )
}

impl Ledger {
    fn inbox_size(&self) -> InboxSize {
        InboxSize {
            blocks: self.inbox.len(),
            bytes: self.inbox.iter().map(|(_, bytes)| bytes).sum(),
            rows: self.inbox.iter().map(|(rows, _)| rows).sum(),
        }
    }

    /// Merges as planned; of the rows that come together, `kept` percent are left, at least as many as the largest input.
    fn apply(&mut self, merge: &Merge, kept: u64) {
        let taken: Vec<u64> = merge.runs.iter().map(|id| self.take(*id).rows).collect();
        let late: Vec<u64> =
            if merge.inbox { self.inbox.drain(..).map(|(rows, _)| rows).collect() } else { Vec::new() };
        let all = || taken.iter().chain(&late).copied();
        let rows = (all().sum::<u64>() * kept / 100).max(all().max().unwrap_or(0));
        self.ids += 1;
        self.runs.push(RunSize { id: run_id(self.ids), rows, is_archived: false });
        self.written += rows;
        self.largest = self.largest.max(rows);
    }

    fn take(&mut self, id: RunId) -> RunSize {
        let at = self.runs.iter().position(|r| r.id == id).expect("a listed run, once");
        let run = self.runs.remove(at);
        assert!(!run.is_archived, "l2: an archived run is merged");
        run
    }

    fn archive(&mut self) {
        let rows = self.runs.iter().filter(|r| !r.is_archived).map(|r| r.rows).sum();
        self.runs.retain(|r| r.is_archived);
        self.ids += 1;
        self.runs.push(RunSize { id: run_id(self.ids), rows, is_archived: true });
    }

    /// Applies the plan until there is none.
    fn compact(&mut self, tiering: &Tiering, kept: u64) -> usize {
        let mut steps = 0;
        while let Some(merge) = plan(&self.runs, self.inbox_size(), tiering) {
            assert!(merge.inbox || merge.runs.len() >= 2, "a merge of one run is none: {merge:?}");
            self.apply(&merge, kept);
            steps += 1;
            assert!(steps <= 1 + self.runs.len() + merge.runs.len(), "the plan has no end");
        }
        steps
    }
}

proptest! {
    #![proptest_config(cases(200))]

    /// A row is written again a logarithmic number of times, the ledger has a logarithmic number of runs, an archived one
    /// stays as it is, and each plan has an end.
    #[test]
    fn rewrites_and_runs_are_logarithmic(
        events in vec(event(), 1..1_500),
        tiering in tiering(),
        kept in prop_oneof![Just(100u64), 1u64..100],
    ) {
        let mut ledger = Ledger::default();
        for event in events {
            match event {
                Event::Append { rows, each } => {
                    ledger.arrived += rows;
                    ledger.inbox.push((rows, rows * each));
                }
                Event::Archive => ledger.archive(),
            }
            ledger.compact(&tiering, kept);
            let size = ledger.inbox_size();
            prop_assert!(size.blocks < tiering.inbox_blocks && size.bytes < tiering.inbox_bytes);
            let tiers = u64::from(tiering.tier(ledger.largest)) + 1;
            let merged = ledger.runs.iter().filter(|r| !r.is_archived).count() as u64;
            prop_assert!(merged <= (tiering.fanout as u64 - 1) * tiers, "{merged} runs in {tiers} tiers");
            // The lowest tier is filled by arrivals of any size: there a row may be written once for each arrival.
            let lowest = ledger.ids * tiering.smallest * tiering.fanout as u64;
            let bound = ledger.arrived * (1 + tiering.fanout as u64) * tiers + lowest;
            prop_assert!(ledger.written <= bound, "{} rows written for {} in {tiers} tiers", ledger.written, ledger.arrived);
        }
    }

    /// Whatever is there, however it came to be: the plan has an end and takes no archived run.
    #[test]
    fn any_ledger_comes_to_rest(
        sizes in vec((0u64..10_000_000, any::<bool>()), 0..64),
        inbox in vec((0u64..100_000, 0u64..1_000_000), 0..40),
        tiering in tiering(),
        kept in 1u64..=100,
    ) {
        let runs = sizes.iter().zip(1..);
        let runs = runs.map(|((rows, is_archived), i)| RunSize { id: run_id(i), rows: *rows, is_archived: *is_archived });
        let mut ledger = Ledger { runs: runs.collect(), inbox, ids: 1_000, ..Ledger::default() };
        ledger.compact(&tiering, kept);
        prop_assert_eq!(plan(&ledger.runs, ledger.inbox_size(), &tiering), None);
    }
}

/// As in life: batches of 20 with the tiers as they are by default.
#[test]
fn a_row_of_a_trickle_is_written_a_handful_of_times() {
    let tiering = Tiering::default();
    for (interactions, most) in [(100_000u64, 3.0), (2_000_000, 5.0), (10_000_000, 6.0)] {
        let mut ledger = Ledger::default();
        let mut most_runs = 0;
        for _ in 0..interactions / 20 {
            ledger.arrived += 20;
            ledger.inbox.push((20, 20 * 18));
            ledger.compact(&tiering, 100);
            most_runs = most_runs.max(ledger.runs.len());
        }
        let times = ledger.written as f64 / ledger.arrived as f64;
        assert!((1.0..most).contains(&times), "{interactions}: {times} times");
        assert!(most_runs <= 18, "{interactions}: {most_runs} runs");
    }
}
