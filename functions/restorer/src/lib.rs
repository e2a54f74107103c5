//! The restorer function: takes restore work from its queue, a part or the beginning of a request a message.

use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent};
use lambda_runtime::{Error, LambdaEvent};
use rekindle_domain::time::Time;
use rekindle_service::{Budget, Rekindle};
use rekindle_store::queues::RestoreWork;

/// How long before its end an invocation stops beginning new items.
const MARGIN_MILLIS: i64 = 60_000;

/// Does what each message says; those that failed are delivered again, the others are not.
///
/// # Errors
/// Never: failures are reported per message.
pub async fn handle(app: &Rekindle, event: LambdaEvent<SqsEvent>) -> Result<SqsBatchResponse, Error> {
    let deadline = i64::try_from(event.context.deadline).unwrap_or(i64::MAX);
    let budget = Budget::until(Time(deadline - MARGIN_MILLIS));
    let mut response = SqsBatchResponse::default();
    for message in event.payload.records {
        let id = message.message_id.unwrap_or_default();
        let outcome = match serde_json::from_str::<RestoreWork>(message.body.as_deref().unwrap_or_default()) {
            Ok(work) => app.restore_work(&work, &budget).await.map_err(|e| e.to_string()),
            Err(error) => Err(format!("not a message of ours: {error}")),
        };
        if let Err(error) = outcome {
            tracing::warn!(
                message.id = id,
                error.message = error,
                "restore work was not done; it is delivered again"
            );
            let mut failure = BatchItemFailure::default();
            failure.item_identifier = id;
            response.batch_item_failures.push(failure);
        }
    }
    Ok(response)
}
