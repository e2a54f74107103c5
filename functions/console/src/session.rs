//! Signing in and out, and the layer that asks each page for a session.
//!
//! The cookie is read by no script (HttpOnly), sent to no request that another site caused (SameSite=Strict), and bears no
//! secret: see `rekindle_domain::session`. An act also shows by its `Origin` that a page of this host sent it.

use crate::{
    extras,
    html::{self, Page},
    pages::Viewer,
};
use axum::{
    Form, Router,
    extract::{MatchedPath, Query, Request, State},
    middleware::Next,
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use http::{HeaderMap, HeaderValue, StatusCode, header, uri::Authority};
use maud::{Markup, html};
use rekindle_domain::{
    key::{Scope, Token},
    session::{SESSION_MILLIS, Session},
};
use rekindle_runtime::scopes::wanted;
use rekindle_service::{Caller, Problem, Rekindle, access::Refusal};
use serde::Deserialize;

const COOKIE: &str = "rekindle";

pub(crate) fn routes() -> Router<Rekindle> {
    Router::new().route("/console/sign-in", get(ask).post(sign_in)).route("/console/sign-out", post(sign_out))
}

/// The page that a reader wanted before signing in: one of this console's, and nothing else.
#[derive(Deserialize, Default)]
struct Wanted {
    #[serde(default)]
    to: String,
}

impl Wanted {
    fn path(&self) -> &str {
        let is_ours =
            self.to == "/console" || self.to.starts_with("/console/") || self.to.starts_with("/console?");
        if is_ours && !self.to.contains(['\\', '\r', '\n']) { &self.to } else { "/console" }
    }
}

#[derive(Deserialize)]
struct SignIn {
    key: String,
    #[serde(flatten)]
    wanted: Wanted,
}

fn sign_in_page(wanted: &Wanted, refused: Option<&str>) -> Markup {
    Page::new("Sign in", None).plain(&html! {
        form .card .narrow method="post" action="/console/sign-in" {
            h1 { "Sign in to Rekindle" }
            @if let Some(why) = refused { p .refused role="alert" { (why) } }
            label for="key" { "Your key" }
            input #key name="key" type="password" autocomplete="current-password" required autofocus spellcheck="false";
            p .hint { "A key begins with " code { "rk_" } ". Whoever runs Rekindle for you gives you one." }
            input type="hidden" name="to" value=(wanted.path());
            button .primary { "Sign in" }
        }
    })
}

async fn ask(Query(wanted): Query<Wanted>) -> Markup {
    sign_in_page(&wanted, None)
}

async fn sign_in(
    State(app): State<Rekindle>,
    headers: HeaderMap,
    Form(SignIn { key, wanted }): Form<SignIn>,
) -> Response {
    if !is_own(&headers) {
        return foreign();
    }
    let again = |why: &str| (StatusCode::FORBIDDEN, sign_in_page(&wanted, Some(why))).into_response();
    let Ok(token) = key.trim().parse::<Token>() else {
        return again("This is not a key: a key begins with rk_ and has 73 characters. Copy it whole.");
    };
    match app.sign_in(&token).await {
        Err(error) => html::problem(&Problem::from(error), None),
        Ok(Err(Refusal::Revoked(_))) => again("This key was revoked. Ask for a new one."),
        Ok(Err(_)) => again("This key is not one of this Rekindle. Check that it is copied whole."),
        Ok(Ok(session)) => enter(&session, wanted.path(), is_secure(&headers)),
    }
}

/// Signs a reader in and leads on.
pub(crate) fn enter(session: &Session, to: &str, is_secure: bool) -> Response {
    with_cookie(Redirect::to(to).into_response(), &session.to_string(), SESSION_MILLIS / 1000, is_secure)
}

async fn sign_out(headers: HeaderMap) -> Response {
    if !is_own(&headers) {
        return foreign();
    }
    with_cookie(Redirect::to("/console/sign-in").into_response(), "", 0, is_secure(&headers))
}

fn with_cookie(mut response: Response, value: &str, seconds: i64, is_secure: bool) -> Response {
    let secure = if is_secure { "; Secure" } else { "" };
    let cookie =
        format!("{COOKIE}={value}; Path=/console; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}");
    if let Ok(cookie) = HeaderValue::try_from(cookie) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

/// Whether the browser speaks TLS with us: with all hosts but this machine's own.
fn is_secure(headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()?.parse::<Authority>().ok());
    !host.is_some_and(|host| ["127.0.0.1", "localhost", "[::1]"].contains(&host.host()))
}

/// Whether a page of this host sent the request.
fn is_own(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let origin = text(header::ORIGIN).and_then(|origin| origin.split_once("://")).map(|(_, host)| host);
    origin.is_some() && origin == text(header::HOST)
}

fn foreign() -> Response {
    let detail =
        "the form was not sent by a page of this console; open the page again and send it from there";
    html::problem(&Problem::bad_request("foreign_request", detail), None)
}

fn session_of(headers: &HeaderMap) -> Option<Session> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE)?.1.parse().ok()
}

/// Lets a request through whose session has the scope of its route.
pub(crate) async fn signed_in(State(app): State<Rekindle>, mut request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let Some(session) = session_of(request.headers()) else { return sign_in_first(&request) };
    let key = match app.verify_session(&session).await {
        Err(error) => return html::problem(&Problem::from(error), None),
        Ok(Err(_)) => return sign_in_first(&request),
        Ok(Ok(key)) => key,
    };
    let extras = extras::of(&request);
    let viewer =
        Viewer { caller: Caller::of(key.id), name: key.name.clone(), scopes: key.scopes.clone(), extras };
    let routes = [crate::routes().as_slice(), extras.routes].concat();
    let Some(scope) = wanted(&routes, request.method(), route.as_deref().unwrap_or_default()) else {
        let detail = "there is no such page; the address may be mistyped, or the page has moved";
        return html::problem(&Problem::not_found("unknown_page", detail), Some(&viewer));
    };
    if !request.method().is_safe() && !is_own(request.headers()) {
        return foreign();
    }
    if !key.allows(scope) {
        return lacks(scope, &viewer);
    }
    request.extensions_mut().insert(viewer);
    next.run(request).await
}

fn lacks(scope: Scope, viewer: &Viewer) -> Response {
    let detail = format!("this takes a key that may {}; yours may not", scope.as_str());
    html::problem(&Problem::conflict("wrong_scope", detail), Some(viewer))
}

/// Leads to the sign-in page, and from there back to a page. A part of a page that a script asked for makes the whole page go there.
fn sign_in_first(request: &Request) -> Response {
    let path = request.uri().path_and_query().map_or("/console", |path| path.as_str());
    let to = if request.method().is_safe() { path } else { "/console" };
    let query: String = form_urlencoded::Serializer::new(String::new()).append_pair("to", to).finish();
    let address = format!("/console/sign-in?{query}");
    if request.headers().contains_key("hx-request") {
        return (StatusCode::UNAUTHORIZED, [("hx-redirect", address)]).into_response();
    }
    Redirect::to(&address).into_response()
}
