//! Sources that nothing happens to any more: registered on first sight, they would stay active for ever.
//!
//! Ingest notes, coarsely, when it last saw interactions of an active source; each write of the source works out from
//! that when it is idle, and the sweeper looks then. What was silent before the setting was turned on is looked at from
//! its next write on.

use crate::{Rekindle, ingest::KNOWN_FOR_MILLIS};
use rekindle_domain::{
    id::SourceId,
    restore::{Notice, Subject},
    source::{Source, Status},
    time::Time,
};
use rekindle_store::{StoreError, catalog::Transaction};

/// How coarsely the last interaction of an active source is noted, at most.
const NOTED_MILLIS: i64 = 24 * 60 * 60 * 1000;

impl Rekindle {
    /// When a source is idle. `None`: never. Interactions that came after the last note and were not worth another do not
    /// count as silence.
    pub(crate) fn idle_at(&self, source: &Source) -> Option<Time> {
        let since = source.idle_since()?;
        let end = self.settings.auto_stop_after?.after(since)?;
        Some(end.plus(self.note_pause(since)).plus(KNOWN_FOR_MILLIS))
    }

    /// Whether it is time to note anew that interactions of a source arrive.
    pub(crate) fn is_to_be_noted(&self, source: &Source, now: Time) -> bool {
        source.idle_since().is_some_and(|since| since.plus(self.note_pause(since)) <= now)
    }

    /// How long after a note the next one is made: a day, or a tenth of the time after which the source is stopped.
    fn note_pause(&self, since: Time) -> i64 {
        let end = self.settings.auto_stop_after.and_then(|period| period.after(since));
        end.map_or(NOTED_MILLIS, |end| ((end.0 - since.0) / 10).min(NOTED_MILLIS))
    }

    /// Stops a source that has been without interactions for long enough, as of now rather than of the last interaction:
    /// its people learn of it by the mail that is written with it, and its data has the whole retention before it then.
    pub(crate) async fn stop_if_idle(&self, id: &SourceId) -> Result<Option<String>, StoreError> {
        let notices = until_won!({
            let now = self.now();
            let Some(before) = self.store.catalog.source(id).await? else { return Ok(None) };
            let idle = self.idle_at(&before).filter(|at| *at <= now).and_then(|_| before.idle_since());
            let Some(idle_since) = idle else { return Ok(None) };
            let after =
                Source { status: Status::Stopped, stopped_at: Some(now), updated_at: now, ..before.clone() };
            let mut transaction = Transaction::new();
            if let Err(problem) = self.move_holders(&mut transaction, &before, &after).await? {
                // Stopping asks nothing of others.
                return Err(StoreError::Refused { call: "stopping what is idle", reason: problem.detail });
            }
            self.put_source(&mut transaction, &after)?;
            let detail = Some(format!("no interactions since {idle_since}"));
            self.record(&mut transaction, id, "stopped", "sweeper", detail)?;
            let room = Transaction::MAX - transaction.len();
            let notices = self.idle_notices(&after, idle_since, room);
            for notice in &notices {
                transaction.add_notice(notice)?;
            }
            self.store.catalog.commit(transaction).await?;
            Ok(Some(notices))
        })?;
        let Some(notices) = notices else { return Ok(None) };
        self.announce(&notices).await;
        Ok(Some("stopped, since it was idle".to_owned()))
    }

    /// One notice for each address, as many as there is room for in the transaction.
    fn idle_notices(&self, source: &Source, idle_since: Time, room: usize) -> Vec<Notice> {
        let subject = Subject::Stopped {
            source: source.id.clone(),
            idle_since,
            expires_at: source.expires_at(&self.settings.retention),
        };
        let id = self.new_id();
        let notice = |(i, to): (usize, String)| {
            Notice::new(format!("{id}-{i}"), to, subject.clone(), self.now(), self.notice_lease())
        };
        self.recipients(source).into_iter().take(room).enumerate().map(notice).collect()
    }
}
