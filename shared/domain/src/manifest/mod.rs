//! The manifest of a ledger: its runs, and where each has a copy.
//!
//! A swap is a conditional write of the whole manifest. `swap` computes the manifest that follows; [`check`] decides,
//! independently of `swap`, whether it may follow. Nothing is ever re-applied: a writer that loses a swap reads the
//! manifest again and decides again.

mod check;
mod swap;

pub use check::check;

use crate::{
    day::Arrivals,
    id::{CopyId, RunId},
    slot::SlotBits,
    tally::Tally,
    time::Time,
};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// How long a reader with an older manifest may still read a retired copy, and how long a staged copy may go without
/// progress: more than twice the longest life of a Lambda invocation.
pub const GRACE_MILLIS: i64 = 60 * 60 * 1000;
/// The most runs a ledger may have.
pub const MAX_RUNS: usize = 64;
/// The most copies a manifest may list.
pub const MAX_COPIES: usize = 256;
/// The most runs that the copies of a manifest may name as their inputs, all together.
pub const MAX_INPUT_RUNS: usize = 4_096;
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
    /// Verified; readers read it.
    Live,
    /// No longer chosen by readers, still readable for the grace.
    Retired,
    /// Not read any more. Its bytes are deleted after another grace, since a stalled writer may still add to them.
    Doomed,
}

/// An immutable set of rows.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Run {
    /// Its id, which no other run ever gets.
    pub id: RunId,
    /// How its hash space is cut.
    pub slots: SlotBits,
    /// The counts and the digest of its rows.
    pub tally: Tally,
    /// The rows of ids that were merged up to the merge of this number lie under the ids of their persons.
    #[serde(default, skip_serializing_if = "crate::is_default")]
    pub folded: u64,
}

/// The inputs of a rewrite. They are fixed when its copy is staged.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Inputs {
    /// The runs that the new run replaces.
    pub runs: Vec<RunId>,
    /// How many inbox blocks it takes; their keys stand in the copy's inputs item.
    pub inbox_blocks: u32,
    /// The rewrite puts the rows of ids that were merged up to the merge of this number under the ids of their persons.
    #[serde(default, skip_serializing_if = "crate::is_default")]
    pub folded: u64,
}

/// A place where the rows of a run lie, or are about to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Copy {
    /// Its id, which no other copy ever gets.
    pub id: CopyId,
    /// The run whose rows these are. The manifest does not list it while a rewrite into it is staged.
    pub run: RunId,
    /// Where it lies: hot or cold.
    pub tier: Tier,
    /// How the run's hash space is cut.
    pub slots: SlotBits,
    /// The stage of its life.
    pub life: Life,
    /// Since when it is in that stage, or when it last made progress while staged.
    pub since: Time,
    /// The inputs of a rewrite; `None` for a further copy of a listed run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<Inputs>,
    /// Its size in bytes, once it is live.
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

/// Data that did not verify. No verified copy of the ledger is deleted until the suspect runs and inbox have been read
/// again, and verified.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Quarantine {
    /// The mismatch and its place, for people.
    pub reason: String,
    /// When the mismatch was last found.
    pub since: Time,
    /// The suspect runs: their rows were being read.
    pub runs: Vec<RunId>,
    /// Whether the inbox is suspect, too.
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
    /// Reserved for erasure, which is not built: 0, and every swap keeps it.
    #[serde(default)]
    pub epoch: u32,
    /// The state of the source's data, repeated here for readers.
    pub state: DataState,
    /// The rows of the ledger that are not in its inbox.
    pub runs: Vec<Run>,
    /// The copies of those runs.
    pub copies: Vec<Copy>,
    /// A committed rewrite whose inbox blocks are still to be deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clearing: Option<CopyId>,
    /// Set where data did not verify.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quarantine: Option<Quarantine>,
    /// Whether the source is deleted for good: no run is listed, and every copy goes.
    #[serde(default, skip_serializing_if = "crate::is_default")]
    pub is_deleted: bool,
    /// Of `users`: the interactions of the last days that arrived with inbox blocks which committed rewrites took. Information:
    /// nothing is decided by it, and no swap is judged by it.
    #[serde(default, skip_serializing_if = "crate::is_default")]
    pub arrived: Arrivals,
}

/// The rule that a swap breaks. It is a bug, or a race after which the writer must decide anew.
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

    /// The runs that were made after a time. If that is when the data expired, these are of interactions that arrived since, and
    /// of runs that were merged with those.
    pub fn runs_made_after(&self, at: Time) -> impl Iterator<Item = &Run> {
        self.runs.iter().filter(move |run| run.id.0.timestamp_ms() as i64 > at.0)
    }

    /// The sum over all listed runs. Where there are several, its counts of users are upper bounds: a user may be in each.
    pub fn tally(&self) -> Tally {
        Tally::sum(self.runs.iter().map(|r| &r.tally))
    }

    /// Whether so many further copies can be listed now. Doomed copies make room when their bytes are deleted, within two
    /// hours; in quarantine copies that were live are kept.
    pub const fn has_room(&self, copies: usize) -> bool {
        self.copies.len() + copies <= MAX_COPIES
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
}
