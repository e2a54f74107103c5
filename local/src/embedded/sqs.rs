//! SQS: `rustack`'s queues and protocol, without its socket.
//!
//! Each queue is a task on the tokio runtime and keeps time by tokio's clock, so a test with paused time can step
//! over a visibility timeout. Dead-letter redrive happens when a message is received once more than the policy
//! allows, as at AWS.
//!
//! **Not imitated.** Bodies are limited to 256 KiB (AWS has since gone to 1 MiB), and `MessageGroupId` on a standard
//! queue is refused.

use std::sync::Arc;

use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use rustack_sqs_core::config::SqsConfig;
use rustack_sqs_core::handler::RustackSqsHandler;
use rustack_sqs_core::provider::RustackSqs;
use rustack_sqs_http::dispatch::dispatch_operation;
use rustack_sqs_http::response::error_to_response;
use rustack_sqs_http::router::resolve_operation;
use serde_json::Value;

use super::{EmbeddedError, REGION, http as wire};

/// The request id in every error. SQS sends one; nobody looks this one up.
const REQUEST_ID: &str = "embedded";

pub(super) struct Sqs {
    handler: RustackSqsHandler,
}

impl Sqs {
    pub(super) fn new() -> Self {
        let config = SqsConfig { default_region: REGION.to_owned(), ..SqsConfig::default() };
        Self { handler: RustackSqsHandler::new(Arc::new(RustackSqs::new(config))) }
    }

    pub(super) async fn answer(&self, request: Request<Bytes>) -> Result<Response<SdkBody>, EmbeddedError> {
        let (parts, mut body) = request.into_parts();
        if let Some(rewritten) = with_numeric_redrive(&parts.headers, &body) {
            body = rewritten;
        }
        let answer = match resolve_operation(&parts.headers) {
            Ok(operation) => dispatch_operation(&self.handler, operation, body).await,
            Err(error) => Err(error),
        };
        wire::into_sdk(answer.unwrap_or_else(|error| error_to_response(&error, REQUEST_ID))).await
    }
}

/// Rewrites a `maxReceiveCount` of `"5"` to `5`: AWS takes both and clients send both, the engine takes the number only.
/// `None` when there is nothing to rewrite.
fn with_numeric_redrive(headers: &HeaderMap, body: &[u8]) -> Option<Bytes> {
    let target = headers.get("x-amz-target")?.to_str().ok()?;
    if !target.ends_with("CreateQueue") && !target.ends_with("SetQueueAttributes") {
        return None;
    }
    let mut request: Value = serde_json::from_slice(body).ok()?;
    let attribute = request.pointer_mut("/Attributes/RedrivePolicy")?;
    let mut policy: Value = serde_json::from_str(attribute.as_str()?).ok()?;
    let count = policy.get_mut("maxReceiveCount")?;
    *count = count.as_str()?.parse::<u32>().ok()?.into();
    *attribute = policy.to_string().into();
    Some(request.to_string().into())
}
