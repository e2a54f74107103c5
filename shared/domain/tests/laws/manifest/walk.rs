//! Every legal swap passes, and whatever passes keeps the invariants: random walks over the manifest's transitions,
//! beside a plain model of what is stored where.

use super::{copy_id, further, rewrite, run_id, tally};
use crate::support::cases;
use proptest::{collection::vec, prelude::*, sample::Index};
use rekindle_domain::{
    id::{CopyId, RunId},
    manifest::{Copy, DataState, GRACE_MILLIS, Illegal, Inputs, Life, MAX_COPIES, MAX_RUNS, Manifest, Tier},
    time::Time,
};
use std::collections::{BTreeMap, BTreeSet};

/// A step of a walk. Indices pick among what there is; flags pick among ways to do it.
#[derive(Clone, Debug)]
enum Step {
    /// Ingest appends a block.
    Append,
    /// Time goes by.
    Tick(i64),
    Rewrite {
        runs: u64,
        inbox: bool,
        tier: Tier,
        folded: u64,
    },
    Materialize {
        run: Index,
        tier: Tier,
    },
    Commit {
        copy: Index,
        to: DataState,
    },
    Turn(DataState),
    Abandon,
    Renew,
    Doom {
        stalled: bool,
    },
    Forget {
        copy: Index,
    },
    Clear,
    /// A worker finds that what it reads does not verify.
    Quarantine {
        copy: Index,
        abandon: bool,
    },
    /// Something no well-meaning caller does, with any of the copies.
    Wild {
        copy: Index,
        what: u8,
    },
}

fn tier() -> impl Strategy<Value = Tier> {
    prop_oneof![2 => Just(Tier::Hot), 1 => Just(Tier::Cold)]
}

fn state() -> impl Strategy<Value = DataState> {
    prop_oneof![Just(DataState::Available), Just(DataState::Expired), Just(DataState::Restoring)]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Append),
        2 => (0..3 * GRACE_MILLIS).prop_map(Step::Tick),
        4 => (any::<u64>(), any::<bool>(), tier(), 0u64..4)
            .prop_map(|(runs, inbox, tier, folded)| Step::Rewrite { runs, inbox, tier, folded }),
        3 => (any::<Index>(), tier()).prop_map(|(run, tier)| Step::Materialize { run, tier }),
        8 => (any::<Index>(), state()).prop_map(|(copy, to)| Step::Commit { copy, to }),
        3 => state().prop_map(Step::Turn),
        1 => Just(Step::Abandon),
        1 => Just(Step::Renew),
        3 => any::<bool>().prop_map(|stalled| Step::Doom { stalled }),
        3 => any::<Index>().prop_map(|copy| Step::Forget { copy }),
        4 => Just(Step::Clear),
        1 => (any::<Index>(), any::<bool>()).prop_map(|(copy, abandon)| Step::Quarantine { copy, abandon }),
    ]
}

fn wild_step() -> impl Strategy<Value = Step> {
    let wild = (any::<Index>(), 0u8..14).prop_map(|(copy, what)| Step::Wild { copy, what });
    prop_oneof![3 => step(), 1 => wild]
}

/// A ledger: its manifest, and what a plain book-keeper knows of it. Each appended block holds one row, a number.
#[derive(Default)]
struct Ledger {
    manifest: Manifest,
    now: Time,
    ids: u64,
    appended: BTreeSet<u32>,
    inbox: BTreeSet<u32>,
    /// The rows each rewrite took from the inbox, by its copy.
    taken: BTreeMap<CopyId, BTreeSet<u32>>,
    rows: BTreeMap<RunId, BTreeSet<u32>>,
    /// Up to which merge each rewrite follows the ids of users, by its run.
    folded: BTreeMap<RunId, u64>,
    doomed: BTreeSet<CopyId>,
    /// What did not verify and was not read whole since: listed runs, and the inbox.
    suspects: BTreeSet<RunId>,
    inbox_is_suspect: bool,
}

fn has(manifest: &Manifest, tier: Tier) -> bool {
    let lives =
        |run: RunId| manifest.copies.iter().any(|c| (c.run, c.tier, c.life) == (run, tier, Life::Live));
    manifest.runs.iter().all(|r| lives(r.id))
}

/// Whether every run has a live copy in the tier that the state asks for.
fn fits(m: &Manifest) -> bool {
    has(m, if m.state == DataState::Available { Tier::Hot } else { Tier::Cold })
}

fn turned(manifest: &Manifest, to: DataState, now: Time) -> Manifest {
    match to {
        DataState::Available => manifest.available(),
        DataState::Expired => manifest.expired(now),
        DataState::Restoring => manifest.restoring(),
    }
}

impl Ledger {
    fn next(&mut self) -> u64 {
        self.ids += 1;
        self.ids
    }

    fn staged(&self) -> Vec<Copy> {
        self.manifest.copies.iter().filter(|c| c.life == Life::Staged).cloned().collect()
    }

    /// The manifest a step leads to, and whether it is legal by the book. `None`: there is nothing to do.
    fn candidate(&mut self, step: &Step) -> Option<(Manifest, bool)> {
        let m = self.manifest.clone();
        let now = self.now;
        match step {
            Step::Append => {
                let row = self.next() as u32;
                self.appended.insert(row);
                self.inbox.insert(row);
                None
            }
            Step::Tick(millis) => {
                self.now = now.plus(*millis);
                None
            }
            Step::Rewrite { runs, inbox, tier, folded } => {
                Some(self.staged_rewrite(*runs, *inbox, *tier, *folded))
            }
            Step::Materialize { run, tier } => {
                let run = m.runs.get(run.index(m.runs.len().max(1)))?.id;
                let copy = further(self.next(), run, *tier, now);
                Some((m.stage(copy), m.copies.len() < MAX_COPIES))
            }
            Step::Commit { copy, to } => self.committed(copy, *to),
            Step::Turn(to) => {
                let next = turned(&m, *to, now);
                let legal = fits(&next);
                Some((next, legal))
            }
            Step::Abandon => Some((m.abandon(now, |_| true), true)),
            Step::Renew => Some((m.renew(now, |_| true), true)),
            Step::Doom { stalled } => Some((m.doom(now, |_| *stalled), true)),
            Step::Forget { copy } => {
                let copy = m.copies.get(copy.index(m.copies.len().max(1)))?;
                // In quarantine, no copy that was ever verified.
                let is_kept = m.quarantine.is_some() && copy.life == Life::Doomed && copy.bytes > 0;
                Some((m.forget(copy.id), !is_kept))
            }
            Step::Clear => self.cleared(),
            Step::Quarantine { copy, abandon } => self.quarantined(copy, *abandon),
            Step::Wild { copy, what } => {
                let copy = m.copies.get(copy.index(m.copies.len().max(1)))?.clone();
                Some((self.wild(copy, *what)?, false))
            }
        }
    }

    /// A rewrite staged, of the runs whose bits are set and, if wanted, of all inbox blocks.
    fn staged_rewrite(&mut self, runs: u64, inbox: bool, tier: Tier, folded: u64) -> (Manifest, bool) {
        let (m, now) = (self.manifest.clone(), self.now);
        let inputs: Vec<RunId> = (m.runs.iter().enumerate())
            .filter(|(i, _)| runs >> (i % 64) & 1 == 1)
            .map(|(_, r)| r.id)
            .collect();
        let blocks = if inbox { self.inbox.len() as u32 } else { 0 };
        let mut copy = rewrite(self.next(), self.next(), tier, &inputs, blocks, now);
        copy.inputs.as_mut().unwrap().folded = folded;
        self.folded.insert(copy.run, folded);
        if inbox {
            self.taken.insert(copy.id, self.inbox.clone());
        }
        let takes_archived = inputs.iter().any(|r| m.live(*r, Tier::Cold).is_some());
        let legal = m.staged_rewrite().is_none()
            && !(tier == Tier::Hot && takes_archived)
            && (blocks == 0 || m.clearing.is_none())
            && m.copies.len() < MAX_COPIES;
        (m.stage(copy), legal)
    }

    /// A staged copy committed, in the swap that turns the data to a state.
    fn committed(&self, copy: &Index, to: DataState) -> Option<(Manifest, bool)> {
        let (m, now) = (&self.manifest, self.now);
        let staged = self.staged();
        let copy = staged.get(copy.index(staged.len().max(1)))?;
        let next = match copy.inputs {
            Some(_) => m.commit_rewrite(copy.id, tally(1), 10, now),
            None => m.commit_copy(copy.id, 10, now),
        };
        let next = turned(&next.ok()?, to, now);
        // A hot copy cannot become live and retire in one swap.
        let at_once = copy.tier == Tier::Hot && to == DataState::Expired;
        let is_of_a_run = m.run(copy.run).is_some() == copy.inputs.is_none();
        let moves_runs = copy.inputs.is_some() && m.state == DataState::Restoring;
        let legal = fits(&next) && is_of_a_run && !at_once && !moves_runs && next.runs.len() <= MAX_RUNS;
        Some((next, legal))
    }

    /// The inbox blocks of the committed rewrite deleted.
    fn cleared(&mut self) -> Option<(Manifest, bool)> {
        let m = self.manifest.clone();
        let id = m.clearing?;
        if m.quarantine.is_some() {
            return Some((m.cleared(id), false));
        }
        // The blocks go first, exactly those; then the manifest says so.
        let gone = self.taken.get(&id).cloned().unwrap_or_default();
        self.inbox.retain(|row| !gone.contains(row));
        Some((m.cleared(id), true))
    }

    /// The inputs of a staged copy put in quarantine.
    fn quarantined(&mut self, copy: &Index, abandon: bool) -> Option<(Manifest, bool)> {
        let (m, now) = (self.manifest.clone(), self.now);
        let staged = self.staged();
        let copy = staged.get(copy.index(staged.len().max(1)))?;
        let inputs = copy.inputs.clone().unwrap_or(Inputs { runs: vec![copy.run], ..Inputs::default() });
        self.suspects.extend(inputs.runs.iter().filter(|r| m.run(**r).is_some()));
        self.inbox_is_suspect |= inputs.inbox_blocks > 0;
        let next = m.quarantined("a slot did not verify", copy, now);
        Some((next.abandon(now, |c| abandon && c.id == copy.id), true))
    }

    /// Public functions called with the wrong copy, and fields set by hand.
    fn wild(&mut self, copy: Copy, what: u8) -> Option<Manifest> {
        let (m, now) = (self.manifest.clone(), self.now);
        let mut next = m.clone();
        let at = m.copies.iter().position(|c| c.id == copy.id)?;
        match what {
            0 => next = m.commit_rewrite(copy.id, tally(7), 1, now).ok()?,
            1 => next = m.commit_copy(copy.id, 1, now).ok()?,
            2 => next = m.stage(Copy { life: Life::Staged, ..copy }),
            3 => next = m.stage(Copy { id: copy_id(self.next()), life: Life::Staged, since: now, ..copy }),
            4 => next = m.stage(further(self.next(), run_id(self.ids), Tier::Hot, now)),
            5 => next.copies[at].life = Life::Live,
            6 => next.copies[at].life = Life::Retired,
            7 => next.copies[at].life = Life::Doomed,
            8 => drop(next.copies.remove(at)),
            9 => next.runs.retain(|r| r.id != copy.run),
            10 => next.copies[at].tier = if copy.tier == Tier::Hot { Tier::Cold } else { Tier::Hot },
            11 => next.runs.iter_mut().for_each(|r| r.folded += u64::from(r.id == copy.run)),
            12 => {
                next = m.commit_rewrite(copy.id, tally(1), 1, now).ok()?;
                next.runs.last_mut()?.folded += 1;
            }
            _ => {
                next = m.commit_rewrite(copy.id, tally(1), 1, now).ok()?;
                next.runs.pop();
            }
        }
        Some(next)
    }

    /// Takes over an accepted manifest and keeps the books.
    fn accept(&mut self, next: Manifest) {
        let old = std::mem::replace(&mut self.manifest, next);
        assert_eq!(self.manifest.version, old.version + 1);
        for copy in &self.manifest.copies {
            let before = old.copy(copy.id).map(|c| c.life);
            if copy.life == Life::Doomed && before != Some(Life::Doomed) {
                self.doomed.insert(copy.id);
                let in_quarantine = old.quarantine.is_some() || self.manifest.quarantine.is_some();
                assert!(before != Some(Life::Retired) || !in_quarantine, "l4: doomed in quarantine");
            }
            if (copy.life, before) == (Life::Live, Some(Life::Staged)) {
                let inputs =
                    copy.inputs.clone().unwrap_or(Inputs { runs: vec![copy.run], ..Inputs::default() });
                self.suspects.retain(|r| !inputs.runs.contains(r));
                self.inbox_is_suspect &= inputs.inbox_blocks == 0;
            }
            if let (Life::Live, Some(Life::Staged), Some(inputs)) = (copy.life, before, &copy.inputs) {
                let of_runs = inputs.runs.iter().flat_map(|r| self.rows[r].clone());
                let of_inbox =
                    if inputs.inbox_blocks > 0 { self.taken[&copy.id].clone() } else { BTreeSet::new() };
                let rows = of_runs.chain(of_inbox).collect();
                self.rows.insert(copy.run, rows);
            }
        }
    }

    fn assert_invariants(&self) {
        let m = &self.manifest;
        let in_runs = m.runs.iter().flat_map(|r| self.rows[&r.id].iter().copied());
        let found: BTreeSet<u32> = in_runs.chain(self.inbox.iter().copied()).collect();
        assert_eq!(found, self.appended, "l1: rows are lost");
        assert!(fits(m), "l5: {:?}", m.state);
        assert!(m.runs.len() <= MAX_RUNS && m.copies.len() <= MAX_COPIES);
        let ids: BTreeSet<CopyId> = m.copies.iter().map(|c| c.id).collect();
        assert_eq!(ids.len(), m.copies.len(), "l2: two copies of one id");
        let ids: BTreeSet<RunId> = m.runs.iter().map(|r| r.id).collect();
        assert_eq!(ids.len(), m.runs.len(), "l2: a run is listed twice");
        for copy in &m.copies {
            assert!(copy.life == Life::Doomed || !self.doomed.contains(&copy.id), "l2: back from the dead");
            if copy.life == Life::Live {
                let run = m.run(copy.run).expect("l2: a live copy of no run is never collected");
                assert_eq!(run.slots, copy.slots, "l5: slots are looked for where they are not");
            }
        }
        for run in &m.runs {
            assert_eq!(run.folded, self.folded[&run.id], "l11: a run says of merges what no rewrite did");
        }
        let rewrites: Vec<&Copy> =
            m.copies.iter().filter(|c| c.life == Life::Staged && c.inputs.is_some()).collect();
        assert!(rewrites.len() <= 1, "l2: two rewrites at once");
        for copy in rewrites {
            let inputs = copy.inputs.as_ref().unwrap();
            assert!(inputs.runs.iter().all(|r| m.run(*r).is_some()), "l2: an input is gone");
            // The blocks it is to read are still there.
            assert!(
                inputs.inbox_blocks == 0 || self.taken[&copy.id].is_subset(&self.inbox),
                "l2: an input is deleted"
            );
        }
        if let Some(clearing) = m.clearing.map(|id| m.copy(id)) {
            let life = clearing.map(|c| c.life);
            assert!(
                matches!(life, Some(Life::Live | Life::Retired)),
                "l9: what to clear is forgotten: {life:?}"
            );
        }
        // L9: whatever is half-done is looked at again, but for what quarantine keeps, and a restore's copies, which
        // are looked after with its source.
        let is_kept = m.quarantine.is_some();
        let half_done = (m.clearing.is_some() && !is_kept)
            || m.copies.iter().any(|c| match c.life {
                Life::Live => false,
                Life::Staged => c.inputs.is_some(),
                Life::Retired => !is_kept,
                Life::Doomed => !is_kept || c.bytes == 0,
            });
        assert_eq!(m.wake_at().is_some(), half_done, "l9");
        // What is suspect stays so until it is read; and it is there, so that it can be.
        let (suspects, inbox) = m.quarantine.as_ref().map_or((&[][..], false), |q| (&q.runs, q.inbox));
        assert!(self.suspects.iter().all(|r| suspects.contains(r)), "l4: a suspect run was let go");
        assert!(inbox || !self.inbox_is_suspect, "l4: the suspect inbox was let go");
        assert!(suspects.iter().all(|r| m.run(*r).is_some()), "l9: a quarantine that nothing can end");
        assert!(m.quarantine.is_none() || inbox || !suspects.is_empty(), "l9: a quarantine of nothing");
        let stored = serde_json::to_string(m).unwrap();
        assert_eq!(&serde_json::from_str::<Manifest>(&stored).unwrap(), m);
    }
}

impl Ledger {
    fn swap(&mut self, candidate: Manifest) {
        let next = candidate.succeed(&self.manifest).unwrap();
        self.accept(next);
        self.assert_invariants();
    }

    /// Gives up what is under way, and reads again all that is suspect.
    fn end_quarantine(&mut self) {
        let given_up = self.manifest.abandon(self.now, |_| true);
        let is_restoring = self.manifest.state == DataState::Restoring;
        self.swap(if is_restoring { given_up.expired(self.now) } else { given_up });
        for run in self.manifest.quarantine.clone().map(|q| q.runs).unwrap_or_default() {
            assert!(self.manifest.quarantine.is_some());
            let copy = further(self.next(), run, Tier::Hot, self.now);
            self.swap(self.manifest.stage(copy.clone()));
            self.swap(self.manifest.commit_copy(copy.id, 10, self.now).unwrap());
        }
        if self.manifest.quarantine.is_some() {
            let tier = if self.manifest.state == DataState::Available { Tier::Hot } else { Tier::Cold };
            let (staged, legal) =
                self.candidate(&Step::Rewrite { runs: 0, inbox: true, tier, folded: 0 }).unwrap();
            assert!(legal, "l9: the inbox is suspect and cannot be read");
            self.swap(staged);
            let id = self.staged()[0].id;
            self.swap(self.manifest.commit_rewrite(id, tally(1), 10, self.now).unwrap());
        }
        assert_eq!(self.manifest.quarantine, None, "l9: a quarantine that does not end");
    }
}

fn walk(steps: &[Step], mut judge: impl FnMut(&Step, bool, &Result<Manifest, Illegal>)) -> Ledger {
    let mut ledger = Ledger { now: Time(1_763_000_000_000), ..Ledger::default() };
    for step in steps {
        if let Some((candidate, legal)) = ledger.candidate(step) {
            let outcome = candidate.succeed(&ledger.manifest);
            judge(step, legal, &outcome);
            if let Ok(next) = outcome {
                ledger.accept(next);
            }
        }
        ledger.assert_invariants();
    }
    ledger
}

proptest! {
    #![proptest_config(cases(400))]

    /// Swaps made by the functions meant for them pass exactly if they are legal by the book, and keep every invariant.
    #[test]
    fn l1_l2_l5_legal_swaps_pass_and_lose_nothing(steps in vec(step(), 1..120)) {
        walk(&steps, |step, legal, outcome| {
            assert_eq!(outcome.is_ok(), legal, "{step:?}: {outcome:?}");
        });
    }

    /// Whatever else is tried in between: what passes keeps every invariant.
    #[test]
    fn l1_l2_l5_no_accepted_swap_breaks_an_invariant(steps in vec(wild_step(), 1..120)) {
        walk(&steps, |_, _, _| {});
    }

    /// L9: left alone, all that is half-done ends: after a few looks of the sweeper nothing is left to wake for.
    #[test]
    fn l9_the_sweeper_gets_done(steps in vec(step(), 1..80)) {
        let mut ledger = walk(&steps, |_, _, _| {});
        ledger.end_quarantine();
        for _ in 0..4 {
            ledger.now = ledger.now.plus(GRACE_MILLIS);
            let sweep = [Step::Clear, Step::Doom { stalled: true }];
            let forget = (0..ledger.manifest.copies.len()).map(|i| ledger.manifest.copies[i].id).collect::<Vec<_>>();
            for step in &sweep {
                if let Some((candidate, _)) = ledger.candidate(step) {
                    let next = candidate.succeed(&ledger.manifest).unwrap();
                    ledger.accept(next);
                }
            }
            for id in forget {
                let next = ledger.manifest.forget(id).succeed(&ledger.manifest).unwrap();
                ledger.accept(next);
            }
            ledger.assert_invariants();
        }
        prop_assert_eq!(ledger.manifest.wake_at(), None);
        prop_assert!(ledger.manifest.copies.iter().all(|c| c.life == Life::Live));
    }
}
