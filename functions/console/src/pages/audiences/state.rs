//! The state of the builder, as its form holds it between two requests.

use super::{
    super::forms::Fields,
    draft::{Draft, Place, pretty},
    fields, kinds,
};
use rekindle_domain::filter::Filter;
use rekindle_service::{Problem, audience::IfExpired, library::UnknownNames};
use serde_json::{Value, json};

/// A segment whose filter is edited: its id, and the version that the reader saw.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Subject {
    pub(super) id: String,
    pub(super) version: u64,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct State {
    pub(super) draft: Draft,
    /// The whole filter as JSON, while it is edited so; the draft counts for nothing then.
    pub(super) json: Option<String>,
    /// Whether expired data is read from the archive.
    pub(super) is_archive: bool,
    /// Whether names that match nothing are taken.
    pub(super) takes_unknown: bool,
    /// The user who is to be looked for in the audience.
    pub(super) user: String,
    /// The name of the segment that is edited or made, and the id of one that is made.
    pub(super) name: String,
    pub(super) new_id: String,
    pub(super) subject: Option<Subject>,
    /// The id of the element that the reader goes on with.
    pub(super) focus: Option<String>,
}

/// The most bytes of an address that holds a filter; gateways refuse long ones.
const MAX_ADDRESS: usize = 4_000;

impl State {
    /// The state that a form holds.
    pub(super) fn of_form(form: &Fields) -> Self {
        let text = |name: &str| form.get(name).unwrap_or_default().to_owned();
        let version = form.get("version").and_then(|version| version.parse().ok()).unwrap_or(0);
        Self {
            draft: fields::read(form.pairs()),
            json: (form.get("mode") == Some("json")).then(|| text("json")),
            is_archive: form.get("archive").is_some(),
            takes_unknown: form.get("unknown_names").is_some(),
            user: text("user"),
            name: text("name"),
            new_id: text("id"),
            subject: form.get("segment").map(|id| Subject { id: id.to_owned(), version }),
            focus: None,
        }
    }

    /// The state that an address asks for: `filter` has a filter as JSON, and the name of a condition, such as `received`, a
    /// source or, as `segment`, a segment.
    pub(super) fn of_query(query: &Fields) -> Self {
        let named = query.pairs().find_map(|(name, value)| Some((kinds::of_key(name)?, value)));
        let draft = match (query.get("filter"), named) {
            (Some(text), _) => {
                let is_archive = query.get("archive").is_some();
                return Self { is_archive, ..Self::of_text(text) };
            }
            (None, Some((kind, id))) if kind.key == kinds::SEGMENT => {
                Draft::of(&json!({ "all": [{ "segment": id }] }))
            }
            (None, Some((kind, source))) => {
                Draft::of(&json!({ "all": [{ kind.key: { "source": source } }] }))
            }
            (None, None) => Draft::default(),
        };
        Self { draft, ..Self::default() }
    }

    /// A filter that is built by choosing if the text is JSON, and otherwise edited as it is.
    pub(super) fn of_text(text: &str) -> Self {
        match serde_json::from_str(text) {
            Ok(value) => Self { draft: draft_of(&value), ..Self::default() },
            Err(_) => Self { json: Some(text.to_owned()), ..Self::default() },
        }
    }

    /// Whether nobody has built anything yet.
    pub(super) fn is_new(&self) -> bool {
        self.json.is_none() && self.draft == Draft::default()
    }

    /// The filter as JSON, which may be no filter yet.
    ///
    /// # Errors
    /// A text that is no JSON.
    pub(super) fn value(&self) -> Result<Value, Problem> {
        let Some(text) = &self.json else { return Ok(self.draft.value()) };
        serde_json::from_str(text).map_err(|why| {
            let detail = format!("this is not JSON: {why}");
            Problem::bad_request("invalid_json", detail).at("filter")
        })
    }

    /// The filter.
    ///
    /// # Errors
    /// The place and the reason, where it is none.
    pub(super) fn filter(&self) -> Result<Filter, Problem> {
        Ok(Filter::parse(&self.value()?, "filter")?)
    }

    pub(super) fn if_expired(&self) -> IfExpired {
        if self.is_archive { IfExpired::Archive } else { IfExpired::Exclude }
    }

    pub(super) fn unknown_names(&self) -> UnknownNames {
        if self.takes_unknown { UnknownNames::Allow } else { UnknownNames::Refuse }
    }

    /// The address that opens this filter, if it is short enough for one.
    pub(super) fn address(&self) -> Option<String> {
        let value = self.value().ok()?;
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("filter", &value.to_string());
        if self.is_archive {
            query.append_pair("archive", "yes");
        }
        let query = query.finish();
        (query.len() <= MAX_ADDRESS).then(|| format!("/console/audiences?{query}"))
    }

    /// Does what a button of the builder says, such as `add f.0` or `pick f.0.1 campaign/spring-sale`.
    pub(super) fn act(&mut self, act: &str) {
        let mut words = act.split(' ');
        let verb = words.next().unwrap_or_default();
        let place = words.next().and_then(fields::place);
        let word = words.next().unwrap_or_default();
        let go_on = match (verb, place) {
            ("json", _) => {
                let text = self.value().map(|value| pretty(&value));
                self.json = text.ok().or(self.json.take());
                Some("json".to_owned())
            }
            ("choose", _) => match self.value() {
                Ok(value) => {
                    (self.draft, self.json) = (draft_of(&value), None);
                    Some("as-json".to_owned())
                }
                Err(_) => Some("json".to_owned()),
            },
            ("add" | "group", Some(place)) => {
                let added = self.draft.add(&place, verb == "group");
                added.map(|place| element(&place, if verb == "group" { "join" } else { "kind" }))
            }
            ("remove", Some(place)) => self.draft.remove(&place).map(|place| element(&place, "add")),
            ("pick", Some(place)) => self.draft.leaf(&place).map(|leaf| {
                leaf.set("source", word);
                leaf.set("q", "");
                element(&place, "change")
            }),
            ("change", Some(place)) => self.draft.leaf(&place).map(|leaf| {
                leaf.set("source", "");
                element(&place, "q")
            }),
            _ => None,
        };
        self.focus = go_on;
    }
}

/// The draft of JSON: of a filter in its usual form, if it is one.
fn draft_of(value: &Value) -> Draft {
    match Filter::parse(value, "filter") {
        Ok(filter) => Draft::of(&filter.to_json()),
        Err(_) => Draft::of(value),
    }
}

/// The id of an element of a place.
pub(super) fn element(place: &Place, name: &str) -> String {
    format!("{}-{name}", fields::prefix(place).replace('.', "-"))
}
