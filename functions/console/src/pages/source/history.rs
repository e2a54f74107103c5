//! The timeline of a source: what happened to it, when, and by whom.

use crate::{
    html::{sentence, time},
    words,
};
use maud::{Markup, html};
use rekindle_domain::id::SourceId;
use rekindle_service::{Problem, Rekindle};
use std::collections::BTreeSet;

/// How many entries of the timeline the page shows.
const ENTRIES: usize = 50;

pub(super) async fn card(app: &Rekindle, id: &SourceId) -> Result<Markup, Problem> {
    let timeline = app.timeline(id, None, ENTRIES).await?;
    let callers: BTreeSet<String> = timeline.items.iter().map(|entry| entry.by.clone()).collect();
    let names = app.caller_names(&callers).await?;
    Ok(html! {
        section .card {
            h2 { "What happened" }
            ol .timeline {
                @for entry in &timeline.items {
                    li data-event=(entry.event) {
                        strong { (words::event(&entry.event)) } " on " (time(entry.at))
                        // Without a key Rekindle did it by itself.
                        @if entry.by.starts_with("key/") { " by " span dir="auto" { (names.get(&entry.by).unwrap_or(&entry.by)) } }
                        @if let Some(detail) = &entry.detail { div .hint dir="auto" { (sentence(detail)) } }
                    }
                }
            }
            @if timeline.next.is_some() { p .hint { "Earlier entries are not shown." } }
        }
    })
}
