//! Dirty marks, as who writes them sees them: ingest says which ledgers have grown, and says so seldom.
//!
//! A mark says until when its worker takes it for granted, and stands before the first append that does. The compactor
//! leaves it alone until then and a margin longer than an invocation of ingest lasts: by then all those appends are done,
//! so that it sees what they appended, acts, and deletes exactly the marks it read. So none is lost, whoever dies where.

use crate::Rekindle;
use rekindle_domain::{Ulid, id::LedgerId, time::Time};
use rekindle_store::{
    StoreError,
    catalog::{Transaction, dirty::Mark},
};
use std::{
    collections::HashMap,
    sync::{Mutex, OnceLock, PoisonError},
};

/// How long a mark is taken for granted while much arrives: at most one a minute, ledger and worker.
const BUSY_MILLIS: i64 = 60_000;
/// And while little does: its write, its deletion and the look at the ledger then cost next to nothing.
const QUIET_MILLIS: i64 = 10 * 60_000;
/// So many blocks from one worker under one mark are much.
const BUSY_BLOCKS: usize = 64;
/// And so are so many bytes.
const BUSY_BYTES: u64 = 64 << 10;
/// How long after that the compactor leaves a mark alone: longer than an ingest invocation lasts, and clocks differ.
pub const MARGIN_MILLIS: i64 = 60_000;
/// How many ledgers are remembered.
const REMEMBERED: usize = 10_000;

/// What this worker has marked.
#[derive(Default)]
pub struct Marked {
    worker: OnceLock<Ulid>,
    ledgers: Mutex<HashMap<LedgerId, Standing>>,
}

/// A mark, and what was appended under it.
#[derive(Clone, Copy, Default)]
struct Standing {
    until: Time,
    is_busy: bool,
    blocks: usize,
    bytes: u64,
}

impl Standing {
    const fn is_much(&self) -> bool {
        self.blocks >= BUSY_BLOCKS || self.bytes >= BUSY_BYTES
    }
}

impl Marked {
    /// Counts an append. `None`: a mark stands for it; else the one to write.
    fn count(&self, ledger: &LedgerId, now: Time, blocks: usize, bytes: u64) -> Option<Standing> {
        let mut ledgers = self.ledgers.lock().unwrap_or_else(PoisonError::into_inner);
        if ledgers.len() >= REMEMBERED && !ledgers.contains_key(ledger) {
            ledgers.clear();
        }
        let standing = ledgers.entry(ledger.clone()).or_default();
        standing.blocks += blocks;
        standing.bytes += bytes;
        let is_much = standing.is_much();
        if now < standing.until && (standing.is_busy || !is_much) {
            return None;
        }
        let lasts = if is_much { BUSY_MILLIS } else { QUIET_MILLIS };
        Some(Standing { until: now.plus(lasts), is_busy: is_much, blocks: 0, bytes: 0 })
    }

    fn remember(&self, ledger: &LedgerId, standing: Standing) {
        self.ledgers.lock().unwrap_or_else(PoisonError::into_inner).insert(ledger.clone(), standing);
    }
}

impl Rekindle {
    /// Sees to it that a mark stands for what is about to be appended.
    pub(crate) async fn mark(&self, ledger: &LedgerId, blocks: usize, bytes: u64) -> Result<(), StoreError> {
        let now = self.now();
        let Some(standing) = self.marked.count(ledger, now, blocks, bytes) else {
            return Ok(());
        };
        let worker = *self.marked.worker.get_or_init(|| self.new_id());
        self.store.catalog.mark(&Mark { until: standing.until, ledger: ledger.clone(), worker }).await?;
        self.marked.remember(ledger, standing);
        Ok(())
    }

    /// Marks a ledger with what else happens, to be looked at after that time.
    pub(crate) fn add_mark(&self, transaction: &mut Transaction, ledger: &LedgerId, after: Time) {
        transaction.add_mark(&Mark { until: after, ledger: ledger.clone(), worker: self.new_id() });
    }
}
