//! Each process remembers a few things between calls, so that it need not read or write them again. A cache is bounded:
//! when it is full it forgets, and the process reads again.

use rekindle_domain::{
    Ulid,
    id::{KeyId, LedgerId, SourceId},
    idle::KNOWN_FOR_MILLIS,
    key::{AccessKey, MAX_KEYS},
    people::People,
    time::Time,
};
use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
};

/// How long a busy worker relies on a mark, in milliseconds. It writes at most one mark a minute for each ledger.
const BUSY_MILLIS: i64 = 60_000;
/// How long a quiet worker relies on a mark, in milliseconds. A mark costs a write, a deletion and a look at the ledger;
/// at one in ten minutes that is next to nothing.
const QUIET_MILLIS: i64 = 10 * 60_000;
/// A worker counts as busy after this many blocks under one mark.
const BUSY_BLOCKS: usize = 64;
/// A worker counts as busy after this many bytes under one mark.
const BUSY_BYTES: u64 = 64 << 10;
/// The most sources, and the most ledgers, that are remembered.
const MAX_REMEMBERED: usize = 10_000;
/// How long a process trusts a key that it verified, without reading it again, in milliseconds.
const KEY_MILLIS: i64 = 5_000;
/// The most keys that are remembered: more than are ever in use.
const MAX_REMEMBERED_KEYS: usize = 2 * MAX_KEYS;

/// A map behind a lock, with at most `most` entries. A panic elsewhere while the lock was held leaves the map usable.
struct Bounded<K, V> {
    most: usize,
    entries: Mutex<HashMap<K, V>>,
}

impl<K: Eq + Hash, V> Bounded<K, V> {
    fn new(most: usize) -> Self {
        Self { most, entries: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, V>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the entries, with room for `key`. A full map drops the entries for which `keep` is false, and all entries if
    /// that is not enough.
    fn with_room_for(&self, key: &K, keep: impl Fn(&V) -> bool) -> MutexGuard<'_, HashMap<K, V>> {
        let mut entries = self.lock();
        if entries.len() >= self.most && !entries.contains_key(key) {
            entries.retain(|_, value| keep(value));
            if entries.len() >= self.most {
                entries.clear();
            }
        }
        entries
    }
}

/// The sources that are prepared for an append already, each with the time of that finding.
pub(crate) struct KnownSources(Bounded<SourceId, Time>);

impl Default for KnownSources {
    fn default() -> Self {
        Self(Bounded::new(MAX_REMEMBERED))
    }
}

impl KnownSources {
    pub(crate) fn is_known(&self, source: &SourceId, now: Time) -> bool {
        self.0.lock().get(source).is_some_and(|at| (at.0..at.0 + KNOWN_FOR_MILLIS).contains(&now.0))
    }

    pub(crate) fn remember(&self, source: &SourceId, now: Time) {
        self.0.with_room_for(source, |_| false).insert(source.clone(), now);
    }
}

/// The dirty marks that this worker wrote.
pub(crate) struct Marked {
    worker: OnceLock<Ulid>,
    ledgers: Bounded<LedgerId, Standing>,
}

impl Default for Marked {
    fn default() -> Self {
        Self { worker: OnceLock::new(), ledgers: Bounded::new(MAX_REMEMBERED) }
    }
}

/// A mark, and how much was appended under it.
#[derive(Clone, Copy, Default)]
pub(crate) struct Standing {
    /// The worker relies on the mark until this time.
    pub(crate) until: Time,
    is_busy: bool,
    blocks: usize,
    bytes: u64,
}

impl Standing {
    const fn is_much(&self) -> bool {
        self.blocks >= BUSY_BLOCKS || self.bytes >= BUSY_BYTES
    }
}

impl Marked {
    /// The id of this worker: `new` makes it once.
    pub(crate) fn worker(&self, new: impl FnOnce() -> Ulid) -> Ulid {
        *self.worker.get_or_init(new)
    }

    /// Counts an append. Returns the mark to write before it; `None` if an earlier mark still covers it.
    pub(crate) fn count(&self, ledger: &LedgerId, now: Time, blocks: usize, bytes: u64) -> Option<Standing> {
        let mut ledgers = self.ledgers.with_room_for(ledger, |_| false);
        let standing = ledgers.entry(ledger.clone()).or_default();
        standing.blocks += blocks;
        standing.bytes += bytes;
        let is_much = standing.is_much();
        if now < standing.until && (standing.is_busy || !is_much) {
            return None;
        }
        let lasts = if is_much { BUSY_MILLIS } else { QUIET_MILLIS };
        Some(Standing { until: now.plus(lasts), is_busy: is_much, blocks: 0, bytes: 0 })
    }

    pub(crate) fn remember(&self, ledger: &LedgerId, standing: Standing) {
        self.ledgers.lock().insert(ledger.clone(), standing);
    }
}

/// The keys that were verified, each as it was read and with the time of the read.
pub(crate) struct OpenedKeys(Bounded<KeyId, (Time, AccessKey)>);

impl Default for OpenedKeys {
    fn default() -> Self {
        Self(Bounded::new(MAX_REMEMBERED_KEYS))
    }
}

impl OpenedKeys {
    pub(crate) fn get(&self, id: KeyId, now: Time) -> Option<AccessKey> {
        let keys = self.0.lock();
        let (read_at, key) = keys.get(&id)?;
        (now < read_at.plus(KEY_MILLIS)).then(|| key.clone())
    }

    pub(crate) fn put(&self, read_at: Time, key: &AccessKey) {
        let is_fresh = |(at, _): &(Time, AccessKey)| read_at < at.plus(KEY_MILLIS);
        self.0.with_room_for(&key.id, is_fresh).insert(key.id, (read_at, key.clone()));
    }

    pub(crate) fn forget(&self, id: KeyId) {
        self.0.lock().remove(&id);
    }
}

/// The merges of user ids that were read. None is ever changed, so that they are what they were; there may be more by now.
#[derive(Default)]
pub(crate) struct KnownPeople(Mutex<People>);

impl KnownPeople {
    fn lock(&self) -> MutexGuard<'_, People> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn get(&self) -> People {
        self.lock().clone()
    }

    /// Remembers these, unless more are known.
    pub(crate) fn put(&self, people: &People) {
        let mut known = self.lock();
        if known.last() < people.last() {
            *known = people.clone();
        }
    }
}
