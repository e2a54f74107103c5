//! The api function: sources, tags, segments, audiences, restores, users, exports and expirations; and what all that is, as OpenAPI.

mod audiences;
mod audit;
mod expirations;
mod export;
mod keys;
mod openapi;
mod restores;
mod segments;
mod sources;
mod tags;
mod users;

use axum::Router;
use rekindle_runtime::scopes::guarded;
use rekindle_service::Rekindle;

/// The function's routes, for who has a key.
pub fn router(app: Rekindle) -> Router {
    guarded(routes(app.clone()), app)
}

/// The routes alone, to be merged with others and guarded with them.
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
        .merge(keys::routes())
        .merge(audit::routes())
        .with_state(app)
}
