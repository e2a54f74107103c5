//! People who have several user ids: the log of merges against a map that is replayed plainly.

mod folding;

use crate::support::{TWINS, cases};
use proptest::{
    collection::vec,
    prelude::*,
    sample::{Index, select},
};
use rekindle_domain::{
    people::{Gap, MAX_IDS, MAX_MERGES, MergedUser, Move, People, Refused, Verdict},
    rows::user_hash,
    time::Time,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
};

type Pair = (&'static str, &'static str);

/// So few ids that chains, circles and repetitions are frequent. Two of them have one hash.
fn ids() -> Vec<&'static str> {
    let twins = TWINS.map(|id| std::str::from_utf8(id).unwrap());
    ["a", "b", "c", "d", "e", "f"].into_iter().chain(twins).collect()
}

fn hash(id: &str) -> u64 {
    user_hash(id.as_bytes())
}

/// Where the rows of an id stand.
fn place(id: &str) -> (u64, &[u8]) {
    (hash(id), id.as_bytes())
}

/// The merged ids, and the person of each: every merge gives all ids of one person to another.
#[derive(Clone, Default)]
struct Replay {
    pairs: Vec<Pair>,
    persons: BTreeMap<&'static str, &'static str>,
}

impl Replay {
    fn of(pairs: &[Pair]) -> Self {
        let mut replay = Self::default();
        pairs.iter().for_each(|pair| replay.merge(*pair));
        replay
    }

    fn merge(&mut self, (from, into): Pair) {
        let person = self.person(into);
        self.persons.values_mut().filter(|p| **p == from).for_each(|p| *p = person);
        self.persons.insert(from, person);
        self.pairs.push((from, into));
    }

    fn person<'a>(&self, id: &'a str) -> &'a str
    where
        'static: 'a,
    {
        self.persons.get(id).copied().unwrap_or(id)
    }

    /// How many ids a person has, its own included.
    fn ids_of(&self, person: &str) -> usize {
        1 + self.persons.values().filter(|p| **p == person).count()
    }

    /// The number of the merge of an id.
    fn number(&self, id: &str) -> Option<u64> {
        (1..).zip(&self.pairs).find(|(_, (from, _))| *from == id).map(|(number, _)| number)
    }

    fn verdict(&self, (from, into): Pair) -> Result<Verdict, Refused> {
        let (of_from, of_into) = (self.person(from), self.person(into));
        match self.number(from) {
            _ if from == into => Err(Refused::SameUser),
            Some(number) if of_from == of_into => Ok(Verdict::Known(number)),
            Some(_) => Err(Refused::AlreadyMerged(of_from.to_owned())),
            None if of_into == from => Err(Refused::Cycle),
            None if self.ids_of(from) + self.ids_of(of_into) > MAX_IDS => Err(Refused::TooManyIds),
            None => Ok(Verdict::New),
        }
    }

    /// The merges of ids that were taken away after the one of that number: their numbers and ids.
    fn later(&self, after: u64) -> impl Iterator<Item = (u64, &'static str)> {
        (1..).zip(&self.pairs).map(|(number, (from, _))| (number, *from)).filter(move |(n, _)| *n > after)
    }
}

fn merge(number: u64, (from, into): Pair, at: i64) -> MergedUser {
    MergedUser { number, from: from.into(), into: into.into(), at: Time(at), by: "api".to_owned() }
}

fn merges_of(pairs: &[Pair]) -> Vec<MergedUser> {
    (1..).zip(pairs).map(|(number, pair)| merge(number, *pair, 0)).collect()
}

fn people_of(pairs: &[Pair]) -> People {
    People::of(merges_of(pairs)).unwrap()
}

fn asked() -> impl Strategy<Value = Vec<Pair>> {
    vec((select(ids()), select(ids())), 0..24)
}

/// Pairs of which each may be merged after those before it.
fn pairs() -> impl Strategy<Value = Vec<Pair>> {
    asked().prop_map(|asked| {
        let mut replay = Replay::default();
        for pair in asked {
            if replay.verdict(pair) == Ok(Verdict::New) {
                replay.merge(pair);
            }
        }
        replay.pairs
    })
}

/// Ranges of hashes that begin and end at ids, beside them, or anywhere. Some are empty.
fn hashes() -> impl Strategy<Value = RangeInclusive<u64>> {
    let near = (select(ids()), 0u64..3).prop_map(|(id, beside)| hash(id) - 1 + beside);
    let bound = prop_oneof![4 => near, 1 => any::<u64>(), 1 => Just(0), 1 => Just(u64::MAX)].boxed();
    (bound.clone(), bound, prop::bool::weighted(0.9))
        .prop_map(|(a, b, is_ordered)| if is_ordered { a.min(b)..=a.max(b) } else { a..=b })
}

/// A move with its ids: number, hash and id of the merged user, hash and id of the person.
type Moved = (u64, u64, Vec<u8>, u64, Vec<u8>);

fn moved(people: &People, after: u64, hashes: &RangeInclusive<u64>) -> Vec<Moved> {
    let moves = people.moves(after, hashes);
    let with_ids = moves
        .left()
        .iter()
        .filter(|m| m.number > after)
        .map(|m| (m.number, m.hash, people.id_of(m).to_vec(), m.to_hash, people.person_of(m).to_vec()));
    with_ids.collect()
}

/// All that the persons of these ids can be asked, as text.
fn answers(people: &People, hashes: &RangeInclusive<u64>) -> Vec<String> {
    let mut out = vec![format!("{} {:?}", people.last(), people.merges())];
    for id in ids() {
        let (hash, bytes) = place(id);
        out.push(format!("{id}: {} {:?}", people.person(id), people.place(hash, bytes)));
        out.push(format!("others of {id}: {:?}", people.others(id)));
        out.extend(ids().into_iter().map(|into| format!("{id} into {into}: {:?}", people.judge(id, into))));
    }
    for after in 0..=people.last() + 1 {
        out.push(format!(
            "after {after}: {:?} {}",
            moved(people, after, hashes),
            people.moves_any(after, hashes)
        ));
        for id in ids() {
            let (hash, bytes) = place(id);
            let (is_moved, parts) =
                (people.is_moved(after, hash, bytes), people.splits(after, (hash, bytes)));
            out.push(format!("{id} after {after}: {is_moved} {parts}"));
        }
    }
    out.extend((-1..10).map(|by| format!("settled by {by}: {}", people.settled(Time(by)))));
    out
}

proptest! {
    #![proptest_config(cases(400))]

    /// Whichever of a person's ids is asked for, the answer is the one id that was merged into no other.
    #[test]
    fn l11_every_id_of_a_person_leads_to_it(pairs in pairs()) {
        let (people, replay) = (people_of(&pairs), Replay::of(&pairs));
        for id in ids() {
            let person = people.person(id);
            prop_assert_eq!(person, replay.person(id));
            prop_assert_eq!(people.person(person), person);
            let (at, bytes) = place(id);
            prop_assert_eq!(people.place(at, bytes), place(person));
            prop_assert_eq!(people.place(hash(person), person.as_bytes()), place(person));
        }
        // Ids that nobody merged are persons of their own, though they may have the hash of one that was.
        prop_assert_eq!(people.person("nobody"), "nobody");
        for id in ids() {
            prop_assert_eq!(people.place(hash(id), b"nobody"), (hash(id), &b"nobody"[..]));
        }
    }

    #[test]
    fn l11_a_judge_lets_in_no_circle_and_refuses_for_its_reasons(asked in asked()) {
        let (mut people, mut replay) = (People::default(), Replay::default());
        for pair in asked {
            let verdict = people.judge(pair.0, pair.1);
            prop_assert_eq!(&verdict, &replay.verdict(pair), "{:?}", pair);
            if verdict == Ok(Verdict::New) {
                replay.merge(pair);
                people = people.with([merge(people.last() + 1, pair, 0)]).unwrap();
            }
        }
        for from in ids() {
            for into in ids() {
                prop_assert_eq!(people.judge(from, into), replay.verdict((from, into)), "{} {}", from, into);
            }
        }
        // Each id is merged once at most, and from any id the way through the pairs ends.
        let next: BTreeMap<&str, &str> = replay.pairs.iter().copied().collect();
        prop_assert_eq!(next.len(), replay.pairs.len());
        for id in ids() {
            let way = std::iter::successors(Some(id), |id| next.get(id).copied());
            prop_assert!(way.take(ids().len() + 1).count() <= ids().len(), "{} is in a circle", id);
        }
    }

    /// The pairs alone say which ids are one person.
    #[test]
    fn l11_the_order_of_merges_does_not_matter(
        (pairs, shuffled) in pairs().prop_flat_map(|pairs| (Just(pairs.clone()), Just(pairs).prop_shuffle())),
    ) {
        let (people, mut other) = (people_of(&pairs), People::default());
        for pair in shuffled {
            prop_assert_eq!(other.judge(pair.0, pair.1), Ok(Verdict::New));
            other = other.with([merge(other.last() + 1, pair, 0)]).unwrap();
        }
        for id in ids() {
            prop_assert_eq!(people.person(id), other.person(id));
            let others = |of: &People| -> BTreeSet<Box<str>> {
                of.others(id).into_iter().map(|m| m.from.clone()).collect()
            };
            prop_assert_eq!(others(&people), others(&other));
        }
    }

    /// The state as of a merge is that of a log which ends with it, and a log that grew is one that was read whole.
    #[test]
    fn the_state_as_of_a_merge_stays_as_it_is(
        pairs in pairs(),
        times in vec(0i64..9, 24),
        hashes in hashes(),
    ) {
        let log: Vec<MergedUser> =
            (1..).zip(pairs.iter().zip(times)).map(|(number, (pair, at))| merge(number, *pair, at)).collect();
        let people = People::of(log.clone()).unwrap();
        // Earlier questions change no answer.
        let all = answers(&people, &hashes);
        for n in 0..=log.len() {
            let first = People::of(log[..n].to_vec()).unwrap();
            let until = people.until(n as u64);
            prop_assert_eq!(answers(&until, &hashes), answers(&first, &hashes));
            prop_assert_eq!(answers(&until.until(n as u64 + 1), &hashes), answers(&first, &hashes));
            prop_assert_eq!(&answers(&first.with(log[n..].to_vec()).unwrap(), &hashes), &all);
            prop_assert_eq!(&answers(&until.with(log[n..].to_vec()).unwrap(), &hashes), &all);
        }
        prop_assert_eq!(&answers(&people.until(u64::MAX), &hashes), &all);
    }

    /// A merge that is pushed is the next one, also after merges that were not known.
    #[test]
    fn a_pushed_merge_comes_after_the_known_ones(pairs in pairs(), known in any::<Index>(), hashes in hashes()) {
        let log = merges_of(&pairs);
        let known = known.index(log.len() + 1);
        let whole = People::of(log.clone()).unwrap();
        let mut people = whole.until(known as u64);
        answers(&people, &hashes);
        for m in &log[known..] {
            prop_assert_eq!(people.push(&m.from, &m.into, m.at, m.by.clone()), m);
        }
        prop_assert_eq!(answers(&people, &hashes), answers(&whole, &hashes));
        prop_assert_eq!(people.merges(), &log[..]);
    }

    /// Batches of moves hold whole persons, as few as have so many moves that matter, and together all of those.
    #[test]
    fn l11_no_person_is_cut_between_batches(
        pairs in pairs(),
        after in 0u64..9,
        least in 1usize..4,
        hashes in hashes(),
    ) {
        let people = people_of(&pairs);
        let mut moves = people.moves(after, &hashes);
        let matters = |m: &&Move| m.number > after;
        let all: Vec<Move> = moves.left().iter().filter(matters).copied().collect();
        let mut seen: Vec<Move> = Vec::new();
        loop {
            let now = moves.whole_persons(least);
            let (batch, rest) = moves.left().split_at(now);
            let Some(last) = batch.last() else { break };
            let count = batch.iter().filter(matters).count();
            prop_assert!(count >= least.min(all.len() - seen.len()));
            let place = |m: &Move| (m.to_hash, people.person_of(m).to_vec());
            prop_assert!(rest.first().is_none_or(|next| place(next) != place(last)));
            let others = batch.iter().filter(matters).filter(|m| place(m) != place(last)).count();
            prop_assert!(others < least, "a person too many");
            seen.extend(batch.iter().filter(matters));
            moves.pass(now);
        }
        prop_assert_eq!(seen, all);
    }

    #[test]
    fn l5_a_gap_is_an_error(count in 2usize..10, lacking in any::<Index>(), known in any::<Index>()) {
        let log = merges_of(&vec![("a", "b"); count]);
        let lacking = lacking.index(count - 1);
        let mut gappy = log.clone();
        let number = gappy.remove(lacking).number;
        prop_assert_eq!(People::of(gappy.clone()).unwrap_err(), Gap(number));
        let known = known.index(lacking + 1);
        let people = People::of(log[..known].to_vec()).unwrap();
        prop_assert_eq!(people.with(gappy[known..].to_vec()).unwrap_err(), Gap(number));
        // Neither may one come twice, or two change places.
        let twice = [&log[..=lacking], &log[lacking..]].concat();
        prop_assert_eq!(People::of(twice).unwrap_err(), Gap(number + 1));
        let mut swapped = log;
        swapped.swap(lacking, lacking + 1);
        prop_assert_eq!(People::of(swapped).unwrap_err(), Gap(number));
    }

    #[test]
    fn others_are_the_ids_that_lead_to_a_person(pairs in pairs()) {
        let (people, replay) = (people_of(&pairs), Replay::of(&pairs));
        for person in ids().into_iter().filter(|id| replay.person(id) == *id) {
            let mut found: Vec<u64> = people.others(person).iter().map(|m| m.number).collect();
            found.sort_unstable();
            let expected = replay.later(0).filter(|(_, from)| replay.person(from) == person);
            prop_assert_eq!(found, expected.map(|(number, _)| number).collect::<Vec<_>>());
        }
    }

    /// The merges after some number say which ids they took away, and where the rows of those go.
    #[test]
    fn l11_moves_are_those_of_later_merges(pairs in pairs(), after in 0u64..9, hashes in hashes()) {
        let (people, replay) = (people_of(&pairs), Replay::of(&pairs));
        for id in ids() {
            let is_moved = replay.later(after).any(|(_, from)| from == id);
            prop_assert_eq!(people.is_moved(after, hash(id), id.as_bytes()), is_moved);
            prop_assert!(!people.is_moved(after, hash(id), b"nobody"));
        }
        prop_assert_eq!(
            people.moves_any(after, &hashes),
            replay.later(after).any(|(_, from)| hashes.contains(&hash(from)))
        );
        let found = moved(&people, after, &hashes);
        prop_assert!(found.is_sorted_by_key(|(.., to_hash, to)| (*to_hash, to.clone())), "{:?}", found);
        let count = found.len();
        let found: BTreeMap<u64, Moved> = found.into_iter().map(|m| (m.0, m)).collect();
        prop_assert_eq!(found.len(), count, "each merge moves rows once");
        let expected = replay.later(after).filter_map(|(number, from)| {
            let (to_hash, to) = place(replay.person(from));
            let (hash, from) = place(from);
            hashes.contains(&to_hash).then(|| (number, (number, hash, from.to_vec(), to_hash, to.to_vec())))
        });
        prop_assert_eq!(found, expected.collect::<BTreeMap<_, _>>());
    }

    /// A walk that went up to a place as of an earlier merge can go on as of now, unless rows went over to the other side.
    #[test]
    fn l11_a_walk_is_split_where_rows_change_sides(
        pairs in pairs(),
        after in 0u64..9,
        id in select(ids()),
        bytes in prop_oneof![2 => select(ids()), 1 => Just(""), 1 => Just("zz")],
    ) {
        let people = people_of(&pairs);
        let before = Replay::of(&pairs[..pairs.len().min(after as usize)]);
        let now = Replay::of(&pairs);
        for end in [place(id), (hash(id), bytes.as_bytes())] {
            let is_behind = |replay: &Replay, id| place(replay.person(id)) <= end;
            let is_split = ids().into_iter().any(|id| is_behind(&before, id) != is_behind(&now, id));
            prop_assert_eq!(people.splits(after, end), is_split);
        }
    }

    /// Clocks differ, so that times need not ascend: the first merge that is too young ends what is settled.
    #[test]
    fn settled_merges_were_all_made_by_then(times in vec(0i64..6, 0..7), by in -1i64..7) {
        let ids = ids();
        let log = (1..).zip(&times).map(|(n, at)| merge(n, (ids[n as usize], ids[0]), *at)).collect();
        let settled = People::of(log).unwrap().settled(Time(by)) as usize;
        prop_assert!(times[..settled].iter().all(|at| *at <= by));
        prop_assert!(times.get(settled).is_none_or(|at| *at > by));
    }
}

/// A merge is of one id, not of all that have its hash.
#[test]
fn l11_an_id_is_not_taken_for_another_of_its_hash() {
    let [twin, other] = [ids()[6], ids()[7]];
    assert_eq!(hash(twin), hash(other));
    let people = people_of(&[(twin, "b"), ("a", twin)]);
    let (at, bytes) = place(other);
    assert_eq!((people.person(other), people.place(at, bytes)), (other, (at, bytes)));
    assert_eq!((people.is_moved(0, at, bytes), people.others(other).len()), (false, 0));
    assert_eq!((people.person("a"), people.others("b").len()), ("b", 2));
    assert_eq!(people.judge(other, "b"), Ok(Verdict::New));
}

/// A person of that many ids, the last of which is the person's: all merged into it, or each into the next.
fn person_of(name: &str, ids: usize, is_chain: bool) -> Vec<(String, String)> {
    let id = |n: usize| format!("{name}-{n}");
    (1..ids).map(|n| (id(n), id(if is_chain { n + 1 } else { ids }))).collect()
}

proptest! {
    #![proptest_config(cases(40))]

    #[test]
    fn a_person_has_a_hundred_ids_and_no_more(
        ids in 1usize..=MAX_IDS,
        more in 0usize..3,
        chains in any::<(bool, bool)>(),
        any_id in any::<Index>(),
    ) {
        let into = (MAX_IDS + more).saturating_sub(ids + 1).clamp(1, MAX_IDS);
        let pairs = [person_of("from", ids, chains.0), person_of("into", into, chains.1)].concat();
        let mut people = People::default();
        for (from, into) in pairs {
            prop_assert_eq!(people.judge(&from, &into), Ok(Verdict::New));
            let number = people.last() + 1;
            let (from, into, by) = (from.into(), into.into(), String::new());
            people = people.with([MergedUser { number, from, into, at: Time(0), by }]).unwrap();
        }
        let person = format!("from-{ids}");
        let id_of_into = format!("into-{}", any_id.index(into) + 1);
        let expected = if ids + into > MAX_IDS { Err(Refused::TooManyIds) } else { Ok(Verdict::New) };
        prop_assert_eq!(people.judge(&person, &id_of_into), expected);
        prop_assert_eq!(people.others(&person).len() + 1, ids);
        prop_assert_eq!(people.person("from-1"), person);
    }
}

#[test]
fn a_deployment_has_so_many_merges_and_no_more() {
    let merge = |number: u64| {
        let (from, into) = (format!("old-{number}").into(), format!("new-{number}").into());
        MergedUser { number, from, into, at: Time(0), by: String::new() }
    };
    let full = People::of((1..=MAX_MERGES).map(merge).collect()).unwrap();
    let last = full.until(MAX_MERGES - 1);
    assert_eq!(last.judge("a", "b"), Ok(Verdict::New));
    assert_eq!(full.judge("a", "b"), Err(Refused::TooManyMerges));
    // Questions about others are answered as ever.
    assert_eq!(full.judge("old-7", "new-7"), Ok(Verdict::Known(7)));
    assert_eq!(full.judge("new-7", "old-7"), Err(Refused::Cycle));
    assert_eq!(full.judge("a", "a"), Err(Refused::SameUser));
}
