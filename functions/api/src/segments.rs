//! `/v1/segments`: named filters.

use axum::{
    Router,
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
    routing::get,
};
use http::{StatusCode, Uri};
use rekindle_domain::id::{id_refusal, is_valid_id};
use rekindle_runtime::{
    http::{PathId, Query, json, json_body},
    problem::HttpProblem,
    scopes::By,
};
use rekindle_service::{Problem, Rekindle};

pub(crate) fn routes() -> Router<Rekindle> {
    Router::new()
        .route("/v1/segments", get(list))
        .route("/v1/segments/{id}", get(show).put(put).delete(delete))
}

fn segment(id: &str) -> Result<&str, Problem> {
    if is_valid_id(id) {
        return Ok(id);
    }
    Err(Problem::bad_request("invalid_id", format!("the id of a segment {}", id_refusal(id))))
}

async fn list(State(app): State<Rekindle>, uri: Uri) -> Result<Response, HttpProblem> {
    let query = Query::parse(&uri, &["limit", "cursor"])?;
    Ok(json(StatusCode::OK, &app.list_segments(query.get("cursor"), query.limit()?).await?))
}

async fn show(State(app): State<Rekindle>, PathId(id): PathId) -> Result<Response, HttpProblem> {
    Ok(json(StatusCode::OK, &app.get_segment(segment(&id)?).await?))
}

async fn put(
    State(app): State<Rekindle>,
    PathId(id): PathId,
    By(by): By,
    body: Body,
) -> Result<Response, HttpProblem> {
    let (view, is_new) = app.put_segment(segment(&id)?, &json_body(body).await?, &by).await?;
    Ok(json(if is_new { StatusCode::CREATED } else { StatusCode::OK }, &view))
}

async fn delete(
    State(app): State<Rekindle>,
    PathId(id): PathId,
    By(by): By,
) -> Result<Response, HttpProblem> {
    app.delete_segment(segment(&id)?, &by).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
