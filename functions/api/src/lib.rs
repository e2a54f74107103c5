//! The api function: every route but that of ingest. Each module has the routes of one subject.

mod audiences;
mod audit;
mod bulk;
mod edits;
mod expirations;
mod export;
mod health;
mod keys;
mod merges;
mod openapi;
mod restores;
mod segments;
mod sources;
mod tags;
mod users;

use axum::Router;
use http::Method;
use rekindle_domain::key::Scope::{Admin, Manage, Read};
use rekindle_runtime::scopes::{Route, bearer, guarded};
use rekindle_service::Rekindle;

/// Every route of the function, with the scope that it takes.
pub const ROUTES: &[Route] = &[
    (Method::GET, "/v1/campaigns", Read),
    (Method::GET, "/v1/campaigns/{id}", Read),
    (Method::PUT, "/v1/campaigns/{id}", Manage),
    (Method::PATCH, "/v1/campaigns/{id}", Manage),
    (Method::DELETE, "/v1/campaigns/{id}", Manage),
    (Method::POST, "/v1/campaigns/{id}/undelete", Manage),
    (Method::POST, "/v1/campaigns/{id}/start", Manage),
    (Method::POST, "/v1/campaigns/{id}/stop", Manage),
    (Method::POST, "/v1/campaigns/{id}/pin", Manage),
    (Method::DELETE, "/v1/campaigns/{id}/pin", Manage),
    (Method::GET, "/v1/campaigns/{id}/timeline", Read),
    (Method::GET, "/v1/campaigns/{id}/interactions.csv", Read),
    (Method::GET, "/v1/canvases", Read),
    (Method::GET, "/v1/canvases/{id}", Read),
    (Method::PUT, "/v1/canvases/{id}", Manage),
    (Method::PATCH, "/v1/canvases/{id}", Manage),
    (Method::DELETE, "/v1/canvases/{id}", Manage),
    (Method::POST, "/v1/canvases/{id}/undelete", Manage),
    (Method::POST, "/v1/canvases/{id}/start", Manage),
    (Method::POST, "/v1/canvases/{id}/stop", Manage),
    (Method::POST, "/v1/canvases/{id}/pin", Manage),
    (Method::DELETE, "/v1/canvases/{id}/pin", Manage),
    (Method::GET, "/v1/canvases/{id}/timeline", Read),
    (Method::GET, "/v1/canvases/{id}/interactions.csv", Read),
    (Method::POST, "/v1/sources/start", Manage),
    (Method::POST, "/v1/sources/stop", Manage),
    (Method::POST, "/v1/sources/pin", Manage),
    (Method::POST, "/v1/sources/unpin", Manage),
    (Method::POST, "/v1/sources/delete", Manage),
    (Method::POST, "/v1/sources/undelete", Manage),
    (Method::GET, "/v1/tags", Read),
    (Method::GET, "/v1/segments", Read),
    (Method::GET, "/v1/segments/{id}", Read),
    (Method::PUT, "/v1/segments/{id}", Manage),
    (Method::PATCH, "/v1/segments/{id}", Manage),
    (Method::DELETE, "/v1/segments/{id}", Manage),
    // These change nothing. They are POST because a filter is too long for a query.
    (Method::POST, "/v1/audiences/count", Read),
    (Method::POST, "/v1/audiences/members", Read),
    (Method::POST, "/v1/audiences/match", Read),
    (Method::GET, "/v1/users", Read),
    (Method::POST, "/v1/users/merge", Manage),
    (Method::GET, "/v1/users/merges", Read),
    (Method::POST, "/v1/users/merges", Manage),
    (Method::GET, "/v1/expirations", Read),
    (Method::GET, "/v1/health", Read),
    (Method::GET, "/v1/restores", Read),
    (Method::POST, "/v1/restores", Manage),
    // This changes nothing. It is POST because it takes the body of a restore request.
    (Method::POST, "/v1/restores/estimate", Read),
    (Method::GET, "/v1/restores/{id}", Read),
    (Method::POST, "/v1/restores/{id}/cancel", Manage),
    (Method::GET, "/v1/keys", Admin),
    (Method::POST, "/v1/keys", Admin),
    (Method::POST, "/v1/keys/{id}/rotate", Admin),
    (Method::DELETE, "/v1/keys/{id}", Admin),
    (Method::GET, "/v1/audit", Admin),
    (Method::GET, "/openapi.json", Read),
];

/// The function's routes behind the layer that asks for a key.
pub fn router(app: Rekindle) -> Router {
    guarded(routes(app.clone()), ROUTES, bearer, app)
}

/// The routes without the layer. The local runner merges them with those of other functions.
pub fn routes(app: Rekindle) -> Router {
    sources::routes()
        .merge(bulk::routes())
        .merge(tags::routes())
        .merge(segments::routes())
        .merge(audiences::routes())
        .merge(restores::routes())
        .merge(users::routes())
        .merge(merges::routes())
        .merge(export::routes())
        .merge(expirations::routes())
        .merge(health::routes())
        .merge(keys::routes())
        .merge(audit::routes())
        .merge(openapi::routes())
        .with_state(app)
}
