//! The settings of a deployment.

use rekindle_domain::{
    compact::Tiering,
    manifest::{MAX_INBOX_BYTES, MAX_INBOX_KEYS},
    part::LEASE_MILLIS,
    slot::SlotSize,
    time::Period,
};
use rekindle_store::ledger::HOT_BLOCK_BYTES;

/// The treatment of interactions whose source nobody registered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UnknownSources {
    /// Ingest registers the source, as active.
    Register,
    /// Ingest rejects the interactions.
    Reject,
}

/// The sizes of pieces of work. The tests make all of them tiny, so that a little data has many parts.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// The size of a slot.
    pub slot: SlotSize,
    /// The most inbox blocks that one rewrite takes; never more than [`MAX_INBOX_KEYS`].
    pub inbox_keys: usize,
    /// The most bytes of inbox blocks that one rewrite takes.
    pub inbox_bytes: u64,
    /// An expiry merges the runs without a cold copy first, if there are this many.
    pub hot_runs: usize,
    /// Archiving late rows also merges all runs but the largest, if there are this many.
    pub cold_runs: usize,
    /// The largest block of a hot copy, in bytes.
    pub hot_block: usize,
    /// The rules by which the compactor chooses the runs to merge.
    pub tiering: Tiering,
}

impl Default for Sizes {
    fn default() -> Self {
        Self {
            slot: SlotSize::default(),
            inbox_keys: MAX_INBOX_KEYS,
            inbox_bytes: MAX_INBOX_BYTES,
            hot_runs: 16,
            cold_runs: 8,
            hot_block: HOT_BLOCK_BYTES,
            tiering: Tiering::default(),
        }
    }
}

/// The settings of a deployment.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How long data stays available after its source stopped or was restored.
    pub retention: Period,
    /// How long before its expiry people are warned of it.
    pub warn_before: Period,
    /// How long data is kept after its people were told that it expires, whatever made it due.
    pub notice_period: Period,
    /// The addresses that are warned about every source's data, besides those that the source names.
    pub notify: Vec<String>,
    /// The treatment of sources that nobody registered.
    pub unknown_sources: UnknownSources,
    /// After how long without interactions an active source is stopped, if ever.
    pub auto_stop_after: Option<Period>,
    /// How long a worker has for one part, in milliseconds.
    pub lease_millis: i64,
    /// After how many milliseconds a question is answered with the result so far.
    pub audience_millis: i64,
    /// The sizes of pieces of work.
    pub sizes: Sizes,
}

impl Settings {
    /// The defaults with this retention: warnings go out a week ahead and at least a day, and only to the addresses that a source names;
    /// unknown sources are registered; and the time limits fit API Gateway and Lambda.
    pub fn with_retention(retention: Period) -> Self {
        Self {
            retention,
            warn_before: Period::of_days(7),
            notice_period: Period::of_days(1),
            notify: Vec::new(),
            unknown_sources: UnknownSources::Register,
            auto_stop_after: None,
            lease_millis: LEASE_MILLIS,
            audience_millis: 20_000,
            sizes: Sizes::default(),
        }
    }
}
