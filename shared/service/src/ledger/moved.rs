//! The rows of merged user ids, under the id of their person. A copy keeps them where the old id stands; a reader leaves
//! them out there and finds them here, in the order of the persons.

use super::copy::{Batch, CopyReader, HashedId};
use futures::future::try_join_all;
use rekindle_domain::{
    people::{Moves, People},
    rows::Rows,
};
use rekindle_store::StoreError;
use std::{collections::HashMap, ops::RangeInclusive};

const ALL: RangeInclusive<u64> = 0..=u64::MAX;

/// How many ids are looked up at first, so that a short page looks up few. Each further batch takes twice as many.
const FIRST_BATCH: usize = 4;
/// The most ids of one batch.
const MAX_BATCH: usize = 256;
/// The most ids whose rows are in memory at once, after a copy was read for them.
const WINDOW: usize = 16_384;

/// The largest copy that is read for them, by its cost: some 256 MB in blocks. In a larger one ids are looked up, so that each
/// batch comes soon and a question can end in time.
const MAX_READ: u64 = 8_192;

/// Finds the rows of merged ids in one copy. It looks ids up until that has cost half as much as reading the copy; from then
/// on it reads the copy once for every [`WINDOW`] of ids.
struct Finder {
    copy: CopyReader,
    cost: u64,
    window: Option<Window>,
}

/// The rows of the ids of some moves that were ahead.
struct Window {
    left: usize,
    rows: Rows,
    places: HashMap<Box<[u8]>, usize>,
}

impl Finder {
    /// The rows of the next `now` moves, under the ids by which the copy has them.
    async fn find(&mut self, moves: &Moves, now: usize) -> Result<Vec<Rows>, StoreError> {
        let (people, left) = (moves.people(), moves.left());
        let ids = |many: usize| -> Vec<HashedId> {
            let wanted = left[..many].iter().filter(|m| m.number > self.copy.folded());
            wanted.map(|m| (m.hash, people.id_of(m).into())).collect()
        };
        let wanted = ids(now);
        if self.window.as_ref().is_none_or(|window| window.left < now) {
            self.cost += self.copy.cost_of(&wanted);
            if 2 * self.cost <= self.copy.cost() || self.copy.cost() > MAX_READ {
                return self.copy.look_up(&wanted).await;
            }
            let ahead = moves.whole_persons(WINDOW).max(now);
            let rows = self.copy.read_only(&ids(ahead)).await?;
            let places = rows.iter().zip(0..).map(|(user, place)| (user.id.into(), place)).collect();
            self.window = Some(Window { left: ahead, rows, places });
        }
        let Some(window) = &mut self.window else { return Ok(Vec::new()) };
        window.left -= now;
        let mut found = Rows::with_facets(window.rows.facets.clone());
        for place in wanted.iter().filter_map(|(_, id)| window.places.get(id)) {
            found.extend_from(&window.rows, *place..place + 1);
        }
        Ok(vec![found])
    }
}

/// A stream of the rows of merged ids in several copies of one ledger, each under the id of its person.
pub(crate) struct Moved {
    finders: Vec<Finder>,
    moves: Moves,
    batch: usize,
}

impl Moved {
    /// The rows that belong to persons within `hashes`; `None` if no id that matters was merged since the copies were made.
    pub(super) fn new(copies: &[CopyReader], people: &People, hashes: &RangeInclusive<u64>) -> Option<Self> {
        let behind = copies.iter().filter(|copy| copy.folded() < people.last());
        let finders: Vec<Finder> =
            behind.map(|copy| Finder { copy: copy.clone(), cost: 0, window: None }).collect();
        if finders.is_empty() {
            return None;
        }
        let folded = copies.iter().map(CopyReader::folded).min().unwrap_or(0);
        let moves = people.moves(folded, hashes);
        (moves.whole_persons(1) > 0).then_some(Self { finders, moves, batch: FIRST_BATCH })
    }

    /// The next batch; `None` at the end. Its last person stands in it even without rows, so that a merge may go on up to
    /// that person before the next batch is looked up.
    pub(super) async fn next_batch(&mut self) -> Result<Option<Batch>, StoreError> {
        let now = self.moves.whole_persons(self.batch);
        let people = self.moves.people();
        let Some(last) = now.checked_sub(1).map(|last| self.moves.left()[last]) else { return Ok(None) };
        let (hash, id) = (last.to_hash, people.person_of(&last));
        let found = self.finders.iter_mut().map(|finder| finder.find(&self.moves, now));
        let found: Vec<Rows> = try_join_all(found).await?.concat();
        let found: Vec<Rows> = found.iter().map(|rows| people.renamed(rows, &ALL)).collect();
        let mut rows = Rows::gather(&found, ALL);
        if rows.iter().last().is_none_or(|user| user.id != id) {
            rows.push(hash, id, &[]);
        }
        self.moves.pass(now);
        self.batch = (2 * self.batch).min(MAX_BATCH);
        Ok(Some(Batch::Rows(rows)))
    }
}

/// The rows that a copy has under the ids of all moves after its own, under these ids.
pub(super) async fn moved_rows(copy: &CopyReader, people: &People) -> Result<Rows, StoreError> {
    if copy.folded() >= people.last() {
        return Ok(Rows::default());
    }
    let moves = people.moves(copy.folded(), &ALL);
    let mut finder = Finder { copy: copy.clone(), cost: 0, window: None };
    Ok(Rows::gather(&finder.find(&moves, moves.left().len()).await?, ALL))
}
