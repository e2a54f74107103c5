//! The days in numbers count nothing that did not happen.

use super::{
    audit::{Violation, violated},
    snapshot::Catalog,
    truth::Truth,
};
use rekindle_domain::day::{Counts, Day};
use rekindle_store::catalog::sources::TimelineEntry;

/// L8: all days together have no more interactions of a kind than were posted, and no day has more sources that expired or came
/// back than there are timelines that say so.
pub(super) fn check(catalog: &Catalog, truth: &Truth) -> Result<(), Violation> {
    let mut counted = Counts::new();
    for day in &catalog.days {
        for (kind, n) in &day.interactions {
            *counted.entry(kind.clone()).or_default() += n;
        }
        for (event, moved) in [("expired", day.expired), ("restored", day.restored)] {
            let told = catalog.timelines.values().filter(|timeline| tells(timeline, event, day)).count();
            if moved.sources > told as u64 {
                return violated(format!(
                    "L8: the timelines say of {told} sources that they {event}: {day:?}"
                ));
            }
        }
    }
    let posted = truth.posted();
    match counted.iter().find(|(kind, n)| **n > posted.get(*kind).copied().unwrap_or(0)) {
        Some((kind, n)) => violated(format!("L8: the days have {n} of {kind}, and posted were {posted:?}")),
        None => Ok(()),
    }
}

/// Whether a timeline has an event of a day. The entry is made a moment after the time that the event is recorded with.
fn tells(timeline: &[TimelineEntry], event: &str, day: &Day) -> bool {
    let of_event = timeline.iter().filter(|entry| entry.event == event);
    of_event.map(|entry| entry.at).any(|at| [at, at.plus(-60_000)].map(|at| at.day()).contains(&day.day))
}
