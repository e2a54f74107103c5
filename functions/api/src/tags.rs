//! `/v1/tags`: the tags of sources.

use axum::{Router, extract::State, response::Response, routing::get};
use http::{StatusCode, Uri};
use rekindle_runtime::{
    http::{Query, json},
    problem::HttpProblem,
};
use rekindle_service::Rekindle;

pub(crate) fn routes() -> Router<Rekindle> {
    Router::new().route("/v1/tags", get(list))
}

async fn list(State(app): State<Rekindle>, uri: Uri) -> Result<Response, HttpProblem> {
    let query = Query::parse(&uri, &["limit", "cursor"])?;
    Ok(json(StatusCode::OK, &app.list_tags(query.get("cursor"), query.limit()?).await?))
}
