//! The gate: every AWS call of a simulated process waits here until the scheduler gives its verdict.

use aws_smithy_runtime_api::client::{
    http::{
        HttpClient, HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
    },
    orchestrator::{HttpRequest, HttpResponse},
    result::ConnectorError,
};
use aws_smithy_types::body::SdkBody;
use std::{
    cell::Cell,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};
use tokio::sync::oneshot;

thread_local! {
    /// The process whose code runs right now on this thread; its calls wait at the gate, all others pass.
    static CURRENT: Cell<Option<u64>> = const { Cell::new(None) };
}

/// What the scheduler does with a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// The call is done and answered.
    Passes,
    /// The call never arrives.
    FailsBefore,
    /// The call is done, and its answer is lost.
    LosesAnswer,
    /// The call is refused: the service is busy.
    Busy,
    /// The call is refused: throttled.
    Throttled,
    /// A batch of writes is done in part; the answer names the writes that were not done.
    LeavesUnprocessed,
    /// The caller is told that the connection broke; the call arrives later all the same.
    ArrivesLate,
}

impl Verdict {
    pub const FAULTS: [Self; 6] = [
        Self::FailsBefore,
        Self::LosesAnswer,
        Self::Busy,
        Self::Throttled,
        Self::LeavesUnprocessed,
        Self::ArrivesLate,
    ];
}

/// The parts of a call that the scheduler and the auditor use.
#[derive(Clone, Debug)]
pub struct Call {
    /// `dynamodb`, `s3`, `sqs` or `ses`.
    pub service: &'static str,
    /// DynamoDB's and SQS's operation; S3's method.
    pub action: String,
    /// S3's path and query.
    pub path: String,
    /// The body as text; of S3 calls only that of a deletion.
    pub body: String,
}

impl Call {
    fn of(request: &HttpRequest) -> Self {
        let scope = request.headers().get("authorization").unwrap_or_default();
        let service = ["dynamodb", "s3", "sqs", "ses"];
        let service =
            service.into_iter().find(|s| scope.contains(&format!("/{s}/aws4_request"))).unwrap_or("");
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let action = match service {
            "s3" => request.method().to_owned(),
            "ses" => "SendEmail".to_owned(),
            _ => target.rsplit('.').next().unwrap_or_default().to_owned(),
        };
        // Of S3's bodies only the list of keys to delete is text.
        let body = match service {
            "s3" if action != "POST" => String::new(),
            _ => String::from_utf8_lossy(request.body().bytes().unwrap_or_default()).into_owned(),
        };
        Self { service, action, path: request.uri().to_owned(), body }
    }

    /// Whether it changes anything.
    pub fn writes(&self) -> bool {
        match self.service {
            "dynamodb" => matches!(self.action.as_str(), "PutItem" | "BatchWriteItem" | "TransactWriteItems"),
            "s3" => self.action != "GET",
            _ => true,
        }
    }

    /// Whether it commits a decision that another process may be making otherwise at this moment: an expiry, the end or the
    /// beginning of a restore, a change of holders.
    pub fn decides(&self) -> bool {
        self.action == "TransactWriteItems"
            && (self.body.contains("\"segment\"")
                || self.body.contains("\"source\"") && self.body.contains("\"manifest\""))
    }

    /// The key of the archive object that it writes, if it writes one.
    pub fn object(&self) -> Option<&str> {
        let key = self.path.find("/archive/").filter(|_| self.service == "s3" && self.action == "PUT")? + 1;
        self.path[key..].split('?').next()
    }

    pub fn is_batch(&self) -> bool {
        self.action == "BatchWriteItem"
    }

    /// Whether it deletes blocks or objects.
    pub fn deletes(&self) -> bool {
        match self.service {
            "s3" => self.path.contains("delete"),
            _ => self.is_batch() && self.body.contains("DeleteRequest"),
        }
    }

    /// Whether the auditor must look: it moves a manifest, a source or a segment, deletes, or adds rows.
    pub fn matters(&self) -> bool {
        self.deletes()
            || (self.writes() && self.service == "dynamodb")
                && (["\"manifest\"", "\"source\"", "\"segment\""].iter().any(|what| self.body.contains(what))
                    || self.is_batch())
    }

    /// The call's name in traces.
    pub fn name(&self) -> String {
        let what = [
            "\"manifest\"",
            "\"source\"",
            "\"segment\"",
            "\"p#",
            "\"inputs\"",
            "\"request\"",
            "\"notice\"",
            "\"b#",
            "\"i#",
        ];
        let what = what.iter().filter(|w| self.writes() && self.body.contains(**w));
        let what: Vec<&str> = what.map(|w| w.trim_matches('"')).collect();
        format!("{}.{} {}", self.service, self.action, what.join(" "))
    }
}

struct Waiting {
    process: u64,
    call: Call,
    verdict: oneshot::Sender<Verdict>,
}

#[derive(Default)]
struct State {
    waiting: Vec<Waiting>,
    late: Vec<(Call, HttpRequest)>,
}

/// The place where calls wait. Clones are handles on the same gate.
#[derive(Clone, Default)]
pub struct Gate(Arc<Mutex<State>>);

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gate").finish_non_exhaustive()
    }
}

impl Gate {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A client behind this gate.
    pub fn client(&self, inner: &SharedHttpClient) -> SharedHttpClient {
        let (gate, inner) = (self.clone(), inner.clone());
        http_client_fn(move |settings, components| {
            SharedHttpConnector::new(Gated(gate.clone(), inner.http_connector(settings, components)))
        })
    }

    /// How many calls wait. Calls of dead processes do not count.
    pub fn count(&self) -> usize {
        let mut state = self.state();
        state.waiting.retain(|w| !w.verdict.is_closed());
        state.waiting.len()
    }

    /// The waiting call at `index`, in order of arrival.
    pub fn look_at(&self, index: usize) -> (u64, Call) {
        let state = self.state();
        (state.waiting[index].process, state.waiting[index].call.clone())
    }

    /// Gives the waiting call at `index` its verdict.
    pub fn release(&self, index: usize, verdict: Verdict) {
        let waiting = self.state().waiting.remove(index);
        // The sender may have died meanwhile; then nobody receives the verdict.
        let _ = waiting.verdict.send(verdict);
    }

    /// How many requests are still on their way although their senders gave up.
    pub fn late(&self) -> usize {
        self.state().late.len()
    }

    /// Takes one of these requests off the wire.
    pub fn take_late(&self, index: usize) -> (Call, HttpRequest) {
        self.state().late.remove(index)
    }
}

#[derive(Debug)]
struct Gated(Gate, SharedHttpConnector);

impl HttpConnector for Gated {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let Some(process) = CURRENT.get() else {
            return self.1.call(request);
        };
        let (verdict, told) = oneshot::channel();
        let call = Call::of(&request);
        self.0.state().waiting.push(Waiting { process, call: call.clone(), verdict });
        let (gate, connector) = (self.0.clone(), self.1.clone());
        HttpConnectorFuture::new(async move {
            let broken = |why: &str| ConnectorError::io(why.into());
            match told.await.unwrap_or(Verdict::FailsBefore) {
                Verdict::Passes => connector.call(request).await,
                Verdict::FailsBefore => Err(broken("the connection broke")),
                Verdict::LosesAnswer => {
                    connector.call(request).await?;
                    Err(broken("the answer was lost"))
                }
                Verdict::Busy => Ok(refusal(503, "InternalServerError")),
                Verdict::Throttled => Ok(refusal(400, "ThrottlingException")),
                Verdict::ArrivesLate => {
                    if let Some(copy) = request.try_clone() {
                        gate.state().late.push((call, copy));
                    }
                    Err(broken("it timed out"))
                }
                Verdict::LeavesUnprocessed => leave_unprocessed(&connector, request, &call).await,
            }
        })
    }
}

/// An error answer of an AWS service.
pub fn refusal(status: u16, code: &str) -> HttpResponse {
    let body = format!(r#"{{"__type":"com.amazonaws#{code}","message":"injected"}}"#);
    let response = http::Response::builder().status(status).header("x-amzn-errortype", code);
    let response = response.body(SdkBody::from(body)).expect("a response");
    HttpResponse::try_from(response).expect("a response")
}

/// Does the first half of a batch, and answers that the rest was not processed.
async fn leave_unprocessed(
    connector: &SharedHttpConnector,
    mut request: HttpRequest,
    call: &Call,
) -> Result<HttpResponse, ConnectorError> {
    let mut body: serde_json::Value = serde_json::from_str(&call.body).unwrap_or_default();
    let Some(tables) = body["RequestItems"].as_object_mut() else {
        return connector.call(request).await;
    };
    let mut left = serde_json::Map::new();
    for (table, writes) in tables.iter_mut() {
        let writes = writes.as_array_mut().expect("writes");
        let kept = writes.len() / 2;
        left.insert(table.clone(), writes.split_off(kept).into());
    }
    tables.retain(|_, writes| writes.as_array().is_some_and(|w| !w.is_empty()));
    if !tables.is_empty() {
        *request.body_mut() = SdkBody::from(body.to_string());
        request.headers_mut().insert("content-length", body.to_string().len().to_string());
        connector.call(request).await?;
    }
    let answer = serde_json::json!({ "UnprocessedItems": left });
    let response = http::Response::builder().status(200).header("content-type", "application/x-amz-json-1.0");
    let response = response.body(SdkBody::from(answer.to_string())).expect("a response");
    Ok(HttpResponse::try_from(response).expect("a response"))
}

/// A process. While its future runs, the gate attributes its calls to it.
pub struct Process<F> {
    pub number: u64,
    pub work: Pin<Box<F>>,
}

impl<F: Future> Future for Process<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let before = CURRENT.replace(Some(self.number));
        let polled = self.work.as_mut().poll(context);
        CURRENT.set(before);
        polled
    }
}
