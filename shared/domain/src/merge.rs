//! Merges sorted streams of rows, for rewrites and for audiences. It does no I/O: the caller feeds it batches.

use crate::rows::{Rows, UserRows};
use std::cmp::Ordering;

#[derive(Default)]
struct Stream {
    rows: Rows,
    at: usize,
    finished: bool,
}

/// Walks several streams in ledger order at once and brings together the rows that they have of one user.
///
/// A stream is fed in batches of whole users: no user may stand in two batches of one stream.
pub struct Merge {
    streams: Vec<Stream>,
    members: Vec<(usize, usize)>,
}

/// One user with the rows of every stream that has it.
pub struct Group<'a> {
    streams: &'a [Stream],
    members: &'a [(usize, usize)],
}

impl<'a> Group<'a> {
    /// The user, with the rows of the first stream that has it.
    pub fn user(&self) -> UserRows<'a> {
        let (stream, at) = self.members[0];
        self.streams[stream].rows.user(at)
    }

    /// Whether any stream has rows of the user. A stream may name a user without rows to say how far it was read.
    pub fn has_rows(&self) -> bool {
        self.parts().any(|(.., user)| !user.rows.is_empty())
    }

    /// The user's rows by stream: the stream's number, its current batch, the user's rows in it.
    pub fn parts(&self) -> impl Iterator<Item = (usize, &'a Rows, UserRows<'a>)> + '_ {
        self.members.iter().map(|&(stream, at)| {
            let rows = &self.streams[stream].rows;
            (stream, rows, rows.user(at))
        })
    }
}

impl Merge {
    /// A merge of `streams` streams, none of which has been fed yet.
    pub fn new(streams: usize) -> Self {
        let streams = std::iter::repeat_with(Stream::default).take(streams).collect();
        Self { streams, members: Vec::new() }
    }

    /// A stream that must be fed or finished before the merge can go on.
    pub fn needs(&self) -> Option<usize> {
        self.streams.iter().position(|s| s.at == s.rows.len() && !s.finished)
    }

    /// Whether no other stream has a user up to and with that hash, as far as they have been fed.
    pub fn is_alone_to(&self, stream: usize, hash: u64) -> bool {
        self.streams.iter().enumerate().all(|(number, other)| {
            let is_past = || match other.rows.len() {
                n if other.at < n => other.rows.hash(other.at) > hash,
                _ => other.finished,
            };
            number == stream || is_past()
        })
    }

    /// Gives a stream its next batch.
    pub fn feed(&mut self, stream: usize, rows: Rows) {
        let stream = &mut self.streams[stream];
        debug_assert_eq!(stream.at, stream.rows.len());
        stream.rows = rows;
        stream.at = 0;
    }

    /// Says that a stream has ended.
    pub fn finish(&mut self, stream: usize) {
        self.streams[stream].finished = true;
    }

    /// The current batch of a stream.
    pub fn batch(&self, stream: usize) -> &Rows {
        &self.streams[stream].rows
    }

    /// The next user. `None`: a stream [`Merge::needs`] feeding, or all have ended.
    pub fn next_group(&mut self) -> Option<Group<'_>> {
        let mut least = u64::MAX;
        self.members.clear();
        for (number, stream) in self.streams.iter().enumerate() {
            if stream.at == stream.rows.len() {
                if stream.finished {
                    continue;
                }
                self.members.clear();
                return None;
            }
            // Hashes settle nearly all comparisons; ids are looked at where two are the same.
            let hash = stream.rows.hash(stream.at);
            let order = match self.members.first() {
                None => Ordering::Less,
                Some(&(first, at)) => hash
                    .cmp(&least)
                    .then_with(|| stream.rows.user(stream.at).id.cmp(self.streams[first].rows.user(at).id)),
            };
            if order.is_lt() {
                self.members.clear();
                least = hash;
            }
            if order.is_le() {
                self.members.push((number, stream.at));
            }
        }
        if self.members.is_empty() {
            return None;
        }
        for (stream, _) in &self.members {
            self.streams[*stream].at += 1;
        }
        Some(Group { streams: &self.streams, members: &self.members })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        facet::{Facet, Kind},
        rows::{Row, user_hash},
    };
    use proptest::prelude::*;

    fn batch(ids: &[u8]) -> Rows {
        let mut ids: Vec<[u8; 1]> = ids.iter().map(|i| [*i]).collect();
        ids.sort_by_key(|id| user_hash(id));
        ids.dedup();
        let mut rows = Rows::with_facets(vec![Facet::of(Kind::Received)]);
        for id in ids {
            rows.push(user_hash(&id), &id, &[Row { facet: 0, first_at: 1, last_at: 2 }]);
        }
        rows
    }

    proptest! {
        /// Every user comes once, in order, with each stream that has it, however the streams are cut into batches.
        #[test]
        fn each_user_once_in_order(streams in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 1..5), cut in 1usize..9) {
            let sorted: Vec<Rows> = streams.iter().map(|s| batch(s)).collect();
            let mut merge = Merge::new(sorted.len());
            let mut fed = vec![0; sorted.len()];
            let mut seen: Vec<(u64, Vec<u8>, usize)> = vec![];
            loop {
                while let Some(s) = merge.needs() {
                    let to = (fed[s] + cut).min(sorted[s].len());
                    if fed[s] == to {
                        merge.finish(s);
                    } else {
                        let mut next = Rows::with_facets(sorted[s].facets.clone());
                        next.extend_from(&sorted[s], fed[s]..to);
                        fed[s] = to;
                        merge.feed(s, next);
                    }
                }
                if let Some(g) = merge.next_group() {
                    seen.push((g.user().hash, g.user().id.to_vec(), g.parts().count()));
                } else if merge.needs().is_none() {
                    break;
                }
            }
            let mut expected: Vec<(u64, Vec<u8>, usize)> = (0u8..=255)
                .map(|i| (user_hash(&[i]), vec![i], streams.iter().filter(|s| s.contains(&i)).count()))
                .filter(|(_, _, n)| *n > 0)
                .collect();
            expected.sort();
            prop_assert_eq!(seen, expected);
        }
    }
}
