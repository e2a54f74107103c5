//! Until when an invocation may begin new work.

use rekindle_domain::time::Time;

/// Until when an invocation may begin new work.
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
