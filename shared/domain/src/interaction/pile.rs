//! The interactions of one request that go to one ledger, and the order of their users.

use crate::{
    arrival::Arrival,
    facet::{Facet, Kind},
    rows::{Row, Rows, normalize, user_hash},
    time::Time,
};
use std::collections::HashMap;

/// One interaction in a pile.
#[derive(Clone, Copy)]
pub(super) struct Entry {
    /// The interaction's place in the request.
    pub(super) index: u32,
    /// Where the user's id begins among the ids of the request, in bytes.
    pub(super) id_start: u32,
    /// How long that id is, in bytes.
    pub(super) id_len: u16,
    /// The facet's number in the pile.
    pub(super) facet: u32,
    /// The interaction's time, in milliseconds.
    pub(super) at: i64,
}

/// The interactions that one ledger gets of a request.
#[derive(Default)]
pub(super) struct Pile {
    /// The facets of the pile, by number.
    pub(super) facets: Vec<Facet>,
    /// The number of each facet, by its canonical encoding.
    numbers: HashMap<Box<[u8]>, u32>,
    /// For each facet of a source's pile, the number that its form for `users` has in the pile of `users`.
    pub(super) in_users: Vec<u32>,
    /// The interactions, in the order of the request.
    pub(super) entries: Vec<Entry>,
}

impl Pile {
    /// The number of a facet, by its canonical encoding; a new facet gets the next one. `None`: the encoding is not one.
    pub(super) fn number(&mut self, encoded: &[u8]) -> Option<u32> {
        if let Some(n) = self.numbers.get(encoded) {
            return Some(*n);
        }
        let n = self.facets.len() as u32;
        self.facets.push(Facet::decode(&mut crate::codec::Reader(encoded)).ok()?);
        self.numbers.insert(encoded.into(), n);
        Some(n)
    }

    /// When the interactions of the pile happened; `None` if it is empty.
    pub(super) fn arrival(&self) -> Option<Arrival> {
        let is_message: Vec<bool> =
            self.facets.iter().map(|facet| matches!(facet.kind, Kind::Received | Kind::Entered)).collect();
        let messages = self.entries.iter().filter(|e| is_message[e.facet as usize]);
        let first_at = Time(self.entries.iter().map(|e| e.at).min()?);
        Some(Arrival { first_at, last_message_at: messages.map(|e| Time(e.at)).max() })
    }

    /// The rows of the pile, in the order of inbox blocks.
    pub(super) fn into_rows(mut self, users: &Users<'_>) -> Rows {
        let user = |e: &Entry| users.of_item[e.index as usize];
        self.entries.sort_unstable_by_key(|e| (user(e), e.facet));
        let mut out = Rows::with_facets(self.facets);
        out.reserve(self.entries.len(), self.entries.iter().map(|e| usize::from(e.id_len)).sum());
        out.rows_mut().reserve_exact(self.entries.len());
        let mut scratch: Vec<Row> = Vec::new();
        for rows in self.entries.chunk_by(|a, b| user(a) == user(b)) {
            scratch.clear();
            scratch.extend(rows.iter().map(|e| Row { facet: e.facet, first_at: e.at, last_at: e.at }));
            normalize(&mut scratch);
            let (hash, id) = users.sorted[user(&rows[0]) as usize];
            out.push(hash, id, &scratch);
        }
        out
    }
}

/// The users of a request, in the order of inbox blocks. They are sorted once for all piles.
pub(super) struct Users<'a> {
    /// Each user's hash and id.
    sorted: Vec<(u64, &'a [u8])>,
    /// For each item of the request, the place of its user in `sorted`; for rejected items, any number.
    of_item: Vec<u32>,
}

impl<'a> Users<'a> {
    /// `entries` has one entry for each item that was taken.
    pub(super) fn of(entries: &[Entry], ids: &'a [u8], items: usize) -> Self {
        let id = |e: &Entry| &ids[e.id_start as usize..][..usize::from(e.id_len)];
        // By length, then bytes. The first eight bytes as a number settle most comparisons.
        let head = |id: &[u8]| id.iter().take(8).fold(0, |n, b| n << 8 | u64::from(*b));
        let mut order: Vec<(u16, u64, &Entry)> = entries.iter().map(|e| (e.id_len, head(id(e)), e)).collect();
        order.sort_unstable_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)).then_with(|| id(a.2).cmp(id(b.2))));
        let mut users = Self { sorted: Vec::with_capacity(order.len()), of_item: vec![0; items] };
        for same in order.chunk_by(|a, b| a.1 == b.1 && id(a.2) == id(b.2)) {
            let id = id(same[0].2);
            for (_, _, entry) in same {
                users.of_item[entry.index as usize] = users.sorted.len() as u32;
            }
            users.sorted.push((user_hash(id), id));
        }
        users
    }
}
