//! The two queues: restore work and notices. Messages are small JSON documents.
//!
//! Every call may answer [`StoreError::Unavailable`] or [`StoreError::Refused`]; some of its messages may be queued
//! then.

use crate::{
    boxed,
    error::{StoreError, failed},
};
use aws_sdk_sqs::{Client, types::SendMessageBatchRequestEntry};
use rekindle_domain::id::{CopyId, RequestId, SourceId};
use serde::{Deserialize, Serialize};

/// Sends to the queues.
#[derive(Clone, Debug)]
pub struct Queues {
    client: Client,
    restores: String,
    notices: String,
}

/// A message to the restorer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "work", deny_unknown_fields)]
pub enum RestoreWork {
    /// Begin the items of a request, by source.
    Begin {
        /// The request.
        request: RequestId,
        /// The last source that was begun; the work goes on after it. Without it, the work begins with the first
        /// source.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<SourceId>,
    },
    /// Restore one slot of a source.
    Part {
        /// The source.
        source: SourceId,
        /// The hot copy that is written.
        copy: CopyId,
        /// The slot.
        slot: u32,
    },
}

/// A message to the notifier: one mail.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoticeWork {
    /// The id of the notice.
    pub notice: String,
}

impl Queues {
    pub(crate) fn new(client: Client, restores: &str, notices: &str) -> Self {
        Self { client, restores: restores.to_owned(), notices: notices.to_owned() }
    }

    /// Sends work to the restorer.
    #[boxed]
    pub async fn send_restores(&self, work: &[RestoreWork]) -> Result<(), StoreError> {
        self.send(&self.restores, work).await
    }

    /// Sends notices to the notifier.
    #[boxed]
    pub async fn send_notices(&self, work: &[NoticeWork]) -> Result<(), StoreError> {
        self.send(&self.notices, work).await
    }

    /// Sends in batches of ten. An entry that the queue refuses fails the call. The caller has recorded the work
    /// before, and the sweeper sends it again.
    async fn send<T: Serialize>(&self, queue: &str, work: &[T]) -> Result<(), StoreError> {
        for chunk in work.chunks(10) {
            let mut entries = Vec::with_capacity(chunk.len());
            for (i, message) in chunk.iter().enumerate() {
                let body = serde_json::to_string(message).map_err(crate::dynamo::unbuildable)?;
                let entry =
                    SendMessageBatchRequestEntry::builder().id(i.to_string()).message_body(body).build();
                entries.push(entry.map_err(crate::dynamo::unbuildable)?);
            }
            let request = self.client.send_message_batch().queue_url(queue).set_entries(Some(entries));
            let answer = request.send().await.map_err(failed("SendMessageBatch"))?;
            if let Some(refused) = answer.failed().first() {
                let reason = format!("{}: {}", refused.code(), refused.message().unwrap_or("refused"));
                return Err(StoreError::Unavailable { call: "SendMessageBatch", reason });
            }
        }
        Ok(())
    }
}
