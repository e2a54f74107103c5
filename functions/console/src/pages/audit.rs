//! The audit trail: which key did what, when, to which thing.

use super::{OrRefused, Refused, Viewer, forms::Fields, keys::names};
use crate::{
    html::{Page, sentence, time},
    words,
};
use axum::{Router, extract::State, routing::get};
use http::{Method, Uri};
use maud::{Markup, html};
use rekindle_domain::{id::SourceId, key::Scope::Admin};
use rekindle_runtime::scopes::Route;
use rekindle_service::{Listing, Rekindle, access::AuditRequest};
use rekindle_store::catalog::audit::AuditEntry;
use std::collections::HashMap;

pub(super) const ROUTES: &[Route] = &[(Method::GET, "/console/audit", Admin)];

pub(super) fn routes() -> Router<Rekindle> {
    Router::new().route("/console/audit", get(show))
}

/// How many entries a page looks at; those that the filter leaves out are not shown.
const LOOKS: usize = 100;
/// The same, with a filter.
const LOOKS_FOR: usize = 1_000;

async fn show(State(app): State<Rekindle>, viewer: Viewer, uri: Uri) -> Result<Markup, Refused> {
    let fields = Fields::of(uri.query().unwrap_or_default().as_bytes());
    let text = |name: &str| fields.get(name).map(str::to_owned);
    let (on, by) = (text("on"), text("by"));
    let limit = if on.is_some() || by.is_some() { LOOKS_FOR } else { LOOKS };
    let request = AuditRequest { on, by, limit };
    let page = app.list_audit(&request, fields.get("cursor")).await.or_refused(&viewer)?;
    let names = names(&app).await.or_refused(&viewer)?;
    let content = html! {
        h1 { "Audit trail" }
        p .note { "Every change that somebody made, with " a href="/console/keys" { "the key" } " that made it. Entries are never deleted." }
        (filters(&request, &names))
        (entries(&fields, &request, &names, &page))
    };
    Ok(Page::new("Audit trail", Some(&viewer)).within("/console/audit").around(&content))
}

fn filters(request: &AuditRequest, names: &HashMap<String, String>) -> Markup {
    let mut keys: Vec<(&String, &String)> = names.iter().collect();
    keys.sort_by_key(|(id, name)| (name.to_lowercase(), *id));
    html! {
        form .card .look-up method="get" action="/console/audit" role="search" {
            div {
                label for="by" { "Key" }
                select #by name="by" {
                    option value="" { "Any" }
                    @if let Some(by) = request.by.as_ref().filter(|by| !names.contains_key(*by)) { option value=(by) selected { (by) } }
                    @for (id, name) in keys {
                        option value=(id) selected[request.by.as_ref() == Some(id)] dir="auto" { (name) }
                    }
                }
            }
            div {
                label for="on" { "Thing" }
                input #on type="search" name="on" value=[&request.on] placeholder="campaign/spring-sale" autocapitalize="none" spellcheck="false";
            }
            button .primary { "Show" }
        }
    }
}

fn entries(
    fields: &Fields,
    request: &AuditRequest,
    names: &HashMap<String, String>,
    page: &Listing<AuditEntry>,
) -> Markup {
    let is_narrowed = request.on.is_some() || request.by.is_some();
    html! {
        @if page.items.is_empty() {
            div .card .empty {
                @if page.next.is_some() {
                    p { "Nothing here among the " (LOOKS_FOR) " entries that were looked at. Earlier ones may match." }
                } @else if is_narrowed {
                    p { "Nothing matches." }
                    p { a href="/console/audit" { "Show all" } }
                } @else {
                    p { "Nobody has changed anything yet." }
                }
            }
        } @else {
            div .card .scroll {
                table .audit {
                    thead { tr { th scope="col" { "When" } th scope="col" { "Key" } th scope="col" { "Did" } th scope="col" { "To" } } }
                    tbody { @for entry in &page.items { (row(entry, names)) } }
                }
            }
        }
        @if let Some(next) = &page.next {
            p { a .button rel="next" href=(format!("/console/audit?{}", fields.with(&[("cursor", Some(next))]))) { "Earlier ones" } }
        }
    }
}

fn row(entry: &AuditEntry, names: &HashMap<String, String>) -> Markup {
    let event = sentence(&entry.event.replace('_', " "));
    html! {
        tr {
            td { (time(entry.at)) }
            td { a href=(narrowed("by", &entry.by)) dir="auto" { (names.get(&entry.by).unwrap_or(&entry.by)) } }
            td {
                (event.trim_end_matches('.'))
                @if let Some(detail) = &entry.detail { div .hint dir="auto" { (detail) } }
            }
            td .name {
                @match address(&entry.on) {
                    Some(address) => { a href=(address) dir="auto" { (thing(&entry.on, names)) } }
                    None => { span dir="auto" { (thing(&entry.on, names)) } }
                }
                div { a .only href=(narrowed("on", &entry.on)) aria-label=(format!("Only this: {}", entry.on)) { "Only this" } }
            }
        }
    }
}

fn narrowed(name: &str, value: &str) -> String {
    format!("/console/audit?{}", Fields::default().with(&[(name, Some(value))]))
}

/// A thing of the trail in words.
fn thing(on: &str, names: &HashMap<String, String>) -> String {
    let (kind, id) = on.split_once('/').unwrap_or((on, ""));
    match kind {
        "campaign" => format!("Campaign {id}"),
        "canvas" => format!("Canvas {id}"),
        "segment" => format!("Segment {id}"),
        "restore" => "A restore".to_owned(),
        "key" => format!("Key {}", names.get(on).map_or(id, String::as_str)),
        "users" => "Users".to_owned(),
        _ => on.to_owned(),
    }
}

/// The page of a thing, if it has one.
fn address(on: &str) -> Option<String> {
    if let Ok(source) = on.parse::<SourceId>() {
        return Some(words::address(&source));
    }
    match on.split_once('/')? {
        ("restore", id) => Some(format!("/console/restores/{id}")),
        ("segment", id) => Some(format!("/console/segments/{id}")),
        ("key", id) => Some(format!("/console/keys#key-{id}")),
        _ => None,
    }
}
