//! `/v1/restores`: restore requests.

use axum::{
    Router,
    body::Body,
    extract::State,
    response::Response,
    routing::{get, post},
};
use http::{HeaderMap, StatusCode, Uri};
use rekindle_domain::id::RequestId;
use rekindle_runtime::{
    http::{PathId, Query, empty_body, header_text, json, json_body},
    problem::HttpProblem,
    scopes::By,
};
use rekindle_service::{Problem, Rekindle};

/// The most requests a page has.
const MAX_REQUESTS: usize = 50;

pub(crate) fn routes() -> Router<Rekindle> {
    Router::new()
        .route("/v1/restores", get(list).post(create))
        .route("/v1/restores/estimate", post(estimate))
        .route("/v1/restores/{id}", get(show))
        .route("/v1/restores/{id}/cancel", post(cancel))
}

fn request(id: &str) -> Result<RequestId, Problem> {
    id.parse().map_err(|_| Problem::not_found("unknown_restore", "there is no restore request of that id"))
}

async fn create(
    State(app): State<Rekindle>,
    By(by): By,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, HttpProblem> {
    let key = header_text(&headers, "idempotency-key")?;
    let view = app.request_restore(&json_body(body).await?, key, &by).await?;
    Ok(json(StatusCode::ACCEPTED, &view))
}

async fn estimate(State(app): State<Rekindle>, body: Body) -> Result<Response, HttpProblem> {
    Ok(json(StatusCode::OK, &app.estimate_restore(&json_body(body).await?).await?))
}

async fn show(State(app): State<Rekindle>, PathId(id): PathId) -> Result<Response, HttpProblem> {
    Ok(json(StatusCode::OK, &app.get_request(request(&id)?).await?))
}

async fn list(State(app): State<Rekindle>, uri: Uri) -> Result<Response, HttpProblem> {
    let query = Query::parse(&uri, &["limit", "cursor"])?;
    let limit = query.limit()?.min(MAX_REQUESTS);
    Ok(json(StatusCode::OK, &app.list_requests(query.get("cursor"), limit).await?))
}

async fn cancel(
    State(app): State<Rekindle>,
    PathId(id): PathId,
    By(by): By,
    body: Body,
) -> Result<Response, HttpProblem> {
    empty_body(body).await?;
    Ok(json(StatusCode::OK, &app.cancel_request(request(&id)?, &by).await?))
}
