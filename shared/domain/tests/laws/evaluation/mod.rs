//! Programs answer as a plain reading of the events does, and unknown is never no.

mod naive;
mod presence;
mod traps;

use self::naive::naive;
use crate::filters::{NOW, SEGMENTS, SOURCES, TAGS, TICK, filter};
use crate::support::cases;
use proptest::{
    collection::{btree_set, vec},
    prelude::*,
    sample::select,
};
use rekindle_domain::{
    facet::{Channel, Facet, Kind},
    filter::{Filter, Known, Program, Truth},
    id::{LedgerId, SourceId, SourceKind},
    rows::{Row, Rows, normalize, user_hash},
};
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
    // Few distinct times, so that "at the same time" and "in the same second" happen.
    (0usize..4, select(SOURCES.to_vec()), what, 0i64..6, 0usize..4).prop_map(
        |(user, source, (kind, channel, machine, conversion, variant, step, alias), at, batch)| {
            let source: SourceId = source.parse().unwrap();
            let facet = Facet {
                kind,
                channel,
                machine: machine && matches!(kind, Kind::Opened | Kind::Clicked),
                conversion: if kind == Kind::Converted { conversion } else { 0 },
                variant: variant.map(Into::into),
                step: step.filter(|_| source.kind() == SourceKind::Canvas).map(Into::into),
                alias: alias.filter(|_| kind == Kind::Clicked).map(Into::into),
            };
            Event { user, source, facet, at: at * TICK, batch }
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

/// The batch whose rows arrived after data had expired, and can be read all the same.
const LATE: usize = 3;

impl Event {
    /// Whether a reader sees it in the ledger of its source.
    fn is_seen(&self, known: &Known) -> bool {
        let is_late = self.batch == LATE && known.late.contains(&self.source);
        is_late || !known.unavailable.contains(&self.source)
    }
}

/// What is known beside events: one tag has some sources, the other none; one segment stands in the other.
fn known() -> impl Strategy<Value = Known> {
    let sources = (unavailable(), unavailable(), unavailable());
    (sources, filter(2), filter(2)).prop_map(|((unavailable, late, tagged), one, other)| {
        let without_segments = |f: Filter| if f.segments().is_empty() { f } else { Filter::MarkedSpam };
        let one = without_segments(one);
        let other = Filter::Any(vec![Filter::Segment(SEGMENTS[0].to_owned()), without_segments(other)]);
        Known {
            now: NOW,
            late: late.intersection(&unavailable).cloned().collect(),
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

fn nothing_expired() -> Known {
    Known { now: NOW, ..Known::default() }
}

/// The rows of a ledger, as batches: those that events were stored in, each with its own dictionary.
fn batches(ledger: &LedgerId, events: &[Event], known: &Known) -> Vec<Rows> {
    let facet = |e: &Event| {
        if *ledger == LedgerId::Users { e.facet.for_users() } else { e.facet.clone() }
    };
    let batch = |number: usize| {
        let of: Vec<&Event> = events
            .iter()
            .filter(|e| {
                e.batch == number
                    && (*ledger == LedgerId::Users
                        || (*ledger == LedgerId::Source(e.source.clone()) && e.is_seen(known)))
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
fn answers(program: &Program, events: &[Event], known: &Known) -> Vec<Truth> {
    let mut learned: Vec<_> = USERS.iter().map(|_| program.blank()).collect();
    for (number, ledger) in program.ledgers().iter().enumerate() {
        for rows in batches(ledger, events, known) {
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
        for (user, answer) in answers(&program, &events, &known).into_iter().enumerate() {
            let of: Vec<&Event> = events.iter().filter(|e| e.user == user).collect();
            prop_assert_eq!(answer, truth(naive(&filter, &of, &known)), "{}", USERS[user]);
            // Who is in none of the ledgers that are read is not found, and must be a certain no.
            let is_seen = program.ledgers().iter().any(|ledger| match ledger {
                LedgerId::Users => true,
                LedgerId::Source(source) => of.iter().any(|e| e.source == *source && e.is_seen(&known)),
            });
            prop_assert!(is_seen || answer == Truth::No, "{} would be missed", USERS[user]);
        }
        // Nothing is read of what is unavailable, but for late rows.
        let is_away = |s: &SourceId| known.unavailable.contains(s) && !known.late.contains(s);
        for ledger in program.ledgers() {
            prop_assert!(!matches!(ledger, LedgerId::Source(s) if is_away(s)));
        }
        // Facts can be used again for the next user.
        let mut facts = program.blank();
        for rows in program.ledgers().first().map(|l| batches(l, &events, &known)).unwrap_or_default() {
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
        let before = answers(&Program::compile(&filter, &known), &events, &known);
        for less in [&less, &BTreeSet::new()] {
            let less = with(&known, less.clone());
            let after = answers(&Program::compile(&filter, &less), &events, &less);
            for (before, after) in before.iter().zip(after) {
                prop_assert!(*before == Truth::Unknown || *before == after, "{before:?} became {after:?}");
            }
        }
    }

    /// A leaf over expired data of which nothing came in late is unknown for everybody, whoever they are.
    #[test]
    fn l7_a_leaf_over_expired_data_is_unknown(filter in filter(1), events in events(), known in known()) {
        let expired = filter.sources();
        prop_assume!(filter.tags().is_empty() && filter.segments().is_empty());
        let known = Known { late: BTreeSet::new(), ..with(&known, expired.clone()) };
        for answer in answers(&Program::compile(&filter, &known), &events, &known) {
            prop_assert_eq!(answer == Truth::Unknown, !expired.is_empty());
        }
    }
}
