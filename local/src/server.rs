//! The running system: HTTP on loopback, workers for both queues, the schedules of sweeper and compactor, and the `/_local`
//! endpoints.

use crate::{
    clock::{ClockError, LocalClock},
    embedded::EmbeddedAws,
    listen::Limits,
    pages,
    poller::{Consumer, context},
    sample::Sample,
    sign_in::SignInLink,
    stack::Stack,
};
use axum::{
    Router,
    body::Body,
    extract::{Path, Request, State},
    middleware::{Next, from_fn, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::get,
};
use futures::TryStreamExt;
use http::StatusCode;
use lambda_runtime::LambdaEvent;
use rekindle_domain::time::{Clock, Period, Time};
use rekindle_runtime::{
    foreign::refuse_foreigners,
    http::{empty_body, json, json_body, with_fallbacks},
    problem::HttpProblem,
    scopes::{Route, bearer, guarded},
};
use rekindle_service::{Problem, Rekindle, ingest::MAX_ENCODED, upkeep::CompactReport};
use serde::Deserialize;
use serde_json::{Value, json as object};
use std::{sync::Arc, time::Duration};
use tokio::sync::RwLock;
use tower::ServiceExt;

/// How often the sweeper runs locally. In the cloud it runs every 5 minutes.
const SWEEP_EVERY: Duration = Duration::from_secs(5);
/// How often the compactor runs locally. In the cloud it runs every minute.
const COMPACT_EVERY: Duration = Duration::from_secs(15);
/// How many invocations of the restorer run at once; Lambda would scale this number.
const RESTORERS: usize = 2;
/// How long a poll waits for a message.
const POLL_SECONDS: i32 = 20;
/// How long after a failed poll the next one begins.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// The running system.
#[derive(Clone)]
pub struct Local {
    /// The application and its resources.
    pub stack: Stack,
    /// The embedded AWS under it.
    pub aws: EmbeddedAws,
    /// The clock of the application and of the AWS.
    pub clock: Arc<LocalClock>,
    /// How long clients may take.
    pub limits: Limits,
    /// The link that signs a reader in to the console, if there is one.
    pub link: Option<SignInLink>,
    /// How far it is with loading sample data.
    pub sample: Arc<Sample>,
    /// Every running handler holds it for reading; a move of the clock holds it for writing.
    gate: Arc<RwLock<()>>,
}

impl Local {
    /// The system over a stack. Nothing runs yet.
    pub fn new(stack: Stack, aws: EmbeddedAws, clock: Arc<LocalClock>) -> Self {
        Self {
            stack,
            aws,
            clock,
            limits: Limits::default(),
            link: None,
            sample: Arc::default(),
            gate: Arc::default(),
        }
    }

    /// Handles the queues, sweeps and compacts on schedule, until the future is dropped.
    pub async fn run_in_background(&self) {
        let restorers = (0..RESTORERS).map(|_| self.poll(Consumer::Restorer));
        let workers = futures::future::join_all(restorers);
        tokio::join!(
            workers,
            self.poll(Consumer::Notifier),
            self.sweep_on_schedule(),
            self.compact_on_schedule()
        );
    }

    async fn poll(&self, consumer: Consumer) {
        loop {
            if let Err(error) = self.poll_once(consumer).await {
                tracing::error!(queue.consumer = ?consumer, error.message = %error, "polling failed");
                tokio::time::sleep(AFTER_FAILURE).await;
            }
        }
    }

    async fn poll_once(&self, consumer: Consumer) -> Result<(), lambda_runtime::Error> {
        let messages = self.stack.receive(consumer, POLL_SECONDS).await?;
        if messages.is_empty() {
            return Ok(());
        }
        let stack = self.stack.clone();
        let gate = self.gate.clone();
        // Each invocation is a task, so that invocations run in parallel and a panic ends only its own.
        let invocation = tokio::spawn(async move {
            let _running = gate.read().await;
            stack.deliver(consumer, messages).await
        });
        invocation.await?.map(drop)
    }

    async fn sweep_on_schedule(&self) {
        let mut schedule = tokio::time::interval(SWEEP_EVERY);
        schedule.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            schedule.tick().await;
            let local = self.clone();
            // The sweep is a task, so that a panic ends this sweep and not the system.
            match tokio::spawn(async move { local.sweep().await }).await {
                Ok(Ok(_)) => {}
                Ok(Err(problem)) => {
                    tracing::error!(error.message = problem.detail, "the scheduled sweep failed")
                }
                Err(error) => tracing::error!(error.message = %error, "the scheduled sweep broke off"),
            }
        }
    }

    async fn compact_on_schedule(&self) {
        let mut schedule = tokio::time::interval(COMPACT_EVERY);
        schedule.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            schedule.tick().await;
            let local = self.clone();
            match tokio::spawn(async move { local.compact().await }).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => tracing::error!(error.message = %error, "the scheduled compaction failed"),
                Err(error) => tracing::error!(error.message = %error, "the scheduled compaction broke off"),
            }
        }
    }

    /// Runs one invocation of the compactor.
    ///
    /// # Errors
    /// Its handler's error.
    pub async fn compact(&self) -> Result<CompactReport, lambda_runtime::Error> {
        let _running = self.gate.read().await;
        let event = LambdaEvent::new(Value::Null, context(&*self.clock));
        rekindle_compactor::handle(&self.stack.app, event).await
    }

    /// Runs one invocation of the sweeper. Answers its report.
    ///
    /// # Errors
    /// 500 `sweep_failed`.
    pub async fn sweep(&self) -> Result<Value, HttpProblem> {
        let _running = self.gate.read().await;
        let event = LambdaEvent::new(Value::Null, context(&*self.clock));
        let report = rekindle_sweeper::handle(&self.stack.app, event).await.map_err(|error| {
            HttpProblem::new(StatusCode::INTERNAL_SERVER_ERROR, "sweep_failed", error.to_string())
        })?;
        Ok(serde_json::to_value(report).unwrap_or_default())
    }

    /// Waits until no handler runs, then moves the clock ahead. Time that passes by itself has sweeps in it, and no data
    /// expires before people were warned of it. So a move by more than the notice period stops before it, for a sweep.
    ///
    /// # Errors
    /// [`ClockError`]; the clock stands where it stood, or where it stopped for the sweep.
    pub async fn move_clock(&self, to: &ClockMove) -> Result<Time, ClockError> {
        let wanted = match to {
            ClockMove::Advance(period) => period.after(self.clock.now()).ok_or(ClockError::TooLate)?,
            ClockMove::Now(at) => *at,
        };
        self.clock.check(wanted)?;
        let eve = self.stack.app.settings.notice_period.before(wanted.plus(-SWEEP_MILLIS));
        if let Some(eve) = eve.filter(|eve| *eve > self.clock.now()) {
            {
                let _alone = self.gate.write().await;
                self.clock.set(eve)?;
            }
            if let Err(error) = self.sweep().await {
                tracing::error!(error = ?error, "the sweep before a move of the clock failed");
            }
        }
        let _alone = self.gate.write().await;
        self.clock.set(wanted.max(self.clock.now()))?;
        Ok(self.clock.now())
    }

    /// All routes: those of the functions, which take a key, the console's, which take a session, and `/_local`, which takes
    /// neither.
    pub fn router(&self) -> Router {
        let functions = functions(&self.stack.app)
            .layer(from_fn_with_state(self.clone(), one_invocation))
            .layer(from_fn_with_state(self.clone(), health_of_the_disk));
        let console =
            rekindle_console::router_with(self.stack.app.clone(), &pages::EXTRAS, pages::routes(self))
                .layer(from_fn_with_state(self.clone(), one_invocation));
        let local = Router::new()
            .route("/_local/sign-in/{word}", get(sign_in))
            .route("/_local/clock", get(show_clock).post(move_clock))
            .route("/_local/sweep", axum::routing::post(sweep_now))
            .route("/_local/outbox", get(outbox))
            .with_state(self.clone());
        with_fallbacks(local)
            .fallback_service(functions)
            .layer(from_fn_with_state(console, to_console))
            .layer(from_fn_with_state(self.limits, whole_body))
            .layer(from_fn(refuse_foreigners))
    }
}

/// Every route of every function, with the scope that it takes.
pub fn function_routes() -> Vec<Route> {
    [rekindle_ingest::ROUTES, rekindle_api::ROUTES].concat()
}

/// The routes of all functions in one router, as API Gateway has them, behind the layer that asks for a key.
pub fn functions(app: &Rekindle) -> Router {
    let routes = rekindle_ingest::routes(app.clone()).merge(rekindle_api::routes(app.clone()));
    guarded(routes, &function_routes(), bearer, app.clone())
}

/// More than a sweep takes, in milliseconds.
const SWEEP_MILLIS: i64 = 3_600_000;

/// A move of the clock.
#[derive(Clone, Copy, Debug)]
pub enum ClockMove {
    /// Ahead by a calendar period.
    Advance(Period),
    /// To a time.
    Now(Time),
}

/// Reads the body before anything else happens, as API Gateway does: no handler runs, and nobody waits for one, while a
/// client is still sending. Of a body that is too long for every route, as much is passed on as shows that it is.
async fn whole_body(State(limits): State<Limits>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    match tokio::time::timeout(limits.body, read(body)).await {
        Ok(Ok(bytes)) => next.run(Request::from_parts(parts, Body::from(bytes))).await,
        Ok(Err(_)) => {
            HttpProblem::from(Problem::bad_request("incomplete_body", "the body broke off")).into_response()
        }
        Err(_) => {
            let seconds = limits.body.as_secs();
            let detail = format!("the body did not arrive within {seconds} seconds; nothing was done");
            HttpProblem::new(StatusCode::REQUEST_TIMEOUT, "body_too_slow", detail).into_response()
        }
    }
}

async fn read(body: Body) -> Result<Vec<u8>, axum::Error> {
    let mut body = body.into_data_stream();
    let mut bytes = Vec::new();
    while let Some(chunk) = body.try_next().await? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > MAX_ENCODED {
            break;
        }
    }
    Ok(bytes)
}

/// `GET /v1/health` is of the disk, too: a store that only reads is not well.
async fn health_of_the_disk(State(local): State<Local>, request: Request, next: Next) -> Response {
    let is_health = request.uri().path() == "/v1/health";
    let answer = next.run(request).await;
    if is_health && answer.status() == StatusCode::OK && local.aws.is_full().await.unwrap_or(false) {
        return HttpProblem::from(Problem::full()).into_response();
    }
    answer
}

/// Holds the clock still while a handler runs. The request's body has arrived by then.
async fn one_invocation(State(local): State<Local>, request: Request, next: Next) -> Response {
    let _running = local.gate.read().await;
    next.run(request).await
}

/// Hands the console's pages to the console. It matches their routes itself, as it does behind a gateway.
async fn to_console(State(console): State<Router>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if path == "/" || path == "/console" || path.starts_with("/console/") {
        return console.oneshot(request).await.into_response();
    }
    next.run(request).await
}

/// Signs in whoever has the link that the runner printed, once.
async fn sign_in(State(local): State<Local>, Path(word): Path<String>) -> Result<Response, HttpProblem> {
    let Some(key) = local.link.as_ref().and_then(|link| link.use_up(&word)) else {
        return Ok(rekindle_console::to_sign_in());
    };
    let app = &local.stack.app;
    let Ok(key) = app.verify(&key).await.map_err(Problem::from)? else {
        return Ok(rekindle_console::to_sign_in());
    };
    let session = app.open_session(&key).await.map_err(Problem::from)?;
    Ok(rekindle_console::enter(&session))
}

async fn show_clock(State(local): State<Local>) -> Response {
    json(StatusCode::OK, &object!({ "now": local.clock.now() }))
}

async fn move_clock(State(local): State<Local>, body: Body) -> Result<Response, HttpProblem> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Input {
        advance: Option<String>,
        now: Option<Time>,
    }
    let invalid = |detail: String| Problem::unprocessable("invalid_clock", detail);
    let to = match json_body::<Input>(body).await? {
        Input { advance: Some(period), now: None } => {
            ClockMove::Advance(Period::parse(&period).map_err(invalid)?)
        }
        Input { advance: None, now: Some(at) } => ClockMove::Now(at),
        _ => {
            let detail = "send either {\"advance\":\"P3M\"} or {\"now\":\"2027-01-01T00:00:00Z\"}";
            return Err(invalid(detail.to_owned()).into());
        }
    };
    let now = local.move_clock(&to).await.map_err(|error| invalid(error.to_string()))?;
    Ok(json(StatusCode::OK, &object!({ "now": now })))
}

async fn sweep_now(State(local): State<Local>, body: Body) -> Result<Response, HttpProblem> {
    empty_body(body).await?;
    Ok(json(StatusCode::OK, &local.sweep().await?))
}

async fn outbox(State(local): State<Local>) -> Response {
    let mails: Vec<Value> = local
        .aws
        .outbox()
        .into_iter()
        .map(|mail| {
            object!({
                "to": mail.to.join(", "),
                "subject": mail.subject,
                "text": mail.text,
                "html": mail.html,
                "sent_at": Time(mail.sent_at.as_millisecond()),
            })
        })
        .collect();
    json(StatusCode::OK, &object!({ "items": mails, "next": null }))
}
