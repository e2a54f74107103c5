//! Doing a part: claim it, merge its inputs, write it, read it back, compare, record it. Compaction, archiving and restore
//! differ only in the inputs and the tier.

use super::{
    copy::{Batch, CopyReader, read_back},
    merged::{Merged, Taken},
    moved::moved_rows,
    sink::{ColdSink, HotSink, Sink},
    view::Stream,
};
use crate::{app::Rekindle, retry::until_won};
use rekindle_domain::{
    block::decode,
    breaks::{self, Break},
    id::{CopyId, LedgerId, RunId},
    manifest::{Copy, Manifest, Tier},
    merge::Merge,
    part::{Consumed, Part, PartDone},
    people::People,
    rows::{Dictionary, Row, Rows, UserRows, normalize},
    slot::SlotBits,
    tally::{Tallier, Tally},
    time::Time,
};
use rekindle_store::{StoreError, archive::ArchiveKey, catalog::parts::InboxInputs, ledger::SlotKey};
use std::{collections::HashMap, ops::RangeInclusive};

/// The result of a call for a part.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum PartResult {
    /// The part is done, by this attempt or an earlier one.
    Done,
    /// Another worker has the part, until this time.
    Leased(Time),
    /// The part failed too often.
    Exhausted,
}

/// The opened inputs of a copy.
struct Opened {
    /// The input runs, each with a reader of its live copy and its rows of merged ids, under these ids.
    runs: Vec<(RunId, CopyReader, Rows)>,
    /// The persons under whose ids the rewrite puts all rows.
    people: People,
    /// Encoded inbox blocks.
    inbox: Vec<Vec<u8>>,
    /// The cut of the inbox into slots. The worker decodes one slot of it at a time, so that memory is bounded and a
    /// block is not decoded anew for each slot of the copy.
    inbox_slots: SlotBits,
    /// The slot that was decoded last, with the rows of each block in it.
    decoded: Option<(u32, Vec<Rows>)>,
}

/// Does parts of one ledger, and keeps the opened inputs for the next part. Lives as long as one invocation.
pub(crate) struct Worker<'a> {
    app: &'a Rekindle,
    ledger: &'a LedgerId,
    inputs: HashMap<CopyId, Opened>,
}

impl<'a> Worker<'a> {
    /// A worker for one ledger.
    pub fn new(app: &'a Rekindle, ledger: &'a LedgerId) -> Self {
        Self { app, ledger, inputs: HashMap::new() }
    }

    /// Claims a part of a staged copy and does it.
    ///
    /// # Errors
    /// [`StoreError::Damaged`]: the inputs or the output do not verify. On any other error try again: each attempt is
    /// counted.
    pub async fn work(
        &mut self,
        manifest: &Manifest,
        copy: &Copy,
        slot: u32,
    ) -> Result<PartResult, StoreError> {
        let claim = match self.claim(copy.id, slot).await? {
            Ok(claim) => claim,
            Err(outcome) => return Ok(outcome),
        };
        match self.attempt(manifest, copy, slot, claim.attempt).await {
            Ok(done) => self.record(copy.id, slot, done).await,
            Err(error) => {
                // The part is free for the next attempt at once. If this write fails, the lease lapses by itself.
                let _ = self.release(copy.id, slot, &claim).await;
                Err(error)
            }
        }
    }

    /// Begins an attempt, unless the part is done, leased or has failed too often.
    async fn claim(&self, copy: CopyId, slot: u32) -> Result<Result<Part, PartResult>, StoreError> {
        let catalog = &self.app.store.catalog;
        let found = catalog.part(copy, slot).await?;
        let now = self.app.now();
        if found.value.done.is_some() {
            return Ok(Err(PartResult::Done));
        }
        if !found.value.is_free(now) {
            return Ok(Err(PartResult::Leased(found.value.lease_until)));
        }
        if found.value.is_exhausted(now) {
            return Ok(Err(PartResult::Exhausted));
        }
        let claim = Part {
            attempt: if breaks::is(Break::SharesAttempts) { 1 } else { found.value.attempt + 1 },
            lease_until: now.plus(self.app.settings.lease_millis),
            claimed_by: self.app.new_id().to_string(),
            done: None,
        };
        match catalog.put_part(copy, slot, &claim, found.version).await {
            Ok(_) => Ok(Ok(claim)),
            Err(StoreError::Conflict) => {
                // Another worker claimed the part, or this claim was written and its answer was lost.
                let stored = catalog.part(copy, slot).await?.value;
                Ok(if stored == claim { Ok(claim) } else { Err(PartResult::Leased(stored.lease_until)) })
            }
            Err(other) => Err(other),
        }
    }

    /// Records an attempt as the one that counts, unless another is recorded already: the first wins, even after its lease
    /// has lapsed.
    async fn record(&self, copy: CopyId, slot: u32, done: PartDone) -> Result<PartResult, StoreError> {
        let catalog = &self.app.store.catalog;
        until_won!(async {
            let found = catalog.part(copy, slot).await?;
            if found.value.done.is_some() {
                return Ok(PartResult::Done);
            }
            let part = Part { done: Some(done.clone()), ..found.value };
            catalog.put_part(copy, slot, &part, found.version).await?;
            Ok(PartResult::Done)
        })
    }

    async fn release(&self, copy: CopyId, slot: u32, claim: &Part) -> Result<(), StoreError> {
        let catalog = &self.app.store.catalog;
        let found = catalog.part(copy, slot).await?;
        if found.value == *claim {
            let free = Part { lease_until: self.app.now(), ..found.value };
            catalog.put_part(copy, slot, &free, found.version).await?;
        }
        Ok(())
    }

    async fn attempt(
        &mut self,
        manifest: &Manifest,
        copy: &Copy,
        slot: u32,
        attempt: u32,
    ) -> Result<PartDone, StoreError> {
        let (app, ledger) = (self.app, self.ledger);
        let inputs = self.inputs(manifest, copy).await?;
        let hashes = copy.slots.hashes(slot);
        let mut done = match copy.tier {
            Tier::Hot => {
                let key = SlotKey { copy: copy.id, attempt, slot };
                let sink = HotSink::new(app, key, *hashes.start());
                inputs.merge_into(&hashes, Sink::Hot(Box::new(sink))).await?
            }
            Tier::Cold => {
                let key = ArchiveKey { ledger: ledger.clone(), copy: copy.id, slot, attempt };
                inputs.merge_into(&hashes, Sink::Cold(Box::new(ColdSink::new(&app.store, key)?))).await?
            }
        };
        done.attempt = attempt;
        if breaks::is(Break::VerifiesNothing) {
            return Ok(done);
        }
        let what = || format!("slot {slot} of copy {} of {ledger}", copy.id);
        let read = read_back(&app.store, ledger, copy, slot, attempt, done.tally.rows).await?;
        if read != done.tally {
            return Err(StoreError::damaged(what(), "what was read back is not what was written"));
        }
        if let (None, Some((_, source, _))) = (&copy.inputs, inputs.runs.first())
            && !source.tally(slot).same_rows(&done.tally)
        {
            return Err(StoreError::damaged(
                source.part_name(slot),
                "its rows are not those that were written",
            ));
        }
        Ok(done)
    }

    /// The copy's inputs, which were fixed when it was staged. They are opened once.
    async fn inputs(&mut self, manifest: &Manifest, copy: &Copy) -> Result<&mut Opened, StoreError> {
        if !self.inputs.contains_key(&copy.id) {
            let inputs = self.open_inputs(manifest, copy).await?;
            self.inputs.insert(copy.id, inputs);
        }
        self.inputs
            .get_mut(&copy.id)
            .ok_or_else(|| StoreError::missing(format!("the inputs of copy {}", copy.id)))
    }

    async fn open_inputs(&self, manifest: &Manifest, copy: &Copy) -> Result<Opened, StoreError> {
        let store = &self.app.store;
        let runs = copy.inputs.as_ref().map_or_else(|| vec![copy.run], |i| i.runs.clone());
        let people = self.people(copy).await?;
        let mut opened = Vec::with_capacity(runs.len());
        for run in runs {
            let live = manifest.live(run, Tier::Hot).or_else(|| manifest.live(run, Tier::Cold));
            let live = live.ok_or_else(|| StoreError::missing(format!("a live copy of run {run}")))?;
            let folded = manifest.run(run).map_or(0, |run| run.folded);
            let reader = CopyReader::open(store, self.ledger, live, folded).await?;
            let moved = moved_rows(&reader, &people).await?;
            opened.push((run, reader, moved));
        }
        let (mut inbox, mut rows) = (Vec::new(), 0);
        if copy.inputs.as_ref().is_some_and(|i| i.inbox_blocks > 0) {
            let taken = self.taken(copy.id).await?;
            rows = taken.rows;
            inbox = store.ledger.get_inbox(self.ledger, &taken.keys).await?;
        }
        let inbox_slots = self.app.settings.sizes.slot.bits_for(rows, 0);
        Ok(Opened { runs: opened, people, inbox, inbox_slots, decoded: None })
    }

    /// The persons as of the merge that was written down when the copy was staged. A further copy of a run takes its rows as
    /// they are.
    async fn people(&self, copy: &Copy) -> Result<People, StoreError> {
        let folded = copy.inputs.as_ref().map_or(0, |inputs| inputs.folded);
        if breaks::is(Break::FoldsTheLatest) && copy.inputs.is_some() {
            return self.app.people().await;
        }
        // A log that cannot be read says nothing against this ledger, which must not come into quarantine for it.
        let unread =
            |e: StoreError| StoreError::Unavailable { call: "the merges of user ids", reason: e.to_string() };
        self.app.people_as_of(folded).await.map_err(unread)
    }

    /// The inbox blocks of the copy's inputs, as recorded when the copy was staged.
    async fn taken(&self, copy: CopyId) -> Result<InboxInputs, StoreError> {
        let store = &self.app.store;
        if breaks::is(Break::ListsInputsAnew) {
            let listed = store.ledger.list_inbox(self.ledger, usize::MAX, u64::MAX).await?;
            let rows = listed.iter().map(|e| e.rows).sum();
            let keys = listed.into_iter().map(|e| e.key).collect();
            return Ok(InboxInputs { keys, rows, ..InboxInputs::default() });
        }
        store.catalog.inputs(copy).await
    }
}

/// The sums of one stream, for the comparison with the sums of its run; and its facets in the merged dictionary.
#[derive(Default)]
pub struct Count {
    tallier: Tallier,
    facets: Vec<u32>,
}

impl Opened {
    /// The rows of each inbox block within `hashes`. Decodes a slot of the inbox once for all slots of the copy within it.
    fn inbox_rows(&mut self, hashes: &RangeInclusive<u64>) -> Result<Vec<Rows>, StoreError> {
        let (first, last) =
            (self.inbox_slots.slot_of(*hashes.start()), self.inbox_slots.slot_of(*hashes.end()));
        if first != last || self.inbox.is_empty() {
            return self.decode_inbox(hashes);
        }
        let decoded = match self.decoded.take() {
            Some((slot, rows)) if slot == first => rows,
            _ => self.decode_inbox(&self.inbox_slots.hashes(first))?,
        };
        let within = decoded.iter().map(|rows| {
            let mut rows = rows.clone();
            rows.restrict(hashes);
            rows
        });
        let within = within.collect();
        self.decoded = Some((first, decoded));
        Ok(within)
    }

    fn decode_inbox(&self, hashes: &RangeInclusive<u64>) -> Result<Vec<Rows>, StoreError> {
        let decode = |block: &Vec<u8>| {
            let block = decode(block).map_err(|e| StoreError::damaged("an inbox block", e))?;
            // Not merged, so that the number of rows is that of the block.
            Ok(self.people.renamed(&block.rows, hashes))
        };
        self.inbox.iter().map(decode).collect()
    }

    /// Merges all rows within `hashes` into the sink. Memory holds a block of each run, and the slot's share of the
    /// inbox.
    async fn merge_into(
        &mut self,
        hashes: &RangeInclusive<u64>,
        mut sink: Sink<'_>,
    ) -> Result<PartDone, StoreError> {
        let late = self.inbox_rows(hashes)?;
        let inbox_rows = late.iter().map(|rows| rows.row_count() as u64).sum();
        let stream = |copy: &CopyReader| Stream::Copy(Box::new(copy.stream(hashes.clone(), &self.people)));
        let mut streams: Vec<Stream> = self.runs.iter().map(|(_, copy, _)| stream(copy)).collect();
        let arriving = self.runs.iter().map(|(.., moved)| self.people.renamed(moved, hashes));
        let arriving = arriving.filter(|_| !breaks::is(Break::DropsMergedUsers));
        let in_memory: Vec<Rows> = late.into_iter().chain(arriving).collect();
        streams.push(Stream::Memory(Some(Rows::gather(&in_memory, 0..=u64::MAX))));
        drop(in_memory);
        let mut counts: Vec<Count> = streams.iter().map(|_| Count::default()).collect();
        let mut dictionary = Dictionary::default();
        let mut merged = Merged::new(streams);
        let mut tallier = Tallier::default();
        let mut rows: Vec<Row> = Vec::new();
        loop {
            let take = |i: usize, _: &Merge, batch: Batch| {
                let batch = batch.rows()?;
                counts[i].tallier.use_facets(&batch.facets);
                counts[i].facets = dictionary.map(&batch.facets);
                Ok(Taken::Feed(batch))
            };
            _ = merged.fill(take).await?;
            tallier.use_facets(dictionary.facets());
            while let Some(group) = merged.next_group() {
                rows.clear();
                for (i, _, user) in group.parts() {
                    counts[i].tallier.add(&user);
                    let facets = &counts[i].facets;
                    rows.extend(user.rows.iter().map(|r| Row { facet: facets[r.facet as usize], ..*r }));
                }
                normalize(&mut rows);
                let user = UserRows { rows: &rows, ..group.user() };
                tallier.add(&user);
                sink.push(&user, &dictionary)?;
            }
            sink.flush().await?;
            if merged.has_ended() {
                break;
            }
        }
        let tally: Tally = tallier.tally();
        let bytes = sink.finish(tally.rows == 0).await?;
        let consumed = self.runs.iter().zip(&mut counts).map(|((run, _, moved), count)| {
            // The rows of a merged id count in the slot of its person, under the id by which the run has them.
            count.tallier.use_facets(&moved.facets);
            let arrives = |user: &UserRows<'_>| hashes.contains(&self.people.place(user.hash, user.id).0);
            moved.iter().filter(arrives).for_each(|user| count.tallier.add(&user));
            let tally = count.tallier.tally();
            Consumed { run: *run, rows: tally.rows, digest: tally.digest }
        });
        Ok(PartDone { attempt: 0, tally, bytes, consumed: consumed.collect(), inbox_rows })
    }
}
