//! Single cases: Kleene's logic, and the traps in the meaning of conditions.

use super::{Event, answers, nothing_expired, with};
use rekindle_domain::{
    facet::{Facet, Kind},
    filter::{About, Filter, Known, Narrow, Program, Truth},
    id::SourceId,
    time::Time,
};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// One leaf for each truth value: received, not received, expired.
fn leaf(of: Truth) -> Filter {
    let source = match of {
        Truth::Yes => "campaign/a",
        Truth::No => "campaign/b",
        Truth::Unknown => "canvas/c",
    };
    Filter::Received { about: About::Source(source.parse().unwrap()), narrow: Narrow::default() }
}

fn answer(filter: &Filter) -> Truth {
    let source: SourceId = "campaign/a".parse().unwrap();
    let event = Event { user: 0, source, facet: Facet::of(Kind::Received), at: 1, batch: 0 };
    let known = with(&nothing_expired(), BTreeSet::from(["canvas/c".parse().unwrap()]));
    answers(&Program::compile(filter, &known), &[event])[0]
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
