//! Programs answer as a plain reading of the events does, and unknown is never no.

use crate::filters::{SOURCES, filter};
use crate::support::cases;
use proptest::{
    collection::{btree_set, vec},
    prelude::*,
    sample::select,
};
use rekindle_domain::{
    facet::{Channel, Facet, Kind},
    filter::{Filter, Opens, Program, Truth},
    id::{LedgerId, SourceId},
    rows::{Row, Rows, normalize, user_hash},
};
use std::collections::BTreeSet;

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
    let what = (kind, channel, any::<bool>(), select(vec![0u8, 0, 1]), name(), name());
    // Few distinct times, so that "at the same time" happens.
    (0usize..4, select(SOURCES.to_vec()), what, 0i64..6, 0usize..4).prop_map(
        |(user, source, (kind, channel, machine, conversion, variant, alias), at, batch)| {
            let facet = Facet {
                kind,
                channel,
                machine: machine && kind == Kind::Opened,
                conversion: if kind == Kind::Converted { conversion } else { 0 },
                variant: variant.map(Into::into),
                step: None,
                alias: alias.filter(|_| kind == Kind::Clicked).map(Into::into),
            };
            Event { user, source: source.parse().unwrap(), facet, at, batch }
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

/// What a filter means, read off a list of events. `None`: unknown.
fn naive(filter: &Filter, events: &[&Event], unavailable: &BTreeSet<SourceId>) -> Option<bool> {
    let latest = |source: &SourceId, kind: Kind, fits: &dyn Fn(&Facet) -> bool| -> Option<i64> {
        let of = events.iter().filter(|e| e.source == *source && e.facet.kind == kind && fits(&e.facet));
        of.map(|e| e.at).max()
    };
    let each = |filters: &[Filter]| -> Vec<Option<bool>> {
        filters.iter().map(|f| naive(f, events, unavailable)).collect()
    };
    let known = |source: &SourceId| !unavailable.contains(source);
    let on = |want: &Option<Channel>, facet: &Facet| want.is_none() || *want == facet.channel;
    let named = |want: &Option<String>, is: &Option<Box<str>>| match (want, is) {
        (None, _) => true,
        (Some(want), Some(is)) => **want == **is,
        (Some(_), None) => false,
    };
    match filter {
        Filter::All(filters) => {
            let answers = each(filters);
            if answers.contains(&Some(false)) {
                Some(false)
            } else {
                (!answers.contains(&None)).then_some(true)
            }
        }
        Filter::Any(filters) => {
            let answers = each(filters);
            if answers.contains(&Some(true)) {
                Some(true)
            } else {
                (!answers.contains(&None)).then_some(false)
            }
        }
        Filter::Not(filter) => naive(filter, events, unavailable).map(|yes| !yes),
        Filter::Received { source, variant, channel } => known(source).then(|| {
            latest(source, Kind::Received, &|f| named(variant, &f.variant) && on(channel, f)).is_some()
        }),
        Filter::Opened { source, channel, opens } => known(source).then(|| {
            let counts = |f: &Facet| match opens {
                Opens::Any => true,
                Opens::Machine => f.machine,
                Opens::Human => !f.machine,
            };
            latest(source, Kind::Opened, &|f| on(channel, f) && counts(f)).is_some()
        }),
        Filter::Clicked { source, channel, alias } => known(source)
            .then(|| latest(source, Kind::Clicked, &|f| on(channel, f) && named(alias, &f.alias)).is_some()),
        Filter::Converted { source } => known(source).then(|| {
            let converted = latest(source, Kind::Converted, &|f| f.conversion == 0);
            let received = latest(source, Kind::Received, &|_| true);
            let is_control = latest(source, Kind::Control, &|_| true).is_some();
            match (converted, received) {
                _ if is_control => false,
                (Some(converted), Some(received)) => converted >= received,
                (converted, None) => converted.is_some(),
                (None, _) => false,
            }
        }),
        Filter::InControl { source, is } => known(source).then(|| {
            let is_control = latest(source, Kind::Control, &|_| true).is_some();
            let received = latest(source, Kind::Received, &|_| true).is_some();
            if *is { is_control } else { received && !is_control }
        }),
        Filter::NeverReceived { channel } => {
            Some(!events.iter().any(|e| e.facet.kind == Kind::Received && on(channel, &e.facet)))
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
            let atoms = program.facet_atoms(number, &rows);
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
    fn programs_answer_as_a_plain_reading_does(filter in filter(4), events in events(), unavailable in unavailable()) {
        let program = Program::compile(&filter, &unavailable);
        for (user, answer) in answers(&program, &events).into_iter().enumerate() {
            let of: Vec<&Event> = events.iter().filter(|e| e.user == user).collect();
            prop_assert_eq!(answer, truth(naive(&filter, &of, &unavailable)), "{}", USERS[user]);
            // Who is in none of the ledgers that are read is not found, and must be a certain no.
            let is_seen = program.ledgers().iter().any(|ledger| match ledger {
                LedgerId::Users => true,
                LedgerId::Source(source) => of.iter().any(|e| e.source == *source),
            });
            prop_assert!(is_seen || answer == Truth::No, "{} would be missed", USERS[user]);
        }
        // Nothing is read of what is unavailable.
        for ledger in program.ledgers() {
            prop_assert!(!matches!(ledger, LedgerId::Source(s) if unavailable.contains(s)));
        }
        // Facts can be used again for the next user.
        let mut facts = program.blank();
        for rows in program.ledgers().first().map(|l| batches(l, &events)).unwrap_or_default() {
            let atoms = program.facet_atoms(0, &rows);
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
        unavailable in unavailable(),
        less in unavailable(),
    ) {
        let less: BTreeSet<SourceId> = unavailable.intersection(&less).cloned().collect();
        let before = answers(&Program::compile(&filter, &unavailable), &events);
        for known in [&less, &BTreeSet::new()] {
            let after = answers(&Program::compile(&filter, known), &events);
            for (before, after) in before.iter().zip(after) {
                prop_assert!(*before == Truth::Unknown || *before == after, "{before:?} became {after:?}");
            }
        }
    }

    /// A leaf over expired data is unknown for everybody, whoever they are and whatever came in late.
    #[test]
    fn l7_a_leaf_over_expired_data_is_unknown(filter in filter(1), events in events()) {
        let expired = filter.sources();
        for answer in answers(&Program::compile(&filter, &expired), &events) {
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
    Filter::Received { source: source.parse().unwrap(), variant: None, channel: None }
}

fn answer(filter: &Filter) -> Truth {
    let source: SourceId = "campaign/a".parse().unwrap();
    let event = Event { user: 0, source, facet: Facet::of(Kind::Received), at: 1, batch: 0 };
    answers(&Program::compile(filter, &BTreeSet::from(["canvas/c".parse().unwrap()])), &[event])[0]
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
        answers(&Program::compile(filter, &BTreeSet::new()), &events)[0]
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
