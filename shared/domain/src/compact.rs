//! Compaction: what of an available ledger to merge next, as a pure function of sizes.
//!
//! Size-tiered. A tier holds runs of about one size, each tier runs so many times larger than the one below. What comes in
//! is folded once enough of it has gathered; once a tier is full, what is in it, with all that is smaller, becomes one
//! run of a higher tier. So a row is written again once a tier at most, a logarithmic number of times, and a ledger has
//! a logarithmic number of runs. Tiers that would only be filled to be emptied are skipped: it is all one merge.
//!
//! Runs that have a cold copy stay as they are. Merged with others they would lose it, and a restored ledger that got few
//! rows could no longer expire by just dropping its hot copies; their number is bounded by archiving.

use crate::{
    breaks::{self, Break},
    id::RunId,
    manifest::{Manifest, Tier},
};

/// How much must have gathered before it is merged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tiering {
    /// An inbox of so many blocks is folded into a run. No more than one rewrite takes.
    pub inbox_blocks: usize,
    /// And so is one of so many bytes. No more than one rewrite takes.
    pub inbox_bytes: u64,
    /// So many runs of a tier are merged; also how many times larger the runs of the next tier are. At least 2.
    pub fanout: usize,
    /// The lowest tier is of runs with fewer rows than `fanout` times this. At least 1.
    pub smallest: u64,
}

impl Default for Tiering {
    /// With batches of 20, a fold takes 5,120 rows: its few swaps of the manifest then cost little beside the blocks
    /// themselves, and reading the inbox, which every question does, stays within some 30 read units.
    fn default() -> Self {
        Self { inbox_blocks: 256, inbox_bytes: 256 << 10, fanout: 4, smallest: 2_048 }
    }
}

impl Tiering {
    /// The tier of a run with that many rows.
    pub fn tier(&self, rows: u64) -> u32 {
        (rows / self.smallest.max(1)).checked_ilog(self.fanout.max(2) as u64).unwrap_or(0)
    }
}

/// How large a run is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RunSize {
    /// Which one.
    pub id: RunId,
    /// How many rows it has.
    pub rows: u64,
    /// Whether it has a live cold copy.
    pub is_archived: bool,
}

impl RunSize {
    /// The sizes of a ledger's runs.
    pub fn of(manifest: &Manifest) -> Vec<Self> {
        let size = |r: &crate::manifest::Run| Self {
            id: r.id,
            rows: r.tally.rows,
            is_archived: manifest.live(r.id, Tier::Cold).is_some(),
        };
        manifest.runs.iter().map(size).collect()
    }
}

/// How large an inbox is, as far as it was listed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct InboxSize {
    /// How many blocks.
    pub blocks: usize,
    /// How many bytes they have.
    pub bytes: u64,
    /// How many rows the blocks have that one rewrite would take.
    pub rows: u64,
}

/// One rewrite.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Merge {
    /// The runs that become one.
    pub runs: Vec<RunId>,
    /// Whether as much of the inbox as one rewrite takes goes in, too.
    pub inbox: bool,
}

/// What to merge next; `None`: the ledger is as it should be.
pub fn plan(runs: &[RunSize], inbox: InboxSize, tiering: &Tiering) -> Option<Merge> {
    let may_go_in = |r: &&RunSize| !r.is_archived || breaks::is(Break::MergesArchivedWithOthers);
    let mut left: Vec<RunSize> = runs.iter().filter(may_go_in).copied().collect();
    left.sort_by_key(|r| r.rows);
    let folds = inbox.blocks >= tiering.inbox_blocks.max(1) || inbox.bytes >= tiering.inbox_bytes.max(1);
    let mut merge = Merge { runs: Vec::new(), inbox: folds };
    // What is being merged is one run more of the tier that its rows add up to.
    let mut rows = folds.then_some(inbox.rows);
    let highest = runs.iter().map(|r| r.rows).sum::<u64>() + inbox.rows;
    for tier in 0..=tiering.tier(highest) {
        let is_one_more = rows.is_some_and(|rows| tiering.tier(rows) == tier);
        let peers = left.iter().filter(|r| tiering.tier(r.rows) == tier).count();
        if peers + usize::from(is_one_more) >= tiering.fanout.max(2) {
            let count = left.iter().take_while(|r| tiering.tier(r.rows) <= tier).count();
            for run in left.drain(..count) {
                merge.runs.push(run.id);
                rows = Some(rows.unwrap_or(0) + run.rows);
            }
        }
    }
    (merge.inbox || !merge.runs.is_empty()).then_some(merge)
}
