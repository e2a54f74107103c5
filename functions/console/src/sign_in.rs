//! Signing in and out. A form that was sent after its session had ended is kept on the way, and sent after all.

use crate::{
    extras::Extras,
    html::{self, Page},
    pages::{Viewer, forms::Fields},
    session::{foreign, is_own, is_secure, key_of, session_of, with_session, without_session},
};
use axum::{
    Router,
    body::Body,
    extract::State,
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use http::{HeaderMap, Method, StatusCode, Uri};
use maud::{Markup, html};
use rekindle_domain::{
    key::{Scope, Token},
    session::SessionToken,
};
use rekindle_service::{Problem, Rekindle, access::Refusal};

/// The most bytes of a form that are kept.
pub(crate) const MAX_KEPT: usize = 64 << 10;

pub(crate) fn routes() -> Router<Rekindle> {
    Router::new().route("/console/sign-in", get(ask).post(sign_in)).route("/console/sign-out", post(sign_out))
}

/// The address of the page that asks for a key and leads on to a page.
pub(crate) fn address(to: &str) -> String {
    let query: String = form_urlencoded::Serializer::new(String::new()).append_pair("to", to).finish();
    format!("/console/sign-in?{query}")
}

/// The page of this console that a form names, and never an address elsewhere.
fn own_page(to: Option<&str>) -> &str {
    let to = to.unwrap_or_default();
    let rest = to.strip_prefix("/console");
    let is_ours = rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']));
    if is_ours && to.bytes().all(|b| b.is_ascii_graphic() && b != b'\\') { to } else { "/console" }
}

/// A form that was sent without a session.
pub(crate) struct Kept {
    /// The address that it was sent to: an act of this console.
    to: String,
    /// Its fields, encoded as forms are.
    fields: String,
}

impl Kept {
    /// Keeps the fields of a form, but none that holds a secret. `None` where the address is no act, or the form too large.
    pub(crate) fn of(to: &str, body: &[u8]) -> Option<Self> {
        if body.len() > MAX_KEPT || own_page(Some(to)) != to || !is_act(to) {
            return None;
        }
        let mut fields = form_urlencoded::Serializer::new(String::new());
        for (name, value) in form_urlencoded::parse(body) {
            if !["key", "secret", "password", "token"].contains(&&*name) {
                fields.append_pair(&name, &value);
            }
        }
        Some(Self { to: to.to_owned(), fields: fields.finish() })
    }

    /// The form again, for the reader to send.
    fn page(&self, viewer: &Viewer) -> Markup {
        let fields: Vec<_> = form_urlencoded::parse(self.fields.as_bytes()).collect();
        Page::new("Signed in again", Some(viewer)).around(&html! {
            form .card .narrow method="post" action=(self.to) {
                h1 { "You are signed in again" }
                p role="status" { "Your session had ended before your form arrived. Nothing was done yet. Send it now?" }
                dl .kept {
                    @for (name, value) in fields.iter().filter(|(_, value)| !value.is_empty()) {
                        dt dir="auto" { (html::sentence(&name.replace('_', " ")).trim_end_matches('.')) }
                        dd dir="auto" { (value) }
                    }
                }
                @for (name, value) in &fields { input type="hidden" name=(name) value=(value); }
                p {
                    button .primary { "Send it" }
                    " " a .button href="/console" { "Leave it" }
                }
            }
        })
    }
}

/// Whether an address is one of our acts.
fn is_act(address: &str) -> bool {
    let path: Vec<&str> = address.split('?').next().unwrap_or_default().split('/').collect();
    let fits = |route: &str| {
        let parts: Vec<&str> = route.split('/').collect();
        parts.len() == path.len()
            && parts.iter().zip(&path).all(|(part, is)| part == is || part.starts_with('{') && !is.is_empty())
    };
    crate::routes().iter().any(|(method, route, _)| method == Method::POST && fits(route))
}

/// The page that asks for a key.
struct Asks<'a> {
    to: &'a str,
    kept: Option<&'a Kept>,
    says: Option<&'a str>,
}

impl Asks<'_> {
    fn page(&self) -> Markup {
        Page::new("Sign in", None).plain(&html! {
            form .card .narrow method="post" action="/console/sign-in" {
                h1 { "Sign in to Rekindle" }
                @if let Some(says) = self.says { p .mind role="alert" { (says) } }
                @if self.kept.is_some() { p { "What you filled in is kept. You can send it once you are signed in." } }
                label for="key" { "Your key" }
                // Password managers keep a key under this name.
                input type="text" autocomplete="username" value="Rekindle" readonly hidden;
                input #key name="key" type="password" autocomplete="current-password" required autofocus spellcheck="false";
                p .hint { "A key begins with " code { "rk_" } ". Whoever runs Rekindle for you gives you one." }
                input type="hidden" name="to" value=(self.kept.map_or(self.to, |kept| &kept.to));
                @if let Some(kept) = self.kept { input type="hidden" name="kept" value=(kept.fields); }
                button .primary { "Sign in" }
            }
        })
    }
}

/// The page for a reader who sent a form without a session.
pub(crate) fn session_ended(kept: Option<&Kept>) -> Response {
    let says = match kept {
        Some(_) => "Your session has ended. Sign in again.",
        None => {
            "Your session has ended, and nothing was done. Sign in in another tab, then come back to this one, go one page \
             back and send the form again."
        }
    };
    let asks = Asks { to: "/console", kept, says: Some(says) };
    (StatusCode::UNAUTHORIZED, asks.page()).into_response()
}

async fn ask(State(app): State<Rekindle>, headers: HeaderMap, uri: Uri) -> Response {
    let query = Fields::of(uri.query().unwrap_or_default().as_bytes());
    let to = own_page(query.get("to"));
    match key_of(&app, &headers).await {
        Err(problem) => html::problem_of(&problem, None, true),
        Ok(Some(_)) => Redirect::to(to).into_response(),
        Ok(None) => Asks { to, kept: None, says: None }.page().into_response(),
    }
}

async fn sign_in(State(app): State<Rekindle>, headers: HeaderMap, body: Body) -> Response {
    if !is_own(&headers) {
        return foreign();
    }
    let fields = match Fields::of_body(body).await {
        Ok(fields) => fields,
        Err(problem) => return html::problem(&problem, None),
    };
    let to = own_page(fields.get("to"));
    let kept = fields.get("kept").and_then(|kept| Kept::of(to, kept.as_bytes()));
    let again = |why: &str| {
        // Never with what was typed: it may be a key with a letter too many.
        tracing::warn!(error.message = why, "a sign-in was refused");
        let asks = Asks { to, kept: kept.as_ref(), says: Some(why) };
        (StatusCode::FORBIDDEN, asks.page()).into_response()
    };
    let Ok(token) = fields.get("key").unwrap_or_default().parse::<Token>() else {
        return again("This is not a key: a key begins with rk_ and has 73 characters. Copy it whole.");
    };
    let key = match app.verify(&token).await {
        Err(error) => return html::problem(&Problem::from(error), None),
        Ok(Err(Refusal::Revoked(_))) => return again("This key was revoked. Ask for a new one."),
        Ok(Err(_)) => {
            return again("This key is not one of this Rekindle. Check that it is copied whole.");
        }
        Ok(Ok(key)) => key,
    };
    if !key.allows(Scope::Read) {
        return again("This key only posts interactions. The console takes a key that may look at things.");
    }
    let session = match app.open_session(&key).await {
        Err(error) => return html::problem(&Problem::from(error), None),
        Ok(session) => session,
    };
    match kept {
        Some(kept) => {
            let page = kept.page(&Viewer::of(&key, false, &Extras::NONE)).into_response();
            with_session(page, &session, is_secure(&headers))
        }
        None => enter(&session, to, is_secure(&headers)),
    }
}

/// Signs a reader in and leads on.
pub(crate) fn enter(session: &SessionToken, to: &str, is_secure: bool) -> Response {
    with_session(Redirect::to(to).into_response(), session, is_secure)
}

async fn sign_out(State(app): State<Rekindle>, headers: HeaderMap) -> Response {
    if !is_own(&headers) {
        return foreign();
    }
    if let Some(session) = session_of(&headers)
        && let Err(error) = app.end_session(&session).await
    {
        return html::problem(&Problem::from(error), None);
    }
    without_session(Redirect::to("/console/sign-in").into_response(), is_secure(&headers))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pages_of_this_console_are_led_to() {
        for ours in ["/console", "/console?q=a", "/console/campaigns/a%20b", "/console/users?user_id=%2F%2F"]
        {
            assert_eq!(own_page(Some(ours)), ours);
        }
        for other in [
            "",
            "/",
            "//evil.example",
            "/consolex",
            "/console\\evil",
            "https://evil.example/console",
            "/console/\u{1}",
            "/console/é",
            "/console/\r\nx",
            "/console /x",
            "console",
        ] {
            assert_eq!(own_page(Some(other)), "/console", "{other}");
        }
        assert_eq!(own_page(None), "/console");
    }

    #[test]
    fn only_acts_are_kept_and_no_secret_is() {
        let of = |to: &str, body: &str| Kept::of(to, body.as_bytes()).map(|kept| kept.fields);
        assert_eq!(
            of("/console/sources/act", "a=1&key=rk_x&b=%C3%A9+&a="),
            Some("a=1&b=%C3%A9+&a=".to_owned())
        );
        assert!(of("/console/campaigns/x/act?y=z", "").is_some());
        for no_act in
            ["/console", "/console/sign-in", "/console/campaigns//act", "/v1/keys", "//evil.example/act"]
        {
            assert_eq!(of(no_act, "a=1"), None, "{no_act}");
        }
        assert_eq!(of("/console/sources/act", &"a".repeat(MAX_KEPT + 1)), None);
    }
}
