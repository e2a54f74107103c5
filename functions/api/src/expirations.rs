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
    Time::parse_any(text).ok_or_else(|| {
        let detail =
            "until must be a time such as 2026-11-22T10:00:00Z (a + is written %2B), or epoch milliseconds";
        Problem::bad_request("invalid_query", detail)
    })
}
