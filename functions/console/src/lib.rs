//! The console: the pages that marketers use, rendered on the server over the same service as the API. Every act is a plain
//! form; htmx makes parts of a page live where the browser runs scripts. No rule lives here.

mod assets;
mod html;
mod pages;
mod session;
mod words;

use axum::{Router, middleware::from_fn_with_state};
use http::Method;
use rekindle_domain::key::Scope::{Manage, Read};
use rekindle_runtime::scopes::Route;
use rekindle_service::Rekindle;

/// Every page and act of the console that takes a session, with the scope that it takes.
pub const ROUTES: &[Route] = &[
    (Method::GET, "/console", Read),
    (Method::GET, "/console/sources", Read),
    (Method::POST, "/console/sources/review", Manage),
    (Method::POST, "/console/sources/act", Manage),
    (Method::GET, "/console/{kind}/{id}", Read),
    (Method::POST, "/console/{kind}/{id}/act", Manage),
    (Method::GET, "/console/restores", Read),
    (Method::GET, "/console/restores/{id}", Read),
    (Method::POST, "/console/restores/{id}/cancel", Manage),
];

/// The pages that take no session.
pub const OPEN: &[(Method, &str)] = &[
    (Method::GET, "/console/sign-in"),
    (Method::POST, "/console/sign-in"),
    (Method::POST, "/console/sign-out"),
    (Method::GET, "/console/assets/{name}"),
];

/// The console's routes, behind the layer that asks for a session.
pub fn router(app: Rekindle) -> Router {
    let pages = pages::routes().with_state(app.clone());
    let pages = pages.layer(from_fn_with_state(app.clone(), session::signed_in));
    let open = Router::new().merge(session::routes()).merge(assets::routes()).with_state(app);
    pages.merge(open).layer(axum::middleware::from_fn(html::policy))
}
