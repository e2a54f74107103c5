//! The audit trail. Each month has a partition, so that no partition grows without end; within it entries are sorted
//! by id, which begins with the time. An entry never changes and is never deleted: an act cannot be recorded later.

use super::{Catalog, Index, Key, Transaction, Versioned, Window, Write};
use crate::error::StoreError;
use rekindle_domain::{Ulid, time::Time};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Something that somebody did.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AuditEntry {
    /// When.
    pub at: Time,
    /// Who: `key/ID`.
    pub by: String,
    /// What: registered, edited, deleted, started, stopped, pinned, unpinned, requested, cancelled, created, rotated,
    /// revoked.
    pub event: String,
    /// To what: `campaign/ID`, `canvas/ID`, `segment/ID`, `restore/ID`, `key/ID`.
    pub on: String,
    /// More, where there is more to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// A month of the UTC calendar, written `2027-01`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Month {
    /// Its first moment.
    pub begin: Time,
}

impl Month {
    /// The month of a time.
    pub fn of(at: Time) -> Self {
        let written = at.to_string();
        let begin = written.get(..7).and_then(|month| Time::parse(&format!("{month}-01T00:00:00Z")));
        Self { begin: begin.unwrap_or_default() }
    }

    /// The month before.
    pub fn before(self) -> Self {
        Self::of(self.begin.plus(-1))
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.begin.to_string().get(..7).unwrap_or_default())
    }
}

fn key(month: Month, id: Ulid) -> Key {
    Key::new(format!("audit#{month}"), format!("a#{id}"))
}

/// The time that an id was made.
pub fn time_of(id: Ulid) -> Time {
    Time(i64::try_from(id.timestamp_ms()).unwrap_or(i64::MAX))
}

impl Transaction {
    /// Adds an audit entry with a new id. The time of the id decides the month that the entry is found in.
    pub fn add_audit(&mut self, id: Ulid, entry: &AuditEntry) -> Result<(), StoreError> {
        self.push(Write::new(key(Month::of(time_of(id)), id), entry, 0, Index::default())?);
        Ok(())
    }
}

impl Catalog {
    /// Up to `limit` entries of a month with their ids, newest first; with `after` only entries older than that one.
    pub async fn audit(
        &self,
        month: Month,
        after: Option<Ulid>,
        limit: usize,
    ) -> Result<Vec<(Ulid, AuditEntry)>, StoreError> {
        let after = after.map(|id| key(month, id).sk);
        let window = Window { after: after.as_deref(), limit, newest_first: true };
        let (entries, _) = self.query::<AuditEntry>(&key(month, Ulid::nil()).pk, "a#", window).await?;
        let entry = |(sk, entry): (String, Versioned<AuditEntry>)| {
            Some((Ulid::from_string(sk.strip_prefix("a#")?).ok()?, entry.value))
        };
        Ok(entries.into_iter().filter_map(entry).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_go_back_over_the_year() {
        let month = Month::of(Time::parse("2027-01-31T23:59:59.999Z").unwrap());
        assert_eq!(month.to_string(), "2027-01");
        assert_eq!(month.before().to_string(), "2026-12");
        assert_eq!(month.before().before().to_string(), "2026-11");
    }
}
