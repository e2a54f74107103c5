//! The time that an invocation has for new work.

use rekindle_domain::time::Time;

/// The time until which an invocation may begin new work.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    until: Time,
}

impl Budget {
    /// Work may begin before `until`.
    pub const fn until(until: Time) -> Self {
        Self { until }
    }

    /// Whether no new work may begin.
    pub fn is_spent(&self, now: Time) -> bool {
        now >= self.until
    }
}
