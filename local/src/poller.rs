//! Stands for Lambda's SQS event source: takes batches off a queue, passes them to the handler and deletes the messages that
//! the handler has done. The others become visible again, until the queue's redrive policy moves them to the dead-letter
//! queue.

use crate::stack::Stack;
use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use aws_sdk_sqs::types::{DeleteMessageBatchRequestEntry, Message, MessageSystemAttributeName};
use lambda_runtime::{Context, Error, LambdaEvent};
use rekindle_domain::time::Clock;
use serde_json::json;
use std::collections::HashSet;

/// How long a local invocation may take, by the application's clock.
const INVOCATION_MILLIS: i64 = 15 * 60 * 1000;

/// The function that takes a queue's messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Consumer {
    /// The restorer, a message at a time.
    Restorer,
    /// The notifier, ten at a time.
    Notifier,
}

/// The context of an invocation that begins now.
pub fn context(clock: &dyn Clock) -> Context {
    let mut context = Context::default();
    context.deadline = u64::try_from(clock.now().plus(INVOCATION_MILLIS).0).unwrap_or(u64::MAX);
    context
}

impl Stack {
    fn queue_of(&self, consumer: Consumer) -> (&str, i32) {
        match consumer {
            Consumer::Restorer => (&self.restores.url, 1),
            Consumer::Notifier => (&self.notices.url, 10),
        }
    }

    /// Receives a batch and does not handle it. Waits up to `wait_seconds` for one.
    ///
    /// # Errors
    /// SQS's error.
    pub async fn receive(&self, consumer: Consumer, wait_seconds: i32) -> Result<Vec<Message>, Error> {
        let (queue, batch) = self.queue_of(consumer);
        let received = self
            .sqs
            .receive_message()
            .queue_url(queue)
            .max_number_of_messages(batch)
            .wait_time_seconds(wait_seconds)
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount)
            .send()
            .await?;
        Ok(received.messages.unwrap_or_default())
    }

    /// Passes a batch to its handler and deletes the messages that are done. Returns how many.
    ///
    /// # Errors
    /// SQS's error, or that the batch makes no event. A message that the handler fails is no error: SQS delivers it again.
    pub async fn deliver(&self, consumer: Consumer, messages: Vec<Message>) -> Result<usize, Error> {
        let (queue, _) = self.queue_of(consumer);
        let event = LambdaEvent::new(event(&messages)?, context(&*self.app.clock));
        let response: SqsBatchResponse = match consumer {
            Consumer::Restorer => rekindle_restorer::handle(&self.app, event).await?,
            Consumer::Notifier => rekindle_notifier::handle(&self.app, event).await?,
        };
        let failed: HashSet<String> =
            response.batch_item_failures.into_iter().map(|failure| failure.item_identifier).collect();
        let mut done = Vec::new();
        for (i, message) in messages.iter().enumerate() {
            if message.message_id().is_some_and(|id| failed.contains(id)) {
                continue;
            }
            let entry = DeleteMessageBatchRequestEntry::builder().id(i.to_string());
            done.push(entry.receipt_handle(message.receipt_handle().unwrap_or_default()).build()?);
        }
        let count = done.len();
        if count > 0 {
            self.sqs.delete_message_batch().queue_url(queue).set_entries(Some(done)).send().await?;
        }
        Ok(count)
    }

    /// Handles the messages of both queues, without waiting, until neither has a visible one. Returns how many messages were
    /// done.
    ///
    /// # Errors
    /// As [`Stack::deliver`].
    pub async fn drain(&self) -> Result<usize, Error> {
        let mut total = 0;
        loop {
            let mut received = 0;
            for consumer in [Consumer::Restorer, Consumer::Notifier] {
                let messages = self.receive(consumer, 0).await?;
                received += messages.len();
                if !messages.is_empty() {
                    total += self.deliver(consumer, messages).await?;
                }
            }
            if received == 0 {
                return Ok(total);
            }
        }
    }
}

/// The event that Lambda makes of a batch of messages.
fn event(messages: &[Message]) -> Result<SqsEvent, serde_json::Error> {
    let records = messages.iter().map(|m| {
        json!({
            "messageId": m.message_id(),
            "receiptHandle": m.receipt_handle(),
            "body": m.body(),
            "attributes": {},
            "messageAttributes": {},
            "eventSource": "aws:sqs",
        })
    });
    serde_json::from_value(json!({ "Records": records.collect::<Vec<_>>() }))
}
