//! `/v1/sources`: the same act on many campaigns and Canvases.

use axum::{
    Router,
    body::Body,
    extract::State,
    response::Response,
    routing::{MethodRouter, post},
};
use http::{StatusCode, Uri};
use rekindle_domain::{id::SourceId, time::Time};
use rekindle_runtime::{
    http::{Query, json, json_body},
    problem::HttpProblem,
    scopes::By,
};
use rekindle_service::{
    Caller, Problem, Rekindle,
    library::{
        BulkAnswer, BulkInput, BulkItem, BulkPinInput, BulkStopInput, Edit, PinInput, SourceView, each_once,
    },
};

pub(crate) fn routes() -> Router<Rekindle> {
    Router::new()
        .route("/v1/sources/start", some(Act::Start))
        .route("/v1/sources/stop", post(stop))
        .route("/v1/sources/pin", post(pin))
        .route("/v1/sources/unpin", some(Act::Unpin))
        .route("/v1/sources/delete", post(delete))
        .route("/v1/sources/undelete", some(Act::Undelete))
}

/// The act that is done to each source.
#[derive(Clone)]
enum Act {
    Start,
    Stop { at: Option<Time>, is_dry_run: bool },
    Pin(PinInput),
    Unpin,
    Undelete,
}

/// Acts on each source, one after the other, so that two of them do not race for the segments that they share.
async fn each(
    app: &Rekindle,
    by: &Caller,
    sources: Vec<SourceId>,
    act: Act,
) -> Result<Response, HttpProblem> {
    let mut items = Vec::new();
    for source in each_once(sources)? {
        let outcome = match &act {
            Act::Start => app.start_source(&source, by).await,
            Act::Stop { at, is_dry_run } => app.stop_source(&source, *at, *is_dry_run, by).await,
            Act::Pin(pin) => app.pin_source(&source, pin, by).await,
            Act::Unpin => app.unpin_source(&source, by).await,
            Act::Undelete => app.undelete_source(&source, by).await,
        };
        items.push(item(source, outcome));
    }
    Ok(json(StatusCode::OK, &BulkAnswer { items }))
}

fn item(source: SourceId, outcome: Result<SourceView, Problem>) -> BulkItem<HttpProblem> {
    match outcome {
        Ok(view) => BulkItem { source, status: 200, view: Some(view), problem: None },
        Err(problem) => {
            let problem = HttpProblem::from(problem);
            let status = problem.status.as_u16();
            BulkItem { source, status, view: None, problem: Some(problem) }
        }
    }
}

/// A route of an act whose body names sources, and nothing else.
fn some(act: Act) -> MethodRouter<Rekindle> {
    post(async move |State(app): State<Rekindle>, By(by): By, body: Body| {
        let BulkInput { sources } = json_body(body).await?;
        each(&app, &by, sources, act).await
    })
}

async fn stop(
    State(app): State<Rekindle>,
    By(by): By,
    uri: Uri,
    body: Body,
) -> Result<Response, HttpProblem> {
    let is_dry_run = Query::parse(&uri, &["dry_run"])?.flag("dry_run")?;
    let BulkStopInput { sources, at } = json_body(body).await?;
    each(&app, &by, sources, Act::Stop { at, is_dry_run }).await
}

async fn pin(State(app): State<Rekindle>, By(by): By, body: Body) -> Result<Response, HttpProblem> {
    let input: BulkPinInput = json_body(body).await?;
    let pin = input.pin();
    each(&app, &by, input.sources, Act::Pin(pin)).await
}

async fn delete(
    State(app): State<Rekindle>,
    By(by): By,
    uri: Uri,
    body: Body,
) -> Result<Response, HttpProblem> {
    let is_dry_run = Query::parse(&uri, &["dry_run"])?.flag("dry_run")?;
    let BulkInput { sources } = json_body(body).await?;
    let how = Edit { is_dry_run, ..Edit::default() };
    let outcomes = app.delete_sources(each_once(sources)?, how, &by).await?;
    let items = outcomes.into_iter().map(|(source, outcome)| item(source, outcome)).collect();
    Ok(json(StatusCode::OK, &BulkAnswer { items }))
}
