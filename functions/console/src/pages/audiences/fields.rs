//! A draft as the fields of a form, and back. Each part of the tree has fields of its own, whose names begin with its place:
//! `f.0.1.kind` is of the second condition in the first group.

use super::{
    draft::{Draft, Leaf, Place, TEXTS},
    kinds,
    spelling::{joined_period, whole_time},
};
use rekindle_domain::filter::{MAX_DEPTH, MAX_NODES};
use std::collections::HashMap;

/// The most parts that are read: one more than a filter may have is enough to be told so.
const MOST: usize = 2 * MAX_NODES;

/// The begin of the names of the fields of a place.
pub(super) fn prefix(place: &[usize]) -> String {
    place.iter().fold("f".to_owned(), |name, i| format!("{name}.{i}"))
}

/// The place that a text such as `f.0.1` names.
pub(super) fn place(text: &str) -> Option<Place> {
    let mut parts = text.split('.');
    let is_ours = parts.next() == Some("f");
    let place: Place = parts.map(|part| part.parse().ok()).collect::<Option<_>>()?;
    is_ours.then_some(place)
}

/// How a group joins its conditions: the name in forms, whether it is negated, whether one is enough, and the words of the list.
pub(super) const JOINS: [(&str, bool, bool, &str); 4] = [
    ("all", false, false, "all"),
    ("any", false, true, "at least one"),
    ("none", true, true, "none"),
    ("not_all", true, false, "not all"),
];

/// A form's fields, to read a draft from.
struct Reader<'a> {
    fields: HashMap<&'a str, &'a str>,
    left: usize,
}

/// The draft that the fields of a form hold; the first one to be filled in if they hold none.
pub(super) fn read<'a>(fields: impl Iterator<Item = (&'a str, &'a str)>) -> Draft {
    let mut reader = Reader { fields: HashMap::new(), left: MOST };
    for (name, value) in fields {
        reader.fields.entry(name).or_insert(value);
    }
    reader.draft(&mut Place::new()).unwrap_or_default()
}

impl Reader<'_> {
    fn draft(&mut self, place: &mut Place) -> Option<Draft> {
        let prefix = prefix(place);
        let get = |name: &str| self.fields.get(format!("{prefix}.{name}").as_str()).copied().unwrap_or("");
        match get("kind") {
            "" => None,
            _ if self.left == 0 || place.len() > MAX_DEPTH => None,
            "group" => {
                let (_, is_negated, is_any, _) =
                    JOINS.into_iter().find(|(name, ..)| *name == get("join")).unwrap_or(JOINS[0]);
                let size = get("size").parse().unwrap_or(0).min(MOST);
                self.left -= 1;
                let mut of = Vec::new();
                for i in 0..size {
                    place.push(i);
                    of.extend(self.draft(place));
                    place.pop();
                }
                Some(Draft::Group { is_negated, is_any, of })
            }
            "json" => {
                let json = get("json").to_owned();
                self.left -= 1;
                Some(Draft::Json(json))
            }
            key => {
                let mut leaf = Leaf::new(kinds::of_key(key)?);
                leaf.is_negated = !get("not").is_empty();
                for name in TEXTS {
                    let text = match name {
                        "before" | "after" => whole_time(get(name)),
                        "more_than" | "less_than" => joined_period(get(name), get(&format!("{name}.unit"))),
                        _ => get(name).to_owned(),
                    };
                    leaf.set(name, &text);
                }
                self.left -= 1;
                Some(Draft::Leaf(leaf))
            }
        }
    }
}
