//! What operators count: events of one target, whose fields are figures. Shells decide where they go; the functions write
//! them as CloudWatch metrics.
//!
//! | metric | of what |
//! |---|---|
//! | `InteractionsAccepted`, `InteractionsRejected` | a request |
//! | `RowsSwept` | a source that expired: rows that left DynamoDB |
//! | `RowsRestored`, `RestoreSeconds` | a source that is available again; from the first request that waited for it |
//! | `Sweeps` | a sweep that ended well: none for a while is an alarm |
//! | `Damage` | what did not verify: work that failed of it, or a question that was not answered |
//! | `WorkGivenUp` | archiving, a restore or a compaction that ended without success |
//! | `MailsGivenUp` | a mail that could not be sent for good |
//! | `LargeInboxBytes` | an inbox that is larger than it should get |

/// The target of these events.
pub const TARGET: &str = "metrics";

/// Counts: `count!(RowsSwept = rows)`, integers or floating point.
macro_rules! count {
    ($($name:ident = $value:expr),+ $(,)?) => {
        tracing::info!(target: crate::metrics::TARGET, $($name = $value),+)
    };
}
pub(crate) use count;
