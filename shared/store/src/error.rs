//! The errors of the stores: few kinds, and each says what the caller does next.

use aws_sdk_dynamodb::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use rekindle_domain::manifest::Illegal;
use std::error::Error;
use thiserror::Error;

/// The error of a store.
#[derive(Debug, Error)]
pub enum StoreError {
    /// Another writer wrote first: read again and decide again.
    #[error("somebody else wrote first")]
    Conflict,
    /// Stored bytes are missing or do not verify: quarantine, keep everything, tell a person.
    #[error("{what} {problem}")]
    Damaged {
        /// The name of the bytes.
        what: String,
        /// The problem with them.
        problem: String,
    },
    /// A service failed or did not answer; the call may have had its effect: try again later.
    #[error("{call}: {reason}")]
    Unavailable {
        /// The name of the call, such as `PutItem`.
        call: &'static str,
        /// The service's answer.
        reason: String,
    },
    /// The local runner's disk is full. Nothing was written: free some space, and try again.
    #[error("{call}: the disk is full")]
    Full {
        /// The name of the call, such as `PutItem`.
        call: &'static str,
    },
    /// A service refuses this request for good: a bug, or something grew beyond its bounds.
    #[error("{call} was refused: {reason}")]
    Refused {
        /// The name of the call, such as `PutItem`.
        call: &'static str,
        /// The reason.
        reason: String,
    },
    /// The rules of manifests do not allow this swap: a bug. Nothing was written.
    #[error("refused to write an illegal manifest: {0}")]
    Illegal(#[from] Illegal),
}

impl StoreError {
    /// The error for bytes that are missing.
    pub fn missing(what: impl Into<String>) -> Self {
        Self::Damaged { what: what.into(), problem: "is missing".to_owned() }
    }

    /// The error for bytes that do not verify.
    pub fn damaged(what: impl Into<String>, problem: impl std::fmt::Display) -> Self {
        Self::Damaged { what: what.into(), problem: format!("is damaged: {problem}") }
    }

    /// Whether the same call may succeed later.
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::Full { .. } | Self::Conflict)
    }
}

/// The error code with which the local runner's services say that their disk is full. AWS has none.
pub const STORAGE_FULL: &str = "StorageFull";

/// Turns an SDK error into [`StoreError::Conflict`] where a condition failed, [`StoreError::Refused`] where the
/// request is not valid, [`StoreError::Full`] where a disk is full, and [`StoreError::Unavailable`] otherwise.
pub(crate) fn failed<E, R>(call: &'static str) -> impl FnOnce(SdkError<E, R>) -> StoreError
where
    E: ProvideErrorMetadata + Error + 'static,
    R: std::fmt::Debug + 'static,
{
    move |error| match error.code() {
        Some(
            "ConditionalCheckFailedException"
            | "TransactionCanceledException"
            | "TransactionConflictException",
        ) if is_conflict(error.message()) => StoreError::Conflict,
        Some(STORAGE_FULL) => StoreError::Full { call },
        Some("ValidationException") => {
            StoreError::Refused { call, reason: DisplayErrorContext(&error).to_string() }
        }
        _ => StoreError::Unavailable { call, reason: DisplayErrorContext(&error).to_string() },
    }
}

/// Whether failed conditions and conflicts are the only reasons for the failure. A cancelled transaction lists its
/// reasons in its message, one for each action; other errors list none.
fn is_conflict(message: Option<&str>) -> bool {
    let Some(reasons) = message.and_then(|m| m.split_once('[')).map(|(_, r)| r) else {
        return true;
    };
    reasons
        .trim_end_matches(']')
        .split(',')
        .map(str::trim)
        .all(|r| matches!(r, "None" | "ConditionalCheckFailed" | "TransactionConflict"))
}
