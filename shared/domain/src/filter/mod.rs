//! Filters: their form; `parse` reads them, `describe` says them in words, `program` evaluates them by their `atom`s,
//! `presence` whole blocks at a time.

mod atom;
mod describe;
mod parse;
mod presence;
mod program;

pub use describe::MAX_DESCRIPTION;
pub use parse::FilterError;
pub use presence::{Presence, Tallied};
pub use program::{FacetAtoms, Facts, Known, Program, Truth};

use crate::{
    facet::Channel,
    id::{SourceId, SourceKind},
    time::{Period, Time},
};
use serde::{Deserialize, Serialize, de};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// How deep filters may nest.
pub const MAX_DEPTH: usize = 16;
/// The most conditions a filter may have.
pub const MAX_NODES: usize = 500;
/// The most sources a filter may name: each is a ledger to read.
pub const MAX_SOURCES: usize = 100;
/// The most bytes a filter may have as JSON: it is stored with the campaign whose audience it is.
pub const MAX_BYTES: usize = 64 << 10;

/// Whose opens or clicks count.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum By {
    /// Those by people and by machines.
    Any,
    /// Those by machines only.
    Machine,
    /// Those by people only.
    Human,
}

/// The bounces that count.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bounce {
    /// Hard and soft ones.
    Any,
    /// Those that say that the address does not exist.
    Hard,
    /// Those that say that the message could not be delivered this time.
    Soft,
}

/// A thing that a user does with a message, or that becomes of one.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Deed {
    Delivered,
    Opened { opens: By },
    Clicked { alias: Option<String>, clicks: By },
    Dismissed,
    Replied,
    Bounced { bounce: Bounce },
}

impl Deed {
    /// Its key in JSON.
    const fn key(&self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Opened { .. } => "opened",
            Self::Clicked { .. } => "clicked",
            Self::Dismissed => "dismissed",
            Self::Replied => "replied",
            Self::Bounced { .. } => "bounced",
        }
    }
}

/// The source or sources whose messages a condition is about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum About {
    /// One campaign or Canvas.
    Source(SourceId),
    /// Every source that carries the tag now.
    Tag(String),
    /// Every source: the `users` ledger, which never expires, answers.
    Any,
}

impl About {
    /// Calls `each` with the source or the tag, and with the variant and the step; `path` is the place of the leaf.
    fn names<'a>(&'a self, path: &str, narrow: Option<&'a Narrow>, each: &mut dyn FnMut(String, Name<'a>)) {
        let source = match self {
            Self::Source(source) => source,
            Self::Tag(tag) => return each(format!("{path}.tag"), Name::Tag(tag)),
            Self::Any => return,
        };
        each(format!("{path}.source"), Name::Source(source));
        if let Some(variant) = narrow.and_then(|n| n.variant.as_deref()) {
            each(format!("{path}.{}", variant_field(source.kind())), Name::Variant(source, variant));
        }
        if let Some(step) = narrow.and_then(|n| n.step.as_deref()) {
            each(format!("{path}.step"), Name::Step(source, step));
        }
    }

    /// The source, if it is about one.
    pub const fn source(&self) -> Option<&SourceId> {
        match self {
            Self::Source(source) => Some(source),
            Self::Tag(_) | Self::Any => None,
        }
    }
}

/// The messages that count. A field that is `None` matches any message.
#[derive(Clone, PartialEq, Eq, Hash, Default, Debug)]
pub struct Narrow {
    /// A campaign's variant or a Canvas's variation.
    pub variant: Option<String>,
    /// A Canvas's step.
    pub step: Option<String>,
    /// The channel that they went out by.
    pub channel: Option<Channel>,
}

/// Bounds on a time; all that are given must hold. A user without such a time is within no bounds.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Times {
    /// Earlier than this.
    pub before: Option<Time>,
    /// At this time or later.
    pub after: Option<Time>,
    /// Longer ago than this.
    pub more_than: Option<Period>,
    /// This long ago, or less.
    pub less_than: Option<Period>,
}

impl Times {
    /// Whether no bound is given.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The bounds at `now`, in epoch milliseconds: from the first, inclusive, to the second, exclusive.
    fn bounds(&self, now: Time) -> (i64, i64) {
        let ago = |period: &Period| period.before(now).map_or(i64::MIN, |at| at.0);
        let from = self.after.map(|at| at.0).max(self.less_than.as_ref().map(ago));
        let to = [self.before.map(|at| at.0), self.more_than.as_ref().map(ago)];
        (from.unwrap_or(i64::MIN), to.into_iter().flatten().min().unwrap_or(i64::MAX))
    }
}

/// A condition on a user. In JSON, an object with exactly one key.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "the fields are named as in the API")]
pub enum Filter {
    /// Every one of them holds.
    All(Vec<Self>),
    /// At least one of them holds.
    Any(Vec<Self>),
    /// It does not hold, over all users ever seen.
    Not(Box<Self>),
    /// The filter of the segment of that id holds.
    Segment(String),
    /// Received a message.
    Received { about: About, narrow: Narrow },
    /// Received the latest message within the times.
    LastReceived { about: About, narrow: Narrow, times: Times },
    /// Did something with a message; where times are given, the latest time within them.
    Did { deed: Deed, about: About, narrow: Narrow, times: Times },
    /// Did the conversion; where times are given, the latest time within them. Of a campaign only if the user did not
    /// receive it again in a later second, unless `ever`; of a Canvas ever. A user in the control group never counts.
    /// Of any source, any conversion ever counts, also those in control groups.
    Converted { about: About, conversion: u8, ever: bool, times: Times },
    /// Entered the Canvas; being in its control group counts as that.
    Entered { source: SourceId, variation: Option<String> },
    /// Is in the control group, or (`is: false`) was evaluated and is not: received the campaign, or entered the Canvas.
    InControl { source: SourceId, is: bool },
    /// Opened or clicked a message, the latest within the times.
    LastEngaged { about: About, narrow: Narrow, opens: By, clicks: By, times: Times },
    /// Never received any message.
    NeverReceived { channel: Option<Channel> },
    /// An address of the user, on the channel or on any, does not exist: a hard bounce, and since then neither a delivery
    /// nor an open or a click by a person.
    HardBounced { channel: Option<Channel> },
    /// Marked a message as spam, and did not take it back since.
    MarkedSpam,
    /// Wants no messages on the channel, or on at least one: unsubscribed, and did not subscribe again since.
    Unsubscribed { channel: Option<Channel> },
    /// Was in any control group, the latest within the times.
    LastInControl { times: Times },
}

/// A source, a tag or a segment that a filter names, or a variant or a step of the source.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Name<'a> {
    Source(&'a SourceId),
    Tag(&'a str),
    Segment(&'a str),
    /// A campaign's variant or a Canvas's variation.
    Variant(&'a SourceId, &'a str),
    /// A Canvas's step.
    Step(&'a SourceId, &'a str),
}

impl Filter {
    /// Calls `each` with every source, tag, segment, variant and step that the filter names, and with its place as [`Filter::parse`] writes
    /// it; `path` is the place of the filter.
    pub fn names<'a>(&'a self, path: &str, each: &mut dyn FnMut(String, Name<'a>)) {
        let at = |key: &str| format!("{path}.{key}");
        let mut source = |key: &str, source: &'a SourceId| each(at(key) + ".source", Name::Source(source));
        match self {
            Self::All(filters) => {
                filters.iter().enumerate().for_each(|(i, f)| f.names(&at(&format!("all[{i}]")), each));
            }
            Self::Any(filters) => {
                filters.iter().enumerate().for_each(|(i, f)| f.names(&at(&format!("any[{i}]")), each));
            }
            Self::Not(filter) => filter.names(&at("not"), each),
            Self::Segment(segment) => each(at("segment"), Name::Segment(segment)),
            Self::Entered { source: id, variation } => {
                source("entered", id);
                if let Some(variation) = variation {
                    each(at("entered.variation"), Name::Variant(id, variation));
                }
            }
            Self::InControl { source: id, .. } => source("in_control", id),
            Self::Converted { about, .. } => about.names(&at(self.key()), None, each),
            Self::Received { about, narrow }
            | Self::LastReceived { about, narrow, .. }
            | Self::Did { about, narrow, .. }
            | Self::LastEngaged { about, narrow, .. } => about.names(&at(self.key()), Some(narrow), each),
            Self::NeverReceived { .. }
            | Self::HardBounced { .. }
            | Self::MarkedSpam
            | Self::Unsubscribed { .. }
            | Self::LastInControl { .. } => {}
        }
    }

    fn named<T: Ord>(&self, take: impl Fn(Name<'_>) -> Option<T>) -> BTreeSet<T> {
        let mut out = BTreeSet::new();
        self.names("", &mut |_, name| out.extend(take(name)));
        out
    }

    /// Every source it names itself, without those that its segments name.
    pub fn sources(&self) -> BTreeSet<SourceId> {
        self.named(|name| match name {
            Name::Source(source) => Some(source.clone()),
            _ => None,
        })
    }

    /// Every tag it names itself, without those that its segments name.
    pub fn tags(&self) -> BTreeSet<String> {
        self.named(|name| match name {
            Name::Tag(tag) => Some(tag.to_owned()),
            _ => None,
        })
    }

    /// Every segment it names itself, without those that its segments name.
    pub fn segments(&self) -> BTreeSet<String> {
        self.named(|name| match name {
            Name::Segment(segment) => Some(segment.to_owned()),
            _ => None,
        })
    }

    /// How many conditions it has.
    pub fn nodes(&self) -> usize {
        1 + match self {
            Self::All(filters) | Self::Any(filters) => filters.iter().map(Self::nodes).sum(),
            Self::Not(filter) => filter.nodes(),
            _ => 0,
        }
    }

    /// Its one key in JSON.
    const fn key(&self) -> &'static str {
        match self {
            Self::All(_) => "all",
            Self::Any(_) => "any",
            Self::Not(_) => "not",
            Self::Segment(_) => "segment",
            Self::Received { .. } => "received",
            Self::LastReceived { .. } => "last_received",
            Self::Did { deed, .. } => deed.key(),
            Self::Converted { .. } => "converted",
            Self::Entered { .. } => "entered",
            Self::InControl { .. } => "in_control",
            Self::LastEngaged { .. } => "last_engaged",
            Self::NeverReceived { .. } => "never_received",
            Self::HardBounced { .. } => "hard_bounced",
            Self::MarkedSpam => "marked_spam",
            Self::Unsubscribed { .. } => "unsubscribed",
            Self::LastInControl { .. } => "last_in_control",
        }
    }

    /// The filter as JSON, as [`Filter::parse`] reads it.
    pub fn to_json(&self) -> Value {
        let list = |filters: &[Self]| filters.iter().map(Self::to_json).collect::<Vec<_>>();
        let mut body = Body::default();
        match self {
            Self::All(filters) | Self::Any(filters) => return json!({ self.key(): list(filters) }),
            Self::Not(filter) => return json!({ "not": filter.to_json() }),
            Self::Segment(segment) => return json!({ "segment": segment }),
            Self::Received { about, narrow } => body.about(about, narrow),
            Self::LastReceived { about, narrow, times } => {
                body.about(about, narrow);
                body.times(times);
            }
            Self::Did { deed, about, narrow, times } => {
                body.about(about, narrow);
                body.deed(deed);
                body.times(times);
            }
            Self::Converted { about, conversion, ever, times } => {
                body.about(about, &Narrow::default());
                body.put("conversion", Some(*conversion).filter(|n| *n > 0));
                body.put("ever", Some(true).filter(|_| *ever));
                body.times(times);
            }
            Self::Entered { source, variation } => {
                body.put("source", Some(source.to_string()));
                body.put("variation", variation.as_deref());
            }
            Self::InControl { source, is } => {
                body.put("source", Some(source.to_string()));
                body.put("is", Some(*is));
            }
            Self::LastEngaged { about, narrow, opens, clicks, times } => {
                body.about(about, narrow);
                body.by("opens", *opens);
                body.by("clicks", *clicks);
                body.times(times);
            }
            Self::NeverReceived { channel }
            | Self::HardBounced { channel }
            | Self::Unsubscribed { channel } => body.put("channel", channel.map(Channel::as_str)),
            Self::MarkedSpam => {}
            Self::LastInControl { times } => body.times(times),
        }
        json!({ self.key(): body.0 })
    }
}

/// The field of a leaf that names a variant of such a source.
const fn variant_field(kind: SourceKind) -> &'static str {
    match kind {
        SourceKind::Campaign => "variant",
        SourceKind::Canvas => "variation",
    }
}

/// The fields of a leaf.
#[derive(Default)]
struct Body(Map<String, Value>);

impl Body {
    fn put(&mut self, field: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.0.insert(field.to_owned(), value.into());
        }
    }

    fn about(&mut self, about: &About, narrow: &Narrow) {
        match about {
            About::Source(source) => self.put("source", Some(source.to_string())),
            About::Tag(tag) => self.put("tag", Some(tag.as_str())),
            About::Any => self.put("any", Some(true)),
        }
        let kind = about.source().map_or(SourceKind::Campaign, SourceId::kind);
        self.put(variant_field(kind), narrow.variant.as_deref());
        self.put("step", narrow.step.as_deref());
        self.put("channel", narrow.channel.map(Channel::as_str));
    }

    fn deed(&mut self, deed: &Deed) {
        match deed {
            Deed::Delivered | Deed::Dismissed | Deed::Replied => {}
            Deed::Opened { opens } => self.by("opens", *opens),
            Deed::Clicked { alias, clicks } => {
                self.put("alias", alias.as_deref());
                self.by("clicks", *clicks);
            }
            Deed::Bounced { bounce: Bounce::Any } => {}
            Deed::Bounced { bounce: Bounce::Hard } => self.put("bounce", Some("hard")),
            Deed::Bounced { bounce: Bounce::Soft } => self.put("bounce", Some("soft")),
        }
    }

    fn by(&mut self, field: &str, by: By) {
        let by = match by {
            By::Any => None,
            By::Machine => Some("machine"),
            By::Human => Some("human"),
        };
        self.put(field, by);
    }

    fn times(&mut self, times: &Times) {
        self.put("before", times.before.map(|at| at.to_string()));
        self.put("after", times.after.map(|at| at.to_string()));
        self.put("more_than", times.more_than.map(|period| period.to_string()));
        self.put("less_than", times.less_than.map(|period| period.to_string()));
    }
}

impl Serialize for Filter {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        self.to_json().serialize(s)
    }
}

impl<'de> Deserialize<'de> for Filter {
    fn deserialize<D: de::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Self::read(&Value::deserialize(d)?, "filter").map_err(de::Error::custom)
    }
}
