//! Work that failed for good.

use rekindle_store::StoreError;

/// Why work on a copy cannot be done.
pub(crate) struct Failure {
    /// The reason, for people.
    pub(crate) reason: String,
    /// Whether stored bytes or sums do not verify: the ledger goes into quarantine.
    pub(crate) is_damaged: bool,
}

impl Failure {
    /// The failure of work that nothing is damaged about: it was tried too often, or took too long.
    pub(crate) fn given_up(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), is_damaged: false }
    }

    /// The failure of work whose input or output does not verify.
    ///
    /// # Errors
    /// The error itself where it is no damage: the work may succeed when it is tried again.
    pub(crate) fn of(error: StoreError) -> Result<Self, StoreError> {
        match error {
            StoreError::Damaged { .. } => Ok(Self { reason: error.to_string(), is_damaged: true }),
            other => Err(other),
        }
    }
}
