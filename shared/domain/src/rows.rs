//! Rows in memory: columns of users, each with the rows of that user, in one of two orders.

use crate::facet::Facet;
use std::{borrow::Borrow, cmp::Ordering, collections::HashMap};
use twox_hash::XxHash3_64;

/// The hash by which ledgers are ordered and cut into slots: XXH3-64 of the user id, seed 0. Part of the stored format.
pub fn user_hash(user_id: &[u8]) -> u64 {
    XxHash3_64::oneshot(user_id)
}

/// A short hash of any bytes, to tell whether something was sent before. Part of stored records and of cursors.
pub fn fingerprint(bytes: &[u8]) -> u64 {
    XxHash3_64::oneshot(bytes)
}

/// One row of a user: what happened (an index into a dictionary of facets), when first and when last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Row {
    /// Index into the facets of the [`Rows`] this row stands in.
    pub facet: u32,
    /// The earliest time, in epoch milliseconds.
    pub first_at: i64,
    /// The latest time, in epoch milliseconds.
    pub last_at: i64,
}

impl Row {
    /// Merges another row of the same user and facet: the earliest first, the latest last. Commutative,
    /// associative and idempotent, so that duplicates and retries change nothing.
    pub fn merge(&mut self, other: Self) {
        self.first_at = self.first_at.min(other.first_at);
        self.last_at = self.last_at.max(other.last_at);
    }
}

/// Sorts the rows of one user by facet and merges equal facets.
pub fn normalize(rows: &mut Vec<Row>) {
    if rows.len() > 1 {
        rows.sort_unstable_by_key(|r| r.facet);
        rows.dedup_by(|later, kept| {
            let same = later.facet == kept.facet;
            if same {
                kept.merge(*later);
            }
            same
        });
    }
}

/// The order of users in a block. The numbers are part of the stored format.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Order {
    /// By the length of the user id, then its bytes: numbered ids ascend, which packs best. Inbox blocks.
    ById = 0,
    /// By user hash, then the bytes of the id. Runs.
    ByHash = 1,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct UserEntry {
    hash: u64,
    id_end: u32,
    row_end: u32,
}

/// One user's rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserRows<'a> {
    /// [`user_hash`] of the id.
    pub hash: u64,
    /// The user id.
    pub id: &'a [u8],
    /// Sorted by facet, each facet once.
    pub rows: &'a [Row],
}

impl UserRows<'_> {
    /// The key by which users stand in ledger order.
    pub fn cmp_position(&self, other: &UserRows<'_>) -> Ordering {
        (self.hash, self.id).cmp(&(other.hash, other.id))
    }
}

/// Rows of many users with the facets they refer to.
#[derive(Clone, Default, Debug, PartialEq, Eq)]
pub struct Rows {
    /// The dictionary that [`Row::facet`] indexes.
    pub facets: Vec<Facet>,
    users: Vec<UserEntry>,
    ids: Vec<u8>,
    rows: Vec<Row>,
}

impl Rows {
    /// Rows without users, over this dictionary.
    pub fn with_facets(facets: Vec<Facet>) -> Self {
        Self { facets, ..Self::default() }
    }

    /// How many users there are.
    pub fn len(&self) -> usize {
        self.users.len()
    }

    /// Whether there are no users.
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    /// How many rows the users have together.
    pub fn row_count(&self) -> usize {
        self.rows.len()
    }

    /// The rows of all users, in order.
    pub fn all_rows(&self) -> &[Row] {
        &self.rows
    }

    /// How many bytes the user ids take.
    pub fn id_bytes(&self) -> usize {
        self.ids.len()
    }

    /// The index of a user's first row.
    pub fn row_start(&self, user: usize) -> usize {
        user.checked_sub(1).map_or(0, |before| self.users[before].row_end as usize)
    }

    /// The user hash at that index.
    pub fn hash(&self, user: usize) -> u64 {
        self.users[user].hash
    }

    /// The user at that index.
    #[inline]
    pub fn user(&self, index: usize) -> UserRows<'_> {
        let entry = self.users[index];
        let (id_start, row_start) = match index.checked_sub(1) {
            None => (0, 0),
            Some(before) => (self.users[before].id_end, self.users[before].row_end),
        };
        UserRows {
            hash: entry.hash,
            id: &self.ids[id_start as usize..entry.id_end as usize],
            rows: &self.rows[row_start as usize..entry.row_end as usize],
        }
    }

    /// All users in order.
    pub fn iter(&self) -> impl Iterator<Item = UserRows<'_>> {
        (0..self.len()).map(|i| self.user(i))
    }

    /// Appends a user whose rows refer to this dictionary.
    pub fn push(&mut self, hash: u64, id: &[u8], rows: &[Row]) {
        self.ids.extend_from_slice(id);
        self.rows.extend_from_slice(rows);
        self.close_user(hash);
    }

    /// Makes room for that many users more, and for their ids.
    pub(crate) fn reserve(&mut self, users: usize, id_bytes: usize) {
        self.users.reserve_exact(users);
        self.ids.reserve_exact(id_bytes);
    }

    /// How many of the first users have at most that many rows together.
    pub(crate) fn users_within(&self, rows: usize) -> usize {
        self.users.partition_point(|u| u.row_end as usize <= rows)
    }

    pub(crate) fn ids_mut(&mut self) -> &mut Vec<u8> {
        &mut self.ids
    }

    pub(crate) fn rows_mut(&mut self) -> &mut Vec<Row> {
        &mut self.rows
    }

    fn close_user(&mut self, hash: u64) {
        self.users.push(UserEntry { hash, id_end: self.ids.len() as u32, row_end: self.rows.len() as u32 });
    }

    pub(crate) fn set_row_end(&mut self, user: usize, end: u32) {
        self.users[user].row_end = end;
    }

    /// Ends the user whose id bytes were appended last; its rows follow by [`Rows::set_row_end`].
    pub(crate) fn close_id(&mut self) {
        let start = self.users.last().map_or(0, |u| u.id_end as usize);
        self.close_user(user_hash(&self.ids[start..]));
    }

    /// Whether the users stand in ledger order, each once.
    pub(crate) fn users_ascend_by_hash(&self) -> bool {
        let hashes_ascend = self.users.is_sorted_by(|a, b| a.hash < b.hash);
        hashes_ascend || (1..self.len()).all(|i| self.user(i - 1).cmp_position(&self.user(i)).is_lt())
    }

    /// Whether the rows of each user ascend by facet, each facet once.
    pub(crate) fn facets_of_users_ascend(&self) -> bool {
        // Most users have one row, and then there is nothing to compare.
        if self.rows.len() == self.users.len() {
            return true;
        }
        let mut start = 0;
        self.users.iter().all(|user| {
            let rows = &self.rows[start..user.row_end as usize];
            start = user.row_end as usize;
            rows.is_sorted_by(|a, b| a.facet < b.facet)
        })
    }

    /// Removes the first `n` users.
    pub fn drop_front(&mut self, n: usize) {
        let Some(before) = n.checked_sub(1) else {
            return;
        };
        let UserEntry { id_end, row_end, .. } = self.users[before];
        self.users.drain(..n);
        self.ids.drain(..id_end as usize);
        self.rows.drain(..row_end as usize);
        for user in &mut self.users {
            user.id_end -= id_end;
            user.row_end -= row_end;
        }
    }

    /// Keeps the users whose hash is within `hashes`; they stand in ledger order.
    pub fn restrict(&mut self, hashes: &std::ops::RangeInclusive<u64>) {
        let end = self.users.partition_point(|u| u.hash <= *hashes.end());
        if end < self.users.len() {
            let (ids, rows) =
                end.checked_sub(1).map_or((0, 0), |last| (self.users[last].id_end, self.users[last].row_end));
            self.users.truncate(end);
            self.ids.truncate(ids as usize);
            self.rows.truncate(rows as usize);
        }
        self.drop_front(self.users.partition_point(|u| u.hash < *hashes.start()));
    }

    /// Keeps the users for which `keep` is true, and of the dictionary what they refer to.
    pub fn retain(&mut self, keep: impl Fn(&UserRows<'_>) -> bool) {
        if self.iter().all(|user| keep(&user)) {
            return;
        }
        let (mut kept, mut dictionary) = (Self::default(), Dictionary::default());
        let mut rows: Vec<Row> = Vec::new();
        for user in self.iter().filter(keep) {
            rows.clear();
            let number =
                |row: &Row| Row { facet: dictionary.number(&self.facets[row.facet as usize]), ..*row };
            rows.extend(user.rows.iter().map(number));
            normalize(&mut rows);
            kept.push(user.hash, user.id, &rows);
        }
        kept.facets = dictionary.into_facets();
        *self = kept;
    }

    /// Appends the users `range` of `other`, which has the same dictionary.
    pub fn extend_from(&mut self, other: &Self, range: std::ops::Range<usize>) {
        for user in range {
            let user = other.user(user);
            self.push(user.hash, user.id, user.rows);
        }
    }

    /// Merges many batches, in any order, into one in ledger order with each user once. Only users whose hash is within
    /// `hashes` are kept.
    pub fn gather(batches: &[impl Borrow<Self>], hashes: std::ops::RangeInclusive<u64>) -> Self {
        let batches: Vec<&Self> = batches.iter().map(Borrow::borrow).collect();
        let mut dictionary = Dictionary::default();
        let maps: Vec<Vec<u32>> = batches.iter().map(|b| dictionary.map(&b.facets)).collect();
        let mut order: Vec<(u64, u32, u32)> = Vec::new();
        for (b, batch) in batches.iter().enumerate() {
            let users = batch.users.iter().enumerate().filter(|(_, u)| hashes.contains(&u.hash));
            order.extend(users.map(|(i, u)| (u.hash, b as u32, i as u32)));
        }
        let user = |&(_, b, i): &(u64, u32, u32)| batches[b as usize].user(i as usize);
        order.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| user(a).id.cmp(user(b).id)));
        let mut out = Self::default();
        let mut scratch: Vec<Row> = Vec::new();
        let mut from = 0;
        while from < order.len() {
            let first = user(&order[from]);
            let mut to = from;
            scratch.clear();
            while to < order.len() && order[to].0 == first.hash && user(&order[to]).id == first.id {
                let map = &maps[order[to].1 as usize];
                scratch
                    .extend(user(&order[to]).rows.iter().map(|r| Row { facet: map[r.facet as usize], ..*r }));
                to += 1;
            }
            normalize(&mut scratch);
            out.push(first.hash, first.id, &scratch);
            from = to;
        }
        out.facets = dictionary.into_facets();
        out
    }
}

/// Gives each distinct facet a number.
#[derive(Default, Debug)]
pub struct Dictionary {
    facets: Vec<Facet>,
    numbers: HashMap<Facet, u32>,
}

impl Dictionary {
    /// The number of a facet; a facet that is new gets the next one.
    pub fn number(&mut self, facet: &Facet) -> u32 {
        if let Some(n) = self.numbers.get(facet) {
            return *n;
        }
        let n = self.facets.len() as u32;
        self.facets.push(facet.clone());
        self.numbers.insert(facet.clone(), n);
        n
    }

    /// The numbers of many facets.
    pub fn map(&mut self, facets: &[Facet]) -> Vec<u32> {
        facets.iter().map(|f| self.number(f)).collect()
    }

    /// The facets by number.
    pub fn facets(&self) -> &[Facet] {
        &self.facets
    }

    /// The facets by number.
    pub fn into_facets(self) -> Vec<Facet> {
        self.facets
    }
}
