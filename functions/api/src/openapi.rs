//! `/openapi.json`: this API, described. The file is written from the types that the handlers read and write, by
//! `rekindle-tests`; its test `openapi` fails where it is not what they say.

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
