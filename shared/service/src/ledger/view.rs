//! A reader's view of a ledger: its inbox, and then the copies that its manifest lists.

use super::{
    copy::{Batch, CopyReader, CopyStream},
    moved::Moved,
};
use rekindle_domain::{
    breaks::{self, Break},
    id::LedgerId,
    manifest::{Copy, DataState, Manifest, Tier},
    people::{People, UserId},
    rows::Rows,
    tally::{Tallier, Tally},
    time::Time,
};
use rekindle_store::{Store, StoreError};
use std::{borrow::Cow, ops::RangeInclusive};

/// The most bytes of late rows that a question reads although the data is expired: of the inbox, and of each archived copy.
const MAX_LATE_BYTES: u64 = 4 << 20;

/// The most inbox blocks of late rows that such a question reads.
const MAX_LATE_BLOCKS: usize = 1_000;

/// A stream of rows in ledger order.
pub(crate) enum Stream {
    /// From a copy.
    Copy(Box<CopyStream>),
    /// From memory.
    Memory(Option<Rows>),
    /// Rows of merged ids, from copies.
    Moved(Box<Moved>),
}

impl Stream {
    /// The next batch; `None` at the end.
    pub async fn next_batch(&mut self) -> Result<Option<Batch>, StoreError> {
        match self {
            Self::Copy(stream) => stream.next_batch().await,
            Self::Moved(stream) => stream.next_batch().await,
            Self::Memory(rows) => Ok(rows.take().filter(|r| !r.is_empty()).map(Batch::Rows)),
        }
    }
}

/// A reader's view of a ledger. The inbox is read before the manifest (L3): rows move from the inbox to a run and never
/// back, so that in this order a row may be seen twice but is never missed.
pub(crate) struct LedgerView {
    /// The blocks of the inbox, each sorted by id.
    pub inbox: Vec<Rows>,
    /// The live hot copies; empty where the data is not available.
    pub copies: Vec<CopyReader>,
}

impl LedgerView {
    /// Reads the inbox, then the manifest, then the records of each copy's parts. `None`: the data is not available. With
    /// `only` the view is for users with these ids only, and fewer records are read.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if a listed copy is not whole.
    pub async fn open(
        store: &Store,
        ledger: &LedgerId,
        only: Option<&[UserId]>,
    ) -> Result<Option<Self>, StoreError> {
        let early = if breaks::is(Break::ReadsTheManifestFirst) {
            Some(store.catalog.manifest(ledger).await?)
        } else {
            None
        };
        let inbox = store.ledger.read_inbox(ledger).await?;
        let manifest = match early {
            Some(manifest) => manifest,
            None => store.catalog.manifest(ledger).await?,
        };
        if manifest.state != DataState::Available {
            return Ok(None);
        }
        let copies = live_copies(store, ledger, &manifest, &[Tier::Hot], only).await?;
        Ok(Some(Self { inbox, copies }))
    }

    /// Opens a view even if the data is not available: of the inbox, and of a live copy of each run, the hot one if there
    /// is one and the cold one otherwise.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if a listed copy is not whole.
    pub async fn open_archived(
        store: &Store,
        ledger: &LedgerId,
        only: Option<&[UserId]>,
    ) -> Result<Self, StoreError> {
        let inbox = store.ledger.read_inbox(ledger).await?;
        let manifest = store.catalog.manifest(ledger).await?;
        let copies = live_copies(store, ledger, &manifest, &[Tier::Hot, Tier::Cold], only).await?;
        Ok(Self { inbox, copies })
    }

    /// Opens a view of the rows that arrived since the data expired at `archived_at`: the inbox, and the archived copies of the
    /// runs that were made since, each unless it is large. `None`: there are none.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if a listed copy is not whole.
    pub async fn open_late(
        store: &Store,
        ledger: &LedgerId,
        archived_at: Time,
        only: Option<&[UserId]>,
    ) -> Result<Option<Self>, StoreError> {
        let listed = store.ledger.list_inbox(ledger, MAX_LATE_BLOCKS, MAX_LATE_BYTES).await?;
        let is_small = listed.len() < MAX_LATE_BLOCKS
            && listed.iter().map(|entry| entry.bytes).sum::<u64>() <= MAX_LATE_BYTES;
        let inbox = if is_small { store.ledger.read_inbox(ledger).await? } else { Vec::new() };
        let manifest = store.catalog.manifest(ledger).await?;
        // Blocks that are still to be cleared went into the archive: a part of it would be shown, for a moment.
        let inbox = if manifest.clearing.is_some() { Vec::new() } else { inbox };
        let mut copies = Vec::new();
        let late = manifest.runs_made_after(archived_at).filter_map(|run| manifest.live(run.id, Tier::Cold));
        for copy in late.filter(|copy| copy.bytes <= MAX_LATE_BYTES) {
            copies.push(open_copy(store, ledger, &manifest, copy, only).await?);
        }
        Ok((inbox.len() + copies.len() > 0).then_some(Self { inbox, copies }))
    }

    /// The number of copies in the archive that the view reads.
    pub fn archived(&self) -> usize {
        self.copies.iter().filter(|copy| copy.tier() == Tier::Cold).count()
    }

    /// The last merge of user ids that any of its runs followed.
    pub fn folded(&self) -> u64 {
        self.copies.iter().map(CopyReader::folded).max().unwrap_or(0)
    }

    /// All rows of persons whose hash is within `hashes`: a stream of the inbox, one of the rows of merged ids if there may
    /// be any, and one of each run.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if rows were moved by a merge that these people do not know: they were read too early.
    pub fn streams(&self, hashes: &RangeInclusive<u64>, people: &People) -> Result<Vec<Stream>, StoreError> {
        self.check(people)?;
        let inbox = Stream::Memory(Some(gather(&self.inbox, people, hashes)));
        // Before the copies, so that a merge reads this one first: then it knows whether a block's users are in it.
        let moved = Moved::new(&self.copies, people, hashes).map(|moved| Stream::Moved(Box::new(moved)));
        let copies = self.copies.iter().map(|c| Stream::Copy(Box::new(c.stream(hashes.clone(), people))));
        Ok(std::iter::once(inbox).chain(moved).chain(copies).collect())
    }

    /// The rows of one person, all of whose ids these are: batches of the inbox and of each run, under whichever of the ids.
    ///
    /// # Errors
    /// As [`LedgerView::streams`].
    pub async fn look_up(&self, ids: &[UserId], people: &People) -> Result<Vec<Rows>, StoreError> {
        self.check(people)?;
        let mut out = Vec::new();
        for id in ids {
            let mut inbox = Rows::gather(&self.inbox, id.hash..=id.hash);
            // Several users may share a hash.
            inbox.retain(|user| *user.id == *id.id);
            out.push(inbox);
        }
        for copy in &self.copies {
            out.extend(copy.look_up_person(ids).await?);
        }
        Ok(out)
    }

    fn check(&self, people: &People) -> Result<(), StoreError> {
        let folded = self.folded();
        if folded > people.last() {
            return Err(StoreError::missing(format!("merge {folded} of user ids")));
        }
        Ok(())
    }
}

/// A live copy of each run, from the first of the tiers that has one.
///
/// # Errors
/// [`StoreError::Damaged`] if a run has no live copy in these tiers.
async fn live_copies(
    store: &Store,
    ledger: &LedgerId,
    manifest: &Manifest,
    tiers: &[Tier],
    only: Option<&[UserId]>,
) -> Result<Vec<CopyReader>, StoreError> {
    let mut out = Vec::with_capacity(manifest.runs.len());
    for run in &manifest.runs {
        let copy = tiers.iter().find_map(|tier| manifest.live(run.id, *tier));
        let copy = copy.ok_or_else(|| StoreError::missing(format!("a live copy of run {}", run.id)))?;
        out.push(open_copy(store, ledger, manifest, copy, only).await?);
    }
    Ok(out)
}

async fn open_copy(
    store: &Store,
    ledger: &LedgerId,
    manifest: &Manifest,
    copy: &Copy,
    only: Option<&[UserId]>,
) -> Result<CopyReader, StoreError> {
    let folded = manifest.run(copy.run).map_or(0, |run| run.folded);
    match only {
        Some(ids) => CopyReader::open_at(store, ledger, copy, folded, ids).await,
        None => CopyReader::open(store, ledger, copy, folded).await,
    }
}

/// The rows of inbox blocks, each under the id of its person, of persons within `hashes`.
fn gather(blocks: &[Rows], people: &People, hashes: &RangeInclusive<u64>) -> Rows {
    let blocks: Vec<Cow<'_, Rows>> = blocks.iter().map(|block| people.with_persons(block)).collect();
    Rows::gather(&blocks, hashes.clone())
}

/// The tally of the rows in a ledger's inbox, each person once.
///
/// # Errors
/// [`StoreError::Damaged`] if a block does not decode.
pub(crate) async fn inbox_tally(
    store: &Store,
    ledger: &LedgerId,
    people: &People,
) -> Result<Tally, StoreError> {
    let rows = gather(&store.ledger.read_inbox(ledger).await?, people, &(0..=u64::MAX));
    let mut tallier = Tallier::default();
    tallier.use_facets(&rows.facets);
    rows.iter().for_each(|user| tallier.add(&user));
    Ok(tallier.tally())
}
