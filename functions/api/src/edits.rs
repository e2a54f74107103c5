//! The parts that the edits of campaigns, Canvases and segments share: their conditions, and the statuses of their answers.

use axum::extract::FromRequestParts;
use http::{StatusCode, header, request::Parts};
use rekindle_runtime::{
    http::{Query, header_text},
    problem::HttpProblem,
};
use rekindle_service::{Problem, library::Edit};

/// The header `If-Match` and the query `dry_run` of an edit. The route takes no other query.
pub(crate) struct How(pub Edit);

impl<S: Send + Sync> FromRequestParts<S> for How {
    type Rejection = HttpProblem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, HttpProblem> {
        let is_dry_run = Query::parse(&parts.uri, &["dry_run"])?.flag("dry_run")?;
        let if_match = header_text(&parts.headers, header::IF_MATCH.as_str())?.map(version).transpose()?;
        Ok(Self(Edit { if_match, is_dry_run, ..Edit::default() }))
    }
}

fn version(tag: &str) -> Result<u64, Problem> {
    tag.trim().trim_matches('"').parse().map_err(|_| {
        Problem::bad_request(
            "invalid_if_match",
            "If-Match takes the ETag of an earlier answer, such as \"3\"",
        )
    })
}

/// The status of the answer to a `PUT`.
pub(crate) const fn put_status(is_new: bool) -> StatusCode {
    if is_new { StatusCode::CREATED } else { StatusCode::OK }
}
