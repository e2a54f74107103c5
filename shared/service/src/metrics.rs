//! What operators count: events of one target, whose fields are figures. Shells decide where they go; the functions write
//! them as CloudWatch metrics.
//!
//! | metric | of what |
//! |---|---|
//! | `InteractionsAccepted`, `InteractionsRejected` | a request |
//! | `RowsSwept` | a source that expired: rows that left DynamoDB |
//! | `RowsRestored`, `RestoreSeconds` | a source that is available again; from the first request that waited for it |
//! | `Sweeps` | a run of the sweeper: none for a while is an alarm |
//! | `Quarantines` | a copy that did not verify, and is kept |
//! | `DamagedReads` | a question that was not answered since what it read did not verify |
//! | `WorkGivenUp` | archiving, a restore or a compaction that ended without success |
//! | `MailsGivenUp` | a mail that could not be sent for good |
//! | `InboxBytes` | an inbox that is larger than it should get |

/// The target of these events.
pub const TARGET: &str = "metrics";

/// Counts: `count!(RowsSwept = rows)`, integers or floating point.
macro_rules! count {
    ($($name:ident = $value:expr),+ $(,)?) => {
        tracing::info!(target: crate::metrics::TARGET, $($name = $value),+)
    };
}
pub(crate) use count;
