//! Dirty marks, as who writes them sees them: ingest says which ledgers have grown, and says so seldom.
//!
//! A mark says until when its worker takes it for granted, and stands before the first append that does. The compactor
//! leaves it alone until then and a margin longer than an invocation of ingest lasts: by then all those appends are done,
//! so that it sees what they appended, acts, and deletes exactly the marks it read. So none is lost, whoever dies where.

use crate::app::Rekindle;
use rekindle_domain::{id::LedgerId, time::Time};
use rekindle_store::{
    StoreError,
    catalog::{Transaction, marks::Mark},
};

/// How long after that the compactor leaves a mark alone: longer than an ingest invocation lasts, and clocks differ.
pub(crate) const MARGIN_MILLIS: i64 = 60_000;

impl Rekindle {
    /// Sees to it that a mark stands for what is about to be appended.
    pub(crate) async fn mark(&self, ledger: &LedgerId, blocks: usize, bytes: u64) -> Result<(), StoreError> {
        let now = self.now();
        let Some(standing) = self.marked.count(ledger, now, blocks, bytes) else {
            return Ok(());
        };
        let worker = self.marked.worker(|| self.new_id());
        self.store.catalog.mark(&Mark { until: standing.until, ledger: ledger.clone(), worker }).await?;
        self.marked.remember(ledger, standing);
        Ok(())
    }

    /// Marks a ledger with what else happens, to be looked at after that time.
    pub(crate) fn add_mark(&self, transaction: &mut Transaction, ledger: &LedgerId, after: Time) {
        transaction.add_mark(&Mark { until: after, ledger: ledger.clone(), worker: self.new_id() });
    }
}
