//! `/v1/users`: a user's profile.

use axum::{Router, extract::State, response::Response, routing::get};
use http::{StatusCode, Uri};
use rekindle_runtime::{
    http::{Query, json},
    problem::HttpProblem,
};
use rekindle_service::{Problem, Rekindle, audience::ProfileRequest};

pub(crate) fn routes() -> Router<Rekindle> {
    Router::new().route("/v1/users", get(show))
}

async fn show(State(app): State<Rekindle>, uri: Uri) -> Result<Response, HttpProblem> {
    let query = Query::parse(&uri, &["user_id", "limit", "cursor"])?;
    let user = query
        .get("user_id")
        .ok_or_else(|| Problem::bad_request("invalid_query", "say which user: GET /v1/users?user_id=u1"))?;
    let (cursor, limit) = (query.get("cursor"), query.limit()?);
    let request = ProfileRequest { user_id: user, cursor, limit, reads_archive: false };
    let profile = app.user_profile(&request).await?;
    Ok(json(StatusCode::OK, &profile))
}
