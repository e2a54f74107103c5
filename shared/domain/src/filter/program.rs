//! Evaluates filters over the rows of one user, in three values.

use super::{About, By, Filter, Times, atom::Atom};
use crate::{
    facet::{Channel, Facet, Kind},
    id::{LedgerId, SourceId, SourceKind},
    rows::Row,
    time::Time,
};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// An answer. Expired data makes it unknown, and unknown never counts as no.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Truth {
    /// The filter does not hold.
    No,
    /// The data that would tell is expired.
    Unknown,
    /// The filter holds.
    Yes,
}

impl Truth {
    fn of(yes: bool) -> Self {
        if yes { Self::Yes } else { Self::No }
    }

    /// The negation: unknown stays unknown.
    pub const fn negate(self) -> Self {
        match self {
            Self::No => Self::Yes,
            Self::Unknown => Self::Unknown,
            Self::Yes => Self::No,
        }
    }
}

/// The facts, besides rows, that a filter is evaluated against.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Known {
    /// The present, from which periods are counted back.
    pub now: Time,
    /// Sources whose data cannot be read: conditions about them are unknown.
    pub unavailable: BTreeSet<SourceId>,
    /// Those of them of which some rows can be read: the ones that arrived since the data expired. Such a row can make a
    /// condition certain; that there is none says nothing.
    pub late: BTreeSet<SourceId>,
    /// The sources that carry each tag.
    pub tags: BTreeMap<String, BTreeSet<SourceId>>,
    /// The filters of segments, by id. A segment that is missing here is unknown.
    pub segments: BTreeMap<String, Filter>,
}

type AtomId = usize;

#[derive(Debug)]
enum Node {
    All(Vec<Self>),
    Any(Vec<Self>),
    Not(Box<Self>),
    Has(AtomId),
    HasNot(AtomId),
    Without {
        has: AtomId,
        not: AtomId,
    },
    /// The latest of some times is later than the latest of others, or these never were. Times within the same grain,
    /// in milliseconds, are none later than the other. Only of data that is available.
    Later {
        this: Vec<AtomId>,
        than: Vec<AtomId>,
        grain: i64,
    },
    /// The latest of several times lies within bounds. Where some data is unavailable, the latest may be later than the
    /// one that is known.
    Within {
        latest_of: Vec<AtomId>,
        may_be_later: bool,
        from: i64,
        to: i64,
    },
    Unknown,
}

impl Known {
    /// The cost of a program: how many questions are asked of each user at most, with segments and tags written out.
    pub fn width(&self, filter: &Filter) -> usize {
        let carry = |tag: &String| self.tags.get(tag).map_or(0, BTreeSet::len).max(1);
        match filter {
            Filter::All(filters) | Filter::Any(filters) => filters.iter().map(|f| self.width(f)).sum(),
            Filter::Not(filter) => self.width(filter),
            Filter::Segment(id) => self.segments.get(id).map_or(1, |f| self.width(f)),
            Filter::Received { about: About::Tag(tag), .. }
            | Filter::LastReceived { about: About::Tag(tag), .. }
            | Filter::Did { about: About::Tag(tag), .. }
            | Filter::LastEngaged { about: About::Tag(tag), .. } => carry(tag),
            // One for each channel.
            Filter::HardBounced { channel: None } | Filter::Unsubscribed { channel: None } => {
                Channel::ALL.len()
            }
            _ => 1,
        }
    }
}

/// A filter compiled, to be evaluated for many users.
#[derive(Debug)]
pub struct Program {
    ledgers: Vec<LedgerId>,
    ledger_numbers: HashMap<LedgerId, usize>,
    /// The atoms of each ledger.
    atoms: Vec<Vec<(AtomId, Atom)>>,
    numbers: HashMap<Atom, AtomId>,
    root: Node,
}

/// The facts about the current user, an entry for each atom.
#[derive(Clone, Debug)]
pub struct Facts(Vec<i64>);

const NEVER: i64 = i64::MIN;

/// The milliseconds of a second.
const SECOND: i64 = 1_000;

/// For each facet of a batch, the atoms that it matches.
#[derive(Clone, Debug, Default)]
pub struct FacetAtoms(Vec<Vec<u32>>);

impl Program {
    /// Compiles a filter. Segments must not form a cycle.
    pub fn compile(filter: &Filter, known: &Known) -> Self {
        let mut program = Self {
            ledgers: Vec::new(),
            ledger_numbers: HashMap::new(),
            atoms: Vec::new(),
            numbers: HashMap::new(),
            root: Node::Unknown,
        };
        program.root = program.node(filter, known);
        if program.needs_universe() {
            program.ledger(LedgerId::Users);
        }
        program
    }

    /// The ledgers whose rows are needed. [`Program::facet_atoms`] takes their index here.
    pub fn ledgers(&self) -> &[LedgerId] {
        &self.ledgers
    }

    /// Whether a user without rows in the named ledgers can match, or be unknown. Then every user ever seen must be
    /// evaluated.
    fn needs_universe(&self) -> bool {
        self.answer(&self.blank()) != Truth::No
    }

    fn ledger(&mut self, ledger: LedgerId) -> usize {
        let next = self.ledgers.len();
        *self.ledger_numbers.entry(ledger).or_insert_with_key(|ledger| {
            self.ledgers.push(ledger.clone());
            self.atoms.push(Vec::new());
            next
        })
    }

    fn atom(&mut self, atom: Atom) -> AtomId {
        let next = self.numbers.len();
        *self.numbers.entry(atom).or_insert_with_key(|atom| {
            self.atoms[atom.ledger].push((next, atom.clone()));
            next
        })
    }

    fn node(&mut self, filter: &Filter, known: &Known) -> Node {
        let mut nodes = |filters: &[Filter]| filters.iter().map(|f| self.node(f, known)).collect();
        match filter {
            Filter::All(filters) => Node::All(nodes(filters)),
            Filter::Any(filters) => Node::Any(nodes(filters)),
            Filter::Not(filter) => Node::Not(Box::new(self.node(filter, known))),
            Filter::Segment(id) => known.segments.get(id).map_or(Node::Unknown, |f| self.node(f, known)),
            Filter::Received { about, narrow } => self.did(about, known, &Times::default(), |ledger| {
                vec![Atom::narrowed(ledger, Kind::Received, narrow)]
            }),
            Filter::LastReceived { about, narrow, times } => {
                self.did(about, known, times, |ledger| vec![Atom::narrowed(ledger, Kind::Received, narrow)])
            }
            Filter::Did { deed, about, narrow, times } => {
                self.did(about, known, times, |ledger| Atom::of_deed(ledger, deed, narrow))
            }
            Filter::LastEngaged { about, narrow, opens, clicks, times } => {
                let of = |ledger, kind, by| Atom::narrowed(ledger, kind, narrow).by(by);
                self.did(about, known, times, |ledger| {
                    vec![of(ledger, Kind::Opened, *opens), of(ledger, Kind::Clicked, *clicks)]
                })
            }
            Filter::Converted { about: About::Source(source), .. }
            | Filter::InControl { source, is: false }
                if known.unavailable.contains(source) =>
            {
                Node::Unknown
            }
            Filter::Converted { about, conversion, ever, times } => match about.source() {
                Some(source) => self.converted(source, *conversion, *ever, times, known),
                None => self.did(about, known, times, |ledger| vec![Atom::of(ledger, Kind::Converted)]),
            },
            Filter::Entered { source, variation } => {
                self.as_known(source, known, |program| program.entered(source, variation.as_ref()))
            }
            Filter::InControl { source, is } => {
                self.as_known(source, known, |program| program.in_control(source, *is))
            }
            Filter::NeverReceived { channel } => {
                let users = self.ledger(LedgerId::Users);
                Node::HasNot(self.atom(Atom::of(users, Kind::Received).on(*channel)))
            }
            Filter::HardBounced { channel: Some(channel) } => self.hard_bounced(Some(*channel)),
            Filter::HardBounced { channel: None } => {
                let each = Channel::ALL.map(Some).into_iter().chain([None]);
                Node::Any(each.map(|channel| self.hard_bounced(channel)).collect())
            }
            Filter::MarkedSpam => {
                let users = self.ledger(LedgerId::Users);
                self.stands(vec![Atom::of(users, Kind::Complained)], vec![Atom::of(users, Kind::NotSpam)])
            }
            Filter::Unsubscribed { channel: Some(channel) } => self.unsubscribed(*channel),
            Filter::Unsubscribed { channel: None } => {
                Node::Any(Channel::ALL.map(|channel| self.unsubscribed(channel)).into())
            }
            Filter::LastInControl { times } => {
                self.did(&About::Any, known, times, |ledger| vec![Atom::of(ledger, Kind::Control)])
            }
        }
    }

    fn converted(
        &mut self,
        source: &SourceId,
        conversion: u8,
        ever: bool,
        times: &Times,
        known: &Known,
    ) -> Node {
        let ledger = self.ledger(LedgerId::Source(source.clone()));
        let about = About::Source(source.clone());
        let converted = Atom { conversion: Some(conversion), ..Atom::of(ledger, Kind::Converted) };
        let mut nodes = vec![
            self.did(&about, known, times, |_| vec![converted.clone()]),
            Node::HasNot(self.atom(Atom::of(ledger, Kind::Control))),
        ];
        if source.kind() == SourceKind::Campaign && !ever {
            let received = self.atom(Atom::of(ledger, Kind::Received));
            let than = vec![self.atom(converted)];
            nodes.push(Node::Not(Box::new(Node::Later { this: vec![received], than, grain: SECOND })));
        }
        Node::All(nodes)
    }

    /// Whether an address on that channel does not exist, or one whose channel is not known.
    fn hard_bounced(&mut self, channel: Option<Channel>) -> Node {
        let users = self.ledger(LedgerId::Users);
        let bounced = Atom { channel: Some(channel), ..Atom::of(users, Kind::HardBounced) };
        let alive = [Kind::Delivered, Kind::Opened, Kind::Clicked];
        // Machines open and click what went to an address before it died.
        let alive = alive.map(|kind| Atom::of(users, kind).on(channel).by(By::Human));
        self.stands(vec![bounced], alive.into())
    }

    fn unsubscribed(&mut self, channel: Channel) -> Node {
        let users = self.ledger(LedgerId::Users);
        let of = |kind| {
            let on = |channel| Atom { channel: Some(channel), ..Atom::of(users, kind) };
            vec![on(Some(channel)), on(None)]
        };
        self.stands(of(Kind::Unsubscribed), of(Kind::Subscribed))
    }

    /// Any of the first happened, and none of the others later.
    fn stands(&mut self, happened: Vec<Atom>, cleared: Vec<Atom>) -> Node {
        let mut ids =
            |atoms: Vec<Atom>| -> Vec<AtomId> { atoms.into_iter().map(|atom| self.atom(atom)).collect() };
        let (happened, cleared) = (ids(happened), ids(cleared));
        let any = happened.iter().map(|atom| Node::Has(*atom)).collect();
        let later = Node::Later { this: cleared, than: happened, grain: 1 };
        Node::All(vec![Node::Any(any), Node::Not(Box::new(later))])
    }

    /// A condition on a source that some row makes true. Where its data cannot be read, a late row does, and nothing makes it
    /// false.
    fn as_known(&mut self, source: &SourceId, known: &Known, node: impl FnOnce(&mut Self) -> Node) -> Node {
        match (known.unavailable.contains(source), known.late.contains(source)) {
            (false, _) => node(self),
            (true, true) => Node::Any(vec![node(self), Node::Unknown]),
            (true, false) => Node::Unknown,
        }
    }

    fn entered(&mut self, source: &SourceId, variation: Option<&String>) -> Node {
        let ledger = self.ledger(LedgerId::Source(source.clone()));
        let atoms = [Kind::Entered, Kind::Control];
        let atoms = atoms.map(|kind| Atom { variant: variation.cloned(), ..Atom::of(ledger, kind) });
        Node::Any(atoms.map(|atom| Node::Has(self.atom(atom))).into())
    }

    fn in_control(&mut self, source: &SourceId, is: bool) -> Node {
        let ledger = self.ledger(LedgerId::Source(source.clone()));
        let control = self.atom(Atom::of(ledger, Kind::Control));
        if is {
            return Node::Has(control);
        }
        let evaluated = match source.kind() {
            SourceKind::Campaign => Kind::Received,
            SourceKind::Canvas => Kind::Entered,
        };
        Node::Without { has: self.atom(Atom::of(ledger, evaluated)), not: control }
    }

    /// The ledgers that a leaf is about, and whether some of their rows cannot be read.
    fn readable(&mut self, about: &About, known: &Known) -> (Vec<usize>, bool) {
        let none = BTreeSet::new();
        let sources: Vec<&SourceId> = match about {
            About::Any => return (vec![self.ledger(LedgerId::Users)], false),
            About::Source(source) => vec![source],
            About::Tag(tag) => known.tags.get(tag).unwrap_or(&none).iter().collect(),
        };
        let is_short = sources.iter().any(|s| known.unavailable.contains(*s));
        let has_rows = |s: &&SourceId| !known.unavailable.contains(*s) || known.late.contains(*s);
        let readable = sources.into_iter().filter(has_rows);
        let ledgers: Vec<usize> = readable.map(|s| self.ledger(LedgerId::Source(s.clone()))).collect();
        (ledgers, is_short)
    }

    /// Any of the ledgers has such a row; where times are given, the latest of these rows is within them.
    fn did(
        &mut self,
        about: &About,
        known: &Known,
        times: &Times,
        atoms: impl Fn(usize) -> Vec<Atom>,
    ) -> Node {
        let (ledgers, is_short) = self.readable(about, known);
        let atoms: Vec<AtomId> = ledgers.into_iter().flat_map(atoms).map(|atom| self.atom(atom)).collect();
        if !times.is_empty() {
            let (from, to) = times.bounds(known.now);
            return Node::Within { latest_of: atoms, may_be_later: is_short, from, to };
        }
        let mut nodes: Vec<Node> = atoms.into_iter().map(Node::Has).collect();
        if is_short {
            nodes.push(Node::Unknown);
        }
        if nodes.len() == 1 { nodes.remove(0) } else { Node::Any(nodes) }
    }

    /// The atoms that the facets of a batch of a ledger match. Computed once a batch, so that a row costs a look-up.
    pub fn facet_atoms(&self, ledger: usize, facets: &[Facet]) -> FacetAtoms {
        let of = |facet: &Facet| {
            let atoms = self.atoms[ledger].iter().filter(|(_, atom)| atom.matches(facet));
            atoms.map(|(id, _)| *id as u32).collect()
        };
        FacetAtoms(facets.iter().map(of).collect())
    }

    /// How many atoms there are, if the program has one ledger and asks only which atoms a user has, and not when.
    pub(super) fn presence_atoms(&self) -> Option<usize> {
        (self.ledgers.len() == 1 && !self.root.reads_times()).then_some(self.numbers.len())
    }

    /// The answer for a user who has these atoms, as bits, and no others.
    pub(super) fn answer_of_present(&self, atoms: u64) -> Truth {
        let fact = |atom| if atoms >> atom & 1 == 1 { 0 } else { NEVER };
        self.answer(&Facts((0..self.numbers.len()).map(fact).collect()))
    }

    /// The facts of a user without rows.
    pub fn blank(&self) -> Facts {
        Facts(vec![NEVER; self.numbers.len()])
    }

    /// The answer for a user.
    pub fn answer(&self, facts: &Facts) -> Truth {
        self.root.answer(&facts.0)
    }
}

impl FacetAtoms {
    /// The atoms that each facet matches, as bits.
    pub(super) fn bits(&self) -> impl Iterator<Item = u64> {
        self.0.iter().map(|atoms| atoms.iter().fold(0, |bits, atom| bits | 1 << atom))
    }
}

impl Facts {
    /// Forgets the last user.
    pub fn reset(&mut self) {
        self.0.fill(NEVER);
    }

    /// Adds rows of the user.
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
    /// Whether the time of an atom matters, and not only that a user has it.
    fn reads_times(&self) -> bool {
        match self {
            Self::All(nodes) | Self::Any(nodes) => nodes.iter().any(Self::reads_times),
            Self::Not(node) => node.reads_times(),
            Self::Later { .. } | Self::Within { .. } => true,
            Self::Has(_) | Self::HasNot(_) | Self::Without { .. } | Self::Unknown => false,
        }
    }

    fn answer(&self, facts: &[i64]) -> Truth {
        let has = |atom: &AtomId| facts[*atom] != NEVER;
        let latest = |atoms: &[AtomId]| atoms.iter().map(|atom| facts[*atom]).max().unwrap_or(NEVER);
        match self {
            Self::All(nodes) => nodes.iter().map(|n| n.answer(facts)).min().unwrap_or(Truth::Yes),
            Self::Any(nodes) => nodes.iter().map(|n| n.answer(facts)).max().unwrap_or(Truth::No),
            Self::Not(node) => node.answer(facts).negate(),
            Self::Has(atom) => Truth::of(has(atom)),
            Self::HasNot(atom) => Truth::of(!has(atom)),
            Self::Without { has: yes, not } => Truth::of(has(yes) && !has(not)),
            Self::Later { this, than, grain } => {
                Truth::of(latest(this).div_euclid(*grain) > latest(than).div_euclid(*grain))
            }
            Self::Within { latest_of, may_be_later, from, to } => {
                let latest = latest(latest_of);
                match (latest != NEVER, *may_be_later) {
                    // Bounds that exclude each other hold for no time.
                    _ if from >= to => Truth::No,
                    // The true time is this one, or none at all.
                    (is_known, false) => Truth::of(is_known && (*from..*to).contains(&latest)),
                    // The true time is this one or later. One that is too late stays too late; one that is late enough
                    // stays so where there is no upper bound.
                    (true, true) if latest >= *to => Truth::No,
                    (true, true) if latest >= *from && *to == i64::MAX => Truth::Yes,
                    (_, true) => Truth::Unknown,
                }
            }
            Self::Unknown => Truth::Unknown,
        }
    }
}
