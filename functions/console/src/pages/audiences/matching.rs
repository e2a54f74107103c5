//! Whether one user is in the audience, and why: the answer of each condition.

use super::{pieces::ADDRESS, state::State};
use crate::html::sentence;
use maud::{Markup, html};
use rekindle_domain::filter::{Filter, Truth};
use rekindle_service::{Problem, Rekindle, audience::MatchRequest, library::UnknownNames};

/// How many parts of a filter are asked, each with a question of its own.
const MOST: usize = 40;

/// A part of a filter, whether it holds for the user, and its parts.
pub(super) struct Why {
    says: String,
    filter: Filter,
    answer: Option<Truth>,
    below: Vec<Why>,
}

impl Why {
    /// The parts of a filter. A group of one is that one.
    fn of(filter: &Filter) -> Self {
        let (is_negated, inside) = match filter {
            Filter::Not(inside) => (true, inside.as_ref()),
            other => (false, other),
        };
        let says = |text: &str| text.to_owned();
        let (says, below) = match (inside, is_negated) {
            (Filter::All(of) | Filter::Any(of), false) if of.len() == 1 => return Self::of(&of[0]),
            (Filter::All(of), false) => (says("All of these hold"), of.as_slice()),
            (Filter::Any(of), false) => (says("At least one of these holds"), of.as_slice()),
            (Filter::All(of), true) => (says("Not all of these hold"), of.as_slice()),
            (Filter::Any(of), true) => (says("None of these holds"), of.as_slice()),
            _ => (sentence(&filter.describe()).trim_end_matches('.').to_owned(), &[][..]),
        };
        let below = below.iter().map(Self::of).collect();
        Self { says, filter: filter.clone(), answer: None, below }
    }

    /// This part and those below it, in the order in which they are shown.
    fn parts(&mut self) -> Vec<(&Filter, &mut Option<Truth>)> {
        let mut parts = vec![(&self.filter, &mut self.answer)];
        parts.extend(self.below.iter_mut().flat_map(Self::parts));
        parts
    }
}

/// Asks for the user of the form.
///
/// # Errors
/// As `Rekindle::matches`.
pub(super) async fn why(app: &Rekindle, state: &State) -> Result<Why, Problem> {
    let mut why = Why::of(&state.filter()?);
    // The names of the parts are those of the whole, which is asked first.
    let mut unknown_names = state.unknown_names();
    for (filter, answer) in why.parts().into_iter().take(MOST) {
        let request = MatchRequest {
            filter: filter.to_json(),
            expired: state.if_expired(),
            user_id: state.user.clone(),
            unknown_names,
        };
        *answer = Some(app.matches(&request).await?.answer);
        unknown_names = UnknownNames::Allow;
    }
    Ok(why)
}

/// The form that asks for one user, and the answer.
pub(super) fn matching(state: &State, why: Option<&Result<Why, Problem>>) -> Markup {
    html! {
        section .card #match {
            h2 { "One user" }
            label for="user" { "User id" }
            div .line {
                input #user form="filter" name="user" value=(state.user) dir="auto" autocomplete="off" spellcheck="false";
                button form="filter" name="act" value="match" hx-post=(ADDRESS) hx-target="#match" hx-select="#match" hx-swap="outerHTML" { "Check" }
            }
            div role="status" {
                @match why {
                    None => { p .hint { "Says whether this user is in the audience, and which conditions hold." } }
                    Some(Err(problem)) => { p .refused { (sentence(&problem.detail)) } }
                    Some(Ok(why)) => {
                        p { strong dir="auto" { (state.user) } " " (verdict(why.answer)) }
                        @if !why.below.is_empty() { ul .why-tree { (shown(why)) } }
                    }
                }
            }
        }
    }
}

const fn verdict(answer: Option<Truth>) -> &'static str {
    match answer {
        Some(Truth::Yes) => "is in this audience.",
        Some(Truth::No) => "is not in this audience.",
        Some(Truth::Unknown) | None => {
            "may be in this audience: interaction data that would tell has expired."
        }
    }
}

fn shown(why: &Why) -> Markup {
    let (mark, word) = match why.answer {
        Some(Truth::Yes) => ("yes", "Yes"),
        Some(Truth::No) => ("no", "No"),
        Some(Truth::Unknown) => ("unknown", "Cannot be told"),
        None => ("unknown", "Not looked at"),
    };
    html! {
        li {
            span .answer data-answer=(mark) { (word) } " " span dir="auto" { (why.says) }
            @if !why.below.is_empty() { ul { @for below in &why.below { (shown(below)) } } }
        }
    }
}
