//! Rekindle's use cases: what the functions do, each a method of [`Rekindle`] that takes what the event said.
//!
//! | module | called by |
//! |---|---|
//! | [`ingest`] | ingest |
//! | [`sources`], with [`inputs`], [`tags`] and [`pins`], [`segments`], [`audience`], [`requests`], [`users`], [`export`], [`expirations`] | api |
//! | [`keys`] | api, and both functions about each request |
//! | [`audit`] | api, and whatever changes something |
//! | [`sweep`], with [`expire`], [`idle`], [`warnings`] and [`housekeep`] | sweeper |
//! | [`compact`], with [`marks`] | compactor |
//! | [`restores`], with [`parts`] | restorer |
//! | [`notices`], with [`referrers`] | notifier |

/// Decides and writes again, from scratch, as long as somebody else wrote first; bounded. The body is that of an async
/// block and says `Result<_, StoreError>`.
///
/// After 40 lost races it gives up with `StoreError::Unavailable`.
macro_rules! until_won {
    ($attempt:expr) => {{
        let mut races = 0;
        loop {
            let outcome: Result<_, ::rekindle_store::StoreError> = async { $attempt }.await;
            match outcome {
                Err(::rekindle_store::StoreError::Conflict) if races < 40 => {
                    // The first races are lost at random; after that, make room.
                    let pause = if races < 3 { 0 } else { 1 << races.min(7) };
                    races += 1;
                    ::tokio::time::sleep(::std::time::Duration::from_millis(pause)).await;
                }
                Err(::rekindle_store::StoreError::Conflict) => {
                    let reason = "lost forty races in a row".to_owned();
                    break Err(::rekindle_store::StoreError::Unavailable {
                        call: "a conditional write",
                        reason,
                    });
                }
                other => break other,
            }
        }
    }};
}

pub mod audience;
pub mod audit;
pub mod compact;
pub mod config;
pub mod expirations;
pub mod expire;
pub mod export;
pub mod health;
mod holders;
pub mod housekeep;
pub mod idle;
pub mod ingest;
pub mod inputs;
pub mod keys;
pub mod marks;
pub mod metrics;
pub mod notices;
pub mod parts;
pub mod pins;
pub mod problem;
pub mod read;
pub mod referrers;
pub mod requests;
pub mod restores;
#[cfg(feature = "schema")]
pub mod schema;
pub mod segments;
pub mod sources;
pub mod sweep;
pub mod tags;
pub mod users;
pub mod warnings;

use rekindle_domain::{
    Ulid,
    compact::Tiering,
    id::SourceId,
    manifest::{MAX_INBOX_BYTES, MAX_INBOX_KEYS},
    part::LEASE_MILLIS,
    slot::SlotSize,
    source::Source,
    time::{Clock, Ids, Period, Time},
};
use rekindle_store::{
    Store, StoreError,
    catalog::{Transaction, sources::TimelineEntry},
    ledger::HOT_BLOCK_BYTES,
};
use std::sync::Arc;

pub use problem::Problem;

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

/// One deployment of Rekindle. Cheap to clone.
#[derive(Clone)]
pub struct Rekindle {
    /// Where things are kept.
    pub store: Store,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// New ids and secrets.
    pub ids: Arc<dyn Ids>,
    /// How it behaves.
    pub settings: Settings,
    known: Arc<ingest::KnownSources>,
    marked: Arc<marks::Marked>,
    keys: Arc<keys::Remembered>,
}

impl Rekindle {
    /// A deployment over those stores and ports.
    pub fn new(store: Store, clock: Arc<dyn Clock>, ids: Arc<dyn Ids>, settings: Settings) -> Self {
        Self {
            store,
            clock,
            ids,
            settings,
            known: Arc::default(),
            marked: Arc::default(),
            keys: Arc::default(),
        }
    }

    fn now(&self) -> Time {
        self.clock.now()
    }

    fn new_id(&self) -> Ulid {
        self.ids.new_id(self.now())
    }

    /// Adds what happened to the transaction that makes it happen.
    fn record(
        &self,
        transaction: &mut Transaction,
        source: &SourceId,
        event: &str,
        by: &str,
        detail: Option<String>,
    ) -> Result<(), StoreError> {
        let entry = TimelineEntry { at: self.now(), event: event.to_owned(), by: by.to_owned(), detail };
        transaction.add_timeline(source, self.new_id(), &entry)
    }

    /// The same of what a caller did, which goes into the audit trail, too.
    fn record_act(
        &self,
        transaction: &mut Transaction,
        source: &SourceId,
        event: &str,
        by: &keys::Caller,
        detail: Option<String>,
    ) -> Result<(), StoreError> {
        self.audit(transaction, by, event, &source.to_string(), detail.clone())?;
        self.record(transaction, source, event, &by.name(), detail)
    }

    fn wake_at(&self, source: &Source) -> Option<Time> {
        source.wake_at(&self.settings.retention, &self.settings.warn_before)
    }

    fn put_source(&self, transaction: &mut Transaction, source: &Source) -> Result<(), StoreError> {
        let source = Source { idle_at: self.idle_at(source), ..source.clone() };
        transaction.put_source(&source, &self.settings.retention, &self.settings.warn_before)
    }
}
