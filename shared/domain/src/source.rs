//! Sources (campaigns and Canvases): their fields, their lifecycle, and when their data expires.

use crate::{
    breaks::{self, Break},
    deletion::Deletion,
    filter::Filter,
    id::{RequestId, SourceId},
    manifest::DataState,
    time::{DAY_MILLIS, Period, Time},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The most holders a source item lists.
pub const MAX_HOLDERS: usize = 500;
/// The most requests that may wait for one restore.
pub const MAX_WAITING: usize = 500;
/// How often the sweeper resumes a restore before it fails the restore: in production for more than a day.
pub const MAX_REDRIVES: u32 = 100;
/// The most tags a source carries: a change of all of them fits the transaction that writes the source.
pub const MAX_TAGS: usize = 20;
/// How long late rows of an expired ledger stay in its inbox before they are archived.
pub const LATE_SWEEP_MILLIS: i64 = DAY_MILLIS;

/// Whether a source sends. Not to be confused with the state of its data.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Not started yet.
    Draft,
    /// Sending.
    Active,
    /// No longer sending.
    Stopped,
}

impl Status {
    /// The name in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Active => "active",
            Self::Stopped => "stopped",
        }
    }
}

/// A variant of a campaign; a variation or a step of a Canvas.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Variant {
    /// What interactions name it by.
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Id"))]
    pub id: String,
    /// What people call it; empty where nobody said.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(length(max = crate::words::MAX_WORDS)))]
    pub name: String,
}

/// An active source that retargets another.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Holder {
    /// The active source.
    pub source: SourceId,
    /// Through which segments, if not directly.
    #[serde(default)]
    pub via: Vec<String>,
}

/// Somebody's wish that data be kept, whatever its age.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Pin {
    /// Whose: a person's or a function's name.
    pub by: String,
    /// When it was made.
    pub at: Time,
    /// When it ends; `None`: when somebody takes it away.
    pub until: Option<Time>,
    /// What for, for people.
    pub reason: String,
}

impl Pin {
    /// Whether it keeps the data at `now`.
    pub fn is_in_force(&self, now: Time) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

/// How a restore ended for one source.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum RestoreOutcome {
    /// The data is available again.
    Restored {
        /// When it expires again.
        expires_at: Option<Time>,
        /// How many interactions arrived after it had expired.
        #[serde(default, skip_serializing_if = "crate::is_default")]
        late_interactions: u64,
    },
    /// It is expired as before.
    Failed {
        /// Why, for people.
        error: String,
    },
}

/// The outcome of a restore that a request has yet to be told.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Settlement {
    /// The request to tell.
    pub request: RequestId,
    /// How the restore ended.
    #[serde(flatten)]
    pub outcome: RestoreOutcome,
}

/// A campaign or a Canvas.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Source {
    /// Its name in the API: `campaign/ID` or `canvas/ID`. Stored as `source`.
    #[serde(rename = "source")]
    pub id: SourceId,
    /// Counts writes; the condition of each.
    pub version: u64,
    /// The name for people.
    pub name: String,
    /// Its variants; a Canvas's variations.
    #[serde(default)]
    pub variants: Vec<Variant>,
    /// A Canvas's steps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Variant>,
    /// The tags that it is found by: human text, compared without case.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub tags: BTreeSet<String>,
    /// The condition on the users that it is sent to.
    #[serde(default)]
    pub audience: Option<Filter>,
    /// The addresses that get mails about its data.
    #[serde(default)]
    pub notify: Vec<String>,
    /// Draft, active or stopped.
    pub status: Status,
    /// When it was registered.
    pub created_at: Time,
    /// When a person or the lifecycle last changed it.
    pub updated_at: Time,
    /// When it was last started.
    #[serde(default)]
    pub started_at: Option<Time>,
    /// When it was stopped; `None` unless stopped.
    #[serde(default)]
    pub stopped_at: Option<Time>,
    /// Whether its data can be asked.
    pub state: DataState,
    /// When its data was last restored.
    #[serde(default)]
    pub restored_at: Option<Time>,
    /// When its data last expired.
    #[serde(default)]
    pub archived_at: Option<Time>,
    /// While its data is not available: how many rows it had when it expired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archived_rows: Option<u64>,
    /// Whether an interaction ever arrived. Set before the first is stored.
    #[serde(default)]
    pub has_data: bool,
    /// While expired: since when its inbox may have rows.
    #[serde(default)]
    pub late_since: Option<Time>,
    /// Active sources that retarget it.
    #[serde(default)]
    pub holders: BTreeSet<Holder>,
    /// The last pin on its data; it may have ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<Pin>,
    /// Whether the sweeper stopped it because its interactions ceased. Meaningless unless stopped.
    #[serde(default, skip_serializing_if = "crate::is_default")]
    pub stopped_as_idle: bool,
    /// While stopped: the time of a message that went out after the stop, to within a day of the latest one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_after_stop: Option<Time>,
    /// Whether its people are still to be told that messages go out although it is stopped.
    #[serde(default, skip_serializing_if = "crate::is_default")]
    pub tell_of_sending: bool,
    /// Whether an interaction made it active, and the sweeper has yet to make it a holder of the data that it retargets.
    #[serde(default, skip_serializing_if = "crate::is_default")]
    pub holds_later: bool,
    /// While active: when interactions were last seen to arrive, coarsely.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen_at: Option<Time>,
    /// While active: when the sweeper stops it unless interactions arrive; see [`Source::idle_at`]. `None`: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_at: Option<Time>,
    /// Requests that wait for the restore that is under way.
    #[serde(default)]
    pub waiting: BTreeSet<RequestId>,
    /// Requests that must be told how it ended.
    #[serde(default)]
    pub settling: Vec<Settlement>,
    /// How often the sweeper resumed the restore that is under way.
    #[serde(default)]
    pub redrives: u32,
    /// When the sweeper looks again at work that is under way or has failed.
    #[serde(default)]
    pub retry_at: Option<Time>,
    /// The expiry date that people were warned of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warned_for: Option<Time>,
    /// While nothing keeps the data: it does not expire before this time, the end of the notice that began when the last thing
    /// that kept it went.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_until: Option<Time>,
    /// Whether an interaction registered it, and nobody has edited it since.
    #[serde(default, skip_serializing_if = "crate::is_default")]
    pub is_first_sight: bool,
    /// That it is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion: Option<Deletion>,
}

/// Whether a source's data is kept, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Decision {
    /// The source is deleted: its data goes another way.
    Deleted,
    /// There never were interactions.
    NoData,
    /// It is expired, or is being restored.
    NotAvailable,
    /// The source is a draft or sends.
    NotStopped,
    /// Active sources retarget it.
    Held(Vec<Holder>),
    /// A pin keeps it.
    Pinned(Pin),
    /// It expires then, or, if that is past, once its people were warned.
    Until(Time),
    /// It is to expire now: its time is over, and its people were warned.
    Due,
}

impl Source {
    /// A new draft.
    pub fn draft(id: SourceId, now: Time) -> Self {
        Self {
            name: id.id().to_owned(),
            id,
            version: 0,
            variants: Vec::new(),
            steps: Vec::new(),
            tags: BTreeSet::new(),
            audience: None,
            notify: Vec::new(),
            status: Status::Draft,
            created_at: now,
            updated_at: now,
            started_at: None,
            stopped_at: None,
            state: DataState::Available,
            restored_at: None,
            archived_at: None,
            archived_rows: None,
            has_data: false,
            late_since: None,
            holders: BTreeSet::new(),
            pin: None,
            stopped_as_idle: false,
            sent_after_stop: None,
            tell_of_sending: false,
            holds_later: false,
            last_seen_at: None,
            idle_at: None,
            waiting: BTreeSet::new(),
            settling: Vec::new(),
            redrives: 0,
            retry_at: None,
            warned_for: None,
            keep_until: None,
            is_first_sight: false,
            deletion: None,
        }
    }

    /// When the data's time is over: the latest of stop, restore and last message, plus the retention. `None` unless stopped.
    pub fn due_at(&self, retention: &Period) -> Option<Time> {
        if self.status != Status::Stopped {
            return None;
        }
        self.stopped_at.max(self.restored_at).max(self.sent_after_stop).and_then(|from| retention.after(from))
    }

    /// The pin that keeps the data at `now`.
    pub fn pin_in_force(&self, now: Time) -> Option<&Pin> {
        self.pin.as_ref().filter(|pin| pin.is_in_force(now))
    }

    /// Whether the data is kept, and why.
    pub fn decide(&self, retention: &Period, now: Time) -> Decision {
        if self.deletion.is_some() {
            return Decision::Deleted;
        }
        if self.state != DataState::Available {
            return Decision::NotAvailable;
        }
        if !self.has_data {
            return Decision::NoData;
        }
        match self.due_at(retention) {
            None => Decision::NotStopped,
            Some(_) if !self.holders.is_empty() => Decision::Held(self.holders.iter().cloned().collect()),
            Some(due) => match self.pin_in_force(now) {
                Some(pin) => Decision::Pinned(pin.clone()),
                None => {
                    let at = self.expires_at(retention).unwrap_or(due);
                    let is_announced = self.warned_for == Some(at) || breaks::is(Break::ExpiresUnannounced);
                    if now >= at && is_announced { Decision::Due } else { Decision::Until(at) }
                }
            },
        }
    }

    /// When the data will expire, for people. `None` while active, held, pinned without end, expired or without data. It
    /// changes only with the source, and when the sweeper warns so late that the notice would be too short.
    pub fn expires_at(&self, retention: &Period) -> Option<Time> {
        Some(self.time_is_over_at(retention)?.max(self.keep_until.unwrap_or(Time(i64::MIN))))
    }

    /// [`Source::expires_at`] by the calendar alone, without the notice that people get.
    fn time_is_over_at(&self, retention: &Period) -> Option<Time> {
        let is_available = self.has_data && self.state == DataState::Available && self.deletion.is_none();
        let kept = !is_available || !self.holders.is_empty();
        let due = if kept { None } else { self.due_at(retention) }?;
        match &self.pin {
            None => Some(due),
            // A pin that has ended changes nothing: its end is before now, and so is the time that was due then.
            Some(pin) => pin.until.map(|until| due.max(until)),
        }
    }

    /// Whether the data's time is over at `now` and nothing keeps it: it expires at the end of the notice.
    pub fn is_let_go(&self, retention: &Period, now: Time) -> bool {
        self.pin_in_force(now).is_none() && self.time_is_over_at(retention).is_some_and(|at| at <= now)
    }

    /// This source as it is to be written: where nothing keeps its data any more, the notice begins, before whose end the data
    /// does not expire whatever the calendar says; where something keeps it, no notice runs. A pin that ends keeps nothing beyond
    /// its end. `notice` is the length.
    #[must_use]
    pub fn with_notice(mut self, retention: &Period, notice: &Period, now: Time) -> Self {
        self.keep_until = match self.keep_until {
            _ if self.time_is_over_at(retention).is_none() => None,
            None => Some(end_of_notice(notice, now)),
            begun => begun,
        };
        self
    }

    /// This source with another pin, or without one. Either begins the notice anew.
    #[must_use]
    pub fn with_pin(mut self, pin: Option<Pin>) -> Self {
        (self.pin, self.keep_until) = (pin, None);
        self
    }

    /// This source with its people warned at `now` of its expiry, which is at least the notice ahead. `None` where the data does
    /// not expire.
    pub fn warned(mut self, retention: &Period, notice: &Period, now: Time) -> Option<Self> {
        let mut at = self.expires_at(retention)?;
        // The warning is stored some minutes later than it is decided.
        let stored = now.plus(grain(notice, now) / 4);
        if notice.after(stored).is_none_or(|end| at < end) {
            at = end_of_notice(notice, now);
        }
        (self.keep_until, self.warned_for) = (Some(at), Some(at));
        Some(self)
    }

    /// When people are warned that the data will expire; `None` where it will not, or where they were warned of that
    /// date. That is `warn_before` ahead, at the beginning of the UTC day, so that one mail lists all the sources that
    /// expire on a day; but never more than twice as early as asked, for periods of less than a day.
    pub fn warn_at(&self, retention: &Period, warn_before: &Period) -> Option<Time> {
        if breaks::is(Break::ExpiresUnannounced) {
            return None;
        }
        let due = self.expires_at(retention).filter(|due| self.warned_for != Some(*due))?;
        let at = warn_before.before(due).unwrap_or_default();
        let twice = at.plus(at.0.saturating_sub(due.0));
        Some(at.day().max(twice))
    }

    /// When the sweeper must look at this source: to tell requests, to make it a holder, to tell of messages after a stop, to
    /// stop it, to warn, to expire, to archive late rows, to resume a restore, to delete it. `None`: nothing will ever be due
    /// unless the source changes.
    pub fn wake_at(&self, retention: &Period, warn_before: &Period) -> Option<Time> {
        if !self.settling.is_empty() || (self.tell_of_sending && self.deletion.is_none()) {
            return Some(self.updated_at);
        }
        let due = match (&self.deletion, self.state) {
            (Some(deletion), _) => deletion.wakes_at(),
            (None, DataState::Available) if self.holds_later => self.updated_at,
            (None, DataState::Available) if self.status == Status::Active => self.idle_at?,
            (None, DataState::Available) => match self.warn_at(retention, warn_before) {
                Some(at) => at,
                None => self.expires_at(retention)?,
            },
            (None, DataState::Expired) => match self.late_since {
                Some(since) => since.plus(LATE_SWEEP_MILLIS),
                None => self.retry_at?,
            },
            (None, DataState::Restoring) => self.updated_at,
        };
        Some(self.retry_at.map_or(due, |retry| retry.max(due)))
    }
}

/// When a notice that begins at `now` ends: at least the period and 20 minutes of a day later, and rounded up by a 24th of the
/// period, so that the sweeper's look, minutes after the act that began the notice, does not move the date.
fn end_of_notice(notice: &Period, now: Time) -> Time {
    let Some(end) = notice.after(now) else { return Time::CALENDAR[1] };
    let grain = grain(notice, now);
    let end = end.plus(grain / 3);
    end.plus((-end.0).rem_euclid(grain.max(1)))
}

/// A 24th of a notice that begins at `now`, in milliseconds.
fn grain(notice: &Period, now: Time) -> i64 {
    notice.after(now).map_or(0, |end| (end.0 - now.0) / 24)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn source() -> Source {
        Source::seen("campaign/a".parse().unwrap(), Time(0), Time(0))
    }

    fn p3m() -> Period {
        Period::parse("P3M").unwrap()
    }

    #[test]
    fn the_clock_starts_at_the_later_of_stop_and_restore() {
        let at = |t| Time::parse(t).unwrap();
        let mut s = source();
        assert_eq!(s.decide(&p3m(), at("2030-01-01T00:00:00Z")), Decision::NotStopped);
        s.status = Status::Stopped;
        s.stopped_at = Some(at("2026-11-30T00:00:00Z"));
        assert_eq!(s.expires_at(&p3m()), Some(at("2027-02-28T00:00:00Z")));
        assert_eq!(
            s.decide(&p3m(), at("2027-02-27T23:59:59.999Z")),
            Decision::Until(at("2027-02-28T00:00:00Z"))
        );
        let over = at("2027-02-28T00:00:00Z");
        assert_eq!(s.decide(&p3m(), over), Decision::Until(over), "nobody was warned");
        s.warned_for = Some(over);
        assert_eq!(s.decide(&p3m(), over), Decision::Due);
        s.restored_at = Some(at("2027-03-01T00:00:00Z"));
        assert_eq!(s.expires_at(&p3m()), Some(at("2027-06-01T00:00:00Z")));
    }

    #[test]
    fn l6_held_data_is_never_due() {
        let mut s = source();
        s.status = Status::Stopped;
        s.stopped_at = Some(Time(0));
        let holder = Holder { source: "campaign/b".parse().unwrap(), via: vec![] };
        s.holders.insert(holder.clone());
        let late = Time::parse("2100-01-01T00:00:00Z").unwrap();
        assert_eq!(s.decide(&p3m(), late), Decision::Held(vec![holder]));
        assert_eq!((s.expires_at(&p3m()), s.wake_at(&p3m(), &Period::of_days(7))), (None, None));
    }

    proptest! {
        /// L9: whatever is due is also looked at: nothing due has a wake time in the future.
        #[test]
        fn l9_what_is_due_is_looked_at(stopped in 0i64..4_000_000_000_000, later in 0i64..40_000_000_000) {
            let mut s = source();
            s.status = Status::Stopped;
            s.stopped_at = Some(Time(stopped));
            let mut s = s.with_notice(&p3m(), &Period::of_days(1), Time(stopped));
            s.warned_for = s.expires_at(&p3m());
            let now = Time(stopped + later);
            let due = s.decide(&p3m(), now) == Decision::Due;
            prop_assert_eq!(due, s.wake_at(&p3m(), &Period::of_days(7)).is_some_and(|w| w <= now));
        }
    }
}
