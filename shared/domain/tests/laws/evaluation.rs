//! Programs answer as a plain reading of the events does, and unknown is never no.

use crate::filters::{NOW, SEGMENTS, SOURCES, TAGS, filter};
use crate::support::{Model, cases, pack, rows_of, sort_by_hash};
use proptest::{
    collection::{btree_set, vec},
    prelude::*,
    sample::select,
};
use rekindle_domain::{
    block::{Cover, Position, Sealed, encode},
    facet::{Channel, Facet, Kind},
    filter::{About, Filter, Known, Narrow, Opens, Program, Tallied, Times, Truth},
    id::{LedgerId, SourceId, SourceKind},
    rows::{Row, Rows, normalize, user_hash},
    time::Time,
};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

const USERS: [&str; 5] = ["u0", "u1", "u2", "u3", "nobody"];

/// One interaction, as it happened.
#[derive(Clone, Debug)]
struct Event {
    user: usize,
    source: SourceId,
    facet: Facet,
    at: i64,
    /// In which batch it was stored.
    batch: usize,
}

fn event() -> impl Strategy<Value = Event> {
    let kind =
        prop_oneof![3 => Just(Kind::Received), 2 => Just(Kind::Converted), 5 => select(Kind::ALL.to_vec())];
    let channel = select(vec![None, Some(Channel::Email), Some(Channel::Push), Some(Channel::Sms)]);
    let name = || select(vec![None, Some("A"), Some("B"), Some("C")]);
    let what = (kind, channel, any::<bool>(), select(vec![0u8, 0, 1]), name(), name(), name());
    // Few distinct times, so that "at the same time" happens.
    (0usize..4, select(SOURCES.to_vec()), what, 0i64..6, 0usize..4).prop_map(
        |(user, source, (kind, channel, machine, conversion, variant, step, alias), at, batch)| {
            let source: SourceId = source.parse().unwrap();
            let facet = Facet {
                kind,
                channel,
                machine: machine && kind == Kind::Opened,
                conversion: if kind == Kind::Converted { conversion } else { 0 },
                variant: variant.map(Into::into),
                step: step.filter(|_| source.kind() == SourceKind::Canvas).map(Into::into),
                alias: alias.filter(|_| kind == Kind::Clicked).map(Into::into),
            };
            Event { user, source, facet, at, batch }
        },
    )
}

/// Some events, a few of them several times over and in other batches.
fn events() -> impl Strategy<Value = Vec<Event>> {
    (vec(event(), 0..25), vec((any::<prop::sample::Index>(), 0usize..4), 0..8)).prop_map(
        |(mut events, again)| {
            for (at, batch) in again {
                if !events.is_empty() {
                    let event = events[at.index(events.len())].clone();
                    events.push(Event { batch, ..event });
                }
            }
            events
        },
    )
}

fn unavailable() -> impl Strategy<Value = BTreeSet<SourceId>> {
    btree_set(select(SOURCES.to_vec()).prop_map(|s| s.parse().unwrap()), 0..=3)
}

/// What is known beside events: one tag has some sources, the other none; one segment stands in the other.
fn known() -> impl Strategy<Value = Known> {
    (unavailable(), unavailable(), filter(2), filter(2)).prop_map(|(unavailable, tagged, one, other)| {
        let without_segments = |f: Filter| if f.segments().is_empty() { f } else { Filter::HardBounced };
        let one = without_segments(one);
        let other = Filter::Any(vec![Filter::Segment(SEGMENTS[0].to_owned()), without_segments(other)]);
        Known {
            now: NOW,
            unavailable,
            tags: BTreeMap::from([(TAGS[0].to_owned(), tagged), (TAGS[1].to_owned(), BTreeSet::new())]),
            segments: BTreeMap::from([(SEGMENTS[0].to_owned(), one), (SEGMENTS[1].to_owned(), other)]),
        }
    })
}

/// The same with other data unavailable.
fn with(known: &Known, unavailable: BTreeSet<SourceId>) -> Known {
    Known { unavailable, ..known.clone() }
}

fn is_within(times: &Times, at: i64) -> bool {
    let ago = |period: &rekindle_domain::time::Period| period.before(NOW).unwrap().0;
    times.before.is_none_or(|t| at < t.0)
        && times.after.is_none_or(|t| at >= t.0)
        && times.more_than.as_ref().is_none_or(|d| at < ago(d))
        && times.less_than.as_ref().is_none_or(|d| at >= ago(d))
}

/// Kleene's "or" and "and", by their definitions.
fn any_of(answers: &[Option<bool>]) -> Option<bool> {
    if answers.contains(&Some(true)) { Some(true) } else { (!answers.contains(&None)).then_some(false) }
}

fn all_of(answers: &[Option<bool>]) -> Option<bool> {
    if answers.contains(&Some(false)) { Some(false) } else { (!answers.contains(&None)).then_some(true) }
}

/// What a filter means, read off a list of events. `None`: unknown.
fn naive(filter: &Filter, events: &[&Event], known: &Known) -> Option<bool> {
    let on = |want: &Option<Channel>, facet: &Facet| want.is_none() || *want == facet.channel;
    let named = |want: &Option<String>, is: &Option<Box<str>>| match (want, is) {
        (None, _) => true,
        (Some(want), Some(is)) => **want == **is,
        (Some(_), None) => false,
    };
    let counts = |opens: &Opens, f: &Facet| match opens {
        Opens::Any => true,
        Opens::Machine => f.machine,
        Opens::Human => !f.machine,
    };
    let fits = |narrow: &Narrow, f: &Facet| {
        named(&narrow.variant, &f.variant) && named(&narrow.step, &f.step) && on(&narrow.channel, f)
    };
    // The latest event of a kind, of one source or of any.
    let latest = |source: Option<&SourceId>, kind: Kind, fits: &dyn Fn(&Facet) -> bool| -> Option<i64> {
        let of =
            |e: &&&Event| source.is_none_or(|s| e.source == *s) && e.facet.kind == kind && fits(&e.facet);
        events.iter().filter(of).map(|e| e.at).max()
    };
    let is_known = |source: &SourceId| !known.unavailable.contains(source);
    let sources = |about: &About| -> Vec<SourceId> {
        match about {
            About::Source(source) => vec![source.clone()],
            About::Tag(tag) => known.tags[tag].iter().cloned().collect(),
            About::Any => unreachable!("asked of the users ledger"),
        }
    };
    // Whether any of the sources has such an event.
    let has = |about: &About, kind: Kind, fits: &dyn Fn(&Facet) -> bool| -> Option<bool> {
        if *about == About::Any {
            return Some(latest(None, kind, fits).is_some());
        }
        let each = |s: &SourceId| is_known(s).then(|| latest(Some(s), kind, fits).is_some());
        any_of(&sources(about).iter().map(each).collect::<Vec<_>>())
    };
    let each = |filters: &[Filter]| -> Vec<Option<bool>> {
        filters.iter().map(|f| naive(f, events, known)).collect()
    };
    match filter {
        Filter::All(filters) => all_of(&each(filters)),
        Filter::Any(filters) => any_of(&each(filters)),
        Filter::Not(filter) => naive(filter, events, known).map(|yes| !yes),
        Filter::Segment(id) => naive(&known.segments[id], events, known),
        Filter::Received { about, narrow } => has(about, Kind::Received, &|f| fits(narrow, f)),
        Filter::Opened { about, narrow, opens } => {
            has(about, Kind::Opened, &|f| fits(narrow, f) && counts(opens, f))
        }
        Filter::Clicked { about, narrow, alias } => {
            has(about, Kind::Clicked, &|f| fits(narrow, f) && named(alias, &f.alias))
        }
        Filter::LastReceived { about, narrow, times } => {
            let received = |s: Option<&SourceId>| latest(s, Kind::Received, &|f| fits(narrow, f));
            if *about == About::Any {
                return Some(received(None).is_some_and(|at| is_within(times, at)));
            }
            let (can, cannot): (Vec<_>, Vec<_>) = sources(about).into_iter().partition(&is_known);
            let at = can.iter().filter_map(|s| received(Some(s))).max();
            if cannot.is_empty() {
                return Some(at.is_some_and(|at| is_within(times, at)));
            }
            // What is expired may hold a later receipt, or none: the answer is known if it is the same for all of these.
            let possible = (at.unwrap_or(-5)..20).map(Some).filter(|t| at.is_none() || *t >= at);
            let possible: Vec<Option<i64>> =
                if at.is_none() { [None].into_iter().chain(possible).collect() } else { possible.collect() };
            let answers: BTreeSet<bool> =
                possible.iter().map(|t| t.is_some_and(|t| is_within(times, t))).collect();
            (answers.len() == 1).then(|| answers.contains(&true))
        }
        Filter::Converted { source } => is_known(source).then(|| {
            let converted = latest(Some(source), Kind::Converted, &|f| f.conversion == 0);
            let received = latest(Some(source), Kind::Received, &|_| true);
            let is_control = latest(Some(source), Kind::Control, &|_| true).is_some();
            match (converted, received) {
                _ if is_control => false,
                (Some(converted), Some(received)) if source.kind() == SourceKind::Campaign => {
                    converted >= received
                }
                (converted, _) => converted.is_some(),
            }
        }),
        Filter::Entered { source, variation } => is_known(source).then(|| {
            let of = |kind| latest(Some(source), kind, &|f| named(variation, &f.variant)).is_some();
            of(Kind::Entered) || of(Kind::Control)
        }),
        Filter::InControl { source, is } => is_known(source).then(|| {
            let of = |kind| latest(Some(source), kind, &|_| true).is_some();
            let was_evaluated = match source.kind() {
                SourceKind::Campaign => of(Kind::Received),
                SourceKind::Canvas => of(Kind::Entered),
            };
            if *is { of(Kind::Control) } else { was_evaluated && !of(Kind::Control) }
        }),
        Filter::LastEngaged { channel, opens, times } => {
            let opened = latest(None, Kind::Opened, &|f| on(channel, f) && counts(opens, f));
            let clicked = latest(None, Kind::Clicked, &|f| on(channel, f));
            Some(opened.max(clicked).is_some_and(|at| is_within(times, at)))
        }
        Filter::NeverReceived { channel } => {
            Some(latest(None, Kind::Received, &|f| on(channel, f)).is_none())
        }
        Filter::HardBounced => Some(latest(None, Kind::HardBounced, &|_| true).is_some()),
        Filter::MarkedSpam => Some(latest(None, Kind::Complained, &|_| true).is_some()),
        Filter::LastInControl { times } => {
            Some(latest(None, Kind::Control, &|_| true).is_some_and(|at| is_within(times, at)))
        }
    }
}

/// The rows of a ledger, as batches: those that events were stored in, each with its own dictionary.
fn batches(ledger: &LedgerId, events: &[Event]) -> Vec<Rows> {
    let facet = |e: &Event| {
        if *ledger == LedgerId::Users { e.facet.for_users() } else { e.facet.clone() }
    };
    let batch = |number: usize| {
        let of: Vec<&Event> = events
            .iter()
            .filter(|e| {
                e.batch == number
                    && (*ledger == LedgerId::Users || *ledger == LedgerId::Source(e.source.clone()))
            })
            .collect();
        let mut facets: Vec<Facet> = Vec::new();
        for event in &of {
            if !facets.contains(&facet(event)) {
                facets.push(facet(event));
            }
        }
        let mut rows = Rows::with_facets(facets.clone());
        for (number, id) in USERS.iter().enumerate() {
            let mut user: Vec<Row> = (of.iter().filter(|e| e.user == number))
                .map(|e| Row {
                    facet: facets.iter().position(|f| *f == facet(e)).unwrap() as u32,
                    first_at: e.at,
                    last_at: e.at,
                })
                .collect();
            normalize(&mut user);
            if !user.is_empty() {
                rows.push(user_hash(id.as_bytes()), id.as_bytes(), &user);
            }
        }
        rows
    };
    (0..4).map(batch).collect()
}

/// The answers for all users, found as a reader finds them: every batch of every ledger the program asks for.
fn answers(program: &Program, events: &[Event]) -> Vec<Truth> {
    let mut learned: Vec<_> = USERS.iter().map(|_| program.blank()).collect();
    for (number, ledger) in program.ledgers().iter().enumerate() {
        for rows in batches(ledger, events) {
            let atoms = program.facet_atoms(number, &rows.facets);
            for (user, facts) in USERS.iter().zip(&mut learned) {
                for of in rows.iter().filter(|u| u.id == user.as_bytes()) {
                    facts.learn(of.rows, &atoms);
                }
            }
        }
    }
    learned.iter().map(|facts| program.answer(facts)).collect()
}

fn truth(answer: Option<bool>) -> Truth {
    answer.map_or(Truth::Unknown, |yes| if yes { Truth::Yes } else { Truth::No })
}

proptest! {
    #![proptest_config(cases(1_500))]

    #[test]
    fn programs_answer_as_a_plain_reading_does(filter in filter(6), events in events(), known in known()) {
        let program = Program::compile(&filter, &known);
        for (user, answer) in answers(&program, &events).into_iter().enumerate() {
            let of: Vec<&Event> = events.iter().filter(|e| e.user == user).collect();
            prop_assert_eq!(answer, truth(naive(&filter, &of, &known)), "{}", USERS[user]);
            // Who is in none of the ledgers that are read is not found, and must be a certain no.
            let is_seen = program.ledgers().iter().any(|ledger| match ledger {
                LedgerId::Users => true,
                LedgerId::Source(source) => of.iter().any(|e| e.source == *source),
            });
            prop_assert!(is_seen || answer == Truth::No, "{} would be missed", USERS[user]);
        }
        // Nothing is read of what is unavailable.
        for ledger in program.ledgers() {
            prop_assert!(!matches!(ledger, LedgerId::Source(s) if known.unavailable.contains(s)));
        }
        // Facts can be used again for the next user.
        let mut facts = program.blank();
        for rows in program.ledgers().first().map(|l| batches(l, &events)).unwrap_or_default() {
            let atoms = program.facet_atoms(0, &rows.facets);
            rows.iter().for_each(|u| facts.learn(u.rows, &atoms));
        }
        facts.reset();
        prop_assert_eq!(program.answer(&facts), program.answer(&program.blank()));
    }

    /// A certain answer stays what it is when more data becomes available.
    #[test]
    fn l7_expired_data_never_makes_a_wrong_answer(
        filter in filter(4),
        events in events(),
        known in known(),
        less in unavailable(),
    ) {
        let less: BTreeSet<SourceId> = known.unavailable.intersection(&less).cloned().collect();
        let before = answers(&Program::compile(&filter, &known), &events);
        for less in [&less, &BTreeSet::new()] {
            let after = answers(&Program::compile(&filter, &with(&known, less.clone())), &events);
            for (before, after) in before.iter().zip(after) {
                prop_assert!(*before == Truth::Unknown || *before == after, "{before:?} became {after:?}");
            }
        }
    }

    /// A leaf over expired data is unknown for everybody, whoever they are and whatever came in late.
    #[test]
    fn l7_a_leaf_over_expired_data_is_unknown(filter in filter(1), events in events(), known in known()) {
        let expired = filter.sources();
        prop_assume!(filter.tags().is_empty() && filter.segments().is_empty());
        let known = with(&known, expired.clone());
        for answer in answers(&Program::compile(&filter, &known), &events) {
            prop_assert_eq!(answer == Truth::Unknown, !expired.is_empty());
        }
    }
}

/// One leaf for each truth value: received, not received, expired.
fn leaf(of: Truth) -> Filter {
    let source = match of {
        Truth::Yes => "campaign/a",
        Truth::No => "campaign/b",
        Truth::Unknown => "canvas/c",
    };
    Filter::Received { about: About::Source(source.parse().unwrap()), narrow: Narrow::default() }
}

fn nothing_expired() -> Known {
    Known { now: NOW, ..Known::default() }
}

fn answer(filter: &Filter) -> Truth {
    let source: SourceId = "campaign/a".parse().unwrap();
    let event = Event { user: 0, source, facet: Facet::of(Kind::Received), at: 1, batch: 0 };
    let known = with(&nothing_expired(), BTreeSet::from(["canvas/c".parse().unwrap()]));
    answers(&Program::compile(filter, &known), &[event])[0]
}

/// Filters that ask nothing but what users have done with one source, of whom received it.
fn about_one(source: &'static str) -> impl Strategy<Value = Filter> {
    let source: SourceId = source.parse().unwrap();
    let is_canvas = source.kind() == SourceKind::Canvas;
    let name = || select(vec![None, Some("A".to_owned()), Some("B".to_owned())]);
    let channel = select(vec![None, Some(Channel::Email), Some(Channel::Push)]);
    let about = About::Source(source.clone());
    let what = (0u8..6, name(), name(), channel, select(vec![Opens::Any, Opens::Machine, Opens::Human]));
    let of_source = source.clone();
    let leaf = what.prop_map(move |(which, variant, other, channel, opens)| {
        let step = other.clone().filter(|_| is_canvas);
        let narrow = Narrow { variant: variant.clone(), step, channel };
        let (about, source) = (about.clone(), of_source.clone());
        match which {
            0 => Filter::Received { about, narrow },
            1 => Filter::Opened { about, narrow, opens },
            2 => Filter::Clicked { about, narrow, alias: other },
            3 if is_canvas => Filter::Converted { source },
            3 | 4 if is_canvas => Filter::Entered { source, variation: variant },
            3..5 => Filter::InControl { source, is: variant.is_some() },
            // Nobody knows it: unknown.
            _ => Filter::Segment("gone".to_owned()),
        }
    });
    let nested = leaf.prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 1..4).prop_map(Filter::All),
            vec(inner.clone(), 1..4).prop_map(Filter::Any),
            inner.prop_map(|f| Filter::Not(Box::new(f))),
        ]
    });
    let received = Filter::Received { about: About::Source(source), narrow: Narrow::default() };
    nested.prop_map(move |filter| Filter::All(vec![received.clone(), filter]))
}

/// What many users did with one source.
fn many_users() -> impl Strategy<Value = Model> {
    // No more facets than a block has that is counted whole.
    (vec(event(), 1..100), vec((0u32..300, any::<prop::sample::Index>()), 1..700)).prop_map(|(what, who)| {
        let mut users: BTreeMap<Vec<u8>, crate::support::UserModel> = BTreeMap::new();
        for (user, event) in who {
            let event = &what[event.index(what.len())];
            let rows = users.entry(format!("u{user}").into_bytes()).or_default();
            rows.entry(event.facet.clone()).or_insert((event.at, event.at));
        }
        let mut users: Model = users.into_iter().collect();
        sort_by_hash(&mut users);
        users
    })
}

proptest! {
    #![proptest_config(cases(500))]

    /// Whole blocks are counted as their users are, one by one.
    #[test]
    fn blocks_are_counted_as_their_users_are(
        filter in prop_oneof![about_one("campaign/a"), about_one("canvas/c")],
        users in many_users(),
        limit in 4_096usize..20_000,
    ) {
        let program = Program::compile(&filter, &nothing_expired());
        let rows = rows_of(&users);
        let atoms = program.facet_atoms(0, &rows.facets);
        let mut facts = program.blank();
        let mut expected = Tallied::default();
        for user in rows.iter() {
            facts.reset();
            facts.learn(user.rows, &atoms);
            match program.answer(&facts) {
                Truth::Yes => expected.yes += 1,
                Truth::Unknown => expected.unknown += 1,
                Truth::No => {}
            }
        }
        // A filter with too many atoms has none.
        if let Some(mut presence) = program.presence() {
            let mut found = Tallied::default();
            for block in pack(0, limit, &rows) {
                let of_block = presence.count(&Sealed::open(block.bytes).unwrap()).unwrap().unwrap();
                found.yes += of_block.yes;
                found.unknown += of_block.unknown;
            }
            prop_assert_eq!(found, expected);
        }
    }
}

/// Which filters can be answered by what users have done and no more, and which cannot.
#[test]
fn times_and_other_sources_need_more_than_what_was_done() {
    let has_presence = |filter: serde_json::Value| {
        let filter = Filter::parse(&filter, "filter").unwrap();
        Program::compile(&filter, &nothing_expired()).presence().is_some()
    };
    let received = |source: &str| json!({ "received": { "source": source } });
    let not = |filter: serde_json::Value| json!({ "not": filter });
    let all = |filters: &[serde_json::Value]| json!({ "all": filters });
    let clicked = json!({ "clicked": { "source": "campaign/a", "alias": "cta" } });
    assert!(has_presence(received("campaign/a")));
    assert!(has_presence(all(&[received("campaign/a"), not(clicked.clone())])));
    assert!(has_presence(json!({ "converted": { "source": "canvas/c" } })));
    assert!(has_presence(json!({ "hard_bounced": {} })));
    // Over everybody, of whom another ledger knows.
    assert!(!has_presence(not(clicked)));
    assert!(!has_presence(all(&[received("campaign/a"), received("campaign/b")])));
    // A campaign's conversion counts on the last message.
    assert!(!has_presence(json!({ "converted": { "source": "campaign/a" } })));
    assert!(!has_presence(json!({ "last_received": { "source": "campaign/a", "less_than": "P1D" } })));
}

/// A user of more rows than a byte can count, and a block of more facets: read in full.
#[test]
fn what_columns_of_bytes_cannot_say_is_read_in_full() {
    let filter = Filter::parse(&json!({ "clicked": { "source": "campaign/a" } }), "filter").unwrap();
    let program = Program::compile(&filter, &nothing_expired());
    let block = |users: usize, each: usize| {
        let facet = |n: usize| Facet { alias: Some(n.to_string().into()), ..Facet::of(Kind::Clicked) };
        let rows = |user: usize| (user * each..(user + 1) * each).map(|n| (facet(n), (1, 1))).collect();
        let mut users: Model = (0..users).map(|u| (u.to_string().into_bytes(), rows(u))).collect();
        sort_by_hash(&mut users);
        let rows = rows_of(&users);
        let cover = Cover { start: Position::at(0), next: None };
        Sealed::open(encode(&rows, 0..rows.len(), Some(cover))).unwrap()
    };
    let mut presence = program.presence().unwrap();
    let mut count = |block: &Sealed<Vec<u8>>| presence.count(block).unwrap().map(|found| found.yes);
    assert_eq!(count(&block(2, 100)), Some(2));
    assert_eq!(count(&block(1, 300)), None);
    assert_eq!(count(&block(300, 1)), None);
    // And the one before does not show in the next.
    assert_eq!(count(&block(3, 50)), Some(3));
}

/// Kleene's tables, and the laws that hold in his logic.
#[test]
fn l7_connectives_follow_kleene() {
    use Truth::{No, Unknown, Yes};
    let not = |f: Filter| Filter::Not(Box::new(f));
    assert_eq!([Yes, No, Unknown].map(|t| answer(&not(leaf(t)))), [No, Yes, Unknown]);
    let table = [
        (Yes, Yes, Yes, Yes),
        (Yes, No, No, Yes),
        (Yes, Unknown, Unknown, Yes),
        (No, No, No, No),
        (No, Unknown, No, Unknown),
        (Unknown, Unknown, Unknown, Unknown),
    ];
    for (a, b, all, any) in table {
        for (a, b) in [(a, b), (b, a)] {
            let (fa, fb) = (leaf(a), leaf(b));
            assert_eq!(answer(&Filter::All(vec![fa.clone(), fb.clone()])), all, "{a:?} and {b:?}");
            assert_eq!(answer(&Filter::Any(vec![fa.clone(), fb.clone()])), any, "{a:?} or {b:?}");
            // De Morgan, and double negation.
            let neither = not(Filter::Any(vec![fa.clone(), fb.clone()]));
            assert_eq!(answer(&neither), answer(&Filter::All(vec![not(fa.clone()), not(fb.clone())])));
            assert_eq!(answer(&not(not(fa.clone()))), a);
            // Absorption.
            let inner = Filter::Any(vec![fa.clone(), fb]);
            assert_eq!(answer(&Filter::All(vec![fa, inner])), a);
        }
        assert_eq!(a.negate().negate(), a);
    }
    // "Received or not received" of expired data is not a certain yes.
    assert_eq!(answer(&Filter::Any(vec![leaf(Unknown), not(leaf(Unknown))])), Unknown);
}

/// The traps in `semantics.md`, one by one.
#[test]
fn conversions_count_on_the_last_message_and_never_in_control() {
    let source: SourceId = "campaign/a".parse().unwrap();
    let converted = Filter::Converted { source: source.clone() };
    let control = |is| Filter::InControl { source: source.clone(), is };
    let ask = |filter: &Filter, of: &[(Kind, u8, i64)]| {
        let event = |&(kind, conversion, at): &(Kind, u8, i64)| Event {
            user: 0,
            source: source.clone(),
            facet: Facet { conversion, ..Facet::of(kind) },
            at,
            batch: 0,
        };
        let events: Vec<Event> = of.iter().map(event).collect();
        answers(&Program::compile(filter, &nothing_expired()), &events)[0]
    };
    use Kind::{Control, Converted, Opened, Received};
    assert_eq!(ask(&converted, &[(Received, 0, 1), (Converted, 0, 2)]), Truth::Yes);
    assert_eq!(ask(&converted, &[(Received, 0, 2), (Converted, 0, 2)]), Truth::Yes);
    assert_eq!(ask(&converted, &[(Converted, 0, 2)]), Truth::Yes);
    assert_eq!(ask(&converted, &[(Received, 0, 3), (Converted, 0, 2)]), Truth::No);
    assert_eq!(ask(&converted, &[(Received, 0, 1), (Converted, 1, 2)]), Truth::No);
    // Several in one row: the last of each counts.
    assert_eq!(ask(&converted, &[(Received, 0, 1), (Received, 0, 5), (Converted, 0, 3)]), Truth::No);
    assert_eq!(ask(&converted, &[(Received, 0, 3), (Converted, 0, 1), (Converted, 0, 5)]), Truth::Yes);
    assert_eq!(ask(&converted, &[(Received, 0, 1), (Converted, 0, 2), (Control, 0, 9)]), Truth::No);
    assert_eq!(ask(&control(true), &[(Control, 0, 1)]), Truth::Yes);
    assert_eq!(ask(&control(false), &[(Control, 0, 1)]), Truth::No);
    assert_eq!(ask(&control(false), &[(Received, 0, 1)]), Truth::Yes);
    assert_eq!(ask(&control(true), &[(Received, 0, 1)]), Truth::No);
    // Who did something else only was evaluated for neither.
    assert_eq!(ask(&control(true), &[(Opened, 0, 1)]), Truth::No);
    assert_eq!(ask(&control(false), &[(Opened, 0, 1)]), Truth::No);
}

/// The latest receipt over a tag, where some of it is expired: that can only raise it.
#[test]
fn l7_what_is_expired_can_only_raise_the_latest_receipt_of_a_tag() {
    let known = Known {
        now: Time(1_000),
        unavailable: BTreeSet::from(["campaign/b".parse().unwrap()]),
        tags: BTreeMap::from([(
            "promo".to_owned(),
            ["campaign/a", "campaign/b"].map(|s| s.parse().unwrap()).into(),
        )]),
        segments: BTreeMap::new(),
    };
    let ask = |bound: &str, value: &str, at: Option<i64>| {
        let filter = json!({"last_received": {"tag": "promo", bound: value}});
        let filter = Filter::parse(&filter, "filter").unwrap();
        let source: SourceId = "campaign/a".parse().unwrap();
        let event =
            |at| Event { user: 0, source: source.clone(), facet: Facet::of(Kind::Received), at, batch: 0 };
        let events: Vec<Event> = at.into_iter().map(event).collect();
        answers(&Program::compile(&filter, &known), &events)[0]
    };
    // Received lately: certainly within the last half second, certainly not only before it.
    assert_eq!(ask("less_than", "PT0.5S", Some(900)), Truth::Yes);
    assert_eq!(ask("more_than", "PT0.5S", Some(900)), Truth::No);
    // Long ago, or never as far as is known: the other may have been lately.
    for at in [Some(100), None] {
        assert_eq!(ask("less_than", "PT0.5S", at), Truth::Unknown);
        assert_eq!(ask("more_than", "PT0.5S", at), Truth::Unknown);
    }
    assert_eq!(ask("before", "1970-01-01T00:00:00.900Z", Some(900)), Truth::No);
    assert_eq!(ask("after", "1970-01-01T00:00:00.900Z", Some(900)), Truth::Yes);
}

/// Whoever never received a message is within none of the four bounds, and so within every "not".
#[test]
fn who_never_received_is_within_no_bounds() {
    for times in [
        json!({"before": "2100-01-01T00:00:00Z"}),
        json!({"after": "1971-01-01T00:00:00Z"}),
        json!({"more_than": "P1D"}),
        json!({"less_than": "P40Y"}),
    ] {
        let mut body = times;
        body["source"] = "campaign/a".into();
        let last = Filter::parse(&json!({ "last_received": body }), "filter").unwrap();
        assert_eq!(answers(&Program::compile(&last, &nothing_expired()), &[])[0], Truth::No);
        let not = Filter::Not(Box::new(last));
        assert_eq!(answers(&Program::compile(&not, &nothing_expired()), &[])[0], Truth::Yes);
    }
}

/// A Canvas's control group has entered; who never entered is in neither answer about it, and in "has not entered".
#[test]
fn control_counts_as_entered_and_who_never_entered_is_in_neither_answer() {
    let canvas: SourceId = "canvas/c".parse().unwrap();
    let ask = |filter: serde_json::Value, kinds: &[Kind]| {
        let event =
            |kind: &Kind| Event { user: 0, source: canvas.clone(), facet: Facet::of(*kind), at: 1, batch: 0 };
        let events: Vec<Event> = kinds.iter().map(event).collect();
        let filter = Filter::parse(&filter, "filter").unwrap();
        answers(&Program::compile(&filter, &nothing_expired()), &events)[0]
    };
    let control = |is: bool| json!({"in_control": {"source": "canvas/c", "is": is}});
    let entered = || json!({"entered": {"source": "canvas/c"}});
    assert_eq!(ask(entered(), &[Kind::Control]), Truth::Yes);
    assert_eq!(ask(control(true), &[Kind::Control]), Truth::Yes);
    assert_eq!(ask(control(false), &[Kind::Entered]), Truth::Yes);
    assert_eq!(ask(control(false), &[Kind::Entered, Kind::Control]), Truth::No);
    for is in [true, false] {
        assert_eq!(ask(control(is), &[Kind::Received, Kind::Opened]), Truth::No);
    }
    assert_eq!(ask(json!({"not": entered()}), &[Kind::Received]), Truth::Yes);
    // Of a Canvas any primary conversion counts, whenever the last message was.
    let converted = || json!({"converted": {"source": "canvas/c"}});
    assert_eq!(ask(converted(), &[Kind::Converted]), Truth::Yes);
    assert_eq!(ask(converted(), &[Kind::Converted, Kind::Control]), Truth::No);
}
