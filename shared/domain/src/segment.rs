//! Segments: filters with a name, for sources and other segments; and the sources that a filter reaches through them.

use crate::{
    filter::{Filter, Name},
    id::SourceId,
    time::Time,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};
use thiserror::Error;

/// How many segments may stand one in another.
pub const MAX_CHAIN: usize = 8;
/// The most sources and segments an audience may reach, directly or through segments: one transaction writes them all.
pub const MAX_CLOSURE: usize = 45;
/// The most conditions a filter may have with its segments' written out.
pub const MAX_WRITTEN_OUT: usize = 5_000;
/// The most referrers a segment may have.
pub const MAX_REFERRERS: usize = 500;

/// A segment: a filter with a name.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Segment {
    /// The id by which filters name it.
    pub id: String,
    /// Counts writes; the condition of each.
    pub version: u64,
    /// The name for people.
    pub name: String,
    /// The condition on the users that are in it.
    pub filter: Filter,
    /// When it was made.
    pub created_at: Time,
    /// When a person last changed it.
    pub updated_at: Time,
    /// Its referrers: the sources, whatever their status, and the segments that name it.
    #[serde(default)]
    pub used_by: BTreeSet<Referrer>,
    /// Active sources whose audience reaches it, directly or through other segments.
    #[serde(default)]
    pub active: BTreeSet<SourceId>,
}

/// A source or a segment that names a segment. Written `campaign/ID`, `canvas/ID` or `segment/ID`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Referrer {
    /// A campaign or a Canvas, in its audience.
    Source(SourceId),
    /// A segment, in its filter.
    Segment(String),
}

impl fmt::Display for Referrer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source(source) => source.fmt(f),
            Self::Segment(segment) => write!(f, "segment/{segment}"),
        }
    }
}

impl Serialize for Referrer {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Referrer {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        match text.strip_prefix("segment/") {
            Some(id) => Ok(Self::Segment(id.to_owned())),
            None => text.parse().map(Self::Source).map_err(serde::de::Error::custom),
        }
    }
}

/// Filters of segments by id.
pub type Filters = BTreeMap<String, Filter>;

/// The segments and sources that a filter reaches when its segments are followed.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Closure {
    /// Every segment that is named, directly or through others.
    pub segments: BTreeSet<String>,
    /// Every source that is named, with the shortest chain of segments that leads to it, such as `segment/vip`. The chain
    /// is empty where the filter itself names the source.
    pub targets: BTreeMap<SourceId, Vec<String>>,
}

impl Closure {
    /// Follows a filter. Segments that are not in `filters` lead nowhere.
    pub fn of(filter: &Filter, filters: &Filters) -> Self {
        let mut out = Self::default();
        let mut level: Vec<(Vec<String>, &Filter)> = vec![(Vec::new(), filter)];
        while !level.is_empty() {
            let mut next = Vec::new();
            for (chain, filter) in level {
                for source in filter.sources() {
                    out.targets.entry(source).or_insert_with(|| chain.clone());
                }
                for id in filter.segments() {
                    if out.segments.insert(id.clone())
                        && let Some(filter) = filters.get(&id)
                    {
                        next.push(([chain.clone(), vec![format!("segment/{id}")]].concat(), filter));
                    }
                }
            }
            level = next;
        }
        out
    }
}

/// Why a filter may not name the segments that it names.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum Tangle {
    /// A segment would stand in itself.
    #[error("{} is a cycle; a segment cannot stand in itself", .0.iter().map(|s| format!("segment/{s}")).collect::<Vec<_>>().join(" → "))]
    Cycle(Vec<String>),
    /// Segments stand in each other too deep.
    #[error("segments stand at most {MAX_CHAIN} deep in each other; {} is deeper", .0.iter().map(|s| format!("segment/{s}")).collect::<Vec<_>>().join(" → "))]
    TooDeep(Vec<String>),
    /// Too many conditions.
    #[error(
        "with its segments written out, a filter has at most {MAX_WRITTEN_OUT} conditions; this one has {0}"
    )]
    TooLarge(usize),
}

/// Follows a filter's segments and checks that they end within the bounds. `chain` holds the segments above the filter:
/// the segment that the filter belongs to, if any.
///
/// # Errors
/// [`Tangle`] names the bound that is broken.
pub fn untangle(filter: &Filter, filters: &Filters, chain: &[String]) -> Result<(), Tangle> {
    let mut sizes = BTreeMap::new();
    let size = walk(filter, filters, &mut chain.to_vec(), &mut sizes)?.0;
    if size > MAX_WRITTEN_OUT { Err(Tangle::TooLarge(size)) } else { Ok(()) }
}

/// Returns how many conditions a filter has, written out, and how deep its segments go. `walked` remembers the result for
/// each segment, since many ways may lead to one.
fn walk<'a>(
    filter: &'a Filter,
    filters: &'a Filters,
    chain: &mut Vec<String>,
    walked: &mut BTreeMap<&'a str, (usize, usize)>,
) -> Result<(usize, usize), Tangle> {
    let mut named: Vec<&str> = Vec::new();
    filter.names("", &mut |_, name| {
        if let Name::Segment(id) = name {
            named.push(id);
        }
    });
    let (mut size, mut depth) = (filter.nodes(), 0);
    for id in named {
        if let Some(first) = chain.iter().position(|above| above == id) {
            let cycle = chain[first..].iter().cloned().chain([id.to_owned()]);
            return Err(Tangle::Cycle(cycle.collect()));
        }
        let below = match (walked.get(id), filters.get(id)) {
            (Some(below), _) => *below,
            (None, None) => (1, 0),
            (None, Some(filter)) => {
                chain.push(id.to_owned());
                if chain.len() > MAX_CHAIN {
                    return Err(Tangle::TooDeep(chain.clone()));
                }
                let below = walk(filter, filters, chain, walked)?;
                chain.pop();
                walked.insert(id, below);
                below
            }
        };
        size = below.0.saturating_add(size);
        depth = depth.max(below.1 + 1);
        if chain.len() + depth > MAX_CHAIN {
            return Err(Tangle::TooDeep(chain.iter().cloned().chain([id.to_owned()]).collect()));
        }
    }
    Ok((size, depth))
}

impl Segment {
    /// A segment without referrers.
    pub fn new(id: &str, filter: Filter, now: Time) -> Self {
        Self {
            id: id.to_owned(),
            version: 0,
            name: id.to_owned(),
            filter,
            created_at: now,
            updated_at: now,
            used_by: BTreeSet::new(),
            active: BTreeSet::new(),
        }
    }
}
