//! Beginning the items of a restore request, or cancelling them if the request was cancelled.

use crate::{app::Rekindle, budget::Budget, retry::until_won};
use rekindle_domain::{
    bounds::shared_reason,
    id::{CopyId, LedgerId, RequestId, SourceId},
    manifest::{Copy, DataState, Life, Manifest, Tier},
    restore::{Beginning, Item, ItemState, Request, begin},
    source::{MAX_WAITING, RestoreOutcome, Source},
    time::DAY_MILLIS,
};
use rekindle_store::{
    StoreError,
    catalog::{Transaction, Versioned},
    queues::RestoreWork,
};
use std::collections::BTreeSet;

/// The number of items of a request that are read together.
const ITEMS_PER_PAGE: usize = 50;

/// How long an item waits for room in the manifest of its source, in milliseconds.
const MAX_WAIT_MILLIS: i64 = DAY_MILLIS;

/// The reason for which an item fails that waited that long.
const NO_ROOM: &str = "for a day there was no room for another copy of its data: copies that are not needed any more were not deleted, as in quarantine; nothing is lost, and a restore that is asked for later may succeed";

/// How far the beginning of an item came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    /// The item was begun, or has ended.
    Done,
    /// The item is queued as before, until its source's manifest has room for further copies.
    Waits,
}

impl Rekindle {
    /// Begins the items of a request, or cancels them if the request was cancelled. If the time is up first, a message
    /// for the rest is queued.
    pub(super) async fn begin(
        &self,
        id: RequestId,
        mut after: Option<SourceId>,
        budget: &Budget,
    ) -> Result<(), StoreError> {
        let is_whole = after.is_none();
        let Some(request) = self.store.catalog.request(id).await? else { return Ok(()) };
        let (mut first_error, mut waits) = (None, false);
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
                if !item.state.is_final() {
                    match self.begin_item(&request, &item.source).await {
                        Ok(Step::Done) => {}
                        Ok(Step::Waits) => waits = true,
                        Err(error) => {
                            tracing::warn!(restore.id = %id, source.id = %item.source, error.message = %error, "an item did not begin");
                            first_error.get_or_insert(error);
                        }
                    }
                }
                after = Some(item.source.clone());
            }
            if page.next.is_none() {
                break;
            }
        }
        match first_error {
            Some(error) => Err(error),
            // The request keeps its time in the `wake` index, at which the sweeper queues it again.
            None if waits => Ok(()),
            None if is_whole => self.all_begun(id, request.is_cancelled).await,
            // This walk began in the middle. The sweeper queues the request again, and a walk from the first item on
            // records that none was left out.
            None => Ok(()),
        }
    }

    /// Records that every item was begun; or cancelled, if the request was cancelled when the walk over its items began.
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

    async fn begin_item(&self, request: &Request, source: &SourceId) -> Result<Step, StoreError> {
        let begun = until_won!(async {
            if request.is_cancelled {
                self.cancel_item(request.id, source).await.map(|()| Step::Done)
            } else {
                self.start_item(request, source).await
            }
        });
        match begun {
            // An item that cannot be read must not hold up the others.
            Err(error) if !error.is_transient() => {
                tracing::error!(restore.id = %request.id, source.id = %source, error.message = %error, "a restore could not begin");
                until_won!(async {
                    let Some(item) = self.store.catalog.item(request.id, source).await? else {
                        return Ok(Step::Done);
                    };
                    let error = shared_reason(&error.to_string(), 1);
                    let failed = item.value.ended(&RestoreOutcome::Failed { error });
                    self.end_item(Transaction::new(), request.id, item, failed).await.map(|()| Step::Done)
                })
            }
            other => other,
        }
    }

    /// Begins one item: starts a restore of its source, joins the restore that is under way, or ends the item at once.
    async fn start_item(&self, asked: &Request, id: &SourceId) -> Result<Step, StoreError> {
        let request = asked.id;
        let Some(item) = self.store.catalog.item(request, id).await? else {
            return Ok(Step::Done);
        };
        if item.value.state.is_final() {
            return Ok(Step::Done);
        }
        let Some(source) = self.store.catalog.source(id).await? else {
            let error = format!("{id} was deleted");
            let failed = item.value.ended(&RestoreOutcome::Failed { error });
            return self.end_item(Transaction::new(), request, item, failed).await.map(|()| Step::Done);
        };
        let expires_at = source.expires_at(&self.settings.retention);
        let ended = match begin(&source, asked.tag.is_some(), request) {
            Beginning::Settle => {
                self.settle(id).await?;
                // Decides again: the item has ended, or the restore can start.
                return Err(StoreError::Conflict);
            }
            Beginning::WaitsAlready => return Ok(Step::Done),
            Beginning::RenewClock => {
                return self.renew_clock(request, item, source).await.map(|()| Step::Done);
            }
            Beginning::Join => return self.join_restore(request, &item, source).await.map(|()| Step::Done),
            Beginning::Start => match self.start_restore(request, &item, source).await? {
                Step::Waits if self.now() >= asked.created_at.plus(MAX_WAIT_MILLIS) => {
                    let error = NO_ROOM.to_owned();
                    item.value.ended(&RestoreOutcome::Failed { error })
                }
                step => return Ok(step),
            },
            Beginning::NothingToRestore => Item { state: ItemState::NothingToRestore, ..item.value.clone() },
            Beginning::AlreadyAvailable => {
                Item { state: ItemState::AlreadyAvailable, expires_at, ..item.value.clone() }
            }
            Beginning::TooManyWaiting => {
                let error = format!(
                    "{MAX_WAITING} requests wait for this restore already; ask again when it is done"
                );
                item.value.ended(&RestoreOutcome::Failed { error })
            }
        };
        self.end_item(Transaction::new(), request, item, ended).await.map(|()| Step::Done)
    }

    /// Ends an item whose data is available, and begins the data's retention anew.
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

    /// Adds the request to those that wait for the restore under way.
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

    /// Starts the restore of a source: stages a hot copy of each run that has none, and queues a message for each part.
    /// Changes nothing if the manifest has no room for these copies yet.
    async fn start_restore(
        &self,
        request: RequestId,
        item: &Versioned<Item>,
        source: Source,
    ) -> Result<Step, StoreError> {
        let ledger = LedgerId::Source(source.id.clone());
        let manifest = self.store.catalog.manifest(&ledger).await?;
        if !manifest.has_room(manifest.runs_without(Tier::Hot).count()) {
            tracing::info!(restore.id = %request, source.id = %source.id, "a restore waits until copies that are not needed any more are deleted");
            return Ok(Step::Waits);
        }
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
        self.store.queues.send_restores(&work).await?;
        Ok(Step::Done)
    }

    /// The manifest of a restoring source, with a staged hot copy for each run that has none.
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

    /// Detaches a cancelled request from one source. The restore stops when no request waits for it any more.
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
            // The restore has just ended. Settling the source ends this item.
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
