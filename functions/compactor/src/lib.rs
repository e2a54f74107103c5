//! The compactor function: runs on a schedule and merges what has gathered in marked ledgers.

use lambda_runtime::{Error, LambdaEvent};
use rekindle_domain::time::Time;
use rekindle_service::{Budget, Rekindle, upkeep::CompactReport};
use serde_json::Value;

/// How long before its end an invocation stops beginning new work: more than a part takes.
const MARGIN_MILLIS: i64 = 120_000;

/// Compacts until nothing is left to do or the time is up. What the schedule's event says does not matter.
///
/// # Errors
/// If the marks could not be read.
pub async fn handle(app: &Rekindle, event: LambdaEvent<Value>) -> Result<CompactReport, Error> {
    let deadline = i64::try_from(event.context.deadline).unwrap_or(i64::MAX);
    let report = app.compact(&Budget::until(Time(deadline - MARGIN_MILLIS))).await?;
    tracing::info!(
        compaction.rewrites = report.rewrites,
        compaction.failed = report.failed,
        compaction.items = report.items.len(),
        compaction.is_partial = report.is_partial,
        "compacted"
    );
    Ok(report)
}
