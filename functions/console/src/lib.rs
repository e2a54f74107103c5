//! The console: the pages that marketers use, rendered on the server over the same service as the API. Every act is a plain
//! form; htmx makes parts of a page live where the browser runs scripts. No rule lives here.

mod assets;
mod calendar;
mod extras;
mod html;
mod pages;
mod session;
mod sign_in;
mod words;

use axum::{
    Extension, Router,
    middleware::from_fn_with_state,
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use http::Method;
use rekindle_domain::session::SessionToken;
use rekindle_runtime::scopes::Route;
use rekindle_service::Rekindle;
use tower_http::compression::CompressionLayer;

pub use extras::{Extras, Section};
pub use html::{Page, count, number, problem, time};
pub use pages::Viewer;

/// Every page and act of the console that takes a session, with the scope that it takes. Each page has its own.
pub fn routes() -> Vec<Route> {
    pages::ROUTES.concat()
}

/// The pages that take no session.
pub const OPEN: &[(Method, &str)] = &[
    (Method::GET, "/"),
    (Method::GET, "/console/sign-in"),
    (Method::POST, "/console/sign-in"),
    (Method::POST, "/console/sign-out"),
    (Method::GET, "/console/assets/{name}"),
];

/// Signs the reader in whom the local runner's link brought, and leads to the console.
pub fn enter(session: &SessionToken) -> Response {
    sign_in::enter(session, "/console", false)
}

/// Leads to the page that asks for a key.
pub fn to_sign_in() -> Response {
    Redirect::to("/console/sign-in").into_response()
}

/// The console's routes, behind the layer that asks for a session.
pub fn router(app: Rekindle) -> Router {
    router_with(app, &Extras::NONE, Router::new())
}

/// The same with pages that the program around the console adds. They stand behind the same layer, and take a [`Viewer`].
pub fn router_with(app: Rekindle, extras: &'static Extras, added: Router) -> Router {
    let pages = pages::routes().with_state(app.clone()).merge(added);
    let pages = pages.layer(from_fn_with_state(app.clone(), session::signed_in)).layer(Extension(extras));
    let open = Router::new()
        .route("/", get(|| async { Redirect::to("/console") }))
        .merge(sign_in::routes())
        .merge(assets::routes())
        .with_state(app);
    pages.merge(open).layer(axum::middleware::from_fn(html::policy)).layer(CompressionLayer::new())
}
