//! Filters: their form, and their three-valued evaluation over the rows of one user.

use crate::{
    facet::{Channel, Facet, Kind},
    id::{LedgerId, SourceId, clip, is_valid_id},
    interaction::is_valid_alias,
    rows::{Row, Rows},
};
use serde::{Deserialize, Serialize, de};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use thiserror::Error;

/// How deep filters may nest.
pub const MAX_DEPTH: usize = 16;
/// The most conditions a filter may have.
pub const MAX_NODES: usize = 500;

/// The most sources a filter may name: each is a ledger to read.
pub const MAX_SOURCES: usize = 100;
/// The most bytes a filter may have as JSON: it is stored with the campaign whose audience it is.
pub const MAX_BYTES: usize = 64 << 10;

/// Which opens count.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Opens {
    /// People's and machines'.
    Any,
    /// Machines' only.
    Machine,
    /// People's only.
    Human,
}

/// A condition on a user. In JSON, an object with exactly one key.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "the fields are named as in the API")]
pub enum Filter {
    /// Every one holds.
    All(Vec<Self>),
    /// At least one holds.
    Any(Vec<Self>),
    /// It does not hold, over all users ever seen.
    Not(Box<Self>),
    /// Received a message of the source.
    Received { source: SourceId, variant: Option<String>, channel: Option<Channel> },
    /// Opened one.
    Opened { source: SourceId, channel: Option<Channel>, opens: Opens },
    /// Clicked a link in one.
    Clicked { source: SourceId, channel: Option<Channel>, alias: Option<String> },
    /// Did the primary conversion on the most recent message; who is in control never counts.
    Converted { source: SourceId },
    /// Is in the control group, or (`is: false`) received the message and is not.
    InControl { source: SourceId, is: bool },
    /// Never received any message.
    NeverReceived { channel: Option<Channel> },
}

/// A filter that is not one, and where.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("{path}: {detail}")]
pub struct FilterError {
    /// The place, such as `filter.all[1].received.channel`.
    pub path: String,
    /// What is wrong there and how to mend it.
    pub detail: String,
}

struct Parser {
    nodes: usize,
}

const FORMS: &str = "all, any, not, received, opened, clicked, converted, in_control, never_received";

fn wrong<T>(path: &str, detail: impl Into<String>) -> Result<T, FilterError> {
    Err(FilterError { path: path.to_owned(), detail: detail.into() })
}

/// The fields of a leaf, taken one by one; what is left over is refused.
struct Fields<'a> {
    path: String,
    fields: &'a Map<String, Value>,
    known: Vec<&'static str>,
}

impl<'a> Fields<'a> {
    fn text(&mut self, field: &'static str) -> Result<Option<&'a str>, FilterError> {
        self.known.push(field);
        match self.fields.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => wrong(&self.at(field), "must be a string"),
        }
    }

    fn at(&self, field: &str) -> String {
        format!("{}.{field}", self.path)
    }

    fn source(&mut self) -> Result<SourceId, FilterError> {
        match self.text("source")? {
            None => wrong(&self.at("source"), "is missing; name a source, such as campaign/spring-sale"),
            Some(text) => text.parse().or_else(|e: String| wrong(&self.at("source"), e)),
        }
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

    fn checked(
        &mut self,
        field: &'static str,
        is_valid: fn(&str) -> bool,
        rule: &str,
    ) -> Result<Option<String>, FilterError> {
        match self.text(field)? {
            Some(text) if !is_valid(text) => wrong(&self.at(field), rule),
            text => Ok(text.map(str::to_owned)),
        }
    }

    fn opens(&mut self) -> Result<Opens, FilterError> {
        Ok(match self.text("opens")? {
            None | Some("any") => Opens::Any,
            Some("machine") => Opens::Machine,
            Some("human") => Opens::Human,
            Some(other) => {
                return wrong(&self.at("opens"), format!("`{}` must be any, machine or human", clip(other)));
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

    fn done(self, filter: Filter) -> Result<Filter, FilterError> {
        match self.fields.keys().find(|k| !self.known.contains(&k.as_str())) {
            Some(field) => wrong(
                &self.at(&clip(field)),
                format!("unknown field; the fields are {}", self.known.join(", ")),
            ),
            None => Ok(filter),
        }
    }
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
            return wrong(path, format!("must be an object with exactly one key, one of {FORMS}"));
        };
        let path = format!("{path}.{}", clip(key));
        match key.as_str() {
            "all" => Ok(Filter::All(self.list(body, &path, depth)?)),
            "any" => Ok(Filter::Any(self.list(body, &path, depth)?)),
            "not" => Ok(Filter::Not(Box::new(self.filter(body, &path, depth + 1)?))),
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
    const KNOWN: [&str; 6] = ["received", "opened", "clicked", "converted", "in_control", "never_received"];
    if !KNOWN.contains(&key) {
        return wrong(&path, format!("unknown filter; the filters are {FORMS}"));
    }
    let Some(fields) = body.as_object() else {
        return wrong(&path, "must be an object");
    };
    let mut f = Fields { path, fields, known: Vec::new() };
    let filter = match key {
        "received" => Filter::Received {
            source: f.source()?,
            variant: f.checked(
                "variant",
                is_valid_id,
                "must be 1 to 128 characters of A-Z a-z 0-9 _ . : -",
            )?,
            channel: f.channel()?,
        },
        "opened" => Filter::Opened { source: f.source()?, channel: f.channel()?, opens: f.opens()? },
        "clicked" => Filter::Clicked {
            source: f.source()?,
            channel: f.channel()?,
            alias: f.checked("alias", is_valid_alias, "must be 1 to 256 bytes without control characters")?,
        },
        "converted" => Filter::Converted { source: f.source()? },
        "in_control" => Filter::InControl { source: f.source()?, is: f.flag("is")? },
        _ => Filter::NeverReceived { channel: f.channel()? },
    };
    f.done(filter)
}

impl Filter {
    /// Reads a filter; `path` is where it stands, for errors.
    ///
    /// # Errors
    /// [`FilterError`], with the place.
    pub fn parse(value: &Value, path: &str) -> Result<Self, FilterError> {
        let filter = Parser { nodes: 0 }.filter(value, path, 1)?;
        let (sources, bytes) = (filter.sources().len(), value.to_string().len());
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

    /// The filter as JSON, as [`Filter::parse`] reads it.
    pub fn to_json(&self) -> Value {
        let list = |filters: &[Self]| filters.iter().map(Self::to_json).collect::<Vec<_>>();
        let mut body = Map::new();
        let mut put = |key: &str, value: Option<&str>| {
            if let Some(value) = value {
                body.insert(key.to_owned(), value.into());
            }
        };
        if let Some(source) = self.source() {
            put("source", Some(&source.to_string()));
        }
        let channel = |c: &Option<Channel>| c.map(Channel::as_str);
        let key = match self {
            Self::All(filters) => return json!({ "all": list(filters) }),
            Self::Any(filters) => return json!({ "any": list(filters) }),
            Self::Not(filter) => return json!({ "not": filter.to_json() }),
            Self::Received { variant, channel: c, .. } => {
                put("variant", variant.as_deref());
                put("channel", channel(c));
                "received"
            }
            Self::Opened { channel: c, opens, .. } => {
                put("channel", channel(c));
                let opens = match opens {
                    Opens::Any => None,
                    Opens::Machine => Some("machine"),
                    Opens::Human => Some("human"),
                };
                put("opens", opens);
                "opened"
            }
            Self::Clicked { channel: c, alias, .. } => {
                put("channel", channel(c));
                put("alias", alias.as_deref());
                "clicked"
            }
            Self::Converted { .. } => "converted",
            Self::InControl { is, .. } => {
                body.insert("is".to_owned(), (*is).into());
                "in_control"
            }
            Self::NeverReceived { channel: c } => {
                put("channel", channel(c));
                "never_received"
            }
        };
        json!({ key: body })
    }

    /// The source a leaf names.
    fn source(&self) -> Option<&SourceId> {
        match self {
            Self::Received { source, .. }
            | Self::Opened { source, .. }
            | Self::Clicked { source, .. }
            | Self::Converted { source }
            | Self::InControl { source, .. } => Some(source),
            Self::All(_) | Self::Any(_) | Self::Not(_) | Self::NeverReceived { .. } => None,
        }
    }

    /// Every source it names.
    pub fn sources(&self) -> BTreeSet<SourceId> {
        match self {
            Self::All(filters) | Self::Any(filters) => filters.iter().flat_map(Self::sources).collect(),
            Self::Not(filter) => filter.sources(),
            leaf => leaf.source().into_iter().cloned().collect(),
        }
    }
}

impl Serialize for Filter {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        self.to_json().serialize(s)
    }
}

impl<'de> Deserialize<'de> for Filter {
    fn deserialize<D: de::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Self::parse(&Value::deserialize(d)?, "filter").map_err(de::Error::custom)
    }
}

/// An answer: expired data makes it unknown, and unknown is never no.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Truth {
    /// Certainly not.
    No,
    /// The data that would tell is expired.
    Unknown,
    /// Certainly.
    Yes,
}

impl Truth {
    fn of(yes: bool) -> Self {
        if yes { Self::Yes } else { Self::No }
    }

    /// Kleene's negation.
    pub const fn negate(self) -> Self {
        match self {
            Self::No => Self::Yes,
            Self::Unknown => Self::Unknown,
            Self::Yes => Self::No,
        }
    }
}

/// What a leaf asks of the rows of one user in one ledger: the latest `last_at` among the facets that match.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Atom {
    ledger: usize,
    kind: Kind,
    channel: Option<Channel>,
    machine: Option<bool>,
    variant: Option<String>,
    alias: Option<String>,
    primary: bool,
}

impl Atom {
    const fn of(ledger: usize, kind: Kind, channel: Option<Channel>) -> Self {
        Self { ledger, kind, channel, machine: None, variant: None, alias: None, primary: false }
    }

    fn matches(&self, facet: &Facet) -> bool {
        let same =
            |want: &Option<String>, is: &Option<Box<str>>| want.is_none() || want.as_deref() == is.as_deref();
        facet.kind == self.kind
            && (self.channel.is_none() || self.channel == facet.channel)
            && self.machine.is_none_or(|m| m == facet.machine)
            && same(&self.variant, &facet.variant)
            && same(&self.alias, &facet.alias)
            && !(self.primary && facet.conversion != 0)
    }
}

type AtomId = usize;

#[derive(Debug)]
enum Node {
    All(Vec<Self>),
    Any(Vec<Self>),
    Not(Box<Self>),
    Has(AtomId),
    HasNot(AtomId),
    Converted { conversion: AtomId, received: AtomId, control: AtomId },
    Received { received: AtomId, and_not: AtomId },
    Unknown,
}

/// A filter made ready to be asked of many users.
#[derive(Debug)]
pub struct Program {
    ledgers: Vec<LedgerId>,
    atoms: Vec<Atom>,
    root: Node,
}

/// What is known of the current user, an entry an atom.
#[derive(Clone, Debug)]
pub struct Facts(Vec<i64>);

const NEVER: i64 = i64::MIN;

/// For each facet of a batch, the atoms it matters to.
#[derive(Clone, Debug, Default)]
pub struct FacetAtoms(Vec<Vec<u32>>);

impl Program {
    /// Compiles a filter. Leaves over the sources in `unavailable` are unknown.
    pub fn compile(filter: &Filter, unavailable: &BTreeSet<SourceId>) -> Self {
        let mut program = Self { ledgers: Vec::new(), atoms: Vec::new(), root: Node::Unknown };
        program.root = program.node(filter, unavailable);
        if program.needs_universe() {
            program.ledger(LedgerId::Users);
        }
        program
    }

    /// The ledgers whose rows are needed; their numbers are what [`Program::facet_atoms`] speaks of.
    pub fn ledgers(&self) -> &[LedgerId] {
        &self.ledgers
    }

    /// Whether users of whom none of the named ledgers knows anything can match, or be unknown: then everybody ever
    /// seen must be asked.
    fn needs_universe(&self) -> bool {
        self.answer(&self.blank()) != Truth::No
    }

    fn ledger(&mut self, ledger: LedgerId) -> usize {
        self.ledgers.iter().position(|l| *l == ledger).unwrap_or_else(|| {
            self.ledgers.push(ledger);
            self.ledgers.len() - 1
        })
    }

    fn atom(&mut self, atom: Atom) -> AtomId {
        self.atoms.iter().position(|a| *a == atom).unwrap_or_else(|| {
            self.atoms.push(atom);
            self.atoms.len() - 1
        })
    }

    fn node(&mut self, filter: &Filter, unavailable: &BTreeSet<SourceId>) -> Node {
        if filter.source().is_some_and(|s| unavailable.contains(s)) {
            return Node::Unknown;
        }
        let mut nodes = |filters: &[Filter]| filters.iter().map(|f| self.node(f, unavailable)).collect();
        match filter {
            Filter::All(filters) => Node::All(nodes(filters)),
            Filter::Any(filters) => Node::Any(nodes(filters)),
            Filter::Not(filter) => Node::Not(Box::new(self.node(filter, unavailable))),
            Filter::Received { source, variant, channel } => {
                let ledger = self.ledger(LedgerId::Source(source.clone()));
                let atom = Atom { variant: variant.clone(), ..Atom::of(ledger, Kind::Received, *channel) };
                Node::Has(self.atom(atom))
            }
            Filter::Opened { source, channel, opens } => {
                let ledger = self.ledger(LedgerId::Source(source.clone()));
                let machine = match opens {
                    Opens::Any => None,
                    Opens::Machine => Some(true),
                    Opens::Human => Some(false),
                };
                Node::Has(self.atom(Atom { machine, ..Atom::of(ledger, Kind::Opened, *channel) }))
            }
            Filter::Clicked { source, channel, alias } => {
                let ledger = self.ledger(LedgerId::Source(source.clone()));
                Node::Has(
                    self.atom(Atom { alias: alias.clone(), ..Atom::of(ledger, Kind::Clicked, *channel) }),
                )
            }
            Filter::Converted { source } => {
                let ledger = self.ledger(LedgerId::Source(source.clone()));
                Node::Converted {
                    conversion: self.atom(Atom { primary: true, ..Atom::of(ledger, Kind::Converted, None) }),
                    received: self.atom(Atom::of(ledger, Kind::Received, None)),
                    control: self.atom(Atom::of(ledger, Kind::Control, None)),
                }
            }
            Filter::InControl { source, is } => {
                let ledger = self.ledger(LedgerId::Source(source.clone()));
                let control = self.atom(Atom::of(ledger, Kind::Control, None));
                if *is {
                    return Node::Has(control);
                }
                Node::Received {
                    received: self.atom(Atom::of(ledger, Kind::Received, None)),
                    and_not: control,
                }
            }
            Filter::NeverReceived { channel } => {
                let ledger = self.ledger(LedgerId::Users);
                Node::HasNot(self.atom(Atom::of(ledger, Kind::Received, *channel)))
            }
        }
    }

    /// Which atoms the facets of a batch of a ledger matter to. Once a batch, so that rows cost a look-up.
    pub fn facet_atoms(&self, ledger: usize, rows: &Rows) -> FacetAtoms {
        let of = |facet: &Facet| {
            let atoms = self.atoms.iter().enumerate().filter(|(_, a)| a.ledger == ledger && a.matches(facet));
            atoms.map(|(i, _)| i as u32).collect()
        };
        FacetAtoms(rows.facets.iter().map(of).collect())
    }

    /// Facts of a user nothing is known of.
    pub fn blank(&self) -> Facts {
        Facts(vec![NEVER; self.atoms.len()])
    }

    /// The answer for a user.
    pub fn answer(&self, facts: &Facts) -> Truth {
        self.root.answer(&facts.0)
    }
}

impl Facts {
    /// Forgets the user before.
    pub fn reset(&mut self) {
        self.0.fill(NEVER);
    }

    /// Takes in rows of the user.
    pub fn learn(&mut self, rows: &[Row], atoms: &FacetAtoms) {
        for row in rows {
            for atom in &atoms.0[row.facet as usize] {
                let fact = &mut self.0[*atom as usize];
                *fact = row.last_at.max(*fact);
            }
        }
    }
}

impl Node {
    fn answer(&self, facts: &[i64]) -> Truth {
        let has = |atom: &AtomId| facts[*atom] != NEVER;
        match self {
            Self::All(nodes) => nodes.iter().map(|n| n.answer(facts)).min().unwrap_or(Truth::Yes),
            Self::Any(nodes) => nodes.iter().map(|n| n.answer(facts)).max().unwrap_or(Truth::No),
            Self::Not(node) => node.answer(facts).negate(),
            Self::Has(atom) => Truth::of(has(atom)),
            Self::HasNot(atom) => Truth::of(!has(atom)),
            Self::Converted { conversion, received, control } => {
                Truth::of(has(conversion) && !has(control) && facts[*conversion] >= facts[*received])
            }
            Self::Received { received, and_not } => Truth::of(has(received) && !has(and_not)),
            Self::Unknown => Truth::Unknown,
        }
    }
}
