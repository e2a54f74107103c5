//! Tallies and digests tell any two sets of rows apart, and nothing else.

use crate::support::{Model, UserModel, cases, facet, merged, rows_of, rows_over, sort_by_hash, users};
use proptest::{prelude::*, sample::Index};
use rekindle_domain::{
    facet::{Channel, Facet, Kind},
    rows::Rows,
    tally::{Digest, Tallier, Tally},
    time::Time,
};
use std::collections::{BTreeMap, BTreeSet};
use twox_hash::XxHash3_128;

fn tally(rows: &Rows) -> Tally {
    let mut tallier = Tallier::default();
    tallier.use_facets(&rows.facets);
    rows.iter().for_each(|u| tallier.add(&u));
    tallier.tally()
}

fn tally_of(users: &Model) -> Tally {
    tally(&rows_of(users))
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn tallies_count_what_is_there(users in users(30)) {
        let t = tally_of(&users);
        prop_assert_eq!(t.users, users.len() as u64);
        prop_assert_eq!(t.rows, users.iter().map(|(_, f)| f.len() as u64).sum::<u64>());
        prop_assert_eq!(t.last_at, users.iter().flat_map(|(_, f)| f.values()).map(|(_, last)| Time(*last)).max());
        let mut by_kind: BTreeMap<String, u64> = BTreeMap::new();
        for (_, facets) in &users {
            let name = |f: &Facet| match f.kind {
                Kind::Clicked if f.machine => "machine_clicked",
                kind => kind.as_str(),
            };
            for name in facets.keys().map(name).collect::<BTreeSet<_>>() {
                *by_kind.entry(name.to_owned()).or_default() += 1;
            }
        }
        prop_assert_eq!(t.by_kind, by_kind);
    }

    /// The digest, computed as its documentation says.
    #[test]
    fn l4_the_digest_is_the_sum_of_the_hashes_of_rows(users in users(10)) {
        let mut sum = 0u128;
        for (id, facets) in &users {
            for (facet, (first, last)) in facets {
                let mut row = (id.len() as u16).to_le_bytes().to_vec();
                row.extend_from_slice(id);
                facet.encode(&mut row);
                row.extend_from_slice(&first.to_le_bytes());
                row.extend_from_slice(&last.to_le_bytes());
                sum = sum.wrapping_add(XxHash3_128::oneshot(&row));
            }
        }
        prop_assert_eq!(tally_of(&users).digest, Digest(sum));
    }

    /// Neither the order of users, nor the dictionary, nor the batches they come in show in a tally.
    #[test]
    fn l4_tallies_do_not_depend_on_order_or_dictionary(
        mut users in users(30),
        unused in prop::collection::vec(facet(), 0..3),
        cut in any::<Index>(),
    ) {
        let expected = tally_of(&users);
        sort_by_hash(&mut users);
        let mut facets = unused;
        facets.extend(rows_of(&users).facets.into_iter().rev());
        let known: Vec<Facet> = facets.iter().rev().cloned().collect();
        facets = known.iter().enumerate().filter(|(i, f)| !known[..*i].contains(f)).map(|(_, f)| f.clone()).collect();
        facets.reverse();
        prop_assert_eq!(&tally(&rows_over(facets, &users)), &expected);
        // One tallier fed two batches with dictionaries that have nothing to do with each other.
        let (a, b) = users.split_at(cut.index(users.len() + 1));
        let mut tallier = Tallier::default();
        for part in [a, b] {
            let rows = rows_of(&part.to_vec());
            tallier.use_facets(&rows.facets);
            rows.iter().for_each(|u| tallier.add(&u));
        }
        prop_assert_eq!(&tallier.tally(), &expected);
    }

    #[test]
    fn l4_tallies_of_different_users_add_up(users in users(30), cut in any::<Index>()) {
        let (a, b) = users.split_at(cut.index(users.len() + 1));
        let (a, b) = (tally_of(&a.to_vec()), tally_of(&b.to_vec()));
        let whole = tally_of(&users);
        prop_assert_eq!(&Tally::sum([&a, &b]), &whole);
        prop_assert_eq!(&Tally::sum([&b, &Tally::default(), &a]), &whole);
        prop_assert!(whole.same_rows(&Tally::sum([&b, &a])));
    }

    /// A row left out, put in, doubled, or changed in any field.
    #[test]
    fn l4_any_change_of_rows_shows(users in users(12), at in any::<Index>(), row in any::<Index>(), how in 0u8..8) {
        let before = tally_of(&users);
        let mut after = users.clone();
        let at = at.index(users.len());
        let (id, facets) = &mut after[at];
        let (facet, times) = facets.iter().nth(row.index(facets.len())).map(|(f, t)| (f.clone(), *t)).unwrap();
        match how {
            0 => drop(facets.remove(&facet)),
            1 => facets.entry(facet).and_modify(|t| t.0 = t.0.wrapping_sub(1)).or_default().0 += 0,
            2 => facets.entry(facet).and_modify(|t| t.1 = t.1.wrapping_add(1)).or_default().0 += 0,
            3 => id[0] ^= 1,
            4 => id.push(b'0'),
            5 => drop(id.remove(0)),
            6 => {
                facets.remove(&facet);
                facets.insert(Facet { conversion: facet.conversion ^ 1, ..facet }, times);
            }
            _ => {
                facets.remove(&facet);
                facets.insert(Facet { machine: !facet.machine, ..facet }, times);
            }
        }
        after.retain(|(id, facets)| !facets.is_empty() && !id.is_empty());
        prop_assume!(merged([after.clone()]) != merged([users.clone()]));
        prop_assert!(tally_of(&after).digest != before.digest);
        prop_assert!(!tally_of(&after).same_rows(&before));
    }

    #[test]
    fn digests_are_written_and_read_back(bits in any::<u128>()) {
        let digest = Digest(bits);
        prop_assert_eq!(digest.to_string().parse::<Digest>(), Ok(digest));
        prop_assert_eq!(serde_json::from_value::<Digest>(serde_json::to_value(digest).unwrap()).unwrap(), digest);
    }
}

fn digest(id: &str, facet: Facet, first: i64, last: i64) -> Digest {
    tally_of(&vec![(id.as_bytes().to_vec(), UserModel::from([(facet, (first, last))]))]).digest
}

/// Rows that differ in one thing only, and rows whose fields only read alike when put one after the other.
#[test]
fn l4_every_field_counts_and_absent_is_not_empty() {
    let plain = Facet::of(Kind::Clicked);
    let text = |s: &str| Some(s.into());
    let mut all = vec![
        digest("u", plain.clone(), 1, 2),
        digest("v", plain.clone(), 1, 2),
        digest("u", plain.clone(), 1, 3),
        digest("u", plain.clone(), 0, 2),
        digest("u", plain.clone(), 2, 2),
        digest("uu", plain.clone(), 1, 2),
        digest("u\u{3}", plain.clone(), 1, 2),
    ];
    let mut facets: Vec<Facet> =
        Kind::ALL.into_iter().filter(|k| *k != Kind::Clicked).map(Facet::of).collect();
    facets.extend(Channel::ALL.map(|c| Facet { channel: Some(c), ..plain.clone() }));
    facets.push(Facet { machine: true, ..plain.clone() });
    facets.extend([1, 2, 255].map(|conversion| Facet { conversion, ..plain.clone() }));
    for s in ["", "A", "\0", "AA", "\u{1}A"] {
        facets.push(Facet { variant: text(s), ..plain.clone() });
        facets.push(Facet { step: text(s), ..plain.clone() });
        facets.push(Facet { alias: text(s), ..plain.clone() });
    }
    let three = |a, b, c| Facet { variant: text(a), step: text(b), alias: text(c), ..plain.clone() };
    facets.extend([
        three("ab", "c", "d"),
        three("a", "bc", "d"),
        three("a", "b", "cd"),
        three("", "abc", "d"),
    ]);
    all.extend(facets.into_iter().map(|f| digest("u", f, 1, 2)));
    let distinct: BTreeSet<u128> = all.iter().map(|d| d.0).collect();
    assert_eq!(distinct.len(), all.len());
    assert!(!distinct.contains(&0));
}

#[test]
fn nothing_adds_up_to_nothing() {
    assert_eq!(tally_of(&vec![]), Tally::default());
    assert_eq!(Tally::default().digest.to_string(), "0".repeat(32));
    assert_eq!(
        serde_json::from_str::<Tally>(&serde_json::to_string(&Tally::default()).unwrap()).unwrap(),
        Tally::default()
    );
}
