//! Restores: those under way with their progress, and past ones.

use super::{OrRefused, Refused, Viewer, act::duration, forms::Fields, sources};
use crate::{
    html::{Page, count, number, sentence, time},
    words,
};
use axum::{
    Router,
    extract::{Path, State},
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use http::{HeaderMap, Method, Uri};
use maud::{Markup, html};
use rekindle_domain::{
    id::{RequestId, SourceId},
    key::Scope::{Manage, Read},
    restore::{ItemState, RequestState},
};
use rekindle_runtime::scopes::Route;
use rekindle_service::{
    Problem, Rekindle,
    restore::{ItemView, RequestView},
};
use std::collections::{BTreeMap, BTreeSet};

pub(super) const ROUTES: &[Route] = &[
    (Method::GET, LIST, Read),
    (Method::GET, "/console/restores/{id}", Read),
    (Method::POST, "/console/restores/{id}/cancel", Manage),
];

/// The address of the list.
pub(super) const LIST: &str = "/console/restores";

pub(super) fn routes() -> Router<Rekindle> {
    Router::new()
        .route(LIST, get(list))
        .route("/console/restores/{id}", get(show))
        .route("/console/restores/{id}/cancel", post(cancel))
}

/// How many restores a page shows.
const PAGE: usize = 50;

const fn state(state: RequestState) -> &'static str {
    match state {
        RequestState::Queued => "Waiting",
        RequestState::Running => "Under way",
        RequestState::Completed => "Done",
        RequestState::PartlyFailed => "Partly failed",
        RequestState::Failed => "Failed",
        RequestState::Cancelled => "Cancelled",
    }
}

const fn item_state(state: ItemState) -> &'static str {
    match state {
        ItemState::Queued => "Waiting",
        ItemState::Restoring => "Being restored",
        ItemState::Restored => "Restored",
        ItemState::AlreadyAvailable => "Was available",
        ItemState::NothingToRestore => "Nothing to restore",
        ItemState::Failed => "Failed",
        ItemState::Cancelled => "Cancelled",
    }
}

async fn list(State(app): State<Rekindle>, viewer: Viewer, uri: Uri) -> Result<Markup, Refused> {
    let fields = Fields::of(uri.query().unwrap_or_default().as_bytes());
    let page = app.list_requests(fields.get("cursor"), PAGE).await.or_refused(&viewer)?;
    let callers: BTreeSet<String> =
        page.items.iter().filter_map(|request| request.requested_by.clone()).collect();
    let names = app.caller_names(&callers).await.or_refused(&viewer)?;
    let next = page.next.as_deref().map(|next| format!("{LIST}?{}", fields.with(&[("cursor", Some(next))])));
    let is_live = page.items.iter().any(|request| is_open(request.state));
    let content = html! {
        h1 { "Restores" }
        @if page.items.is_empty() {
            div .card .empty {
                p { strong { "Nothing was restored yet." } }
                p { a .button href=(format!("{}?state=expired", sources::LIST)) { "Show what has expired" } }
            }
        } @else {
            div .card .scroll #restores hx-get=[is_live.then_some(uri.path_and_query().map_or(LIST, |path| path.as_str()))]
                hx-trigger=[is_live.then_some("every 2s")] hx-select="#restores" hx-swap="outerMorph" {
                table .wide {
                    caption .hidden { "Restores, newest first" }
                    thead {
                        tr {
                            th scope="col" { "Asked for" }
                            th scope="col" { "By" }
                            th scope="col" { "State" }
                            th .number scope="col" { "Campaigns and Canvases" }
                            th scope="col" { "Took" }
                        }
                    }
                    tbody { @for request in &page.items { (line(request, &names)) } }
                }
            }
            nav .pages aria-label="Pages" {
                @if let Some(next) = next { a .button href=(next) rel="next" { "Earlier ones" } }
            }
        }
    };
    Ok(Page::new("Restores", Some(&viewer)).within(LIST).around(&content))
}

fn line(request: &RequestView, names: &BTreeMap<String, String>) -> Markup {
    let by = request.requested_by.as_ref().map(|by| names.get(by).unwrap_or(by));
    html! {
        tr {
            td .name {
                a href=(address(request.id)) { (time(request.created_at)) }
                @if let Some(tag) = &request.tag { " " span .tag dir="auto" { (tag) } }
            }
            td dir="auto" { (by.map_or("–", String::as_str)) }
            td { span .state data-state=(state(request.state)) { (state(request.state)) } }
            td .number {
                @if is_open(request.state) { (request.ended) " of " }
                (number(u64::from(request.sources)))
            }
            td {
                @if let Some(at) = request.completed_at {
                    (duration((at.0 - request.created_at.0).max(0).unsigned_abs() / 1000))
                } @else { "–" }
            }
        }
    }
}

const fn is_open(state: RequestState) -> bool {
    matches!(state, RequestState::Queued | RequestState::Running)
}

fn address(id: RequestId) -> String {
    format!("{LIST}/{id}")
}

fn id_of(text: &str) -> Result<RequestId, Problem> {
    text.parse().map_err(|_| Problem::not_found("unknown_restore", format!("there is no restore {text}")))
}

async fn show(
    State(app): State<Rekindle>,
    viewer: Viewer,
    Path(id): Path<String>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Markup, Refused> {
    let fields = Fields::of(uri.query().unwrap_or_default().as_bytes());
    let then = fields.get("then").and_then(|then| then.parse::<SourceId>().ok());
    let request = app.get_request(id_of(&id).or_refused(&viewer)?).await.or_refused(&viewer)?;
    let items = request.items.as_deref().unwrap_or_default();
    let named: BTreeSet<SourceId> = items.iter().map(|item| item.source.clone()).collect();
    let names = app.names_of(&named).await.or_refused(&viewer)?;
    let is_open = is_open(request.state);
    let waits = was_waiting(&headers)
        && request.completed_at.is_none_or(|at| app.clock.now().0 - at.0 < FRESH_MILLIS);
    let every = is_open.then_some(match items.len() {
        0..=20 => "every 1s",
        21..=100 => "every 3s",
        _ => "every 10s",
    });
    let this = uri.path_and_query().map_or_else(|| address(request.id), |path| path.as_str().to_owned());
    let content = html! {
        p .trail { a href=(LIST) { "Restores" } }
        h1 { "Restore of " (time(request.created_at)) }
        section .card #progress hx-get=[is_open.then_some(&this)] hx-trigger=[every] hx-select="#progress" hx-swap="outerMorph" {
            (summary(&request))
            div .scroll {
                table .wide {
                    caption .hidden { "Its campaigns and Canvases" }
                    thead { tr { th scope="col" { "Name" } th scope="col" { "State" } th scope="col" { "Users" } } }
                    tbody { @for item in items { (row(item, &names)) } }
                }
            }
            @if let Some(then) = &then { (afterwards(&viewer, then, waits, &request)) }
            @if is_open && viewer.may_manage() {
                form method="post" action=(format!("{}/cancel", address(request.id))) {
                    p { button #cancel { "Cancel what is not restored yet" } }
                }
            }
            @if is_open { noscript { p { a .button href=(this) { "Look again" } } } }
        }
    };
    Ok(Page::new("Restore", Some(&viewer)).within(LIST).around(&content))
}

/// How long after the end of a restore a page still starts the source that waited for it, in milliseconds.
const FRESH_MILLIS: i64 = 60_000;

/// Whether a page of the console leads to the page of a restore: one that was open meanwhile and asks again, or the form that
/// asked for the restore. A link from elsewhere starts nothing by itself.
fn was_waiting(headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site").and_then(|site| site.to_str().ok());
    headers.contains_key("hx-request") || site == Some("same-origin")
}

/// The state of a restore as a whole, with the time that is left.
fn summary(request: &RequestView) -> Markup {
    let items = request.items.as_deref().unwrap_or_default();
    let is_open = is_open(request.state);
    let sum = |of: fn(&ItemView) -> u64| items.iter().map(of).sum::<u64>();
    let (done, total) = (sum(|item| item.users_done), sum(|item| item.users_total));
    html! {
        p role="status" {
            span .state data-state=(state(request.state)) { (state(request.state)) }
            " " (request.ended) " of " (words::things(u64::from(request.sources)))
            @if let (true, Some(seconds)) = (is_open, request.eta_seconds) { ", " (duration(seconds)) " left" }
            @if let Some(at) = request.completed_at { ", ended on " (time(at)) }
        }
        @if is_open && total > 0 { progress max=(total) value=(done) aria-label="Users that are back" {} }
        @if !request.notify.is_empty() {
            p { @if is_open { "A mail goes to " } @else { "A mail went to " } (request.notify.join(", ")) @if is_open { " when it is done" } "." }
        }
    }
}

/// The source that waits for the restore: it starts by itself while the page is open, or by its button.
fn afterwards(viewer: &Viewer, then: &SourceId, waits: bool, request: &RequestView) -> Markup {
    let action = format!("{}/act", words::address(then));
    html! {
        @match request.state {
            RequestState::Queued | RequestState::Running => {
                p .banner { (then.id()) " starts when this is done, for as long as this page is open." }
            }
            RequestState::Completed if viewer.may_manage() => {
                form #then method="post" action=(action) data-send=[waits.then_some("")] {
                    input type="hidden" name="act" value="start";
                    p { button .primary { "Start " (then.id()) } }
                }
            }
            RequestState::Completed => {}
            RequestState::PartlyFailed | RequestState::Failed | RequestState::Cancelled => {
                p .refused { (then.id()) " was not started: not all of the data is back." }
            }
        }
    }
}

fn row(item: &ItemView, names: &BTreeMap<SourceId, String>) -> Markup {
    let name = names.get(&item.source).map_or(item.source.id(), String::as_str);
    html! {
        tr {
            td .name { a dir="auto" href=(words::address(&item.source)) { (name) } }
            td {
                span .state data-state=(item_state(item.state)) { (item_state(item.state)) }
                @if let Some(error) = &item.error { div role="alert" { (sentence(error)) } }
                @if let Some(at) = item.expires_at { div .hint { "Kept until " (time(at)) } }
                @if item.late_interactions > 0 {
                    div .hint { (count(item.late_interactions, "interaction", "interactions")) " came after the data had expired" }
                }
            }
            td {
                @if item.users_total > 0 {
                    progress max=(item.users_total) value=(item.users_done) aria-label=(format!("Users of {}", item.source.id())) {}
                    div .hint { (number(item.users_done)) " of " (number(item.users_total)) }
                } @else { "–" }
            }
        }
    }
}

async fn cancel(
    State(app): State<Rekindle>,
    viewer: Viewer,
    Path(id): Path<String>,
) -> Result<Response, Refused> {
    let id = id_of(&id).or_refused(&viewer)?;
    app.cancel_request(id, &viewer.caller).await.or_refused(&viewer)?;
    Ok(Redirect::to(&address(id)).into_response())
}
