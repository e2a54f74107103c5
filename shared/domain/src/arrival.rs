//! What the arrival of interactions changes in the life of their source: a draft that sends is active, and so is a source that
//! was stopped because its interactions had ceased. Messages of a source that a person stopped keep its data for as long as
//! they go out, and its people are told.

use crate::{
    id::SourceId,
    manifest::DataState,
    source::{Source, Status},
    time::{DAY_MILLIS, Period, Time},
};

/// The interactions of one request that are about one source.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Arrival {
    /// The time of the earliest.
    pub first_at: Time,
    /// The time of the latest that says that the source sends: `received` or `entered`.
    pub last_message_at: Option<Time>,
}

impl Source {
    /// A source that ingest saw before it was registered: active, with data.
    pub fn seen(id: SourceId, first_at: Time, now: Time) -> Self {
        let mut source = Self { has_data: true, is_first_sight: true, ..Self::draft(id, now) };
        source.begin_sending(first_at.min(now), now);
        source
    }

    /// The source after interactions of it arrived at `now`; `None` if nothing is to be written. Messages of a stopped source
    /// are noted to within a day, or a tenth of the retention if that is less. Of a deleted source the first message after the
    /// deletion is noted.
    pub fn after_arrival(
        &self,
        arrival: Arrival,
        retention: &Period,
        auto_stop_after: Option<&Period>,
        now: Time,
    ) -> Option<Self> {
        let mut next = Self { has_data: true, ..self.clone() };
        if self.state != DataState::Available && self.late_since.is_none() {
            next.late_since = Some(now);
        }
        let sent_at = arrival.last_message_at.map(|at| at.min(now));
        if let Some(deletion) = &mut next.deletion {
            if deletion.sent_at.is_none() && sent_at.is_some_and(|at| deletion.at < at) {
                (deletion.sent_at, next.retry_at) = (sent_at, None);
            }
            return (next != *self).then_some(next);
        }
        if self.is_to_be_noted(auto_stop_after, now) {
            next.last_seen_at = Some(now);
        }
        match (self.status, sent_at) {
            (Status::Draft, _) => next.begin_sending(arrival.first_at.min(now), now),
            (Status::Stopped, Some(sent_at)) if self.stopped_at.is_some_and(|stop| stop < sent_at) => {
                if self.stopped_as_idle && self.state == DataState::Available {
                    next.begin_sending(now, now);
                } else if self
                    .sent_after_stop
                    .is_none_or(|noted| noted.plus(pause(retention, noted)) <= sent_at)
                {
                    next.tell_of_sending |= self.sent_after_stop.is_none();
                    next.sent_after_stop = Some(sent_at);
                }
            }
            (Status::Active | Status::Stopped, _) => {}
        }
        (next != *self).then_some(next)
    }

    /// Makes the source active because interactions of it arrived. The sweeper makes it a holder.
    fn begin_sending(&mut self, started_at: Time, now: Time) {
        *self = Self { holds_later: self.audience.is_some(), updated_at: now, ..self.started(started_at) };
        self.last_seen_at = Some(now);
    }

    /// This source started, and nothing left of its last stop.
    #[must_use]
    pub fn started(&self, at: Time) -> Self {
        Self { status: Status::Active, started_at: Some(at), ..self.with_stop(None, false) }
    }

    /// This source stopped as of a time. If that is before its start, it is its start, too.
    #[must_use]
    pub fn stopped(&self, at: Time, as_idle: bool) -> Self {
        let started_at = Some(self.started_at.map_or(at, |start| start.min(at)));
        Self { status: Status::Stopped, started_at, ..self.with_stop(Some(at), as_idle) }
    }

    fn with_stop(&self, stopped_at: Option<Time>, stopped_as_idle: bool) -> Self {
        Self {
            stopped_at,
            stopped_as_idle,
            sent_after_stop: None,
            tell_of_sending: false,
            holds_later: false,
            retry_at: None,
            ..self.clone()
        }
    }
}

/// How long after a note of a message at `noted` the next one is made, in milliseconds.
fn pause(retention: &Period, noted: Time) -> i64 {
    retention.after(noted).map_or(DAY_MILLIS, |end| ((end.0 - noted.0) / 10).min(DAY_MILLIS))
}
