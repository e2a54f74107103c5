//! Notices: one mail to one recipient, recorded before it is sent.
//!
//! A *daily notice* holds the warnings of one day to one recipient. Sources are added to it until a notifier claims it.
//! Its id is made of the day and the recipient, so that there is one a day. A warning that comes when the notice of today
//! is claimed goes into the one of tomorrow; if that would leave too little time, into a further one of today.

use crate::{
    id::{RequestId, SourceId},
    time::{DAY_MILLIS, Time},
};
use serde::{Deserialize, Serialize};
use twox_hash::XxHash3_128;

/// The most time a notifier has to send one mail.
pub const NOTICE_LEASE_MILLIS: i64 = 2 * 60 * 1000;
/// After how many tries a notice is given up; the notifier logs that as an error.
pub const MAX_NOTICE_ATTEMPTS: u32 = 10;
/// How many sources a daily notice lists; it only counts the further ones.
pub const MAX_LISTED: usize = 100;
/// How the ids of daily notices begin.
const DAILY: &str = "expiring-";

/// A source whose data is going to expire.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Expiring {
    pub source: SourceId,
    pub expires_at: Time,
}

/// The subject of a mail.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "about")]
pub enum Subject {
    /// A restore has ended.
    Restore {
        /// The request to restore.
        request: RequestId,
    },
    /// The data of sources is going to expire: a daily notice.
    Expiring {
        /// The first [`MAX_LISTED`] sources that were added.
        sources: Vec<Expiring>,
        /// How many further sources were added.
        more: u32,
    },
    /// Work on a source's data failed and needs a person.
    Trouble {
        /// The source whose data it is.
        source: SourceId,
        /// The failure, for people.
        reason: String,
    },
    /// Messages of a source go out although a person stopped it.
    Sending {
        /// The source that is stopped.
        source: SourceId,
        /// The time of such a message.
        message_at: Time,
    },
    /// A source was deleted, and can be brought back for some time.
    Deleted {
        /// The source that was deleted.
        source: SourceId,
        /// By whom.
        by: String,
        /// When it cannot be brought back any more.
        final_at: Time,
    },
    /// A deleted source was brought back, since a message of it went out.
    Undeleted {
        /// The source.
        source: SourceId,
        /// The time of the message.
        message_at: Time,
    },
    /// A source was stopped because its interactions ceased.
    Stopped {
        /// The source that was stopped.
        source: SourceId,
        /// The time of its last known interaction, or of its start.
        idle_since: Time,
        /// When its data expires, unless it is used.
        expires_at: Option<Time>,
    },
}

impl Subject {
    /// The sources that the mail lists; those of a restore stand in its request.
    pub fn sources(&self) -> Vec<&SourceId> {
        match self {
            Self::Restore { .. } => Vec::new(),
            Self::Expiring { sources, .. } => sources.iter().map(|entry| &entry.source).collect(),
            Self::Trouble { source, .. }
            | Self::Sending { source, .. }
            | Self::Deleted { source, .. }
            | Self::Undeleted { source, .. }
            | Self::Stopped { source, .. } => vec![source],
        }
    }
}

/// One mail to one recipient: pending, claimed under a lease, sent. A lapsed claim is sent again, so that a crash
/// costs a rare duplicate and never a mail.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Notice {
    /// Its id: what it is about and a number, so that it cannot be made twice.
    pub id: String,
    /// The address of the recipient.
    pub to: String,
    /// The subject of the mail.
    #[serde(flatten)]
    pub subject: Subject,
    /// When it was made.
    pub created_at: Time,
    /// How often a notifier tried to send it.
    pub attempts: u32,
    /// When it was sent; `None` unless it was.
    pub sent_at: Option<Time>,
    /// Why it was given up; `None` unless it was.
    pub failed: Option<String>,
    /// Whether the timelines of its sources say that it was given up.
    #[serde(default, skip_serializing_if = "crate::is_default")]
    pub is_told: bool,
    /// Until when no other notifier may send it, and when the sweeper looks at it again.
    pub lease_until: Time,
}

impl Notice {
    /// A notice that no notifier has tried to send; the sweeper looks at it at `look_at` if it is still unsent then.
    pub fn new(id: String, to: String, subject: Subject, created_at: Time, look_at: Time) -> Self {
        Self {
            id,
            to,
            subject,
            created_at,
            attempts: 0,
            sent_at: None,
            failed: None,
            is_told: false,
            lease_until: look_at,
        }
    }

    /// Whether a notifier may try to send it at `now`.
    pub fn is_free(&self, now: Time) -> bool {
        self.sent_at.is_none() && self.failed.is_none() && (self.attempts == 0 || self.lease_until <= now)
    }

    /// When the sweeper must look at it. `None`: it was sent, or given up and told.
    pub fn wake_at(&self) -> Option<Time> {
        let is_over = self.sent_at.is_some() || self.failed.is_some() && self.is_told;
        (!is_over).then_some(self.lease_until)
    }

    /// The daily notice with this id, of the day of `day`, with its first source. It goes out at the end of the sweep that
    /// makes it, or when its day begins.
    pub fn daily(id: String, day: Time, to: &str, source: Expiring, now: Time) -> Self {
        let subject = Subject::Expiring { sources: vec![source], more: 0 };
        Self::new(id, to.to_owned(), subject, now, now.max(day.day()))
    }

    /// This daily notice with one more source; `None` if a notifier may have sent it, or if it is another kind of notice.
    pub fn with_expiring(&self, source: Expiring) -> Option<Self> {
        let mut next = self.clone();
        let is_open = self.attempts == 0 && self.sent_at.is_none() && self.failed.is_none();
        match &mut next.subject {
            Subject::Expiring { sources, more } if is_open => {
                if sources.len() < MAX_LISTED {
                    sources.push(source);
                } else {
                    *more += 1;
                }
                Some(next)
            }
            _ => None,
        }
    }
}

/// The id of the daily notice to a recipient on the day of `day`; `further` counts those of the same day before it.
/// Addresses that differ in upper and lower case alone are one recipient.
pub fn daily_notice_id(day: Time, to: &str, further: u32) -> String {
    let hash = XxHash3_128::oneshot(to.to_ascii_lowercase().as_bytes());
    let day = day.day().to_string();
    let id = format!("{DAILY}{}-{hash:032x}", day.split('T').next().unwrap_or(&day));
    if further == 0 { id } else { format!("{id}-{further}") }
}

/// Whether `notice_id` is the id of a daily notice.
pub fn is_daily_notice(notice_id: &str) -> bool {
    notice_id.starts_with(DAILY)
}

/// When the day after the one of `day` begins, in UTC.
pub const fn next_day(day: Time) -> Time {
    day.day().plus(DAY_MILLIS)
}
