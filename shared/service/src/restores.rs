//! Restoring: requests, the restore of each source, its parts, and telling the requests how it ended.

use crate::{
    Rekindle,
    metrics::count,
    parts::{Outcome as PartOutcome, Worker},
    sweep::Budget,
};
use rekindle_domain::{
    breaks::{self, Break},
    id::{CopyId, LedgerId, RequestId, SourceId},
    manifest::{Copy, DataState, Life, Manifest, Tier},
    part::Part,
    restore::{Item, ItemState, Notice, Request, Subject},
    source::{MAX_REDRIVES, MAX_WAITING, Outcome, Settlement, Source},
};
use rekindle_store::{
    StoreError,
    catalog::{Transaction, Versioned},
    queues::RestoreWork,
};
use std::collections::{BTreeMap, BTreeSet};

/// How many items of a request are looked at at once.
const ITEMS_PER_PAGE: usize = 50;

impl Rekindle {
    /// Does what a message of the restores queue says.
    ///
    /// # Errors
    /// [`StoreError`]: not done, and to be delivered again.
    pub async fn restore_work(&self, work: &RestoreWork, budget: &Budget) -> Result<(), StoreError> {
        match work {
            RestoreWork::Begin { request, after } => self.begin(*request, after.clone(), budget).await,
            RestoreWork::Part { source, copy, slot } => self.restore_part(source, *copy, *slot).await,
        }
    }

    /// Begins (or, once cancelled, gives up) the items of a request. Where the time ends first, the rest is queued.
    pub(crate) async fn begin(
        &self,
        id: RequestId,
        mut after: Option<SourceId>,
        budget: &Budget,
    ) -> Result<(), StoreError> {
        let is_whole = after.is_none();
        let Some(request) = self.store.catalog.request(id).await? else { return Ok(()) };
        let mut first_error = None;
        loop {
            let (items, more) = self.store.catalog.items(id, after.as_ref(), ITEMS_PER_PAGE).await?;
            for Versioned { value: item, .. } in &items {
                if budget.is_spent(self.now()) {
                    return self
                        .store
                        .queues
                        .send_restores(&[RestoreWork::Begin { request: id, after }])
                        .await;
                }
                if !item.state.is_final()
                    && let Err(error) = self.begin_item(&request, &item.source).await
                {
                    tracing::warn!(restore.id = %id, source.id = %item.source, error.message = %error, "an item did not begin");
                    first_error.get_or_insert(error);
                }
                after = Some(item.source.clone());
            }
            if !more {
                break;
            }
        }
        match first_error {
            Some(error) => Err(error),
            None if is_whole => self.all_begun(id, request.is_cancelled).await,
            // The sweeper queues the request again, and a walk over all of it says that nothing was left out.
            None => Ok(()),
        }
    }

    /// Every item was begun, or, if it was cancelled when the walk over them began, given up.
    async fn all_begun(&self, id: RequestId, is_cancelled: bool) -> Result<(), StoreError> {
        until_won!({
            let Some(request) = self.store.catalog.request(id).await? else { return Ok(()) };
            if request.is_cancelled != is_cancelled || (request.begun && request.look_at.is_none()) {
                return Ok(());
            }
            let mut transaction = Transaction::new();
            transaction.put_request(&Request { begun: true, look_at: None, ..request })?;
            self.store.catalog.commit(transaction).await
        })
    }

    async fn begin_item(&self, request: &Request, source: &SourceId) -> Result<(), StoreError> {
        let begun = until_won!({
            if request.is_cancelled {
                self.cancel_item(request.id, source).await
            } else {
                self.start_item(request, source).await
            }
        });
        match begun {
            // One that cannot be read must not hold up its neighbours.
            Err(error) if !error.is_transient() => {
                tracing::error!(restore.id = %request.id, source.id = %source, error.message = %error, "a restore could not begin");
                until_won!({
                    let Some(item) = self.store.catalog.item(request.id, source).await? else {
                        return Ok(());
                    };
                    let failed = item.value.ended(&Outcome::Failed { error: error.to_string() });
                    self.end_item(Transaction::new(), request.id, item, failed).await
                })
            }
            other => other,
        }
    }

    /// Begins one item: its source's restore, or joining the one that runs, or ending at once.
    async fn start_item(&self, asked: &Request, id: &SourceId) -> Result<(), StoreError> {
        let request = asked.id;
        let Some(item) = self.store.catalog.item(request, id).await? else {
            return Ok(());
        };
        let Some(source) = self.store.catalog.source(id).await? else {
            return Ok(());
        };
        if item.value.state.is_final() {
            return Ok(());
        }
        if source.settling.iter().any(|s| s.request == request) {
            // Its restore has ended, and this request is about to be told how.
            return self.settle(id).await;
        }
        let ledger = LedgerId::Source(id.clone());
        let manifest = self.store.catalog.manifest(&ledger).await?;
        let mut transaction = Transaction::new();
        match source.state {
            DataState::Available if !source.has_data => {
                let ended = Item { state: ItemState::NothingToRestore, ..item.value.clone() };
                self.end_item(transaction, request, item, ended).await
            }
            // Who asks by a tag means what is expired, and need not know what else carries it.
            DataState::Available if asked.tag.is_some() => {
                let expires_at = source.expires_at(&self.settings.retention);
                let ended = Item { state: ItemState::AlreadyAvailable, expires_at, ..item.value.clone() };
                self.end_item(transaction, request, item, ended).await
            }
            DataState::Available => {
                let now = self.now();
                let renewed = Source { restored_at: Some(now), updated_at: now, ..source };
                let ended = Item {
                    state: ItemState::AlreadyAvailable,
                    expires_at: renewed.expires_at(&self.settings.retention),
                    ..item.value.clone()
                };
                self.put_source(&mut transaction, &renewed)?;
                self.record(&mut transaction, id, "clock_restarted", "restorer", None)?;
                self.end_item(transaction, request, item, ended).await
            }
            DataState::Restoring if source.waiting.contains(&request) => Ok(()),
            DataState::Restoring if source.waiting.len() >= MAX_WAITING => {
                let error = format!(
                    "{MAX_WAITING} requests wait for this restore already; ask again when it is done"
                );
                let ended = item.value.ended(&Outcome::Failed { error });
                self.end_item(transaction, request, item, ended).await
            }
            DataState::Restoring => {
                let mut joined = source;
                joined.waiting.insert(request);
                self.put_source(&mut transaction, &joined)?;
                self.put_restoring(&mut transaction, request, &item, &manifest)?;
                self.store.catalog.commit(transaction).await
            }
            DataState::Expired => {
                let next = self.stage_restore(&manifest);
                let work = restore_parts(id, &next);
                let now = self.now();
                let restoring = Source {
                    state: DataState::Restoring,
                    waiting: BTreeSet::from([request]),
                    redrives: 0,
                    retry_at: Some(now.plus(self.settings.lease_millis)),
                    updated_at: now,
                    ..source
                };
                self.put_source(&mut transaction, &restoring)?;
                self.put_restoring(&mut transaction, request, &item, &manifest)?;
                self.record(&mut transaction, id, "restore_started", "restorer", None)?;
                transaction.swap(&ledger, &manifest, next)?;
                self.store.catalog.commit(transaction).await?;
                self.store.queues.send_restores(&work).await
            }
        }
    }

    /// A hot copy for each run that has none.
    fn stage_restore(&self, manifest: &Manifest) -> Manifest {
        let missing: Vec<_> = manifest.runs_without(Tier::Hot).map(|r| (r.id, r.slots)).collect();
        let since = self.now();
        missing.into_iter().fold(manifest.restoring(), |next, (run, slots)| {
            let id = CopyId(self.new_id());
            next.stage(Copy {
                id,
                run,
                tier: Tier::Hot,
                slots,
                life: Life::Staged,
                since,
                inputs: None,
                bytes: 0,
            })
        })
    }

    fn put_restoring(
        &self,
        transaction: &mut Transaction,
        request: RequestId,
        item: &Versioned<Item>,
        manifest: &Manifest,
    ) -> Result<(), StoreError> {
        let users_total = manifest.tally().users;
        let restoring = Item { state: ItemState::Restoring, users_total, ..item.value.clone() };
        transaction.put_item(request, &restoring, item.version)
    }

    /// Ends an item and counts its request down, with whatever the transaction holds already; who reaches zero writes
    /// the notices.
    async fn end_item(
        &self,
        mut transaction: Transaction,
        request: RequestId,
        item: Versioned<Item>,
        ended: Item,
    ) -> Result<(), StoreError> {
        let now = self.now();
        let Some(before) = self.store.catalog.request(request).await? else {
            return Ok(());
        };
        let after = before.item_ended(ended.state, now);
        transaction.put_item(request, &ended, item.version)?;
        transaction.put_request(&after)?;
        let notices = if after.remaining == 0 { self.restore_notices(&after) } else { Vec::new() };
        for notice in &notices {
            transaction.add_notice(notice)?;
        }
        self.store.catalog.commit(transaction).await?;
        self.announce(&notices).await;
        Ok(())
    }

    fn restore_notices(&self, request: &Request) -> Vec<Notice> {
        if request.is_cancelled {
            return Vec::new();
        }
        let notice = |(i, to): (usize, &String)| {
            let subject = Subject::Restore { request: request.id };
            Notice::new(format!("{}-{i}", request.id), to.clone(), subject, self.now(), self.notice_lease())
        };
        request.notify.iter().enumerate().map(notice).collect()
    }

    /// Detaches a cancelled request from one source. The restore stops when nobody is attached any more.
    async fn cancel_item(&self, request: RequestId, id: &SourceId) -> Result<(), StoreError> {
        let Some(item) = self.store.catalog.item(request, id).await? else {
            return Ok(());
        };
        if item.value.state.is_final() {
            return Ok(());
        }
        let mut transaction = Transaction::new();
        let source = self.store.catalog.source(id).await?;
        if let Some(source) =
            source.filter(|s| s.state == DataState::Restoring && s.waiting.contains(&request))
        {
            let mut left = source;
            left.waiting.remove(&request);
            if left.waiting.is_empty() {
                self.stop_restore(&mut transaction, &mut left, "restore_cancelled", None, None).await?;
            }
            self.put_source(&mut transaction, &left)?;
        } else if item.value.state == ItemState::Restoring {
            // It has just ended; the source tells this request how.
            return self.settle(id).await;
        }
        let ended = Item { state: ItemState::Cancelled, ..item.value.clone() };
        self.end_item(transaction, request, item, ended).await
    }

    /// Takes a restoring source back to expired, as before; with a copy whose input did not verify, into quarantine.
    async fn stop_restore(
        &self,
        transaction: &mut Transaction,
        source: &mut Source,
        event: &str,
        reason: Option<&str>,
        damaged: Option<&Copy>,
    ) -> Result<(), StoreError> {
        let ledger = LedgerId::Source(source.id.clone());
        let manifest = self.store.catalog.manifest(&ledger).await?;
        let now = self.now();
        let mut next = manifest.abandon(now, |c| c.inputs.is_none());
        next.state = DataState::Expired;
        if let (Some(copy), Some(reason)) = (damaged, reason) {
            next = next.quarantined(reason, copy, now);
        }
        transaction.swap(&ledger, &manifest, next)?;
        // Rows may have come late while it was restoring.
        source.late_since = Some(now);
        (source.state, source.retry_at, source.updated_at) = (DataState::Expired, None, now);
        self.record(transaction, &source.id, event, "restorer", reason.map(str::to_owned))
    }

    /// Brings one slot back; who does the last one makes the data available.
    async fn restore_part(&self, id: &SourceId, copy: CopyId, slot: u32) -> Result<(), StoreError> {
        let ledger = LedgerId::Source(id.clone());
        let manifest = self.store.catalog.manifest(&ledger).await?;
        let staged = manifest.copy(copy).filter(|c| c.life == Life::Staged && slot < c.slots.count());
        if let Some(staged) = staged {
            match Worker::new(self, &ledger).work(&manifest, staged, slot).await {
                Ok(PartOutcome::Done) => {}
                // Whoever has it finishes it, or its lease lapses and the sweeper sends it again.
                Ok(PartOutcome::Leased(_)) => return Ok(()),
                Ok(PartOutcome::Exhausted) => {
                    let reason = format!("slot {slot} failed too often");
                    return self.fail_restore(id, staged, &reason, false).await;
                }
                Err(error @ StoreError::Damaged { .. }) => {
                    return self.fail_restore(id, staged, &error.to_string(), true).await;
                }
                Err(other) => return Err(other),
            }
        }
        self.finish_restore(id).await
    }

    /// Makes the data available if every part is done. A worker that finds its part done still tries.
    async fn finish_restore(&self, id: &SourceId) -> Result<(), StoreError> {
        let ledger = LedgerId::Source(id.clone());
        let finished = until_won!({
            let Some(source) = self.store.catalog.source(id).await? else { return Ok(None) };
            let manifest = self.store.catalog.manifest(&ledger).await?;
            if source.state != DataState::Restoring {
                return Ok(None);
            }
            let now = self.now();
            let mut next = manifest.clone();
            for copy in manifest.staged_copies() {
                let bytes = match self.finished(&manifest, copy).await {
                    Ok(Some((_, bytes))) => bytes,
                    Ok(None) => return Ok(None),
                    Err(error @ StoreError::Damaged { .. }) => return Ok(Some((copy.clone(), error))),
                    Err(other) => return Err(other),
                };
                next = next.commit_copy(copy.id, bytes, now)?;
            }
            let mut restored = Source {
                state: DataState::Available,
                restored_at: Some(now),
                updated_at: now,
                retry_at: None,
                late_since: None,
                ..source
            };
            let expires_at = restored.expires_at(&self.settings.retention);
            // Requests are numbered by when they came. There is none where all were given up.
            let asked = restored.waiting.first().map(|request| request.0.timestamp_ms());
            let outcome = Outcome::Restored { expires_at };
            restored.settling.extend(settlements(std::mem::take(&mut restored.waiting), &outcome));
            let rows: u64 = next.runs.iter().map(|run| run.tally.rows).sum();
            let mut transaction = Transaction::new();
            transaction.swap(&ledger, &manifest, next.available())?;
            self.put_source(&mut transaction, &restored)?;
            self.record(&mut transaction, id, "restored", "restorer", None)?;
            // Late rows wait in the inbox, and while the data was expired the compactor took no notice of them.
            self.add_mark(&mut transaction, &ledger, now);
            self.store.catalog.commit(transaction).await?;
            count!(RowsRestored = rows);
            if let Some(asked) = asked {
                count!(RestoreSeconds = (now.0 - asked as i64) as f64 / 1e3);
            }
            Ok(None)
        });
        match finished? {
            Some((copy, error)) => self.fail_restore(id, &copy, &error.to_string(), true).await,
            None => self.settle(id).await,
        }
    }

    /// Ends a restore that cannot succeed: expired as before, nothing deleted, the requests are told why. Only while the
    /// copy that failed is still staged: stale work must not fail a later restore.
    async fn fail_restore(
        &self,
        id: &SourceId,
        copy: &Copy,
        reason: &str,
        is_damaged: bool,
    ) -> Result<(), StoreError> {
        let ledger = LedgerId::Source(id.clone());
        let notices = until_won!({
            let Some(mut source) = self.store.catalog.source(id).await? else { return Ok(None) };
            let manifest = self.store.catalog.manifest(&ledger).await?;
            let is_staged = manifest.copy(copy.id).is_some_and(|c| c.life == Life::Staged);
            if source.state != DataState::Restoring || !is_staged {
                return Ok(None);
            }
            let outcome = Outcome::Failed { error: reason.to_owned() };
            let waiting = std::mem::take(&mut source.waiting);
            source.settling.extend(settlements(waiting, &outcome));
            let notices = self.trouble_notices(&source, copy.id, reason);
            let mut transaction = Transaction::new();
            for notice in &notices {
                transaction.add_notice(notice)?;
            }
            let damaged = is_damaged.then_some(copy);
            self.stop_restore(&mut transaction, &mut source, "restore_failed", Some(reason), damaged).await?;
            self.put_source(&mut transaction, &source)?;
            self.store.catalog.commit(transaction).await?;
            Ok(Some(notices))
        })?;
        if let Some(notices) = notices {
            tracing::error!(source.id = %id, error.message = reason, "a restore failed; the data is expired as before");
            count!(WorkGivenUp = 1, Damage = u8::from(is_damaged));
            self.announce(&notices).await;
        }
        self.settle(id).await
    }

    /// Tells each request how the restore of a source ended: its item, its countdown, and that it was told, in one
    /// transaction each.
    pub(crate) async fn settle(&self, id: &SourceId) -> Result<(), StoreError> {
        loop {
            let is_settled = until_won!({
                let Some(mut source) = self.store.catalog.source(id).await? else {
                    return Ok(true);
                };
                let Some(Settlement { request, outcome }) = source.settling.pop() else {
                    return Ok(true);
                };
                let mut transaction = Transaction::new();
                self.put_source(&mut transaction, &source)?;
                match self.store.catalog.item(request, id).await {
                    Ok(Some(item)) if !item.value.state.is_final() => {
                        let ended = item.value.ended(&outcome);
                        self.end_item(transaction, request, item, ended).await?;
                    }
                    Ok(_) => self.store.catalog.commit(transaction).await?,
                    // A record that cannot be read must not keep the other requests waiting.
                    Err(error) if !error.is_transient() => {
                        tracing::error!(restore.id = %request, source.id = %id, error.message = %error, "a request could not be told how a restore ended");
                        self.store.catalog.commit(transaction).await?;
                    }
                    Err(other) => return Err(other),
                }
                Ok(false)
            })?;
            if is_settled {
                return Ok(());
            }
        }
    }

    /// Drives a restore on: parts that nobody has are queued again, one that cannot succeed fails, one that is done is
    /// finished. The look is counted before anything that may fail, so that the count bounds every failure (L9).
    pub(crate) async fn redrive_restore(&self, source: &Source) -> Result<Option<String>, StoreError> {
        let id = &source.id;
        if breaks::is(Break::NobodyRedrives) {
            return Ok(None);
        }
        let Some(redrives) = self.count_redrive(id).await? else {
            return Ok(Some("restore finished".to_owned()));
        };
        let manifest = self.store.catalog.manifest(&LedgerId::Source(id.clone())).await?;
        if let Some(copy) = manifest.staged_copies().next().filter(|_| redrives > MAX_REDRIVES) {
            self.fail_restore(id, copy, "it was not done in more than a day", false).await?;
            return Ok(Some("restore failed".to_owned()));
        }
        let now = self.now();
        let mut work = Vec::new();
        for copy in manifest.staged_copies() {
            let parts: BTreeMap<u32, Part> = self.store.catalog.parts(copy.id).await?.into_iter().collect();
            if let Some((slot, _)) = parts.iter().find(|(_, part)| part.is_exhausted(now)) {
                self.fail_restore(id, copy, &format!("slot {slot} failed too often"), false).await?;
                return Ok(Some("restore failed".to_owned()));
            }
            let is_free = |slot: &u32| parts.get(slot).is_none_or(|p| p.is_free(now));
            let free = (0..copy.slots.count()).filter(is_free);
            work.extend(free.map(|slot| RestoreWork::Part { source: id.clone(), copy: copy.id, slot }));
        }
        if work.is_empty() {
            self.finish_restore(id).await?;
            return Ok(Some("restore looked at".to_owned()));
        }
        self.store.queues.send_restores(&work).await?;
        Ok(Some(format!("{} parts queued again", work.len())))
    }

    /// Counts a look of the sweeper at a restore, and says when the next is due. Returns the count; `None`: the source is
    /// not being restored.
    async fn count_redrive(&self, id: &SourceId) -> Result<Option<u32>, StoreError> {
        until_won!({
            let source = self.store.catalog.source(id).await?;
            let Some(source) = source.filter(|s| s.state == DataState::Restoring) else { return Ok(None) };
            let redrives = source.redrives + 1;
            let retry_at = Some(self.now().plus(self.settings.lease_millis));
            let mut transaction = Transaction::new();
            self.put_source(&mut transaction, &Source { retry_at, redrives, ..source })?;
            self.store.catalog.commit(transaction).await?;
            Ok(Some(redrives))
        })
    }

    /// Queues a request again whose items were not all begun.
    pub(crate) async fn redrive_request(&self, id: RequestId) -> Result<Option<String>, StoreError> {
        until_won!({
            let Some(request) = self.store.catalog.request(id).await? else {
                return Ok(None);
            };
            if request.look_at.is_none_or(|at| at > self.now()) {
                return Ok(None);
            }
            self.store.queues.send_restores(&[RestoreWork::Begin { request: id, after: None }]).await?;
            let look_at = Some(self.now().plus(self.settings.lease_millis));
            let mut transaction = Transaction::new();
            transaction.put_request(&Request { look_at, ..request })?;
            self.store.catalog.commit(transaction).await?;
            Ok(Some("request queued again".to_owned()))
        })
    }
}

fn settlements(waiting: BTreeSet<RequestId>, outcome: &Outcome) -> impl Iterator<Item = Settlement> {
    waiting.into_iter().map(|request| Settlement { request, outcome: outcome.clone() })
}

/// A message for each part of each staged copy.
fn restore_parts(source: &SourceId, manifest: &Manifest) -> Vec<RestoreWork> {
    let parts = |copy: &Copy| {
        let id = copy.id;
        (0..copy.slots.count()).map(move |slot| RestoreWork::Part { source: source.clone(), copy: id, slot })
    };
    manifest.staged_copies().flat_map(parts).collect()
}
