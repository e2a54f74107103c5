//! Sources, requests and notices: what is due is looked at, what is held is kept, and what is counted adds up.

use crate::support::cases;
use proptest::{collection::vec, prelude::*, sample::select};
use rekindle_domain::{
    Ulid,
    id::RequestId,
    manifest::DataState,
    notice::{Expiring, MAX_LISTED, Notice, Subject, daily_notice_id, is_daily_notice, next_day},
    restore::{Beginning, Item, ItemState, Request, RequestState, begin},
    source::{Decision, Holder, MAX_WAITING, Pin, RestoreOutcome, Settlement, Source, Status},
    time::{DAY_MILLIS, Period, Time},
};
use std::collections::BTreeSet;

const NOW: Time = Time(1_763_000_000_000);
const REQUEST: RequestId = RequestId(Ulid(1));

/// What date people were warned of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Warned {
    Never,
    OfThis,
    OfAnother,
}

fn time() -> impl Strategy<Value = Option<Time>> {
    let year = 365 * 24 * 3_600_000;
    prop::option::of((NOW.0 - year..NOW.0 + year).prop_map(Time))
}

fn source() -> impl Strategy<Value = Source> {
    let status = select(vec![Status::Draft, Status::Active, Status::Stopped, Status::Stopped]);
    let state =
        select(vec![DataState::Available, DataState::Available, DataState::Expired, DataState::Restoring]);
    let times = (time(), time(), time(), time());
    // None, without end, or until then.
    let pin = prop::option::weighted(0.3, time());
    (status, state, times, (pin, time()), any::<(bool, bool, bool)>()).prop_map(
        |(status, state, (stopped, restored, late, retry), (pin, idle), (has_data, is_held, is_settling))| {
            let mut source = Source::draft("campaign/a".parse().unwrap(), NOW);
            source.status = status;
            source.state = state;
            source.stopped_at = stopped.filter(|_| status == Status::Stopped);
            source.restored_at = restored;
            source.late_since = late.filter(|_| state == DataState::Expired);
            source.retry_at = retry;
            source.has_data = has_data;
            let by = "me".to_owned();
            source.pin = pin.map(|until| Pin { by, at: Time(0), until, reason: "why not".to_owned() });
            source.idle_at = idle.filter(|_| status == Status::Active);
            if is_held {
                let holder = "campaign/b".parse().unwrap();
                source.holders.insert(Holder { source: holder, via: vec![] });
            }
            if is_settling {
                source.settling.push(Settlement {
                    request: REQUEST,
                    outcome: RestoreOutcome::Restored { expires_at: None, late_interactions: 0 },
                });
            }
            source
        },
    )
}

proptest! {
    #![proptest_config(cases(1_000))]

    #[test]
    fn l6_l9_sources_are_kept_and_looked_at(source in source()) {
        let retention = Period::parse("P3M").unwrap();
        // L10: nothing is due of which nobody was warned.
        prop_assert_ne!(source.decide(&retention, NOW), Decision::Due);
        let source = Source { warned_for: source.expires_at(&retention), ..source };
        let due_at = source.stopped_at.max(source.restored_at).and_then(|t| retention.after(t));
        let decision = source.decide(&retention, NOW);
        let may_go = source.state == DataState::Available && source.has_data && source.status == Status::Stopped;
        let is_pinned = source.pin.as_ref().is_some_and(|p| p.until.is_none_or(|until| until > NOW));
        // L6: nothing held or pinned is due.
        let is_due = may_go && source.holders.is_empty() && !is_pinned && due_at.is_some_and(|d| d <= NOW);
        prop_assert_eq!(decision == Decision::Due, is_due);
        prop_assert_eq!(matches!(decision, Decision::Held(_)), may_go && due_at.is_some() && !source.holders.is_empty());
        let pinned = may_go && due_at.is_some() && source.holders.is_empty() && is_pinned;
        prop_assert_eq!(matches!(decision, Decision::Pinned(_)), pinned);
        // What people are told is what is decided.
        match decision {
            Decision::Pinned(Pin { until, .. }) => prop_assert_eq!(source.expires_at(&retention), until.max(due_at).filter(|_| until.is_some())),
            Decision::Due => prop_assert!(source.expires_at(&retention).unwrap() <= NOW),
            Decision::Until(at) => prop_assert_eq!(source.expires_at(&retention), Some(at)),
            _ => prop_assert_eq!(source.expires_at(&retention), None),
        }
        // L9: whatever is to be done has a time at which it is looked at, now or when it is tried again.
        let is_idle = source.state == DataState::Available && source.idle_at.is_some_and(|at| at <= NOW);
        let work = is_due
            || is_idle
            || source.state == DataState::Restoring
            || source.late_since.is_some()
            || !source.settling.is_empty();
        let wake_at = source.wake_at(&retention, &Period::of_days(7));
        prop_assert!(!work || wake_at.is_some());
        if is_due || is_idle {
            prop_assert!(wake_at.unwrap() <= NOW.max(source.retry_at.unwrap_or(NOW)));
        }
        // A pin's end is one, too: data that was due meanwhile goes then.
        if let (true, Some(until)) = (pinned, source.pin.as_ref().and_then(|p| p.until)) {
            let end = until.max(due_at.unwrap());
            // At the latest: before that, people may be told.
            let latest = end.max(source.retry_at.unwrap_or(end));
            prop_assert!(!source.settling.is_empty() || wake_at.is_some_and(|at| at <= latest));
            prop_assert_eq!(source.decide(&retention, end), Decision::Due);
        }
    }

    /// People are warned of a date once: at least as early as asked, at most a day or twice as early, and what is due is
    /// looked at all the same (L9), whether or not somebody was warned.
    #[test]
    fn l9_sources_are_warned_of_and_looked_at(
        source in source(),
        days in 1u8..200,
        in_hours: bool,
        warned in select(vec![Warned::Never, Warned::OfThis, Warned::OfAnother]),
    ) {
        let retention = Period::parse("P3M").unwrap();
        let warn_before = if in_hours { Period::parse("PT5H").unwrap() } else { Period::of_days(days) };
        let expires_at = source.expires_at(&retention);
        let warned_for = match warned {
            Warned::Never => None,
            Warned::OfThis => expires_at,
            Warned::OfAnother => expires_at.map(|at| at.plus(1)),
        };
        let source = Source { warned_for, retry_at: None, settling: vec![], ..source };
        let warn_at = source.warn_at(&retention, &warn_before);
        prop_assert_eq!(warn_at.is_some(), expires_at.is_some() && warned != Warned::OfThis);
        let wake_at = source.wake_at(&retention, &warn_before);
        if let (Some(warn_at), Some(due)) = (warn_at, expires_at) {
            let asked = due.0 - warn_before.before(due).unwrap().0;
            let early = due.0 - warn_at.0;
            prop_assert!(early >= asked && early <= 2 * asked && early < asked + DAY_MILLIS, "{early} of {asked}");
            prop_assert_eq!(wake_at, Some(warn_at));
        } else if source.state == DataState::Available {
            prop_assert_eq!(wake_at, expires_at.or(source.idle_at));
        }
        // L9: nobody waits for a warning that was given, and a later failure to expire is waited out either way.
        let again = Source { retry_at: Some(NOW.plus(1)), ..source.clone() };
        if source.state == DataState::Available && expires_at.is_some() {
            prop_assert_eq!(again.wake_at(&retention, &warn_before), wake_at.map(|at| at.max(NOW.plus(1))));
        }
    }

    /// A request is told, joins, starts or ends, by what its source is; what it joined or started it waits for, and no more
    /// than some wait at once. No restore starts while another request is to be told how an earlier one ended.
    #[test]
    fn restores_begin_by_what_the_source_is(
        source in source(), is_tagged: bool, waits: bool, others in select(vec![0, 1, MAX_WAITING - 1, MAX_WAITING]),
        settles_another: bool,
    ) {
        let waiting = (0..others as u128).map(|n| RequestId(Ulid(n + 2)));
        let mut source = Source { waiting: waiting.chain(waits.then_some(REQUEST)).collect(), ..source };
        for settlement in source.settling.iter_mut().filter(|_| settles_another) {
            settlement.request = RequestId(Ulid(u128::MAX));
        }
        let is_settling =
            !source.settling.is_empty() && (!settles_another || source.state == DataState::Expired);
        let by_naming = begin(&source, false, REQUEST);
        let beginning = begin(&source, is_tagged, REQUEST);
        prop_assert_eq!(beginning == Beginning::Settle, is_settling);
        prop_assert_eq!(beginning == Beginning::Start, !is_settling && source.state == DataState::Expired);
        if by_naming == Beginning::RenewClock {
            prop_assert!(source.state == DataState::Available && source.has_data);
            prop_assert_eq!(beginning == Beginning::AlreadyAvailable, is_tagged);
        } else {
            prop_assert_eq!(beginning, by_naming);
        }
        match beginning {
            Beginning::Start => {
                (source.state, source.waiting) = (DataState::Restoring, BTreeSet::from([REQUEST]));
                prop_assert_eq!(begin(&source, is_tagged, REQUEST), Beginning::WaitsAlready);
            }
            Beginning::Join => {
                source.waiting.insert(REQUEST);
                prop_assert!(source.waiting.len() <= MAX_WAITING);
                prop_assert_eq!(begin(&source, is_tagged, REQUEST), Beginning::WaitsAlready);
            }
            Beginning::WaitsAlready => prop_assert!(waits && source.state == DataState::Restoring),
            Beginning::TooManyWaiting => prop_assert!(!waits && others == MAX_WAITING),
            Beginning::NothingToRestore => prop_assert!(!source.has_data),
            Beginning::Settle | Beginning::RenewClock | Beginning::AlreadyAvailable => {}
        }
    }

    /// L8: a daily notice takes sources until somebody may have sent it, lists some and counts the rest.
    #[test]
    fn l8_daily_notices_take_sources_until_they_are_claimed(count in 1usize..250, tried: bool, sent: bool, gave_up: bool, later in 0i64..3) {
        let entry = |i: usize| Expiring { source: format!("campaign/c{i}").parse().unwrap(), expires_at: NOW };
        let day = NOW.plus(later * DAY_MILLIS);
        let mut notice = Notice::daily(daily_notice_id(day, "Me@example.com", 0), day, "Me@example.com", entry(0), NOW);
        prop_assert!(notice.wake_at().unwrap() == NOW.max(day.day()));
        prop_assert_eq!(&notice.id, &daily_notice_id(day.day().plus(DAY_MILLIS - 1), "me@EXAMPLE.com", 0));
        prop_assert!(is_daily_notice(&notice.id) && notice.id != daily_notice_id(next_day(day), "me@example.com", 0));
        for i in 1..count {
            notice = notice.with_expiring(entry(i)).unwrap();
        }
        let Subject::Expiring { sources, more } = &notice.subject else { panic!("{notice:?}") };
        prop_assert_eq!(sources.len() + *more as usize, count);
        prop_assert!(sources.len() <= MAX_LISTED && sources.iter().enumerate().all(|(i, e)| *e == entry(i)));
        let next = Notice {
            attempts: tried.into(),
            sent_at: sent.then_some(NOW),
            failed: gave_up.then(String::new),
            ..notice
        };
        prop_assert_eq!(next.with_expiring(entry(count)).is_none(), tried || sent || gave_up);
    }

    /// Items end one by one, in any way: the request counts them, and says at the end how it went.
    #[test]
    fn l8_requests_count_their_items(
        ends in vec(select(vec![
            ItemState::Restored,
            ItemState::AlreadyAvailable,
            ItemState::NothingToRestore,
            ItemState::Failed,
            ItemState::Cancelled,
        ]), 0..8),
        is_cancelled: bool,
    ) {
        let count = |state| ends.iter().filter(|e| **e == state).count() as u32;
        let items = ends.len() as u32;
        let mut request = Request {
            id: REQUEST,
            version: 1,
            created_at: NOW,
            completed_at: None,
            requested_by: None,
            tag: None,
            notify: vec![],
            items,
            remaining: items,
            failed: 0,
            cancelled: 0,
            begun: false,
            is_cancelled,
            look_at: Some(NOW),
        };
        for (i, end) in ends.iter().enumerate() {
            prop_assert!(end.is_final());
            let expected = if i == 0 { RequestState::Queued } else { RequestState::Running };
            prop_assert_eq!(request.state(), expected);
            prop_assert_eq!((request.completed_at, request.look_at), (None, Some(NOW)));
            request = request.item_ended(*end, NOW.plus(i as i64));
        }
        prop_assert_eq!((request.remaining, request.failed, request.cancelled), (0, count(ItemState::Failed), count(ItemState::Cancelled)));
        prop_assert_eq!(request.completed_at, (items > 0).then(|| NOW.plus(i64::from(items) - 1)));
        let expected = if items > 0 && count(ItemState::Failed) == items {
            RequestState::Failed
        } else if count(ItemState::Failed) > 0 {
            RequestState::PartlyFailed
        } else if is_cancelled && count(ItemState::Cancelled) > 0 {
            RequestState::Cancelled
        } else {
            RequestState::Completed
        };
        prop_assert_eq!(request.state(), expected);
    }

    /// L8, L9: a notice that was neither sent nor given up is looked at again, and is free by then.
    #[test]
    fn l8_l9_notices_are_sent_or_looked_at_again(attempts in 0u32..12, sent in time(), gave_up: bool, is_told: bool, lease in time()) {
        let subject = Subject::Restore { request: REQUEST };
        let notice = Notice::new("n".to_owned(), "me@example.com".to_owned(), subject, NOW, NOW);
        let notice = Notice {
            attempts,
            sent_at: sent,
            failed: gave_up.then(|| "gone".to_owned()),
            is_told,
            lease_until: lease.unwrap_or(NOW),
            ..notice
        };
        let is_open = sent.is_none() && !gave_up;
        let is_to_be_told = sent.is_none() && gave_up && !is_told;
        prop_assert_eq!(notice.wake_at().is_some(), is_open || is_to_be_told);
        prop_assert_eq!(notice.wake_at().is_some_and(|at| notice.is_free(at)), is_open);
        prop_assert!(is_open || !notice.is_free(NOW));
        // Claimed under a lease: nobody else sends it until that lapses.
        prop_assert!(!notice.is_free(NOW) || attempts == 0 || notice.lease_until <= NOW);
    }
}

#[test]
fn items_end_as_their_source_did() {
    let item = Item::queued("campaign/a".parse().unwrap());
    assert!(!item.state.is_final());
    let restored = item.ended(&RestoreOutcome::Restored { expires_at: Some(NOW), late_interactions: 2 });
    assert_eq!((restored.state, restored.expires_at), (ItemState::Restored, Some(NOW)));
    assert_eq!(restored.late_interactions, 2);
    let failed = item.ended(&RestoreOutcome::Failed { error: "why".to_owned() });
    assert_eq!((failed.state, failed.error.as_deref()), (ItemState::Failed, Some("why")));
    let names: BTreeSet<&str> =
        [DataState::Available, DataState::Expired, DataState::Restoring].map(DataState::as_str).into();
    assert_eq!(names.len(), 3);
}
