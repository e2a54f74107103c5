//! `/v1/segments`: named filters.

use crate::edits::{How, put_status};
use axum::{
    Router,
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
    routing::get,
};
use http::{HeaderMap, StatusCode, Uri};
use rekindle_domain::id::{id_refusal, is_valid_id};
use rekindle_runtime::{
    http::{PathId, Query, json, json_body, versioned},
    patch::patch_body,
    problem::HttpProblem,
    scopes::By,
};
use rekindle_service::{
    Problem, Rekindle,
    library::{Said, SegmentInput, SegmentView},
};

pub(crate) fn routes() -> Router<Rekindle> {
    Router::new()
        .route("/v1/segments", get(list))
        .route("/v1/segments/{id}", get(show).put(put).patch(patch).delete(delete))
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

fn shown(status: StatusCode, view: &SegmentView) -> Response {
    versioned(status, view, view.version)
}

async fn show(State(app): State<Rekindle>, PathId(id): PathId) -> Result<Response, HttpProblem> {
    Ok(shown(StatusCode::OK, &app.get_segment(segment(&id)?).await?))
}

async fn put(
    State(app): State<Rekindle>,
    PathId(id): PathId,
    By(by): By,
    How(how): How,
    body: Body,
) -> Result<Response, HttpProblem> {
    let said = Said::All(json_body(body).await?);
    let (view, is_new) = app.edit_segment(segment(&id)?, &said, how, &by).await?;
    Ok(shown(put_status(is_new), &view))
}

async fn patch(
    State(app): State<Rekindle>,
    PathId(id): PathId,
    By(by): By,
    How(how): How,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, HttpProblem> {
    let said = patch_body::<SegmentInput, _, _>(&headers, body).await?;
    Ok(shown(StatusCode::OK, &app.edit_segment(segment(&id)?, &said, how, &by).await?.0))
}

async fn delete(
    State(app): State<Rekindle>,
    PathId(id): PathId,
    By(by): By,
    How(how): How,
) -> Result<Response, HttpProblem> {
    app.delete_segment(segment(&id)?, how, &by).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
