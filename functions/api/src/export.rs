//! `/v1/campaigns/{id}/interactions.csv`, and the same for Canvases.

use axum::{
    Router,
    extract::State,
    response::{IntoResponse, Response},
    routing::get,
};
use http::{HeaderValue, Uri, header};
use rekindle_domain::id::{SourceId, SourceKind, id_refusal};
use rekindle_runtime::{
    http::{PathId, Query},
    problem::HttpProblem,
};
use rekindle_service::{Problem, Rekindle, audience::CsvFor};

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
    let query = Query::parse(uri, &["cursor", "for"])?;
    let named = query.one_of("for", &[CsvFor::Program, CsvFor::Spreadsheet], CsvFor::as_str)?;
    let reader = named.unwrap_or(CsvFor::Program);
    let source = SourceId::new(kind, id)
        .ok_or_else(|| Problem::bad_request("invalid_id", format!("the id {}", id_refusal(id))))?;
    let page = app.export_csv(&source, query.get("cursor"), reader).await?;
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
        let same = named.map(|reader| format!("for={}&", reader.as_str())).unwrap_or_default();
        put(header::LINK, format!("<{}?{same}cursor={next}>; rel=\"next\"", uri.path()));
    }
    Ok(response)
}
