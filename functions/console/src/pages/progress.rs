//! The progress of restores, source by source: a page asks for it every two seconds, and each bar moves by itself.
//!
//! The part that asks lists the sources that were being restored when the page was made. Each answer brings their states
//! anew, and the part that asks for those that are still under way.

use super::{OrRefused, Refused, Viewer, act::duration, forms::Fields};
use crate::{
    html::{count, number},
    words,
};
use axum::{Router, extract::State, routing::get};
use http::{Method, Uri};
use maud::{Markup, html};
use rekindle_domain::{id::SourceId, key::Scope::Read};
use rekindle_runtime::scopes::Route;
use rekindle_service::{
    Problem, Rekindle,
    library::{ShownState, SourceView},
    restore::Restoring,
};
use std::collections::BTreeMap;

pub(super) const ROUTES: &[Route] = &[(Method::GET, PROGRESS, Read)];

const PROGRESS: &str = "/console/progress";

/// The most sources of one answer: as many as a page lists.
const MOST: usize = 50;

pub(super) fn routes() -> Router<Rekindle> {
    Router::new().route(PROGRESS, get(show))
}

/// The restores of those of these sources that are being restored.
pub(super) async fn of(
    app: &Rekindle,
    views: &[SourceView],
) -> Result<BTreeMap<SourceId, Restoring>, Problem> {
    let sources: Vec<SourceId> =
        views.iter().filter(|view| is_open(view)).map(|view| view.source.clone()).collect();
    under_way(app, &sources).await
}

/// Whether a page shows the source as being restored. Its restore may have ended since the source was read: the page asks
/// until the source says so, too.
pub(super) fn is_open(view: &SourceView) -> bool {
    view.interaction_data.state == ShownState::Restoring
}

async fn under_way(app: &Rekindle, sources: &[SourceId]) -> Result<BTreeMap<SourceId, Restoring>, Problem> {
    if sources.is_empty() {
        return Ok(BTreeMap::new());
    }
    let restoring = app.restoring(sources).await?;
    Ok(restoring.into_iter().map(|restoring| (restoring.source.clone(), restoring)).collect())
}

/// The name of a part of a page that shows something of a source.
fn name(part: &str, source: &SourceId) -> String {
    format!("{part}-{}-{}", source.kind().as_str(), source.id())
}

/// When the data of a source goes, or why it stays.
pub(super) fn until(view: &SourceView) -> Markup {
    html! { div #(name("until", &view.source)) { (words::keeping(view)) } }
}

/// The state of a source, with a bar while it is being restored.
pub(super) fn cell(view: &SourceView, restoring: Option<&Restoring>) -> Markup {
    html! { div #(name("state", &view.source)) { (inside(view, restoring)) } }
}

fn inside(view: &SourceView, restoring: Option<&Restoring>) -> Markup {
    let state = words::state(view);
    html! {
        @match restoring {
            Some(restoring) => { (bar(restoring)) }
            None => { span .state data-state=(state) { (state) } }
        }
    }
}

/// How far a restore is, in words and as a bar.
pub(super) fn bar(restoring: &Restoring) -> Markup {
    let Restoring { source, users_done, users_total, seconds_left } = restoring;
    html! {
        span .state data-state="Being restored" { "Being restored" }
        progress max=((*users_total).max(1)) value=(users_done) aria-label=(format!("Users of {source} that are back")) {}
        div .hint { (number(*users_done)) " of " (count(*users_total, "user", "users")) ", " (duration(*seconds_left)) " left" }
    }
}

/// The part of a page that asks for the progress of these sources; nothing if there are none.
pub(super) fn poll<'a>(sources: impl Iterator<Item = &'a SourceId>) -> Markup {
    let mut query = form_urlencoded::Serializer::new(String::new());
    let sources: Vec<String> = sources.map(ToString::to_string).collect();
    for source in &sources {
        query.append_pair("source", source);
    }
    html! {
        div #poll {
            @if !sources.is_empty() {
                div hx-get=(format!("{PROGRESS}?{}", query.finish())) hx-trigger="every 2s" hx-target="#poll" hx-swap="outerHTML" {}
            }
        }
    }
}

async fn show(State(app): State<Rekindle>, viewer: Viewer, uri: Uri) -> Result<Markup, Refused> {
    let fields = Fields::of(uri.query().unwrap_or_default().as_bytes());
    let mut sources = fields.sources().or_refused(&viewer)?;
    sources.truncate(MOST);
    let restoring = under_way(&app, &sources).await.or_refused(&viewer)?;
    let mut cells = Vec::new();
    for source in &sources {
        let restoring = restoring.get(source);
        // It has ended one way or the other: back, or expired as before.
        let ended = if restoring.is_none() { app.get_source(source).await.ok() } else { None };
        cells.push((source, restoring, ended));
    }
    let open = cells
        .iter()
        .filter(|(_, restoring, ended)| restoring.is_some() || ended.as_ref().is_some_and(is_open));
    Ok(html! {
        (poll(open.map(|(source, ..)| *source)))
        @for (source, restoring, ended) in cells {
            @if let Some(restoring) = restoring {
                div #(name("state", source)) hx-swap-oob="true" { (bar(restoring)) }
            }
            @if let Some(view) = &ended {
                div #(name("state", source)) hx-swap-oob="true" { (inside(view, None)) }
                div #(name("until", source)) hx-swap-oob="true" { (words::keeping(view)) }
            }
        }
    })
}
