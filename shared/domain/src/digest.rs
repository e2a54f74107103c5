//! Remove with its uses in other crates: the old names of what is in [`crate::notice`].

pub use crate::notice::{
    Expiring, MAX_LISTED, Notice, daily_notice_id as digest_id, is_daily_notice as is_digest, next_day,
};
use crate::time::Time;

impl Notice {
    /// The old name of [`Notice::daily`].
    pub fn digest(day: Time, to: &str, source: Expiring, now: Time) -> Self {
        Self::daily(day, to, source, now)
    }
}
