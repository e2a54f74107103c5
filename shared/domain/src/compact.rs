//! Compaction: the next merge of an available ledger, as a pure function of sizes.
//!
//! It is size-tiered: a tier holds runs of about one size, and the runs of the next tier are `fanout` times larger. The
//! inbox is folded into a run once enough has gathered in it. Once a tier is full, its runs and all smaller ones become
//! one run of a higher tier. So a row is written again at most once a tier, a logarithmic number of times, and a ledger
//! has a logarithmic number of runs. One merge skips the tiers that it would only fill to empty them again.
//!
//! Runs that have a cold copy stay as they are. Merged with others they would lose it, and a restored ledger that got few
//! rows could no longer expire by just dropping its hot copies; their number is bounded by archiving.

use crate::{
    breaks::{self, Break},
    id::RunId,
    manifest::{Manifest, Tier},
};

/// How much must gather before it is merged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tiering {
    /// An inbox of this many blocks is folded into a run; not more than one rewrite takes.
    pub inbox_blocks: usize,
    /// An inbox of this many bytes is folded, too; not more than one rewrite takes.
    pub inbox_bytes: u64,
    /// How many runs of a tier are merged, and how many times larger the runs of the next tier are. At least 2.
    pub fanout: usize,
    /// The lowest tier is of runs with fewer rows than `fanout` times this. At least 1.
    pub smallest: u64,
}

impl Default for Tiering {
    /// With batches of 20, a fold takes 5,120 rows: its few swaps of the manifest cost little compared with the
    /// blocks themselves, and reading the inbox, which every question does, stays within some 30 read units.
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
    /// The id of the run.
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

/// The size of an inbox, as far as it was listed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct InboxSize {
    /// How many blocks it has.
    pub blocks: usize,
    /// How many bytes they have.
    pub bytes: u64,
    /// How many rows there are in the blocks that one rewrite would take.
    pub rows: u64,
}

/// The rewrite to stage next.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Merge {
    /// The runs that become one.
    pub runs: Vec<RunId>,
    /// Whether as much of the inbox as one rewrite takes goes in, too.
    pub inbox: bool,
}

/// The next merge; `None`: there is nothing to merge.
pub fn plan(runs: &[RunSize], inbox: InboxSize, tiering: &Tiering) -> Option<Merge> {
    let may_go_in = |r: &&RunSize| !r.is_archived || breaks::is(Break::MergesArchivedWithOthers);
    let mut left: Vec<RunSize> = runs.iter().filter(may_go_in).copied().collect();
    left.sort_by_key(|r| r.rows);
    let folds = inbox.blocks >= tiering.inbox_blocks.max(1) || inbox.bytes >= tiering.inbox_bytes.max(1);
    let mut merge = Merge { runs: Vec::new(), inbox: folds };
    // The run that the merge makes counts as one more run of the tier that its rows put it in.
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
