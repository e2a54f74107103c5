//! The manifest of a ledger: its runs, where each has a copy, and every legal way to swap it.
//!
//! A swap is a conditional write of the whole manifest. The functions here compute the manifest that follows;
//! [`check`] decides, independently of them, whether it may. Nothing is ever re-applied: who loses a swap reads again
//! and decides again.

use crate::{
    breaks::{self, Break},
    id::{CopyId, RunId},
    slot::SlotBits,
    tally::Tally,
    time::Time,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use thiserror::Error;

/// How long a retired copy may still be read by who saw an older manifest, and how long a staged copy may go without
/// progress: more than twice any Lambda's life.
pub const GRACE_MILLIS: i64 = 60 * 60 * 1000;
/// The most runs a ledger may have.
pub const MAX_RUNS: usize = 64;
/// The most copies a manifest may list.
pub const MAX_COPIES: usize = 256;
/// The most inbox blocks one rewrite takes.
pub const MAX_INBOX_KEYS: usize = 2_000;
/// The most bytes of inbox blocks one rewrite takes.
pub const MAX_INBOX_BYTES: u64 = 24 << 20;

/// Whether a source's interaction data can be asked.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DataState {
    /// Every run has a live hot copy.
    #[default]
    Available,
    /// Every run has a live cold copy; filters answer "unknown".
    Expired,
    /// Expired, and hot copies are being made.
    Restoring,
}

impl DataState {
    /// The name in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Available => "available",
            Self::Expired => "expired",
            Self::Restoring => "restoring",
        }
    }
}

/// Where a copy lies.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// Blocks in the ledger table.
    Hot,
    /// Parquet objects in the archive bucket.
    Cold,
}

/// A copy's life, in order. After `Doomed` it is gone from the manifest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Life {
    /// Being written: listed before its first byte.
    Staged,
    /// Verified, and read.
    Live,
    /// No longer chosen by readers, still readable for the grace.
    Retired,
    /// Past use. Its bytes are deleted after another grace, since a stalled writer may still add to them.
    Doomed,
}

/// An immutable set of rows.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Run {
    /// Never reused.
    pub id: RunId,
    /// How its hash space is cut.
    pub slots: SlotBits,
    /// What its rows add up to.
    pub tally: Tally,
}

/// What a rewrite merges. Fixed when its copy is staged.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Inputs {
    /// Runs, which the new run replaces.
    pub runs: Vec<RunId>,
    /// How many inbox blocks; their keys stand in the copy's inputs item.
    pub inbox_blocks: u32,
}

/// A place where the rows of a run lie, or are about to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Copy {
    /// Never reused.
    pub id: CopyId,
    /// Whose rows these are. Not listed in the manifest while a rewrite to it is staged.
    pub run: RunId,
    /// Hot or cold.
    pub tier: Tier,
    /// How the run's hash space is cut.
    pub slots: SlotBits,
    /// Where in its life it is.
    pub life: Life,
    /// Since when.
    pub since: Time,
    /// What is merged, for a rewrite; `None` for a further copy of a listed run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<Inputs>,
    /// Its size, once it is live.
    #[serde(default)]
    pub bytes: u64,
}

impl Copy {
    /// Whether it was ever verified; one that was not may be deleted even in quarantine. (A run without rows has a live
    /// copy of no bytes, and nothing to delete.)
    pub const fn was_live(&self) -> bool {
        matches!(self.life, Life::Live | Life::Retired) || self.bytes > 0
    }
}

/// Data that did not verify. No verified copy of the ledger is deleted until what is suspect has been checked again,
/// successfully.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Quarantine {
    /// What did not match, and where.
    pub reason: String,
    /// Since when.
    pub since: Time,
    /// The runs whose rows were being read.
    pub runs: Vec<RunId>,
    /// Whether inbox blocks were, too.
    #[serde(default)]
    pub inbox: bool,
}

impl Quarantine {
    fn is_of_anything(&self) -> bool {
        self.inbox || !self.runs.is_empty()
    }
}

/// The manifest of one ledger. A ledger that was never rewritten has none: `Manifest::default()`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Manifest {
    /// Counts swaps; the condition of each.
    pub version: u64,
    /// Grows with each erasure; copies must match it to commit.
    #[serde(default)]
    pub epoch: u32,
    /// Repeated from the source for readers.
    pub state: DataState,
    /// The rows of the ledger that are not in its inbox.
    pub runs: Vec<Run>,
    /// Where they lie.
    pub copies: Vec<Copy>,
    /// A committed rewrite whose inbox blocks are still to be deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clearing: Option<CopyId>,
    /// Set where data did not verify.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quarantine: Option<Quarantine>,
}

/// Why a swap is not legal. A bug, or a race that its writer must decide anew.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("{0}")]
pub struct Illegal(pub String);

fn illegal<T>(why: impl Into<String>) -> Result<T, Illegal> {
    Err(Illegal(why.into()))
}

impl Manifest {
    /// The copy of that id.
    pub fn copy(&self, id: CopyId) -> Option<&Copy> {
        self.copies.iter().find(|c| c.id == id)
    }

    /// The run of that id.
    pub fn run(&self, id: RunId) -> Option<&Run> {
        self.runs.iter().find(|r| r.id == id)
    }

    /// The live copy of a run in a tier.
    pub fn live(&self, run: RunId, tier: Tier) -> Option<&Copy> {
        self.copies.iter().find(|c| c.run == run && c.tier == tier && c.life == Life::Live)
    }

    /// The rewrite under way; there is at most one.
    pub fn staged_rewrite(&self) -> Option<&Copy> {
        self.copies.iter().find(|c| c.life == Life::Staged && c.inputs.is_some())
    }

    /// Further copies of listed runs that are under way.
    pub fn staged_copies(&self) -> impl Iterator<Item = &Copy> {
        self.copies.iter().filter(|c| c.life == Life::Staged && c.inputs.is_none())
    }

    /// Runs without a live copy in that tier.
    pub fn runs_without(&self, tier: Tier) -> impl Iterator<Item = &Run> {
        self.runs.iter().filter(move |r| self.live(r.id, tier).is_none())
    }

    /// What all listed rows add up to; of users and kinds an upper bound where there are several runs.
    pub fn tally(&self) -> Tally {
        Tally::sum(self.runs.iter().map(|r| &r.tally))
    }

    /// When the sweeper must look at the ledger's storage again: inbox blocks to clear, staged rewrites without
    /// progress, retired copies past the grace, doomed bytes. A restore's staged copies are looked after with its source.
    pub fn wake_at(&self) -> Option<Time> {
        let is_kept = |c: &Copy| self.quarantine.is_some() && c.was_live();
        let copies = self.copies.iter().filter(|c| !is_kept(c)).filter_map(|c| match c.life {
            Life::Live => None,
            Life::Staged if c.inputs.is_none() => None,
            Life::Staged | Life::Retired | Life::Doomed => Some(c.since.plus(GRACE_MILLIS)),
        });
        let clearing = self.clearing.filter(|_| self.quarantine.is_none());
        let clearing = clearing.and_then(|id| self.copy(id)).map(|c| c.since);
        copies.chain(clearing).min()
    }

    /// This manifest as the successor of `old`, if it may follow it.
    ///
    /// # Errors
    /// See [`check`].
    pub fn succeed(mut self, old: &Self) -> Result<Self, Illegal> {
        self.version = old.version + 1;
        check(old, &self)?;
        Ok(self)
    }

    /// Lists a copy that is about to be written: a rewrite of `inputs` into a new run, or with `inputs: None` a
    /// further copy of a listed run.
    pub fn stage(&self, copy: Copy) -> Self {
        let mut next = self.clone();
        next.copies.push(copy);
        next
    }

    /// Commits a rewrite: the new run takes the place of its inputs, whose copies retire.
    ///
    /// # Errors
    /// The copy is no longer staged.
    pub fn commit_rewrite(&self, id: CopyId, tally: Tally, bytes: u64, now: Time) -> Result<Self, Illegal> {
        let mut next = self.clone();
        let Some(copy) = next.copies.iter_mut().find(|c| c.id == id && c.life == Life::Staged) else {
            return illegal(format!("copy {id} is no longer staged"));
        };
        (copy.life, copy.since, copy.bytes) = (Life::Live, now, bytes);
        let (run, slots) = (copy.run, copy.slots);
        let inputs = copy.inputs.clone().unwrap_or_default();
        if inputs.inbox_blocks > 0 {
            next.clearing = Some(id);
        }
        next.runs.retain(|r| !inputs.runs.contains(&r.id));
        next.runs.push(Run { id: run, slots, tally });
        next.retire(now, |c| inputs.runs.contains(&c.run));
        next.release(&inputs);
        Ok(next)
    }

    /// Makes a further copy live.
    ///
    /// # Errors
    /// The copy is no longer staged.
    pub fn commit_copy(&self, id: CopyId, bytes: u64, now: Time) -> Result<Self, Illegal> {
        let mut next = self.clone();
        let Some(copy) = next.copies.iter_mut().find(|c| c.id == id && c.life == Life::Staged) else {
            return illegal(format!("copy {id} is no longer staged"));
        };
        (copy.life, copy.since, copy.bytes) = (Life::Live, now, bytes);
        let checked = Inputs { runs: vec![copy.run], inbox_blocks: 0 };
        next.release(&checked);
        Ok(next)
    }

    /// What was read whole and compared is suspect no more.
    fn release(&mut self, checked: &Inputs) {
        if let Some(quarantine) = &mut self.quarantine {
            quarantine.runs.retain(|r| !checked.runs.contains(r));
            quarantine.inbox &= checked.inbox_blocks == 0;
        }
        self.quarantine = self.quarantine.take().filter(Quarantine::is_of_anything);
    }

    /// Makes the data available: every run has a live hot copy.
    pub fn available(&self) -> Self {
        Self { state: DataState::Available, ..self.clone() }
    }

    /// Makes the data expired: hot copies retire.
    pub fn expired(&self, now: Time) -> Self {
        let mut next = Self { state: DataState::Expired, ..self.clone() };
        next.retire(now, |c| c.tier == Tier::Hot);
        next
    }

    /// Begins to restore.
    pub fn restoring(&self) -> Self {
        Self { state: DataState::Restoring, ..self.clone() }
    }

    fn retire(&mut self, now: Time, which: impl Fn(&Copy) -> bool) {
        for copy in self.copies.iter_mut().filter(|c| c.life == Life::Live && which(c)) {
            (copy.life, copy.since) = (Life::Retired, now);
        }
    }

    /// Gives up staged copies that `which` picks.
    pub fn abandon(&self, now: Time, which: impl Fn(&Copy) -> bool) -> Self {
        let mut next = self.clone();
        for copy in next.copies.iter_mut().filter(|c| c.life == Life::Staged && which(c)) {
            (copy.life, copy.since) = (Life::Doomed, now);
        }
        next
    }

    /// Dooms what is past the grace: retired copies, and staged rewrites that `stalled` says make no progress. Not a copy
    /// whose inputs are still to be cleared, since they are recorded with it; in quarantine no retired one.
    pub fn doom(&self, now: Time, stalled: impl Fn(&Copy) -> bool) -> Self {
        let mut next = self.clone();
        let clearing = self.clearing;
        let past = |c: &&mut Copy| now >= c.since.plus(GRACE_MILLIS) && Some(c.id) != clearing;
        for copy in next.copies.iter_mut().filter(past) {
            let is_unneeded = copy.life == Life::Retired && self.quarantine.is_none();
            if is_unneeded || (copy.life == Life::Staged && copy.inputs.is_some() && stalled(copy)) {
                (copy.life, copy.since) = (Life::Doomed, now);
            }
        }
        next
    }

    /// Gives staged copies that `which` picks another grace: they make progress.
    pub fn renew(&self, now: Time, which: impl Fn(&Copy) -> bool) -> Self {
        let mut next = self.clone();
        for copy in next.copies.iter_mut().filter(|c| c.life == Life::Staged && which(c)) {
            copy.since = now;
        }
        next
    }

    /// Forgets a doomed copy whose bytes are deleted.
    pub fn forget(&self, id: CopyId) -> Self {
        let mut next = self.clone();
        next.copies.retain(|c| c.id != id || c.life != Life::Doomed);
        next
    }

    /// The committed rewrite's inbox blocks are deleted.
    pub fn cleared(&self, id: CopyId) -> Self {
        let mut next = self.clone();
        next.clearing = next.clearing.filter(|c| *c != id);
        next
    }

    /// Puts the ledger in quarantine, for what went into `copy` or was to. Not for runs that were replaced meanwhile:
    /// they were read whole for it, and will never be again.
    pub fn quarantined(&self, reason: &str, copy: &Copy, now: Time) -> Self {
        let mut runs = copy.inputs.as_ref().map_or_else(|| vec![copy.run], |i| i.runs.clone());
        let mut inbox = copy.inputs.as_ref().is_some_and(|i| i.inbox_blocks > 0);
        if let Some(before) = &self.quarantine {
            runs.extend(before.runs.iter().filter(|r| !runs.contains(r)).copied().collect::<Vec<_>>());
            inbox |= before.inbox;
        }
        runs.retain(|r| self.run(*r).is_some());
        let quarantine = Quarantine { reason: reason.to_owned(), since: now, runs, inbox };
        Self { quarantine: Some(quarantine).filter(Quarantine::is_of_anything), ..self.clone() }
    }
}

/// Whether `new` may follow `old`. Every swap passes through here.
///
/// # Errors
/// [`Illegal`] names the rule that is broken.
pub fn check(old: &Manifest, new: &Manifest) -> Result<(), Illegal> {
    if new.version != old.version + 1 || new.epoch != old.epoch {
        return illegal("a swap moves the version by one and keeps the epoch");
    }
    if new.runs.len() > MAX_RUNS || new.copies.len() > MAX_COPIES {
        return illegal(format!("a manifest lists at most {MAX_RUNS} runs and {MAX_COPIES} copies"));
    }
    check_ids(new)?;
    check_state(new)?;
    check_lives(old, new)?;
    check_runs(old, new)?;
    check_restoring(old, new)?;
    check_retired(old, new)?;
    check_rewrite(old, new)?;
    check_quarantine(old, new)
}

/// Whether the swap makes a staged copy live that satisfies `which`.
fn commits(old: &Manifest, new: &Manifest, which: impl Fn(&Copy) -> bool) -> bool {
    let was_staged = |c: &Copy| old.copy(c.id).is_some_and(|b| b.life == Life::Staged);
    new.copies.iter().any(|c| c.life == Life::Live && was_staged(c) && which(c))
}

/// What is suspect stays so until it was read whole and compared: as a rewrite's input, or for a further copy of it.
fn check_quarantine(old: &Manifest, new: &Manifest) -> Result<(), Illegal> {
    let Some(before) = &old.quarantine else { return Ok(()) };
    if old.clearing.is_some() && new.clearing.is_none() {
        return illegal("inbox blocks are not cleared in quarantine");
    }
    let after = new.quarantine.as_ref();
    let reads = |c: &Copy, run: &RunId| c.inputs.as_ref().map_or(c.run == *run, |i| i.runs.contains(run));
    for run in before.runs.iter().filter(|r| !after.is_some_and(|a| a.runs.contains(r))) {
        if !commits(old, new, |c| reads(c, run)) {
            return illegal(format!("run {run} is in quarantine until it is read whole"));
        }
    }
    let reads_inbox = |c: &Copy| c.inputs.as_ref().is_some_and(|i| i.inbox_blocks > 0);
    if before.inbox && !after.is_some_and(|a| a.inbox) && !commits(old, new, reads_inbox) {
        return illegal("the inbox is in quarantine until it is read whole");
    }
    match old.copies.iter().find(|c| new.copy(c.id).is_none() && c.was_live()) {
        Some(copy) => illegal(format!("copy {} is not deleted in quarantine", copy.id)),
        None => Ok(()),
    }
}

fn check_ids(new: &Manifest) -> Result<(), Illegal> {
    let (mut runs, mut copies) = (BTreeSet::new(), BTreeSet::new());
    if let Some(run) = new.runs.iter().find(|r| !runs.insert(r.id)) {
        return illegal(format!("run {} is listed twice", run.id));
    }
    match new.copies.iter().find(|c| !copies.insert(c.id)) {
        Some(copy) => illegal(format!("copy {} is listed twice", copy.id)),
        None => Ok(()),
    }
}

fn check_state(new: &Manifest) -> Result<(), Illegal> {
    let needed = if new.state == DataState::Available { Tier::Hot } else { Tier::Cold };
    match new.runs_without(needed).next() {
        Some(run) => {
            illegal(format!("{} needs a live {needed:?} copy of run {}", new.state.as_str(), run.id))
        }
        None => Ok(()),
    }
}

fn check_lives(old: &Manifest, new: &Manifest) -> Result<(), Illegal> {
    for copy in &new.copies {
        let Some(before) = old.copy(copy.id) else {
            if copy.life != Life::Staged {
                return illegal(format!("copy {} must be staged before it is {:?}", copy.id, copy.life));
            }
            continue;
        };
        let unchanged = (before.run, before.tier, before.slots, &before.inputs)
            == (copy.run, copy.tier, copy.slots, &copy.inputs);
        let forward = before.life == copy.life
            || matches!(
                (before.life, copy.life),
                (Life::Staged, Life::Live | Life::Doomed)
                    | (Life::Live, Life::Retired)
                    | (Life::Retired, Life::Doomed)
            );
        if !unchanged || !forward {
            return illegal(format!("copy {} cannot go from {:?} to {:?}", copy.id, before.life, copy.life));
        }
        if (before.life, copy.life) == (Life::Retired, Life::Doomed) {
            check_doomed(old.quarantine.is_some(), new, before, copy)?;
        }
    }
    match old.copies.iter().find(|c| new.copy(c.id).is_none() && c.life != Life::Doomed) {
        Some(copy) => {
            illegal(format!("copy {} is {:?}, and only doomed copies are forgotten", copy.id, copy.life))
        }
        None => Ok(()),
    }
}

fn check_doomed(is_quarantined: bool, new: &Manifest, before: &Copy, copy: &Copy) -> Result<(), Illegal> {
    let why = if new.quarantine.is_some() || is_quarantined {
        "in quarantine"
    } else if new.clearing == Some(copy.id) {
        "while its inbox blocks are still to be cleared"
    } else if copy.since < before.since.plus(GRACE_MILLIS) {
        "within its grace"
    } else {
        return Ok(());
    };
    illegal(format!("retired copy {} cannot be doomed {why}", copy.id))
}

/// The copy of a rewrite that this swap commits.
fn committed<'a>(old: &Manifest, new: &'a Manifest) -> Option<&'a Copy> {
    new.copies.iter().find(|c| {
        c.life == Life::Live && c.inputs.is_some() && old.copy(c.id).is_some_and(|b| b.life == Life::Staged)
    })
}

fn check_runs(old: &Manifest, new: &Manifest) -> Result<(), Illegal> {
    let commit = committed(old, new);
    let replaced: &[RunId] = commit.and_then(|c| c.inputs.as_ref()).map_or(&[], |i| &i.runs);
    for run in &old.runs {
        match new.run(run.id) {
            Some(same) if same == run && !replaced.contains(&run.id) => {}
            None if replaced.contains(&run.id) => {}
            _ => {
                return illegal(format!("run {} may only be replaced by a rewrite of it", run.id));
            }
        }
    }
    for run in new.runs.iter().filter(|r| old.run(r.id).is_none()) {
        if commit.is_none_or(|c| c.run != run.id) {
            return illegal(format!("run {} has no committed copy", run.id));
        }
    }
    if let Some(run) = replaced.iter().find(|r| old.run(**r).is_none()) {
        return illegal(format!("input run {run} is not listed"));
    }
    // This is also what makes a commit list its run. A live copy of no run would neither be read nor ever collected.
    let is_of_a_run = |c: &Copy| new.run(c.run).is_some_and(|r| r.slots == c.slots);
    match new.copies.iter().find(|c| c.life == Life::Live && !is_of_a_run(c)) {
        Some(copy) => {
            illegal(format!("run {} of live copy {} is not listed, or in other slots", copy.run, copy.id))
        }
        None => Ok(()),
    }
}

/// A restore makes a hot copy of each run that is listed when it begins: one that came later would have none, and the
/// data could never be available.
fn check_restoring(old: &Manifest, new: &Manifest) -> Result<(), Illegal> {
    let runs = |m: &Manifest| m.runs.iter().map(|r| r.id).collect::<BTreeSet<_>>();
    if old.state == DataState::Restoring && runs(old) != runs(new) {
        return illegal("the runs of a ledger do not change while it is restored");
    }
    Ok(())
}

fn check_retired(old: &Manifest, new: &Manifest) -> Result<(), Illegal> {
    for copy in old.copies.iter().filter(|c| c.life == Life::Live) {
        let is_live = new.copy(copy.id).is_some_and(|c| c.life == Life::Live);
        let other = new.copies.iter().any(|c| c.run == copy.run && c.life == Life::Live);
        if !is_live && !other && new.run(copy.run).is_some() {
            return illegal(format!("copy {} is the last of run {}", copy.id, copy.run));
        }
    }
    Ok(())
}

/// Whether a hot rewrite would merge a run that lies in the archive already.
fn takes_archived(old: &Manifest, copy: &Copy) -> bool {
    let inputs = copy.inputs.iter().flat_map(|i| &i.runs);
    let is_archived = |run: &RunId| old.live(*run, Tier::Cold).is_some();
    copy.tier == Tier::Hot
        && inputs.copied().any(|run| is_archived(&run))
        && !breaks::is(Break::MergesArchivedWithOthers)
}

fn check_rewrite(old: &Manifest, new: &Manifest) -> Result<(), Illegal> {
    let staged =
        |m: &Manifest| m.copies.iter().filter(|c| c.life == Life::Staged && c.inputs.is_some()).count();
    if staged(new) > 1 {
        return illegal("a ledger has one rewrite at a time");
    }
    for copy in new.copies.iter().filter(|c| old.copy(c.id).is_none()) {
        match &copy.inputs {
            Some(inputs) => {
                let is_new = old.run(copy.run).is_none() && old.copies.iter().all(|c| c.run != copy.run);
                if !is_new || inputs.runs.iter().any(|r| old.run(*r).is_none()) {
                    return illegal(format!(
                        "copy {}: a rewrite makes a new run out of listed ones",
                        copy.id
                    ));
                }
                if takes_archived(old, copy) {
                    return illegal(format!(
                        "copy {}: a hot rewrite takes no run that has a cold copy, which would be lost",
                        copy.id
                    ));
                }
                if inputs.inbox_blocks > 0 && old.clearing.or(new.clearing).is_some() {
                    return illegal("the inbox blocks of the rewrite before must be cleared first");
                }
                if inputs.inbox_blocks as usize > MAX_INBOX_KEYS {
                    return illegal(format!("a rewrite takes at most {MAX_INBOX_KEYS} inbox blocks"));
                }
            }
            None if old.run(copy.run).is_none_or(|r| r.slots != copy.slots) => {
                return illegal(format!("copy {}: run {} is not listed", copy.id, copy.run));
            }
            None => {}
        }
    }
    let expected =
        committed(old, new).filter(|c| c.inputs.as_ref().is_some_and(|i| i.inbox_blocks > 0)).map(|c| c.id);
    match (old.clearing, new.clearing) {
        (None, now) if now == expected => Ok(()),
        (Some(before), now) if expected.is_none() && (now.is_none() || now == Some(before)) => Ok(()),
        _ => illegal(
            "inbox blocks are cleared after the commit of the rewrite that took them, and before the next",
        ),
    }
}
