//! Expiring: the next step that archives the rows of a source, as a pure function of sizes.
//!
//! An available source that is due goes to the archive as one cold run. An inbox that one rewrite cannot take is first
//! folded into hot runs, a bite at a time. Late rows of an expired source become further cold runs, and once there are
//! many of those, the rewrite that takes late rows also merges all cold runs but the largest.
//!
//! Runs that have a cold copy never go into a hot rewrite: they would lose the copy.

use crate::{
    id::RunId,
    manifest::{DataState, Manifest, Run, Tier},
    source::Source,
};

/// The part of an inbox that one rewrite can take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BiteSize {
    /// How many blocks it has.
    pub blocks: usize,
    /// Whether it is the whole inbox.
    pub is_all: bool,
}

impl BiteSize {
    /// No blocks, and none left over.
    pub const NOTHING: Self = Self { blocks: 0, is_all: true };
}

/// How many runs may gather before they are merged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// How many runs without a cold copy there may be before they are merged instead of folding a further bite. At least 3:
    /// the largest run stays out of the merge, so that merging two would leave two.
    pub hot_runs: usize,
    /// How many runs an expired source may have before its next late rows are merged with them.
    pub cold_runs: usize,
}

/// The next step.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Plan {
    /// There is nothing to do until something changes: look again in a day. The source is marked as having data and no
    /// row has arrived (a ledger without rows never expires), or late rows cannot be taken in quarantine.
    RestForADay,
    /// There are no late rows: take the mark of late rows away.
    RestLate,
    /// Stage a rewrite of listed runs, and of the bite if `takes_inbox`, into a new run. A cold one of an available source
    /// takes everything that is not archived, so that the expiry is committed with it.
    Rewrite {
        /// Where the new run lies.
        tier: Tier,
        /// The runs that the new run replaces.
        runs: Vec<RunId>,
        /// Whether the rewrite takes the bite.
        takes_inbox: bool,
    },
    /// Every row is archived already: commit the expiry, which retires the hot copies.
    DropHotCopies,
}

/// Decides the next step for a source that is due or has late rows, and that has no rewrite under way. `bite` is what
/// its inbox offers. A source that is being restored rests.
pub fn plan(source: &Source, manifest: &Manifest, bite: BiteSize, limits: Limits) -> Plan {
    // A committed rewrite's blocks are still to be cleared: the inbox offers none that may be taken. That lasts in
    // quarantine, so that suspect runs are archived without the inbox, and its rows count as late.
    let bite = if manifest.clearing.is_some() { BiteSize::NOTHING } else { bite };
    match source.state {
        DataState::Available => plan_expiry(manifest, bite, limits),
        DataState::Expired => plan_late(manifest, bite, limits),
        DataState::Restoring => Plan::RestForADay,
    }
}

fn plan_expiry(manifest: &Manifest, bite: BiteSize, limits: Limits) -> Plan {
    let hot_only: Vec<&Run> = manifest.runs_without(Tier::Cold).collect();
    let takes_inbox = bite.blocks > 0;
    if !bite.is_all {
        // More than one rewrite can take: fold a bite into a hot run, or merge hot runs first if there are many.
        return if hot_only.len() >= limits.hot_runs {
            Plan::Rewrite { tier: Tier::Hot, runs: all_but_largest(&hot_only), takes_inbox: false }
        } else {
            Plan::Rewrite { tier: Tier::Hot, runs: Vec::new(), takes_inbox }
        };
    }
    if takes_inbox || !hot_only.is_empty() {
        let runs = hot_only.iter().map(|r| r.id).collect();
        return Plan::Rewrite { tier: Tier::Cold, runs, takes_inbox };
    }
    if manifest.runs.is_empty() { Plan::RestForADay } else { Plan::DropHotCopies }
}

fn plan_late(manifest: &Manifest, bite: BiteSize, limits: Limits) -> Plan {
    if manifest.clearing.is_some() {
        return Plan::RestForADay;
    }
    if bite.blocks == 0 {
        return Plan::RestLate;
    }
    let runs = if manifest.runs.len() >= limits.cold_runs {
        all_but_largest(&manifest.runs.iter().collect::<Vec<_>>())
    } else {
        Vec::new()
    };
    Plan::Rewrite { tier: Tier::Cold, runs, takes_inbox: true }
}

/// The runs without the one that has the most rows, so that what is large is not written again for what is small.
fn all_but_largest(runs: &[&Run]) -> Vec<RunId> {
    let largest = runs.iter().max_by_key(|r| r.tally.rows).map(|r| r.id);
    runs.iter().map(|r| r.id).filter(|id| Some(*id) != largest).collect()
}
