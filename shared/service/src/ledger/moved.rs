//! The rows of merged user ids, under the id of their person. A copy keeps them where the old id stands; a reader leaves
//! them out there and finds them here, in the order of the persons.

use super::copy::{Batch, CopyReader};
use rekindle_domain::{
    people::{Move, People},
    rows::Rows,
};
use rekindle_store::StoreError;
use std::{collections::HashMap, ops::RangeInclusive};

const ALL: RangeInclusive<u64> = 0..=u64::MAX;

/// How many ids are looked up at first, so that a short page looks up few. Each further batch takes twice as many.
const FIRST_BATCH: usize = 4;
/// The most ids that are looked up for one batch.
const MAX_BATCH: usize = 256;

/// Finds the rows of merged ids in one copy. It looks ids up until that has cost as much as reading the copy would; then it
/// reads the copy once. So it costs at most twice as much as the cheaper way.
pub(super) struct Finder {
    copy: CopyReader,
    cost: u64,
    whole: Option<(Rows, HashMap<Vec<u8>, usize>)>,
}

impl Finder {
    pub fn new(copy: CopyReader) -> Self {
        Self { copy, cost: 0, whole: None }
    }

    /// The rows of the first `now` of these moves, under the ids by which the copy has them. The others may be asked for
    /// later.
    pub async fn find(
        &mut self,
        people: &People,
        moves: &[Move],
        now: usize,
    ) -> Result<Vec<Rows>, StoreError> {
        let ids = |moves: &[Move]| -> Vec<(u64, Vec<u8>)> {
            let wanted = moves.iter().filter(|m| m.number > self.copy.folded());
            wanted.map(|m| (m.hash, people.from(m).to_vec())).collect()
        };
        let wanted = ids(&moves[..now]);
        if self.whole.is_none() {
            self.cost += self.copy.cost_of(&wanted);
            if self.cost <= self.copy.cost() {
                return self.copy.look_up(&wanted).await;
            }
            let all = self.copy.read_only(&ids(moves)).await?;
            let places = all.iter().zip(0..).map(|(user, place)| (user.id.to_vec(), place)).collect();
            self.whole = Some((all, places));
        }
        let Some((all, places)) = &self.whole else { return Ok(Vec::new()) };
        let mut found = Rows::with_facets(all.facets.clone());
        for place in wanted.iter().filter_map(|(_, id)| places.get(id)) {
            found.extend_from(all, *place..place + 1);
        }
        Ok(vec![found])
    }
}

/// A stream of the rows of merged ids in several copies of one ledger, each under the id of its person.
pub(crate) struct Moved {
    finders: Vec<Finder>,
    people: People,
    moves: Vec<Move>,
    done: usize,
    batch: usize,
}

impl Moved {
    /// The rows that belong to persons within `hashes`; `None` if no id that matters was merged since the copies were made.
    pub(super) fn new(copies: &[CopyReader], people: &People, hashes: &RangeInclusive<u64>) -> Option<Self> {
        let folded = copies.iter().map(CopyReader::folded).min()?;
        let moves: Vec<Move> = people.moves(folded, hashes).copied().collect();
        let behind = copies.iter().filter(|copy| copy.folded() < people.last());
        let finders = behind.cloned().map(Finder::new).collect();
        (!moves.is_empty()).then(|| Self {
            finders,
            people: people.clone(),
            moves,
            done: 0,
            batch: FIRST_BATCH,
        })
    }

    /// The next batch; `None` at the end. Its last person stands in it even without rows, so that a merge may go on up to
    /// that person before the next batch is looked up.
    pub(super) async fn next_batch(&mut self) -> Result<Option<Batch>, StoreError> {
        let left = &self.moves[self.done..];
        let Some(last) = left.get(..self.batch.min(left.len())).and_then(<[Move]>::last) else {
            return Ok(None);
        };
        let (hash, id) = (last.to_hash, self.people.to(last));
        // All moves to one person stand in one batch.
        let now = left.partition_point(|m| (m.to_hash, self.people.to(m)) <= (hash, id));
        let mut found = Vec::new();
        for finder in &mut self.finders {
            found.extend(finder.find(&self.people, left, now).await?);
        }
        let found: Vec<Rows> = found.iter().map(|rows| self.people.renamed(rows, &ALL)).collect();
        let mut rows = Rows::gather(&found, ALL);
        if rows.iter().last().is_none_or(|user| user.id != id) {
            rows.push(hash, id, &[]);
        }
        self.done += now;
        self.batch = (2 * self.batch).min(MAX_BATCH);
        Ok(Some(Batch::Rows(rows)))
    }
}
