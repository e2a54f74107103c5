//! The list of campaigns and Canvases: found by name, status, state of the data and tag, and ticked for an act on many.

use super::{OrRefused, Refused, Viewer, forms::Fields};
use crate::{
    extras::offer_sample,
    html::{self, Page, number},
    words,
};
use axum::{Router, extract::State, routing::get};
use http::Method;
use http::Uri;
use maud::{Markup, html};
use rekindle_domain::key::Scope::Read;
use rekindle_domain::{id::SourceKind, source::Status};
use rekindle_runtime::scopes::Route;
use rekindle_service::{
    Listing, Rekindle,
    library::{ListRequest, ShownState, Sort, SourceView},
};

pub(super) const ROUTES: &[Route] = &[(Method::GET, "/console", Read)];

pub(super) fn routes() -> Router<Rekindle> {
    Router::new().route("/console", get(show))
}

/// How many sources a page shows.
const PAGE: usize = 50;

const STATUSES: [Status; 3] = [Status::Draft, Status::Active, Status::Stopped];
const STATES: [(ShownState, &str); 4] = [
    (ShownState::Available, "Available"),
    (ShownState::Expiring, "Expiring"),
    (ShownState::Expired, "Expired"),
    (ShownState::Restoring, "Restoring"),
];

fn asked(fields: &Fields) -> (SourceKind, ListRequest) {
    let kind = if fields.get("kind") == Some("canvases") { SourceKind::Canvas } else { SourceKind::Campaign };
    let text = |name: &str| fields.get(name).map(str::to_owned);
    let request = ListRequest {
        status: STATUSES.into_iter().find(|status| fields.get("status") == Some(status.as_str())),
        state: STATES
            .into_iter()
            .map(|(state, _)| state)
            .find(|state| fields.get("state") == Some(state.as_str())),
        is_first_sight: fields.get("first_sight").is_some(),
        is_deleted: fields.get("deleted").is_some(),
        tag: text("tag"),
        q: text("q"),
        sort: (fields.get("sort") == Some("expires_at")).then_some(Sort::ExpiresAt),
        cursor: text("cursor"),
        limit: PAGE,
    };
    (kind, request)
}

async fn show(State(app): State<Rekindle>, viewer: Viewer, uri: Uri) -> Result<Markup, Refused> {
    let fields = Fields::of(uri.query().unwrap_or_default().as_bytes());
    let (kind, request) = asked(&fields);
    let page = app.list(kind, &request).await.or_refused(&viewer)?;
    let content = html! {
        h1 { "Campaigns and Canvases" }
        (filters(kind, &fields))
        (table(kind, &viewer, &fields, &page))
    };
    Ok(Page::new("Campaigns and Canvases", Some(&viewer)).within("/console").around(&content))
}

fn filters(kind: SourceKind, fields: &Fields) -> Markup {
    let is = |name: &str, value: &str| fields.get(name) == Some(value);
    html! {
        form .card .filters method="get" action="/console" role="search" {
            div {
                label for="q" { "Name" }
                input #q type="search" name="q" value=[fields.get("q")] placeholder="Words in the name or id";
            }
            div {
                label for="kind" { "Kind" }
                select #kind name="kind" {
                    option value="campaigns" selected[kind == SourceKind::Campaign] { "Campaigns" }
                    option value="canvases" selected[kind == SourceKind::Canvas] { "Canvases" }
                }
            }
            div {
                label for="status" { "Status" }
                select #status name="status" {
                    option value="" { "Any" }
                    @for status in STATUSES {
                        option value=(status.as_str()) selected[is("status", status.as_str())] { (words::status(status)) }
                    }
                }
            }
            div {
                label for="state" { "Interaction data" }
                select #state name="state" {
                    option value="" { "Any" }
                    @for (state, name) in STATES {
                        option value=(state.as_str()) selected[is("state", state.as_str())] { (name) }
                    }
                }
            }
            div {
                label for="tag" { "Tag" }
                input #tag name="tag" value=[fields.get("tag")];
            }
            div {
                label for="sort" { "Order" }
                select #sort name="sort" {
                    option value="" { "Last changed first" }
                    option value="expires_at" selected[is("sort", "expires_at")] { "Expires soonest first" }
                }
            }
            div { button .primary { "Show" } }
        }
    }
}

fn table(kind: SourceKind, viewer: &Viewer, fields: &Fields, page: &Listing<SourceView>) -> Markup {
    let is_narrowed = ["q", "status", "state", "tag", "cursor"].iter().any(|name| fields.get(name).is_some());
    let next =
        page.next.as_deref().map(|next| format!("/console?{}", fields.with(&[("cursor", Some(next))])));
    html! {
        @if page.items.is_empty() && next.is_none() {
            div .card .empty {
                @if is_narrowed {
                    p { "Nothing matches." }
                    p { a href=(format!("/console?kind={}", words::kind_path(kind))) { "Show all" } }
                } @else {
                    p { "There is nothing here yet. A campaign appears with its first interaction." }
                    (offer_sample(viewer))
                }
            }
        } @else {
            form method="post" action="/console/sources/review" data-ticks="" {
                div .card .scroll {
                    table .wide {
                        thead {
                            tr {
                                @if viewer.may_manage() { th { input type="checkbox" data-all="" aria-label="Tick all on this page" hidden; } }
                                th scope="col" { "Name" }
                                th scope="col" { "Status" }
                                th scope="col" { "Interaction data" }
                                th scope="col" { "Users" }
                                th scope="col" { "Until" }
                            }
                        }
                        tbody { @for view in &page.items { (row(viewer, view)) } }
                    }
                }
                @if viewer.may_manage() {
                    div .acts {
                        button .primary name="act" value="restore" { "Restore interaction data" }
                        button name="act" value="stop" { "Stop" }
                        button name="act" value="pin" { "Pin" }
                        button name="act" value="unpin" { "Unpin" }
                        output aria-live="polite" {}
                    }
                }
            }
            @if let Some(next) = next { p { a .button href=(next) rel="next" { "Further ones" } } }
        }
    }
}

fn row(viewer: &Viewer, view: &SourceView) -> Markup {
    let state = words::state(view);
    let users = view.interaction_data.users;
    html! {
        tr {
            @if viewer.may_manage() {
                td .tick { input type="checkbox" name="source" value=(view.source) aria-label=(format!("Tick {}", view.name)); }
            }
            td .name {
                a href=(words::address(&view.source)) dir="auto" { (view.name) }
                @if view.name != view.source.id() { div .id { (view.source.id()) } }
                div { @for tag in &view.tags { span .tag dir="auto" { (tag) } } }
            }
            td { (words::status(view.status)) }
            td { span .state data-state=(state) { (state) } }
            td .number { @if let Some(users) = users { (number(users)) } @else { "–" } }
            td { (words::keeping(view)) }
        }
    }
}

/// The ticked sources as hidden fields of a further form.
pub(super) fn hidden(sources: &[rekindle_domain::id::SourceId]) -> Markup {
    html! { @for source in sources { input type="hidden" name="source" value=(source); } }
}

/// Bytes for people.
pub(super) fn bytes(n: u64) -> String {
    match n {
        0..=999_999 => format!("{} KB", html::number(n.div_ceil(1000))),
        1_000_000..=999_999_999 => format!("{} MB", html::number(n.div_ceil(1_000_000))),
        _ => format!("{} GB", html::number(n.div_ceil(1_000_000_000))),
    }
}
