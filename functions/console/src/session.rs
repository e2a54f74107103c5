//! Sessions: the cookie, and the layer that asks each page for one.
//!
//! The cookie is read by no script (HttpOnly), sent to no request that another site caused (SameSite=Strict), and bears a
//! secret of its own: see `rekindle_domain::session`. An act also shows by its `Origin` that a page of this host sent it. Every browser
//! sends one with a form; without one, or with `null`, which forms in foreign sandboxed frames have, an act is refused.

use crate::{
    extras::{self, Extras},
    html,
    pages::Viewer,
    sign_in::{self, Kept},
    words,
};
use axum::{
    RequestExt,
    body::Body,
    extract::{MatchedPath, RawPathParams, Request, State},
    middleware::Next,
    response::{IntoResponse, Redirect, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header, uri::Authority};
use maud::html;
use rekindle_domain::{
    key::{AccessKey, Scope},
    session::{SESSION_MILLIS, SessionToken},
};
use rekindle_runtime::{http::read_body, scopes::wanted};
use rekindle_service::{Caller, Problem, Rekindle};

/// The name of the cookie. Over TLS it has the prefix with which browsers take it from this host alone, and not from a
/// neighbour under the same domain.
fn name(is_secure: bool) -> &'static str {
    if is_secure { "__Host-rekindle" } else { "rekindle" }
}

/// Adds the cookie of a session to an answer.
pub(crate) fn with_session(response: Response, session: &SessionToken, is_secure: bool) -> Response {
    with_cookie(response, &session.to_string(), SESSION_MILLIS / 1000, is_secure)
}

/// Adds a cookie to an answer that ends the session.
pub(crate) fn without_session(response: Response, is_secure: bool) -> Response {
    with_cookie(response, "", 0, is_secure)
}

fn with_cookie(mut response: Response, value: &str, seconds: i64, is_secure: bool) -> Response {
    let (name, secure) = (name(is_secure), if is_secure { "; Secure" } else { "" });
    let cookie = format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}");
    if let Ok(cookie) = HeaderValue::try_from(cookie) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

/// Whether the browser speaks TLS with us: with all hosts but this machine's own.
pub(crate) fn is_secure(headers: &HeaderMap) -> bool {
    let host = only(headers, header::HOST).and_then(|host| host.parse::<Authority>().ok());
    !host.is_some_and(|host| ["127.0.0.1", "localhost", "[::1]"].contains(&host.host()))
}

/// Whether a page of this host sent the request. Browsers say so themselves (`Sec-Fetch-Site`), also behind a proxy that asks
/// for another host than they do; older ones name their page's host, which then must be the one that is asked.
pub(crate) fn is_own(headers: &HeaderMap) -> bool {
    if headers.contains_key("sec-fetch-site") {
        return only(headers, HeaderName::from_static("sec-fetch-site")) == Some("same-origin");
    }
    let scheme = if is_secure(headers) { "https://" } else { "http://" };
    let host = only(headers, header::HOST);
    host.is_some() && only(headers, header::ORIGIN).and_then(|origin| origin.strip_prefix(scheme)) == host
}

/// The text of a header that stands once.
fn only(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    let mut all = headers.get_all(name).iter();
    all.next().filter(|_| all.next().is_none())?.to_str().ok()
}

/// The page for a form that another site sent.
pub(crate) fn foreign() -> Response {
    let detail =
        "The form was not sent by a page of this console. Open the page again and send it from there.";
    html::refusal(StatusCode::FORBIDDEN, "This was not done", detail, "Nothing was changed.", None)
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let name = name(is_secure(headers));
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(of, _)| *of == name).map(|(_, value)| value)
}

/// The key of a request's session; `None` if the request bears none, or one that has ended.
pub(crate) async fn key_of(app: &Rekindle, headers: &HeaderMap) -> Result<Option<AccessKey>, Problem> {
    match session_of(headers) {
        Some(session) => Ok(app.verify_session(&session).await?.ok()),
        None => Ok(None),
    }
}

/// The session that a request bears.
pub(crate) fn session_of(headers: &HeaderMap) -> Option<SessionToken> {
    cookie(headers)?.parse().ok()
}

/// Lets a request through whose session has the scope of its route.
pub(crate) async fn signed_in(State(app): State<Rekindle>, mut request: Request, next: Next) -> Response {
    let reads = request.method().is_safe();
    if !reads && !is_own(request.headers()) {
        return foreign();
    }
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let extras = extras::of(&request);
    let routes = [crate::routes().as_slice(), extras.routes].concat();
    let scope = wanted(&routes, request.method(), route.as_deref().unwrap_or_default());
    let key = match key_of(&app, request.headers()).await {
        Err(problem) => return html::problem_of(&problem, None, reads),
        Ok(None) => return sign_in_first(request, scope.is_some()).await,
        Ok(Some(key)) => key,
    };
    let viewer = Viewer::of(&key, reads, extras);
    // A part of the path that is not UTF-8 names nothing.
    let is_text = request.extract_parts::<RawPathParams>().await.is_ok();
    let Some(scope) = scope.filter(|_| is_text) else {
        let detail = "there is no such page; the address may be mistyped, or the page has moved";
        return html::problem(&Problem::not_found("unknown_page", detail), Some(&viewer));
    };
    if !key.allows(scope) {
        return lacks(scope, &viewer);
    }
    request.extensions_mut().insert(viewer);
    next.run(request).await
}

impl Viewer {
    /// The reader whose session has this key.
    pub(crate) fn of(key: &AccessKey, reads: bool, extras: &'static Extras) -> Self {
        let (name, scopes) = (key.name.clone(), key.scopes.clone());
        Self { caller: Caller::of(key.id), key: key.id, name, scopes, reads, extras }
    }
}

fn lacks(scope: Scope, viewer: &Viewer) -> Response {
    let has: Vec<&str> = viewer.scopes.iter().map(|scope| words::may(*scope)).collect();
    let detail =
        format!("This takes a key that may {}. Yours may {}.", words::may(scope), has.join(", and "));
    let hint = "Whoever runs Rekindle for you can give you another key.";
    html::refusal(StatusCode::FORBIDDEN, "Your key may not do this", &detail, hint, Some(viewer))
}

/// Asks a reader without a session to sign in. The page leads on to where the reader wanted to go, and keeps a form that was
/// sent.
async fn sign_in_first(request: Request, is_known: bool) -> Response {
    let path = request.uri().path_and_query().map_or("/console", |path| path.as_str()).to_owned();
    let reads = request.method().is_safe();
    if request.headers().contains_key("hx-request") {
        return signed_out();
    }
    if reads {
        let address = sign_in::address(&path);
        let is_link = cookie(request.headers()).is_none()
            && request.headers().get("sec-fetch-site").is_some_and(|site| site == "cross-site");
        return if is_link { once_more(&address) } else { Redirect::to(&address).into_response() };
    }
    let kept = if is_known { kept(path, request.into_body()).await } else { None };
    sign_in::session_ended(kept.as_ref())
}

async fn kept(path: String, body: Body) -> Option<Kept> {
    let body = read_body(body, sign_in::MAX_KEPT).await.ok()?;
    Kept::of(&path, &body)
}

/// Browsers send no cookie with a page that a link on another site opened, such as one in a mail. This page opens the next one by
/// itself, which then is a request of this site. If there is a session after all, that page leads on, and otherwise it asks
/// for a key: so nothing goes in circles.
fn once_more(address: &str) -> Response {
    let page = html::Page::new("Opening", None).plain(&html! {
        section .card .narrow { h1 { "Opening Rekindle" } p { a href=(address) { "Go on" } } }
    });
    ([(header::REFRESH, format!("0; url={address}"))], page).into_response()
}

/// The answer to a script that asks for a part of a page, after the session ended. It puts a line at the head of the page and
/// leaves the rest alone, so that a form that is half filled in stays so.
fn signed_out() -> Response {
    let headers =
        [("hx-retarget", "#signed-out"), ("hx-reselect", "#signed-out"), ("hx-reswap", "outerMorph")];
    let line = html! {
        div #signed-out .refused role="alert" {
            "You are signed out. " a href="/console/sign-in" target="_blank" { "Sign in in a new tab" }
            ", then go on here. Nothing that you typed is lost."
        }
    };
    (StatusCode::UNAUTHORIZED, headers, line).into_response()
}
