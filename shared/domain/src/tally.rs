//! The counts of a set of rows, and a digest that tells any two sets apart.

use crate::{
    facet::{Facet, Kind},
    rows::UserRows,
    time::Time,
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt, str::FromStr};
use twox_hash::XxHash3_128;

/// The wrapping sum of a 128-bit hash (XXH3-128, seed 0) of each row's canonical encoding. Independent of the order
/// of the rows and of how they are stored; digests of disjoint sets add up.
///
/// The canonical encoding of a row: the user id's length (u16), the user id, the facet ([`Facet::encode`]), first and
/// last (i64 each), little endian. Part of the stored format.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Digest(pub u128);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        u128::from_str_radix(text, 16).map(Self).map_err(|e| format!("not a digest: {e}"))
    }
}

impl Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The name of clicks by machines in [`Tally::by_kind`].
pub const MACHINE_CLICKED: &str = "machine_clicked";

/// The place of clicks by machines among the counts; the others stand at the number of their kind. The first place is empty.
const MACHINE_CLICKS: usize = Kind::ALL.len() + 1;

/// The name under which interactions of this facet count, in [`Tally::by_kind`] and wherever kinds are counted.
pub const fn counted_as(facet: &Facet) -> &'static str {
    if matches!(facet.kind, Kind::Clicked) && facet.machine { MACHINE_CLICKED } else { facet.kind.as_str() }
}

fn place(facet: &Facet) -> usize {
    if facet.kind == Kind::Clicked && facet.machine { MACHINE_CLICKS } else { facet.kind as usize }
}

/// Counts and digest of a set of rows. A run's is the sum of its slots'.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Users with at least one row.
    pub users: u64,
    /// How many rows there are.
    pub rows: u64,
    /// The digest of the rows.
    pub digest: Digest,
    /// How many users have each kind of interaction; kinds without users are left out. `opened` is by people and machines,
    /// `clicked` by people; [`MACHINE_CLICKED`] stands for clicks by machines.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub by_kind: BTreeMap<String, u64>,
    /// The latest `last_at` of all rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_at: Option<Time>,
}

impl Tally {
    /// Adds the tally of rows of other users.
    pub fn add(&mut self, other: &Self) {
        self.users += other.users;
        self.rows += other.rows;
        self.digest.0 = self.digest.0.wrapping_add(other.digest.0);
        for (kind, users) in &other.by_kind {
            *self.by_kind.entry(kind.clone()).or_default() += users;
        }
        self.last_at = self.last_at.max(other.last_at);
    }

    /// The sum of many tallies of different users.
    pub fn sum<'a>(parts: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut total = Self::default();
        for part in parts {
            total.add(part);
        }
        total
    }

    /// Whether the two stand for the same rows.
    pub fn same_rows(&self, other: &Self) -> bool {
        (self.rows, self.digest) == (other.rows, other.digest)
    }
}

/// Tallies users one by one; each user must come once.
#[derive(Default)]
pub struct Tallier {
    users: u64,
    rows: u64,
    digest: u128,
    by_kind: [u64; MACHINE_CLICKS + 1],
    last_at: Option<i64>,
    buffer: Vec<u8>,
    /// Of each facet its place in `by_kind`, and its canonical encoding.
    encoded: Vec<(usize, Vec<u8>)>,
    encoded_for: Vec<Facet>,
}

impl Tallier {
    /// Says which dictionary the rows that follow refer to. Cheap where it only grew since the last call.
    pub fn use_facets(&mut self, facets: &[Facet]) {
        if !facets.starts_with(&self.encoded_for) {
            self.encoded_for.clear();
            self.encoded.clear();
        }
        for facet in &facets[self.encoded_for.len()..] {
            let mut bytes = Vec::new();
            facet.encode(&mut bytes);
            self.encoded.push((place(facet), bytes));
            self.encoded_for.push(facet.clone());
        }
    }

    /// Adds a user.
    pub fn add(&mut self, user: &UserRows<'_>) {
        let mut places = 0u32;
        self.buffer.clear();
        self.buffer.extend_from_slice(&(user.id.len() as u16).to_le_bytes());
        self.buffer.extend_from_slice(user.id);
        let prefix = self.buffer.len();
        for row in user.rows {
            let (place, facet) = &self.encoded[row.facet as usize];
            self.buffer.truncate(prefix);
            self.buffer.extend_from_slice(facet);
            self.buffer.extend_from_slice(&row.first_at.to_le_bytes());
            self.buffer.extend_from_slice(&row.last_at.to_le_bytes());
            self.digest = self.digest.wrapping_add(XxHash3_128::oneshot(&self.buffer));
            places |= 1 << place;
            self.last_at = self.last_at.max(Some(row.last_at));
        }
        self.users += 1;
        self.rows += user.rows.len() as u64;
        for (place, count) in self.by_kind.iter_mut().enumerate() {
            *count += u64::from(places >> place & 1);
        }
    }

    /// The tally so far.
    pub fn tally(&self) -> Tally {
        Tally {
            users: self.users,
            rows: self.rows,
            digest: Digest(self.digest),
            by_kind: Kind::ALL
                .map(|kind| (kind.as_str(), self.by_kind[kind as usize]))
                .into_iter()
                .chain([(MACHINE_CLICKED, self.by_kind[MACHINE_CLICKS])])
                .filter(|(_, n)| *n > 0)
                .map(|(kind, n)| (kind.to_owned(), n))
                .collect(),
            last_at: self.last_at.map(Time),
        }
    }
}
