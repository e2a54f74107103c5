//! The notifier function: takes notices from its queue and sends each as a mail.

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use lambda_runtime::{Error, LambdaEvent};
use rekindle_runtime::{events::each_message, problem::spelled};
use rekindle_service::Rekindle;
use rekindle_store::queues::NoticeWork;

/// Sends the mail that each message names. SQS delivers the messages again whose mail was not sent, and no others.
///
/// # Errors
/// Never: the answer names the messages that failed.
pub async fn handle(app: &Rekindle, event: LambdaEvent<SqsEvent>) -> Result<SqsBatchResponse, Error> {
    let send = |work: NoticeWork| async move { app.send_notice(&work.notice, spelled).await };
    Ok(each_message(event.payload, "a mail was not sent", send).await)
}
