//! Few kinds of errors; each says what the caller does.

use aws_sdk_dynamodb::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use rekindle_domain::manifest::Illegal;
use std::error::Error;
use thiserror::Error;

/// What went wrong in a store.
#[derive(Debug, Error)]
pub enum StoreError {
    /// Somebody else wrote first: read again and decide again.
    #[error("somebody else wrote first")]
    Conflict,
    /// Stored bytes are missing or do not verify: quarantine, keep everything, tell a person.
    #[error("{what} {problem}")]
    Damaged {
        /// Which bytes.
        what: String,
        /// What is wrong with them.
        problem: String,
    },
    /// A service did not do as asked: try again later.
    #[error("{call}: {reason}")]
    Unavailable {
        /// The call.
        call: &'static str,
        /// What it answered.
        reason: String,
    },
    /// A service will never do this: a bug, or something grew beyond its bounds.
    #[error("{call} was refused: {reason}")]
    Refused {
        /// The call.
        call: &'static str,
        /// Why.
        reason: String,
    },
    /// A swap that no rule allows: a bug, and nothing was written.
    #[error("refused to write an illegal manifest: {0}")]
    Illegal(#[from] Illegal),
}

impl StoreError {
    /// Bytes that are not there.
    pub fn missing(what: impl Into<String>) -> Self {
        Self::Damaged { what: what.into(), problem: "is missing".to_owned() }
    }

    /// Bytes that do not verify.
    pub fn damaged(what: impl Into<String>, problem: impl std::fmt::Display) -> Self {
        Self::Damaged { what: what.into(), problem: format!("is damaged: {problem}") }
    }

    /// Whether asking again may help.
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::Conflict)
    }
}

/// Turns an SDK error into [`StoreError::Unavailable`], or [`StoreError::Conflict`] where a condition failed.
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
        Some("ValidationException") => {
            StoreError::Refused { call, reason: DisplayErrorContext(&error).to_string() }
        }
        _ => StoreError::Unavailable { call, reason: DisplayErrorContext(&error).to_string() },
    }
}

/// A cancelled transaction names its reasons in its message; only failed conditions and conflicts are ours.
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
