//! The ingest function: `POST /v1/interactions`.

use axum::{Router, extract::State, response::Response, routing::post};
use http::{Method, Request, StatusCode, header};
use rekindle_domain::key::Scope;
use rekindle_runtime::{
    http::{header_text, json, read_body},
    problem::{HttpProblem, spelled},
    scopes::{By, Route, bearer, guarded},
};
use rekindle_service::{
    Rekindle,
    ingest::{Encoding, Layout, MAX_ENCODED},
};

/// Every route of the function, with the scope that it takes.
pub const ROUTES: &[Route] = &[(Method::POST, "/v1/interactions", Scope::Ingest)];

/// The function's routes behind the layer that asks for a key.
pub fn router(app: Rekindle) -> Router {
    guarded(routes(app.clone()), ROUTES, bearer, app)
}

/// The routes without the layer. The local runner merges them with those of other functions.
pub fn routes(app: Rekindle) -> Router {
    Router::new().route("/v1/interactions", post(ingest)).with_state(app)
}

async fn ingest(
    State(app): State<Rekindle>,
    By(by): By,
    request: Request<axum::body::Body>,
) -> Result<Response, HttpProblem> {
    let named = header_text(request.headers(), header::CONTENT_ENCODING.as_str())?.unwrap_or_default();
    // By RFC 9110 names of encodings have no case, and `x-gzip` is gzip.
    let encoding = match named.trim().to_ascii_lowercase().as_str() {
        "identity" | "" => Encoding::Identity,
        "gzip" | "x-gzip" => Encoding::Gzip,
        "zstd" => Encoding::Zstd,
        other => {
            let detail = format!("Content-Encoding `{other}` is not known; send gzip, zstd or none");
            return Err(HttpProblem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_encoding", detail));
        }
    };
    let content_type = header_text(request.headers(), header::CONTENT_TYPE.as_str())?.unwrap_or_default();
    let layout = match content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().as_str()
    {
        "application/x-ndjson" | "application/ndjson" | "application/jsonl" => Layout::NdJson,
        _ => Layout::Json,
    };
    let body = read_body(request.into_body(), MAX_ENCODED).await?;
    Ok(json(StatusCode::OK, &app.ingest(&body, encoding, layout, spelled, &by).await?))
}
