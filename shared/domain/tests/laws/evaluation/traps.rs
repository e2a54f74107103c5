//! Single cases: Kleene's logic, and the traps in the meaning of conditions.

use super::{Event, answers, nothing_expired, with};
use rekindle_domain::{
    facet::{Channel, Facet, Kind},
    filter::{About, Filter, Known, Narrow, Program, Times, Truth},
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
    answers(&Program::compile(filter, &known), &[event], &known)[0]
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
    let about = About::Source(source.clone());
    let converted =
        Filter::Converted { about: about.clone(), conversion: 0, ever: false, times: Times::default() };
    let ever = Filter::Converted { about, conversion: 0, ever: true, times: Times::default() };
    let control = |is| Filter::InControl { source: source.clone(), is };
    let ask = |filter: &Filter, of: &[(Kind, u8, i64)]| {
        let event = |&(kind, conversion, at): &(Kind, u8, i64)| Event {
            user: 0,
            source: source.clone(),
            facet: Facet { conversion, ..Facet::of(kind) },
            at: at * 500,
            batch: 0,
        };
        let events: Vec<Event> = of.iter().map(event).collect();
        answers(&Program::compile(filter, &nothing_expired()), &events, &nothing_expired())[0]
    };
    use Kind::{Control, Converted, Opened, Received};
    assert_eq!(ask(&converted, &[(Received, 0, 1), (Converted, 0, 2)]), Truth::Yes);
    assert_eq!(ask(&converted, &[(Received, 0, 2), (Converted, 0, 2)]), Truth::Yes);
    assert_eq!(ask(&converted, &[(Converted, 0, 2)]), Truth::Yes);
    // In the same second as the conversion, a later receipt is none; in the next it is.
    assert_eq!(ask(&converted, &[(Received, 0, 3), (Converted, 0, 2)]), Truth::Yes);
    assert_eq!(ask(&converted, &[(Received, 0, 4), (Converted, 0, 3)]), Truth::No);
    // A later message does not undo what was done ever.
    assert_eq!(ask(&ever, &[(Received, 0, 9), (Converted, 0, 2)]), Truth::Yes);
    assert_eq!(ask(&ever, &[(Converted, 0, 2), (Control, 0, 1)]), Truth::No);
    assert_eq!(ask(&ever, &[(Converted, 1, 2)]), Truth::No);
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

/// A hard bounce stands until something later on its channel clears it; at the same time nothing does.
#[test]
fn only_what_comes_later_on_the_channel_clears_a_bounce_a_complaint_or_an_unsubscription() {
    let ask = |filter: serde_json::Value, of: &[(Kind, Option<Channel>, bool, i64)]| {
        let event = |&(kind, channel, machine, at): &(Kind, Option<Channel>, bool, i64)| Event {
            user: 0,
            source: "campaign/a".parse().unwrap(),
            facet: Facet { channel, machine, ..Facet::of(kind) },
            at,
            batch: 0,
        };
        let events: Vec<Event> = of.iter().map(event).collect();
        let filter = Filter::parse(&filter, "filter").unwrap();
        answers(&Program::compile(&filter, &nothing_expired()), &events, &nothing_expired())[0] == Truth::Yes
    };
    use Kind::{Clicked, Complained, Delivered, HardBounced, NotSpam, Opened, Subscribed, Unsubscribed};
    let (mail, push) = (Some(Channel::Email), Some(Channel::Push));
    let dead = || json!({ "hard_bounced": {} });
    let bounce = (HardBounced, mail, false, 5);
    assert!(ask(dead(), &[bounce]));
    for kind in [Delivered, Opened, Clicked] {
        assert!(!ask(dead(), &[bounce, (kind, mail, false, 6)]), "{kind:?}");
        assert!(ask(dead(), &[bounce, (kind, mail, false, 5)]), "at the same time the bounce stands");
        assert!(ask(dead(), &[bounce, (kind, push, false, 6)]), "another channel says nothing of this one");
        // A bounce of which the channel is not known is cleared by any.
        assert!(!ask(dead(), &[(HardBounced, None, false, 5), (kind, push, false, 6)]));
    }
    assert!(ask(dead(), &[bounce, (Opened, mail, true, 6), (Clicked, mail, true, 6)]), "machines clear none");
    let dead_on = |channel: &str| json!({ "hard_bounced": { "channel": channel } });
    assert!(ask(dead_on("email"), &[bounce, (Delivered, push, false, 9)]));
    assert!(!ask(dead_on("push"), &[bounce]));
    assert!(!ask(dead_on("email"), &[(HardBounced, None, false, 5)]));
    let spam = || json!({ "marked_spam": {} });
    assert!(ask(spam(), &[(Complained, mail, false, 5), (NotSpam, None, false, 5)]));
    assert!(!ask(spam(), &[(Complained, mail, false, 5), (NotSpam, None, false, 6)]));
    let off = |channel: &str| json!({ "unsubscribed": { "channel": channel } });
    let from_all = (Unsubscribed, None, false, 5);
    assert!(ask(off("sms"), &[from_all]) && ask(json!({ "unsubscribed": {} }), &[from_all]));
    assert!(ask(off("email"), &[from_all, (Subscribed, mail, false, 5)]));
    assert!(!ask(off("email"), &[from_all, (Subscribed, mail, false, 6)]));
    assert!(ask(off("push"), &[from_all, (Subscribed, mail, false, 6)]));
    assert!(ask(json!({ "unsubscribed": {} }), &[from_all, (Subscribed, mail, false, 6)]));
    assert!(!ask(json!({ "unsubscribed": {} }), &[from_all, (Subscribed, None, false, 6)]));
    let from_mail = (Unsubscribed, mail, false, 5);
    assert!(!ask(off("push"), &[from_mail]));
    assert!(!ask(off("email"), &[from_mail, (Subscribed, None, false, 6)]));
}

/// With times, the latest such thing is within them, and expired data of a tag may hold a later one.
#[test]
fn l7_times_are_about_the_latest_and_expired_data_may_hold_a_later_one() {
    let known = Known {
        now: Time(10_000),
        unavailable: BTreeSet::from(["campaign/b".parse().unwrap()]),
        tags: BTreeMap::from([(
            "promo".to_owned(),
            ["campaign/a", "campaign/b"].map(|s| s.parse().unwrap()).into(),
        )]),
        ..Known::default()
    };
    let ask = |body: serde_json::Value, at: &[i64]| {
        let filter = Filter::parse(&json!({ "clicked": body }), "filter").unwrap();
        let event = |at: &i64| Event {
            user: 0,
            source: "campaign/a".parse().unwrap(),
            facet: Facet::of(Kind::Clicked),
            at: *at,
            batch: 0,
        };
        let events: Vec<Event> = at.iter().map(event).collect();
        answers(&Program::compile(&filter, &known), &events, &known)[0]
    };
    let on = |about: &str, name: &str| json!({ about: name, "before": "1970-01-01T00:00:05Z" });
    assert_eq!(ask(on("source", "campaign/a"), &[4_000]), Truth::Yes);
    assert_eq!(ask(on("source", "campaign/a"), &[4_000, 6_000]), Truth::No);
    assert_eq!(ask(on("source", "campaign/a"), &[]), Truth::No);
    assert_eq!(ask(on("source", "campaign/b"), &[]), Truth::Unknown);
    assert_eq!(ask(on("tag", "promo"), &[4_000]), Truth::Unknown);
    assert_eq!(ask(on("tag", "promo"), &[6_000]), Truth::No);
    let since = json!({ "tag": "promo", "after": "1970-01-01T00:00:05Z" });
    assert_eq!(ask(since.clone(), &[6_000]), Truth::Yes);
    assert_eq!(ask(since, &[4_000]), Truth::Unknown);
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
        ..Known::default()
    };
    let ask = |bound: &str, value: &str, at: Option<i64>| {
        let filter = json!({"last_received": {"tag": "promo", bound: value}});
        let filter = Filter::parse(&filter, "filter").unwrap();
        let source: SourceId = "campaign/a".parse().unwrap();
        let event =
            |at| Event { user: 0, source: source.clone(), facet: Facet::of(Kind::Received), at, batch: 0 };
        let events: Vec<Event> = at.into_iter().map(event).collect();
        answers(&Program::compile(&filter, &known), &events, &known)[0]
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
        assert_eq!(
            answers(&Program::compile(&last, &nothing_expired()), &[], &nothing_expired())[0],
            Truth::No
        );
        let not = Filter::Not(Box::new(last));
        assert_eq!(
            answers(&Program::compile(&not, &nothing_expired()), &[], &nothing_expired())[0],
            Truth::Yes
        );
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
        answers(&Program::compile(&filter, &nothing_expired()), &events, &nothing_expired())[0]
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
