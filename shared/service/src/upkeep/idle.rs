//! Stopping idle sources. A source that was registered on first sight would otherwise stay active for ever.
//!
//! Ingest notes, coarsely, the time of the last interactions of an active source. Each write of the source computes from it
//! the time at which the source counts as idle, and the sweeper looks at the source then. A source that was silent before
//! the setting was turned on is looked at only after its next write.

use crate::{
    app::Rekindle,
    ledger::LEFT_ALONE_MILLIS,
    library::check_room,
    problem::Problem,
    retry::{Stop, until_won},
};
use rekindle_domain::{id::SourceId, notice::Subject, source::Source};
use rekindle_store::{StoreError, catalog::Transaction};

impl Rekindle {
    /// Stops a source that has been without interactions for long enough. It is stopped as of now rather than as of its
    /// last interaction: the recipients learn of the stop by the mail that is written with it, and the whole retention is
    /// still ahead then. Returns whether the source was stopped.
    pub(super) async fn stop_if_idle(&self, id: &SourceId) -> Result<bool, StoreError> {
        let notices = until_won!(async {
            let now = self.now();
            let Some(before) = self.store.catalog.source(id).await? else { return Ok(None) };
            let idle = before
                .idle_at(self.settings.auto_stop_after.as_ref())
                .filter(|at| *at <= now && before.retry_at.is_none_or(|at| at <= now))
                .and_then(|_| before.idle_since());
            let Some(idle_since) = idle else { return Ok(None) };
            let after = Source { updated_at: now, ..before.stopped(now, true) };
            let mut transaction = Transaction::new();
            let moved = self.move_holders(&mut transaction, &before, &after).await;
            self.put_source(&mut transaction, &after)?;
            match moved.and_then(|_| Ok(check_room(&transaction, false)?)) {
                // The segments of its audience may have grown beyond what one transaction takes.
                Err(Stop::Answer(problem)) => {
                    self.stopping_failed(before, problem).await?;
                    return Ok(None);
                }
                Err(Stop::Store(error)) => return Err(error),
                Ok(()) => {}
            }
            let detail = Some(format!("no interactions since {idle_since}"));
            self.record(&mut transaction, id, "stopped", "sweeper", detail)?;
            let expires_at = self.noticed(&after).expires_at(&self.settings.retention);
            let subject = Subject::Stopped { source: id.clone(), idle_since, expires_at };
            let notices = self.add_notices(&mut transaction, &after, &subject)?;
            self.store.catalog.commit(transaction).await?;
            Ok(Some(notices))
        })?;
        let Some(notices) = notices else { return Ok(false) };
        self.announce(&notices).await;
        Ok(true)
    }

    /// Says once in the timeline why an idle source cannot be stopped. The sweeper tries again in a day.
    async fn stopping_failed(&self, source: Source, problem: Problem) -> Result<(), StoreError> {
        let mut transaction = Transaction::new();
        if source.retry_at.is_none() {
            self.record(&mut transaction, &source.id, "stopping_failed", "sweeper", Some(problem.detail))?;
        }
        let retry_at = Some(self.now().plus(LEFT_ALONE_MILLIS));
        self.put_source(&mut transaction, &Source { retry_at, ..source })?;
        self.store.catalog.commit(transaction).await
    }
}
