//! The messages of the restores queue, and the sweeper's look at a restore that its messages did not finish in time.

use crate::{
    app::Rekindle,
    boxed,
    budget::Budget,
    failure::Failure,
    ledger::{PartResult, Worker},
    report::SweepOutcome,
    retry::until_won,
};
use rekindle_domain::{
    breaks::{self, Break},
    id::{CopyId, LedgerId, RequestId, SourceId},
    manifest::{DataState, Life},
    part::Part,
    restore::Request,
    source::{MAX_REDRIVES, Source},
};
use rekindle_store::{StoreError, catalog::Transaction, queues::RestoreWork};
use std::collections::BTreeMap;

impl Rekindle {
    /// Handles a message of the restores queue.
    ///
    /// # Errors
    /// [`StoreError`]: the work was not done, and the message is to be delivered again.
    #[boxed]
    pub async fn restore_work(&self, work: &RestoreWork, budget: &Budget) -> Result<(), StoreError> {
        // Boxed, since the compiler bounds how deep futures are nested.
        match work {
            RestoreWork::Begin { request, after } => {
                Box::pin(self.begin(*request, after.clone(), budget)).await
            }
            RestoreWork::Part { source, copy, slot } => {
                Box::pin(self.restore_part(source, *copy, *slot)).await
            }
        }
    }

    /// Restores one slot. The worker of the last slot makes the data available.
    async fn restore_part(&self, id: &SourceId, copy: CopyId, slot: u32) -> Result<(), StoreError> {
        let ledger = LedgerId::Source(id.clone());
        let manifest = self.store.catalog.manifest(&ledger).await?;
        let staged = manifest.copy(copy).filter(|c| c.life == Life::Staged && slot < c.slots.count());
        if let Some(staged) = staged {
            match Worker::new(self, &ledger).work(&manifest, staged, slot).await {
                Ok(PartResult::Done) => {}
                // Another worker has the part and finishes it; or its lease lapses, and the sweeper queues the part again.
                Ok(PartResult::Leased(_)) => return Ok(()),
                Ok(PartResult::Exhausted) => {
                    let reason = format!("slot {slot} failed too often");
                    return self.fail_restore(id, staged, &Failure::given_up(reason)).await;
                }
                Err(error) => return self.fail_restore(id, staged, &Failure::of(error)?).await,
            }
        }
        self.finish_restore(id).await
    }

    /// Resumes a restore: queues the parts that no worker has, fails a restore that cannot succeed, and finishes one whose
    /// parts are done. The look is counted before anything that may fail, so that the count bounds every failure (L9).
    pub(crate) async fn resume_restore(&self, source: &Source) -> Result<Option<SweepOutcome>, StoreError> {
        let id = &source.id;
        if breaks::is(Break::NobodyRedrives) {
            return Ok(None);
        }
        let Some(redrives) = self.count_redrive(id).await? else {
            return Ok(Some(SweepOutcome::RestoreFinished));
        };
        let manifest = self.store.catalog.manifest(&LedgerId::Source(id.clone())).await?;
        if let Some(copy) = manifest.staged_copies().next().filter(|_| redrives > MAX_REDRIVES) {
            self.fail_restore(id, copy, &Failure::given_up("it was not done in more than a day")).await?;
            return Ok(Some(SweepOutcome::RestoreFailed));
        }
        let now = self.now();
        let mut work = Vec::new();
        for copy in manifest.staged_copies() {
            let parts: BTreeMap<u32, Part> = self.store.catalog.parts(copy.id).await?.into_iter().collect();
            if let Some((slot, _)) = parts.iter().find(|(_, part)| part.is_exhausted(now)) {
                let failure = Failure::given_up(format!("slot {slot} failed too often"));
                self.fail_restore(id, copy, &failure).await?;
                return Ok(Some(SweepOutcome::RestoreFailed));
            }
            let is_free = |slot: &u32| parts.get(slot).is_none_or(|p| p.is_free(now));
            let free = (0..copy.slots.count()).filter(is_free);
            work.extend(free.map(|slot| RestoreWork::Part { source: id.clone(), copy: copy.id, slot }));
        }
        if work.is_empty() {
            self.finish_restore(id).await?;
            return Ok(Some(SweepOutcome::RestoreChecked));
        }
        self.store.queues.send_restores(&work).await?;
        Ok(Some(SweepOutcome::PartsQueued(work.len())))
    }

    /// Counts a look of the sweeper at a restore, and sets the time of the next. Returns the count; `None` if the source
    /// is not being restored.
    async fn count_redrive(&self, id: &SourceId) -> Result<Option<u32>, StoreError> {
        until_won!(async {
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

    /// Queues a request again if not all its items were begun in time.
    pub(crate) async fn resume_request(&self, id: RequestId) -> Result<Option<SweepOutcome>, StoreError> {
        until_won!(async {
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
            Ok(Some(SweepOutcome::RequestQueued))
        })
    }
}
