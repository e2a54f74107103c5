//! The end of a restore: its commit or failure, and the end of each item that waited for it.

use crate::{app::Rekindle, failure::Failure, metrics::count, retry::until_won};
use rekindle_domain::{
    bounds::shared_reason,
    id::{LedgerId, RequestId, SourceId},
    manifest::{Copy, DataState, Manifest},
    notice::{Notice, Subject},
    restore::{Item, Request},
    source::{RestoreOutcome, Settlement, Source},
};
use rekindle_store::{
    StoreError,
    catalog::{Transaction, Versioned},
};
use std::collections::BTreeSet;

impl Rekindle {
    /// Makes the data available if every part is done. Every worker calls this after its part, even if the part was done
    /// already: an earlier worker may have died before this call.
    pub(super) async fn finish_restore(&self, id: &SourceId) -> Result<(), StoreError> {
        let ledger = LedgerId::Source(id.clone());
        let finished = until_won!(async {
            let Some(source) = self.store.catalog.source(id).await? else { return Ok(None) };
            let manifest = self.store.catalog.manifest(&ledger).await?;
            if source.state != DataState::Restoring {
                return Ok(None);
            }
            let now = self.now();
            let mut next = manifest.clone();
            for copy in manifest.staged_copies() {
                let bytes = match self.finished(&manifest, copy).await {
                    Ok(Some(sums)) => sums.bytes,
                    Ok(None) => return Ok(None),
                    Err(error) => return Failure::of(error).map(|failure| Some((copy.clone(), failure))),
                };
                next = next.commit_copy(copy.id, bytes, now)?;
            }
            let mut restored = Source {
                state: DataState::Available,
                restored_at: Some(now),
                updated_at: now,
                retry_at: None,
                late_since: None,
                archived_rows: None,
                ..source.clone()
            };
            let expires_at = restored.expires_at(&self.settings.retention);
            // A request's id begins with its time, so that the first is the oldest. None waits if all were cancelled.
            let asked = restored.waiting.first().map(|request| request.0.timestamp_ms());
            let late_interactions = self.late_interactions(&source, &manifest).await?;
            let outcome = RestoreOutcome::Restored { expires_at, late_interactions };
            restored.settling.extend(settlements(std::mem::take(&mut restored.waiting), &outcome));
            let rows: u64 = next.runs.iter().map(|run| run.tally.rows).sum();
            let mut transaction = Transaction::new();
            transaction.swap(&ledger, &manifest, next.available())?;
            self.put_source(&mut transaction, &restored)?;
            self.record(&mut transaction, id, "restored", "restorer", None)?;
            // Late rows may wait in the inbox: the compactor ignores a ledger whose data is not available.
            self.add_mark(&mut transaction, &ledger, now);
            self.store.catalog.commit(transaction).await?;
            count!(RowsRestored = rows);
            if let Some(asked) = asked {
                count!(RestoreSeconds = (now.0 - asked as i64) as f64 / 1e3);
            }
            Ok(None)
        });
        match finished? {
            Some((copy, failure)) => self.fail_restore(id, &copy, &failure).await,
            None => self.settle(id).await,
        }
    }

    /// How many interactions of a source arrived after its data had expired: the rows that its runs have more than they had then,
    /// and those of the inbox.
    async fn late_interactions(&self, source: &Source, manifest: &Manifest) -> Result<u64, StoreError> {
        let Some(then) = source.archived_rows else { return Ok(0) };
        // Blocks that are still to be cleared are in a run already.
        let waiting = if manifest.clearing.is_some() {
            Vec::new()
        } else {
            let ledger = LedgerId::Source(source.id.clone());
            self.store.ledger.list_inbox(&ledger, usize::MAX, u64::MAX).await?
        };
        let archived = manifest.tally().rows.saturating_sub(then);
        Ok(archived + waiting.iter().map(|entry| entry.rows).sum::<u64>())
    }

    /// Ends a restore that cannot succeed. The source is expired as before, nothing is deleted, and the items of the
    /// requests that waited get the reason.
    pub(super) async fn fail_restore(
        &self,
        id: &SourceId,
        copy: &Copy,
        failure: &Failure,
    ) -> Result<(), StoreError> {
        let end = |transaction: &mut Transaction, source: Option<&Source>, manifest: &Manifest| {
            let Some(source) = source.filter(|s| s.state == DataState::Restoring) else { return Ok(None) };
            let mut source = source.clone();
            let waiting = std::mem::take(&mut source.waiting);
            let error = shared_reason(&failure.reason, waiting.len());
            let outcome = RestoreOutcome::Failed { error };
            source.settling.extend(settlements(waiting, &outcome));
            let detail = Some(failure.reason.clone());
            let next = self.stop_restore(transaction, &mut source, manifest, "restore_failed", detail)?;
            self.put_source(transaction, &source)?;
            Ok(Some(next))
        };
        self.give_up(&LedgerId::Source(id.clone()), copy, failure, end).await?;
        self.settle(id).await
    }

    /// Takes a restoring source back to expired. Returns its manifest without the copies that were being made. The caller
    /// puts both into the transaction.
    pub(super) fn stop_restore(
        &self,
        transaction: &mut Transaction,
        source: &mut Source,
        manifest: &Manifest,
        event: &str,
        detail: Option<String>,
    ) -> Result<Manifest, StoreError> {
        let now = self.now();
        let mut next = manifest.abandon(now, |c| c.inputs.is_none());
        next.state = DataState::Expired;
        // Late rows may have arrived during the restore.
        source.late_since = Some(now);
        (source.state, source.retry_at, source.updated_at) = (DataState::Expired, None, now);
        self.record(transaction, &source.id, event, "restorer", detail)?;
        Ok(next)
    }

    /// Ends the item of each request that waited for the restore of a source. One transaction for each request ends the
    /// item, counts the request down, and removes the request from the source's list.
    pub(crate) async fn settle(&self, id: &SourceId) -> Result<(), StoreError> {
        loop {
            let is_settled = until_won!(async {
                let Some(mut source) = self.store.catalog.source(id).await? else {
                    return Ok(true);
                };
                let Some(Settlement { request, outcome }) = source.settling.pop() else {
                    return Ok(true);
                };
                let popped = || {
                    let mut transaction = Transaction::new();
                    self.put_source(&mut transaction, &source).map(|()| transaction)
                };
                let told = match self.store.catalog.item(request, id).await {
                    Ok(Some(item)) if !item.value.state.is_final() => {
                        let ended = item.value.ended(&outcome);
                        self.end_item(popped()?, request, item, ended).await
                    }
                    Ok(_) => self.store.catalog.commit(popped()?).await,
                    Err(error) => Err(error),
                };
                match told {
                    // A request that cannot be read must not keep the other ones waiting.
                    Err(error @ StoreError::Damaged { .. }) => {
                        tracing::error!(restore.id = %request, source.id = %id, error.message = %error, "a request could not be told how a restore ended");
                        count!(Damage = 1);
                        self.store.catalog.commit(popped()?).await?;
                    }
                    told => told?,
                }
                Ok(false)
            })?;
            if is_settled {
                return Ok(());
            }
        }
    }
}

fn settlements(waiting: BTreeSet<RequestId>, outcome: &RestoreOutcome) -> impl Iterator<Item = Settlement> {
    waiting.into_iter().map(|request| Settlement { request, outcome: outcome.clone() })
}

impl Rekindle {
    /// Ends an item and counts its request down, in a transaction to which the caller may have added more. The call that
    /// ends the last item also writes the notices.
    pub(super) async fn end_item(
        &self,
        mut transaction: Transaction,
        request: RequestId,
        item: Versioned<Item>,
        ended: Item,
    ) -> Result<(), StoreError> {
        let now = self.now();
        let Some(before) = self.store.catalog.request(request).await? else {
            return self.store.catalog.commit(transaction).await;
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
}
