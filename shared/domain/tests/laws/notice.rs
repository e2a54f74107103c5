//! L10: nothing expires unannounced, whatever made it due.

use crate::support::cases;
use proptest::{collection::vec, prelude::*};
use rekindle_domain::{
    arrival::Arrival,
    source::{Decision, Holder, Pin, Source, Status},
    time::{Period, Time},
};

const START: Time = Time(1_763_000_000_000);
const HOUR: i64 = 3_600_000;

#[derive(Clone, Debug)]
enum Act {
    Stop { back: i64 },
    Start,
    Hold,
    LetGo,
    Pin { hours: Option<i64> },
    Unpin,
    Send,
    Sweep,
    Rename,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        1 => (0i64..4_000).prop_map(|back| Act::Stop { back }),
        1 => Just(Act::Start),
        1 => Just(Act::Hold),
        1 => Just(Act::LetGo),
        1 => prop::option::of(1i64..3_000).prop_map(|hours| Act::Pin { hours }),
        1 => Just(Act::Unpin),
        1 => Just(Act::Send),
        4 => Just(Act::Sweep),
        1 => Just(Act::Rename),
    ]
}

fn after(source: &Source, act: &Act, now: Time, retention: &Period) -> Source {
    let holder = Holder { source: "campaign/b".parse().unwrap(), via: vec![] };
    let mut next = source.clone();
    match act {
        Act::Stop { back } if source.status == Status::Active => {
            next = source.stopped(now.plus(-back * HOUR), false)
        }
        Act::Start => next = source.started(now),
        Act::Hold => _ = next.holders.insert(holder),
        Act::LetGo => _ = next.holders.remove(&holder),
        Act::Pin { hours } => {
            let until = hours.map(|hours| now.plus(hours * HOUR));
            next = next.with_pin(Some(Pin {
                by: "me".to_owned(),
                at: now,
                until,
                reason: "why not".to_owned(),
            }));
        }
        Act::Unpin => next = next.with_pin(None),
        Act::Send => {
            let arrival = Arrival { first_at: now, last_message_at: Some(now) };
            next = source.after_arrival(arrival, retention, None, now).unwrap_or(next);
        }
        Act::Stop { .. } | Act::Sweep | Act::Rename => {}
    }
    next
}

/// Whether something keeps the data up to an act. A pin that ends keeps it until then, as its people know, unless it is taken
/// away or replaced.
fn is_kept(source: &Source, act: &Act, now: Time) -> bool {
    let pin = source.pin_in_force(now);
    let is_pin_changed = matches!(act, Act::Pin { .. } | Act::Unpin);
    source.status != Status::Stopped
        || !source.holders.is_empty()
        || pin.is_some_and(|pin| is_pin_changed || pin.until.is_none())
}

proptest! {
    #![proptest_config(cases(2_000))]

    /// The data is due only if its people were warned of that very date at least the notice ago, and if nothing kept the data
    /// at any act since the notice before.
    #[test]
    fn l10_the_notice_passes_first(
        acts in vec((0i64..900, act()), 1..40),
        notice in prop_oneof![Just(Period::of_days(1)), Just(Period::parse("PT5H").unwrap()), Just(Period::of_days(20))],
        weeks in 1u8..3,
    ) {
        let (retention, warn_before) = (Period::parse("P1M").unwrap(), Period::of_days(7 * weeks));
        let (mut source, mut now) = (Source::seen("campaign/a".parse().unwrap(), START, START), START);
        let (mut kept_at, mut warned) = (START, None);
        for (hours, act) in acts {
            now = now.plus(hours * HOUR);
            if let Decision::Due = source.decide(&retention, now) {
                let (date, at) = warned.expect("a warning");
                prop_assert!(source.expires_at(&retention) == Some(date) && date <= now);
                prop_assert!(notice.after(at).unwrap() <= now, "warned at {at}, due at {now}");
                prop_assert!(notice.after(kept_at).unwrap() <= now, "kept at {kept_at}, due at {now}");
            }
            if is_kept(&source, &act, now) {
                kept_at = now;
            }
            source = after(&source, &act, now, &retention).with_notice(&retention, &notice, now);
            let is_time = source.warn_at(&retention, &warn_before).is_some_and(|at| at <= now);
            if let (Act::Sweep, true) = (act, is_time) {
                source = source.warned(&retention, &notice, now).unwrap().with_notice(&retention, &notice, now);
                warned = source.warned_for.map(|date| (date, now));
                prop_assert_eq!(source.warn_at(&retention, &warn_before), None, "one warning of a date is enough");
            }
            // L9: what may expire is looked at by then, and what is not announced is announced.
            if let Decision::Until(at) = source.decide(&retention, now) {
                prop_assert!(source.wake_at(&retention, &warn_before).unwrap() <= at.max(now));
            }
        }
    }

    /// An act that lets data go whose time is over does not show a date in the past, and the sweeper's warning, some minutes
    /// later, does not move the date.
    #[test]
    fn dates_stand(minutes in 0i64..50, months in 2u8..20) {
        let retention = Period::parse("P1M").unwrap();
        let notice = Period::of_days(1);
        let now = START.plus(i64::from(months) * 31 * 24 * HOUR + minutes * 60_000);
        let source = Source::seen("campaign/a".parse().unwrap(), START, START);
        let stopped = source.stopped(START.plus(HOUR), false).with_notice(&retention, &notice, now);
        let date = stopped.expires_at(&retention).unwrap();
        prop_assert!(stopped.is_let_go(&retention, now) && date >= notice.after(now).unwrap());
        let later = Time(now.0 + (date.0 - 24 * HOUR - now.0).min(5 * 60_000));
        let warned = stopped.warned(&retention, &notice, later).unwrap();
        prop_assert_eq!(warned.expires_at(&retention), Some(date));
        prop_assert_eq!(warned.decide(&retention, date), Decision::Due);
    }
}

/// A draft that sends is active. A source that stopped by itself starts again; of one that a person stopped, the data's time
/// counts from the last message, and people are to be told once.
#[test]
fn messages_say_that_a_source_sends() {
    let (retention, day) = (Period::parse("P3M").unwrap(), 24 * HOUR);
    let arrival = |at: Time| Arrival { first_at: at, last_message_at: Some(at) };
    let receives =
        |source: &Source, at: Time, now: Time| source.after_arrival(arrival(at), &retention, None, now);
    let draft = Source::draft("campaign/a".parse().unwrap(), START);
    let active = receives(&draft, START.plus(-day), START).unwrap();
    assert_eq!(
        (active.status, active.started_at, active.has_data),
        (Status::Active, Some(START.plus(-day)), true)
    );

    let idle = active.stopped(START.plus(day), true);
    assert_eq!(receives(&idle, START, START.plus(2 * day)), None, "an old message says nothing");
    let again = receives(&idle, START.plus(2 * day), START.plus(2 * day)).unwrap();
    assert_eq!((again.status, again.stopped_at), (Status::Active, None));

    let by_hand = active.stopped(START.plus(day), false);
    let late_open = Arrival { first_at: START.plus(2 * day), last_message_at: None };
    assert_eq!(by_hand.after_arrival(late_open, &retention, None, START.plus(2 * day)), None);
    let sending = receives(&by_hand, START.plus(3 * day), START.plus(3 * day)).unwrap();
    assert_eq!((sending.status, sending.tell_of_sending), (Status::Stopped, true));
    assert_eq!(sending.due_at(&retention), retention.after(START.plus(3 * day)));
    let told = Source { tell_of_sending: false, ..sending };
    assert_eq!(
        receives(&told, START.plus(3 * day + HOUR), START.plus(3 * day + HOUR)),
        None,
        "noted coarsely"
    );
    let next = receives(&told, START.plus(4 * day), START.plus(4 * day)).unwrap();
    assert_eq!((next.tell_of_sending, next.sent_after_stop), (false, Some(START.plus(4 * day))));
}
