//! A deployment to measure: the local runner's stack, driven as the runner drives it, with a meter on its AWS calls.

use crate::{
    data::{CAMPAIGN, Crowd},
    meter::{Meter, metered},
};
use axum::{Router, body::Body};
use http::{Method, Request, header};
use rekindle_domain::{
    id::{SourceId, SourceKind},
    manifest::DataState,
    time::{Clock, Period, Time},
};
use rekindle_local::{
    admin_key,
    clock::LocalClock,
    embedded::{EmbeddedAws, Now},
    poller::Consumer,
    server::{ClockMove, Local},
    stack::{Stack, local_settings},
};
use rekindle_runtime::ports::RandomIds;
use rekindle_service::Settings;
use serde_json::{Value, json};
use std::{
    error::Error,
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tokio::{runtime::Handle, sync::mpsc, task::JoinHandle};
use tower::ServiceExt;

/// The result of a measurement, or the reason why there is none.
pub type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// How many users' interactions a large request carries.
pub const USERS_PER_REQUEST: u64 = 5_000;
/// How long a restorer waits for its next message.
const POLL_SECONDS: i32 = 1;

/// Where the embedded AWS keeps its state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kept {
    /// In memory, as `cargo run -- demo` does.
    InMemory,
    /// In a data directory that is deleted afterwards, as `cargo run` keeps it.
    OnDisk,
}

/// A running system of its own.
pub struct Deployment {
    /// The system.
    pub local: Local,
    /// The meter of its DynamoDB units.
    pub meter: Arc<Meter>,
    router: Router,
    /// The `Authorization` header that every request carries.
    authorization: String,
    _dir: Option<TempDir>,
}

/// A reader of the console.
pub struct Visitor {
    cookie: String,
}

/// Starts a stopwatch.
#[expect(clippy::disallowed_methods, reason = "it measures real time")]
pub fn stopwatch() -> Instant {
    Instant::now()
}

impl Deployment {
    /// A new, empty deployment. With a `home`, its AWS runs on that runtime.
    pub async fn new(kept: Kept, home: Option<Handle>) -> Outcome<Self> {
        let clock = Arc::new(LocalClock::in_memory());
        let stamp = clock.clone();
        let now: Now = Arc::new(move || jiff::Timestamp::from_millisecond(stamp.now().0).unwrap_or_default());
        let dir = (kept == Kept::OnDisk).then(tempfile::tempdir).transpose()?;
        let path = dir.as_ref().map(|d| d.path().to_owned());
        let open = async move {
            match path {
                None => EmbeddedAws::in_memory(now),
                Some(path) => EmbeddedAws::open(&path, now),
            }
        };
        let aws = match &home {
            None => open.await?,
            Some(home) => home.spawn(open).await??,
        };
        let meter = Arc::new(Meter::default());
        let client = metered(aws.http_client(), meter.clone(), home);
        let config = aws.sdk_config().into_builder().http_client(client).build();
        let settings = Settings { notice_period: Period::zero(), ..local_settings(Period::parse("P3M")?) };
        let stack = Stack::over(&config, clock.clone(), Arc::new(RandomIds), settings).await?;
        let key = admin_key::new_token(&*clock, &RandomIds);
        stack.app.install_key(&key, admin_key::NAME).await?;
        let local = Local::new(stack, aws, clock);
        let authorization = format!("Bearer {key}");
        let deployment = Self { router: local.router(), authorization, local, meter, _dir: dir };
        deployment.call(Method::PUT, &campaign(""), "application/json", json!({}).to_string().into()).await?;
        deployment.post(&campaign("/start"), &json!({})).await?;
        deployment.meter.take();
        Ok(deployment)
    }

    /// The time by its clock.
    pub fn now(&self) -> Time {
        self.local.clock.now()
    }

    async fn call(&self, method: Method, path: &str, kind: &str, body: Vec<u8>) -> Outcome<Value> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "127.0.0.1")
            .header(header::AUTHORIZATION, &self.authorization)
            .header(header::CONTENT_TYPE, kind)
            .body(Body::from(body))?;
        let response = self.router.clone().oneshot(request).await?;
        let status = response.status();
        let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await?;
        let answer: Value = serde_json::from_slice(&bytes)?;
        if status.is_success() { Ok(answer) } else { Err(format!("{path}: {status} {answer}").into()) }
    }

    /// Posts JSON; an error's answer is an error.
    pub async fn post(&self, path: &str, body: &Value) -> Outcome<Value> {
        self.call(Method::POST, path, "application/json", body.to_string().into()).await
    }

    /// Puts JSON; an error's answer is an error.
    pub async fn put(&self, path: &str, body: &Value) -> Outcome<Value> {
        self.call(Method::PUT, path, "application/json", body.to_string().into()).await
    }

    /// Signs a reader of the console in with the key.
    pub async fn sign_in(&self) -> Outcome<Visitor> {
        let key = self.authorization.trim_start_matches("Bearer ");
        let request = Request::post("/console/sign-in")
            .header(header::HOST, "127.0.0.1")
            .header(header::ORIGIN, "http://127.0.0.1")
            .body(Body::from(format!("key={key}")))?;
        let response = self.router.clone().oneshot(request).await?;
        let cookie = response.headers().get(header::SET_COOKIE).ok_or("no cookie")?.to_str()?;
        Ok(Visitor { cookie: cookie.split(';').next().unwrap_or_default().to_owned() })
    }

    /// A page of the console, as text.
    pub async fn page(&self, visitor: &Visitor, path: &str) -> Outcome<String> {
        let request = Request::get(path)
            .header(header::HOST, "127.0.0.1")
            .header(header::COOKIE, &visitor.cookie)
            .body(Body::empty())?;
        let response = self.router.clone().oneshot(request).await?;
        let status = response.status();
        let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await?;
        if status.is_success() {
            Ok(String::from_utf8(bytes.into())?)
        } else {
            Err(format!("{path}: {status}").into())
        }
    }

    /// Gets JSON; an error's answer is an error.
    pub async fn get(&self, path: &str) -> Outcome<Value> {
        self.call(Method::GET, path, "application/json", Vec::new()).await
    }

    /// Posts NDJSON; every interaction must be accepted.
    pub async fn ingest(&self, body: String, interactions: u64) -> Outcome<()> {
        let path = "/v1/interactions";
        let answer = self.call(Method::POST, path, "application/x-ndjson", body.into_bytes()).await?;
        if answer["accepted"] == interactions { Ok(()) } else { Err(format!("{path}: {answer}").into()) }
    }

    /// Posts all interactions of these users, in large requests, one after the other. Returns the number of interactions and
    /// the time of the requests.
    pub async fn fill(&self, crowd: &Crowd, users: Range<u64>) -> Outcome<(u64, Duration)> {
        let (mut interactions, mut taken) = (0, Duration::ZERO);
        let mut from = users.start;
        while from < users.end {
            let to = (from + USERS_PER_REQUEST).min(users.end);
            let (body, count) = crowd.whole_story(from..to);
            let begun = stopwatch();
            self.ingest(body, count).await?;
            taken += begun.elapsed();
            interactions += count;
            from = to;
        }
        Ok((interactions, taken))
    }

    /// Counts all users who received the campaign.
    pub async fn count(&self) -> Outcome<u64> {
        self.count_of(&received()).await
    }

    /// Counts an audience over all pages.
    pub async fn count_of(&self, filter: &Value) -> Outcome<u64> {
        let (mut total, mut cursor) = (0, Value::Null);
        loop {
            let body = json!({ "filter": filter, "cursor": cursor });
            let answer = self.post("/v1/audiences/count", &body).await?;
            total += answer["count"].as_u64().ok_or("no count")?;
            cursor = answer["next"].clone();
            if cursor.is_null() {
                return Ok(total);
            }
        }
    }

    /// Whether a user received the campaign.
    pub async fn matches(&self, user: &str) -> Outcome<bool> {
        let body = json!({ "filter": received(), "user_id": user });
        Ok(self.post("/v1/audiences/match", &body).await?["match"] == "yes")
    }

    /// Stops the campaign and lets three months pass.
    pub async fn come_due(&self) -> Outcome<()> {
        self.post(&campaign("/stop"), &json!({})).await?;
        self.wait("P3M").await
    }

    /// Lets time pass.
    pub async fn wait(&self, period: &str) -> Outcome<()> {
        self.local.move_clock(&ClockMove::Advance(Period::parse(period)?)).await?;
        Ok(())
    }

    /// Lets hours pass, in which the sweeper deletes the retired copies.
    pub async fn clean_up(&self) -> Outcome<()> {
        for _ in 0..3 {
            self.wait("PT61M").await?;
            self.post("/_local/sweep", &json!({})).await?;
        }
        Ok(())
    }

    /// Runs one invocation of the compactor; nothing may fail.
    pub async fn compact(&self) -> Outcome<()> {
        let report = self.local.compact().await?;
        if report.failed == 0 { Ok(()) } else { Err(format!("the compaction failed: {report:?}").into()) }
    }

    /// Runs one invocation of the sweeper; nothing may fail.
    pub async fn sweep(&self) -> Outcome<()> {
        let report = self.post("/_local/sweep", &json!({})).await?;
        if report["failed"] == 0 { Ok(()) } else { Err(format!("the sweep failed: {report}").into()) }
    }

    /// Sweeps until the campaign's data is expired.
    pub async fn expire(&self) -> Outcome<()> {
        loop {
            let report = self.post("/_local/sweep", &json!({})).await?;
            if report["failed"] != 0 {
                return Err(format!("the sweep failed: {report}").into());
            }
            if report["expired"] == 1 {
                return Ok(());
            }
        }
    }

    /// Asks for a restore, and does its work with this many restorers at once.
    pub async fn restore(&self, restorers: usize) -> Outcome<()> {
        let request = self.post("/v1/restores", &json!({ "sources": [source().to_string()] })).await?;
        let (done, mut dones) = mpsc::channel(restorers);
        let workers: Vec<_> =
            (0..restorers).map(|_| tokio::spawn(work(self.local.stack.clone(), done.clone()))).collect();
        // The first message begins the restore, and the worker of its last part ends it. The state is read after each message
        // only, because reading costs units.
        while dones.recv().await.is_some() {
            let found = self.local.stack.app.store.catalog.source(&source()).await?;
            if found.is_none_or(|s| s.state != DataState::Restoring) {
                break;
            }
        }
        workers.iter().for_each(JoinHandle::abort);
        let request =
            self.get(&format!("/v1/restores/{}", request["id"].as_str().unwrap_or_default())).await?;
        if request["state"] == "completed" { Ok(()) } else { Err(format!("no restore: {request}").into()) }
    }
}

/// One restorer: handles one message after another, for ever, and reports each on `done`.
async fn work(stack: Stack, done: mpsc::Sender<()>) {
    loop {
        let worked = async {
            let messages = stack.receive(Consumer::Restorer, POLL_SECONDS).await?;
            if messages.is_empty() { Ok(0) } else { stack.deliver(Consumer::Restorer, messages).await }
        };
        match worked.await {
            Ok(0) => {}
            Ok(_) => _ = done.send(()).await,
            Err(error) => eprintln!("a restorer failed: {error}"),
        }
    }
}

fn source() -> SourceId {
    SourceId::new(SourceKind::Campaign, CAMPAIGN).expect("a valid id")
}

fn campaign(action: &str) -> String {
    format!("/v1/campaigns/{CAMPAIGN}{action}")
}

fn received() -> Value {
    json!({ "received": { "source": source().to_string() } })
}
