//! The answer beside the builder: the filter in words, how many users match, how many cannot be told, and what would have to be
//! restored to tell.

use super::{
    super::{Viewer, forms::Fields, sources::hidden},
    pieces::ADDRESS,
    state::State,
    trouble::Trouble,
};
use crate::{html::number, words};
use maud::{Markup, html};
use rekindle_domain::{filter::Filter, id::SourceId};
use rekindle_service::{
    Problem, Rekindle,
    audience::{Count, CountRequest},
    library::SourceView,
};

/// How many users match, with the names of the sources that are not available.
pub(super) struct Counted {
    count: Count,
    expired: Vec<SourceView>,
}

/// Counts the users who match; after a count whose time ended first, those whom it did not look at, and adds them up.
pub(super) async fn counted(app: &Rekindle, state: &State, form: &Fields) -> Result<Counted, Problem> {
    let cursor = form.get("count.cursor").filter(|_| form.get("act") == Some("further")).map(str::to_owned);
    let before =
        |name: &str| form.get(name).filter(|_| cursor.is_some()).and_then(|n| n.parse().ok()).unwrap_or(0);
    let (certain, unknown): (u64, u64) = (before("certain"), before("unknown"));
    let filter = state.filter()?.to_json();
    let (expired, unknown_names) = (state.if_expired(), state.unknown_names());
    let mut found = app.count(&CountRequest { filter, expired, cursor, unknown_names }).await?;
    found.count = found.count.saturating_add(certain);
    found.unknown = found.unknown.saturating_add(unknown);
    let mut expired = app.named_sources(&found.expired).await?;
    expired.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Counted { count: found, expired })
}

/// The answer, or the reason why there is none; nothing yet, if it was not asked for.
pub(super) fn answer(
    viewer: &Viewer,
    state: &State,
    filter: Option<&Filter>,
    trouble: Option<&Trouble>,
    counted: Option<&Counted>,
) -> Markup {
    html! {
        div #answer aria-live="polite" {
            @if let Some(filter) = filter { p .says dir="auto" { "A user who " (filter.describe()) "." } }
            @match (trouble, counted) {
                (Some(trouble), _) => { (refused(viewer, state, trouble)) }
                (None, Some(counted)) => { (numbers(viewer, state, counted)) }
                (None, None) => { p .hint { "The count of these users stands here." } }
            }
            @if let (true, None, Some(address)) = (filter.is_some(), &state.subject, state.address()) {
                p { a href=(address) { "Link to this audience" } }
            }
        }
    }
}

/// The answer where the page could not be made, for a script: the form stays as it is.
pub(super) fn failed(problem: &Problem) -> Markup {
    html! { div #answer aria-live="polite" { p .refused { (Trouble::of(problem, None).text) } } }
}

fn refused(viewer: &Viewer, state: &State, trouble: &Trouble) -> Markup {
    html! {
        @if trouble.is_gap {
            p .hint { "Something is still missing. " (trouble.text) }
        } @else {
            div .refused {
                p { (trouble.text) }
                @if trouble.is_unknown_name { (takes_unknown(state)) }
                @if !trouble.restore.is_empty() {
                    (restoring(viewer, &trouble.restore.iter().cloned().collect::<Vec<_>>()))
                }
            }
        }
    }
}

/// Lets the reader take names that match nothing.
fn takes_unknown(state: &State) -> Markup {
    html! {
        label .check {
            input type="checkbox" form="filter" name="unknown_names" value="yes" checked[state.takes_unknown];
            " Take the filter with this name all the same"
        }
        button form="filter" name="act" value="count" hx-post=(ADDRESS) hx-target="#answer" hx-select="#answer" hx-swap="outerHTML" { "Count so" }
    }
}

fn numbers(viewer: &Viewer, state: &State, Counted { count: found, expired }: &Counted) -> Markup {
    let is_whole = found.next.is_none();
    html! {
        p .figure {
            strong { (number(found.count)) } " "
            @if found.count == 1 { "user matches" } @else { "users match" }
            @if !is_whole { " so far" }
        }
        @if found.unknown > 0 {
            p .figure .unknown {
                strong { (number(found.unknown)) } " "
                @if found.unknown == 1 { "more user may match" } @else { "more users may match" }
            }
            p .hint { "Interaction data that would tell has expired. Restore it, or read the archive." }
        }
        @if state.takes_unknown { (takes_unknown(state)) }
        @if let Some(cursor) = &found.next { (further(found, cursor)) }
        @if !expired.is_empty() { (away(viewer, state, expired)) }
    }
}

/// The time ended before everybody was looked at: the browser asks for the rest, or the reader does.
fn further(found: &Count, cursor: &str) -> Markup {
    html! {
        input type="hidden" form="filter" name="count.cursor" value=(cursor);
        input type="hidden" form="filter" name="certain" value=(found.count);
        input type="hidden" form="filter" name="unknown" value=(found.unknown);
        p {
            button form="filter" name="act" value="further" hx-post=(ADDRESS) hx-trigger="load, click" hx-target="#answer" hx-select="#answer" hx-swap="outerHTML" hx-sync="#count:replace" {
                "Count further"
            }
        }
    }
}

/// The sources whose data has expired, and the button that brings it back.
fn away(viewer: &Viewer, state: &State, expired: &[SourceView]) -> Markup {
    let ids: Vec<SourceId> = expired.iter().map(|view| view.source.clone()).collect();
    html! {
        div .away {
            p {
                @if state.is_archive {
                    "Read from the archive: the interaction data of " (words::things(ids.len() as u64)) "."
                } @else {
                    "Interaction data has expired of " (words::things(ids.len() as u64)) ":"
                }
            }
            ul {
                @for view in expired {
                    li { a href=(words::address(&view.source)) dir="auto" { (view.name) } " " span .state data-state=(words::state(view)) { (words::state(view)) } }
                }
            }
            (restoring(viewer, &ids))
        }
    }
}

/// The button that leads to the review of a restore.
pub(super) fn restoring(viewer: &Viewer, ids: &[SourceId]) -> Markup {
    html! {
        @if viewer.may_manage() {
            form method="post" action="/console/sources/review" {
                (hidden(ids))
                button name="act" value="restore" { "Restore interaction data" }
            }
        } @else {
            p .hint { "Ask somebody whose key may manage to restore it." }
        }
    }
}
