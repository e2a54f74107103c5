//! Until when an invocation may begin new work, and how it reports on one thing.

use rekindle_domain::time::Time;
use serde::Serialize;

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

/// What one thing came to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Swept {
    /// What was looked at: a source, a ledger, a request, a notice.
    pub what: String,
    /// What came of it.
    pub outcome: String,
}
