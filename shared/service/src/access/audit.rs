//! Reading the audit trail: the changes that each key made. [`crate::journal`] writes the entries.

use crate::{
    app::Rekindle,
    boxed,
    page::{Listing, NOT_OURS},
    problem::Problem,
};
use rekindle_domain::{Ulid, time::Time};
use rekindle_store::catalog::audit::{AuditEntry, Month, time_of};

/// The first month of the trail, January 2026: the walk back ends here.
const FIRST_MONTH: Time = Time(1_767_225_600_000);

/// The most months that one page looks through, since months may be empty.
const MAX_MONTHS: usize = 60;

/// A question for a page of the trail.
#[derive(Clone, Debug, Default)]
pub struct AuditRequest {
    /// Only entries about this item, such as `key/ID`.
    pub on: Option<String>,
    /// Only entries by this key, as `key/ID`.
    pub by: Option<String>,
    /// The most entries that one page looks at.
    pub limit: usize,
}

impl Rekindle {
    /// A page of the trail, newest first. Entries that do not fit the question are left out after they were read, so that a
    /// page may be short or empty and still have a `next`.
    ///
    /// # Errors
    /// 400 a cursor that is not ours.
    #[boxed]
    pub async fn list_audit(
        &self,
        request: &AuditRequest,
        cursor: Option<&str>,
    ) -> Result<Listing<AuditEntry>, Problem> {
        let not_ours = |_| Problem::bad_request("invalid_cursor", NOT_OURS);
        let mut after = cursor.map(|text| Ulid::from_string(text).map_err(not_ours)).transpose()?;
        // No entry is later than now.
        let mut month = Month::of(after.map_or_else(|| self.now(), |id| time_of(id).min(self.now())));
        let mut found: Vec<(Ulid, AuditEntry)> = Vec::new();
        let mut next = None;
        let mut months = 0;
        while month.begin >= FIRST_MONTH {
            found.extend(self.store.catalog.audit(month, after, request.limit - found.len()).await?);
            months += 1;
            if found.len() >= request.limit {
                next = found.last().map(|(id, _)| *id);
                break;
            }
            if months == MAX_MONTHS {
                // The smallest id of this month: the next page begins before it.
                next = Some(Ulid::from_parts(month.begin.0.unsigned_abs(), 0));
                break;
            }
            after = None;
            month = month.before();
        }
        let fits = |entry: &AuditEntry| {
            request.on.as_ref().is_none_or(|on| *on == entry.on)
                && request.by.as_ref().is_none_or(|by| *by == entry.by)
        };
        let items = found.into_iter().map(|(_, entry)| entry).filter(fits).collect();
        Ok(Listing { items, next: next.map(|id| id.to_string()) })
    }
}
