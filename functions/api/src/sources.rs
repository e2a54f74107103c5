//! `/v1/campaigns` and `/v1/canvases`: both kinds have the same routes.

use axum::{
    Extension, Router,
    body::Body,
    extract::{FromRequestParts, State},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use http::{HeaderMap, HeaderValue, StatusCode, Uri, header, request::Parts};
use rekindle_domain::{
    id::{SourceId, SourceKind, id_refusal},
    source::Status,
};
use rekindle_runtime::{
    http::{PathId, Query, empty_body, header_text, json, json_body, optional_json_body},
    problem::HttpProblem,
    scopes::By,
};
use rekindle_service::{
    Problem, Rekindle,
    library::{CampaignInput, CanvasInput, ListRequest, ShownState, Sort, SourceView, StopInput},
};

pub(crate) fn routes() -> Router<Rekindle> {
    of(SourceKind::Campaign).merge(of(SourceKind::Canvas))
}

fn of(kind: SourceKind) -> Router<Rekindle> {
    let path = |rest: &str| format!("/v1/{}{rest}", kind.plural());
    Router::new()
        .route(&path(""), get(list))
        .route(&path("/{id}"), get(show).put(put))
        .route(&path("/{id}/start"), post(start))
        .route(&path("/{id}/stop"), post(stop))
        .route(&path("/{id}/pin"), post(pin).delete(unpin))
        .route(&path("/{id}/timeline"), get(timeline))
        .route_layer(Extension(kind))
}

/// The source that the path names.
struct Named(SourceId);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let Extension(kind) = Extension::<SourceKind>::from_request_parts(parts, state)
            .await
            .map_err(IntoResponse::into_response)?;
        let id = PathId::from_request_parts(parts, state).await.map_or_else(|never| match never {}, |p| p.0);
        SourceId::new(kind, &id).map(Self).ok_or_else(|| {
            let detail = format!("the id of a {} {}", kind.as_str(), id_refusal(&id));
            HttpProblem::from(Problem::bad_request("invalid_id", detail)).into_response()
        })
    }
}

fn shown(status: StatusCode, view: &SourceView) -> Response {
    let mut response = json(status, view).into_response();
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{}\"", view.version)) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

async fn show(State(app): State<Rekindle>, Named(id): Named) -> Result<Response, HttpProblem> {
    Ok(shown(StatusCode::OK, &app.get_source(&id).await?))
}

async fn put(
    State(app): State<Rekindle>,
    Named(id): Named,
    By(by): By,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, HttpProblem> {
    let if_match = header_text(&headers, header::IF_MATCH.as_str())?.map(version).transpose()?;
    let input = match id.kind() {
        SourceKind::Campaign => json_body::<CampaignInput>(body).await?.into(),
        SourceKind::Canvas => json_body::<CanvasInput>(body).await?.into(),
    };
    let (view, is_new) = app.edit_source(&id, &input, if_match, &by).await?;
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

async fn start(
    State(app): State<Rekindle>,
    Named(id): Named,
    By(by): By,
    body: Body,
) -> Result<Response, HttpProblem> {
    empty_body(body).await?;
    Ok(shown(StatusCode::OK, &app.start_source(&id, &by).await?))
}

async fn stop(
    State(app): State<Rekindle>,
    Named(id): Named,
    By(by): By,
    body: Body,
) -> Result<Response, HttpProblem> {
    let StopInput { at } = optional_json_body(body).await?;
    Ok(shown(StatusCode::OK, &app.stop_source(&id, at, &by).await?))
}

async fn pin(
    State(app): State<Rekindle>,
    Named(id): Named,
    By(by): By,
    body: Body,
) -> Result<Response, HttpProblem> {
    Ok(shown(StatusCode::OK, &app.pin_source(&id, &json_body(body).await?, &by).await?))
}

async fn unpin(
    State(app): State<Rekindle>,
    Named(id): Named,
    By(by): By,
    body: Body,
) -> Result<Response, HttpProblem> {
    empty_body(body).await?;
    Ok(shown(StatusCode::OK, &app.unpin_source(&id, &by).await?))
}

const STATUSES: [Status; 3] = [Status::Draft, Status::Active, Status::Stopped];

const STATES: [ShownState; 4] =
    [ShownState::Available, ShownState::Expiring, ShownState::Expired, ShownState::Restoring];

async fn list(
    State(app): State<Rekindle>,
    Extension(kind): Extension<SourceKind>,
    uri: Uri,
) -> Result<Response, HttpProblem> {
    let query = Query::parse(&uri, &["status", "state", "tag", "q", "sort", "limit", "cursor"])?;
    let request = ListRequest {
        status: query.one_of("status", &STATUSES, Status::as_str)?,
        state: query.one_of("state", &STATES, ShownState::as_str)?,
        tag: query.get("tag").map(str::to_owned),
        q: query.get("q").map(str::to_owned),
        sort: query.one_of("sort", &[Sort::UpdatedAt, Sort::ExpiresAt], Sort::as_str)?,
        cursor: query.get("cursor").map(str::to_owned),
        limit: query.limit()?,
    };
    Ok(json(StatusCode::OK, &app.list(kind, &request).await?))
}

async fn timeline(State(app): State<Rekindle>, Named(id): Named, uri: Uri) -> Result<Response, HttpProblem> {
    let query = Query::parse(&uri, &["limit", "cursor"])?;
    let entries = app.timeline(&id, query.get("cursor"), query.limit()?).await?;
    Ok(json(StatusCode::OK, &entries))
}
