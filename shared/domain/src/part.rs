//! Parts: the unit of work on a copy. One slot, one part; several workers may do parts of one copy at once.

use crate::{
    id::RunId,
    tally::{Digest, Tally},
    time::Time,
};
use serde::{Deserialize, Serialize};

/// How long a worker has for a part before others may try it, in production: somewhat more than a Lambda lives.
pub const LEASE_MILLIS: i64 = 16 * 60 * 1000;
/// After how many attempts a part fails, and with it the rewrite or restore that it belongs to: some hours of leases.
pub const MAX_ATTEMPTS: u32 = 25;

/// The record of a part. The first claim of the part writes it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Part {
    /// The number of the last attempt that was begun. Its bytes lie under that number, which is never used again.
    pub attempt: u32,
    /// Until when no other worker may claim the part.
    pub lease_until: Time,
    /// The worker that claimed it last. A worker whose claim got no answer sees by it whether the claim is its own.
    #[serde(default)]
    pub claimed_by: String,
    /// The outcome: the first attempt that was recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done: Option<PartDone>,
}

/// A part that was written, read back and compared.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct PartDone {
    /// The attempt whose bytes count.
    pub attempt: u32,
    /// The counts and the digest of its rows.
    pub tally: Tally,
    /// Its size where it lies, in bytes.
    pub bytes: u64,
    /// The rows that were read of each input run within the slot; empty for a further copy of a run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub consumed: Vec<Consumed>,
    /// How many rows were read of inbox blocks, before merging.
    #[serde(default)]
    pub inbox_rows: u64,
}

/// Rows of one input run.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Consumed {
    /// The run that was read.
    pub run: RunId,
    /// How many rows were read of it.
    pub rows: u64,
    /// The digest of those rows.
    pub digest: Digest,
}

impl Part {
    /// Whether a worker may begin an attempt.
    pub fn is_free(&self, now: Time) -> bool {
        self.done.is_none() && self.lease_until <= now
    }

    /// Whether no attempt is left.
    pub fn is_exhausted(&self, now: Time) -> bool {
        self.is_free(now) && self.attempt >= MAX_ATTEMPTS
    }
}

/// Adds up what the parts of a rewrite consumed of a run.
pub fn consumed_of(parts: &[PartDone], run: RunId) -> (u64, Digest) {
    let of_run = parts.iter().flat_map(|p| &p.consumed).filter(|c| c.run == run);
    of_run.fold((0, Digest::default()), |(rows, digest), c| {
        (rows + c.rows, Digest(digest.0.wrapping_add(c.digest.0)))
    })
}
