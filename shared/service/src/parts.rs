//! Doing a part: merge its inputs, write it, read it back, compare, record it. The same for compaction, archiving and
//! restoring; only what comes in and where it goes differ.

use crate::{
    Rekindle,
    read::{CopyReader, Stream, read_back},
};
use rekindle_domain::{
    block::{Packed, Packer, decode},
    id::{CopyId, LedgerId, RunId},
    manifest::{Copy, Manifest, Tier},
    merge::Merge,
    part::{Consumed, Part, PartDone},
    rows::{Dictionary, Row, Rows, UserRows, normalize},
    tally::{Tallier, Tally},
    time::Millis,
};
use rekindle_store::{
    Store, StoreError,
    archive::ArchiveKey,
    ledger::{HOT_BLOCK_BYTES, SlotKey},
    parquet::PartWriter,
};
use std::{collections::HashMap, ops::RangeInclusive};

/// How many packed blocks are written at once.
const BLOCKS_PER_WRITE: usize = 50;

/// How an attempt at a part went.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The part is done, by this attempt or an earlier one.
    Done,
    /// Another worker has it.
    Leased(Millis),
    /// It failed too often.
    Exhausted,
}

/// Where a copy's rows come from.
struct Inputs {
    /// Runs, each by its live copy.
    runs: Vec<(RunId, CopyReader)>,
    /// Encoded inbox blocks.
    inbox: Vec<Vec<u8>>,
}

/// Does parts of one ledger, and keeps what all of them read. Lives as long as one invocation.
pub struct Worker<'a> {
    app: &'a Rekindle,
    ledger: &'a LedgerId,
    inputs: HashMap<CopyId, Inputs>,
}

impl<'a> Worker<'a> {
    /// A worker for one ledger.
    pub fn new(app: &'a Rekindle, ledger: &'a LedgerId) -> Self {
        Self {
            app,
            ledger,
            inputs: HashMap::new(),
        }
    }

    /// Claims a part of a staged copy and does it.
    ///
    /// # Errors
    /// [`StoreError::Damaged`]: the inputs do not verify. Anything else: try again; the failure is counted.
    pub async fn work(
        &mut self,
        manifest: &Manifest,
        copy: &Copy,
        slot: u32,
    ) -> Result<Outcome, StoreError> {
        let catalog = &self.app.store.catalog;
        let found = catalog.part(copy.id, slot).await?;
        let now = self.app.now();
        if found.value.done.is_some() {
            return Ok(Outcome::Done);
        }
        if !found.value.is_free(now) {
            return Ok(Outcome::Leased(found.value.lease_until));
        }
        if found.value.is_exhausted(now) {
            return Ok(Outcome::Exhausted);
        }
        let lease_until = now.plus(self.app.settings.lease_millis);
        let claim = Part {
            attempt: found.value.attempt + 1,
            lease_until,
            ..found.value
        };
        let version = match catalog.put_part(copy.id, slot, &claim, found.version).await {
            Err(StoreError::Conflict) => return Ok(Outcome::Leased(lease_until)),
            other => other?,
        };
        match self.attempt(manifest, copy, slot, claim.attempt).await {
            Ok(done) => {
                let part = Part {
                    done: Some(done),
                    ..claim
                };
                match catalog.put_part(copy.id, slot, &part, version).await {
                    // Ours with the answer lost, or another's: either way the record says which attempt counts.
                    Err(StoreError::Conflict) => match catalog.part(copy.id, slot).await?.value {
                        Part { done: Some(_), .. } => Ok(Outcome::Done),
                        part => Ok(Outcome::Leased(part.lease_until)),
                    },
                    other => other.map(|_| Outcome::Done),
                }
            }
            Err(error) => {
                let part = Part {
                    failures: claim.failures + 1,
                    lease_until: now,
                    ..claim
                };
                // If this is not recorded, the lease lapses by itself.
                let _ = catalog.put_part(copy.id, slot, &part, version).await;
                Err(error)
            }
        }
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
                let key = SlotKey {
                    copy: copy.id,
                    attempt,
                    slot,
                };
                let sink = HotSink::new(&app.store, key, *hashes.start());
                inputs
                    .merge_into(&hashes, Sink::Hot(Box::new(sink)))
                    .await?
            }
            Tier::Cold => {
                let key = ArchiveKey {
                    ledger: ledger.clone(),
                    copy: copy.id,
                    slot,
                    attempt,
                };
                inputs
                    .merge_into(
                        &hashes,
                        Sink::Cold(Box::new(ColdSink::new(&app.store, key)?)),
                    )
                    .await?
            }
        };
        done.attempt = attempt;
        let what = || format!("slot {slot} of copy {} of {ledger}", copy.id);
        let read = read_back(&app.store, ledger, copy, slot, attempt, done.tally.rows).await?;
        if read != done.tally {
            return Err(StoreError::damaged(
                what(),
                "what was read back is not what was written",
            ));
        }
        if let (None, Some((_, source))) = (&copy.inputs, inputs.runs.first())
            && !source.tally(slot).same_rows(&done.tally)
        {
            return Err(StoreError::damaged(
                what(),
                "its rows are not those of the copy it was made from",
            ));
        }
        Ok(done)
    }

    /// What the copy is made from. Read once; fixed when it was staged.
    async fn inputs(&mut self, manifest: &Manifest, copy: &Copy) -> Result<&Inputs, StoreError> {
        if !self.inputs.contains_key(&copy.id) {
            let inputs = self.open_inputs(manifest, copy).await?;
            self.inputs.insert(copy.id, inputs);
        }
        self.inputs
            .get(&copy.id)
            .ok_or_else(|| StoreError::missing(format!("the inputs of copy {}", copy.id)))
    }

    async fn open_inputs(&self, manifest: &Manifest, copy: &Copy) -> Result<Inputs, StoreError> {
        let store = &self.app.store;
        let runs = copy
            .inputs
            .as_ref()
            .map_or_else(|| vec![copy.run], |i| i.runs.clone());
        let mut opened = Vec::with_capacity(runs.len());
        for run in runs {
            let live = manifest
                .live(run, Tier::Hot)
                .or_else(|| manifest.live(run, Tier::Cold));
            let live =
                live.ok_or_else(|| StoreError::missing(format!("a live copy of run {run}")))?;
            opened.push((run, CopyReader::open(store, self.ledger, live).await?));
        }
        let mut inbox = Vec::new();
        if copy.inputs.as_ref().is_some_and(|i| i.inbox_blocks > 0) {
            let keys = store.catalog.inputs(copy.id).await?.keys;
            inbox = store.ledger.get_inbox(self.ledger, &keys).await?;
        }
        Ok(Inputs {
            runs: opened,
            inbox,
        })
    }
}

/// What a stream added up to, to be compared with what its run should.
#[derive(Default)]
struct Count {
    tallier: Tallier,
    facets: Vec<u32>,
}

impl Inputs {
    /// Merges all rows within `hashes` into the sink. Memory holds a block of each run, and the slot's share of the
    /// inbox.
    async fn merge_into(
        &self,
        hashes: &RangeInclusive<u64>,
        mut sink: Sink<'_>,
    ) -> Result<PartDone, StoreError> {
        let mut late = Vec::new();
        let mut inbox_rows = 0;
        for block in &self.inbox {
            let rows = decode(block)
                .map_err(|e| StoreError::damaged("an inbox block", e))?
                .rows;
            let rows = Rows::gather(&[rows], hashes.clone());
            inbox_rows += rows.row_count() as u64;
            late.push(rows);
        }
        let mut streams: Vec<Stream> = self
            .runs
            .iter()
            .map(|(_, copy)| Stream::Copy(Box::new(copy.stream(hashes.clone()))))
            .collect();
        streams.push(Stream::Memory(Some(Rows::gather(&late, 0..=u64::MAX))));
        drop(late);
        let mut counts: Vec<Count> = streams.iter().map(|_| Count::default()).collect();
        let mut dictionary = Dictionary::default();
        let mut merge = Merge::new(streams.len());
        let mut tallier = Tallier::default();
        let mut merged: Vec<Row> = Vec::new();
        loop {
            while let Some(i) = merge.needs() {
                match streams[i].next().await? {
                    None => merge.finish(i),
                    Some(rows) => {
                        counts[i].tallier.use_facets(&rows.facets);
                        counts[i].facets = dictionary.map(&rows.facets);
                        merge.feed(i, rows);
                    }
                }
            }
            tallier.use_facets(dictionary.facets());
            let mut ended = true;
            while let Some(group) = merge.next_group() {
                ended = false;
                merged.clear();
                for (i, _, user) in group.parts() {
                    counts[i].tallier.add(&user);
                    let facets = &counts[i].facets;
                    merged.extend(user.rows.iter().map(|r| Row {
                        facet: facets[r.facet as usize],
                        ..*r
                    }));
                }
                normalize(&mut merged);
                let user = UserRows {
                    rows: &merged,
                    ..group.user()
                };
                tallier.add(&user);
                sink.push(&user, &dictionary)?;
            }
            sink.flush().await?;
            if ended && merge.needs().is_none() {
                break;
            }
        }
        let tally: Tally = tallier.tally();
        let bytes = sink.finish(tally.rows == 0).await?;
        let consumed = self.runs.iter().zip(&counts).map(|((run, _), count)| {
            let tally = count.tallier.tally();
            Consumed {
                run: *run,
                rows: tally.rows,
                digest: tally.digest,
            }
        });
        Ok(PartDone {
            attempt: 0,
            tally,
            bytes,
            consumed: consumed.collect(),
            inbox_rows,
        })
    }
}

/// Where merged rows go.
enum Sink<'a> {
    Hot(Box<HotSink<'a>>),
    Cold(Box<ColdSink<'a>>),
}

impl Sink<'_> {
    fn push(&mut self, user: &UserRows<'_>, dictionary: &Dictionary) -> Result<(), StoreError> {
        match self {
            Self::Hot(sink) => {
                sink.packer.push(
                    user.hash,
                    user.id,
                    user.rows,
                    dictionary.facets(),
                    &mut sink.packed,
                );
                Ok(())
            }
            Self::Cold(sink) => sink
                .writer
                .push(user.id, user.rows, dictionary.facets())
                .map_err(|e| sink.failed(e)),
        }
    }

    async fn flush(&mut self) -> Result<(), StoreError> {
        match self {
            Self::Hot(sink) if sink.packed.len() >= BLOCKS_PER_WRITE => sink.write().await,
            _ => Ok(()),
        }
    }

    /// Returns how many bytes were written. A part without rows is no bytes at all.
    async fn finish(self, is_empty: bool) -> Result<u64, StoreError> {
        match self {
            _ if is_empty => Ok(0),
            Self::Hot(mut sink) => {
                let packer = std::mem::replace(&mut sink.packer, Packer::new(0, HOT_BLOCK_BYTES));
                packer.finish(&mut sink.packed);
                sink.write().await?;
                Ok(sink.bytes)
            }
            Self::Cold(sink) => {
                let ColdSink { store, key, writer } = *sink;
                let bytes = writer
                    .finish()
                    .map_err(|e| StoreError::damaged(key.to_string(), e))?;
                let size = bytes.len() as u64;
                store.archive.put(&key, bytes).await?;
                Ok(size)
            }
        }
    }
}

struct HotSink<'a> {
    store: &'a Store,
    key: SlotKey,
    packer: Packer,
    packed: Vec<Packed>,
    bytes: u64,
}

impl<'a> HotSink<'a> {
    fn new(store: &'a Store, key: SlotKey, first_hash: u64) -> Self {
        Self {
            store,
            key,
            packer: Packer::new(first_hash, HOT_BLOCK_BYTES),
            packed: Vec::new(),
            bytes: 0,
        }
    }

    async fn write(&mut self) -> Result<(), StoreError> {
        self.bytes += self
            .packed
            .iter()
            .map(|p| p.bytes.len() as u64)
            .sum::<u64>();
        self.store
            .ledger
            .write_blocks(self.key, std::mem::take(&mut self.packed))
            .await
    }
}

struct ColdSink<'a> {
    store: &'a Store,
    key: ArchiveKey,
    writer: PartWriter,
}

impl<'a> ColdSink<'a> {
    fn new(store: &'a Store, key: ArchiveKey) -> Result<Self, StoreError> {
        let writer = PartWriter::new().map_err(|e| StoreError::damaged(key.to_string(), e))?;
        Ok(Self { store, key, writer })
    }

    fn failed(&self, error: impl std::fmt::Display) -> StoreError {
        StoreError::damaged(self.key.to_string(), error)
    }
}
