//! Cold starts: starts each function, built as it goes to Lambda, again and again under a stand-in for Lambda's Runtime API,
//! and compares it with a function that does nothing (`benches/hello`).

use crate::{
    Size,
    deployment::{Outcome, stopwatch},
    report::{Findings, Row, short},
};
use aws_smithy_types::body::SdkBody;
use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    extract::{Request, State},
    http::StatusCode,
    response::{AppendHeaders, IntoResponse, Response},
    routing::{get, post},
};
use rekindle_domain::time::{Clock, Period};
use rekindle_local::{
    admin_key,
    embedded::{EmbeddedAws, Now, REGION},
    stack::{ARCHIVE, CATALOG, LEDGER, Stack, local_settings},
};
use rekindle_runtime::ports::{RandomIds, SystemClock};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    future::pending,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{net::TcpListener, sync::mpsc, time::timeout};

const AIM: f64 = 20.0;
/// The longest wait for a start: far more than any takes.
const PATIENCE: Duration = Duration::from_secs(10);
/// The function that does nothing, with which the others are compared.
const HELLO: &str = "hello";
const INVOCATION: &str = "/2018-06-01/runtime/invocation";

/// A call of a function to the stand-in.
enum Seen {
    /// The function asked for its first invocation.
    Ready(Instant),
    /// The function answered the invocation.
    Answered(Instant, Value),
    /// The function reported an error.
    Failed(String),
}

/// Lambda's Runtime API, for one process and one invocation, and AWS behind it.
#[derive(Clone)]
struct Lambda {
    aws: EmbeddedAws,
    event: Arc<Value>,
    was_asked: Arc<AtomicBool>,
    seen: mpsc::UnboundedSender<Seen>,
}

impl Lambda {
    fn router(self) -> Router {
        Router::new()
            .route(&format!("{INVOCATION}/next"), get(next))
            .route(&format!("{INVOCATION}/1/response"), post(answered))
            .route(&format!("{INVOCATION}/{{id}}/error"), post(failed))
            .route("/2018-06-01/runtime/init/error", post(failed))
            .fallback(aws)
            .with_state(self)
    }
}

async fn next(State(lambda): State<Lambda>) -> Response {
    if lambda.was_asked.swap(true, Ordering::Relaxed) {
        // There is only one invocation, so this call stays open until the process ends.
        return pending().await;
    }
    let _ = lambda.seen.send(Seen::Ready(stopwatch()));
    let deadline = SystemClock.now().0 + 600_000;
    let headers = [
        ("lambda-runtime-aws-request-id", "1".to_owned()),
        ("lambda-runtime-deadline-ms", deadline.to_string()),
        ("lambda-runtime-invoked-function-arn", "arn:aws:lambda:us-east-1:1:function:f".to_owned()),
    ];
    (AppendHeaders(headers), lambda.event.to_string()).into_response()
}

async fn answered(State(lambda): State<Lambda>, body: Bytes) -> StatusCode {
    let at = stopwatch();
    let _ = lambda.seen.send(Seen::Answered(at, serde_json::from_slice(&body).unwrap_or_default()));
    StatusCode::ACCEPTED
}

async fn failed(State(lambda): State<Lambda>, body: String) -> StatusCode {
    let _ = lambda.seen.send(Seen::Failed(body));
    StatusCode::ACCEPTED
}

async fn aws(State(lambda): State<Lambda>, request: Request) -> Response {
    let answer = async {
        let (parts, body) = request.into_parts();
        let body = SdkBody::from(to_bytes(body, usize::MAX).await?);
        Outcome::Ok(lambda.aws.answer(http::Request::from_parts(parts, body)).await?)
    };
    match answer.await {
        Ok(answer) => answer.map(Body::new).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// How long a start took, in milliseconds.
struct Start {
    /// From the process's start to its first call for an invocation.
    init: f64,
    /// From the invocation to its answer.
    invocation: f64,
}

/// A process that is killed when this is dropped.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // The process may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a function once and invokes it once.
async fn start(binary: &Path, event: &Arc<Value>, aws: &EmbeddedAws, queues: &[&str; 2]) -> Outcome<Start> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    let (seen, mut sight) = mpsc::unbounded_channel();
    let lambda = Lambda { aws: aws.clone(), event: event.clone(), was_asked: Arc::default(), seen };
    let server = tokio::spawn(axum::serve(listener, lambda.router()).into_future());
    let begun = stopwatch();
    let process = Command::new(binary)
        .env_clear()
        .envs([
            ("AWS_LAMBDA_RUNTIME_API", address.as_str()),
            ("AWS_LAMBDA_FUNCTION_NAME", "f"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1769"),
            ("AWS_LAMBDA_FUNCTION_VERSION", "1"),
            ("AWS_LAMBDA_LOG_GROUP_NAME", "g"),
            ("AWS_LAMBDA_LOG_STREAM_NAME", "s"),
            ("AWS_ENDPOINT_URL", &format!("http://{address}")),
            ("AWS_REGION", REGION),
            ("AWS_ACCESS_KEY_ID", "somebody"),
            ("AWS_SECRET_ACCESS_KEY", "not-a-secret"),
            ("CATALOG_TABLE", CATALOG),
            ("LEDGER_TABLE", LEDGER),
            ("ARCHIVE_BUCKET", ARCHIVE),
            ("RESTORES_QUEUE_URL", queues[0]),
            ("NOTICES_QUEUE_URL", queues[1]),
            ("MAIL_SENDER", "rekindle@example.com"),
            ("METRICS_NAMESPACE", "rekindle"),
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("{}: {error}; `.ci/functions` builds it", binary.display()))?;
    let _process = Process(process);
    let mut ready = None;
    let took = |from: Instant, to: Instant| (to - from).as_secs_f64() * 1e3;
    let start = loop {
        match timeout(PATIENCE, sight.recv())
            .await
            .map_err(|_| "the function neither asked for an invocation nor answered one")?
        {
            Some(Seen::Ready(at)) => ready = Some(at),
            Some(Seen::Answered(at, body)) => {
                is_success(&body)?;
                let ready = ready.ok_or("the function answered before it asked for an invocation")?;
                break Start { init: took(begun, ready), invocation: took(ready, at) };
            }
            Some(Seen::Failed(why)) => return Err(why.into()),
            None => return Err("the stand-in is gone".into()),
        }
    };
    server.abort();
    Ok(start)
}

/// Checks that the invocation succeeded: the time of a failed one says nothing.
fn is_success(body: &Value) -> Outcome<()> {
    let is_refused = body["statusCode"].as_u64().is_some_and(|status| status != 200);
    let has_failures = body["batchItemFailures"].as_array().is_some_and(|failures| !failures.is_empty());
    if is_refused || has_failures { Err(format!("it answered {body}").into()) } else { Ok(()) }
}

/// The event that the gateway makes of an HTTP request.
fn request(method: &str, path: &str, key: &str, body: &Value) -> Value {
    json!({
        "version": "2.0",
        "routeKey": format!("{method} {path}"),
        "rawPath": path,
        "rawQueryString": "",
        "headers": { "authorization": format!("Bearer {key}"), "content-type": "application/json", "host": "api.example.com" },
        "requestContext": {
            "apiId": "api", "stage": "$default", "requestId": "1", "domainName": "api.example.com",
            "time": "25/Nov/2026:00:00:00 +0000", "timeEpoch": 1_795_564_800_000_u64,
            "http": { "method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1", "userAgent": "bench" },
        },
        "body": body.to_string(),
        "isBase64Encoded": false,
    })
}

/// The event that the queue's event source makes of a message.
fn message(body: &Value) -> Value {
    json!({ "Records": [{ "messageId": "1", "body": body.to_string() }] })
}

/// For each function, an event with the smallest piece of its work.
fn events(key: &str) -> [(&'static str, Value); 7] {
    let interactions = json!({ "interactions": [{ "user_id": "u", "campaign_id": "c", "type": "received", "channel": "email" }] });
    [
        (HELLO, json!({})),
        ("ingest", request("POST", "/v1/interactions", key, &interactions)),
        ("api", request("GET", "/v1/campaigns", key, &json!({}))),
        ("sweeper", json!({})),
        ("compactor", json!({})),
        ("restorer", message(&json!({ "work": "begin", "request": "01JDHFZ0000000000000000000" }))),
        ("notifier", message(&json!({ "notice": "nobody" }))),
    ]
}

/// Measures all functions in turns, so that other load on the machine affects all alike.
pub async fn measure(size: Size) -> Outcome<Findings> {
    let rounds = size.pick(50, 3);
    let now: Now = Arc::new(|| jiff::Timestamp::from_millisecond(SystemClock.now().0).unwrap_or_default());
    let aws = EmbeddedAws::in_memory(now)?;
    let stack = Stack::create(
        &aws,
        Arc::new(SystemClock),
        Arc::new(RandomIds),
        local_settings(Period::parse("P3M")?),
    )
    .await?;
    let token = admin_key::new_token(&SystemClock, &RandomIds);
    stack.app.install_key(&token, admin_key::NAME).await?;
    let events = events(&token.to_string()).map(|(name, event)| (name, Arc::new(event)));
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/lambda");
    let mut starts: BTreeMap<&str, Vec<Start>> = BTreeMap::new();
    for _ in 0..rounds {
        for (name, event) in &events {
            let binary: PathBuf = built.join(format!("rekindle-{name}/bootstrap"));
            let queues = [&*stack.restores.url, &*stack.notices.url];
            let taken =
                start(&binary, event, &aws, &queues).await.map_err(|error| format!("{name}: {error}"))?;
            starts.entry(name).or_default().push(taken);
        }
    }
    let medians = |name: &str| {
        let of = |part: fn(&Start) -> f64| median(starts[name].iter().map(part).collect());
        (of(|start| start.init), of(|start| start.invocation))
    };
    let (bare, bare_invocation) = medians(HELLO);
    let ms = |n: f64| format!("{} ms", short(n));
    let mut rows = vec![Row::plain(
        "Cold start of a function that does nothing: until it is ready · its first invocation",
        format!("{} · {}", ms(bare), ms(bare_invocation)),
    )];
    for (name, _) in events.iter().filter(|(name, _)| *name != HELLO) {
        let (init, invocation) = medians(name);
        rows.push(Row::aimed(
            format!("Cold start of {name}"),
            format!("{} · {}", ms(init), ms(invocation)),
            format!("ready at most {} later", ms(AIM)),
            init - bare <= AIM,
        ));
    }
    let how = format!(
        "**Cold starts**: the functions as they go to Lambda (`.ci/functions`, and `.ci/functions hello` for the one that \
         does nothing), under a stand-in for Lambda's Runtime API on this machine: from the start of the process to its first \
         call for an invocation, and from there to the answer. The median of {rounds} starts, in turns. AWS is the embedded one, \
         over HTTP without TLS. The invocations are an interaction posted, a list of campaigns, a sweep and a compaction with \
         nothing to do, and messages about work that does not exist. Lambda adds the time to fetch the function and to start a \
         machine for it."
    );
    Ok(Findings { rows, how })
}

fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of[of.len() / 2]
}
