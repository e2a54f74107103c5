//! The frame of every page, and the pieces that many pages share.

use crate::{assets, pages::Viewer};
use axum::{
    body::Body,
    extract::Request,
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use maud::{DOCTYPE, Markup, html};
use rekindle_domain::{key::Scope, time::Time};
use rekindle_runtime::problem::HttpProblem;
use rekindle_service::Problem;

/// The pages that the navigation leads to: address, name, and the scope that a reader must have to see it.
const SECTIONS: [(&str, &str, Scope); 7] = [
    ("/console", "Campaigns and Canvases", Scope::Read),
    ("/console/audiences", "Audiences", Scope::Read),
    ("/console/users", "Users", Scope::Read),
    ("/console/expirations", "Expirations", Scope::Read),
    ("/console/restores", "Restores", Scope::Read),
    ("/console/overview", "Overview", Scope::Read),
    ("/console/keys", "Keys", Scope::Admin),
];

/// A page: its title, and the reader it is for.
pub(crate) struct Page<'a> {
    title: &'a str,
    viewer: Option<&'a Viewer>,
    section: &'a str,
}

impl<'a> Page<'a> {
    pub(crate) fn new(title: &'a str, viewer: Option<&'a Viewer>) -> Self {
        Self { title, viewer, section: "" }
    }

    /// The page of the navigation that it belongs to.
    pub(crate) fn within(self, section: &'a str) -> Self {
        Self { section, ..self }
    }

    /// The whole document around the content.
    pub(crate) fn around(&self, content: &Markup) -> Markup {
        let body = html! {
            a .skip href="#main" { "Skip to content" }
            header .bar {
                a .brand href="/console" { "Rekindle" }
                @if let Some(viewer) = self.viewer {
                    nav aria-label="Sections" {
                        @for (address, name, _) in SECTIONS.iter().filter(|(_, _, scope)| viewer.may(*scope)) {
                            a href=(address) aria-current=[(*address == self.section).then_some("page")] { (name) }
                        }
                    }
                }
                div .tools {
                    button #theme type="button" hidden { "Light or dark" }
                    @if let Some(viewer) = self.viewer {
                        form method="post" action="/console/sign-out" {
                            span .who { (viewer.name) }
                            button { "Sign out" }
                        }
                    }
                }
            }
            main #main tabindex="-1" { (content) }
        };
        self.document(&body)
    }

    /// The document with nothing but the content.
    pub(crate) fn plain(&self, content: &Markup) -> Markup {
        self.document(&html! { main #main { (content) } })
    }

    fn document(&self, body: &Markup) -> Markup {
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (self.title) " · Rekindle" }
                    link rel="stylesheet" href=(assets::address("console.css"));
                    script src=(assets::address("htmx.js")) defer {}
                    script src=(assets::address("console.js")) defer {}
                }
                body { (body) }
            }
        }
    }
}

/// The status of the page that says why something was not done.
pub(crate) fn status(problem: &Problem) -> StatusCode {
    HttpProblem::from(problem.clone()).status
}

/// The page that says why something was not done.
pub(crate) fn problem(problem: &Problem, viewer: Option<&Viewer>) -> Response {
    let status = status(problem);
    let (title, hint) = match status {
        StatusCode::NOT_FOUND => ("There is nothing here", "Go back, or look for it in the list."),
        StatusCode::SERVICE_UNAVAILABLE => ("Busy", "Nothing is lost. Try again in a moment."),
        StatusCode::INTERNAL_SERVER_ERROR => {
            ("This did not work", "Whoever runs Rekindle finds the reason in its log.")
        }
        _ => ("This was not done", "Nothing was changed."),
    };
    let content = html! {
        section .card .narrow {
            h1 { (title) }
            p role="alert" { (sentence(&problem.detail)) }
            p .hint { (hint) }
            p { a href="/console" { "To the list of campaigns and Canvases" } }
        }
    };
    (status, Page::new(title, viewer).around(&content)).into_response()
}

/// A text as a sentence: with a capital at its beginning, and a full stop.
pub(crate) fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first: String = letters.next().into_iter().flat_map(char::to_uppercase).collect();
    let stop = if text.ends_with(['.', '!', '?']) { "" } else { "." };
    format!("{first}{}{stop}", letters.as_str())
}

/// A time for people: the day in UTC; a script puts the reader's own time there, and the whole time stands in the title.
pub(crate) fn time(at: Time) -> Markup {
    let text = at.to_string();
    let day = text.get(..10).unwrap_or(&text).to_owned();
    html! { time datetime=(text) title=(format!("{} UTC", text.replace('T', " ").trim_end_matches('Z'))) { (day) } }
}

/// A number with its digits in groups of three.
pub(crate) fn number(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

/// A number of things, with their name.
pub(crate) fn count(n: u64, one: &str, many: &str) -> String {
    format!("{} {}", number(n), if n == 1 { one } else { many })
}

/// Says to browsers where content may come from: from this host alone, and no script or style stands within a page.
pub(crate) async fn policy(request: Request<Body>, next: Next) -> Response {
    const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
                          form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}
