//! Beginning, or once cancelled giving up, the items of a request.

use crate::{app::Rekindle, budget::Budget, retry::until_won};
use rekindle_domain::{
    id::{CopyId, LedgerId, RequestId, SourceId},
    manifest::{Copy, DataState, Life, Manifest, Tier},
    restore::{Beginning, Item, ItemState, Request, begin},
    source::{MAX_WAITING, RestoreOutcome, Source},
};
use rekindle_store::{
    StoreError,
    catalog::{Transaction, Versioned},
    queues::RestoreWork,
};
use std::collections::BTreeSet;

/// How many items of a request are looked at at once.
const ITEMS_PER_PAGE: usize = 50;

impl Rekindle {
    /// Begins (or, once cancelled, gives up) the items of a request. Where the time ends first, the rest is queued.
    pub(super) async fn begin(
        &self,
        id: RequestId,
        mut after: Option<SourceId>,
        budget: &Budget,
    ) -> Result<(), StoreError> {
        let is_whole = after.is_none();
        let Some(request) = self.store.catalog.request(id).await? else { return Ok(()) };
        let mut first_error = None;
        loop {
            let page = self.store.catalog.items(id, after.as_ref(), ITEMS_PER_PAGE).await?;
            for Versioned { value: item, .. } in &page.items {
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
            if page.next.is_none() {
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
        until_won!(async {
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
        let begun = until_won!(async {
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
                until_won!(async {
                    let Some(item) = self.store.catalog.item(request.id, source).await? else {
                        return Ok(());
                    };
                    let failed = item.value.ended(&RestoreOutcome::Failed { error: error.to_string() });
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
        let expires_at = source.expires_at(&self.settings.retention);
        match begin(&source, asked.tag.is_some(), request) {
            Beginning::Settle => self.settle(id).await,
            Beginning::WaitsAlready => Ok(()),
            Beginning::NothingToRestore => {
                let ended = Item { state: ItemState::NothingToRestore, ..item.value.clone() };
                self.end_item(Transaction::new(), request, item, ended).await
            }
            Beginning::AlreadyAvailable => {
                let ended = Item { state: ItemState::AlreadyAvailable, expires_at, ..item.value.clone() };
                self.end_item(Transaction::new(), request, item, ended).await
            }
            Beginning::TooManyWaiting => {
                let error = format!(
                    "{MAX_WAITING} requests wait for this restore already; ask again when it is done"
                );
                let ended = item.value.ended(&RestoreOutcome::Failed { error });
                self.end_item(Transaction::new(), request, item, ended).await
            }
            Beginning::RenewClock => self.renew_clock(request, item, source).await,
            Beginning::Join => self.join_restore(request, &item, source).await,
            Beginning::Start => self.start_restore(request, &item, source).await,
        }
    }

    /// The data is available: its clock begins anew, and the item ends.
    async fn renew_clock(
        &self,
        request: RequestId,
        item: Versioned<Item>,
        source: Source,
    ) -> Result<(), StoreError> {
        let now = self.now();
        let renewed = Source { restored_at: Some(now), updated_at: now, ..source };
        let expires_at = renewed.expires_at(&self.settings.retention);
        let ended = Item { state: ItemState::AlreadyAvailable, expires_at, ..item.value.clone() };
        let mut transaction = Transaction::new();
        self.put_source(&mut transaction, &renewed)?;
        self.record(&mut transaction, &renewed.id, "clock_restarted", "restorer", None)?;
        self.end_item(transaction, request, item, ended).await
    }

    /// The request waits for the restore that is under way.
    async fn join_restore(
        &self,
        request: RequestId,
        item: &Versioned<Item>,
        mut source: Source,
    ) -> Result<(), StoreError> {
        let manifest = self.store.catalog.manifest(&LedgerId::Source(source.id.clone())).await?;
        source.waiting.insert(request);
        let mut transaction = Transaction::new();
        self.put_source(&mut transaction, &source)?;
        self.put_restoring(&mut transaction, request, item, &manifest)?;
        self.store.catalog.commit(transaction).await
    }

    /// The source's restore begins: a hot copy of each run is staged, and a message for each of their parts is queued.
    async fn start_restore(
        &self,
        request: RequestId,
        item: &Versioned<Item>,
        source: Source,
    ) -> Result<(), StoreError> {
        let ledger = LedgerId::Source(source.id.clone());
        let manifest = self.store.catalog.manifest(&ledger).await?;
        let next = self.stage_restore(&manifest);
        let work = restore_parts(&source.id, &next);
        let now = self.now();
        let restoring = Source {
            state: DataState::Restoring,
            waiting: BTreeSet::from([request]),
            redrives: 0,
            retry_at: Some(now.plus(self.settings.lease_millis)),
            updated_at: now,
            ..source
        };
        let mut transaction = Transaction::new();
        self.put_source(&mut transaction, &restoring)?;
        self.put_restoring(&mut transaction, request, item, &manifest)?;
        self.record(&mut transaction, &restoring.id, "restore_started", "restorer", None)?;
        transaction.swap(&ledger, &manifest, next)?;
        self.store.catalog.commit(transaction).await?;
        self.store.queues.send_restores(&work).await
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
                let ledger = LedgerId::Source(id.clone());
                let manifest = self.store.catalog.manifest(&ledger).await?;
                let next =
                    self.stop_restore(&mut transaction, &mut left, &manifest, "restore_cancelled", None)?;
                transaction.swap(&ledger, &manifest, next)?;
            }
            self.put_source(&mut transaction, &left)?;
        } else if item.value.state == ItemState::Restoring {
            // It has just ended; the source tells this request how.
            return self.settle(id).await;
        }
        let ended = Item { state: ItemState::Cancelled, ..item.value.clone() };
        self.end_item(transaction, request, item, ended).await
    }
}

/// A message for each part of each staged copy.
fn restore_parts(source: &SourceId, manifest: &Manifest) -> Vec<RestoreWork> {
    let parts = |copy: &Copy| {
        let id = copy.id;
        (0..copy.slots.count()).map(move |slot| RestoreWork::Part { source: source.clone(), copy: id, slot })
    };
    manifest.staged_copies().flat_map(parts).collect()
}
