//! The frame of every page, and the pieces that many pages share.

use crate::{assets, extras::Section, pages::Viewer};
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
const SECTIONS: [Section; 8] = [
    ("/console", "Campaigns", Scope::Read),
    ("/console/audiences", "Audiences", Scope::Read),
    ("/console/users", "Users", Scope::Read),
    ("/console/expirations", "Expirations", Scope::Read),
    ("/console/restores", "Restores", Scope::Read),
    ("/console/overview", "Overview", Scope::Read),
    ("/console/keys", "Keys", Scope::Admin),
    ("/console/audit", "Audit", Scope::Admin),
];

/// The words of a page that gets no answer.
const AWAY: &str = "Rekindle does not answer. Nothing is lost; this page goes on by itself when it is back.";

/// The keys that the script knows.
const KEYS: [(&str, &str); 5] = [
    ("/", "Search"),
    ("↓ ↑", "Go through the list"),
    ("x", "Tick or untick"),
    ("Enter", "Open"),
    ("?", "Show this list"),
];

/// A page: its title, and the reader it is for.
pub struct Page<'a> {
    title: &'a str,
    viewer: Option<&'a Viewer>,
    section: &'a str,
    is_live: bool,
}

impl<'a> Page<'a> {
    /// A page of no section.
    pub fn new(title: &'a str, viewer: Option<&'a Viewer>) -> Self {
        Self { title, viewer, section: "", is_live: false }
    }

    /// The page of the navigation that it belongs to.
    pub fn within(self, section: &'a str) -> Self {
        Self { section, ..self }
    }

    /// A page that shows progress: a browser that runs no scripts loads it again every other second.
    pub fn live(self, is_live: bool) -> Self {
        Self { is_live, ..self }
    }

    /// The whole document around the content.
    pub fn around(&self, content: &Markup) -> Markup {
        let body = html! {
            a .skip href="#main" { "Skip to content" }
            header .bar {
                a .brand href="/console" { img src=(assets::address("icon.svg")) alt="" width="24" height="24"; "Rekindle" }
                @if let Some(viewer) = self.viewer {
                    nav aria-label="Sections" {
                        @for (address, name, _) in SECTIONS.iter().chain(viewer.extras.sections).filter(|(_, _, scope)| viewer.may(*scope)) {
                            a href=(address) aria-current=[(*address == self.section).then_some("page")] { (name) }
                        }
                    }
                }
                div .tools {
                    button #theme type="button" title="Light or dark" aria-label="Light or dark" hidden { "◐" }
                    @if let Some(viewer) = self.viewer {
                        form method="post" action="/console/sign-out" {
                            span .who { (viewer.name) }
                            button { "Sign out" }
                        }
                    }
                }
            }
            p #away .refused role="status" data-says=(AWAY) hidden {}
            main #main tabindex="-1" {
                div #signed-out {}
                (content)
            }
            dialog #keys aria-labelledby="keys-title" {
                h2 #keys-title { "Keys" }
                dl {
                    @for (key, does) in KEYS { dt { kbd { (key) } } dd { (does) } }
                }
                form method="dialog" { button { "Close" } }
            }
        };
        self.document(&body)
    }

    /// The document with nothing but the content.
    pub(crate) fn plain(&self, content: &Markup) -> Markup {
        self.document(&html! { p #away data-says=(AWAY) hidden {} main #main { (content) } })
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
                    @if self.is_live { noscript { meta http-equiv="refresh" content="2"; } }
                    link rel="stylesheet" href=(assets::address("console.css"));
                    link rel="icon" type="image/svg+xml" href=(assets::address("icon.svg"));
                    // Before anything is painted, so that the theme does not flash, and times do not move what is around them.
                    script src=(assets::address("console.js")) defer blocking="render" {}
                    script src=(assets::address("htmx.js")) defer {}
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

/// How many seconds later a page that could not be shown is asked for again.
const AGAIN_SECONDS: u32 = 5;

/// The page that says why something was not done.
pub fn problem(problem: &Problem, viewer: Option<&Viewer>) -> Response {
    problem_of(problem, viewer, viewer.is_some_and(|viewer| viewer.reads))
}

/// The same. A page that was only to be shown tries again by itself when the store is busy; an act is sent again by its reader.
pub(crate) fn problem_of(problem: &Problem, viewer: Option<&Viewer>, reads: bool) -> Response {
    let status = status(problem);
    let is_busy = status == StatusCode::SERVICE_UNAVAILABLE;
    let (title, hint) = match status {
        StatusCode::NOT_FOUND => ("There is nothing here", "Go back, or look for it in the list."),
        _ if is_busy && reads => {
            ("Busy, trying again", "Nothing is lost. This page tries again by itself in a few seconds.")
        }
        _ if is_busy => ("Busy", "Nothing is lost. Go back and send it again in a moment."),
        StatusCode::INTERNAL_SERVER_ERROR => {
            ("This did not work", "Whoever runs Rekindle finds the reason in its log.")
        }
        _ => ("This was not done", "Nothing was changed."),
    };
    let mut response = refusal(status, title, &sentence(&problem.detail), hint, viewer);
    if is_busy && reads {
        response.headers_mut().insert(header::REFRESH, HeaderValue::from(AGAIN_SECONDS));
    }
    response
}

/// A page that says in words what is in the way, and what to do about it.
pub(crate) fn refusal(
    status: StatusCode,
    title: &str,
    detail: &str,
    hint: &str,
    viewer: Option<&Viewer>,
) -> Response {
    let content = html! {
        section .card .narrow {
            h1 { (title) }
            p role="alert" dir="auto" { (detail) }
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
pub fn time(at: Time) -> Markup {
    let text = at.to_string();
    let day = text.get(..10).unwrap_or(&text).to_owned();
    html! { time datetime=(text) title=(format!("{} UTC", text.replace('T', " ").trim_end_matches('Z'))) { (day) } }
}

/// A number with its digits in groups of three.
pub fn number(n: u64) -> String {
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
pub fn count(n: u64, one: &str, many: &str) -> String {
    format!("{} {}", number(n), if n == 1 { one } else { many })
}

/// Says to browsers where content may come from: from this host alone, and no script or style stands within a page.
pub(crate) async fn policy(request: Request<Body>, next: Next) -> Response {
    const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
                          form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
    let is_part = request.headers().contains_key("hx-request");
    let mut response = next.run(request).await;
    let is_broken = response.status().is_server_error();
    let headers = response.headers_mut();
    if is_part && is_broken {
        // The part of the page that asked stays as it is, and asks again at its time.
        headers.insert("hx-reswap", HeaderValue::from_static("none"));
    }
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert("cross-origin-opener-policy", HeaderValue::from_static("same-origin"));
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}
