//! The chain of retargeting: what the source's audience asks, and which sources ask the source.

use crate::words;
use maud::{Markup, html};
use rekindle_domain::id::SourceId;
use rekindle_service::{Problem, Rekindle, library::SourceView};
use std::collections::{BTreeMap, BTreeSet};

/// The most segments of an audience whose sources are shown.
const SEGMENTS: usize = 20;

/// A way from a source over segments to another.
struct Link {
    from: Vec<SourceId>,
    via: Vec<String>,
    to: SourceId,
}

pub(super) async fn card(app: &Rekindle, view: &SourceView) -> Result<Markup, Problem> {
    let mut links = Vec::new();
    if let Some(audience) = &view.audience {
        for source in audience.sources() {
            links.push(Link { from: vec![source], via: Vec::new(), to: view.source.clone() });
        }
        for segment in audience.segments().into_iter().take(SEGMENTS) {
            let from =
                app.get_segment(&segment).await.map(|found| found.filter.sources()).unwrap_or_default();
            links.push(Link {
                from: from.into_iter().collect(),
                via: vec![segment],
                to: view.source.clone(),
            });
        }
    }
    for holder in &view.interaction_data.held_by {
        let via =
            holder.via.iter().map(|segment| segment.trim_start_matches("segment/").to_owned()).collect();
        links.push(Link { from: vec![view.source.clone()], via, to: holder.source.clone() });
    }
    let named: BTreeSet<SourceId> =
        links.iter().flat_map(|link| link.from.iter().chain([&link.to])).cloned().collect();
    let names = app.names_of(&named).await?;
    Ok(html! {
        section .card {
            h2 { "Retargeting" }
            @if let Some(audience) = &view.audience {
                p { "Goes to every user who " span dir="auto" { (audience.describe()) } "." }
            }
            @if !links.is_empty() {
                ul .chains { @for link in &links { (picture(link, &view.source, &names)) } }
            }
            @if view.audience.is_none() { p .hint { "It has no audience here: your platform decides who gets it." } }
            @if view.interaction_data.held_by.is_empty() {
                p .hint { "No active campaign or Canvas retargets it." }
            }
        }
    })
}

/// One way, as boxes with arrows between them.
fn picture(link: &Link, here: &SourceId, names: &BTreeMap<SourceId, String>) -> Markup {
    html! {
        li {
            ol .chain {
                @if !link.from.is_empty() {
                    li { @for source in &link.from { (source_box(source, here, names)) } }
                }
                @for segment in &link.via {
                    li { a .box .segment href=(words::segment(segment)) { span .hint { "Segment" } " " span dir="auto" { (segment) } } }
                }
                li { (source_box(&link.to, here, names)) }
            }
        }
    }
}

fn source_box(source: &SourceId, here: &SourceId, names: &BTreeMap<SourceId, String>) -> Markup {
    let name = names.get(source).map_or(source.id(), String::as_str);
    html! {
        @if source == here {
            span .box .here { "This " (words::kind_word(source.kind())) }
        } @else {
            a .box href=(words::address(source)) { span .hint { (words::kind_name(source.kind())) } " " span dir="auto" { (name) } }
        }
    }
}
