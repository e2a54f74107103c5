//! How a deployment behaves.

use rekindle_domain::{
    compact::Tiering,
    manifest::{MAX_INBOX_BYTES, MAX_INBOX_KEYS},
    part::LEASE_MILLIS,
    slot::SlotSize,
    time::Period,
};
use rekindle_store::ledger::HOT_BLOCK_BYTES;

/// What happens to interactions of a source that nobody registered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UnknownSources {
    /// It is registered, as active.
    Register,
    /// They are rejected.
    Reject,
}

/// How work is cut. The proof makes all of it tiny, so that little data has many parts.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// How large a slot is.
    pub slot: SlotSize,
    /// The most inbox blocks one rewrite takes; never more than [`MAX_INBOX_KEYS`].
    pub inbox_keys: usize,
    /// The most bytes of inbox blocks one rewrite takes.
    pub inbox_bytes: u64,
    /// With this many runs that have no cold copy, they are merged before more are added.
    pub hot_runs: usize,
    /// With this many runs, archiving late rows merges all but the largest.
    pub cold_runs: usize,
    /// The largest block of a hot copy, in bytes.
    pub hot_block: usize,
    /// What the compactor merges.
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

/// How a deployment behaves.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How long data stays available after its source stopped or was restored.
    pub retention: Period,
    /// How long before data expires people are warned.
    pub warn_before: Period,
    /// Who is warned about every source's data, beside those whom the source names.
    pub notify: Vec<String>,
    /// What to do with sources nobody registered.
    pub unknown_sources: UnknownSources,
    /// After how long without interactions an active source is stopped, if ever.
    pub auto_stop_after: Option<Period>,
    /// How long a worker has for a part, in milliseconds.
    pub lease_millis: i64,
    /// After how many milliseconds an audience answers what it has so far.
    pub audience_millis: i64,
    /// How work is cut.
    pub sizes: Sizes,
}

impl Settings {
    /// A week's warning to nobody beside those whom sources name, unknown sources are registered, and the limits of API Gateway and Lambda.
    pub fn with_retention(retention: Period) -> Self {
        Self {
            retention,
            warn_before: Period::of_days(7),
            notify: Vec::new(),
            unknown_sources: UnknownSources::Register,
            auto_stop_after: None,
            lease_millis: LEASE_MILLIS,
            audience_millis: 20_000,
            sizes: Sizes::default(),
        }
    }
}
