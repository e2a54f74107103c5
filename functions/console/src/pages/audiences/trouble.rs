//! The reason why a filter has no answer, in the words of the builder, and the condition that it is about.

use super::{
    draft::{Draft, Leaf, Place, TIMES},
    kinds::Way,
};
use crate::html::sentence;
use rekindle_domain::id::SourceId;
use rekindle_service::{Fact, Problem, ProblemKind, Remedy};
use std::collections::BTreeSet;

#[derive(Debug, PartialEq)]
pub(super) struct Trouble {
    /// The place of the condition or the group, if it is about one.
    pub(super) place: Option<Place>,
    pub(super) text: String,
    /// Whether something is only still to be filled in.
    pub(super) is_gap: bool,
    /// Whether the filter could be taken as it is, with a name that matches nothing.
    pub(super) is_unknown_name: bool,
    /// The sources to restore first.
    pub(super) restore: BTreeSet<SourceId>,
}

impl Trouble {
    /// The trouble with a draft, or, without one, with a filter that is edited as JSON.
    pub(super) fn of(problem: &Problem, draft: Option<&Draft>) -> Self {
        let path = problem.facts.iter().find_map(|fact| match fact {
            Fact::Path(path) => Some(path.as_str()),
            _ => None,
        });
        let spot = path.zip(draft).and_then(|(path, draft)| spot(draft, "filter", path, Place::new()));
        let gap = spot.as_ref().zip(path).and_then(|((_, draft), path)| gap(draft, path));
        let unknown = unknown_name(problem);
        let place = spot.map(|(place, _)| place);
        // The place is shown beside, where the builder shows the condition.
        let detail = match (path, &place) {
            (Some(path), Some(_)) => problem.detail.strip_prefix(&format!("{path}: ")),
            _ => None,
        };
        let busy =
            (problem.kind == ProblemKind::Unavailable).then_some("the store is busy; try again in a moment");
        let text = busy.or(detail).unwrap_or(&problem.detail);
        let restore = match &problem.remedy {
            Some(Remedy::Restore(sources)) => sources.clone(),
            _ => BTreeSet::new(),
        };
        Self {
            place,
            is_gap: gap.is_some(),
            is_unknown_name: unknown.is_some(),
            text: gap.map(str::to_owned).or(unknown).unwrap_or_else(|| sentence(text)),
            restore,
        }
    }
}

/// The innermost part of a draft that a path of the domain, such as `filter.all[1].not.received.source`, leads to; `base` is the
/// path of the draft itself.
fn spot<'a>(draft: &'a Draft, base: &str, path: &str, place: Place) -> Option<(Place, &'a Draft)> {
    if path.strip_prefix(base).is_none_or(|rest| !rest.is_empty() && !rest.starts_with('.')) {
        return None;
    }
    if let Draft::Group { is_negated, is_any, of } = draft {
        let not = if *is_negated { ".not" } else { "" };
        let key = if *is_any { "any" } else { "all" };
        for (i, child) in of.iter().enumerate() {
            let below = [place.as_slice(), &[i]].concat();
            let found = spot(child, &format!("{base}{not}.{key}[{i}]"), path, below);
            if found.is_some() {
                return found;
            }
        }
    }
    Some((place, draft))
}

/// The thing that is still to be filled in, if that is the reason.
fn gap(draft: &Draft, path: &str) -> Option<&'static str> {
    let is_empty = |leaf: &Leaf, name: &str| leaf.text(name).is_empty();
    match draft {
        Draft::Group { of, .. } => of.is_empty().then_some("Add a condition to this group, or remove it."),
        Draft::Json(_) => None,
        Draft::Leaf(leaf) => match path.rsplit('.').next().unwrap_or_default() {
            "source" if leaf.way() == Some(Way::Source) && is_empty(leaf, "source") => {
                Some("Choose a campaign or Canvas.")
            }
            "tag" if is_empty(leaf, "tag") => Some("Write a tag."),
            "segment" if is_empty(leaf, "segment") => Some("Choose a segment."),
            key if key == leaf.kind.key && TIMES.iter().all(|name| is_empty(leaf, name)) => {
                Some("Say when: give at least one time.")
            }
            _ => None,
        },
    }
}

/// Says that a name matches nothing, and which names are like it.
fn unknown_name(problem: &Problem) -> Option<String> {
    let names = problem.facts.iter().find_map(|fact| match fact {
        Fact::UnknownNames(names) => Some(names.join(", ")),
        _ => None,
    })?;
    let what = match problem.code {
        "unknown_tag" => "No campaign and no Canvas has the tag",
        "unknown_step" => "The Canvas declares no step",
        "unknown_variation" => "The Canvas declares no variation",
        _ => "The campaign declares no variant",
    };
    let nearest = problem.facts.iter().find_map(|fact| match fact {
        Fact::Nearest(names) if !names.is_empty() => Some(format!(" Like it are: {}.", names.join(", "))),
        _ => None,
    });
    Some(format!("{what} \u{201c}{names}\u{201d}.{}", nearest.unwrap_or_default()))
}
