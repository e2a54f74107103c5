//! `/v1/keys`: access keys.

use axum::{
    Router,
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
    routing::{delete, get, post},
};
use http::{HeaderMap, StatusCode, Uri};
use rekindle_domain::id::KeyId;
use rekindle_runtime::{
    http::{PathId, Query, header_text, json, json_body, optional_json_body},
    problem::HttpProblem,
    scopes::By,
};
use rekindle_service::{Problem, Rekindle};

pub(crate) fn routes() -> Router<Rekindle> {
    Router::new()
        .route("/v1/keys", get(list).post(create))
        .route("/v1/keys/{id}", delete(revoke))
        .route("/v1/keys/{id}/rotate", post(rotate))
}

fn key(id: &str) -> Result<KeyId, Problem> {
    id.parse().map_err(|_| Problem::not_found("unknown_key", "there is no key of that id"))
}

async fn list(State(app): State<Rekindle>, uri: Uri) -> Result<Response, HttpProblem> {
    let query = Query::parse(&uri, &["limit", "cursor"])?;
    Ok(json(StatusCode::OK, &app.list_keys(query.get("cursor"), query.limit()?).await?))
}

async fn create(State(app): State<Rekindle>, By(by): By, body: Body) -> Result<Response, HttpProblem> {
    Ok(json(StatusCode::CREATED, &app.create_key(&json_body(body).await?, &by).await?))
}

async fn rotate(
    State(app): State<Rekindle>,
    PathId(id): PathId,
    By(by): By,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, HttpProblem> {
    let name = header_text(&headers, "idempotency-key")?;
    let input = optional_json_body(body).await?;
    Ok(json(StatusCode::OK, &app.rotate_key(key(&id)?, &input, name, &by).await?))
}

async fn revoke(
    State(app): State<Rekindle>,
    PathId(id): PathId,
    By(by): By,
) -> Result<Response, HttpProblem> {
    app.revoke_key(key(&id)?, &by).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
