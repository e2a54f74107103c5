//! A source is stopped for silence only after silence, and it is after enough of it.

use crate::support::cases;
use proptest::{collection::vec, prelude::*};
use rekindle_domain::{
    idle::{KNOWN_FOR_MILLIS, MAX_NOTE_PAUSE_MILLIS},
    source::{Source, Status},
    time::{Period, Time},
};

const START: Time = Time(1_763_000_000_000);

fn source() -> Source {
    Source::seen("campaign/a".parse().unwrap(), START, START)
}

/// Hours, whose length does not depend on the calendar.
fn hours(n: i64) -> Period {
    Period::parse(&format!("PT{n}H")).unwrap()
}

proptest! {
    #![proptest_config(cases(300))]

    /// Interactions arrive, and ingest asks for a note at each unless it asked within the last minute. The source is idle
    /// no earlier than the period after the last of them, and no later than a note's pause and that minute after that.
    #[test]
    fn arrivals_put_off_the_end(
        period in 1i64..3_000,
        gaps in vec((0u32..1_000, any::<bool>()), 1..60),
    ) {
        let (millis, period) = (period * 3_600_000, hours(period));
        let (mut source, mut now, mut asked) = (source(), START, START);
        for (gap, is_remembered) in gaps {
            // Most gaps are short beside the period; none is as long.
            now = now.plus(millis * i64::from(gap) / 1_000 / if gap % 3 == 0 { 1 } else { 200 });
            prop_assert!(now < source.idle_at(Some(&period)).unwrap());
            if !is_remembered || now >= asked.plus(KNOWN_FOR_MILLIS) {
                asked = now;
                if source.is_to_be_noted(Some(&period), now) {
                    source.last_seen_at = Some(now);
                }
            }
            let slack = (millis / 10).min(MAX_NOTE_PAUSE_MILLIS) + KNOWN_FOR_MILLIS;
            let idle_at = source.idle_at(Some(&period)).unwrap();
            prop_assert!((now.plus(millis)..=now.plus(millis + slack)).contains(&idle_at));
        }
    }

    /// Whatever the period is, ten notes are made in it, and one a day.
    #[test]
    fn notes_are_few(period in prop::option::of(1i64..3_000), since in 0i64..400_000_000) {
        let source = Source { last_seen_at: Some(START.plus(since)), ..source() };
        let pause = period.map_or(MAX_NOTE_PAUSE_MILLIS, |p| (p * 360_000).min(MAX_NOTE_PAUSE_MILLIS));
        let period = period.map(hours);
        for (at, is_due) in [(-1, false), (pause - 1, false), (pause, true)] {
            prop_assert_eq!(source.is_to_be_noted(period.as_ref(), START.plus(since + at)), is_due);
        }
    }

    /// Only active sources are idle, and none is unless sources are to be stopped at all.
    #[test]
    fn others_are_never_idle(now in 0i64..4_000_000_000_000) {
        prop_assert_eq!(source().idle_at(None), None);
        for status in [Status::Draft, Status::Stopped] {
            let source = Source { status, ..source() };
            prop_assert_eq!(source.idle_at(Some(&hours(1))), None);
            prop_assert!(!source.is_to_be_noted(Some(&hours(1)), Time(now)));
        }
    }
}

#[test]
fn a_start_counts_as_an_interaction() {
    let again = Source { last_seen_at: Some(START.plus(5)), started_at: Some(START.plus(9)), ..source() };
    assert_eq!(again.idle_since(), Some(START.plus(9)));
    assert_eq!(again.idle_at(Some(&hours(10))), Some(START.plus(9 + 11 * 3_600_000 + KNOWN_FOR_MILLIS)));
}
