//! Deleting a source. A deleted source is hidden at once, and can be brought back for a week. Then its data goes, in hot copies,
//! cold copies and the inbox, and at last the source itself. What the ledger `users` knows of its interactions stays.
//!
//! Interactions of a deleted source are taken, since nobody may be there to notice that they are refused. A message that is
//! sent after the deletion shows that the source is in use: it is brought back.

use crate::{
    deletion::Deletion,
    manifest::DataState,
    source::{Source, Status},
    time::Time,
};

/// The reason why a source cannot be deleted as it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Undeletable {
    /// It is active.
    Active,
    /// Its data is being restored, or a request has yet to be told that it was.
    Restoring,
    /// A pin keeps its data.
    Pinned,
}

impl Source {
    /// This source deleted at `now`.
    ///
    /// # Errors
    /// The reason why not.
    pub fn deleted(&self, by: String, now: Time) -> Result<Self, Undeletable> {
        if self.status == Status::Active {
            return Err(Undeletable::Active);
        }
        if self.state == DataState::Restoring || !self.settling.is_empty() {
            return Err(Undeletable::Restoring);
        }
        if self.pin_in_force(now).is_some() {
            return Err(Undeletable::Pinned);
        }
        let deletion =
            Deletion { at: now, by, is_to_tell: true, sent_at: None, unnamed_at: None, is_final: false };
        Ok(Self { deletion: Some(deletion), updated_at: now, retry_at: None, ..self.clone() })
    }

    /// This source brought back. Its retention goes on as if it had not been deleted, its people are warned anew, and the
    /// sweeper looks for rows that came meanwhile.
    #[must_use]
    pub fn undeleted(&self, now: Time) -> Self {
        let late_since = self.late_since.or((self.state == DataState::Expired).then_some(now));
        let back = Self { deletion: None, updated_at: now, retry_at: None, ..self.clone() };
        Self { late_since, warned_for: None, ..back }
    }
}
