//! Events of Lambda functions that no HTTP calls: batches of messages, and the time that an invocation has.

use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent};
use lambda_runtime::Context;
use rekindle_domain::time::Time;
use rekindle_service::Budget;
use serde::de::DeserializeOwned;
use std::fmt::Display;

/// The budget of an invocation that begins no new work in its last `margin` milliseconds.
pub fn budget(context: &Context, margin: i64) -> Budget {
    let deadline = i64::try_from(context.deadline).unwrap_or(i64::MAX);
    Budget::until(Time(deadline - margin))
}

/// Does the work of each message, one after the other. The answer names the messages whose work failed, so that SQS delivers
/// these again and no others. `failed` says in the log what was not done, such as "a mail was not sent".
pub async fn each_message<W, E, F>(event: SqsEvent, failed: &str, work: impl Fn(W) -> F) -> SqsBatchResponse
where
    W: DeserializeOwned,
    E: Display,
    F: Future<Output = Result<(), E>>,
{
    let mut response = SqsBatchResponse::default();
    for message in event.records {
        let id = message.message_id.unwrap_or_default();
        let outcome = match serde_json::from_str(message.body.as_deref().unwrap_or_default()) {
            // Boxed, since the compiler bounds how deep futures lie in one another.
            Ok(body) => Box::pin(work(body)).await.map_err(|error| error.to_string()),
            Err(error) => Err(format!("not a message of ours: {error}")),
        };
        if let Err(error) = outcome {
            tracing::warn!(message.id = id, error.message = error, "{failed}; it is delivered again");
            let mut failure = BatchItemFailure::default();
            failure.item_identifier = id;
            response.batch_item_failures.push(failure);
        }
    }
    response
}
