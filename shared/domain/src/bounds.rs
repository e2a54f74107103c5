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
        id::RequestId,
        source::{MAX_WAITING, RestoreOutcome, Settlement},
        time::Time,
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
