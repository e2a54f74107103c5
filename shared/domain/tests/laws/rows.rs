//! Rows merge the same in whatever order they come, however often.

use crate::support::{
    Model, TWINS, assert_well_formed, cases, facet, merged, model, rows_of, rows_over, sort_by_hash, users,
};
use proptest::{collection::vec, prelude::*, sample::Index};
use rekindle_domain::{
    facet::{Facet, Kind},
    merge::Merge,
    rows::{Row, Rows, normalize, user_hash},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
};

const ALL: RangeInclusive<u64> = 0..=u64::MAX;

fn row() -> impl Strategy<Value = Row> {
    (any::<i64>(), any::<i64>()).prop_map(|(a, b)| Row { facet: 0, first_at: a.min(b), last_at: a.max(b) })
}

fn with(mut a: Row, b: Row) -> Row {
    a.merge(b);
    a
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn l1_merging_is_commutative_associative_and_idempotent(a in row(), b in row(), c in row()) {
        prop_assert_eq!(with(a, b), with(b, a));
        prop_assert_eq!(with(with(a, b), c), with(a, with(b, c)));
        prop_assert_eq!(with(a, a), a);
        prop_assert_eq!(with(with(a, b), b), with(a, b));
        let both = with(a, b);
        prop_assert!(both.first_at <= a.first_at && both.last_at >= b.last_at && both.facet == a.facet);
    }

    #[test]
    fn normalized_rows_are_a_map_by_facet(rows in vec((0u32..6, -50i64..50, 0i64..50), 0..40)) {
        let mut rows: Vec<Row> = rows.into_iter().map(|(facet, at, more)| Row { facet, first_at: at, last_at: at + more }).collect();
        let mut expected: BTreeMap<u32, Row> = BTreeMap::new();
        for row in &rows {
            let kept = expected.entry(row.facet).or_insert(*row);
            *kept = Row { facet: row.facet, first_at: kept.first_at.min(row.first_at), last_at: kept.last_at.max(row.last_at) };
        }
        normalize(&mut rows);
        prop_assert_eq!(rows, expected.into_values().collect::<Vec<_>>());
    }
}

/// Batches that overlap: each takes some of the users, and some of their rows, at times of its own.
fn batches() -> impl Strategy<Value = Vec<Model>> {
    (users(25), vec(vec((any::<Index>(), any::<u8>(), -1_000i64..1_000), 0..30), 1..6)).prop_map(
        |(users, picks)| {
            let batch = |picks: Vec<(Index, u8, i64)>| -> Model {
                let mut batch: BTreeMap<Vec<u8>, BTreeMap<Facet, (i64, i64)>> = BTreeMap::new();
                for (index, mask, shift) in picks {
                    let (id, facets) = &users[index.index(users.len())];
                    let kept = facets.iter().enumerate().filter(|(i, _)| *i == 0 || mask >> i & 1 == 1);
                    let at = |(first, last): &(i64, i64)| {
                        (first.saturating_add(shift), last.saturating_add(shift))
                    };
                    batch.insert(id.clone(), kept.map(|(_, (f, times))| (f.clone(), at(times))).collect());
                }
                batch.into_iter().collect()
            };
            picks.into_iter().map(batch).collect()
        },
    )
}

/// The rows of batches, with dictionaries that differ from batch to batch.
fn as_rows(batches: &[Model], unused: &[Facet]) -> Vec<Rows> {
    let reversed = |batch: &Model| {
        let mut facets = rows_of(batch).facets;
        facets.reverse();
        facets.extend(unused.iter().filter(|f| !batch.iter().any(|(_, of)| of.contains_key(f))).cloned());
        facets.dedup();
        rows_over(facets, batch)
    };
    batches.iter().enumerate().map(|(i, b)| if i % 2 == 0 { rows_of(b) } else { reversed(b) }).collect()
}

/// Runs a merge over streams in ledger order, fed `cut` users at a time, and gathers what it says of each user.
fn stream(streams: &[Rows], cut: usize) -> Model {
    let mut merge = Merge::new(streams.len());
    let mut fed = vec![0; streams.len()];
    let mut out = Model::new();
    loop {
        while let Some(s) = merge.needs() {
            let to = (fed[s] + cut).min(streams[s].len());
            if fed[s] == to {
                merge.finish(s);
                continue;
            }
            let mut batch = Rows::with_facets(streams[s].facets.clone());
            batch.extend_from(&streams[s], fed[s]..to);
            fed[s] = to;
            merge.feed(s, batch);
        }
        if let Some(group) = merge.next_group() {
            let parts = group.parts().map(|(stream, rows, user)| {
                assert!(
                    stream < streams.len() && (user.hash, user.id) == (group.user().hash, group.user().id)
                );
                let mut one = Rows::with_facets(rows.facets.clone());
                one.push(user.hash, user.id, user.rows);
                model(&one)
            });
            let of_group = merged(parts.collect::<Vec<_>>());
            let has_rows = of_group.iter().any(|(_, rows)| !rows.is_empty());
            assert_eq!(group.has_rows(), has_rows);
            out.extend(of_group);
        } else if merge.needs().is_none() {
            return out;
        }
    }
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn gathering_is_merging_by_user_in_ledger_order(
        batches in batches(),
        unused in vec(facet(), 0..3),
        bounds in any::<(u64, u64)>(),
    ) {
        let rows = as_rows(&batches, &unused);
        let expected = merged(batches.clone());
        let all = Rows::gather(&rows, ALL);
        assert_well_formed(&all);
        prop_assert_eq!(model(&all), expected.clone());
        // Restricted by hash, to any range and to nothing.
        let range = bounds.0.min(bounds.1)..=bounds.0.max(bounds.1);
        let within: Model = expected.iter().filter(|(id, _)| range.contains(&user_hash(id))).cloned().collect();
        prop_assert_eq!(model(&Rows::gather(&rows, range.clone())), within.clone());
        let mut restricted = all.clone();
        restricted.restrict(&range);
        assert_well_formed(&restricted);
        prop_assert_eq!(model(&restricted), within);
        for (id, _) in expected.iter().take(3) {
            let one = user_hash(id)..=user_hash(id);
            let only: Model = expected.iter().filter(|(i, _)| user_hash(i) == *one.start()).cloned().collect();
            prop_assert_eq!(model(&Rows::gather(&rows, one.clone())), only.clone());
            let mut restricted = all.clone();
            restricted.restrict(&one);
            prop_assert_eq!(model(&restricted), only);
        }
    }

    /// Commutative, associative, idempotent: for whole batches as for rows.
    #[test]
    fn l1_gathering_ignores_order_grouping_and_repetition(batches in batches(), cut in any::<Index>()) {
        let rows = as_rows(&batches, &[]);
        let expected = model(&Rows::gather(&rows, ALL));
        let reversed: Vec<Rows> = rows.iter().rev().cloned().collect();
        prop_assert_eq!(&model(&Rows::gather(&reversed, ALL)), &expected);
        let (a, b) = rows.split_at(cut.index(rows.len() + 1));
        let grouped = [Rows::gather(a, ALL), Rows::gather(b, ALL)];
        prop_assert_eq!(&model(&Rows::gather(&grouped, ALL)), &expected);
        let repeated: Vec<Rows> = rows.iter().chain(&rows).chain(&grouped).cloned().collect();
        prop_assert_eq!(&model(&Rows::gather(&repeated, ALL)), &expected);
    }

    #[test]
    fn streams_merge_as_batches_gather(mut batches in batches(), cut in 1usize..12) {
        batches.iter_mut().for_each(sort_by_hash);
        prop_assert_eq!(stream(&as_rows(&batches, &[]), cut), merged(batches));
    }

    /// Streams may name users without rows: each place comes once all the same, in order, and the group says whether the user
    /// has rows.
    #[test]
    fn l11_users_without_rows_have_their_place(
        mut batches in batches(),
        are_bare in vec(vec(any::<bool>(), 30), 6),
        cut in 1usize..6,
    ) {
        for (batch, are_bare) in batches.iter_mut().zip(are_bare) {
            sort_by_hash(batch);
            batch.iter_mut().zip(are_bare).filter(|(_, is_bare)| *is_bare).for_each(|((_, rows), _)| rows.clear());
        }
        let found = stream(&as_rows(&batches, &[]), cut);
        let places: Vec<(u64, &[u8])> = found.iter().map(|(id, _)| (user_hash(id), &id[..])).collect();
        prop_assert!(places.is_sorted_by(|a, b| a < b));
        prop_assert_eq!(&found, &merged(batches));
    }

    #[test]
    fn retained_users_are_those_that_were_to_be_kept(users in users(30), are_kept in vec(any::<bool>(), 30)) {
        let kept: Model = users.iter().cloned().zip(are_kept).filter(|(_, kept)| *kept).map(|(user, _)| user).collect();
        let rows = rows_of(&users);
        for (kept, keeps_all) in [(&kept, false), (&users, true)] {
            let mut retained = rows.clone();
            retained.retain(|user| {
                let of_user = user.rows.iter().map(|r| (rows.facets[r.facet as usize].clone(), (r.first_at, r.last_at)));
                let user = (user.id.to_vec(), of_user.collect());
                keeps_all || kept.contains(&user)
            });
            assert_well_formed(&retained);
            prop_assert_eq!(&model(&retained), kept);
            let used: BTreeSet<&Facet> = kept.iter().flat_map(|(_, facets)| facets.keys()).collect();
            if kept.len() < users.len() {
                prop_assert_eq!(retained.facets.iter().collect::<BTreeSet<_>>(), used, "no facet without rows is left");
            } else {
                prop_assert_eq!(&retained, &rows);
            }
        }
    }

    #[test]
    fn parts_of_rows_are_rows(mut users in users(30), cut in any::<Index>()) {
        sort_by_hash(&mut users);
        let rows = rows_of(&users);
        let cut = cut.index(users.len() + 1);
        let mut back = rows.clone();
        back.drop_front(cut);
        assert_well_formed(&back);
        prop_assert_eq!(model(&back), &users[cut..]);
        let mut front = Rows::with_facets(rows.facets.clone());
        front.extend_from(&rows, 0..cut);
        prop_assert_eq!(model(&front), &users[..cut]);
        front.extend_from(&back, 0..back.len());
        prop_assert_eq!(&front, &rows);
        prop_assert_eq!(rows.row_count(), users.iter().map(|(_, f)| f.len()).sum::<usize>());
        prop_assert_eq!(rows.id_bytes(), users.iter().map(|(id, _)| id.len()).sum::<usize>());
        for at in 0..rows.len() {
            prop_assert_eq!(&rows.all_rows()[rows.row_start(at)..rows.row_start(at + 1)], rows.user(at).rows);
            prop_assert_eq!(rows.hash(at), rows.user(at).hash);
        }
    }
}

/// Users of one hash are told apart by their ids, and stand in their order.
#[test]
fn users_of_one_hash_stay_apart() {
    assert_eq!(user_hash(TWINS[0]), user_hash(TWINS[1]));
    let row = |at: i64| BTreeMap::from([(Facet::of(Kind::Received), (at, at))]);
    let twin = |i: usize, at: i64| (TWINS[i].to_vec(), row(at));
    let batches = [vec![twin(1, 5)], vec![twin(0, 7), twin(1, 8)], vec![twin(0, 9)], vec![twin(1, 2)]];
    let rows = as_rows(&batches, &[]);
    let expected: Model = vec![
        (TWINS[0].to_vec(), BTreeMap::from([(Facet::of(Kind::Received), (7, 9))])),
        (TWINS[1].to_vec(), BTreeMap::from([(Facet::of(Kind::Received), (2, 8))])),
    ];
    let gathered = Rows::gather(&rows, ALL);
    assert_eq!(model(&gathered), expected);
    assert_eq!(stream(&rows, 1), expected);
    assert_eq!(stream(&rows, 2), expected);
    let hash = user_hash(TWINS[0]);
    for (range, n) in [(hash..=hash, 2), (0..=hash - 1, 0), (hash + 1..=u64::MAX, 0)] {
        assert_eq!(Rows::gather(&rows, range.clone()).len(), n);
        let mut restricted = gathered.clone();
        restricted.restrict(&range);
        assert_eq!(restricted.len(), n);
    }
}
