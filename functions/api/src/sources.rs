//! `/v1/campaigns` and `/v1/canvases`: both kinds have the same routes.

use crate::edits::{How, put_status};
use axum::{
    Extension, Router,
    body::Body,
    extract::{FromRequestParts, State},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use http::{HeaderMap, StatusCode, Uri, request::Parts};
use rekindle_domain::{
    id::{SourceId, SourceKind, id_refusal},
    source::Status,
};
use rekindle_runtime::{
    http::{PathId, Query, empty_body, json, json_body, optional_json_body, versioned},
    patch::patch_body,
    problem::HttpProblem,
    scopes::By,
};
use rekindle_service::{
    Problem, Rekindle,
    library::{CampaignInput, CanvasInput, ListRequest, Said, ShownState, Sort, SourceView, StopInput},
};

pub(crate) fn routes() -> Router<Rekindle> {
    of(SourceKind::Campaign).merge(of(SourceKind::Canvas))
}

fn of(kind: SourceKind) -> Router<Rekindle> {
    let path = |rest: &str| format!("/v1/{}{rest}", kind.plural());
    Router::new()
        .route(&path(""), get(list))
        .route(&path("/{id}"), get(show).put(put).patch(patch).delete(delete))
        .route(&path("/{id}/start"), post(start))
        .route(&path("/{id}/stop"), post(stop))
        .route(&path("/{id}/pin"), post(pin).delete(unpin))
        .route(&path("/{id}/undelete"), post(undelete))
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

fn shown(view: &SourceView) -> Response {
    versioned(StatusCode::OK, view, view.version)
}

async fn show(State(app): State<Rekindle>, Named(id): Named) -> Result<Response, HttpProblem> {
    Ok(shown(&app.get_source(&id).await?))
}

async fn put(
    State(app): State<Rekindle>,
    Named(id): Named,
    By(by): By,
    How(how): How,
    body: Body,
) -> Result<Response, HttpProblem> {
    let input = match id.kind() {
        SourceKind::Campaign => json_body::<CampaignInput>(body).await?.into(),
        SourceKind::Canvas => json_body::<CanvasInput>(body).await?.into(),
    };
    let (view, is_new) = app.edit_source(&id, &Said::All(input), how, &by).await?;
    Ok(versioned(put_status(is_new), &view, view.version))
}

async fn patch(
    State(app): State<Rekindle>,
    Named(id): Named,
    By(by): By,
    How(how): How,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, HttpProblem> {
    let said = match id.kind() {
        SourceKind::Campaign => patch_body::<CampaignInput, _, _>(&headers, body).await?,
        SourceKind::Canvas => patch_body::<CanvasInput, _, _>(&headers, body).await?,
    };
    Ok(shown(&app.edit_source(&id, &said, how, &by).await?.0))
}

async fn start(
    State(app): State<Rekindle>,
    Named(id): Named,
    By(by): By,
    body: Body,
) -> Result<Response, HttpProblem> {
    empty_body(body).await?;
    Ok(shown(&app.start_source(&id, &by).await?))
}

async fn stop(
    State(app): State<Rekindle>,
    Named(id): Named,
    By(by): By,
    uri: Uri,
    body: Body,
) -> Result<Response, HttpProblem> {
    let is_dry_run = Query::parse(&uri, &["dry_run"])?.flag("dry_run")?;
    let StopInput { at } = optional_json_body(body).await?;
    Ok(shown(&app.stop_source(&id, at, is_dry_run, &by).await?))
}

async fn pin(
    State(app): State<Rekindle>,
    Named(id): Named,
    By(by): By,
    body: Body,
) -> Result<Response, HttpProblem> {
    Ok(shown(&app.pin_source(&id, &json_body(body).await?, &by).await?))
}

async fn unpin(
    State(app): State<Rekindle>,
    Named(id): Named,
    By(by): By,
    body: Body,
) -> Result<Response, HttpProblem> {
    empty_body(body).await?;
    Ok(shown(&app.unpin_source(&id, &by).await?))
}

async fn delete(
    State(app): State<Rekindle>,
    Named(id): Named,
    By(by): By,
    How(how): How,
    body: Body,
) -> Result<Response, HttpProblem> {
    empty_body(body).await?;
    Ok(shown(&app.delete_source(&id, how, &by).await?))
}

async fn undelete(
    State(app): State<Rekindle>,
    Named(id): Named,
    By(by): By,
    body: Body,
) -> Result<Response, HttpProblem> {
    empty_body(body).await?;
    Ok(shown(&app.undelete_source(&id, &by).await?))
}

const STATUSES: [Status; 3] = [Status::Draft, Status::Active, Status::Stopped];

const STATES: [ShownState; 4] =
    [ShownState::Available, ShownState::Expiring, ShownState::Expired, ShownState::Restoring];

async fn list(
    State(app): State<Rekindle>,
    Extension(kind): Extension<SourceKind>,
    uri: Uri,
) -> Result<Response, HttpProblem> {
    let known = ["status", "state", "tag", "q", "first_sight", "deleted", "sort", "limit", "cursor"];
    let query = Query::parse(&uri, &known)?;
    let request = ListRequest {
        status: query.one_of("status", &STATUSES, Status::as_str)?,
        state: query.one_of("state", &STATES, ShownState::as_str)?,
        is_first_sight: query.flag("first_sight")?,
        is_deleted: query.flag("deleted")?,
        tag: query.get("tag").map(str::to_owned),
        q: query.get("q").map(str::to_owned),
        sort: query.one_of("sort", &[Sort::UpdatedAt, Sort::ExpiresAt], Sort::as_str)?,
        cursor: query.get("cursor").map(str::to_owned),
        limit: query.limit()?,
    };
    Ok(json(StatusCode::OK, &app.list(&[kind], &request).await?))
}

async fn timeline(State(app): State<Rekindle>, Named(id): Named, uri: Uri) -> Result<Response, HttpProblem> {
    let query = Query::parse(&uri, &["limit", "cursor"])?;
    let entries = app.timeline(&id, query.get("cursor"), query.limit()?).await?;
    Ok(json(StatusCode::OK, &entries))
}
