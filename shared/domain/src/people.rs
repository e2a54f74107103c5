//! People who have several user ids: the log of merges, and whose id is whose as of a merge.
//!
//! A merge says that a user id belongs to the person that another id names. Merges are numbered without a gap and are
//! never changed, so that the state as of a number is the same for ever. Stored rows keep the id under which they arrived;
//! readers follow the log, and a rewrite puts rows under the id of their person.

use crate::{
    rows::{Rows, UserRows, user_hash},
    time::{DAY_MILLIS, Time},
};
use serde::{Deserialize, Serialize};
use std::{
    borrow::Cow,
    ops::{Range, RangeInclusive},
    sync::{Arc, OnceLock},
};
use thiserror::Error;

/// The most merges of a deployment. A process keeps them all in memory, some 250 bytes each where ids are short.
pub const MAX_MERGES: u64 = 100_000;
/// The most user ids of one person: a question about one user looks each of them up.
pub const MAX_IDS: usize = 100;
/// How long after a merge rewrites still leave its rows as they are, in milliseconds. No question lives as long, and few walks
/// through pages do: so a reader rarely meets a run in which rows were moved by a merge that it does not follow.
pub const SETTLING_MILLIS: i64 = DAY_MILLIS;

/// One merge: from now on the person of `into` has the id `from`, too.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MergedUser {
    /// Counts merges, from 1.
    pub number: u64,
    /// The id that names no person of its own any more.
    pub from: Box<str>,
    /// An id of the person that has it.
    pub into: Box<str>,
    /// When it was merged.
    pub at: Time,
    /// The caller that asked for it: `key/ID`, or `api`.
    pub by: String,
}

/// The merges in the order of their numbers, and where each id stands in them.
#[derive(Clone, Debug, Default)]
struct Log {
    merges: Vec<MergedUser>,
    /// The hash of each `from` with the number of its merge, in order. Each id is merged once at most.
    from: Vec<(u64, u64)>,
    /// The hash of each `into` with the number of its merge, in order.
    into: Vec<(u64, u64)>,
}

impl Log {
    fn merge(&self, number: u64) -> &MergedUser {
        &self.merges[number as usize - 1]
    }
}

/// The entries of a sorted index within a range of hashes.
fn within<'a>(index: &'a [(u64, u64)], hashes: &RangeInclusive<u64>) -> &'a [(u64, u64)] {
    let start = index.partition_point(|(hash, _)| hash < hashes.start());
    let end = index.partition_point(|(hash, _)| hash <= hashes.end());
    &index[start..end.max(start)]
}

/// A user id of a person.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UserId {
    /// The number of the merge that brought it to the person; 0: it is the person's own.
    pub number: u64,
    /// Its hash.
    pub hash: u64,
    /// The id.
    pub id: Box<[u8]>,
}

/// Rows that a reader finds under one id and shows under another: those of one merge.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Move {
    /// The number of the merge.
    pub number: u64,
    /// The hash of the id under which the rows lie.
    pub hash: u64,
    /// The hash of the person's id.
    pub to_hash: u64,
    /// The number of the merge that names the person's id as its `into`.
    to: u64,
}

/// The persons as of one merge: all merges up to it are in, no later one is. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct People {
    log: Arc<Log>,
    last: u64,
    moves: Arc<OnceLock<Vec<Move>>>,
}

/// Moves to come, in the order of the persons. Holds no copy of them.
#[derive(Clone, Debug)]
pub struct Moves {
    people: People,
    after: u64,
    left: Range<usize>,
}

impl Moves {
    /// Whose ids they are about.
    pub const fn people(&self) -> &People {
        &self.people
    }

    /// The moves to come, those of earlier merges among them.
    pub fn left(&self) -> &[Move] {
        self.people.moves.get().map_or(&[], |all| &all[self.left.clone()])
    }

    /// How many of the moves to come go to as few persons as make `least` moves of merges that matter, or to all that are
    /// left; all moves to one person go together. 0: none is left that matters.
    pub fn whole_persons(&self, least: usize) -> usize {
        let left = self.left();
        let pending = left.iter().enumerate().filter(|(_, m)| m.number > self.after).map(|(index, _)| index);
        let Some(last) = pending.take(least).last() else { return 0 };
        let place = |m: &Move| (m.to_hash, self.people.person_of(m));
        left.partition_point(|m| place(m) <= place(&left[last]))
    }

    /// Goes past that many moves.
    pub fn pass(&mut self, moves: usize) {
        self.left.start = (self.left.start + moves).min(self.left.end);
    }
}

/// The log lacks a merge.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("merge {0} of user ids is missing")]
pub struct Gap(pub u64);

/// A merge that is asked for and may be made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It is a new merge.
    New,
    /// Both ids are one person already, by this merge of `from`.
    Known(u64),
}

/// The reason for which a merge is refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refused {
    /// Both ids are the same.
    SameUser,
    /// `from` belongs to another person already, who has this id.
    AlreadyMerged(String),
    /// `into` belongs to the person `from`.
    Cycle,
    /// The person would have more than [`MAX_IDS`] ids.
    TooManyIds,
    /// There are [`MAX_MERGES`] merges.
    TooManyMerges,
}

impl People {
    /// The persons after these merges, of which the first has the number 1.
    ///
    /// # Errors
    /// [`Gap`] if a merge is missing.
    pub fn of(merges: Vec<MergedUser>) -> Result<Self, Gap> {
        if let Some((number, _)) = (1..).zip(&merges).find(|(number, merge)| merge.number != *number) {
            return Err(Gap(number));
        }
        let index = |id: fn(&MergedUser) -> &str| {
            let hashed = merges.iter().map(|merge| (user_hash(id(merge).as_bytes()), merge.number));
            let mut index: Vec<(u64, u64)> = hashed.collect();
            index.sort_unstable();
            index
        };
        let (from, into) = (index(|merge| &merge.from), index(|merge| &merge.into));
        let last = merges.len() as u64;
        Ok(Self { log: Arc::new(Log { merges, from, into }), last, moves: Arc::default() })
    }

    /// The persons after further merges.
    ///
    /// # Errors
    /// [`Gap`] if a merge is missing.
    pub fn with(&self, more: impl IntoIterator<Item = MergedUser>) -> Result<Self, Gap> {
        Self::of(self.merges().iter().cloned().chain(more).collect())
    }

    /// Adds a merge, and gives it the next number.
    pub fn push(&mut self, from: &str, into: &str, at: Time, by: String) -> &MergedUser {
        let number = self.last + 1;
        let log = Arc::make_mut(&mut self.log);
        log.merges.truncate(self.last as usize);
        for (index, id) in [(&mut log.from, from), (&mut log.into, into)] {
            index.retain(|(_, of)| *of < number);
            let entry = (user_hash(id.as_bytes()), number);
            index.insert(index.partition_point(|other| *other < entry), entry);
        }
        log.merges.push(MergedUser { number, from: from.into(), into: into.into(), at, by });
        (self.last, self.moves) = (number, Arc::default());
        &log.merges[number as usize - 1]
    }

    /// The persons as they were after that many merges.
    #[must_use]
    pub fn until(&self, number: u64) -> Self {
        if number >= self.last {
            return self.clone();
        }
        Self { log: self.log.clone(), last: number, moves: Arc::default() }
    }

    /// The merges, in order.
    pub fn merges(&self) -> &[MergedUser] {
        &self.log.merges[..self.last as usize]
    }

    /// The number of the last merge; 0: no id was merged.
    pub const fn last(&self) -> u64 {
        self.last
    }

    /// The last merge of those that were all made by that time.
    pub fn settled(&self, by: Time) -> u64 {
        self.merges().iter().take_while(|merge| merge.at <= by).count() as u64
    }

    /// The merge that took away an id, if one did.
    fn merge_of(&self, hash: u64, id: &[u8]) -> Option<&MergedUser> {
        let found = within(&self.log.from, &(hash..=hash)).iter().map(|(_, number)| self.log.merge(*number));
        found.into_iter().find(|merge| merge.number <= self.last && merge.from.as_bytes() == id)
    }

    /// The last merge on the way from an id to its person; `None`: the id names the person itself.
    fn last_merge_of(&self, hash: u64, id: &[u8]) -> Option<&MergedUser> {
        let mut found = self.merge_of(hash, id)?;
        // A merge that would close a circle is refused. If storage has one all the same, this ends, too.
        for _ in 0..MAX_IDS {
            let Some(next) = self.merge_of(user_hash(found.into.as_bytes()), found.into.as_bytes()) else {
                break;
            };
            found = next;
        }
        Some(found)
    }

    /// Where the rows of an id belong: the hash and the id of its person.
    pub fn place<'a>(&'a self, hash: u64, id: &'a [u8]) -> (u64, &'a [u8]) {
        match self.last_merge_of(hash, id) {
            None => (hash, id),
            Some(merge) => (user_hash(merge.into.as_bytes()), merge.into.as_bytes()),
        }
    }

    /// The id of the person that an id belongs to.
    pub fn person<'a>(&'a self, id: &'a str) -> &'a str {
        self.last_merge_of(user_hash(id.as_bytes()), id.as_bytes()).map_or(id, |merge| &merge.into)
    }

    /// The other ids of a person, each with the number of its merge.
    pub fn others(&self, person: &str) -> Vec<&MergedUser> {
        let mut found: Vec<&MergedUser> = Vec::new();
        let (mut id, mut at) = (person, 0);
        loop {
            let hash = user_hash(id.as_bytes());
            let direct = within(&self.log.into, &(hash..=hash)).iter();
            let direct = direct.map(|(_, number)| self.log.merge(*number));
            found.extend(direct.filter(|merge| merge.number <= self.last && *merge.into == *id));
            let Some(next) = found.get(at).filter(|_| at < MAX_IDS) else { return found };
            (id, at) = (&next.from, at + 1);
        }
    }

    /// All ids of the person that an id belongs to: first the person's own, with the number 0, then those that were merged.
    pub fn ids(&self, id: &str) -> Vec<UserId> {
        let person = self.person(id);
        let others = self.others(person).into_iter().map(|merge| (merge.number, &*merge.from));
        let ids = std::iter::once((0, person)).chain(others);
        ids.map(|(number, id)| UserId { number, hash: user_hash(id.as_bytes()), id: id.as_bytes().into() })
            .collect()
    }

    /// Whether an id was taken away by a merge after the one of that number.
    pub fn is_moved(&self, after: u64, hash: u64, id: &[u8]) -> bool {
        self.last > after && self.merge_of(hash, id).is_some_and(|merge| merge.number > after)
    }

    /// Whether any id within those hashes was taken away by a merge after the one of that number.
    pub fn moves_any(&self, after: u64, hashes: &RangeInclusive<u64>) -> bool {
        let is_later = |(_, number): &(u64, u64)| (after + 1..=self.last).contains(number);
        self.last > after && within(&self.log.from, hashes).iter().any(is_later)
    }

    /// These users, each under the id of its person, in ledger order: the persons whose hash is within `hashes`. A person
    /// stands there once for each id that has rows, so that the number of rows stays as it is.
    pub fn renamed(&self, rows: &Rows, hashes: &RangeInclusive<u64>) -> Rows {
        let places = rows.iter().map(|user| (self.place(user.hash, user.id), user.rows));
        let mut places: Vec<_> = places.filter(|((hash, _), _)| hashes.contains(hash)).collect();
        places.sort_by_key(|(place, _)| *place);
        let mut out = Rows::with_facets(rows.facets.clone());
        places.into_iter().for_each(|((hash, id), rows)| out.push(hash, id, rows));
        out
    }

    /// These users, each under the id of its person, in any order; as they are, if they are persons all.
    pub fn with_persons<'a>(&self, rows: &'a Rows) -> Cow<'a, Rows> {
        let is_moved = |user: &UserRows<'_>| self.is_moved(0, user.hash, user.id);
        if rows.iter().any(|user| is_moved(&user)) {
            Cow::Owned(self.renamed(rows, &(0..=u64::MAX)))
        } else {
            Cow::Borrowed(rows)
        }
    }

    /// The moves to persons within those hashes, in the order of the persons. Those of merges after the one of that number
    /// matter.
    pub fn moves(&self, after: u64, hashes: &RangeInclusive<u64>) -> Moves {
        let all = self.moves.get_or_init(|| self.all_moves());
        let start = all.partition_point(|m| m.to_hash < *hashes.start());
        let end = all.partition_point(|m| m.to_hash <= *hashes.end());
        Moves { people: self.clone(), after, left: start..end.max(start) }
    }

    fn all_moves(&self) -> Vec<Move> {
        let moves = self.merges().iter().filter_map(|merge| {
            let hash = user_hash(merge.from.as_bytes());
            let last = self.last_merge_of(hash, merge.from.as_bytes())?;
            let to_hash = user_hash(last.into.as_bytes());
            Some(Move { number: merge.number, hash, to_hash, to: last.number })
        });
        let mut moves: Vec<Move> = moves.collect();
        moves.sort_unstable_by(|a, b| {
            (a.to_hash, self.person_of(a), a.number).cmp(&(b.to_hash, self.person_of(b), b.number))
        });
        moves
    }

    /// The id under which the rows of a move lie.
    pub fn id_of(&self, moved: &Move) -> &[u8] {
        self.log.merge(moved.number).from.as_bytes()
    }

    /// The id of the person to whom a move brings rows.
    pub fn person_of(&self, moved: &Move) -> &[u8] {
        self.log.merge(moved.to).into.as_bytes()
    }

    /// Whether a merge after the one of that number splits a walk at this place: before the merge an id's rows stood on one
    /// side of it, and now they stand on the other.
    pub fn splits(&self, after: u64, place: (u64, &[u8])) -> bool {
        let before = self.until(after);
        let side = |people: &Self, merge: &MergedUser| {
            people.place(user_hash(merge.from.as_bytes()), merge.from.as_bytes()) <= place
        };
        let later = self.merges().iter().skip(after as usize);
        later.into_iter().any(|merge| side(&before, merge) != side(self, merge))
    }

    /// Whether a merge may be made, after all merges that are known.
    ///
    /// # Errors
    /// [`Refused`] with the reason.
    pub fn judge(&self, from: &str, into: &str) -> Result<Verdict, Refused> {
        if from == into {
            return Err(Refused::SameUser);
        }
        let person = self.person(into);
        if let Some(merge) = self.merge_of(user_hash(from.as_bytes()), from.as_bytes()) {
            let of_from = self.person(from);
            let is_one = of_from == person;
            return if is_one {
                Ok(Verdict::Known(merge.number))
            } else {
                Err(Refused::AlreadyMerged(of_from.to_owned()))
            };
        }
        if person == from {
            return Err(Refused::Cycle);
        }
        // Both persons' own ids are two more.
        if self.others(from).len() + self.others(person).len() + 2 > MAX_IDS {
            return Err(Refused::TooManyIds);
        }
        if self.last >= MAX_MERGES { Err(Refused::TooManyMerges) } else { Ok(Verdict::New) }
    }
}
