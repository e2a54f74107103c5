//! `/openapi.json`: the OpenAPI document of this API. `rekindle-tests` writes the file from the types that the handlers read
//! and write. Its test `openapi` fails when file and types differ.

use axum::{
    Router,
    response::{IntoResponse, Response},
    routing::get,
};
use http::header;
use rekindle_service::Rekindle;

const DOCUMENT: &str = include_str!("../openapi.json");

pub(crate) fn routes() -> Router<Rekindle> {
    Router::new().route("/openapi.json", get(show))
}

async fn show() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT).into_response()
}
