//! What the sweeper archives: ledgers of every shape, driven as planned until they rest.

use crate::{
    manifest::{further, rewrite, run_id, tally},
    support::cases,
};
use proptest::{collection::vec, prelude::*};
use rekindle_domain::{
    expire::{BiteSize, Limits, Plan, plan},
    id::RunId,
    manifest::{Copy, DataState, GRACE_MILLIS, Life, Manifest, Run, Tier},
    source::Source,
    time::Time,
};

/// How a run of a ledger lies. In a state that needs it in a tier, it lies there, too.
#[derive(Clone, Debug)]
struct Lies {
    rows: u64,
    in_both: bool,
}

/// A ledger as the sweeper sees it: what is stored, and how many blocks are in the inbox.
struct Ledger {
    manifest: Manifest,
    inbox: usize,
    ids: u64,
    now: Time,
}

fn run() -> impl Strategy<Value = Lies> {
    (0u64..1_000, any::<bool>()).prop_map(|(rows, in_both)| Lies { rows, in_both })
}

fn limits() -> impl Strategy<Value = Limits> {
    (3usize..8, 0usize..8).prop_map(|(hot_runs, cold_runs)| Limits { hot_runs, cold_runs })
}

impl Ledger {
    fn new(state: DataState, runs: &[Lies], inbox: usize) -> Self {
        let mut manifest = Manifest { state, ..Manifest::default() };
        let mut ids = 0;
        let now = Time(1_763_000_000_000);
        for lies in runs {
            ids += 1;
            let run = run_id(ids);
            let mut put = |tier| {
                ids += 1;
                let copy = Copy { life: Life::Live, bytes: 1, ..further(ids, run, tier, now) };
                let slots = copy.slots;
                manifest.copies.push(copy);
                slots
            };
            let needed = if state == DataState::Available { Tier::Hot } else { Tier::Cold };
            let slots = put(needed);
            // Of an expired ledger the hot copies are on their way out, and are not live.
            if lies.in_both && state == DataState::Available {
                put(Tier::Cold);
            }
            manifest.runs.push(Run { id: run, slots, tally: tally(lies.rows), folded: 0 });
        }
        Self { manifest, inbox, ids: ids + 1_000, now }
    }

    fn source(&self) -> Source {
        let source = Source::seen("campaign/a".parse().unwrap(), Time(0), Time(0));
        Source { state: self.manifest.state, ..source }
    }

    fn bite(&self, most: usize) -> BiteSize {
        BiteSize { blocks: self.inbox.min(most), is_all: self.inbox <= most }
    }

    fn swap(&mut self, next: Manifest) {
        self.manifest = next.succeed(&self.manifest).expect("a planned step is legal");
    }

    /// Stages and commits a rewrite as planned, clears what it took unless the ledger is in quarantine, and deletes what
    /// has become old.
    fn rewrite(&mut self, tier: Tier, runs: &[RunId], blocks: usize) {
        if tier == Tier::Hot {
            for run in runs {
                assert!(
                    self.manifest.live(*run, Tier::Cold).is_none(),
                    "l2: a hot rewrite takes an archived run"
                );
            }
        }
        self.ids += 2;
        let copy = rewrite(self.ids, self.ids + 1, tier, runs, blocks as u32, self.now);
        let rows = runs.iter().filter_map(|r| self.manifest.run(*r)).map(|r| r.tally.rows).sum::<u64>();
        self.swap(self.manifest.stage(copy.clone()));
        let next = self.manifest.commit_rewrite(copy.id, tally(rows + blocks as u64), 1, self.now).unwrap();
        let is_expiry = tier == Tier::Cold && self.manifest.state == DataState::Available;
        self.swap(if is_expiry { next.expired(self.now) } else { next });
        self.inbox -= blocks;
        self.clear();
        self.now = self.now.plus(2 * GRACE_MILLIS);
        if self.manifest.quarantine.is_none() {
            self.swap(self.manifest.doom(self.now, |_| true));
            let doomed: Vec<_> =
                self.manifest.copies.iter().filter(|c| c.life == Life::Doomed).map(|c| c.id).collect();
            let forgotten = doomed.into_iter().fold(self.manifest.clone(), |next, copy| next.forget(copy));
            self.swap(forgotten);
        }
    }

    fn clear(&mut self) {
        if let Some(copy) = self.manifest.clearing.filter(|_| self.manifest.quarantine.is_none()) {
            self.swap(self.manifest.cleared(copy));
        }
    }

    /// Goes on as planned until the ledger has expired (`None`) or rests.
    fn drive(&mut self, most: usize, limits: Limits) -> Option<Plan> {
        let steps = 5 + 3 * (self.inbox + self.manifest.runs.len());
        let state = self.manifest.state;
        for _ in 0..steps {
            self.clear();
            let hot_only = |l: &Self| l.manifest.runs_without(Tier::Cold).count();
            let before = (self.inbox, self.manifest.runs.len(), hot_only(self));
            match plan(&self.source(), &self.manifest, self.bite(most), limits) {
                Plan::Rewrite { tier, runs, takes_inbox } => {
                    let blocks = if takes_inbox { self.bite(most).blocks } else { 0 };
                    assert!(!takes_inbox || blocks > 0, "a rewrite that takes the inbox takes a block");
                    self.rewrite(tier, &runs, blocks);
                    let after = (self.inbox, self.manifest.runs.len(), hot_only(self));
                    let is_less = after.0 < before.0 || after.1 < before.1 || after.2 < before.2;
                    assert!(is_less, "a rewrite takes blocks, merges runs or archives");
                }
                Plan::DropHotCopies => self.swap(self.manifest.expired(self.now)),
                rest => return Some(rest),
            }
            if self.manifest.state != state {
                return None;
            }
        }
        panic!("the plan has no end after {steps} steps");
    }
}

proptest! {
    #![proptest_config(cases(200))]

    /// Whatever is there, every step is legal and gets on, and at the end the ledger is expired, or has no row.
    #[test]
    fn l2_a_due_ledger_expires_with_all_that_came(
        runs in vec(run(), 0..20), inbox in 0usize..60, most in 1usize..10, limits in limits(),
    ) {
        let mut ledger = Ledger::new(DataState::Available, &runs, inbox);
        let rows = |l: &Ledger| l.manifest.runs.iter().map(|r| r.tally.rows).sum::<u64>();
        let all = rows(&ledger) + inbox as u64;
        let rest = ledger.drive(most, limits);
        prop_assert_eq!((ledger.inbox, rows(&ledger)), (0, all));
        let is_empty = runs.is_empty() && inbox == 0;
        prop_assert_eq!(rest, is_empty.then_some(Plan::RestForADay));
        prop_assert_eq!(ledger.manifest.state == DataState::Expired, !is_empty);
        // Late rows that come now are archived, too, and then it rests.
        ledger.manifest.state = DataState::Expired;
        ledger.inbox = inbox;
        prop_assert_eq!(ledger.drive(most, limits), Some(Plan::RestLate));
        prop_assert_eq!((ledger.inbox, rows(&ledger)), (0, all + inbox as u64));
    }

    /// A restored ledger to which nothing came expires again without a row being written.
    #[test]
    fn what_is_archived_is_not_written_again(rows in vec(0u64..1_000, 1..12), most in 1usize..10, limits in limits()) {
        let runs: Vec<Lies> = rows.into_iter().map(|rows| Lies { rows, in_both: true }).collect();
        let mut ledger = Ledger::new(DataState::Available, &runs, 0);
        let before = ledger.manifest.runs.clone();
        prop_assert_eq!(plan(&ledger.source(), &ledger.manifest, BiteSize::NOTHING, limits), Plan::DropHotCopies);
        prop_assert_eq!(ledger.drive(most, limits), None);
        prop_assert_eq!(&ledger.manifest.runs, &before);
    }

    /// Late rows come again and again: the number of cold runs stays bounded.
    #[test]
    fn late_rows_become_few_runs(
        runs in vec(run(), 0..8), arrivals in vec(1usize..20, 0..40), most in 1usize..10, limits in limits(),
    ) {
        let mut ledger = Ledger::new(DataState::Expired, &runs, 0);
        for blocks in arrivals {
            ledger.inbox += blocks;
            prop_assert_eq!(ledger.drive(most, limits), Some(Plan::RestLate));
            prop_assert!(ledger.manifest.runs.len() <= limits.cold_runs.max(2).max(runs.len() + 1));
        }
    }

    /// In quarantine the blocks of a committed rewrite stay. Suspect runs are archived without the inbox, which checks
    /// them; late rows wait.
    #[test]
    fn l4_in_quarantine_the_inbox_waits(
        runs in vec(run(), 1..12), inbox in 1usize..40, most in 1usize..10, limits in limits(), is_expired: bool,
    ) {
        let state = if is_expired { DataState::Expired } else { DataState::Available };
        let mut ledger = Ledger::new(state, &runs, 0);
        // A rewrite took blocks and is committed; before they are cleared, what it wrote turns out to be damaged.
        ledger.ids += 2;
        let tier = if is_expired { Tier::Cold } else { Tier::Hot };
        let copy = rewrite(ledger.ids, ledger.ids + 1, tier, &[], 1, ledger.now);
        ledger.swap(ledger.manifest.stage(copy.clone()));
        ledger.swap(ledger.manifest.commit_rewrite(copy.id, tally(1), 1, ledger.now).unwrap());
        let suspect = Copy { inputs: None, ..copy };
        ledger.swap(ledger.manifest.quarantined("a sum differs", &suspect, ledger.now));
        ledger.inbox = inbox;
        let next = plan(&ledger.source(), &ledger.manifest, ledger.bite(most), limits);
        if is_expired {
            prop_assert_eq!(next, Plan::RestForADay);
        } else {
            let Plan::Rewrite { tier: Tier::Cold, runs, takes_inbox: false } = next else {
                panic!("{next:?}");
            };
            prop_assert!(runs.contains(&suspect.run));
            prop_assert_eq!(ledger.drive(most, limits), None);
        }
    }

    /// The runs of a ledger do not change while it is restored.
    #[test]
    fn l5_what_is_restored_is_left_alone(runs in vec(run(), 0..8), blocks in 0usize..9, is_all: bool, limits in limits()) {
        let ledger = Ledger::new(DataState::Restoring, &runs, 0);
        let bite = BiteSize { blocks, is_all };
        prop_assert_eq!(plan(&ledger.source(), &ledger.manifest, bite, limits), Plan::RestForADay);
    }
}
