//! Rows of people who have several ids: read under the ids of the persons, and folded so by rewrites.

use super::{Pair, Replay, hash, hashes, ids, pairs, people_of};
use crate::support::{Model, UserModel, assert_well_formed, cases, merged, model, rows_of, sort_by_hash};
use proptest::{
    collection::{btree_map, vec},
    prelude::*,
    sample::{Index, select},
};
use rekindle_domain::{
    facet::{Facet, Kind},
    people::People,
    rows::{Rows, UserRows, user_hash},
    slot::SlotBits,
    tally::{Tallier, Tally},
};
use std::ops::RangeInclusive;

const ALL: RangeInclusive<u64> = 0..=u64::MAX;

fn user_rows() -> impl Strategy<Value = UserModel> {
    let facets = [Kind::Received, Kind::Opened, Kind::Clicked].map(Facet::of).to_vec();
    btree_map(select(facets), (0i64..50, 0i64..50).prop_map(|(at, more)| (at, at + more)), 1..4)
}

/// Rows under ids of which some are merged.
fn users() -> impl Strategy<Value = Model> {
    btree_map(select(ids()), user_rows(), 0..8)
        .prop_map(|users| users.into_iter().map(|(id, rows)| (id.as_bytes().to_vec(), rows)).collect())
}

/// The rows under the ids of their persons, by hand; a person may stand there several times.
fn renamed(users: &Model, pairs: &[Pair]) -> Model {
    let replay = Replay::of(pairs);
    let person = |id: &[u8]| replay.person(std::str::from_utf8(id).unwrap()).as_bytes().to_vec();
    users.iter().map(|(id, rows)| (person(id), rows.clone())).collect()
}

fn within(users: Model, hashes: &RangeInclusive<u64>) -> Model {
    users.into_iter().filter(|(id, _)| hashes.contains(&user_hash(id))).collect()
}

/// A run: its rows, and up to which merge they lie under the ids of their persons.
#[derive(Clone, Debug)]
struct Run {
    rows: Rows,
    folded: u64,
}

impl Run {
    fn of(mut users: Model) -> Self {
        sort_by_hash(&mut users);
        Self { rows: rows_of(&users), folded: 0 }
    }

    /// The rows that arrive within some hashes, under the ids where they lie: those of users who stand for themselves, and those
    /// that merges brought there.
    fn arriving(&self, people: &People, hashes: &RangeInclusive<u64>) -> [Rows; 2] {
        let mut stay = self.rows.clone();
        stay.restrict(hashes);
        stay.retain(|user| !people.is_moved(self.folded, user.hash, user.id));
        let mut moved = Rows::with_facets(self.rows.facets.clone());
        for m in people.moves(0, hashes).left().iter().filter(|m| m.number > self.folded) {
            let is_of_it = |u: &UserRows<'_>| (u.hash, u.id) == (m.hash, people.id_of(m));
            for user in self.rows.iter().filter(is_of_it) {
                moved.push(user.hash, user.id, user.rows);
            }
        }
        [stay, moved]
    }

    /// The rows that a reader finds, each person once.
    fn read(&self, people: &People, hashes: &RangeInclusive<u64>) -> Rows {
        let [stay, moved] = self.arriving(people, hashes);
        Rows::gather(&[stay, people.renamed(&moved, hashes)], hashes.clone())
    }

    fn folded(&self, people: &People) -> Self {
        Self { rows: self.read(people, &ALL), folded: people.last() }
    }
}

fn tally(rows: &Rows) -> Tally {
    let mut tallier = Tallier::default();
    tallier.use_facets(&rows.facets);
    rows.iter().for_each(|user| tallier.add(&user));
    tallier.tally()
}

proptest! {
    #![proptest_config(cases(400))]

    /// Each user stands under its person's id, in ledger order, and no row is merged with another yet.
    #[test]
    fn l11_rows_under_persons_are_all_rows(users in users(), pairs in pairs(), hashes in hashes()) {
        let (rows, people) = (rows_of(&users), people_of(&pairs));
        prop_assert_eq!(people.renamed(&rows, &ALL).row_count(), rows.row_count());
        let under = people.renamed(&rows, &hashes);
        assert_well_formed(&under);
        prop_assert!(under.iter().is_sorted_by(|a, b| (a.hash, a.id) <= (b.hash, b.id)));
        let (mut found, mut expected) = (model(&under), within(renamed(&users, &pairs), &hashes));
        found.sort();
        expected.sort();
        prop_assert_eq!(found, expected);
        prop_assert_eq!(under.facets, rows.facets);
    }

    /// However rows are cut into batches, a person has the rows of all its ids.
    #[test]
    fn l11_persons_gather_the_rows_of_their_ids(batches in vec(users(), 1..5), pairs in pairs(), hashes in hashes()) {
        let people = people_of(&pairs);
        let expected = within(merged(batches.iter().map(|users| renamed(users, &pairs))), &hashes);
        let under: Vec<Rows> = batches.iter().map(|users| people.renamed(&rows_of(users), &hashes)).collect();
        let gathered = Rows::gather(&under, hashes.clone());
        assert_well_formed(&gathered);
        prop_assert_eq!(&model(&gathered), &expected);
        // In one batch, or gathered before under the ids of earlier days.
        let one = Rows::gather(&batches.iter().map(rows_of).collect::<Vec<_>>(), ALL);
        prop_assert_eq!(&model(&Rows::gather(&[people.renamed(&one, &hashes)], ALL)), &expected);
        let before = people.until(people.last() / 2);
        prop_assert_eq!(&model(&Rows::gather(&[people.renamed(&before.renamed(&one, &ALL), &hashes)], ALL)), &expected);
    }

    /// Folded as of any merges, one after the other: a reader as of a later merge finds what it would have found before.
    #[test]
    fn l11_folding_changes_no_answer(
        users in users(),
        pairs in pairs(),
        as_of in vec(any::<Index>(), 0..4),
        now in any::<Index>(),
        hashes in hashes(),
    ) {
        let people = people_of(&pairs);
        let number = |index: &Index| index.index(pairs.len() + 1);
        let mut folds: Vec<usize> = as_of.iter().map(number).collect();
        folds.sort_unstable();
        let now = number(&now).max(folds.last().copied().unwrap_or_default());
        let before = Run::of(users.clone());
        let run = folds.iter().fold(before, |run, n| run.folded(&people.until(*n as u64)));
        for (id, rows) in model(&run.rows) {
            let first = Replay::of(&pairs[..run.folded as usize]);
            let id = String::from_utf8(id).unwrap();
            prop_assert_eq!(first.person(&id), &id, "{:?} lie under an id that was merged", rows);
        }
        let people = people.until(now as u64);
        let expected = within(merged([renamed(&users, &pairs[..now])]), &hashes);
        prop_assert_eq!(&model(&run.read(&people, &hashes)), &expected);
        // A run may claim less than is true.
        let modest = Run { folded: run.folded / 2, ..run };
        prop_assert_eq!(&model(&modest.read(&people, &hashes)), &expected);
    }

    /// Every row of a run arrives in one slot, that of its person, and the slots together have what the run has.
    #[test]
    fn l11_every_row_arrives_in_one_slot(
        users in users(),
        pairs in pairs(),
        as_of in any::<(Index, Index)>(),
        bits in 0u8..=8,
    ) {
        let people = people_of(&pairs);
        let number = |index: Index| index.index(pairs.len() + 1) as u64;
        let (a, b) = (number(as_of.0), number(as_of.1));
        let run = Run::of(users).folded(&people.until(a.min(b)));
        let people = people.until(a.max(b));
        let slots = SlotBits::try_from(bits).unwrap();
        let (mut arrived, mut written) = (Vec::new(), Vec::new());
        for slot in 0..slots.count() {
            for rows in run.arriving(&people, &slots.hashes(slot)) {
                for user in rows.iter() {
                    prop_assert_eq!(slots.slot_of(people.place(user.hash, user.id).0), slot);
                }
                arrived.push(tally(&rows));
            }
            written.extend(model(&run.read(&people, &slots.hashes(slot))));
        }
        prop_assert_eq!(Tally::sum(&arrived), tally(&run.rows));
        prop_assert_eq!(written, model(&run.read(&people, &ALL)));
    }
}

/// Two ids of one hash: one is merged into the other, or each into a person of its own.
#[test]
fn l11_twins_are_merged_each_for_itself() {
    let [twin, other] = [ids()[6], ids()[7]];
    assert_eq!(hash(twin), hash(other));
    let row = |at: i64| UserModel::from([(Facet::of(Kind::Received), (at, at))]);
    let run = Run::of(vec![(twin.into(), row(1)), (other.into(), row(2)), ("a".into(), row(3))]);
    let read = |pairs: &[Pair]| {
        let mut found = model(&run.read(&people_of(pairs), &ALL));
        found.sort();
        found
    };
    let both = UserModel::from([(Facet::of(Kind::Received), (1, 2))]);
    assert_eq!(read(&[(twin, other)]), [("a".into(), row(3)), (other.into(), both.clone())]);
    assert_eq!(read(&[(other, twin)]), [("a".into(), row(3)), (twin.into(), both)]);
    let found = read(&[(twin, "b"), (other, "c")]);
    assert_eq!(found, [("a".into(), row(3)), ("b".into(), row(1)), ("c".into(), row(2))]);
    let found = read(&[(twin, "b")]);
    assert_eq!(found, [("a".into(), row(3)), ("b".into(), row(1)), (other.into(), row(2))]);
}
