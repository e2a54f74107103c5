//! When an active source is idle: its interactions have ceased for so long that the sweeper stops it. A source that was
//! registered on first sight would stay active for ever otherwise.
//!
//! Ingest notes only coarsely when it last saw interactions of a source (`Source::last_seen_at`), since each note writes
//! the source. [`Source::is_to_be_noted`] says when a note is due, and [`Source::idle_at`] adds to the period the longest
//! time for which arrivals go without a note. So a source is never idle within the period after an interaction.

use crate::{
    source::{Source, Status},
    time::{DAY_MILLIS, Period, Time},
};

/// How long ingest believes what it knows of a source, and does not ask whether a note is due. Far less than the day after
/// which the sweeper looks for late rows anyway.
pub const KNOWN_FOR_MILLIS: i64 = 60_000;
/// The longest pause between two notes of a source whose interactions go on.
pub const MAX_NOTE_PAUSE_MILLIS: i64 = DAY_MILLIS;

impl Source {
    /// The time of the last note of interactions, or of the start if that is later. `None` unless the source is active.
    pub fn idle_since(&self) -> Option<Time> {
        if self.status == Status::Active { self.started_at.max(self.last_seen_at) } else { None }
    }

    /// When the source is idle if no note is made until then; `auto_stop_after` is the time without interactions after
    /// which sources are stopped. `None`: never.
    pub fn idle_at(&self, auto_stop_after: Option<&Period>) -> Option<Time> {
        let since = self.idle_since()?;
        let end = auto_stop_after?.after(since)?;
        Some(end.plus(note_pause(since, auto_stop_after)).plus(KNOWN_FOR_MILLIS))
    }

    /// Whether it is time at `now` to note anew that interactions of the source arrive.
    pub fn is_to_be_noted(&self, auto_stop_after: Option<&Period>, now: Time) -> bool {
        self.idle_since().is_some_and(|since| since.plus(note_pause(since, auto_stop_after)) <= now)
    }
}

/// How long after a note at `since` the next one is made, in milliseconds: a day, or a tenth of the time after which the
/// source is stopped if that is less.
fn note_pause(since: Time, auto_stop_after: Option<&Period>) -> i64 {
    let end = auto_stop_after.and_then(|period| period.after(since));
    end.map_or(MAX_NOTE_PAUSE_MILLIS, |end| ((end.0 - since.0) / 10).min(MAX_NOTE_PAUSE_MILLIS))
}
