//! `/v1/expirations`: the data that expires.

use axum::{Router, extract::State, response::Response, routing::get};
use http::{StatusCode, Uri};
use rekindle_domain::time::Time;
use rekindle_runtime::{
    http::{Query, json},
    problem::HttpProblem,
};
use rekindle_service::{Problem, Rekindle};

pub(crate) fn routes() -> Router<Rekindle> {
    Router::new().route("/v1/expirations", get(list))
}

async fn list(State(app): State<Rekindle>, uri: Uri) -> Result<Response, HttpProblem> {
    let query = Query::parse(&uri, &["until", "limit", "cursor"])?;
    let until = query.get("until").map(time).transpose()?;
    Ok(json(StatusCode::OK, &app.expirations(until, query.get("cursor"), query.limit()?).await?))
}

fn time(text: &str) -> Result<Time, Problem> {
    text.parse().map_err(|why| Problem::bad_request("invalid_query", format!("until: {why}")))
}
