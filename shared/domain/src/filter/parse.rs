//! Reads filters. An error names its place in the filter.

use super::{About, Bounce, By, Deed, Filter, MAX_BYTES, MAX_DEPTH, MAX_NODES, MAX_SOURCES, Narrow, Times};
use crate::{
    facet::Channel,
    id::{ID_RULE, SourceId, SourceKind, clip, is_spelled_like_id},
    interaction::stored_alias,
    time::{Period, Time},
    words,
};
use serde::Deserialize;
use serde_json::{Map, Value};
use thiserror::Error;

/// The error for a value that is not a filter.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("{path}: {detail}")]
pub struct FilterError {
    /// The place, such as `filter.all[1].received.channel`.
    pub path: String,
    /// The error and how to mend it, for people.
    pub detail: String,
}

/// The leaves, by their keys.
const LEAVES: [&str; 17] = [
    "received",
    "last_received",
    "delivered",
    "opened",
    "clicked",
    "dismissed",
    "replied",
    "bounced",
    "converted",
    "entered",
    "in_control",
    "last_engaged",
    "never_received",
    "hard_bounced",
    "marked_spam",
    "unsubscribed",
    "last_in_control",
];

fn forms() -> String {
    format!("all, any, not, segment, {}", LEAVES.join(", "))
}

fn wrong<T>(path: &str, detail: impl Into<String>) -> Result<T, FilterError> {
    Err(FilterError { path: path.to_owned(), detail: detail.into() })
}

impl Filter {
    /// Reads a filter; `path` is where it stands, for errors.
    ///
    /// # Errors
    /// [`FilterError`], with the place.
    pub fn parse(value: &Value, path: &str) -> Result<Self, FilterError> {
        let filter = Self::read(value, path)?;
        // The size as it is stored: a time that was given as a number is longer there.
        let (sources, bytes) = (filter.sources().len(), filter.to_json().to_string().len());
        if sources > MAX_SOURCES {
            return wrong(
                path,
                format!("a filter names at most {MAX_SOURCES} sources; this one names {sources}"),
            );
        }
        if bytes > MAX_BYTES {
            return wrong(
                path,
                format!("a filter has at most {MAX_BYTES} bytes of JSON; this one has {bytes}"),
            );
        }
        Ok(filter)
    }

    /// Reads a stored filter, whatever its size: a filter that was accepted once is never refused.
    pub(super) fn read(value: &Value, path: &str) -> Result<Self, FilterError> {
        Parser { nodes: 0 }.filter(value, path, 1)
    }
}

struct Parser {
    nodes: usize,
}

impl Parser {
    fn filter(&mut self, value: &Value, path: &str, depth: usize) -> Result<Filter, FilterError> {
        self.nodes += 1;
        if depth > MAX_DEPTH {
            return wrong(path, format!("filters nest at most {MAX_DEPTH} deep"));
        }
        if self.nodes > MAX_NODES {
            return wrong(path, format!("a filter has at most {MAX_NODES} conditions"));
        }
        let Some((key, body)) = value.as_object().filter(|o| o.len() == 1).and_then(|o| o.iter().next())
        else {
            return wrong(path, format!("must be an object with exactly one key, one of {}", forms()));
        };
        let path = format!("{path}.{}", clip(key));
        match key.as_str() {
            "all" => Ok(Filter::All(self.list(body, &path, depth)?)),
            "any" => Ok(Filter::Any(self.list(body, &path, depth)?)),
            "not" => Ok(Filter::Not(Box::new(self.filter(body, &path, depth + 1)?))),
            "segment" => match body.as_str() {
                Some(id) if is_spelled_like_id(id) => Ok(Filter::Segment(id.to_owned())),
                Some(_) => wrong(&path, format!("a segment's id must be {ID_RULE}")),
                None => wrong(&path, "must be a segment's id, a string"),
            },
            _ => leaf(key, body, path),
        }
    }

    fn list(&mut self, value: &Value, path: &str, depth: usize) -> Result<Vec<Filter>, FilterError> {
        match value.as_array() {
            None => wrong(path, "must be an array of filters"),
            Some(list) if list.is_empty() => wrong(path, "must not be empty"),
            Some(list) => list
                .iter()
                .enumerate()
                .map(|(i, f)| self.filter(f, &format!("{path}[{i}]"), depth + 1))
                .collect(),
        }
    }
}

fn leaf(key: &str, body: &Value, path: String) -> Result<Filter, FilterError> {
    if !LEAVES.contains(&key) {
        return wrong(&path, format!("unknown filter; the filters are {}", forms()));
    }
    let Some(fields) = body.as_object() else {
        return wrong(&path, "must be an object");
    };
    let mut f = Fields { path, fields, known: Vec::new() };
    let filter = match key {
        "received" => {
            let about = f.about(&["source", "tag"])?;
            Filter::Received { narrow: f.narrow(&about)?, about }
        }
        "last_received" => {
            let about = f.about(&["source", "tag", "any"])?;
            Filter::LastReceived { narrow: f.narrow(&about)?, about, times: f.times()? }
        }
        "delivered" | "opened" | "clicked" | "dismissed" | "replied" | "bounced" => {
            let about = f.about(&["source", "tag", "any"])?;
            let narrow = f.narrow(&about)?;
            Filter::Did { deed: f.deed(key)?, about, narrow, times: f.times_given()? }
        }
        "converted" => f.converted()?,
        "entered" => {
            let source = f.source()?;
            if source.kind() != SourceKind::Canvas {
                return wrong(&f.at("source"), "only a Canvas is entered; name one, such as canvas/welcome");
            }
            Filter::Entered { source, variation: f.checked("variation", is_spelled_like_id, ID_RULE)? }
        }
        "in_control" => Filter::InControl { source: f.source()?, is: f.flag("is")? },
        "last_engaged" => {
            let about = f.about_or_any()?;
            let narrow = f.narrow(&about)?;
            let (opens, clicks) = (f.by("opens")?, f.by("clicks")?);
            Filter::LastEngaged { about, narrow, opens, clicks, times: f.times()? }
        }
        "never_received" => Filter::NeverReceived { channel: f.channel()? },
        "hard_bounced" => Filter::HardBounced { channel: f.channel()? },
        "marked_spam" => Filter::MarkedSpam,
        "unsubscribed" => Filter::Unsubscribed { channel: f.channel()? },
        _ => Filter::LastInControl { times: f.times()? },
    };
    f.done(filter)
}

/// The fields of a leaf, taken one by one; fields that are left over are refused.
struct Fields<'a> {
    path: String,
    fields: &'a Map<String, Value>,
    known: Vec<&'static str>,
}

impl<'a> Fields<'a> {
    fn at(&self, field: &str) -> String {
        format!("{}.{field}", self.path)
    }

    fn has(&self, field: &str) -> bool {
        self.fields.get(field).is_some_and(|value| !value.is_null())
    }

    fn text(&mut self, field: &'static str) -> Result<Option<&'a str>, FilterError> {
        self.known.push(field);
        match self.fields.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => wrong(&self.at(field), "must be a string"),
        }
    }

    fn checked(
        &mut self,
        field: &'static str,
        is_valid: fn(&str) -> bool,
        rule: &str,
    ) -> Result<Option<String>, FilterError> {
        match self.text(field)? {
            Some(text) if !is_valid(text) => wrong(&self.at(field), format!("must be {rule}")),
            text => Ok(text.map(str::to_owned)),
        }
    }

    fn source(&mut self) -> Result<SourceId, FilterError> {
        match self.text("source")? {
            None => wrong(&self.at("source"), "is missing; name a source, such as campaign/spring-sale"),
            Some(text) => text.parse().or_else(|e: String| wrong(&self.at("source"), e)),
        }
    }

    /// Reads exactly one of the ways to name the sources; the first is the usual one.
    fn about(&mut self, ways: &[&'static str]) -> Result<About, FilterError> {
        let mut given = ways.iter().copied().filter(|way| self.has(way));
        let (way, second) = (given.next().unwrap_or("source"), given.next());
        if let Some(second) = second {
            return wrong(&self.at(second), format!("{way} and {second} exclude each other; give one"));
        }
        let about = match way {
            "tag" => match self.text("tag")?.map(words::cleaned) {
                Some(tag) if words::are_valid(&tag) => About::Tag(tag),
                Some(_) => return wrong(&self.at("tag"), format!("must be {}", words::WORDS_RULE)),
                None => return wrong(&self.at("tag"), "is missing"),
            },
            "any" => match self.flag("any")? {
                true => About::Any,
                false => return wrong(&self.at("any"), "must be true, or left out"),
            },
            _ => About::Source(self.source()?),
        };
        self.known.extend(ways.iter().filter(|w| **w != way));
        Ok(about)
    }

    /// As [`Fields::about`], or any source's messages where none of the ways is given.
    fn about_or_any(&mut self) -> Result<About, FilterError> {
        let ways = ["source", "tag", "any"];
        if ways.iter().any(|way| self.fields.contains_key(*way)) {
            return self.about(&ways);
        }
        self.known.extend(ways);
        Ok(About::Any)
    }

    /// Reads the fields that only this deed has.
    fn deed(&mut self, key: &str) -> Result<Deed, FilterError> {
        Ok(match key {
            "delivered" => Deed::Delivered,
            "opened" => Deed::Opened { opens: self.by("opens")? },
            "clicked" => {
                let alias = self.text("alias")?;
                if alias == Some("") {
                    return wrong(&self.at("alias"), "is empty; leave it out for clicks on any link");
                }
                // As ingest stores it, so that the whole alias finds the clicks.
                let alias = alias.map(|alias| stored_alias(alias).into_owned());
                Deed::Clicked { alias, clicks: self.by("clicks")? }
            }
            "dismissed" => Deed::Dismissed,
            "replied" => Deed::Replied,
            _ => {
                let bounce = match self.text("bounce")? {
                    None | Some("any") => Bounce::Any,
                    Some("hard") => Bounce::Hard,
                    Some("soft") => Bounce::Soft,
                    Some(other) => {
                        let detail = format!("`{}` must be any, hard or soft", clip(other));
                        return wrong(&self.at("bounce"), detail);
                    }
                };
                Deed::Bounced { bounce }
            }
        })
    }

    fn converted(&mut self) -> Result<Filter, FilterError> {
        let about = self.about(&["source", "any"])?;
        if about == About::Any
            && let Some(field) = ["conversion", "ever"].into_iter().find(|field| self.has(field))
        {
            let detail = "goes with a source only: with `any`, every conversion counts, whenever it was";
            return wrong(&self.at(field), detail);
        }
        self.known.push("conversion");
        let conversion = match self.fields.get("conversion") {
            None | Some(Value::Null) => 0,
            Some(value) => match value.as_u64().and_then(|n| u8::try_from(n).ok()) {
                Some(n) => n,
                None => return wrong(&self.at("conversion"), "must be a whole number from 0 to 255"),
            },
        };
        let ever = self.fields.contains_key("ever") && self.flag("ever")?;
        self.known.push("ever");
        Ok(Filter::Converted { about, conversion, ever, times: self.times_given()? })
    }

    /// Reads the fields that narrow a condition: with a tag, or with any message, only the channel may.
    fn narrow(&mut self, about: &About) -> Result<Narrow, FilterError> {
        let kind = about.source().map(SourceId::kind);
        let only = |of: SourceKind, field: &str, instead: &str| match kind {
            Some(kind) if kind == of => Ok(()),
            Some(_) => Err(format!("a {} has no {field}{instead}", kind_name(kind))),
            None => Err(format!("{field} goes with a source only")),
        };
        let fields = [
            ("variant", only(SourceKind::Campaign, "variant", "; use variation")),
            ("variation", only(SourceKind::Canvas, "variation", "; use variant")),
            ("step", only(SourceKind::Canvas, "step", "")),
        ];
        let mut found = [None, None, None];
        for ((field, fits), found) in fields.into_iter().zip(&mut found) {
            *found = self.checked(field, is_spelled_like_id, ID_RULE)?;
            if let (Some(_), Err(why)) = (found, fits) {
                return wrong(&self.at(field), why);
            }
        }
        let [variant, variation, step] = found;
        Ok(Narrow { variant: variant.or(variation), step, channel: self.channel()? })
    }

    fn channel(&mut self) -> Result<Option<Channel>, FilterError> {
        self.text("channel")?
            .map(|name| match Channel::from_name(name) {
                Some(channel) => Ok(channel),
                None => wrong(
                    &self.at("channel"),
                    format!("`{}` must be one of {}", clip(name), Channel::names()),
                ),
            })
            .transpose()
    }

    fn by(&mut self, field: &'static str) -> Result<By, FilterError> {
        Ok(match self.text(field)? {
            None | Some("any") => By::Any,
            Some("machine") => By::Machine,
            Some("human") => By::Human,
            Some(other) => {
                return wrong(&self.at(field), format!("`{}` must be any, machine or human", clip(other)));
            }
        })
    }

    fn flag(&mut self, field: &'static str) -> Result<bool, FilterError> {
        self.known.push(field);
        match self.fields.get(field) {
            None => Ok(true),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => wrong(&self.at(field), "must be true or false"),
        }
    }

    /// Reads bounds of which at least one is given.
    fn times(&mut self) -> Result<Times, FilterError> {
        let times = self.times_given()?;
        if times.is_empty() {
            return wrong(
                &self.path,
                "needs a time: one or more of before and after (such as 2026-11-22T10:00:00Z), more_than and less_than (such as P30D)",
            );
        }
        Ok(times)
    }

    /// Reads the bounds that are given.
    fn times_given(&mut self) -> Result<Times, FilterError> {
        let times = Times {
            before: self.time("before")?,
            after: self.time("after")?,
            more_than: self.period("more_than")?,
            less_than: self.period("less_than")?,
        };
        if let (Some(before), Some(after)) = (times.before, times.after)
            && before <= after
        {
            return wrong(&self.at("before"), format!("must be later than after, which is {after}"));
        }
        Ok(times)
    }

    fn time(&mut self, field: &'static str) -> Result<Option<Time>, FilterError> {
        self.known.push(field);
        match self.fields.get(field) {
            None | Some(Value::Null) => Ok(None),
            // No interaction is as old as the year 0, and RFC 3339, as which the stored filter is shown, cannot write it.
            Some(value) => Time::deserialize(value)
                .map(|at| Some(at.max(Time::YEAR_0)))
                .or_else(|why| wrong(&self.at(field), why.to_string())),
        }
    }

    fn period(&mut self, field: &'static str) -> Result<Option<Period>, FilterError> {
        let text = self.text(field)?;
        text.map(|text| Period::parse(&clip(text)).or_else(|why| wrong(&self.at(field), why))).transpose()
    }

    fn done(self, filter: Filter) -> Result<Filter, FilterError> {
        match self.fields.keys().find(|k| !self.known.contains(&k.as_str())) {
            Some(field) if self.known.is_empty() => {
                wrong(&self.at(&clip(field)), "unknown field; this filter has none, write {}")
            }
            Some(field) => wrong(
                &self.at(&clip(field)),
                format!("unknown field; the fields are {}", self.known.join(", ")),
            ),
            None => Ok(filter),
        }
    }
}

const fn kind_name(kind: Option<SourceKind>) -> &'static str {
    match kind {
        Some(SourceKind::Canvas) => "Canvas",
        _ => "campaign",
    }
}
