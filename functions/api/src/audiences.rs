//! `/v1/audiences`: questions about an audience.

use axum::{Router, body::Body, extract::State, response::Response, routing::post};
use http::StatusCode;
use rekindle_runtime::{
    http::{json, json_body},
    problem::HttpProblem,
};
use rekindle_service::Rekindle;

pub(crate) fn routes() -> Router<Rekindle> {
    Router::new()
        .route("/v1/audiences/count", post(count))
        .route("/v1/audiences/members", post(members))
        .route("/v1/audiences/match", post(matches))
}

async fn count(State(app): State<Rekindle>, body: Body) -> Result<Response, HttpProblem> {
    Ok(json(StatusCode::OK, &app.count(&json_body(body).await?).await?))
}

async fn members(State(app): State<Rekindle>, body: Body) -> Result<Response, HttpProblem> {
    Ok(json(StatusCode::OK, &app.members(&json_body(body).await?).await?))
}

async fn matches(State(app): State<Rekindle>, body: Body) -> Result<Response, HttpProblem> {
    Ok(json(StatusCode::OK, &app.matches(&json_body(body).await?).await?))
}
