//! Rewrites: staging a copy, doing its parts, checking their sums, and deleting the inbox blocks that it took.

use super::worker::{PartResult, Worker};
use crate::{app::Rekindle, budget::Budget, failure::Failure, retry::until_won, settings::Sizes};
use rekindle_domain::{
    breaks::{self, Break},
    day::Arrivals,
    expire::BiteSize,
    id::{CopyId, LedgerId, RunId},
    manifest::{Copy, DataState, Inputs, Life, Manifest, Tier},
    part::{PartDone, consumed_of},
    people::SETTLING_MILLIS,
    tally::Tally,
    time::{DAY_MILLIS, Time},
};
use rekindle_store::{
    StoreError,
    catalog::{Transaction, audit::time_of, parts::InboxInputs},
    ledger::InboxEntry,
};

/// How long data that did not verify, and work that failed too often, are left alone, in milliseconds.
pub(crate) const LEFT_ALONE_MILLIS: i64 = DAY_MILLIS;

/// The progress of a staged rewrite.
pub(crate) enum Driven {
    /// The time was up, or other workers have the parts that are left.
    Partly,
    /// Every part is done and verified.
    Whole(Sums),
    /// The rewrite cannot succeed.
    Failed(Failure),
}

/// The sums of a copy all of whose parts are done.
pub(crate) struct Sums {
    /// The counts and the digest of its rows.
    pub(crate) tally: Tally,
    /// Its bytes.
    pub(crate) bytes: u64,
    /// The interactions that arrived with its inbox blocks.
    pub(crate) arrived: Arrivals,
}

/// The inbox blocks that one rewrite takes.
pub(crate) struct Bite {
    entries: Vec<InboxEntry>,
    /// Whether these blocks are the whole inbox.
    pub(crate) is_all: bool,
}

impl Bite {
    pub(crate) const fn nothing() -> Self {
        Self { entries: Vec::new(), is_all: true }
    }

    pub(crate) fn of(listed: Vec<InboxEntry>, sizes: &Sizes) -> Self {
        // The bytes are summed over the blocks in order, so that the bite ends before the block that exceeds the bound.
        let mut bytes = 0;
        let count = listed.len();
        let fits = |e: &InboxEntry| {
            bytes += e.bytes;
            bytes <= sizes.inbox_bytes
        };
        let entries: Vec<InboxEntry> = listed.into_iter().take(sizes.inbox_keys).take_while(fits).collect();
        Self { is_all: entries.len() == count, entries }
    }

    /// The size of the bite, for a plan.
    pub(crate) const fn size(&self) -> BiteSize {
        BiteSize { blocks: self.entries.len(), is_all: self.is_all }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn rows(&self) -> u64 {
        self.entries.iter().map(|e| e.rows).sum()
    }

    fn bytes(&self) -> u64 {
        self.entries.iter().map(|e| e.bytes).sum()
    }

    /// The interactions that arrived with its blocks, as far as they still count at `now`.
    fn arrived(&self, now: Time) -> Arrivals {
        arrivals(&self.entries).since(now)
    }
}

/// The interactions that arrived with inbox blocks. A block arrived when its id was made.
pub(crate) fn arrivals<'a>(blocks: impl IntoIterator<Item = &'a InboxEntry>) -> Arrivals {
    let mut arrivals = Arrivals::default();
    for block in blocks {
        arrivals.add(time_of(block.key.id.0), &block.arrived);
    }
    arrivals
}

impl Rekindle {
    /// Stages a copy: one transaction records its inputs and lists it in the manifest. No worker writes a byte of the copy
    /// before that.
    pub(crate) async fn stage_rewrite(
        &self,
        ledger: &LedgerId,
        manifest: &Manifest,
        tier: Tier,
        runs: &[RunId],
        bite: &Bite,
    ) -> Result<(), StoreError> {
        let id = CopyId(self.new_id());
        let mut transaction = Transaction::new();
        if !bite.entries.is_empty() {
            let keys = bite.entries.iter().map(|e| e.key).collect();
            let inputs = InboxInputs { keys, rows: bite.rows(), arrived: bite.arrived(self.now()) };
            transaction.add_inputs(id, &inputs)?;
        }
        let rows_of = |run: &RunId| manifest.run(*run).map_or(0, |r| r.tally.rows);
        let rows = bite.rows() + runs.iter().map(rows_of).sum::<u64>();
        // A run's copies hold the same rows. The largest of them bounds the bytes that the new copy needs.
        let bytes_of = |run: &RunId| {
            manifest.copies.iter().filter(|c| c.run == *run).map(|c| c.bytes).max().unwrap_or(0)
        };
        let bytes = bite.bytes() + runs.iter().map(bytes_of).sum::<u64>();
        // Nothing is looked up in the archive: there a rewrite follows the merges that all of its runs followed.
        let archived = runs.iter().filter(|_| manifest.state != DataState::Available);
        let followed = archived.map(|run| manifest.run(*run).map_or(0, |run| run.folded));
        let settled = self.people().await?.settled(self.now().plus(-SETTLING_MILLIS));
        let folded = followed.fold(settled, u64::min);
        let inputs = Inputs { runs: runs.to_vec(), inbox_blocks: bite.entries.len() as u32, folded };
        let copy = Copy {
            id,
            run: RunId(self.new_id()),
            tier,
            slots: self.settings.sizes.slot.bits_for(rows, bytes),
            life: Life::Staged,
            since: self.now(),
            inputs: Some(inputs),
            bytes: 0,
        };
        transaction.swap(ledger, manifest, manifest.stage(copy))?;
        self.store.catalog.commit(transaction).await
    }

    /// Does the parts of a rewrite that no other worker has, and checks the sums once all are done.
    pub(crate) async fn work_through(
        &self,
        ledger: &LedgerId,
        manifest: &Manifest,
        copy: &Copy,
        budget: &Budget,
    ) -> Result<Driven, StoreError> {
        let mut worker = Worker::new(self, ledger);
        let mut all_done = true;
        for slot in 0..copy.slots.count() {
            if budget.is_spent(self.now()) {
                return Ok(Driven::Partly);
            }
            match worker.work(manifest, copy, slot).await {
                Ok(PartResult::Done) => {}
                Ok(PartResult::Leased(_)) => all_done = false,
                Ok(PartResult::Exhausted) => {
                    let reason = format!("slot {slot} of copy {} failed too often", copy.id);
                    return Ok(Driven::Failed(Failure::given_up(reason)));
                }
                Err(error) => return Failure::of(error).map(Driven::Failed),
            }
        }
        if !all_done {
            return Ok(Driven::Partly);
        }
        let sums = match self.finished(manifest, copy).await {
            Ok(None) => return Ok(Driven::Partly),
            Ok(Some(sums)) => sums,
            Err(error) => return Failure::of(error).map(Driven::Failed),
        };
        if breaks::is(Break::ClearsBeforeTheCommit)
            && copy.inputs.as_ref().is_some_and(|i| i.inbox_blocks > 0)
        {
            let taken = self.store.catalog.inputs(copy.id).await?;
            self.store.ledger.delete_inbox(ledger, &taken.keys).await?;
        }
        Ok(Driven::Whole(sums))
    }

    /// The sums of a copy, once every part of it is done and verified (L4). The rows that were read must be exactly those of its
    /// inputs (L5). `None`: not every part is done.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if the sums differ.
    pub(crate) async fn finished(
        &self,
        manifest: &Manifest,
        copy: &Copy,
    ) -> Result<Option<Sums>, StoreError> {
        let parts = self.store.catalog.parts(copy.id).await?;
        let done: Vec<PartDone> = parts.into_iter().filter_map(|(_, p)| p.done).collect();
        if done.len() != copy.slots.count() as usize && !breaks::is(Break::CommitsHalfRestores) {
            return Ok(None);
        }
        let tally = Tally::sum(done.iter().map(|p| &p.tally));
        let mut sums =
            Sums { tally, bytes: done.iter().map(|p| p.bytes).sum(), arrived: Arrivals::default() };
        if breaks::is(Break::VerifiesNothing) || breaks::is(Break::IgnoresFailedSums) {
            return Ok(Some(sums));
        }
        let what = || format!("copy {} of run {}", copy.id, copy.run);
        let expected = |run: &RunId| manifest.run(*run).map(|r| (r.tally.rows, r.tally.digest));
        let runs = copy.inputs.as_ref().map_or_else(|| vec![copy.run], |i| i.runs.clone());
        if let Some(run) = runs.iter().find(|r| expected(r) != Some(consumed_of(&done, **r))) {
            return Err(StoreError::damaged(what(), format!("its input run {run} was not read whole")));
        }
        match &copy.inputs {
            Some(inputs) if inputs.inbox_blocks > 0 => {
                let taken = self.store.catalog.inputs(copy.id).await?;
                if taken.rows != done.iter().map(|p| p.inbox_rows).sum::<u64>() {
                    return Err(StoreError::damaged(what(), "its inbox blocks were not read whole"));
                }
                sums.arrived = taken.arrived;
            }
            Some(_) => {}
            None if manifest.run(copy.run).is_some_and(|r| r.tally.same_rows(&sums.tally)) => {}
            None => return Err(StoreError::damaged(what(), "its digest is not the run's")),
        }
        Ok(Some(sums))
    }

    /// Deletes exactly the inbox blocks that a committed rewrite took, and then records in the manifest that they are gone.
    pub(crate) async fn clear(&self, ledger: &LedgerId, copy: CopyId) -> Result<(), StoreError> {
        let mut keys = self.store.catalog.inputs(copy).await?.keys;
        if breaks::is(Break::ClearsTheWholeInbox) {
            let all = self.store.ledger.list_inbox(ledger, usize::MAX, u64::MAX).await?;
            keys = all.into_iter().map(|e| e.key).collect();
        }
        self.store.ledger.delete_inbox(ledger, &keys).await?;
        until_won!(async {
            let manifest = self.store.catalog.manifest(ledger).await?;
            if manifest.clearing != Some(copy) || manifest.quarantine.is_some() {
                return Ok(());
            }
            self.swap(ledger, &manifest, manifest.cleared(copy)).await.map(drop)
        })
    }

    pub(crate) async fn swap(
        &self,
        ledger: &LedgerId,
        old: &Manifest,
        new: Manifest,
    ) -> Result<Manifest, StoreError> {
        let mut transaction = Transaction::new();
        let new = transaction.swap(ledger, old, new)?;
        self.store.catalog.commit(transaction).await?;
        Ok(new)
    }
}
