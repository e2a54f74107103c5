//! The api function: sources, tags, segments, audiences, restores, users, exports and expirations; and what all that is, as OpenAPI.

mod audiences;
mod expirations;
mod export;
mod openapi;
mod restores;
mod segments;
mod sources;
mod tags;
mod users;

use axum::Router;
use rekindle_runtime::http::with_fallbacks;
use rekindle_service::Rekindle;

/// The function's routes.
pub fn router(app: Rekindle) -> Router {
    with_fallbacks(routes(app))
}

/// The routes without answers for what is not there, to be merged with others.
pub fn routes(app: Rekindle) -> Router {
    sources::routes()
        .merge(tags::routes())
        .merge(segments::routes())
        .merge(audiences::routes())
        .merge(restores::routes())
        .merge(users::routes())
        .merge(export::routes())
        .merge(expirations::routes())
        .merge(openapi::routes())
        .with_state(app)
}
