//! Digests: the warnings of one day to one recipient, in one notice.
//!
//! A digest is a notice that sources are added to until a notifier claims it. Its id is the recipient and the day, so
//! that there is one a day; what comes when today's is claimed already goes into tomorrow's.

use crate::{
    id::SourceId,
    restore::{Notice, Subject},
    time::{DAY_MILLIS, Time},
};
use serde::{Deserialize, Serialize};
use twox_hash::XxHash3_128;

/// How many sources a digest lists; of further ones it says how many.
pub const MAX_LISTED: usize = 100;
const PREFIX: &str = "expiring-";

/// A source whose data is going to expire.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Expiring {
    /// Which.
    pub source: SourceId,
    /// When.
    pub expires_at: Time,
}

/// The id of the digest of a day for a recipient. Two ways to write an address are one recipient.
pub fn digest_id(day: Time, to: &str) -> String {
    let hash = XxHash3_128::oneshot(to.to_ascii_lowercase().as_bytes());
    let day = day.day().to_string();
    format!("{PREFIX}{}-{hash:032x}", day.split('T').next().unwrap_or(&day))
}

/// Whether that is the id of a digest.
pub fn is_digest(notice_id: &str) -> bool {
    notice_id.starts_with(PREFIX)
}

impl Notice {
    /// The digest of the day of `day`, which begins with this source. It goes out at the end of the sweep that makes it,
    /// or when its day begins.
    pub fn digest(day: Time, to: &str, source: Expiring, now: Time) -> Self {
        let subject = Subject::Expiring { sources: vec![source], more: 0 };
        Self::new(digest_id(day, to), to.to_owned(), subject, now, now.max(day.day()))
    }

    /// This digest with a source more; `None` if somebody may have sent it, or if it is no digest.
    pub fn with_expiring(&self, source: Expiring) -> Option<Self> {
        let mut next = self.clone();
        let is_open = self.attempts == 0 && self.sent_at.is_none() && self.failed.is_none();
        match &mut next.subject {
            Subject::Expiring { sources, more } if is_open => {
                if sources.len() < MAX_LISTED {
                    sources.push(source);
                } else {
                    *more += 1;
                }
                Some(next)
            }
            _ => None,
        }
    }
}

/// The day after.
pub const fn next_day(day: Time) -> Time {
    day.day().plus(DAY_MILLIS)
}
