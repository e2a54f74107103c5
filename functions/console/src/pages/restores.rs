//! Restores: those under way with their progress, and past ones.

use super::{OrRefused, Refused, Viewer, act::duration, forms::Fields};
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
use http::Method;
use http::Uri;
use maud::{Markup, html};
use rekindle_domain::key::Scope::{Manage, Read};
use rekindle_domain::{
    id::RequestId,
    restore::{ItemState, RequestState},
};
use rekindle_runtime::scopes::Route;
use rekindle_service::{
    Problem, Rekindle,
    restore::{ItemView, RequestView},
};

pub(super) const ROUTES: &[Route] = &[
    (Method::GET, "/console/restores", Read),
    (Method::GET, "/console/restores/{id}", Read),
    (Method::POST, "/console/restores/{id}/cancel", Manage),
];

pub(super) fn routes() -> Router<Rekindle> {
    Router::new()
        .route("/console/restores", get(list))
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
    let next = page
        .next
        .as_deref()
        .map(|next| format!("/console/restores?{}", fields.with(&[("cursor", Some(next))])));
    let content = html! {
        h1 { "Restores" }
        @if page.items.is_empty() {
            div .card .empty { p { "Nothing was restored yet." } p { a href="/console?state=expired" { "Show what has expired" } } }
        } @else {
            div .card .scroll {
                table {
                    thead { tr { th scope="col" { "Asked for" } th scope="col" { "By" } th scope="col" { "State" } th scope="col" { "Done" } } }
                    tbody {
                        @for request in &page.items {
                            tr {
                                td { a href=(format!("/console/restores/{}", request.id)) { (time(request.created_at)) } @if let Some(tag) = &request.tag { " " span .tag { (tag) } } }
                                td { (request.requested_by.as_deref().unwrap_or("–")) }
                                td { (state(request.state)) }
                                td { @if let Some(at) = request.completed_at { (time(at)) } @else { "–" } }
                            }
                        }
                    }
                }
            }
            @if let Some(next) = next { p { a .button href=(next) { "Earlier ones" } } }
        }
    };
    Ok(Page::new("Restores", Some(&viewer)).within("/console/restores").around(&content))
}

fn id_of(text: &str) -> Result<RequestId, Problem> {
    text.parse().map_err(|_| Problem::not_found("unknown_restore", format!("there is no restore {text}")))
}

async fn show(
    State(app): State<Rekindle>,
    viewer: Viewer,
    Path(id): Path<String>,
) -> Result<Markup, Refused> {
    let request = app.get_request(id_of(&id).or_refused(&viewer)?).await.or_refused(&viewer)?;
    let content = html! {
        p { a href="/console/restores" { "Restores" } }
        h1 { "Restore of " (time(request.created_at)) }
        (progress(&viewer, &request))
    };
    Ok(Page::new("Restore", Some(&viewer)).within("/console/restores").around(&content))
}

/// The state of a restore. While it is under way the browser asks for this part again every second.
fn progress(viewer: &Viewer, request: &RequestView) -> Markup {
    let is_open = matches!(request.state, RequestState::Queued | RequestState::Running);
    let items = request.items.as_deref().unwrap_or_default();
    let every = is_open.then_some("every 1s");
    let address = format!("/console/restores/{}", request.id);
    html! {
        section .card #progress hx-get=[is_open.then_some(&address)] hx-trigger=[every] hx-select="#progress" hx-swap="outerHTML" {
            p role="status" {
                strong { (state(request.state)) }
                @if let (true, Some(seconds)) = (is_open, request.eta_seconds) { ", about " (duration(seconds)) " left" }
                @if let Some(at) = request.completed_at { " on " (time(at)) }
            }
            @if !request.notify.is_empty() { p { "A mail goes to " (request.notify.join(", ")) " when it is done." } }
            div .scroll {
                table {
                    thead { tr { th scope="col" { "Source" } th scope="col" { "State" } th scope="col" { "Users" } } }
                    tbody { @for item in items { (row(item)) } }
                }
            }
            @if is_open && viewer.may_manage() {
                form method="post" action=(format!("{address}/cancel")) { p { button { "Cancel what is not restored yet" } } }
            }
        }
    }
}

fn row(item: &ItemView) -> Markup {
    html! {
        tr {
            td .name { a href=(words::address(&item.source)) { (item.source.id()) } }
            td {
                (item_state(item.state))
                @if let Some(error) = &item.error { div role="alert" { (sentence(error)) } }
                @if let Some(at) = item.expires_at { div .hint { "Expires on " (time(at)) } }
                @if item.late_interactions > 0 {
                    div .hint { (count(item.late_interactions, "interaction", "interactions")) " came after the data had expired" }
                }
            }
            td {
                @if item.users_total > 0 {
                    progress max=(item.users_total) value=(item.users_done) aria-label=(format!("Users of {}", item.source.id())) {}
                    (number(item.users_done)) " of " (number(item.users_total))
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
    Ok(Redirect::to(&format!("/console/restores/{id}")).into_response())
}
