//! Sources that nothing happens to any more: registered on first sight, they would stay active for ever.
//!
//! Ingest notes, coarsely, when it last saw interactions of an active source; each write of the source works out from
//! that when it is idle, and the sweeper looks then. What was silent before the setting was turned on is looked at from
//! its next write on.

use crate::{
    app::Rekindle,
    retry::{Stop, until_won},
};
use rekindle_domain::{
    id::SourceId,
    notice::{Notice, Subject},
    source::{Source, Status},
    time::Time,
};
use rekindle_store::{StoreError, catalog::Transaction};

impl Rekindle {
    /// Stops a source that has been without interactions for long enough, as of now rather than of the last interaction:
    /// its people learn of it by the mail that is written with it, and its data has the whole retention before it then.
    pub(super) async fn stop_if_idle(&self, id: &SourceId) -> Result<bool, StoreError> {
        let notices = until_won!(async {
            let now = self.now();
            let Some(before) = self.store.catalog.source(id).await? else { return Ok(None) };
            let idle = before
                .idle_at(self.settings.auto_stop_after.as_ref())
                .filter(|at| *at <= now)
                .and_then(|_| before.idle_since());
            let Some(idle_since) = idle else { return Ok(None) };
            let after =
                Source { status: Status::Stopped, stopped_at: Some(now), updated_at: now, ..before.clone() };
            let mut transaction = Transaction::new();
            match self.move_holders(&mut transaction, &before, &after).await {
                // Stopping asks nothing of others.
                Err(Stop::Answer(problem)) => {
                    return Err(StoreError::Refused {
                        call: "stopping an idle source",
                        reason: problem.detail,
                    });
                }
                Err(Stop::Store(error)) => return Err(error),
                Ok(_) => {}
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
        let Some(notices) = notices else { return Ok(false) };
        self.announce(&notices).await;
        Ok(true)
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
