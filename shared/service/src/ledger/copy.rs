//! Rows of a copy, as streams in ledger order.

use rekindle_domain::{
    id::LedgerId,
    manifest::{Copy, Tier},
    part::PartDone,
    rows::Rows,
    tally::{Tallier, Tally},
};
use rekindle_store::{
    Store, StoreError,
    archive::ArchiveKey,
    ledger::{Piece, SlotKey, SlotReader},
    parquet::PartReader,
};
use std::{collections::BTreeMap, ops::RangeInclusive, sync::Arc};

/// A copy with the recorded attempt of each part: only the bytes of that attempt count.
#[derive(Clone, Debug)]
pub(crate) struct CopyReader {
    store: Store,
    ledger: LedgerId,
    copy: Copy,
    /// The recorded parts by slot. A reader for one user has only the part of that user's slot.
    parts: Arc<BTreeMap<u32, PartDone>>,
}

impl CopyReader {
    /// Reads the records of the copy's parts.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if the record of a part is missing: the copy is being deleted, or it is damaged.
    pub async fn open(store: &Store, ledger: &LedgerId, copy: &Copy) -> Result<Self, StoreError> {
        let parts = store.catalog.parts(copy.id).await?;
        let done: BTreeMap<u32, PartDone> =
            parts.into_iter().filter_map(|(slot, p)| Some((slot, p.done?))).collect();
        if !done.keys().copied().eq(0..copy.slots.count()) {
            return Err(StoreError::missing(format!("the record of a part of copy {}", copy.id)));
        }
        Ok(Self { store: store.clone(), ledger: ledger.clone(), copy: copy.clone(), parts: Arc::new(done) })
    }

    /// Opens the copy for users with this hash only. Reads the record of one part.
    ///
    /// # Errors
    /// As [`CopyReader::open`].
    pub(super) async fn open_at(
        store: &Store,
        ledger: &LedgerId,
        copy: &Copy,
        hash: u64,
    ) -> Result<Self, StoreError> {
        let slot = copy.slots.slot_of(hash);
        let part = store.catalog.part(copy.id, slot).await?.value.done;
        let part =
            part.ok_or_else(|| StoreError::missing(format!("the record of a part of copy {}", copy.id)))?;
        let parts = Arc::new(BTreeMap::from([(slot, part)]));
        Ok(Self { store: store.clone(), ledger: ledger.clone(), copy: copy.clone(), parts })
    }

    /// The copy's tier.
    pub(super) const fn tier(&self) -> Tier {
        self.copy.tier
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

    /// The rows whose hash is within `hashes`, in order.
    pub fn stream(&self, hashes: RangeInclusive<u64>) -> CopyStream {
        let slots = self.copy.slots;
        let next_slot = slots.slot_of(*hashes.start());
        let last_slot = slots.slot_of(*hashes.end());
        CopyStream { reader: self.clone(), hashes, next_slot, last_slot, part: None }
    }

    /// The rows of users with this hash.
    pub async fn look_up(&self, hash: u64) -> Result<Rows, StoreError> {
        let slot = self.copy.slots.slot_of(hash);
        if self.parts[&slot].tally.rows == 0 {
            return Ok(Rows::default());
        }
        if self.copy.tier == Tier::Hot {
            return self.store.ledger.look_up(self.slot_key(slot), hash).await;
        }
        let mut stream = self.stream(hash..=hash);
        let mut found = Vec::new();
        while let Some(rows) = stream.next().await? {
            found.push(rows);
        }
        Ok(Rows::gather(&found, hash..=hash))
    }
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
        self.hashes.start() <= hashes.start() && hashes.end() <= self.hashes.end()
    }

    /// The next rows; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Rows>, StoreError> {
        self.next_batch().await?.map(Batch::rows).transpose()
    }
}
