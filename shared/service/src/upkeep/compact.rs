//! Compaction merges the inboxes of available ledgers into runs, and many runs into fewer.
//!
//! The compactor looks at marked ledgers only ([`crate::ledger`]), decides each step from the stored state, and commits
//! by a swap of the manifest. It makes hot copies only: it finishes a half-done rewrite to the hot tier, and leaves one
//! to the cold tier to the sweeper. The sweeper also takes the late rows of data that is not available.

use crate::{
    app::Rekindle,
    boxed,
    budget::Budget,
    failure::Failure,
    ledger::{Bite, Driven, LEFT_ALONE_MILLIS, MARGIN_MILLIS, Sums},
    metrics::count,
    report::{SweepOutcome, Swept},
};
use rekindle_domain::{
    Ulid,
    breaks::{self, Break},
    compact::{InboxSize, RunSize, plan},
    id::{LedgerId, RunId},
    manifest::{Copy, DataState, MAX_COPIES, Manifest, Quarantine, Run, Tier},
    source::Source,
};
use rekindle_store::{
    StoreError,
    catalog::{Transaction, marks::Mark},
};
use serde::Serialize;
use std::collections::HashMap;

/// An inbox of more bytes than this is reported, as the metric `LargeInboxBytes`.
const LARGE_INBOX: u64 = 32 << 20;

/// About the most marks that one invocation reads.
const MARKS: usize = 16_000;

/// If a ledger with more marks than this is left for later, one mark replaces them.
const FEW_MARKS: usize = 8;

/// With this many copies in the manifest, the compactor makes no more until housekeeping has removed some, so that a
/// restore finds room.
const FULL: usize = MAX_COPIES / 4 * 3;

/// The report of an invocation of the compactor.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct CompactReport {
    /// The number of rewrites that were committed.
    pub rewrites: u32,
    /// The number of ledgers that failed. Later invocations look at them again.
    pub failed: u32,
    /// Whether the time was up before every marked ledger was looked at.
    pub is_partial: bool,
    /// An entry for each ledger that changed or failed.
    pub items: Vec<Swept>,
}

/// The result of a step.
enum Step {
    /// There is more to do at once.
    GoOn,
    /// A rewrite is committed, and there may be more to do.
    Rewrote,
    /// Nothing is left to do: the marks may go.
    Done,
    /// Something is left for a later invocation: the marks stay.
    Later,
}

impl Rekindle {
    /// Compacts every marked ledger until no step is left or the time is up. A failing ledger does not hold up the others.
    ///
    /// # Errors
    /// [`StoreError`] if the marks cannot be read.
    #[boxed]
    pub async fn compact(&self, budget: &Budget) -> Result<CompactReport, StoreError> {
        let marks = self.store.catalog.marks(self.now().plus(-MARGIN_MILLIS), MARKS).await?;
        let mut report = CompactReport::default();
        for (ledger, marks) in by_ledger(marks) {
            if budget.is_spent(self.now()) {
                report.is_partial = true;
                break;
            }
            let before = report.rewrites;
            match self.compact_marked(&ledger, &marks, budget, &mut report.rewrites).await {
                Ok(()) | Err(StoreError::Conflict) if report.rewrites == before => {}
                Ok(()) | Err(StoreError::Conflict) => {
                    let outcome = SweepOutcome::Compacted { rewrites: report.rewrites - before };
                    report.items.push(Swept { what: ledger.to_string(), outcome });
                }
                Err(error) => {
                    tracing::error!(ledger.id = %ledger, error.message = %error, "the ledger could not be compacted");
                    report.failed += 1;
                    report.items.push(Swept {
                        what: ledger.to_string(),
                        outcome: SweepOutcome::Failed(error.to_string()),
                    });
                }
            }
        }
        Ok(report)
    }

    /// Compacts one ledger, and then deletes exactly the marks that were read before.
    async fn compact_marked(
        &self,
        ledger: &LedgerId,
        marks: &[Mark],
        budget: &Budget,
        rewrites: &mut u32,
    ) -> Result<(), StoreError> {
        if breaks::is(Break::LosesDirtyMarks) {
            self.store.catalog.delete_marks(marks).await?;
        }
        let mut is_reported = false;
        while !budget.is_spent(self.now()) {
            match self.compact_step(ledger, budget, &mut is_reported).await {
                Ok(Step::Rewrote) => *rewrites += 1,
                // On a conflict another worker changed the ledger: decide again from the stored state.
                Ok(Step::GoOn) | Err(StoreError::Conflict) => {}
                Ok(Step::Done) => return self.store.catalog.delete_marks(marks).await,
                Ok(Step::Later) => {
                    if !is_reported {
                        self.report_inbox(ledger).await?;
                    }
                    return self.keep_one(ledger, marks).await;
                }
                Err(other) => {
                    self.keep_one(ledger, marks).await?;
                    return Err(other);
                }
            }
        }
        Ok(())
    }

    /// Replaces many marks of a ledger by one, so that the marks of a ledger that is left for later do not crowd out
    /// those of other ledgers.
    async fn keep_one(&self, ledger: &LedgerId, marks: &[Mark]) -> Result<(), StoreError> {
        if marks.len() <= FEW_MARKS {
            return Ok(());
        }
        let one = Mark { until: self.now(), ledger: ledger.clone(), worker: Ulid::nil() };
        self.store.catalog.mark(&one).await?;
        let others: Vec<Mark> = marks.iter().filter(|mark| **mark != one).cloned().collect();
        self.store.catalog.delete_marks(&others).await
    }

    /// Reports a large inbox: the senders are faster than the compactor, or the compactor fails.
    async fn report_inbox(&self, ledger: &LedgerId) -> Result<(), StoreError> {
        let listed = self.store.ledger.list_inbox(ledger, usize::MAX, LARGE_INBOX).await?;
        let inbox_bytes: u64 = listed.iter().map(|e| e.bytes).sum();
        if inbox_bytes > LARGE_INBOX {
            tracing::warn!(ledger.id = %ledger, inbox.bytes = inbox_bytes, inbox.blocks = listed.len(), "the inbox is large");
            count!(LargeInboxBytes = inbox_bytes);
        }
        Ok(())
    }

    /// Takes the next step of a ledger, decided from the stored state.
    async fn compact_step(
        &self,
        ledger: &LedgerId,
        budget: &Budget,
        is_reported: &mut bool,
    ) -> Result<Step, StoreError> {
        let manifest = self.store.catalog.manifest(ledger).await?;
        if manifest.state != DataState::Available || manifest.is_deleted {
            return Ok(Step::Done);
        }
        if let Some(copy) = manifest.clearing.filter(|_| manifest.quarantine.is_none()) {
            self.clear(ledger, copy).await?;
            return Ok(Step::GoOn);
        }
        if let Some(quarantine) = &manifest.quarantine
            && self.now() < quarantine.since.plus(LEFT_ALONE_MILLIS)
        {
            return self.wait_a_day(ledger, quarantine).await;
        }
        match manifest.staged_rewrite() {
            Some(copy) if copy.tier == Tier::Hot => {
                self.drive_compaction(ledger, &manifest, copy, budget).await
            }
            Some(_) => Ok(Step::Later),
            None if manifest.copies.len() >= FULL => Ok(Step::Later),
            None => self.plan_compaction(ledger, &manifest, is_reported).await,
        }
    }

    /// Writes one mark whose time is a day after the quarantine began: data that did not verify is tried again then. The
    /// other marks may go.
    async fn wait_a_day(&self, ledger: &LedgerId, quarantine: &Quarantine) -> Result<Step, StoreError> {
        let until = quarantine.since.plus(LEFT_ALONE_MILLIS);
        self.store.catalog.mark(&Mark { until, ledger: ledger.clone(), worker: Ulid::nil() }).await?;
        Ok(Step::Done)
    }

    async fn plan_compaction(
        &self,
        ledger: &LedgerId,
        manifest: &Manifest,
        is_reported: &mut bool,
    ) -> Result<Step, StoreError> {
        let sizes = &self.settings.sizes;
        let listed = self.store.ledger.list_inbox(ledger, sizes.inbox_keys + 1, sizes.inbox_bytes).await?;
        let (blocks, bytes) = (listed.len(), listed.iter().map(|e| e.bytes).sum());
        let bite = Bite::of(listed, sizes);
        if !bite.is_all && !*is_reported {
            self.report_inbox(ledger).await?;
            *is_reported = true;
        }
        let (runs, takes_inbox) = if let Some(suspect) = &manifest.quarantine {
            // The suspect inputs are rewritten again, all of them and nothing else. If they verify now, the ledger leaves
            // quarantine.
            (suspect.runs.clone(), suspect.inbox && manifest.clearing.is_none())
        } else {
            let inbox = InboxSize { blocks, bytes, rows: bite.rows() };
            match plan(&RunSize::of(manifest), inbox, &sizes.tiering) {
                Some(merge) => (merge.runs, merge.inbox),
                // The ledger is done only if its runs and its inbox were read as of one moment: another compactor may have
                // rewritten it between the two reads, and died before the rest.
                None if self.store.catalog.manifest(ledger).await?.version != manifest.version => {
                    return Ok(Step::GoOn);
                }
                None => return Ok(Step::Done),
            }
        };
        // A run in the archive stays a run of its own, so that its cold copy stays of use.
        let may_go_in = |r: &&Run| {
            let is_archived = manifest.live(r.id, Tier::Cold).is_some();
            runs.contains(&r.id) && (!is_archived || breaks::is(Break::MergesArchivedWithOthers))
        };
        let runs: Vec<RunId> = manifest.runs.iter().filter(may_go_in).map(|r| r.id).collect();
        let bite = if takes_inbox { bite } else { Bite::nothing() };
        if runs.is_empty() && bite.is_empty() {
            return Ok(Step::Done);
        }
        self.stage_rewrite(ledger, manifest, Tier::Hot, &runs, &bite).await?;
        Ok(Step::GoOn)
    }

    async fn drive_compaction(
        &self,
        ledger: &LedgerId,
        manifest: &Manifest,
        copy: &Copy,
        budget: &Budget,
    ) -> Result<Step, StoreError> {
        match self.work_through(ledger, manifest, copy, budget).await? {
            Driven::Partly => Ok(Step::Later),
            Driven::Whole(Sums { tally, bytes, arrived }) => {
                let now = self.now();
                let next = manifest.commit_rewrite(copy.id, tally, bytes, now)?.counting(&arrived, now);
                self.swap(ledger, manifest, next).await?;
                Ok(Step::Rewrote)
            }
            Driven::Failed(failure) => {
                self.give_up_compaction(ledger, copy, &failure).await?;
                Ok(Step::Later)
            }
        }
    }

    /// Ends a compaction that failed for good. The data stays as it is. If something is damaged, the ledger is in
    /// quarantine and left alone for a day.
    async fn give_up_compaction(
        &self,
        ledger: &LedgerId,
        copy: &Copy,
        failure: &Failure,
    ) -> Result<(), StoreError> {
        let end = |transaction: &mut Transaction, source: Option<&Source>, manifest: &Manifest| {
            if let Some(source) = source {
                let detail = Some(failure.reason.clone());
                self.record(transaction, &source.id, "compaction_failed", "compactor", detail)?;
            }
            Ok(Some(manifest.abandon(self.now(), |c| c.id == copy.id)))
        };
        self.give_up(ledger, copy, failure, end).await
    }
}

/// The marks of each ledger. The ledger with the oldest mark comes first.
fn by_ledger(marks: Vec<Mark>) -> Vec<(LedgerId, Vec<Mark>)> {
    let mut out: Vec<(LedgerId, Vec<Mark>)> = Vec::new();
    let mut places: HashMap<LedgerId, usize> = HashMap::new();
    for mark in marks {
        let place = *places.entry(mark.ledger.clone()).or_insert_with(|| {
            out.push((mark.ledger.clone(), Vec::new()));
            out.len() - 1
        });
        out[place].1.push(mark);
    }
    out
}
