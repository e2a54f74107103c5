//! The page of one campaign or Canvas.

use super::{OrRefused, Refused, Viewer};
use crate::{
    html::{Page, number, time},
    words,
};
use axum::{
    Router,
    extract::{Path, State},
    routing::get,
};
use http::Method;
use maud::{Markup, html};
use rekindle_domain::key::Scope::Read;
use rekindle_domain::{
    id::{SourceId, SourceKind},
    source::Status,
};
use rekindle_runtime::scopes::Route;
use rekindle_service::{
    Problem, Rekindle,
    library::{ShownState, SourceView},
};
use rekindle_store::catalog::sources::TimelineEntry;

pub(super) const ROUTES: &[Route] = &[(Method::GET, "/console/{kind}/{id}", Read)];

pub(super) fn routes() -> Router<Rekindle> {
    Router::new().route("/console/{kind}/{id}", get(show))
}

/// How many entries of the timeline the page shows.
const ENTRIES: usize = 30;

/// The source that an address names.
pub(super) fn named(kind: &str, id: &str) -> Result<SourceId, Problem> {
    let text = match kind {
        "campaigns" => format!("campaign/{id}"),
        "canvases" => format!("canvas/{id}"),
        _ => String::new(),
    };
    text.parse().map_err(|_| Problem::not_found("unknown_page", "there is no such page"))
}

async fn show(
    State(app): State<Rekindle>,
    viewer: Viewer,
    Path((kind, id)): Path<(String, String)>,
) -> Result<Markup, Refused> {
    let id = named(&kind, &id).or_refused(&viewer)?;
    let view = app.get_source(&id).await.or_refused(&viewer)?;
    let timeline = app.timeline(&id, None, ENTRIES).await.or_refused(&viewer)?.items;
    let content = html! {
        p { a href=(format!("/console?kind={}", words::kind_path(id.kind()))) { "Campaigns and Canvases" } }
        h1 dir="auto" { (view.name) }
        (banner(&viewer, &view))
        div .columns {
            (about(&viewer, &view))
            (counts(&view))
            (history(&timeline))
        }
    };
    Ok(Page::new(&view.name, Some(&viewer)).within("/console").around(&content))
}

fn button(view: &SourceView, act: &str, title: &str, is_first: bool) -> Markup {
    html! {
        form method="post" action=(format!("{}/act", words::address(&view.source))) {
            button .primary[is_first] name="act" value=(act) { (title) }
        }
    }
}

/// Says that the data is away, with the way to bring it back.
fn banner(viewer: &Viewer, view: &SourceView) -> Markup {
    let data = &view.interaction_data;
    html! {
        @match data.state {
            ShownState::Expired => {
                div .banner {
                    p {
                        strong { "Interaction data expired" @if let Some(at) = data.archived_at { " on " (time(at)) } "." }
                        " It lies in long-term storage. Audiences that name this "
                        (words::kind_name(view.source.kind()))
                        " cannot tell who received or clicked until it is restored."
                    }
                    @if viewer.may_manage() { (button(view, "restore", "Restore interaction data", true)) }
                }
            }
            ShownState::Restoring => {
                div .banner role="status" hx-get="" hx-trigger="every 2s" hx-select=".banner" hx-swap="outerHTML" {
                    p { strong { "Interaction data is being restored." } " " a href="/console/restores" { "Look at the restore" } }
                }
            }
            ShownState::Available | ShownState::Expiring => {}
        }
    }
}

fn about(viewer: &Viewer, view: &SourceView) -> Markup {
    html! {
        section .card {
            h2 { (words::kind_name(view.source.kind())) }
            dl {
                dt { "Id" } dd { (view.source.id()) }
                dt { "Status" } dd { (words::status(view.status)) }
                dt { "Interaction data" } dd { (words::keeping(view)) }
                @if let Some(at) = view.started_at { dt { "Started" } dd { (time(at)) } }
                @if let Some(at) = view.stopped_at { dt { "Stopped" } dd { (time(at)) } }
                @if let Some(at) = view.interaction_data.restored_at { dt { "Restored" } dd { (time(at)) } }
                @if !view.tags.is_empty() { dt { "Tags" } dd { @for tag in &view.tags { span .tag dir="auto" { (tag) } } } }
                @if !view.notify.is_empty() { dt { "Mails go to" } dd { (view.notify.join(", ")) } }
                @if let Some(audience) = &view.audience { dt { "Audience" } dd { (audience.describe()) } }
                @for holder in &view.interaction_data.held_by {
                    dt { "Retargeted by" }
                    dd { a href=(words::address(&holder.source)) { (holder.source.id()) } @for segment in &holder.via { " · " (segment) } }
                }
            }
            @if viewer.may_manage() {
                p .acts {
                    @match view.status {
                        Status::Active => { (button(view, "stop", "Stop", false)) }
                        Status::Draft | Status::Stopped => { (button(view, "start", "Start", false)) }
                    }
                    @if view.interaction_data.pin.is_some() { (button(view, "unpin", "Unpin", false)) }
                }
            }
            p {
                a href=(csv(&view.source)) download="" { "Download as CSV" }
            }
        }
    }
}

/// The export of a source, in the API.
fn csv(id: &SourceId) -> String {
    let kind = match id.kind() {
        SourceKind::Campaign => "campaigns",
        SourceKind::Canvas => "canvases",
    };
    format!("/v1/{kind}/{}/interactions.csv?for=spreadsheet", id.id())
}

/// How many users did what, as bars.
fn counts(view: &SourceView) -> Markup {
    let data = &view.interaction_data;
    let most = data.counts.iter().flatten().map(|(_, n)| *n).max().unwrap_or(0).max(1);
    html! {
        section .card {
            h2 { "Users" }
            @match (&data.counts, data.users) {
                (Some(counts), Some(users)) => {
                    p {
                        @if !data.exact { "At most " }
                        strong { (number(users)) }
                        @if let Some(at) = data.last_interaction_at { ", the last interaction on " (time(at)) }
                    }
                    div .bars {
                        @for (kind, n) in counts {
                            @let name = kind.replace('_', " ");
                            span { (name) }
                            progress max=(most) value=(n) aria-label=(name) {}
                            span { (number(*n)) }
                        }
                    }
                }
                _ => p .hint { "No interactions yet." }
            }
        }
    }
}

fn history(timeline: &[TimelineEntry]) -> Markup {
    html! {
        section .card {
            h2 { "What happened" }
            ol .timeline {
                @for entry in timeline {
                    li {
                        (time(entry.at)) " · " strong { (entry.event.replace('_', " ")) } " by " (entry.by)
                        @if let Some(detail) = &entry.detail { div .hint { (detail) } }
                    }
                }
            }
        }
    }
}
