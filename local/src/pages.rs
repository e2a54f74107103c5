//! The console's pages that only the local runner has: loading sample data, and the mails that the embedded SES took.

use crate::{
    embedded::Mail,
    sample::{self, Loading, Progress, Sample, SampleError},
    server::Local,
};
use axum::{
    Router,
    extract::State,
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use http::{HeaderMap, Method, StatusCode, Uri};
use maud::{Markup, html};
use rekindle_console::{Extras, Page, Viewer, count, number, problem, time};
use rekindle_domain::{
    key::Scope::{Admin, Read},
    time::Time,
};
use rekindle_service::Problem;

const SAMPLE: &str = "/console/local/sample";
const OUTBOX: &str = "/console/local/outbox";
/// How many mails a page shows.
const MAILS: usize = 50;

/// The pages, as the console knows them.
pub(crate) static EXTRAS: Extras = Extras {
    routes: &[(Method::GET, SAMPLE, Admin), (Method::POST, SAMPLE, Admin), (Method::GET, OUTBOX, Read)],
    sections: &[(OUTBOX, "Outbox", Read)],
    sample: Some(SAMPLE),
};

pub(crate) fn routes(local: &Local) -> Router {
    Router::new()
        .route(SAMPLE, get(show_sample).post(load_sample))
        .route(OUTBOX, get(outbox))
        .with_state(local.clone())
}

/// Begins loading, and leads to the page that shows how far it is.
async fn load_sample(State(local): State<Local>, viewer: Viewer) -> Response {
    if let Err(error) = Sample::begin(&local, viewer.caller).await {
        let refused = match error {
            SampleError::Broken(error) => Problem::bad_request("sample_failed", error.to_string()),
            refused => Problem::conflict("sample_refused", refused.to_string()),
        };
        return problem(&refused, Some(&viewer));
    }
    Redirect::to(SAMPLE).into_response()
}

/// The page of loading. Once it is done, the page leads to the list.
async fn show_sample(State(local): State<Local>, viewer: Viewer, headers: HeaderMap) -> Response {
    let state = local.sample.state();
    if matches!(state, Loading::Done) {
        return if headers.contains_key("hx-request") {
            (StatusCode::OK, [("hx-redirect", "/console")]).into_response()
        } else {
            Redirect::to("/console").into_response()
        };
    }
    let is_running = matches!(state, Loading::Running(_));
    let content = html! {
        section .card .narrow {
            h1 { "Sample data" }
            @match &state {
                Loading::Running(progress) => (running(progress)),
                Loading::Failed(why) => {
                    p .refused role="alert" { (why) }
                }
                Loading::Idle | Loading::Done => (offered(&local).await),
            }
        }
    };
    Page::new("Sample data", Some(&viewer)).live(is_running).around(&content).into_response()
}

fn running(progress: &Progress) -> Markup {
    html! {
        div #progress hx-get=(SAMPLE) hx-trigger="every 500ms" hx-select="#progress" hx-swap="outerHTML" {
            p #loading { "Eight months pass: people send, receive, open and click, campaigns stop, and their data expires." }
            progress max=(progress.days) value=(progress.done) aria-labelledby="loading" {}
            p .hint {
                "Day " (number(progress.done)) " of " (number(progress.days)) ", " (time(progress.day)) ": "
                (count(progress.interactions, "interaction", "interactions"))
            }
        }
        p .hint { "The list opens when it is done." }
    }
}

async fn offered(local: &Local) -> Markup {
    let is_empty = sample::is_empty(local).await.unwrap_or(false);
    html! {
        @if is_empty {
            p { "Some forty campaigns and Canvases in every state, with the interactions of eight months, to look around in." }
            form method="post" action=(SAMPLE) { button .primary { "Load sample data" } }
        } @else {
            p { "There is data already. Sample data goes into an empty system only." }
            p { a .button href="/console" { "To the list" } }
        }
    }
}

/// The mails, newest first. They come as the notifier sends them, so that the page asks again by itself.
async fn outbox(State(local): State<Local>, viewer: Viewer, uri: Uri) -> Markup {
    let mails = local.aws.outbox();
    let fields = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    let before =
        fields.into_iter().find_map(|(name, value)| (name == "before").then(|| value.parse().ok())?);
    let end = before.unwrap_or(mails.len()).min(mails.len());
    let begin = end.saturating_sub(MAILS);
    let live = before.is_none().then_some(OUTBOX);
    let content = html! {
        h1 { "Outbox" }
        p .hint { "The local runner sends no mail. It keeps what it would have sent, and shows it here." }
        div #mails hx-get=[live] hx-trigger=[live.map(|_| "every 2s")] hx-select="#mails" hx-swap="outerMorph" {
            p role="status" { (count(mails.len() as u64, "mail", "mails")) }
            @if mails.is_empty() {
                div .card .empty { p { "No mail yet. One arrives when a restore that names your address is done, and before data expires." } }
            }
            @for mail in mails[begin..end].iter().rev() { (letter(mail)) }
            @if begin > 0 { p { a .button href=(format!("{OUTBOX}?before={begin}")) rel="next" { "Earlier ones" } } }
        }
    };
    Page::new("Outbox", Some(&viewer)).within(OUTBOX).around(&content)
}

fn letter(mail: &Mail) -> Markup {
    html! {
        article .card .mail {
            h2 dir="auto" { (mail.subject) }
            dl {
                dt { "To" } dd dir="auto" { (mail.to.join(", ")) }
                dt { "Sent" } dd { (time(Time(mail.sent_at.as_millisecond()))) }
            }
            pre dir="auto" { (mail.text) }
        }
    }
}
