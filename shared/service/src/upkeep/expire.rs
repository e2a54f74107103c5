//! Expiring: what is in the inbox and in hot runs becomes one cold run, and the hot copies go.
//!
//! Each step is decided from what is stored, so that another invocation, or another sweeper, goes on where this one was.

use crate::{
    app::Rekindle,
    budget::Budget,
    ledger::{Bite, Driven, LEFT_ALONE_MILLIS},
    metrics::count,
    retry::until_won,
};
use rekindle_domain::{
    breaks::{self, Break},
    id::{LedgerId, SourceId},
    manifest::{Copy, DataState, Life, Manifest, Run, Tier},
    source::{Decision, Source},
    tally::Tally,
};
use rekindle_store::{StoreError, catalog::Transaction};

/// How far a step got.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// There is more to do at once.
    GoOn,
    /// Nothing to do, or others have it in hand.
    Rest,
    /// The data is now expired.
    Expired,
}

impl Rekindle {
    /// Brings a source that is due, or whose late rows are, one step further.
    ///
    /// # Errors
    /// [`StoreError`]: nothing is lost and the next sweep tries again. What does not verify is in quarantine before
    /// this returns `Ok`.
    pub async fn expire_step(&self, id: &SourceId, budget: &Budget) -> Result<Progress, StoreError> {
        let ledger = LedgerId::Source(id.clone());
        let Some(source) = self.store.catalog.source(id).await? else {
            return Ok(Progress::Rest);
        };
        let manifest = self.store.catalog.manifest(&ledger).await?;
        if manifest.state != source.state {
            // A restore or an expiry came between the two reads, and what follows swaps the manifest alone.
            return Err(StoreError::Conflict);
        }
        if let Some(copy) = manifest.clearing.filter(|_| manifest.quarantine.is_none()) {
            self.clear(&ledger, copy).await?;
            return Ok(Progress::GoOn);
        }
        if !self.is_wanted(&source) {
            // A hot one is the compactor's, or as good: it finishes it, or housekeeping dooms it.
            if manifest.staged_rewrite().is_some_and(|c| c.tier == Tier::Cold) {
                self.abandon_rewrite(&ledger).await?;
            }
            return Ok(Progress::Rest);
        }
        match manifest.staged_rewrite().cloned() {
            Some(copy) => self.drive_rewrite(&source, &manifest, &copy, budget).await,
            None => self.plan(&source, &manifest).await,
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

    /// Decides what to rewrite next, or that everything lies cold and the hot copies may go.
    async fn plan(&self, source: &Source, manifest: &Manifest) -> Result<Progress, StoreError> {
        let ledger = LedgerId::Source(source.id.clone());
        let sizes = &self.settings.sizes;
        // In quarantine a committed rewrite's blocks stay, so that the inbox offers nothing that may be taken: what is
        // suspect is archived without it, and its rows count as late.
        let bite = if manifest.clearing.is_some() {
            Bite::nothing()
        } else {
            let listed = self.store.ledger.list_inbox(&ledger, sizes.inbox_keys + 1, sizes.inbox_bytes);
            Bite::of(listed.await?, sizes)
        };
        let hot_only: Vec<&Run> = manifest.runs_without(Tier::Cold).collect();
        if source.state == DataState::Expired {
            if manifest.clearing.is_some() {
                return self.rest_for_a_day(source).await;
            }
            if bite.is_empty() {
                return self.rest_late(source).await;
            }
            let runs = if manifest.runs.len() >= sizes.cold_runs {
                all_but_largest(&manifest.runs.iter().collect::<Vec<_>>())
            } else {
                Vec::new()
            };
            self.stage_rewrite(&ledger, manifest, Tier::Cold, &runs, &bite).await?;
            return Ok(Progress::GoOn);
        }
        if !bite.is_all {
            // More than one rewrite can take: fold a bite into a hot run, or merge those first.
            if hot_only.len() >= sizes.hot_runs {
                let runs = all_but_largest(&hot_only);
                self.stage_rewrite(&ledger, manifest, Tier::Hot, &runs, &Bite::nothing()).await?;
            } else {
                self.stage_rewrite(&ledger, manifest, Tier::Hot, &[], &bite).await?;
            }
            return Ok(Progress::GoOn);
        }
        if !hot_only.is_empty() || !bite.is_empty() {
            self.stage_rewrite(&ledger, manifest, Tier::Cold, &hot_only, &bite).await?;
            return Ok(Progress::GoOn);
        }
        if manifest.runs.is_empty() {
            return self.rest_for_a_day(source).await;
        }
        self.commit_expiry(source, manifest, manifest.clone(), "nothing new was uploaded").await
    }

    /// An expired ledger has no late rows. Ingest marks the next ones; since it may be appending some this very moment,
    /// believing that the mark stands, the sweeper looks once more a day after the mark is gone, and then no more.
    async fn rest_late(&self, source: &Source) -> Result<Progress, StoreError> {
        let retry_at = source.late_since.map(|_| self.now().plus(LEFT_ALONE_MILLIS));
        let mut transaction = Transaction::new();
        self.put_source(&mut transaction, &Source { late_since: None, retry_at, ..source.clone() })?;
        self.store.catalog.commit(transaction).await?;
        Ok(Progress::Rest)
    }

    /// Nothing to be done now: marked as having data, but none arrived (a ledger without rows never expires); or late
    /// rows in quarantine.
    async fn rest_for_a_day(&self, source: &Source) -> Result<Progress, StoreError> {
        let mut transaction = Transaction::new();
        let retry_at = Some(self.now().plus(LEFT_ALONE_MILLIS));
        self.put_source(&mut transaction, &Source { retry_at, ..source.clone() })?;
        self.store.catalog.commit(transaction).await?;
        Ok(Progress::Rest)
    }

    /// Does what parts of the rewrite are free, and commits it once all are done.
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
            Driven::Whole(tally, bytes) => self.commit_rewrite(source, manifest, copy, tally, bytes).await,
            Driven::Failed { reason, is_damaged } => {
                self.give_up(&source.id, copy, &reason, is_damaged).await
            }
        }
    }

    async fn commit_rewrite(
        &self,
        source: &Source,
        manifest: &Manifest,
        copy: &Copy,
        tally: Tally,
        bytes: u64,
    ) -> Result<Progress, StoreError> {
        let next = manifest.commit_rewrite(copy.id, tally, bytes, self.now())?;
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

    /// The commit point of expiry. Decides again, now: whoever started, held or restored the source since wins.
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

    /// Archiving failed for good: keep everything as it is, tell people, try again in a day. Only who still finds the
    /// copy staged does so: of several sweepers one, and never for a copy that was given up long ago.
    async fn give_up(
        &self,
        id: &SourceId,
        copy: &Copy,
        reason: &str,
        is_damaged: bool,
    ) -> Result<Progress, StoreError> {
        let ledger = LedgerId::Source(id.clone());
        let notices = until_won!(async {
            let now = self.now();
            let Some(source) = self.store.catalog.source(id).await? else { return Ok(None) };
            let manifest = self.store.catalog.manifest(&ledger).await?;
            if manifest.copy(copy.id).is_none_or(|c| c.life != Life::Staged) {
                return Ok(None);
            }
            let mut next = manifest.abandon(now, |c| c.id == copy.id);
            if is_damaged {
                next = next.quarantined(reason, copy, now);
            }
            let mut transaction = Transaction::new();
            transaction.swap(&ledger, &manifest, next)?;
            let notices = self.trouble_notices(&source, copy.id, reason);
            for notice in &notices {
                transaction.add_notice(notice)?;
            }
            let retry_at = Some(now.plus(LEFT_ALONE_MILLIS));
            self.put_source(&mut transaction, &Source { retry_at, ..source })?;
            self.record(&mut transaction, id, "archiving_failed", "sweeper", Some(reason.to_owned()))?;
            self.store.catalog.commit(transaction).await?;
            Ok(Some(notices))
        })?;
        if let Some(notices) = notices {
            tracing::error!(source.id = %id, error.message = reason, "archiving failed; the data stays where it is");
            count!(WorkGivenUp = 1, Damage = u8::from(is_damaged));
            self.announce(&notices).await;
        }
        Ok(Progress::Rest)
    }
}

/// All but the largest: the small ones that bites and late rows made.
fn all_but_largest<'a>(runs: &[&'a Run]) -> Vec<&'a Run> {
    let largest = runs.iter().max_by_key(|r| r.tally.rows).map(|r| r.id);
    runs.iter().filter(|r| Some(r.id) != largest).copied().collect()
}
