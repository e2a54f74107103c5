//! The compactor function: runs on a schedule and merges the new rows of ledgers that have dirty marks.

use lambda_runtime::{Error, LambdaEvent};
use rekindle_runtime::events::budget;
use rekindle_service::{Rekindle, upkeep::CompactReport};
use serde_json::Value;

/// How long before its end an invocation stops beginning new work, in milliseconds: longer than a part takes.
const MARGIN_MILLIS: i64 = 120_000;

/// Compacts until nothing is left to do or the time is up. The content of the schedule's event is ignored.
///
/// # Errors
/// The dirty marks could not be read.
pub async fn handle(app: &Rekindle, event: LambdaEvent<Value>) -> Result<CompactReport, Error> {
    let report = app.compact(&budget(&event.context, MARGIN_MILLIS)).await?;
    tracing::info!(
        compaction.rewrites = report.rewrites,
        compaction.failed = report.failed,
        compaction.items = report.items.len(),
        compaction.is_partial = report.is_partial,
        "compacted"
    );
    Ok(report)
}
