//! Housekeeping of a ledger's storage: clearing inbox blocks, dooming stalled and retired copies, and deleting the bytes of
//! doomed copies. Only doomed copies are deleted; in quarantine, only those that were never live.

use crate::{app::Rekindle, budget::Budget, retry::until_won};
use rekindle_domain::{
    id::{CopyId, LedgerId},
    manifest::{Copy, GRACE_MILLIS, Life, Tier},
    time::Time,
};
use rekindle_store::{StoreError, ledger::SlotKey};
use std::collections::BTreeSet;

impl Rekindle {
    /// Does the housekeeping of one ledger. Returns the number of copies that were deleted.
    ///
    /// # Errors
    /// [`StoreError`]: the next sweep goes on from there.
    pub(super) async fn housekeep(&self, ledger: &LedgerId, budget: &Budget) -> Result<u32, StoreError> {
        let manifest = self.store.catalog.manifest(ledger).await?;
        if let Some(copy) = manifest.clearing.filter(|_| manifest.quarantine.is_none()) {
            self.clear(ledger, copy).await?;
        }
        self.doom(ledger).await?;
        let manifest = self.store.catalog.manifest(ledger).await?;
        let is_kept = |c: &Copy| manifest.quarantine.is_some() && c.was_live();
        let is_past =
            |c: &&Copy| c.life == Life::Doomed && self.now() >= c.since.plus(GRACE_MILLIS) && !is_kept(c);
        let mut gone = 0;
        for copy in manifest.copies.iter().filter(is_past) {
            if !self.delete_bytes(ledger, copy, budget).await? {
                break;
            }
            until_won!(async {
                let manifest = self.store.catalog.manifest(ledger).await?;
                if manifest.copy(copy.id).is_none() {
                    return Ok(());
                }
                self.swap(ledger, &manifest, manifest.forget(copy.id)).await.map(drop)
            })?;
            gone += 1;
        }
        Ok(gone)
    }

    /// Dooms copies whose grace is over, and renews the grace of staged copies whose parts show progress.
    async fn doom(&self, ledger: &LedgerId) -> Result<(), StoreError> {
        until_won!(async {
            let manifest = self.store.catalog.manifest(ledger).await?;
            let now = self.now();
            let mut alive: BTreeSet<CopyId> = BTreeSet::new();
            // A restore's copies have no inputs. They are left to the restore, which has a bound of its own.
            let is_old =
                |c: &&Copy| c.life == Life::Staged && c.inputs.is_some() && now >= c.since.plus(GRACE_MILLIS);
            for copy in manifest.copies.iter().filter(is_old) {
                let parts = self.store.catalog.parts(copy.id).await?;
                let last_lease = parts.iter().map(|(_, p)| p.lease_until).max().unwrap_or(Time(0));
                if now < last_lease.plus(GRACE_MILLIS) {
                    alive.insert(copy.id);
                }
            }
            let renewed = manifest.renew(now, |c| alive.contains(&c.id));
            let next = renewed.doom(now, |c| !alive.contains(&c.id));
            if next == manifest {
                return Ok(());
            }
            self.swap(ledger, &manifest, next).await.map(drop)
        })
    }

    /// Deletes all bytes and records of a doomed copy, slot by slot. `false`: the time was up, and a later call deletes the
    /// rest.
    async fn delete_bytes(
        &self,
        ledger: &LedgerId,
        copy: &Copy,
        budget: &Budget,
    ) -> Result<bool, StoreError> {
        if copy.tier == Tier::Cold {
            self.store.archive.delete_copy(ledger, copy.id).await?;
        }
        let parts = self.store.catalog.parts(copy.id).await?;
        for (slot, part) in parts {
            if budget.is_spent(self.now()) {
                return Ok(false);
            }
            if copy.tier == Tier::Hot {
                for attempt in 1..=part.attempt {
                    self.store.ledger.delete_slot(SlotKey { copy: copy.id, attempt, slot }).await?;
                }
            }
            self.store.catalog.delete_copy_records(copy.id, &[slot]).await?;
        }
        self.store.catalog.delete_copy_records(copy.id, &[]).await?;
        Ok(true)
    }
}
