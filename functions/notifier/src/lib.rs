//! The notifier function: takes notices from its queue and sends each as a mail.

use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent};
use lambda_runtime::{Error, LambdaEvent};
use rekindle_runtime::problem::spelled;
use rekindle_service::Rekindle;
use rekindle_store::queues::NoticeWork;

/// Sends what each message names; those that failed are delivered again, the others are not.
///
/// # Errors
/// Never: failures are reported per message.
pub async fn handle(app: &Rekindle, event: LambdaEvent<SqsEvent>) -> Result<SqsBatchResponse, Error> {
    let mut response = SqsBatchResponse::default();
    for message in event.payload.records {
        let id = message.message_id.unwrap_or_default();
        let outcome = match serde_json::from_str::<NoticeWork>(message.body.as_deref().unwrap_or_default()) {
            Ok(work) => app.send_notice(&work.notice, spelled).await.map_err(|e| e.to_string()),
            Err(error) => Err(format!("not a message of ours: {error}")),
        };
        if let Err(error) = outcome {
            tracing::warn!(
                message.id = id,
                error.message = error,
                "a mail was not sent; it is delivered again"
            );
            let mut failure = BatchItemFailure::default();
            failure.item_identifier = id;
            response.batch_item_failures.push(failure);
        }
    }
    Ok(response)
}
