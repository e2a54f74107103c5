//! How an invocation of the sweeper or the compactor reports on one thing that it looked at.

use serde::{Serialize, Serializer};
use std::fmt;

/// One thing that was looked at, and the outcome.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Swept {
    /// The key of the thing: of a source, a ledger, a request or a notice.
    pub what: String,
    /// The outcome.
    pub outcome: SweepOutcome,
}

/// The outcome of a look at one thing. Written as a sentence for people.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SweepOutcome {
    /// People were warned that the data expires.
    Warned,
    /// A source without interactions for so long was stopped.
    StoppedIdle,
    /// An expiry took one or more steps, and there are more to take.
    Advanced,
    /// The data expired.
    Expired,
    /// A restore had ended already, or ended now.
    RestoreFinished,
    /// A restore failed.
    RestoreFailed,
    /// So many parts of a restore were queued again.
    PartsQueued(usize),
    /// A restore request was queued again.
    RequestQueued,
    /// A mail was queued again.
    MailQueued,
    /// So many copies were deleted.
    CopiesDeleted(u32),
    /// A ledger was compacted.
    Compacted {
        /// How many rewrites were committed.
        rewrites: u32,
    },
    /// An error, in words; the thing is looked at again.
    Failed(String),
}

impl fmt::Display for SweepOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Warned => f.write_str("warned"),
            Self::StoppedIdle => f.write_str("stopped, since it was idle"),
            Self::Advanced => f.write_str("brought further"),
            Self::Expired => f.write_str("expired"),
            Self::RestoreFinished => f.write_str("restore finished"),
            Self::RestoreFailed => f.write_str("restore failed"),
            Self::PartsQueued(parts) => write!(f, "{parts} parts queued again"),
            Self::RequestQueued => f.write_str("request queued again"),
            Self::MailQueued => f.write_str("mail queued again"),
            Self::CopiesDeleted(copies) => write!(f, "{copies} copies deleted"),
            Self::Compacted { rewrites } => write!(f, "{rewrites} rewrites"),
            Self::Failed(error) => f.write_str(error),
        }
    }
}

impl Serialize for SweepOutcome {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
