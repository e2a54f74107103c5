//! A filter while a person builds it: a tree that may have gaps. It becomes JSON, which the domain reads and judges, and is made
//! from JSON. A part that no field can show keeps its JSON, so that nothing is lost.

use super::{
    kinds::{self, Kind, Part, SEGMENT, Way},
    spelling::{joined_period, period, whole_time},
};
use rekindle_domain::filter::MAX_DEPTH;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// A place in the tree: the child of each group on the way.
pub(super) type Place = Vec<usize>;

/// A condition or a group of conditions.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Draft {
    /// Several conditions: all, or at least one, hold; or not, if it is negated.
    Group { is_negated: bool, is_any: bool, of: Vec<Self> },
    /// One condition.
    Leaf(Leaf),
    /// A filter as JSON, which may be none.
    Json(String),
}

/// The names of a leaf's texts, in forms and here. Those of a filter's fields, but for `of`, a [`Way`], and `q`, the words by which
/// a source is looked for; `variant` is a Canvas's variation, too.
pub(super) const TEXTS: [&str; 19] = [
    "of",
    "q",
    "source",
    "tag",
    "variant",
    "step",
    "channel",
    "alias",
    "opens",
    "clicks",
    "bounce",
    "conversion",
    "ever",
    "is",
    "before",
    "after",
    "more_than",
    "less_than",
    SEGMENT,
];

/// The four bounds on a time.
pub(super) const TIMES: [&str; 4] = ["after", "before", "less_than", "more_than"];

/// One condition: texts as they stand in the fields. None of them is empty.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Leaf {
    pub(super) is_negated: bool,
    pub(super) kind: &'static Kind,
    texts: BTreeMap<&'static str, String>,
}

impl Leaf {
    pub(super) fn new(kind: &'static Kind) -> Self {
        Self { is_negated: false, kind, texts: BTreeMap::new() }
    }

    /// A text, or nothing.
    pub(super) fn text(&self, name: &str) -> &str {
        self.texts.get(name).map_or("", String::as_str)
    }

    /// Sets a text; names that no leaf has are ignored.
    pub(super) fn set(&mut self, name: &str, text: &str) {
        let Some(name) = TEXTS.into_iter().find(|known| *known == name) else { return };
        match text {
            "" => self.texts.remove(name),
            text => self.texts.insert(name, text.to_owned()),
        };
    }

    /// Whose messages it is about; `None` for a kind that is about none.
    pub(super) fn way(&self) -> Option<Way> {
        let named = self.kind.ways.iter().find(|way| way.name() == self.text("of"));
        named.or_else(|| self.kind.ways.first()).copied()
    }

    /// Whether it names a Canvas.
    pub(super) fn is_of_canvas(&self) -> bool {
        self.text("source").starts_with("canvas/")
    }

    /// Whether it has that part, as it stands.
    pub(super) fn has(&self, part: Part) -> bool {
        let is_of_source = self.way() == Some(Way::Source) && !self.text("source").is_empty();
        self.kind.parts.contains(&part)
            && match part {
                Part::Variant => is_of_source,
                Part::Step => is_of_source && self.is_of_canvas(),
                Part::Conversion | Part::Ever => self.way() == Some(Way::Source),
                _ => true,
            }
    }

    /// The value of its key in a filter.
    fn body(&self) -> Value {
        if self.kind.key == SEGMENT {
            return json!(self.text(SEGMENT));
        }
        let mut body = Map::new();
        match self.way() {
            Some(Way::Source) => self.put(&mut body, "source", "source"),
            Some(Way::Tag) => _ = body.insert("tag".to_owned(), json!(self.text("tag"))),
            Some(Way::Any) => _ = body.insert("any".to_owned(), json!(true)),
            None => {}
        }
        for part in self.kind.parts.iter().filter(|part| self.has(**part)) {
            match part {
                Part::Variant => {
                    let field = if self.is_of_canvas() { "variation" } else { "variant" };
                    self.put(&mut body, field, "variant");
                }
                Part::Conversion => match self.text("conversion").parse::<u64>() {
                    Ok(0) => {}
                    Ok(number) => _ = body.insert("conversion".to_owned(), json!(number)),
                    Err(_) => self.put(&mut body, "conversion", "conversion"),
                },
                Part::Ever if self.text("ever").is_empty() => {}
                Part::Ever => _ = body.insert("ever".to_owned(), json!(true)),
                Part::Is => _ = body.insert("is".to_owned(), json!(self.text("is") != "no")),
                Part::Times => TIMES.iter().for_each(|name| self.put(&mut body, name, name)),
                Part::Step => self.put(&mut body, "step", "step"),
                Part::Channel => self.put(&mut body, "channel", "channel"),
                Part::Alias => self.put(&mut body, "alias", "alias"),
                Part::Opens => self.put(&mut body, "opens", "opens"),
                Part::Clicks => self.put(&mut body, "clicks", "clicks"),
                Part::Bounce => self.put(&mut body, "bounce", "bounce"),
            }
        }
        Value::Object(body)
    }

    fn put(&self, body: &mut Map<String, Value>, field: &str, name: &str) {
        if let Some(text) = self.texts.get(name) {
            body.insert(field.to_owned(), json!(text));
        }
    }

    /// The leaf of a key and its value in a filter; `None` if the fields cannot show all of it.
    fn of(key: &str, body: &Value) -> Option<Self> {
        let mut leaf = Self::new(kinds::of_key(key)?);
        if key == SEGMENT {
            leaf.set(SEGMENT, body.as_str()?);
        }
        for (field, value) in body.as_object().into_iter().flatten() {
            match (field.as_str(), value) {
                ("source" | "tag", Value::String(text)) => {
                    if leaf.kind.ways.len() > 1 {
                        leaf.set("of", field);
                    }
                    leaf.set(field, text);
                }
                ("any", Value::Bool(true)) => leaf.set("of", "any"),
                ("variation", Value::String(text)) => leaf.set("variant", text),
                ("conversion", Value::Number(number)) => leaf.set(field, &number.to_string()),
                ("ever", Value::Bool(true)) => leaf.set(field, "yes"),
                ("is", Value::Bool(is)) => leaf.set(field, if *is { "yes" } else { "no" }),
                (field, Value::String(text)) if is_kept(field, text) => leaf.set(field, text),
                _ => return None,
            }
        }
        // Fields of forms lose blanks at their ends, and line breaks.
        let is_plain = |text: &String| text.trim() == text && !text.contains(char::is_control);
        (leaf.texts.values().all(is_plain) && leaf.body() == *body).then_some(leaf)
    }
}

/// Whether a field that shows this text gives it back.
fn is_kept(field: &str, text: &str) -> bool {
    match field {
        "opens" | "clicks" => matches!(text, "human" | "machine"),
        "bounce" => matches!(text, "hard" | "soft"),
        "before" | "after" => whole_time(text) == text,
        "more_than" | "less_than" => {
            let (number, unit) = period(text);
            joined_period(number, unit) == text
        }
        _ => true,
    }
}

impl Default for Draft {
    /// One condition that is still to be filled in.
    fn default() -> Self {
        Self::Group { is_negated: false, is_any: false, of: vec![Self::new_leaf()] }
    }
}

impl Draft {
    fn new_leaf() -> Self {
        Self::Leaf(Leaf::new(&kinds::KINDS[0]))
    }

    /// The draft of a filter, or of JSON that is not one yet.
    pub(super) fn of(value: &Value) -> Self {
        Self::at(value, 1)
    }

    fn at(value: &Value, depth: usize) -> Self {
        let entry = value.as_object().filter(|object| object.len() == 1).and_then(|o| o.iter().next());
        let shown = entry.and_then(|(key, body)| match (key.as_str(), body) {
            ("all" | "any", Value::Array(list)) if depth < MAX_DEPTH => {
                let of = list.iter().map(|filter| Self::at(filter, depth + 1)).collect();
                Some(Self::Group { is_negated: false, is_any: key == "any", of })
            }
            ("not", filter) if depth < MAX_DEPTH => match Self::at(filter, depth + 1) {
                Self::Group { is_negated: false, is_any, of } => {
                    Some(Self::Group { is_negated: true, is_any, of })
                }
                Self::Leaf(leaf) if !leaf.is_negated => Some(Self::Leaf(Leaf { is_negated: true, ..leaf })),
                _ => None,
            },
            (key, body) => Leaf::of(key, body).map(Self::Leaf),
        });
        shown.unwrap_or_else(|| Self::Json(pretty(value)))
    }

    /// The filter as JSON. Where something is missing, it is JSON that is no filter, and the domain says what is missing.
    pub(super) fn value(&self) -> Value {
        let (is_negated, value) = match self {
            Self::Group { is_negated, is_any, of } => {
                let key = if *is_any { "any" } else { "all" };
                (*is_negated, json!({ key: of.iter().map(Self::value).collect::<Vec<_>>() }))
            }
            Self::Leaf(leaf) => (leaf.is_negated, json!({ leaf.kind.key: leaf.body() })),
            Self::Json(text) => (false, serde_json::from_str(text).unwrap_or_else(|_| json!(text))),
        };
        if is_negated { json!({ "not": value }) } else { value }
    }

    /// Calls `each` with every condition.
    pub(super) fn leaves<'a>(&'a self, each: &mut dyn FnMut(&'a Leaf)) {
        match self {
            Self::Group { of, .. } => of.iter().for_each(|draft| draft.leaves(each)),
            Self::Leaf(leaf) => each(leaf),
            Self::Json(_) => {}
        }
    }

    fn find(&mut self, place: &[usize]) -> Option<&mut Self> {
        match (place, self) {
            ([], draft) => Some(draft),
            ([first, rest @ ..], Self::Group { of, .. }) => of.get_mut(*first)?.find(rest),
            _ => None,
        }
    }

    /// The leaf at a place.
    pub(super) fn leaf(&mut self, place: &[usize]) -> Option<&mut Leaf> {
        match self.find(place)? {
            Self::Leaf(leaf) => Some(leaf),
            _ => None,
        }
    }

    /// Adds a condition, or a group with one, to the group at a place. A condition that stands there becomes a group first.
    /// Returns the place of what was added.
    pub(super) fn add(&mut self, place: &[usize], is_group: bool) -> Option<Place> {
        let at = self.find(place)?;
        if !matches!(at, Self::Group { .. }) {
            let alone = std::mem::take(at);
            *at = Self::Group { is_negated: false, is_any: false, of: vec![alone] };
        }
        let Self::Group { of, is_any, .. } = at else { return None };
        let group = || Self::Group { is_negated: false, is_any: !*is_any, of: vec![Self::new_leaf()] };
        of.push(if is_group { group() } else { Self::new_leaf() });
        Some([place, &[of.len() - 1]].concat())
    }

    /// Takes away what stands at a place. Returns the place of the group that it stood in.
    pub(super) fn remove(&mut self, place: &[usize]) -> Option<Place> {
        let Some((last, group)) = place.split_last() else {
            *self = Self::Group { is_negated: false, is_any: false, of: Vec::new() };
            return Some(Place::new());
        };
        match self.find(group)? {
            Self::Group { of, .. } if *last < of.len() => _ = of.remove(*last),
            _ => return None,
        }
        Some(group.to_vec())
    }
}

/// JSON on several lines.
pub(super) fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}
