//! The page of one campaign or Canvas.

mod chain;
mod counts;
mod csv;
mod edit;
mod history;

use super::{OrRefused, Refused, Viewer, act::Act, progress, restores, review, sources};
use crate::{
    html::{Page, time},
    words,
};
use axum::{
    Router,
    extract::{Path, State},
    routing::get,
};
use http::Method;
use maud::{Markup, html};
use rekindle_domain::{id::SourceId, key::Scope, source::Status};
use rekindle_runtime::scopes::Route;
use rekindle_service::{
    Problem, Rekindle,
    library::{ShownState, SourceView},
    restore::Restoring,
};

pub(super) const ROUTES: &[Route] = &[
    (Method::GET, "/console/{kind}/{id}", Scope::Read),
    (Method::GET, "/console/{kind}/{id}/counts", Scope::Read),
    (Method::GET, "/console/{kind}/{id}/csv", Scope::Read),
    (Method::GET, "/console/{kind}/{id}/interactions.csv", Scope::Read),
    (Method::GET, "/console/{kind}/{id}/edit", Scope::Manage),
    (Method::POST, "/console/{kind}/{id}/edit", Scope::Manage),
];

pub(super) fn routes() -> Router<Rekindle> {
    Router::new()
        .route("/console/{kind}/{id}", get(show))
        .route("/console/{kind}/{id}/counts", get(counts::show))
        .route("/console/{kind}/{id}/csv", get(csv::show))
        .route("/console/{kind}/{id}/interactions.csv", get(csv::download))
        .route("/console/{kind}/{id}/edit", get(edit::show).post(edit::save))
}

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
    let restoring = progress::of(&app, std::slice::from_ref(&view)).await.or_refused(&viewer)?;
    let content = html! {
        (head(&viewer, &view))
        (banner(&app, &viewer, &view, restoring.get(&id)))
        div .columns {
            (about(&viewer, &view))
            (counts::card(&view))
            (chain::card(&app, &view).await.or_refused(&viewer)?)
            (history::card(&app, &id).await.or_refused(&viewer)?)
        }
    };
    Ok(Page::new(&view.name, Some(&viewer)).within(sources::LIST).around(&content))
}

/// The way back to the list, the name, and the acts.
fn head(viewer: &Viewer, view: &SourceView) -> Markup {
    let state = words::state(view);
    html! {
        p .trail { a href=(sources::LIST) { "Campaigns and Canvases" } }
        div .head {
            div {
                h1 dir="auto" { (view.name) }
                p .id {
                    (words::kind_name(view.source.kind())) " · " (view.source.id()) " · " (words::status(view.status)) " "
                    span .state data-state=(state) { (state) }
                }
            }
            @if viewer.may_manage() {
                div .buttons {
                    @match view.status {
                        Status::Active => { (reviewed(view, Act::Stop)) }
                        Status::Draft | Status::Stopped => { (act(view, Act::Start, false)) }
                    }
                    @if view.interaction_data.pin.is_some() {
                        (act(view, Act::Unpin, false))
                    } @else if view.interaction_data.state == ShownState::Available {
                        (reviewed(view, Act::Pin))
                    }
                    a .button href=(format!("{}/edit", words::address(&view.source))) { "Edit" }
                    (reviewed(view, Act::Delete))
                }
            }
        }
    }
}

/// A button that does an act on the source at once.
fn act(view: &SourceView, act: Act, is_first: bool) -> Markup {
    html! {
        form method="post" action=(format!("{}/act", words::address(&view.source))) {
            button .primary[is_first] name="act" value=(act.name()) { (act.title()) }
        }
    }
}

/// A button that leads to the page which says what an act will do.
fn reviewed(view: &SourceView, act: Act) -> Markup {
    html! {
        form method="post" action="/console/sources/review" {
            input type="hidden" name="source" value=(view.source);
            button name="act" value=(act.name()) { (act.title()) }
        }
    }
}

/// Says that the data is away, with the way to bring it back; or how far that is.
fn banner(app: &Rekindle, viewer: &Viewer, view: &SourceView, restoring: Option<&Restoring>) -> Markup {
    let data = &view.interaction_data;
    let address = words::address(&view.source);
    html! {
        @match data.state {
            ShownState::Expired => {
                section .banner aria-label="Interaction data" {
                    div {
                        p { strong { "Interaction data expired" @if let Some(at) = data.archived_at { " on " (time(at)) } "." } }
                        p {
                            "It lies in long-term storage. Audiences that name this "
                            (words::kind_word(view.source.kind()))
                            " cannot tell who received or clicked it until it is restored."
                        }
                    }
                    @if viewer.may_manage() {
                        form method="post" action=(format!("{address}/act")) {
                            (review::mail(app))
                            button .primary name="act" value=(Act::Restore.name()) { (Act::Restore.title()) }
                        }
                    }
                }
            }
            ShownState::Restoring => {
                section .banner #restoring aria-label="Interaction data" hx-get=(address) hx-trigger="every 2s" hx-select="#main > *" hx-target="#main" hx-swap="innerMorph" {
                    div role="status" {
                        p { strong { "Interaction data is being restored." } }
                        @if let Some(restoring) = restoring { (progress::bar(restoring)) }
                    }
                    a .button href=(restores::LIST) { "Show the restores" }
                }
            }
            ShownState::Available | ShownState::Expiring => {}
        }
    }
}

fn about(viewer: &Viewer, view: &SourceView) -> Markup {
    let data = &view.interaction_data;
    html! {
        section .card {
            h2 { "About" }
            dl {
                dt { "Expiry" } dd { (words::keeping(view)) }
                @if let Some(at) = view.started_at { dt { "Started" } dd { (time(at)) } }
                @if let Some(at) = view.stopped_at { dt { "Stopped" } dd { (time(at)) } }
                @if let Some(at) = data.restored_at { dt { "Restored" } dd { (time(at)) } }
                @if let Some(at) = data.last_interaction_at { dt { "Last interaction" } dd { (time(at)) } }
                @if !view.tags.is_empty() {
                    dt { "Tags" }
                    dd { @for tag in &view.tags { a .tag dir="auto" href=(sources::by_tag(tag)) { (tag) } } }
                }
                (variants("Variants", view.variants.as_deref()))
                (variants("Variations", view.variations.as_deref()))
                (variants("Steps", view.steps.as_deref()))
                @if !view.notify.is_empty() { dt { "Mails go to" } dd { (view.notify.join(", ")) } }
            }
            p {
                a .button href=(format!("/console/audiences?received={}", view.source)) { "Build an audience" }
                @if data.state != ShownState::Expired && viewer.may(Scope::Read) {
                    " " a .button href=(format!("{}/csv", words::address(&view.source))) { "Download as CSV" }
                }
            }
        }
    }
}

fn variants(title: &str, variants: Option<&[rekindle_domain::source::Variant]>) -> Markup {
    html! {
        @if let Some(variants) = variants.filter(|variants| !variants.is_empty()) {
            dt { (title) }
            dd { @for variant in variants { span .tag dir="auto" title=(variant.id) { (variant.name) } } }
        }
    }
}
