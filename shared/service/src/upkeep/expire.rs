//! Expiry moves the rows of a source's inbox and hot runs into one cold run, and then retires the hot copies.
//!
//! Each step is decided from the stored state, so that another invocation, or another sweeper, can go on at any point.

use crate::{
    app::Rekindle,
    boxed,
    budget::Budget,
    failure::Failure,
    ledger::{Bite, Driven, LEFT_ALONE_MILLIS, Sums},
    metrics::count,
    retry::until_won,
};
use rekindle_domain::{
    breaks::{self, Break},
    expire::{Limits, Plan, plan},
    id::{LedgerId, SourceId},
    manifest::{Copy, DataState, Manifest, Tier},
    source::{Decision, Source},
};
use rekindle_store::{StoreError, catalog::Transaction};

/// The result of a step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// There is more to do at once.
    GoOn,
    /// There is nothing to do now, or other workers have the parts that are left.
    Rest,
    /// The data is now expired.
    Expired,
}

impl Rekindle {
    /// Takes the next step in archiving the rows of a source that is due, or late rows of an expired one.
    ///
    /// # Errors
    /// [`StoreError`]: nothing is lost, and the next sweep tries again. Data that does not verify is no error here: it is
    /// put into quarantine.
    #[boxed]
    pub async fn expire_step(&self, id: &SourceId, budget: &Budget) -> Result<Progress, StoreError> {
        let ledger = LedgerId::Source(id.clone());
        let Some(source) = self.store.catalog.source(id).await? else {
            return Ok(Progress::Rest);
        };
        let manifest = self.store.catalog.manifest(&ledger).await?;
        if manifest.state != source.state {
            // A restore or an expiry came between the two reads. The steps below may swap the manifest alone, so that they
            // would not notice it.
            return Err(StoreError::Conflict);
        }
        if let Some(copy) = manifest.clearing.filter(|_| manifest.quarantine.is_none()) {
            self.clear(&ledger, copy).await?;
            return Ok(Progress::GoOn);
        }
        if !self.is_wanted(&source) {
            // Leave a hot rewrite alone: the compactor finishes it, or housekeeping dooms it.
            if manifest.staged_rewrite().is_some_and(|c| c.tier == Tier::Cold) {
                self.abandon_rewrite(&ledger).await?;
            }
            return Ok(Progress::Rest);
        }
        match manifest.staged_rewrite().cloned() {
            Some(copy) => self.drive_rewrite(&source, &manifest, &copy, budget).await,
            None => self.next_step(&source, &manifest).await,
        }
    }

    /// Whether the sweeper should archive rows of the source now.
    fn is_wanted(&self, source: &Source) -> bool {
        let now = self.now();
        match source.state {
            DataState::Available => source.decide(&self.settings.retention, now) == Decision::Due,
            DataState::Expired => self.wake_at(source).is_some_and(|at| at <= now),
            DataState::Restoring => false,
        }
    }

    async fn abandon_rewrite(&self, ledger: &LedgerId) -> Result<(), StoreError> {
        until_won!(async {
            let manifest = self.store.catalog.manifest(ledger).await?;
            let is_ours = |c: &Copy| c.inputs.is_some() && c.tier == Tier::Cold;
            if !manifest.staged_rewrite().is_some_and(is_ours) {
                return Ok(());
            }
            let next = manifest.abandon(self.now(), is_ours);
            self.swap(ledger, &manifest, next).await.map(drop)
        })
    }

    /// Takes the next step of a source without a rewrite under way.
    async fn next_step(&self, source: &Source, manifest: &Manifest) -> Result<Progress, StoreError> {
        let ledger = LedgerId::Source(source.id.clone());
        let sizes = &self.settings.sizes;
        let bite = if manifest.clearing.is_some() {
            Bite::nothing()
        } else {
            let listed = self.store.ledger.list_inbox(&ledger, sizes.inbox_keys + 1, sizes.inbox_bytes);
            Bite::of(listed.await?, sizes)
        };
        let limits = Limits { hot_runs: sizes.hot_runs, cold_runs: sizes.cold_runs };
        match plan(source, manifest, bite.size(), limits) {
            Plan::RestForADay => self.rest_for_a_day(source).await,
            Plan::RestLate => self.rest_late(source).await,
            Plan::DropHotCopies => {
                self.commit_expiry(source, manifest, manifest.clone(), "nothing new was uploaded").await
            }
            Plan::Rewrite { .. } if !manifest.has_room(1) => {
                tracing::info!(source.id = %source.id, "a rewrite waits until copies that are not needed any more are deleted");
                Ok(Progress::Rest)
            }
            Plan::Rewrite { tier, runs, takes_inbox } => {
                let bite = if takes_inbox { bite } else { Bite::nothing() };
                self.stage_rewrite(&ledger, manifest, tier, &runs, &bite).await?;
                Ok(Progress::GoOn)
            }
        }
    }

    /// Removes the mark of late rows from an expired source that has none. Ingest may be appending late rows at this
    /// moment, relying on the mark. Therefore the sweeper looks once more, a day after the mark is removed.
    async fn rest_late(&self, source: &Source) -> Result<Progress, StoreError> {
        let retry_at = source.late_since.map(|_| self.now().plus(LEFT_ALONE_MILLIS));
        let mut transaction = Transaction::new();
        self.put_source(&mut transaction, &Source { late_since: None, retry_at, ..source.clone() })?;
        self.store.catalog.commit(transaction).await?;
        Ok(Progress::Rest)
    }

    /// Leaves a source alone for a day: it is marked as having data, but no row arrived (a ledger without rows never
    /// expires); or its late rows are in quarantine.
    async fn rest_for_a_day(&self, source: &Source) -> Result<Progress, StoreError> {
        let mut transaction = Transaction::new();
        let retry_at = Some(self.now().plus(LEFT_ALONE_MILLIS));
        self.put_source(&mut transaction, &Source { retry_at, ..source.clone() })?;
        self.store.catalog.commit(transaction).await?;
        Ok(Progress::Rest)
    }

    /// Does the parts of a rewrite that no other worker has, and commits the rewrite once all are done.
    async fn drive_rewrite(
        &self,
        source: &Source,
        manifest: &Manifest,
        copy: &Copy,
        budget: &Budget,
    ) -> Result<Progress, StoreError> {
        let ledger = LedgerId::Source(source.id.clone());
        match self.work_through(&ledger, manifest, copy, budget).await? {
            Driven::Partly => Ok(Progress::Rest),
            Driven::Whole(sums) => self.commit_rewrite(source, manifest, copy, sums).await,
            Driven::Failed(failure) => self.give_up_archiving(&source.id, copy, &failure).await,
        }
    }

    async fn commit_rewrite(
        &self,
        source: &Source,
        manifest: &Manifest,
        copy: &Copy,
        sums: Sums,
    ) -> Result<Progress, StoreError> {
        let next = manifest.commit_rewrite(copy.id, sums.tally, sums.bytes, self.now())?;
        if copy.tier == Tier::Cold && source.state == DataState::Available {
            return self.commit_expiry(source, manifest, next, "archived").await;
        }
        let ledger = LedgerId::Source(source.id.clone());
        let mut transaction = Transaction::new();
        transaction.swap(&ledger, manifest, next)?;
        if copy.tier == Tier::Hot {
            // If the source is started before it expires, the compactor has these runs to merge.
            self.add_mark(&mut transaction, &ledger, self.now());
        }
        self.store.catalog.commit(transaction).await?;
        Ok(Progress::GoOn)
    }

    /// The commit point of expiry. It decides again whether the source is due. The transaction is conditional on the
    /// source's item, so that a start, a new holder or a restore in between wins.
    async fn commit_expiry(
        &self,
        source: &Source,
        old: &Manifest,
        new: Manifest,
        detail: &str,
    ) -> Result<Progress, StoreError> {
        let now = self.now();
        if source.decide(&self.settings.retention, now) != Decision::Due {
            return Ok(Progress::GoOn);
        }
        let ledger = LedgerId::Source(source.id.clone());
        let mut source = source.clone();
        if breaks::is(Break::ExpiresTheHeld)
            && let Some(found) = self.store.catalog.source(&source.id).await?
        {
            (source.version, source.holders) = (found.version, found.holders);
        }
        let rows: u64 = new.runs.iter().map(|run| run.tally.rows).sum();
        let mut transaction = Transaction::new();
        transaction.swap(&ledger, old, new.expired(now))?;
        let expired = Source {
            state: DataState::Expired,
            archived_at: Some(now),
            archived_rows: Some(rows),
            late_since: Some(now),
            retry_at: None,
            updated_at: now,
            ..source.clone()
        };
        self.put_source(&mut transaction, &expired)?;
        self.record(&mut transaction, &source.id, "expired", "sweeper", Some(detail.to_owned()))?;
        match self.store.catalog.commit(transaction).await {
            Err(StoreError::Conflict) if breaks::is(Break::ReappliesLostSwaps) => {
                let found = self.store.catalog.source(&source.id).await?;
                let source = Source { version: found.map_or(0, |s| s.version), ..source.clone() };
                let old =
                    Manifest { version: self.store.catalog.manifest(&ledger).await?.version, ..old.clone() };
                Box::pin(self.commit_expiry(&source, &old, new, detail)).await
            }
            other => other.map(|()| {
                count!(RowsSwept = rows);
                Progress::Expired
            }),
        }
    }

    /// Ends an archiving that failed for good. The data stays as it is, and the sweeper tries again in a day.
    async fn give_up_archiving(
        &self,
        id: &SourceId,
        copy: &Copy,
        failure: &Failure,
    ) -> Result<Progress, StoreError> {
        let end = |transaction: &mut Transaction, source: Option<&Source>, manifest: &Manifest| {
            let Some(source) = source else { return Ok(None) };
            let retry_at = Some(self.now().plus(LEFT_ALONE_MILLIS));
            self.put_source(transaction, &Source { retry_at, ..source.clone() })?;
            let detail = Some(failure.reason.clone());
            self.record(transaction, id, "archiving_failed", "sweeper", detail)?;
            Ok(Some(manifest.abandon(self.now(), |c| c.id == copy.id)))
        };
        self.give_up(&LedgerId::Source(id.clone()), copy, failure, end).await?;
        Ok(Progress::Rest)
    }
}
