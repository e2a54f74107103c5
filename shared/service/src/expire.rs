//! Expiring: what is in the inbox and in hot runs becomes one cold run, and the hot copies go.
//!
//! Each step is decided from what is stored, so that another invocation, or another sweeper, goes on where this one was.

use crate::{
    Rekindle, Sizes,
    metrics::count,
    parts::{Outcome, Worker},
    sweep::Budget,
};
use rekindle_domain::{
    breaks::{self, Break},
    id::{CopyId, LedgerId, RunId, SourceId},
    manifest::{Copy, DataState, Inputs, Life, Manifest, Run, Tier},
    part::{PartDone, consumed_of},
    restore::{Notice, Subject},
    source::{Decision, Source},
    tally::Tally,
};
use rekindle_store::{
    StoreError,
    catalog::{Transaction, parts::InboxInputs},
    ledger::InboxEntry,
};

/// How long the sweeper leaves data alone that did not verify, or work that failed too often.
pub(crate) const RETRY_MILLIS: i64 = 24 * 60 * 60 * 1000;

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

/// How far a staged rewrite got.
pub(crate) enum Driven {
    /// The time was up, or others have the parts that are left.
    Partly,
    /// Every part is done and verified: what they add up to, and their bytes.
    Whole(Tally, u64),
    /// It cannot be done.
    Failed {
        /// Why, for people.
        reason: String,
        /// Whether what it read does not verify.
        is_damaged: bool,
    },
}

/// What the inbox offers one rewrite.
pub(crate) struct Bite {
    entries: Vec<InboxEntry>,
    /// Whether that is the whole inbox.
    pub(crate) is_all: bool,
}

impl Bite {
    pub(crate) const fn nothing() -> Self {
        Self { entries: Vec::new(), is_all: true }
    }

    pub(crate) fn of(listed: Vec<InboxEntry>, sizes: &Sizes) -> Self {
        let mut bytes = 0;
        let count = listed.len();
        let fits = |e: &InboxEntry| {
            bytes += e.bytes;
            bytes <= sizes.inbox_bytes
        };
        let entries: Vec<InboxEntry> = listed.into_iter().take(sizes.inbox_keys).take_while(fits).collect();
        Self { is_all: entries.len() == count, entries }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn rows(&self) -> u64 {
        self.entries.iter().map(|e| e.rows).sum()
    }

    fn bytes(&self) -> u64 {
        self.entries.iter().map(|e| e.bytes).sum()
    }
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

    /// Deletes the inbox blocks that a committed rewrite took, exactly these, and says so.
    pub(crate) async fn clear(&self, ledger: &LedgerId, copy: CopyId) -> Result<(), StoreError> {
        let mut keys = self.store.catalog.inputs(copy).await?.keys;
        if breaks::is(Break::ClearsTheWholeInbox) {
            let all = self.store.ledger.list_inbox(ledger, usize::MAX, u64::MAX).await?;
            keys = all.into_iter().map(|e| e.key).collect();
        }
        self.store.ledger.delete_inbox(ledger, &keys).await?;
        until_won!({
            let manifest = self.store.catalog.manifest(ledger).await?;
            if manifest.clearing != Some(copy) || manifest.quarantine.is_some() {
                return Ok(());
            }
            self.swap(ledger, &manifest, manifest.cleared(copy)).await.map(drop)
        })
    }

    pub(crate) async fn swap(
        &self,
        ledger: &LedgerId,
        old: &Manifest,
        new: Manifest,
    ) -> Result<Manifest, StoreError> {
        let mut transaction = Transaction::new();
        let new = transaction.swap(ledger, old, new)?;
        self.store.catalog.commit(transaction).await?;
        Ok(new)
    }

    async fn abandon_rewrite(&self, ledger: &LedgerId) -> Result<(), StoreError> {
        until_won!({
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
            if bite.entries.is_empty() {
                return self.rest_late(source).await;
            }
            let runs = if manifest.runs.len() >= sizes.cold_runs {
                all_but_largest(&manifest.runs.iter().collect::<Vec<_>>())
            } else {
                Vec::new()
            };
            return self.stage_rewrite(&ledger, manifest, Tier::Cold, &runs, &bite).await;
        }
        if !bite.is_all {
            // More than one rewrite can take: fold a bite into a hot run, or merge those first.
            return if hot_only.len() >= sizes.hot_runs {
                let runs = all_but_largest(&hot_only);
                self.stage_rewrite(&ledger, manifest, Tier::Hot, &runs, &Bite::nothing()).await
            } else {
                self.stage_rewrite(&ledger, manifest, Tier::Hot, &[], &bite).await
            };
        }
        if !hot_only.is_empty() || !bite.entries.is_empty() {
            return self.stage_rewrite(&ledger, manifest, Tier::Cold, &hot_only, &bite).await;
        }
        if manifest.runs.is_empty() {
            return self.rest_for_a_day(source).await;
        }
        self.commit_expiry(source, manifest, manifest.clone(), "nothing new was uploaded").await
    }

    /// An expired ledger has no late rows. Ingest marks the next ones; since it may be appending some this very moment,
    /// believing that the mark stands, the sweeper looks once more a day after the mark is gone, and then no more.
    async fn rest_late(&self, source: &Source) -> Result<Progress, StoreError> {
        let retry_at = source.late_since.map(|_| self.now().plus(RETRY_MILLIS));
        let mut transaction = Transaction::new();
        self.put_source(&mut transaction, &Source { late_since: None, retry_at, ..source.clone() })?;
        self.store.catalog.commit(transaction).await?;
        Ok(Progress::Rest)
    }

    /// Nothing to be done now: marked as having data, but none arrived (a ledger without rows never expires); or late
    /// rows in quarantine.
    async fn rest_for_a_day(&self, source: &Source) -> Result<Progress, StoreError> {
        let mut transaction = Transaction::new();
        let retry_at = Some(self.now().plus(RETRY_MILLIS));
        self.put_source(&mut transaction, &Source { retry_at, ..source.clone() })?;
        self.store.catalog.commit(transaction).await?;
        Ok(Progress::Rest)
    }

    /// Fixes the inputs and lists the copy, at once, and only then lets anybody write a byte of it.
    pub(crate) async fn stage_rewrite(
        &self,
        ledger: &LedgerId,
        manifest: &Manifest,
        tier: Tier,
        runs: &[&Run],
        bite: &Bite,
    ) -> Result<Progress, StoreError> {
        let id = CopyId(self.new_id());
        let mut transaction = Transaction::new();
        if !bite.entries.is_empty() {
            let keys = bite.entries.iter().map(|e| e.key).collect();
            transaction.add_inputs(id, &InboxInputs { keys, rows: bite.rows() });
        }
        let rows = bite.rows() + runs.iter().map(|r| r.tally.rows).sum::<u64>();
        let lies =
            |r: &&Run| manifest.copies.iter().filter(|c| c.run == r.id).map(|c| c.bytes).max().unwrap_or(0);
        let bytes = bite.bytes() + runs.iter().map(lies).sum::<u64>();
        let inputs =
            Inputs { runs: runs.iter().map(|r| r.id).collect(), inbox_blocks: bite.entries.len() as u32 };
        let copy = Copy {
            id,
            run: RunId(self.new_id()),
            tier,
            slots: self.settings.sizes.slot.bits_for(rows, bytes),
            life: Life::Staged,
            since: self.now(),
            inputs: Some(inputs),
            bytes: 0,
        };
        transaction.swap(ledger, manifest, manifest.stage(copy))?;
        self.store.catalog.commit(transaction).await?;
        Ok(Progress::GoOn)
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

    /// Does what parts of a rewrite are free.
    pub(crate) async fn work_through(
        &self,
        ledger: &LedgerId,
        manifest: &Manifest,
        copy: &Copy,
        budget: &Budget,
    ) -> Result<Driven, StoreError> {
        let damaged = |error: StoreError| Driven::Failed { reason: error.to_string(), is_damaged: true };
        let mut worker = Worker::new(self, ledger);
        let mut all_done = true;
        for slot in 0..copy.slots.count() {
            if budget.is_spent(self.now()) {
                return Ok(Driven::Partly);
            }
            match worker.work(manifest, copy, slot).await {
                Ok(Outcome::Done) => {}
                Ok(Outcome::Leased(_)) => all_done = false,
                Ok(Outcome::Exhausted) => {
                    let reason = format!("slot {slot} of copy {} failed too often", copy.id);
                    return Ok(Driven::Failed { reason, is_damaged: false });
                }
                Err(error @ StoreError::Damaged { .. }) => return Ok(damaged(error)),
                Err(other) => return Err(other),
            }
        }
        if !all_done {
            return Ok(Driven::Partly);
        }
        let (tally, bytes) = match self.finished(manifest, copy).await {
            Ok(None) => return Ok(Driven::Partly),
            Ok(Some(sums)) => sums,
            Err(error @ StoreError::Damaged { .. }) => return Ok(damaged(error)),
            Err(other) => return Err(other),
        };
        if breaks::is(Break::ClearsBeforeTheCommit)
            && copy.inputs.as_ref().is_some_and(|i| i.inbox_blocks > 0)
        {
            let taken = self.store.catalog.inputs(copy.id).await?;
            self.store.ledger.delete_inbox(ledger, &taken.keys).await?;
        }
        Ok(Driven::Whole(tally, bytes))
    }

    /// What a copy adds up to and its size, once every part of it is done and verified (L4), compared with what went
    /// in (L5). `None`: not every part is done.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if the sums differ.
    pub(crate) async fn finished(
        &self,
        manifest: &Manifest,
        copy: &Copy,
    ) -> Result<Option<(Tally, u64)>, StoreError> {
        let parts = self.store.catalog.parts(copy.id).await?;
        let done: Vec<PartDone> = parts.into_iter().filter_map(|(_, p)| p.done).collect();
        if done.len() != copy.slots.count() as usize && !breaks::is(Break::CommitsHalfRestores) {
            return Ok(None);
        }
        let tally = Tally::sum(done.iter().map(|p| &p.tally));
        if breaks::is(Break::VerifiesNothing) || breaks::is(Break::IgnoresFailedSums) {
            return Ok(Some((tally, done.iter().map(|p| p.bytes).sum())));
        }
        let what = || format!("copy {} of run {}", copy.id, copy.run);
        let expected = |run: &RunId| manifest.run(*run).map(|r| (r.tally.rows, r.tally.digest));
        let runs = copy.inputs.as_ref().map_or_else(|| vec![copy.run], |i| i.runs.clone());
        if let Some(run) = runs.iter().find(|r| expected(r) != Some(consumed_of(&done, **r))) {
            return Err(StoreError::damaged(what(), format!("its input run {run} was not read whole")));
        }
        match &copy.inputs {
            Some(inputs) if inputs.inbox_blocks > 0 => {
                let rows = self.store.catalog.inputs(copy.id).await?.rows;
                if rows != done.iter().map(|p| p.inbox_rows).sum::<u64>() {
                    return Err(StoreError::damaged(what(), "its inbox blocks were not read whole"));
                }
            }
            Some(_) => {}
            None if manifest.run(copy.run).is_some_and(|r| r.tally.same_rows(&tally)) => {}
            None => return Err(StoreError::damaged(what(), "its digest is not the run's")),
        }
        Ok(Some((tally, done.iter().map(|p| p.bytes).sum())))
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
        let notices = until_won!({
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
            let retry_at = Some(now.plus(RETRY_MILLIS));
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

    /// One notice for each address of the source and of the stack, about work on a copy that failed.
    pub(crate) fn trouble_notices(&self, source: &Source, copy: CopyId, reason: &str) -> Vec<Notice> {
        let subject = Subject::Trouble { source: source.id.clone(), reason: reason.to_owned() };
        let notice = |(i, to): (usize, String)| {
            Notice::new(format!("{copy}-{i}"), to, subject.clone(), self.now(), self.notice_lease())
        };
        self.recipients(source).into_iter().enumerate().map(notice).collect()
    }
}

/// All but the largest: the small ones that bites and late rows made.
fn all_but_largest<'a>(runs: &[&'a Run]) -> Vec<&'a Run> {
    let largest = runs.iter().max_by_key(|r| r.tally.rows).map(|r| r.id);
    runs.iter().filter(|r| Some(r.id) != largest).copied().collect()
}
