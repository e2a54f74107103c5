//! Deleted sources. The sweeper tells their people, brings back what still sends, and makes the data go once the deletion cannot
//! be undone any more: one swap empties the manifest; housekeeping deletes the copies, each after its grace; then the inbox,
//! the timeline and the source itself are deleted.
//!
//! Ingest never remembers a deleted source, and refuses one whose data is going. So an append that began before has ended long
//! before the inbox is deleted: copies take two hours, and an empty manifest is left alone for as long.

use crate::{
    app::Rekindle, budget::Budget, ledger::LEFT_ALONE_MILLIS, report::SweepOutcome, retry::until_won,
};
use rekindle_domain::{
    deletion::Deletion,
    id::{LedgerId, SourceId},
    manifest::GRACE_MILLIS,
    notice::Subject,
    source::Source,
};
use rekindle_store::{StoreError, catalog::Transaction, ledger::InboxKey};

/// How long after the first look another one sees what named the source by then, in milliseconds: the index of lists lags.
const LAG_MILLIS: i64 = 2 * 60 * 1000;

/// How many inbox blocks are listed and deleted together.
const BLOCKS: usize = 1_000;

impl Rekindle {
    /// Takes a deleted source a step further.
    pub(super) async fn follow_deletion(
        &self,
        id: &SourceId,
        deletion: &Deletion,
        budget: &Budget,
    ) -> Result<Option<SweepOutcome>, StoreError> {
        if deletion.is_final {
            return self.finish_deletion(id, budget).await;
        }
        if deletion.sent_at.is_some() {
            return self.bring_back_what_sends(id).await.map(|()| Some(SweepOutcome::BroughtBack));
        }
        if deletion.is_to_tell {
            self.tell_of_deletion(id).await?;
        }
        if self.now() < deletion.final_at() {
            return Ok(None);
        }
        self.begin_to_go(id).await
    }

    /// Brings back a source of which a message was sent after its deletion, and tells its people.
    async fn bring_back_what_sends(&self, id: &SourceId) -> Result<(), StoreError> {
        let notices = until_won!(async {
            let found = self.store.catalog.source_or_deleted(id).await?;
            let Some(source) = found else { return Ok(Vec::new()) };
            let sent_at = source.deletion.as_ref().filter(|d| !d.is_final).and_then(|d| d.sent_at);
            let Some(sent_at) = sent_at else { return Ok(Vec::new()) };
            let mut transaction = Transaction::new();
            self.bring_back(&mut transaction, &source)?;
            let detail = Some(format!("a message went out at {sent_at}"));
            self.record(&mut transaction, id, "undeleted", "sweeper", detail)?;
            let subject = Subject::Undeleted { source: id.clone(), message_at: sent_at };
            let notices = self.add_notices(&mut transaction, &source, &subject)?;
            self.store.catalog.commit(transaction).await?;
            Ok(notices)
        })?;
        self.announce(&notices).await;
        Ok(())
    }

    /// Tells the people of a deleted source, once.
    async fn tell_of_deletion(&self, id: &SourceId) -> Result<(), StoreError> {
        let notices = until_won!(async {
            let found = self.store.catalog.source_or_deleted(id).await?;
            let Some(source) = found else { return Ok(Vec::new()) };
            let Some(deletion) = source.deletion.clone().filter(|d| d.is_to_tell) else {
                return Ok(Vec::new());
            };
            let (by, final_at) = (deletion.by.clone(), deletion.final_at());
            let subject = Subject::Deleted { source: id.clone(), by, final_at };
            let told = Source { deletion: Some(Deletion { is_to_tell: false, ..deletion }), ..source };
            let mut transaction = Transaction::new();
            self.put_source(&mut transaction, &told)?;
            let notices = self.add_notices(&mut transaction, &told, &subject)?;
            self.store.catalog.commit(transaction).await?;
            Ok(notices)
        })?;
        self.announce(&notices).await;
        Ok(())
    }

    /// Makes the data go: from here on nothing brings the source back. That needs two looks that find nothing which names the
    /// source; if something does, it is left alone for a day.
    async fn begin_to_go(&self, id: &SourceId) -> Result<Option<SweepOutcome>, StoreError> {
        until_won!(async {
            let is_named = self.is_named(id).await?;
            let now = self.now();
            let Some(source) = self.store.catalog.source_or_deleted(id).await? else { return Ok(None) };
            let going = source
                .deletion
                .clone()
                .filter(|d| !d.is_final && !d.is_to_tell && d.sent_at.is_none() && d.final_at() <= now);
            let Some(deletion) = going else { return Ok(None) };
            // Another sweeper looked a moment ago.
            if source.retry_at.is_some_and(|at| now < at) {
                return Ok(None);
            }
            let mut transaction = Transaction::new();
            let is_second_look = deletion.unnamed_at.is_some_and(|at| at.plus(LAG_MILLIS) <= now);
            if is_named || !is_second_look {
                let pause = if is_named { LEFT_ALONE_MILLIS } else { LAG_MILLIS };
                let unnamed_at = (!is_named).then_some(now);
                let deletion = Some(Deletion { unnamed_at, ..deletion });
                let retry_at = Some(now.plus(pause));
                self.put_source(&mut transaction, &Source { deletion, retry_at, ..source })?;
                self.store.catalog.commit(transaction).await?;
                return Ok(None);
            }
            let ledger = LedgerId::Source(id.clone());
            let manifest = self.store.catalog.manifest(&ledger).await?;
            transaction.swap(&ledger, &manifest, manifest.deleted(now))?;
            let going = Source {
                deletion: Some(Deletion { is_final: true, ..deletion }),
                retry_at: Some(now.plus(2 * GRACE_MILLIS)),
                ..source
            };
            self.put_source(&mut transaction, &going)?;
            self.store.catalog.commit(transaction).await?;
            Ok(Some(SweepOutcome::Going))
        })
    }

    /// Deletes what is left of a source once its copies are gone.
    async fn finish_deletion(
        &self,
        id: &SourceId,
        budget: &Budget,
    ) -> Result<Option<SweepOutcome>, StoreError> {
        let ledger = LedgerId::Source(id.clone());
        // Another sweeper may have finished meanwhile, and the id may be a new source's: everything of the deleted one is older.
        let before = self.now().plus(-GRACE_MILLIS);
        let found = self.store.catalog.source_or_deleted(id).await?;
        let is_final = |source: &Source| source.deletion.as_ref().is_some_and(|deletion| deletion.is_final);
        let Some(source) = found.filter(is_final) else { return Ok(None) };
        if source.retry_at.is_some_and(|at| self.now() < at) {
            return Ok(None);
        }
        let manifest = self.store.catalog.manifest(&ledger).await?;
        if !manifest.copies.is_empty() {
            let mut transaction = Transaction::new();
            let retry_at = Some(self.now().plus(GRACE_MILLIS));
            self.put_source(&mut transaction, &Source { retry_at, ..source })?;
            return self.store.catalog.commit(transaction).await.map(|()| None);
        }
        loop {
            if budget.is_spent(self.now()) {
                return Ok(None);
            }
            let listed = self.store.ledger.list_inbox(&ledger, BLOCKS, u64::MAX).await?;
            let is_old = |key: &InboxKey| (key.id.0.timestamp_ms() as i64) < before.0;
            let keys: Vec<InboxKey> = listed.into_iter().map(|entry| entry.key).filter(is_old).collect();
            if keys.is_empty() {
                break;
            }
            self.store.ledger.delete_inbox(&ledger, &keys).await?;
        }
        self.store.catalog.delete_timeline(id, before).await?;
        let source = self.leave_segments(source).await?;
        let mut transaction = Transaction::new();
        transaction.delete_source(&source, &manifest);
        self.store.catalog.commit(transaction).await?;
        Ok(Some(SweepOutcome::Gone))
    }
}
