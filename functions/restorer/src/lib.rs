//! The restorer function: takes restore work from its queue. A message names a part to restore, or a request to begin.

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use lambda_runtime::{Error, LambdaEvent};
use rekindle_runtime::events::{budget, each_message};
use rekindle_service::Rekindle;
use rekindle_store::queues::RestoreWork;

/// How long before its end an invocation stops beginning new items, in milliseconds.
const MARGIN_MILLIS: i64 = 60_000;

/// Does the work of each message. SQS delivers the messages again whose work failed, and no others.
///
/// # Errors
/// Never: the answer names the messages that failed.
pub async fn handle(app: &Rekindle, event: LambdaEvent<SqsEvent>) -> Result<SqsBatchResponse, Error> {
    let budget = budget(&event.context, MARGIN_MILLIS);
    let restore = |work: RestoreWork| async move { app.restore_work(&work, &budget).await };
    Ok(each_message(event.payload, "restore work was not done", restore).await)
}
