//! Rows of a copy, as streams in ledger order.

use futures::{StreamExt, TryStreamExt, stream};
use rekindle_domain::{
    id::LedgerId,
    manifest::{Copy, Tier},
    part::PartDone,
    people::{People, UserId},
    rows::Rows,
    tally::{Tallier, Tally},
};
use rekindle_store::{
    Store, StoreError,
    archive::ArchiveKey,
    ledger::{HOT_BLOCK_BYTES, Piece, SlotKey, SlotReader},
    parquet::PartReader,
};
use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    future::ready,
    ops::RangeInclusive,
    sync::Arc,
};

/// A user id with its hash.
pub(super) type HashedId = (u64, Box<[u8]>);

/// How many ids are looked up at once.
const CONCURRENT_LOOK_UPS: usize = 16;

/// A copy with the recorded attempt of each part: only the bytes of that attempt count.
#[derive(Clone, Debug)]
pub(crate) struct CopyReader {
    store: Store,
    ledger: LedgerId,
    copy: Copy,
    /// The `folded` of the copy's run.
    folded: u64,
    /// The recorded parts by slot. A reader for some users has only the parts of their slots.
    parts: Arc<BTreeMap<u32, PartDone>>,
}

impl CopyReader {
    /// Reads the records of the copy's parts.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if the record of a part is missing: the copy is being deleted, or it is damaged.
    pub async fn open(
        store: &Store,
        ledger: &LedgerId,
        copy: &Copy,
        folded: u64,
    ) -> Result<Self, StoreError> {
        let parts = store.catalog.parts(copy.id).await?;
        let done: BTreeMap<u32, PartDone> =
            parts.into_iter().filter_map(|(slot, p)| Some((slot, p.done?))).collect();
        if !done.keys().copied().eq(0..copy.slots.count()) {
            return Err(StoreError::missing(format!("the record of a part of copy {}", copy.id)));
        }
        let (store, ledger, copy) = (store.clone(), ledger.clone(), copy.clone());
        Ok(Self { store, ledger, copy, folded, parts: Arc::new(done) })
    }

    /// Opens the copy for users with these ids only. Reads the records of the parts that may have them.
    ///
    /// # Errors
    /// As [`CopyReader::open`].
    pub(super) async fn open_at(
        store: &Store,
        ledger: &LedgerId,
        copy: &Copy,
        folded: u64,
        ids: &[UserId],
    ) -> Result<Self, StoreError> {
        let slots: BTreeSet<u32> = lying(ids, folded).map(|(hash, _)| copy.slots.slot_of(hash)).collect();
        let read = async |slot: u32| {
            let part = store.catalog.part(copy.id, slot).await?.value.done;
            let missing = || StoreError::missing(format!("the record of a part of copy {}", copy.id));
            Ok::<_, StoreError>((slot, part.ok_or_else(missing)?))
        };
        let parts = stream::iter(slots).map(read).buffered(CONCURRENT_LOOK_UPS).try_collect().await?;
        let (store, ledger, copy) = (store.clone(), ledger.clone(), copy.clone());
        Ok(Self { store, ledger, copy, folded, parts: Arc::new(parts) })
    }

    /// The rows of one person, all of whose ids these are, under the ids by which the copy has them.
    pub(super) async fn look_up_person(&self, ids: &[UserId]) -> Result<Vec<Rows>, StoreError> {
        self.look_up(&lying(ids, self.folded).collect::<Vec<_>>()).await
    }

    /// The copy's tier.
    pub(super) const fn tier(&self) -> Tier {
        self.copy.tier
    }

    /// The rows of ids that were merged up to the merge of this number lie under the ids of their persons.
    pub(super) const fn folded(&self) -> u64 {
        self.folded
    }

    /// The sums of a slot's rows.
    pub fn tally(&self, slot: u32) -> &Tally {
        &self.parts[&slot].tally
    }

    /// The name of a slot's bytes, for people.
    pub fn part_name(&self, slot: u32) -> String {
        match self.copy.tier {
            Tier::Hot => format!("slot {slot} of hot copy {} of {}", self.copy.id, self.ledger),
            Tier::Cold => {
                let attempt = self.parts[&slot].attempt;
                let key = ArchiveKey { ledger: self.ledger.clone(), copy: self.copy.id, slot, attempt };
                format!("archive part {key}")
            }
        }
    }

    fn slot_key(&self, slot: u32) -> SlotKey {
        SlotKey { copy: self.copy.id, attempt: self.parts[&slot].attempt, slot }
    }

    /// The rows whose hash is within `hashes`, in order, without those that belong under the id of another person.
    pub fn stream(&self, hashes: RangeInclusive<u64>, people: &People) -> CopyStream {
        let slots = self.copy.slots;
        let next_slot = slots.slot_of(*hashes.start());
        let last_slot = slots.slot_of(*hashes.end());
        let people = people.clone();
        CopyStream { reader: self.clone(), people, hashes, next_slot, last_slot, part: None }
    }

    /// What reading the whole copy costs: about the number of its blocks, or of its parts in the archive.
    pub(super) fn cost(&self) -> u64 {
        let slots = u64::from(self.copy.slots.count());
        match self.copy.tier {
            Tier::Hot => slots + self.copy.bytes / HOT_BLOCK_BYTES as u64,
            Tier::Cold => slots,
        }
    }

    /// What looking up these ids costs, in the same unit.
    pub(super) fn cost_of(&self, ids: &[HashedId]) -> u64 {
        match self.copy.tier {
            Tier::Hot => ids.len() as u64,
            Tier::Cold => self.by_slot(ids).len() as u64,
        }
    }

    /// The hashes and ids of each slot that has rows.
    fn by_slot<'a>(&self, ids: &'a [HashedId]) -> BTreeMap<u32, Vec<&'a HashedId>> {
        let mut by_slot: BTreeMap<u32, Vec<_>> = BTreeMap::new();
        for id in ids {
            let slot = self.copy.slots.slot_of(id.0);
            if self.parts[&slot].tally.rows > 0 {
                by_slot.entry(slot).or_default().push(id);
            }
        }
        by_slot
    }

    /// The rows that the copy has under these ids, each of which comes with its hash. Of a hot copy a block is read for each;
    /// of the archive each part once.
    pub(super) async fn look_up(&self, ids: &[HashedId]) -> Result<Vec<Rows>, StoreError> {
        let by_slot = self.by_slot(ids);
        if self.copy.tier == Tier::Cold {
            let mut found = Vec::new();
            for ids in by_slot.into_values() {
                found.push(self.read_only(&ids.into_iter().cloned().collect::<Vec<_>>()).await?);
            }
            return Ok(found);
        }
        let looks = by_slot.into_iter().flat_map(|(slot, ids)| ids.into_iter().map(move |id| (slot, id)));
        let look = |(slot, (hash, id)): (u32, &HashedId)| {
            let (key, hash, id) = (self.slot_key(slot), *hash, id.clone());
            async move {
                let mut rows = self.store.ledger.look_up(key, hash).await?;
                // Several users may share a hash.
                rows.retain(|user| *user.id == *id);
                Ok(rows)
            }
        };
        let looks: Vec<_> = looks.map(look).collect();
        let found = stream::iter(looks).buffered(CONCURRENT_LOOK_UPS);
        found.try_filter(|rows: &Rows| ready(!rows.is_empty())).try_collect().await
    }

    /// The rows that the copy has under these ids. Reads it from the first of them to the last.
    pub(super) async fn read_only(&self, ids: &[HashedId]) -> Result<Rows, StoreError> {
        let wanted: HashSet<&[u8]> = ids.iter().map(|(_, id)| &id[..]).collect();
        let hashes = || ids.iter().map(|(hash, _)| *hash);
        let (Some(first), Some(last)) = (hashes().min(), hashes().max()) else {
            return Ok(Rows::default());
        };
        let mut stream = self.stream(first..=last, &People::default());
        let mut found = Vec::new();
        while let Some(mut rows) = stream.next().await? {
            rows.retain(|user| wanted.contains(user.id));
            if !rows.is_empty() {
                found.push(rows);
            }
        }
        Ok(Rows::gather(&found, first..=last))
    }
}

/// The ids of a person under which a run that followed merges up to `folded` may have rows, each with its hash.
fn lying(ids: &[UserId], folded: u64) -> impl Iterator<Item = HashedId> {
    let lying = ids.iter().filter(move |id| id.number == 0 || id.number > folded);
    lying.map(|id| (id.hash, id.id.clone()))
}

/// Rows in the form in which a stream delivers them.
pub(crate) enum Batch {
    /// From a hot copy, still encoded.
    Piece(Piece),
    /// From an archive or an inbox.
    Rows(Rows),
}

impl Batch {
    /// The rows.
    ///
    /// # Errors
    /// [`StoreError::Damaged`].
    pub fn rows(self) -> Result<Rows, StoreError> {
        match self {
            Self::Piece(piece) => piece.rows(),
            Self::Rows(rows) => Ok(rows),
        }
    }
}

/// The batches of one part.
enum PartRows {
    Hot(Box<SlotReader>),
    Cold(PartReader, String),
}

impl PartRows {
    async fn next(&mut self) -> Result<Option<Batch>, StoreError> {
        Ok(match self {
            Self::Hot(reader) => reader.next().await?.map(Batch::Piece),
            Self::Cold(reader, what) => {
                reader.next_rows().map_err(|e| StoreError::damaged(what.clone(), e))?.map(Batch::Rows)
            }
        })
    }
}

/// Opens the rows of one attempt at a part. Of a hot part, only the blocks that may have users within `hashes` are read.
async fn open_part(
    store: &Store,
    ledger: &LedgerId,
    copy: &Copy,
    (slot, attempt): (u32, u32),
    hashes: &RangeInclusive<u64>,
) -> Result<PartRows, StoreError> {
    match copy.tier {
        Tier::Hot => {
            let key = SlotKey { copy: copy.id, attempt, slot };
            let of_slot = copy.slots.hashes(slot);
            let wanted = *hashes.start().max(of_slot.start())..=*hashes.end().min(of_slot.end());
            Ok(PartRows::Hot(Box::new(store.ledger.read_slot(key, wanted, *of_slot.start()))))
        }
        Tier::Cold => {
            let key = ArchiveKey { ledger: ledger.clone(), copy: copy.id, slot, attempt };
            let what = format!("archive part {key}");
            let reader = PartReader::new(store.archive.get(&key).await?);
            Ok(PartRows::Cold(reader.map_err(|e| StoreError::damaged(what.clone(), e))?, what))
        }
    }
}

/// Reads the rows of one attempt at a part back and sums them. `rows` is the expected number: a part of none has no bytes
/// to read.
///
/// # Errors
/// [`StoreError::Damaged`] if bytes are missing or do not decode.
pub(super) async fn read_back(
    store: &Store,
    ledger: &LedgerId,
    copy: &Copy,
    slot: u32,
    attempt: u32,
    rows: u64,
) -> Result<Tally, StoreError> {
    let mut tallier = Tallier::default();
    if rows > 0 {
        let mut part = open_part(store, ledger, copy, (slot, attempt), &copy.slots.hashes(slot)).await?;
        while let Some(batch) = part.next().await? {
            let rows = batch.rows()?;
            tallier.use_facets(&rows.facets);
            rows.iter().for_each(|user| tallier.add(&user));
        }
    }
    Ok(tallier.tally())
}

/// The rows of a copy within a range of hashes.
pub(crate) struct CopyStream {
    reader: CopyReader,
    people: People,
    hashes: RangeInclusive<u64>,
    next_slot: u32,
    last_slot: u32,
    part: Option<PartRows>,
}

impl CopyStream {
    /// The next batch; `None` at the end. A batch that is still encoded has only users that were asked for: other blocks
    /// are decoded, and their rows filtered.
    pub(super) async fn next_batch(&mut self) -> Result<Option<Batch>, StoreError> {
        loop {
            if let Some(part) = &mut self.part {
                match part.next().await? {
                    None => self.part = None,
                    Some(Batch::Piece(piece)) if self.has_all_of(&piece) => {
                        return Ok(Some(Batch::Piece(piece)));
                    }
                    Some(batch) => {
                        let mut rows = batch.rows()?;
                        rows.restrict(&self.hashes);
                        rows.retain(|user| !self.people.is_moved(self.reader.folded, user.hash, user.id));
                        if !rows.is_empty() {
                            return Ok(Some(Batch::Rows(rows)));
                        }
                    }
                }
                continue;
            }
            if self.next_slot > self.last_slot {
                return Ok(None);
            }
            let slot = self.next_slot;
            self.next_slot += 1;
            let reader = &self.reader;
            let done = &reader.parts[&slot];
            if done.tally.rows > 0 {
                let which = (slot, done.attempt);
                let part = open_part(&reader.store, &reader.ledger, &reader.copy, which, &self.hashes);
                self.part = Some(part.await?);
            }
        }
    }

    /// Whether every user that a piece may have was asked for.
    fn has_all_of(&self, piece: &Piece) -> bool {
        let hashes = piece.hashes();
        let is_within = self.hashes.start() <= hashes.start() && hashes.end() <= self.hashes.end();
        is_within && !self.people.moves_any(self.reader.folded, &hashes)
    }

    /// The next rows; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Rows>, StoreError> {
        self.next_batch().await?.map(Batch::rows).transpose()
    }
}
