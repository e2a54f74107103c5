//! The sweeper function: runs on a schedule and takes every item whose wake time has passed one step further.

use lambda_runtime::{Error, LambdaEvent};
use rekindle_runtime::events::budget;
use rekindle_service::{Rekindle, upkeep::SweepReport};
use serde_json::Value;

/// How long before its end an invocation stops beginning new work, in milliseconds: longer than a part takes.
const MARGIN_MILLIS: i64 = 120_000;

/// Sweeps until nothing is due or the time is up. The content of the schedule's event is ignored.
///
/// # Errors
/// The items that are due could not be read.
pub async fn handle(app: &Rekindle, event: LambdaEvent<Value>) -> Result<SweepReport, Error> {
    let report = app.sweep(&budget(&event.context, MARGIN_MILLIS)).await?;
    tracing::info!(
        sweep.expired = report.expired,
        sweep.failed = report.failed,
        sweep.items = report.items.len(),
        sweep.is_partial = report.is_partial,
        "swept"
    );
    Ok(report)
}
