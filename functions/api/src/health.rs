//! `/v1/health`: whether the deployment answers.

use axum::{Router, extract::State, response::Response, routing::get};
use http::{StatusCode, Uri};
use rekindle_runtime::{
    http::{Query, json},
    problem::HttpProblem,
};
use rekindle_service::Rekindle;

pub(crate) fn routes() -> Router<Rekindle> {
    Router::new().route("/v1/health", get(show))
}

async fn show(State(app): State<Rekindle>, uri: Uri) -> Result<Response, HttpProblem> {
    Query::parse(&uri, &[])?;
    Ok(json(StatusCode::OK, &app.health().await?))
}
