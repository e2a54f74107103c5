//! The pages: each file loads what one page shows, and renders it.

mod act;
mod audiences;
mod audit;
mod expirations;
pub(crate) mod forms;
mod keys;
mod overview;
mod progress;
mod restores;
mod review;
mod source;
mod sources;
mod users;

use crate::{extras::Extras, html};
use axum::{
    Router,
    extract::FromRequestParts,
    response::{IntoResponse, Response},
};
use http::{StatusCode, request::Parts};
use rekindle_domain::{id::KeyId, key::Scope};
use rekindle_runtime::scopes::Route;
use rekindle_service::{Caller, Problem, Rekindle};
use std::collections::BTreeSet;

/// The routes of each page, with the scopes that they take.
pub(crate) const ROUTES: [&[Route]; 12] = [
    act::ROUTES,
    audiences::ROUTES,
    audit::ROUTES,
    expirations::ROUTES,
    keys::ROUTES,
    overview::ROUTES,
    progress::ROUTES,
    restores::ROUTES,
    review::ROUTES,
    source::ROUTES,
    sources::ROUTES,
    users::ROUTES,
];

pub(crate) fn routes() -> Router<Rekindle> {
    Router::new()
        .merge(act::routes())
        .merge(audiences::routes())
        .merge(audit::routes())
        .merge(expirations::routes())
        .merge(keys::routes())
        .merge(overview::routes())
        .merge(progress::routes())
        .merge(restores::routes())
        .merge(review::routes())
        .merge(source::routes())
        .merge(sources::routes())
        .merge(users::routes())
        // The layer that asks for a session stands before it, and says so in words.
        .fallback(async || StatusCode::NOT_FOUND)
}

/// The reader of a page: the key of the session.
#[derive(Clone, Debug)]
pub struct Viewer {
    /// The key, as the caller of what the reader does.
    pub caller: Caller,
    /// The key's id.
    pub(crate) key: KeyId,
    pub(crate) name: String,
    pub(crate) scopes: BTreeSet<Scope>,
    /// Whether the request only asks for a page, and changes nothing.
    pub(crate) reads: bool,
    pub(crate) extras: &'static Extras,
}

impl Viewer {
    /// Whether the reader may change things. A page shows no button that its reader may not press.
    pub(crate) fn may_manage(&self) -> bool {
        self.may(Scope::Manage)
    }

    /// Whether the reader's key has a scope, or one that includes it.
    pub fn may(&self, wanted: Scope) -> bool {
        self.scopes.iter().any(|scope| scope.allows(wanted))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Viewer {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        let missing = || html::problem(&Problem::bad_request("no_session", "sign in first"), None);
        parts.extensions.get().cloned().ok_or_else(missing)
    }
}

/// A page that could not be made: the page that says why.
pub(crate) struct Refused(Box<Response>);

impl Refused {
    pub(crate) fn of(problem: &Problem, viewer: &Viewer) -> Self {
        Self(Box::new(html::problem(problem, Some(viewer))))
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        *self.0
    }
}

/// Turns a problem into the page that says so.
pub(crate) trait OrRefused<T> {
    fn or_refused(self, viewer: &Viewer) -> Result<T, Refused>;
}

impl<T> OrRefused<T> for Result<T, Problem> {
    fn or_refused(self, viewer: &Viewer) -> Result<T, Refused> {
        self.map_err(|problem| Refused::of(&problem, viewer))
    }
}
