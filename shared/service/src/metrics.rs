//! Metrics: log events of the target [`TARGET`], whose fields are figures. The binary around this crate decides where they
//! go; the Lambda functions write them as CloudWatch metrics.
//!
//! | metric | counted for |
//! |---|---|
//! | `InteractionsAccepted`, `InteractionsRejected` | a request |
//! | `AliasesShortened` | a request with link aliases that are too long or have control characters |
//! | `RowsSwept` | a source that expired: rows that left DynamoDB |
//! | `RowsRestored`, `RestoreSeconds` | a source that is available again; the seconds run from the first request that waited for it |
//! | `Sweeps` | a sweep that ended well: none for a while is an alarm |
//! | `Damage` | work that failed, or a question that was not answered, because stored data did not verify |
//! | `WorkGivenUp` | archiving, a restore or a compaction that ended without success |
//! | `MailsGivenUp` | a mail that was tried too often and is not tried again |
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
