//! The sweeper function: runs on a schedule and brings whatever is due further.

use lambda_runtime::{Error, LambdaEvent};
use rekindle_domain::time::Time;
use rekindle_service::{Budget, Rekindle, upkeep::SweepReport};
use serde_json::Value;

/// How long before its end an invocation stops beginning new work: more than a part takes.
const MARGIN_MILLIS: i64 = 120_000;

/// Sweeps until nothing is due or the time is up. What the schedule's event says does not matter.
///
/// # Errors
/// If what is due could not be found out.
pub async fn handle(app: &Rekindle, event: LambdaEvent<Value>) -> Result<SweepReport, Error> {
    let deadline = i64::try_from(event.context.deadline).unwrap_or(i64::MAX);
    let report = app.sweep(&Budget::until(Time(deadline - MARGIN_MILLIS))).await?;
    tracing::info!(
        sweep.expired = report.expired,
        sweep.failed = report.failed,
        sweep.items = report.items.len(),
        sweep.is_partial = report.is_partial,
        "swept"
    );
    Ok(report)
}
