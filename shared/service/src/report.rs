//! Reports of the sweeper and the compactor: an entry for each item that was looked at.

use serde::{Serialize, Serializer};
use std::fmt;

/// One item that was looked at, and the outcome.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Swept {
    /// The key of the item: a source, a ledger, a request or a notice.
    pub what: String,
    /// The outcome of the look, a sentence once serialized.
    pub outcome: SweepOutcome,
}

/// The outcome of a look at one item. It is serialized as a sentence for people.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SweepOutcome {
    /// People were warned that the data expires.
    Warned,
    /// A source was stopped after a long time without interactions.
    StoppedIdle,
    /// An expiry took one or more steps, and there are more to take.
    Advanced,
    /// The data expired.
    Expired,
    /// A restore had ended already, or ended now.
    RestoreFinished,
    /// No part of a restore was left to queue: it was finished if every part was done.
    RestoreChecked,
    /// A restore failed.
    RestoreFailed,
    /// This many parts of a restore were queued again.
    PartsQueued(usize),
    /// A restore request was queued again.
    RequestQueued,
    /// A mail was queued again.
    MailQueued,
    /// A mail was given up, and the timelines of its sources say so.
    MailGivenUp,
    /// This many copies were deleted.
    CopiesDeleted(u32),
    /// A ledger was compacted.
    Compacted {
        /// How many rewrites were committed.
        rewrites: u32,
    },
    /// A deleted source was brought back, since it sends.
    BroughtBack,
    /// The data of a deleted source is going.
    Going,
    /// A deleted source is gone.
    Gone,
    /// An error, in words. A later invocation looks at the item again.
    Failed(String),
}

impl fmt::Display for SweepOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Warned => f.write_str("warned"),
            Self::StoppedIdle => f.write_str("stopped, since it was idle"),
            Self::Advanced => f.write_str("advanced"),
            Self::Expired => f.write_str("expired"),
            Self::RestoreFinished => f.write_str("restore finished"),
            Self::RestoreChecked => f.write_str("restore checked"),
            Self::RestoreFailed => f.write_str("restore failed"),
            Self::PartsQueued(parts) => write!(f, "{parts} parts queued again"),
            Self::RequestQueued => f.write_str("request queued again"),
            Self::MailQueued => f.write_str("mail queued again"),
            Self::MailGivenUp => f.write_str("mail given up"),
            Self::CopiesDeleted(copies) => write!(f, "{copies} copies deleted"),
            Self::Compacted { rewrites } => write!(f, "{rewrites} rewrites"),
            Self::BroughtBack => f.write_str("brought back, since it sends"),
            Self::Going => f.write_str("deleted for good, its data is going"),
            Self::Gone => f.write_str("gone"),
            Self::Failed(error) => f.write_str(error),
        }
    }
}

impl Serialize for SweepOutcome {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
