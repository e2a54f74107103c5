//! A day in numbers: the interactions that arrived, the data that expired and came back, and how much there was of everything.
//!
//! These are information, and nothing is decided by them. A figure is hardly ever too large: so of two figures for the same thing
//! the greater one is nearer to the truth, and figures may be found again and again, by several at once. What was restored is
//! counted as it is when a sweep comes by, with what arrived since.

use crate::time::{DAY_MILLIS, Time};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How many days back, today included, figures are still looked for.
pub const DAYS_BACK: usize = 3;

/// How many there are of each sort.
pub type Counts = BTreeMap<String, u64>;

/// Interactions that arrived, by the beginning of the UTC day and by kind, of the last [`DAYS_BACK`] days. An interaction counts
/// each time that it arrives. The kinds are those of [`Tally::by_kind`](crate::tally::Tally::by_kind).
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Arrivals(BTreeMap<Time, Counts>);

impl Arrivals {
    /// Adds interactions that arrived at a time.
    pub fn add(&mut self, at: Time, counts: &Counts) {
        if !counts.is_empty() {
            let day = self.0.entry(at.day()).or_default();
            counts.iter().for_each(|(kind, n)| *day.entry(kind.clone()).or_default() += n);
        }
    }

    /// Adds all of the others.
    pub fn add_all(&mut self, others: &Self) {
        others.0.iter().for_each(|(day, counts)| self.add(*day, counts));
    }

    /// Those of the days that still count at `now`.
    #[must_use]
    pub fn since(mut self, now: Time) -> Self {
        let first = first_day(now);
        self.0.retain(|day, _| *day >= first);
        self
    }

    /// Those of one day.
    pub fn on(&self, day: Time) -> Counts {
        self.0.get(&day).cloned().unwrap_or_default()
    }
}

/// The first of the days that still count at `now`.
pub fn first_day(now: Time) -> Time {
    now.day().plus(-DAY_MILLIS * (DAYS_BACK as i64 - 1))
}

/// Data that moved between the tiers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Moved {
    /// Of how many sources. One that moved twice on a day counts once.
    pub sources: u64,
    /// How many interactions, as they are stored: of a user and a thing that the user did, one.
    pub interactions: u64,
}

/// How much there was at a moment.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Stock {
    /// When it was counted.
    pub at: Time,
    /// Sources by the state of their data; deleted ones are left out.
    pub sources: Counts,
    /// The bytes of all hot copies of these sources and of `users`. What arrived and was not merged into a run yet is left out.
    pub hot_bytes: u64,
    /// The bytes of all cold copies of these sources.
    pub cold_bytes: u64,
}

impl Stock {
    /// How many sources there were.
    pub fn all_sources(&self) -> u64 {
        self.sources.values().sum()
    }
}

/// A day in numbers.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Day {
    /// Its first moment, in UTC.
    pub day: Time,
    /// Counts writes; the condition of each.
    pub version: u64,
    /// The interactions that arrived, by kind, as [`Arrivals`] have them.
    pub interactions: Counts,
    /// The data that expired.
    pub expired: Moved,
    /// The data that was restored.
    pub restored: Moved,
    /// How much there was, when it was last counted on that day; `None`: it was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stock: Option<Stock>,
}

impl Day {
    /// A day of which nothing is known.
    pub fn new(day: Time) -> Self {
        Self { day, ..Self::default() }
    }

    /// What two looks at the same day say together: the greater figure of each thing, and the later stock. It does not matter
    /// which look came first, nor whether one is taken in twice.
    #[must_use]
    pub fn joined(mut self, other: Self) -> Self {
        for (kind, n) in other.interactions {
            let found = self.interactions.entry(kind).or_default();
            *found = n.max(*found);
        }
        let greater = |a: Moved, b: Moved| Moved {
            sources: a.sources.max(b.sources),
            interactions: a.interactions.max(b.interactions),
        };
        self.expired = greater(self.expired, other.expired);
        self.restored = greater(self.restored, other.restored);
        let at = |stock: &Option<Stock>| stock.as_ref().map(|stock| stock.at);
        if at(&other.stock) > at(&self.stock) {
            self.stock = other.stock;
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn days() -> impl Strategy<Value = Day> {
        let kinds = prop::collection::btree_map("received|opened|clicked", 0u64..5, 0..3);
        (kinds, 0u64..5, 0u64..5, prop::option::of(0i64..3)).prop_map(|(interactions, a, b, at)| Day {
            interactions,
            expired: Moved { sources: a, interactions: b },
            restored: Moved { sources: b, interactions: a },
            stock: at.map(|at| Stock { at: Time(at), hot_bytes: at as u64, ..Stock::default() }),
            ..Day::default()
        })
    }

    #[test]
    fn arrivals_of_three_days_count() {
        let counts = Counts::from([("received".to_owned(), 2)]);
        let mut arrivals = Arrivals::default();
        for day in 0..5 {
            arrivals.add(Time(day * DAY_MILLIS + 7), &counts);
        }
        arrivals.add(Time(4 * DAY_MILLIS), &Counts::default());
        arrivals.add_all(&arrivals.clone());
        let now = Time(5 * DAY_MILLIS - 1);
        let kept = arrivals.since(now);
        let on = |day: i64| kept.on(Time(day * DAY_MILLIS)).get("received").copied();
        assert_eq!([1, 2, 3, 4, 5].map(on), [None, Some(4), Some(4), Some(4), None]);
        let written = serde_json::to_string(&kept).unwrap();
        assert_eq!(serde_json::from_str::<Arrivals>(&written).unwrap(), kept, "{written}");
    }

    proptest! {
        #[test]
        fn looks_join_in_any_order_and_any_number(a in days(), b in days(), c in days()) {
            let all = a.clone().joined(b.clone()).joined(c.clone());
            prop_assert_eq!(&c.joined(a.joined(b.clone())), &all);
            prop_assert_eq!(&all.clone().joined(b), &all);
        }
    }
}
