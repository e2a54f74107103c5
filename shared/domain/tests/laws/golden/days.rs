//! Days in numbers, and a manifest that counts what arrived.

use super::{AT, manifest};
use rekindle_domain::{
    day::{Arrivals, Counts, Day, Moved, Stock},
    manifest::Manifest,
    time::DAY_MILLIS,
};

fn counts(of: &[(&str, u64)]) -> Counts {
    of.iter().map(|(kind, n)| ((*kind).to_owned(), *n)).collect()
}

pub(super) fn arrived_manifest() -> Manifest {
    let mut arrived = Arrivals::default();
    arrived.add(AT, &counts(&[("received", 70), ("machine_clicked", 3)]));
    arrived.add(AT.plus(-DAY_MILLIS), &counts(&[("received", 5)]));
    Manifest { arrived, ..manifest() }
}

pub(super) fn day() -> Day {
    Day {
        day: AT.day(),
        version: 7,
        interactions: counts(&[("received", 70), ("machine_clicked", 3)]),
        expired: Moved { sources: 2, interactions: 1_234 },
        restored: Moved { sources: 1, interactions: 1_000 },
        stock: Some(Stock {
            at: AT,
            sources: counts(&[("available", 30), ("expired", 12), ("no_data", 1)]),
            hot_bytes: 123_456,
            cold_bytes: 98_765,
        }),
    }
}
