//! The sweeper takes every item whose wake time has passed one step further. Several sweepers may run at once.

use super::expire::Progress;
use crate::{
    app::Rekindle,
    boxed,
    budget::Budget,
    metrics::count,
    report::{SweepOutcome, Swept},
};
use rekindle_domain::{
    id::SourceId,
    manifest::DataState,
    notice::is_daily_notice,
    source::{Source, Status},
};
use rekindle_store::{
    StoreError,
    catalog::{Key, Transaction, sources::Named},
};
use serde::Serialize;
use std::collections::HashSet;

/// The number of due items that are read at once.
const PAGE: usize = 500;

/// The report of a sweep.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct SweepReport {
    /// The number of sources whose data expired.
    pub expired: u32,
    /// The number of items that failed. Later sweeps look at them again.
    pub failed: u32,
    /// Whether the time was up before every due item was looked at.
    pub is_partial: bool,
    /// An entry for each item that changed or failed.
    pub items: Vec<Swept>,
}

impl Rekindle {
    /// Looks at every due item until none is left or the time is up. A failing item does not hold up the others.
    ///
    /// # Errors
    /// [`StoreError`] if the due items cannot be read.
    #[boxed]
    pub async fn sweep(&self, budget: &Budget) -> Result<SweepReport, StoreError> {
        let mut report = SweepReport::default();
        let mut seen: HashSet<Key> = HashSet::new();
        'all: loop {
            let due = self.store.catalog.due(self.now(), PAGE + seen.len()).await?;
            // An item may stay due after its step. Each is taken once in a sweep.
            let mut new: Vec<Key> = due.into_iter().filter(|key| seen.insert(key.clone())).collect();
            if new.is_empty() {
                break;
            }
            // Requests and mails come first: people wait for them, and sources may expire in waves. Daily notices come
            // last: warnings of this sweep are still added to them.
            new.sort_by_key(|key| match key.parse() {
                Some(Named::Notice(id)) if is_daily_notice(&id) => 2,
                Some(Named::Notice(_) | Named::Request(_)) => 0,
                _ => 1,
            });
            for key in new {
                if budget.is_spent(self.now()) {
                    report.is_partial = true;
                    break 'all;
                }
                self.sweep_one(&key, budget, &mut report).await;
            }
        }
        count!(Sweeps = 1);
        if !report.is_partial {
            self.note_days(budget).await;
        }
        Ok(report)
    }

    async fn sweep_one(&self, key: &Key, budget: &Budget, report: &mut SweepReport) {
        let outcome = match key.parse() {
            None => Ok(None),
            Some(Named::Source(source)) => self.sweep_source(&source, budget).await,
            Some(Named::Manifest(ledger)) => {
                let gone = self.housekeep(&ledger, budget).await;
                gone.map(|copies| (copies > 0).then_some(SweepOutcome::CopiesDeleted(copies)))
            }
            Some(Named::Request(request)) => self.resume_request(request).await,
            Some(Named::Notice(notice)) => self.resume_notice(&notice).await,
        };
        match outcome {
            Ok(None) => {}
            Ok(Some(outcome)) => {
                report.expired += u32::from(outcome == SweepOutcome::Expired);
                report.items.push(Swept { what: key.pk.clone(), outcome });
            }
            Err(StoreError::Conflict) => {}
            Err(error) => {
                tracing::error!(swept.key = key.pk, error.message = %error, "a due item failed; a later sweep looks at it again");
                report.failed += 1;
                report
                    .items
                    .push(Swept { what: key.pk.clone(), outcome: SweepOutcome::Failed(error.to_string()) });
            }
        }
    }

    async fn sweep_source(&self, id: &SourceId, budget: &Budget) -> Result<Option<SweepOutcome>, StoreError> {
        let Some(source) = self.store.catalog.source_or_deleted(id).await? else {
            return Ok(None);
        };
        if let Some(deletion) = &source.deletion {
            return self.follow_deletion(id, deletion, budget).await;
        }
        if !source.settling.is_empty() {
            self.settle(id).await?;
        }
        let idle_at = |source: &Source| source.idle_at(self.settings.auto_stop_after.as_ref());
        // Before it is tried again to make it a holder: a source whose data cannot be held must stop, too.
        let is_idle = source.status == Status::Active && idle_at(&source).is_some_and(|at| at <= self.now());
        if is_idle && self.stop_if_idle(id).await? {
            return Ok(Some(SweepOutcome::StoppedIdle));
        }
        let source = match self.follow_sending(&source).await? {
            Some(changed) => changed,
            None => source,
        };
        let source = Source { idle_at: idle_at(&source), ..source };
        if self.wake_at(&source).is_none_or(|at| at > self.now()) {
            // The source's wake time was computed under other settings, or the source has changed since. This write stores
            // the present wake time.
            let mut transaction = Transaction::new();
            self.put_source(&mut transaction, &source)?;
            return self.store.catalog.commit(transaction).await.map(|()| None);
        }
        if source.state == DataState::Restoring {
            return self.resume_restore(&source).await;
        }
        let is_to_warn = source
            .warn_at(&self.settings.retention, &self.settings.warn_before)
            .is_some_and(|at| at <= self.now());
        let is_warned = is_to_warn && self.warn(id).await?;
        let mut outcome = is_warned.then_some(SweepOutcome::Warned);
        loop {
            match self.expire_step(id, budget).await {
                Ok(Progress::Rest) => return Ok(outcome),
                Ok(Progress::Expired) => outcome = Some(SweepOutcome::Expired),
                // On a conflict another worker changed the source: decide again from the stored state.
                Ok(Progress::GoOn) | Err(StoreError::Conflict) => {
                    outcome.get_or_insert(SweepOutcome::Advanced);
                }
                Err(other) => return Err(other),
            }
            if budget.is_spent(self.now()) {
                return Ok(outcome);
            }
        }
    }
}
