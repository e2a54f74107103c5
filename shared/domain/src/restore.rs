//! Requests to restore, and their items.

use crate::{
    id::{RequestId, SourceId},
    manifest::DataState,
    source::{MAX_WAITING, RestoreOutcome, Source},
    time::Time,
};
use serde::{Deserialize, Serialize};

/// The most sources one request names.
pub const MAX_SOURCES: usize = 1_000;
/// The most addresses one request notifies.
pub const MAX_NOTIFY: usize = 50;

/// A request to restore.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Request {
    /// Its id: requests that were made later have greater ids.
    pub id: RequestId,
    /// Counts writes; the condition of each.
    pub version: u64,
    /// When it was made.
    pub created_at: Time,
    /// When its last item ended.
    pub completed_at: Option<Time>,
    /// The caller that made it, where that is known.
    pub requested_by: Option<String>,
    /// The tag whose sources it restores; `None` if it names its sources.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// The addresses that get a mail at the end, one each.
    pub notify: Vec<String>,
    /// How many items it has.
    pub items: u32,
    /// How many of them have not ended.
    pub remaining: u32,
    /// How many of them failed.
    pub failed: u32,
    /// How many of them were cancelled.
    pub cancelled: u32,
    /// Whether every item was begun.
    pub begun: bool,
    /// Whether it was cancelled.
    pub is_cancelled: bool,
    /// When the sweeper looks at it again unless it has completed.
    pub look_at: Option<Time>,
}

/// The state of a request, in the order of its life.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names say it")]
pub enum RequestState {
    Queued,
    Running,
    Completed,
    PartlyFailed,
    Failed,
    Cancelled,
}

impl Request {
    /// Its state, by its counts.
    pub fn state(&self) -> RequestState {
        if self.remaining > 0 {
            return if self.begun || self.remaining < self.items {
                RequestState::Running
            } else {
                RequestState::Queued
            };
        }
        match self {
            _ if self.failed > 0 && self.failed == self.items => RequestState::Failed,
            _ if self.failed > 0 => RequestState::PartlyFailed,
            _ if self.is_cancelled && self.cancelled > 0 => RequestState::Cancelled,
            _ => RequestState::Completed,
        }
    }
}

/// Where one source of a request is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ItemState {
    /// Not begun.
    Queued,
    /// Under way.
    Restoring,
    /// Done.
    Restored,
    /// It was not expired. Its clock starts anew, unless it was asked for by a tag.
    AlreadyAvailable,
    /// There never were interactions.
    NothingToRestore,
    /// Expired as before.
    Failed,
    /// Given up by this request.
    Cancelled,
}

impl ItemState {
    /// Whether it is an end: the item does not change any more.
    pub const fn is_final(self) -> bool {
        !matches!(self, Self::Queued | Self::Restoring)
    }
}

/// One source of a request.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Item {
    /// The source to restore.
    pub source: SourceId,
    /// How far its restore is, for this request.
    pub state: ItemState,
    /// How many users come back.
    pub users_total: u64,
    /// How many of the interactions that came back arrived after the data had expired. Those of one user that differ in time
    /// alone count once.
    #[serde(default, skip_serializing_if = "crate::is_default")]
    pub late_interactions: u64,
    /// When the data expires again.
    pub expires_at: Option<Time>,
    /// Why it failed, for people; `None` unless it did.
    pub error: Option<String>,
}

impl Item {
    /// An item that has not begun.
    pub const fn queued(source: SourceId) -> Self {
        let state = ItemState::Queued;
        Self { source, state, users_total: 0, late_interactions: 0, expires_at: None, error: None }
    }

    /// The item after the restore of its source has ended with that outcome.
    pub fn ended(&self, outcome: &RestoreOutcome) -> Self {
        match outcome {
            RestoreOutcome::Restored { expires_at, late_interactions } => Self {
                state: ItemState::Restored,
                late_interactions: *late_interactions,
                expires_at: *expires_at,
                error: None,
                ..self.clone()
            },
            RestoreOutcome::Failed { error } => Self {
                state: ItemState::Failed,
                error: Some(error.clone()),
                expires_at: None,
                ..self.clone()
            },
        }
    }
}

impl Request {
    /// The request after one of its items ended in that state.
    pub fn item_ended(&self, state: ItemState, now: Time) -> Self {
        let remaining = self.remaining.saturating_sub(1);
        Self {
            remaining,
            failed: self.failed + u32::from(state == ItemState::Failed),
            cancelled: self.cancelled + u32::from(state == ItemState::Cancelled),
            completed_at: (remaining == 0).then_some(now),
            look_at: self.look_at.filter(|_| remaining > 0),
            ..self.clone()
        }
    }
}

/// How the restore of one source begins for a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Beginning {
    /// A restore of the source has ended, and the source has yet to tell how: this request, or, before another restore
    /// starts, any.
    Settle,
    /// The item ends: there never were interactions.
    NothingToRestore,
    /// The item ends: the data is available.
    AlreadyAvailable,
    /// The item ends: the data is available, and its clock starts anew.
    RenewClock,
    /// The request waits for the restore that runs already.
    WaitsAlready,
    /// The item fails: [`MAX_WAITING`] requests wait for the restore that runs.
    TooManyWaiting,
    /// The request joins the restore that runs.
    Join,
    /// The restore of the source begins.
    Start,
}

/// Decides how the restore of `source` begins for a request. A request by a tag (`by_tag`) means the expired sources that
/// carry it, and renews no clock: its sender need not know what else carries the tag.
///
/// No restore starts while requests wait to be told how an earlier one ended: a source's item has room for those of one
/// restore.
pub fn begin(source: &Source, by_tag: bool, request: RequestId) -> Beginning {
    if source.settling.iter().any(|s| s.request == request) {
        return Beginning::Settle;
    }
    match source.state {
        DataState::Expired if !source.settling.is_empty() => Beginning::Settle,
        DataState::Available if !source.has_data => Beginning::NothingToRestore,
        DataState::Available if by_tag => Beginning::AlreadyAvailable,
        DataState::Available => Beginning::RenewClock,
        DataState::Restoring if source.waiting.contains(&request) => Beginning::WaitsAlready,
        DataState::Restoring if source.waiting.len() >= MAX_WAITING => Beginning::TooManyWaiting,
        DataState::Restoring => Beginning::Join,
        DataState::Expired => Beginning::Start,
    }
}
