//! That a source is deleted, and what follows when.

use crate::time::{DAY_MILLIS, Time};
use serde::{Deserialize, Serialize};

/// How long a deletion can be undone, in milliseconds.
pub const UNDO_MILLIS: i64 = 7 * DAY_MILLIS;

/// That a source is deleted.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Deletion {
    /// When.
    pub at: Time,
    /// By whom: a key's name, as in the timeline.
    pub by: String,
    /// Whether its people are still to be told.
    #[serde(default)]
    pub is_to_tell: bool,
    /// The time of a message that was sent after the deletion: the sweeper brings the source back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<Time>,
    /// When the sweeper first found that nothing names it, after the time to undo was over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unnamed_at: Option<Time>,
    /// Whether its data is going. Then nothing brings it back.
    #[serde(default)]
    pub is_final: bool,
}

impl Deletion {
    /// When the data begins to go.
    pub const fn final_at(&self) -> Time {
        self.at.plus(UNDO_MILLIS)
    }

    /// When the sweeper must look at the source: to tell its people, to bring it back, to delete its data.
    pub fn wakes_at(&self) -> Time {
        if self.is_to_tell || self.sent_at.is_some() { self.at } else { self.final_at() }
    }
}
