//! Sources that send although nobody started them. Ingest makes a draft active when its first interaction arrives, and a
//! source that was stopped as idle when it sends again; it leaves to the sweeper to make it a holder, since that follows
//! filters. Of a source that a person stopped, ingest only notes that it sends, and the sweeper tells its people.

use crate::{
    app::Rekindle,
    ledger::LEFT_ALONE_MILLIS,
    library::check_room,
    retry::{Stop, until_won},
};
use rekindle_domain::{id::SourceId, notice::Subject, source::Source};
use rekindle_store::{StoreError, catalog::Transaction};

impl Rekindle {
    /// Does the work that ingest left to the sweeper: see [`Self::hold`] and [`Self::tell_of_sending`]. Returns the source if it
    /// changed.
    pub(super) async fn follow_sending(&self, source: &Source) -> Result<Option<Source>, StoreError> {
        if source.tell_of_sending {
            self.tell_of_sending(&source.id).await?;
        } else if source.holds_later && source.retry_at.is_none_or(|at| at <= self.now()) {
            self.hold(&source.id).await?;
        } else {
            return Ok(None);
        }
        self.store.catalog.source(&source.id).await
    }

    /// Makes a source that an interaction started a holder of the data that it retargets. Where some of that is expired, or
    /// cannot be held, the timeline says so, once, and the sweeper tries again each day.
    async fn hold(&self, id: &SourceId) -> Result<(), StoreError> {
        until_won!(async {
            let Some(before) = self.store.catalog.source(id).await? else { return Ok(()) };
            if !before.holds_later {
                return Ok(());
            }
            let after = Source { holds_later: false, retry_at: None, ..before.clone() };
            let mut transaction = Transaction::new();
            let moved = self.move_holders(&mut transaction, &before, &after).await;
            match moved.and_then(|_| Ok(check_room(&transaction, true)?)) {
                Ok(()) => {
                    self.put_source(&mut transaction, &after)?;
                    self.store.catalog.commit(transaction).await
                }
                Err(Stop::Store(error)) => Err(error),
                Err(Stop::Answer(problem)) => {
                    let retry_at = Some(self.now().plus(LEFT_ALONE_MILLIS));
                    let mut transaction = Transaction::new();
                    if before.retry_at.is_none() {
                        self.record(&mut transaction, id, "holding_failed", "sweeper", Some(problem.detail))?;
                    }
                    self.put_source(&mut transaction, &Source { retry_at, ..before })?;
                    self.store.catalog.commit(transaction).await
                }
            }
        })
    }

    /// Tells the people of a stopped source that messages of it go out: once for each stop.
    async fn tell_of_sending(&self, id: &SourceId) -> Result<(), StoreError> {
        let notices = until_won!(async {
            let Some(source) = self.store.catalog.source(id).await? else { return Ok(Vec::new()) };
            let Some(sent_at) = source.sent_after_stop.filter(|_| source.tell_of_sending) else {
                return Ok(Vec::new());
            };
            let mut transaction = Transaction::new();
            let detail = Some(format!("a message went out at {sent_at}"));
            self.record(&mut transaction, id, "sent_after_stop", "sweeper", detail)?;
            let subject = Subject::Sending { source: id.clone(), message_at: sent_at };
            let told = Source { tell_of_sending: false, ..source };
            self.put_source(&mut transaction, &told)?;
            let notices = self.add_notices(&mut transaction, &told, &subject)?;
            self.store.catalog.commit(transaction).await?;
            Ok(notices)
        })?;
        self.announce(&notices).await;
        Ok(())
    }
}
