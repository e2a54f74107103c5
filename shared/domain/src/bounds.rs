//! How many bytes a stored item may have. The store takes 400 KiB an item, names of attributes included, and everything that
//! the lifecycle must still write has to fit beside what people wrote.
//!
//! | part of a source's item | at most |
//! |---|---|
//! | what a person says of it | [`MAX_FIELDS_BYTES`] |
//! | its holders | [`MAX_HOLDERS_BYTES`] |
//! | requests that wait for its restore | [`crate::source::MAX_WAITING`] of 29 bytes |
//! | requests that are to be told how it ended | as many of 75 bytes, and the reasons: [`MAX_REASONS_BYTES`] |
//! | all else | some 4 KiB |
//!
//! A segment has at most [`crate::filter::MAX_BYTES`] of filter and [`crate::segment::MAX_REFERRERS`] users. A manifest lists at
//! most [`crate::manifest::MAX_RUNS`] runs and [`crate::manifest::MAX_COPIES`] copies with
//! [`crate::manifest::MAX_INPUT_RUNS`] inputs together.

use serde::Serialize;

/// The most bytes of an item, by DynamoDB.
pub const MAX_ITEM_BYTES: usize = 400 << 10;
/// The most bytes of what a person says of a source: its name, tags, variants, steps, audience and addresses.
pub const MAX_FIELDS_BYTES: usize = 176 << 10;
/// The most bytes of a source's holders.
pub const MAX_HOLDERS_BYTES: usize = 96 << 10;
/// The most bytes of the reasons for which the restore of a source failed, over all requests that are to be told.
pub const MAX_REASONS_BYTES: usize = 56 << 10;
/// The most bytes of one such reason.
const MAX_REASON_BYTES: usize = 2_000;

/// The bytes that a value has where it is stored, as JSON.
pub fn stored_bytes(value: &impl Serialize) -> usize {
    serde_json::to_vec(value).map_or(0, |json| json.len())
}

/// The beginning of a reason, short enough that so many requests can be told it.
pub fn shared_reason(reason: &str, requests: usize) -> String {
    let most = (MAX_REASONS_BYTES / requests.max(1)).min(MAX_REASON_BYTES);
    if stored_bytes(&reason) <= most {
        return reason.to_owned();
    }
    // The quotes, and the three bytes of the sign that something is missing.
    let mut bytes = 2 + 3;
    let fits = |c: &char| {
        bytes += stored_bytes(c) - 2;
        bytes <= most
    };
    reason.chars().take_while(fits).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        day::{Arrivals, DAYS_BACK},
        facet::Kind,
        filter,
        id::{CopyId, RequestId, RunId},
        manifest::{Copy, Inputs, Life, MAX_COPIES, MAX_INPUT_RUNS, MAX_RUNS, Run, Tier},
        segment::MAX_REFERRERS,
        slot::SlotSize,
        source::{MAX_WAITING, RestoreOutcome, Settlement},
        tally::{Digest, Tally},
        time::{DAY_MILLIS, Time},
    };
    use proptest::prelude::*;
    use ulid::Ulid;

    #[test]
    fn all_that_a_source_may_hold_at_once_fits_its_item() {
        let request = RequestId(Ulid(u128::MAX));
        let settled = |outcome| stored_bytes(&Settlement { request, outcome }) + 1;
        let failed = settled(RestoreOutcome::Failed { error: String::new() });
        let restored =
            settled(RestoreOutcome::Restored { expires_at: Some(Time(0)), late_interactions: u64::MAX });
        assert!(failed <= 75 && stored_bytes(&request) < 29, "{failed}");
        assert!(restored * MAX_WAITING <= failed * MAX_WAITING + MAX_REASONS_BYTES);
        let requests = (29 + failed) * MAX_WAITING + MAX_REASONS_BYTES;
        assert!(MAX_FIELDS_BYTES + MAX_HOLDERS_BYTES + requests + (4 << 10) <= MAX_ITEM_BYTES);
    }

    /// A segment: its filter, its name, and the ids of those that use it, once as its users and once as active ones.
    #[test]
    fn all_that_a_segment_may_hold_at_once_fits_its_item() {
        let longest = format!("campaign/{}", "x".repeat(128));
        let users = MAX_REFERRERS * (stored_bytes(&longest) + 1);
        let name = stored_bytes(&"\"".repeat(256));
        assert!(filter::MAX_BYTES + 2 * users + name + (4 << 10) <= MAX_ITEM_BYTES);
    }

    /// A manifest: each copy without its inputs, the inputs of all copies, each run, a reason, and what arrived in three days.
    #[test]
    fn all_that_a_manifest_may_list_at_once_fits_its_item() {
        let far = Time(253_402_300_799_000);
        let slots = SlotSize::default().bits_for(u64::MAX, u64::MAX);
        let inputs = Some(Inputs { runs: Vec::new(), inbox_blocks: u32::MAX, folded: u64::MAX });
        let (id, run) = (CopyId(Ulid(u128::MAX)), RunId(Ulid(u128::MAX)));
        let life = Life::Retired;
        let copy = Copy { id, run, tier: Tier::Cold, slots, life, since: far, inputs, bytes: u64::MAX };
        let kinds = Kind::ALL.map(|kind| (kind.as_str().to_owned(), u64::MAX));
        let tally = Tally {
            users: u64::MAX,
            rows: u64::MAX,
            by_kind: kinds.into_iter().collect(),
            last_at: Some(far),
            digest: Digest(u128::MAX),
        };
        let mut arrivals = Arrivals::default();
        (0..DAYS_BACK as i64).for_each(|day| arrivals.add(Time(day * DAY_MILLIS), &tally.by_kind));
        let arrived = stored_bytes(&arrivals);
        let listed = stored_bytes(&Run { id: run, slots, tally, folded: u64::MAX }) + 1;
        let copies = (stored_bytes(&copy) + 1) * MAX_COPIES + (stored_bytes(&run) + 1) * MAX_INPUT_RUNS;
        assert!(
            copies + listed * MAX_RUNS + MAX_REASON_BYTES + arrived + (4 << 10) <= MAX_ITEM_BYTES,
            "{copies} {listed} {arrived}"
        );
    }

    proptest! {
        #[test]
        fn a_reason_is_as_short_as_its_requests_need(reason in "(\\PC|[\"\\\\\n]){0,3000}", requests in 1usize..=500) {
            let short = shared_reason(&reason, requests);
            prop_assert!(stored_bytes(&short) * requests <= MAX_REASONS_BYTES);
            prop_assert!(stored_bytes(&short) <= MAX_REASON_BYTES);
            prop_assert!(short == reason || reason.starts_with(short.strip_suffix('…').unwrap()));
        }
    }
}
