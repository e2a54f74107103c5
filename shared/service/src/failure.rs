//! Work that failed for good.

use rekindle_domain::bounds::shared_reason;
use rekindle_store::StoreError;

/// The failure of work on a copy.
pub(crate) struct Failure {
    /// The reason, for people.
    pub(crate) reason: String,
    /// Whether stored bytes or sums do not verify: the ledger goes into quarantine.
    pub(crate) is_damaged: bool,
}

impl Failure {
    /// The failure of work that was tried too often, or took too long. Nothing is damaged.
    pub(crate) fn given_up(reason: impl Into<String>) -> Self {
        Self { reason: shared_reason(&reason.into(), 1), is_damaged: false }
    }

    /// The failure of work whose input or output does not verify.
    ///
    /// # Errors
    /// Returns the error itself if it is not damage: the work may succeed on another try.
    pub(crate) fn of(error: StoreError) -> Result<Self, StoreError> {
        match error {
            StoreError::Damaged { .. } => {
                Ok(Self { reason: shared_reason(&error.to_string(), 1), is_damaged: true })
            }
            other => Err(other),
        }
    }
}
