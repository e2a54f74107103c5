//! `/v1/campaigns`.

use axum::{
    Router,
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use rekindle_domain::id::{SourceId, SourceKind};
use rekindle_runtime::http::{PathId, Query, empty_body, header_text, json, json_body};
use rekindle_service::{
    Problem, Rekindle,
    sources::{ListRequest, SourceView, decode_cursor},
};

/// Who did it, in timelines, until there are keys.
const BY: &str = "api";

pub(crate) fn routes() -> Router<Rekindle> {
    Router::new()
        .route("/v1/campaigns", get(list))
        .route("/v1/campaigns/{id}", get(show).put(put))
        .route("/v1/campaigns/{id}/start", post(start))
        .route("/v1/campaigns/{id}/stop", post(stop))
        .route("/v1/campaigns/{id}/timeline", get(timeline))
}

fn campaign(id: &str) -> Result<SourceId, Problem> {
    SourceId::new(SourceKind::Campaign, id).ok_or_else(|| {
        Problem::bad_request("invalid_id", "a campaign's id is 1 to 128 characters of A-Z a-z 0-9 _ . : -")
    })
}

fn shown(status: StatusCode, view: &SourceView) -> Response {
    let mut response = json(status, view).into_response();
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{}\"", view.version)) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

async fn show(State(app): State<Rekindle>, PathId(id): PathId) -> Result<Response, Problem> {
    Ok(shown(StatusCode::OK, &app.get_source(&campaign(&id)?).await?))
}

async fn put(
    State(app): State<Rekindle>,
    PathId(id): PathId,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let id = campaign(&id)?;
    let if_match = header_text(&headers, header::IF_MATCH.as_str())?.map(version).transpose()?;
    let (view, is_new) = app.put_source_fields(&id, &json_body(body).await?, if_match).await?;
    Ok(shown(if is_new { StatusCode::CREATED } else { StatusCode::OK }, &view))
}

fn version(tag: &str) -> Result<u64, Problem> {
    tag.trim().trim_matches('"').parse().map_err(|_| {
        Problem::bad_request(
            "invalid_if_match",
            "If-Match takes the ETag of an earlier answer, such as \"3\"",
        )
    })
}

async fn start(State(app): State<Rekindle>, PathId(id): PathId, body: Body) -> Result<Response, Problem> {
    empty_body(body).await?;
    Ok(shown(StatusCode::OK, &app.start_source(&campaign(&id)?, BY).await?))
}

async fn stop(State(app): State<Rekindle>, PathId(id): PathId, body: Body) -> Result<Response, Problem> {
    empty_body(body).await?;
    Ok(shown(StatusCode::OK, &app.stop_source(&campaign(&id)?, BY).await?))
}

async fn list(State(app): State<Rekindle>, uri: Uri) -> Result<Response, Problem> {
    let query = Query::parse(&uri, &["status", "state", "q", "sort", "limit", "cursor"])?;
    let request = ListRequest {
        status: query.one_of("status", &["draft", "active", "stopped"])?,
        state: query.one_of("state", &["available", "expiring", "expired", "restoring"])?,
        q: query.get("q").map(str::to_owned),
        sort: query.one_of("sort", &["updated_at", "expires_at"])?,
        cursor: query.get("cursor").map(decode_cursor).transpose()?,
        limit: query.limit()?,
    };
    Ok(json(StatusCode::OK, &app.list(SourceKind::Campaign, &request).await?))
}

async fn timeline(State(app): State<Rekindle>, PathId(id): PathId, uri: Uri) -> Result<Response, Problem> {
    let query = Query::parse(&uri, &["limit", "cursor"])?;
    let entries = app.timeline(&campaign(&id)?, query.get("cursor"), query.limit()?).await?;
    Ok(json(StatusCode::OK, &entries))
}
