//! The pieces that groups and conditions of the builder share.

use super::{
    draft::Place,
    fields::prefix,
    known::Known,
    state::{State, element},
    trouble::Trouble,
};
use maud::{Markup, html};

/// The address to which the builder's form goes.
pub(super) const ADDRESS: &str = "/console/audiences";

/// All that the builder is shown with.
pub(super) struct Shown<'a> {
    pub(super) state: &'a State,
    pub(super) known: &'a Known,
    pub(super) trouble: Option<&'a Trouble>,
}

impl Shown<'_> {
    /// Whether the reader goes on at this element.
    pub(super) fn goes_on(&self, element: &str) -> bool {
        self.state.focus.as_deref() == Some(element)
    }
}

/// The button that takes a part away.
pub(super) fn remove(place: &Place, what: &str) -> Markup {
    html! {
        button .quiet name="act" value=(format!("remove {}", prefix(place))) hx-post=(ADDRESS) aria-label=(title(&format!("Remove {what}"), place)) { "Remove" }
    }
}

/// A name for a part: people count from 1.
pub(super) fn title(what: &str, place: &Place) -> String {
    let numbers: Vec<String> = place.iter().map(|i| (i + 1).to_string()).collect();
    if numbers.is_empty() { what.to_owned() } else { format!("{what} {}", numbers.join(".")) }
}

/// The reason why a part has no answer, beside it; empty for all others, so that a script can put it there.
pub(super) fn why(place: &Place, trouble: Option<&Trouble>, is_beside: bool) -> Markup {
    let trouble = trouble.filter(|trouble| trouble.place.as_ref() == Some(place));
    html! {
        div id=(element(place, "why")) .why .gap[trouble.is_some_and(|trouble| trouble.is_gap)] hx-swap-oob=[is_beside.then_some("true")] {
            @if let Some(trouble) = trouble { (trouble.text) }
        }
    }
}
