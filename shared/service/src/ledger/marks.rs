//! Dirty marks, from ingest's side. A mark tells the compactor that a ledger has grown.
//!
//! A mark carries a time. Until then its worker appends without writing another mark. The worker writes the mark before the
//! first such append. The compactor leaves a mark alone until its time and a margin have passed; the margin is longer than
//! an invocation of ingest lasts, so that all those appends have ended. Then it sees their rows, acts, and deletes exactly
//! the marks that it read. So no append is overlooked, wherever a process dies.

use crate::app::Rekindle;
use rekindle_domain::{id::LedgerId, time::Time};
use rekindle_store::{
    StoreError,
    catalog::{Transaction, marks::Mark},
};

/// How long after a mark's time the compactor still leaves it alone, in milliseconds: longer than an invocation of ingest
/// lasts, with room for clocks that differ.
pub(crate) const MARGIN_MILLIS: i64 = 60_000;

impl Rekindle {
    /// Writes a mark for an append that is about to happen, unless an earlier mark covers it.
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

    /// Adds a mark to a transaction. The compactor looks at the ledger some time after `after`.
    pub(crate) fn add_mark(&self, transaction: &mut Transaction, ledger: &LedgerId, after: Time) {
        transaction.add_mark(&Mark { until: after, ledger: ledger.clone(), worker: self.new_id() });
    }
}
