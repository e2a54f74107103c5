//! How many users did what: by kind, and by channel, variant and step.

use super::super::{OrRefused, Refused, Viewer};
use crate::{
    html::{Page, number, sentence, time},
    words,
};
use axum::extract::{Path, State};
use maud::{Markup, html};
use rekindle_domain::{
    facet::{Channel, Kind},
    id::SourceKind,
};
use rekindle_service::{
    Rekindle,
    audience::{Breakdown, Property},
    library::{ShownState, SourceView},
};
use std::collections::BTreeMap;

/// How many users did what, as bars.
pub(super) fn card(view: &SourceView) -> Markup {
    let data = &view.interaction_data;
    let address = format!("{}/counts", words::address(&view.source));
    html! {
        section .card {
            h2 { "Users" }
            @match (&data.counts, data.users) {
                (Some(counts), Some(users)) => {
                    p {
                        strong .figure { @if !data.exact { "up to " } (number(users)) }
                        @if let Some(at) = data.last_interaction_at { " users, the last interaction on " (time(at)) }
                    }
                    @let counts = in_order(counts.iter().map(|(kind, n)| (kind.as_str(), *n)));
                    (bars(&counts, most_of(&counts)))
                    @if data.state != ShownState::Expired && data.state != ShownState::Restoring {
                        div #breakdown {
                            a .button href=(address) hx-get=(address) hx-select="#breakdown" hx-target="#breakdown" hx-swap="outerHTML" {
                                "Count by channel" (by(view.source.kind()))
                            }
                        }
                    }
                }
                _ => { p .hint { "No interactions yet." } }
            }
        }
    }
}

const fn by(kind: SourceKind) -> &'static str {
    match kind {
        SourceKind::Campaign => " and variant",
        SourceKind::Canvas => ", variation and step",
    }
}

/// The kinds in the order of a message's life.
const ORDER: [Kind; 15] = [
    Kind::Entered,
    Kind::Received,
    Kind::Delivered,
    Kind::Opened,
    Kind::Clicked,
    Kind::Replied,
    Kind::Dismissed,
    Kind::Converted,
    Kind::Control,
    Kind::HardBounced,
    Kind::SoftBounced,
    Kind::Unsubscribed,
    Kind::Subscribed,
    Kind::Complained,
    Kind::NotSpam,
];

/// Counts by the names of kinds, in words and in order.
fn in_order<'a>(counts: impl Iterator<Item = (&'a str, u64)>) -> Vec<(String, u64)> {
    let place = |name: &str| ORDER.iter().position(|kind| kind.as_str() == name);
    let mut counts: Vec<_> = counts.collect();
    counts.sort_by_key(|(name, _)| place(name).unwrap_or(ORDER.len()));
    counts.into_iter().map(|(name, n)| (words::kind(name), n)).collect()
}

fn most_of(counts: &[(String, u64)]) -> u64 {
    counts.iter().map(|(_, n)| *n).max().unwrap_or(0).max(1)
}

/// Counts as bars, of which one of `most` is the longest.
fn bars(counts: &[(String, u64)], most: u64) -> Markup {
    html! {
        div .bars {
            @for (name, n) in counts {
                span dir="auto" { (name) }
                progress max=(most) value=(n) aria-label=(name) {}
                span .number { (number(*n)) }
            }
        }
    }
}

/// The counts by channel, variant and step: read when somebody asks for them.
pub(super) async fn show(
    State(app): State<Rekindle>,
    viewer: Viewer,
    Path((kind, id)): Path<(String, String)>,
) -> Result<Markup, Refused> {
    let id = super::named(&kind, &id).or_refused(&viewer)?;
    let view = app.get_source(&id).await.or_refused(&viewer)?;
    let content = html! {
        p .trail { a href=(words::address(&id)) { (id.id()) } }
        h1 dir="auto" { (view.name) }
        div .card {
            h2 { "Users by channel" (by(id.kind())) }
            div #breakdown {
                @match app.breakdown(&id).await {
                    Ok(breakdown) => { (broken_down(&breakdown, &view)) }
                    Err(problem) => { p role="alert" { (sentence(&problem.detail)) } }
                }
            }
        }
    };
    Ok(Page::new(&view.name, Some(&viewer)).within(super::sources::LIST).around(&content))
}

fn broken_down(breakdown: &Breakdown, view: &SourceView) -> Markup {
    let titles = [
        (Property::Channel, "By channel"),
        (
            Property::Variant,
            if view.source.kind() == SourceKind::Campaign { "By variant" } else { "By variation" },
        ),
        (Property::Step, "By step"),
    ];
    let named = |kinds: &BTreeMap<Kind, u64>| -> Vec<(String, u64)> {
        in_order(kinds.iter().map(|(kind, n)| (kind.as_str(), *n)))
    };
    let of = |property| -> Vec<(&String, Vec<(String, u64)>)> {
        let values = breakdown.users.iter().filter(|((of, _), _)| *of == property);
        values.map(|((_, value), kinds)| (value, named(kinds))).collect()
    };
    html! {
        @if breakdown.users.is_empty() { p .hint { "No interaction names a channel, variant or step." } }
        @if breakdown.is_partial {
            p .banner { "There was no time to count all users. These counts are of a part of them, chosen at random." }
        }
        @for (property, title) in titles {
            @let values = of(property);
            @if !values.is_empty() {
                // One measure for all values, so that their bars can be compared.
                @let most = values.iter().map(|(_, counts)| most_of(counts)).max().unwrap_or(1);
                h3 { (title) }
                @for (value, counts) in values {
                    h4 dir="auto" { (name_of(property, value, view)) }
                    (bars(&counts, most))
                }
            }
        }
    }
}

/// The name that people gave a variant or step; its id where it has none.
fn name_of(property: Property, value: &str, view: &SourceView) -> String {
    let known = match property {
        Property::Channel => {
            let known = Channel::ALL.iter().find(|channel| channel.as_str() == value);
            return known.map_or_else(|| value.to_owned(), |channel| words::channel(*channel).to_owned());
        }
        Property::Variant => view.variants.as_ref().or(view.variations.as_ref()),
        Property::Step => view.steps.as_ref(),
    };
    let found = known.into_iter().flatten().find(|variant| variant.id == value);
    found.map_or_else(|| value.to_owned(), |variant| variant.name.clone())
}
