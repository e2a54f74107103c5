//! Expirations: a calendar of the data that expires, and what is kept although its time is over.

use super::{OrRefused, Refused, Viewer, forms::Fields};
use crate::{
    calendar::{day_of_month, days_of, month_name, month_of, weekday, weekday_name},
    html::{Page, count, time},
    words,
};
use axum::{Router, extract::State, routing::get};
use http::{Method, Uri};
use maud::{Markup, html};
use rekindle_domain::{
    key::Scope::Read,
    source::Pin,
    time::{DAY_MILLIS, Time},
};
use rekindle_runtime::scopes::Route;
use rekindle_service::{Rekindle, library::Expiration};
use std::collections::BTreeMap;

pub(super) const ROUTES: &[Route] = &[(Method::GET, "/console/expirations", Read)];

pub(super) fn routes() -> Router<Rekindle> {
    Router::new().route("/console/expirations", get(show))
}

const ADDRESS: &str = "/console/expirations";

/// How many sources a page shows.
const PAGE: usize = 100;

/// The names of the keys that pinned something.
type Names = BTreeMap<String, String>;

/// How long one page looks for data that is kept, in milliseconds. No index lists it, so that the search reads all sources that
/// have stopped: it is shown as far as it is, and the browser goes on with it.
const PATIENCE_MILLIS: i64 = 100;

/// How far ahead the page may look: days, and their name. The second is the default.
const AHEAD: [(i64, &str); 3] = [(30, "30 days"), (92, "three months"), (366, "12 months")];

async fn show(State(mut app): State<Rekindle>, viewer: Viewer, uri: Uri) -> Result<Markup, Refused> {
    let fields = Fields::of(uri.query().unwrap_or_default().as_bytes());
    let asked = fields.get("ahead").and_then(|days| days.parse().ok());
    let ahead = AHEAD.into_iter().find(|(days, _)| Some(*days) == asked).unwrap_or(AHEAD[1]);
    // All pages look ahead to the same time as the first.
    let until = fields.get("until").and_then(|until| until.parse().ok());
    let until = until.unwrap_or_else(|| app.clock.now().plus(ahead.0 * DAY_MILLIS));
    app.settings.audience_millis = PATIENCE_MILLIS;
    let page = app.expirations(Some(until), fields.get("cursor"), PAGE).await.or_refused(&viewer)?;
    let pinned_by = page.items.iter().filter_map(|entry| Some(entry.pin.as_ref()?.by.clone())).collect();
    let names = app.caller_names(&pinned_by).await.or_refused(&viewer)?;
    let next = page.next.as_deref().map(|next| {
        let until = until.to_string();
        format!("{ADDRESS}?{}", fields.with(&[("until", Some(&until)), ("cursor", Some(next))]))
    });
    let content = html! {
        h1 { "Expirations" }
        p .hint {
            "Interaction data expires some time after its campaign or Canvas has stopped, and can be restored then. "
            "A pin keeps it. Days are those of UTC."
        }
        nav .choices aria-label="How far ahead" {
            @for (days, name) in AHEAD {
                a .button href=(format!("{ADDRESS}?ahead={days}")) aria-current=[(days == ahead.0).then_some("true")] {
                    "The next " (name)
                }
            }
        }
        (list(&viewer, (&page.items, &names), next.as_deref(), until, fields.get("cursor").is_none().then_some(ahead.1)))
    };
    Ok(Page::new("Expirations", Some(&viewer)).within(ADDRESS).around(&content))
}

/// The sources that expire by `until`, and those that are kept beyond it. `ahead`: on the first page, how far that is.
fn list(
    viewer: &Viewer,
    (entries, names): (&[Expiration], &Names),
    next: Option<&str>,
    until: Time,
    ahead: Option<&str>,
) -> Markup {
    let mut months: BTreeMap<Time, BTreeMap<Time, Vec<&Expiration>>> = BTreeMap::new();
    let mut kept = Vec::new();
    for entry in entries {
        match entry.expires_at.filter(|at| *at <= until) {
            Some(at) => months.entry(month_of(at)).or_default().entry(at.day()).or_default().push(entry),
            None => kept.push(entry),
        }
    }
    html! {
        form method="post" action="/console/sources/review" data-ticks="" {
            @if let (true, Some(ahead)) = (months.is_empty(), ahead) {
                section .card .empty { p { "No interaction data expires in the next " (ahead) "." } }
            }
            @for (month, days) in &months { (calendar(viewer, *month, days)) }
            @match next {
                // The search for what is kept was cut short before it found anything.
                Some(next) if kept.is_empty() && entries.len() < PAGE => {
                    section .card #beyond hx-get=(next) hx-trigger="load" hx-select="#beyond" hx-swap="outerHTML" {
                        p role="status" { "Looking for data that is kept beyond its time." }
                        p { a .button href=(next) rel="next" { "Look further" } }
                    }
                }
                _ => {
                    div #beyond {
                        @if !kept.is_empty() { (table(viewer, &kept, names)) }
                        @if let Some(next) = next { p { a .button href=(next) rel="next" { "Further ones" } } }
                    }
                }
            }
            @if viewer.may_manage() && (next.is_some() || !entries.is_empty()) {
                div .acts .floating {
                    button .primary name="act" value="pin" { "Pin" }
                    button name="act" value="unpin" { "Unpin" }
                }
            }
        }
    }
}

/// A month: its days as a grid, and on a narrow screen the days on which something expires, as a list.
fn calendar(viewer: &Viewer, month: Time, days: &BTreeMap<Time, Vec<&Expiration>>) -> Markup {
    let all: usize = days.values().map(Vec::len).sum();
    html! {
        section .card {
            h2 { (month_name(month)) }
            p .hint { (words::things(all as u64)) @if all == 1 { " expires" } @else { " expire" } }
            ol .month .{ "from-" (weekday(month)) } {
                @for day in days_of(month) {
                    @match days.get(&day) {
                        None => { li .free aria-hidden="true" { span .day { (day_of_month(day)) } } }
                        Some(entries) => {
                            li {
                                h3 .day { (day_of_month(day)) span .weekday { " " (weekday_name(day)) } }
                                ul { @for entry in entries { li { (tick(viewer, entry)) (name(entry)) } } }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn tick(viewer: &Viewer, entry: &Expiration) -> Markup {
    html! {
        @if viewer.may_manage() {
            input type="checkbox" name="source" value=(entry.source) aria-label=(format!("Tick {}", entry.name));
        }
    }
}

fn name(entry: &Expiration) -> Markup {
    html! {
        span .named {
            a href=(words::address(&entry.source)) dir="auto" title=(entry.name) { (entry.name) }
            @if let Some(users) = entry.users { " " span .id { "up to " (count(users, "user", "users")) } }
        }
    }
}

/// What is kept, and why.
fn table(viewer: &Viewer, kept: &[&Expiration], names: &Names) -> Markup {
    html! {
        section .card {
            h2 #kept { "Kept beyond its time" }
            div .scroll tabindex="0" role="group" aria-labelledby="kept" {
                table .wide aria-labelledby="kept" {
                    thead {
                        tr {
                            @if viewer.may_manage() { td {} }
                            th scope="col" { "Name" }
                            th scope="col" { "Would expire on" }
                            th scope="col" { "Why it is kept" }
                        }
                    }
                    tbody {
                        @for entry in kept {
                            tr {
                                @if viewer.may_manage() { td .tick { (tick(viewer, entry)) } }
                                td .name { (name(entry)) }
                                td { (time(entry.due_at)) }
                                td { (reasons(entry, names)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn reasons(entry: &Expiration, names: &Names) -> Markup {
    html! {
        ul .reasons {
            @for holder in &entry.held_by {
                li {
                    "Held by " a href=(words::address(&holder.source)) dir="auto" { (holder.source.id()) }
                    @for segment in &holder.via { " through segment " span dir="auto" { (segment.trim_start_matches("segment/")) } }
                }
            }
            @if let Some(Pin { by, at, until, reason }) = &entry.pin {
                li {
                    "Pinned by " span dir="auto" { (names.get(by).unwrap_or(by)) } " on " (time(*at))
                    @if let Some(until) = until { " until " (time(*until)) }
                    @if !reason.is_empty() { ", because: " q dir="auto" { (reason) } }
                }
            }
            @if let Some(at) = entry.expires_at { li { "Expires on " (time(at)) } }
        }
    }
}
