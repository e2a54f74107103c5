//! The builder's form: groups and conditions as fields, each with the buttons that change it.

use super::{
    condition,
    draft::{Draft, Place},
    fields::{JOINS, prefix},
    pieces::{ADDRESS, Shown, remove, title, why},
    state::element,
    trouble::Trouble,
};
use maud::{Markup, html};
use rekindle_domain::filter::MAX_DEPTH;

/// The part of the form that changes with its buttons.
pub(super) fn builder(shown: &Shown<'_>) -> Markup {
    html! {
        div #builder {
            @match &shown.state.json {
                Some(text) => {
                    input type="hidden" name="mode" value="json";
                    label for="json" { "The filter as JSON" }
                    textarea #json .live name="json" rows="16" spellcheck="false" autocomplete="off" aria-describedby="why-json" autofocus[shown.goes_on("json")] { (text) }
                    (why_json(shown.trouble, false))
                    p .buttons {
                        button name="act" value="choose" hx-post=(ADDRESS) { "Build by choosing" }
                    }
                }
                None => {
                    (part(shown, &shown.state.draft, &mut Place::new()))
                    p .buttons {
                        button #as-json name="act" value="json" hx-post=(ADDRESS) autofocus[shown.goes_on("as-json")] { "Edit as JSON" }
                    }
                }
            }
        }
    }
}

/// The reason why a filter that is edited as JSON has no answer, beside it.
pub(super) fn why_json(trouble: Option<&Trouble>, is_beside: bool) -> Markup {
    html! {
        div #why-json .why hx-swap-oob=[is_beside.then_some("true")] {
            @if let Some(trouble) = trouble { (trouble.text) }
        }
    }
}

fn part(shown: &Shown<'_>, draft: &Draft, place: &mut Place) -> Markup {
    let name = prefix(place);
    match draft {
        Draft::Group { is_negated, is_any, of } => group(shown, (*is_negated, *is_any), of, place),
        Draft::Leaf(leaf) => html! {
            (condition::condition(shown, leaf, place))
            @if place.is_empty() { (adding(shown, place)) }
        },
        Draft::Json(text) => html! {
            section .condition #(element(place, "part")) aria-label=(title("Condition as JSON", place)) {
                input type="hidden" name=(format!("{name}.kind")) value="json";
                div .line {
                    label for=(element(place, "json")) { "Part of the filter as JSON" }
                    (remove(place, "condition"))
                }
                p .hint { "No field can show this part. It counts as it stands here." }
                textarea .live id=(element(place, "json")) name=(format!("{name}.json")) rows="4" spellcheck="false" autocomplete="off" { (text) }
                (why(place, shown.trouble, false))
            }
            @if place.is_empty() { (adding(shown, place)) }
        },
    }
}

fn group(shown: &Shown<'_>, join: (bool, bool), of: &[Draft], place: &mut Place) -> Markup {
    let (name, id) = (prefix(place), element(place, "join"));
    html! {
        section .group #(element(place, "part")) aria-label=(title("Group", place)) {
            input type="hidden" name=(format!("{name}.kind")) value="group";
            input type="hidden" name=(format!("{name}.size")) value=(of.len());
            div .line {
                label for=(id) { "Users for whom" }
                select .live .short id=(id) name=(format!("{name}.join")) autofocus[shown.goes_on(&id)] {
                    @for (value, is_negated, is_any, words) in JOINS {
                        option value=(value) selected[(is_negated, is_any) == join] { (words) }
                    }
                }
                span { "of these hold" }
                @if !place.is_empty() { (remove(place, "group")) }
            }
            (why(place, shown.trouble, false))
            @for (i, child) in of.iter().enumerate() {
                (below(shown, child, place, i))
            }
            (adding(shown, place))
        }
    }
}

fn below(shown: &Shown<'_>, child: &Draft, place: &mut Place, i: usize) -> Markup {
    place.push(i);
    let markup = part(shown, child, place);
    place.pop();
    markup
}

fn adding(shown: &Shown<'_>, place: &Place) -> Markup {
    let (name, id) = (prefix(place), element(place, "add"));
    html! {
        div .buttons {
            button id=(id) name="act" value=(format!("add {name}")) hx-post=(ADDRESS) autofocus[shown.goes_on(&id)] { "Add condition" }
            @if place.len() + 3 < MAX_DEPTH {
                button name="act" value=(format!("group {name}")) hx-post=(ADDRESS) { "Add group" }
            }
        }
    }
}

/// The reasons of all parts, to be put beside each.
pub(super) fn whys(draft: &Draft, place: &mut Place, trouble: Option<&Trouble>) -> Markup {
    html! {
        (why(place, trouble, true))
        @if let Draft::Group { of, .. } = draft {
            @for (i, child) in of.iter().enumerate() {
                @let below = { place.push(i); let all = whys(child, place, trouble); place.pop(); all };
                (below)
            }
        }
    }
}
