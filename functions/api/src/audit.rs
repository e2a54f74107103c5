//! `/v1/audit`: the audit trail.

use axum::{Router, extract::State, response::Response, routing::get};
use http::{StatusCode, Uri};
use rekindle_runtime::{
    http::{Query, json},
    problem::HttpProblem,
};
use rekindle_service::{Rekindle, access::AuditRequest};

pub(crate) fn routes() -> Router<Rekindle> {
    Router::new().route("/v1/audit", get(list))
}

async fn list(State(app): State<Rekindle>, uri: Uri) -> Result<Response, HttpProblem> {
    let query = Query::parse(&uri, &["on", "by", "limit", "cursor"])?;
    let request = AuditRequest {
        on: query.get("on").map(str::to_owned),
        by: query.get("by").map(str::to_owned),
        limit: query.limit()?,
    };
    Ok(json(StatusCode::OK, &app.list_audit(&request, query.get("cursor")).await?))
}
