//! `/v1/campaigns/{id}/interactions.csv`, and the same for Canvases.

use axum::{
    Router,
    extract::State,
    response::{IntoResponse, Response},
    routing::get,
};
use http::{HeaderValue, Uri, header};
use rekindle_domain::id::{ID_RULE, SourceId, SourceKind};
use rekindle_runtime::{
    http::{PathId, Query},
    problem::HttpProblem,
};
use rekindle_service::{Problem, Rekindle};

pub(crate) fn routes() -> Router<Rekindle> {
    let of = |kind: SourceKind| {
        get(async move |State(app): State<Rekindle>, PathId(id): PathId, uri: Uri| {
            export(&app, kind, &id, &uri).await
        })
    };
    Router::new()
        .route("/v1/campaigns/{id}/interactions.csv", of(SourceKind::Campaign))
        .route("/v1/canvases/{id}/interactions.csv", of(SourceKind::Canvas))
}

async fn export(app: &Rekindle, kind: SourceKind, id: &str, uri: &Uri) -> Result<Response, HttpProblem> {
    let query = Query::parse(uri, &["cursor"])?;
    let source = SourceId::new(kind, id)
        .ok_or_else(|| Problem::bad_request("invalid_id", format!("an id is {ID_RULE}")))?;
    let page = app.export_csv(&source, query.get("cursor")).await?;
    let mut response = page.text.into_response();
    let mut put = |name, value: String| {
        // Ids, cursors and these texts are visible ASCII, so this never fails.
        if let Ok(value) = HeaderValue::try_from(value) {
            response.headers_mut().insert(name, value);
        }
    };
    put(header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned());
    // File systems differ in how they treat a colon.
    let name = format!("{}-{}-interactions.csv", kind.as_str(), id.replace(':', "_"));
    put(header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\""));
    put(header::CACHE_CONTROL, "no-store".to_owned());
    if let Some(next) = page.next {
        put(header::LINK, format!("<{}?cursor={next}>; rel=\"next\"", uri.path()));
    }
    Ok(response)
}
