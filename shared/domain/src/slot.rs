//! Slots: how the hash space of a run is cut. A slot is the unit of work: one part of a copy, one SQS message, one
//! archive object.

use serde::{Deserialize, Serialize};
use std::ops::RangeInclusive;

/// How many of the top bits of the user hash number a run's slots: 0 (one slot) to 12.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct SlotBits(u8);

/// About how large the slots of new runs are. A run keeps the slots that it was made with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SlotSize {
    /// How many rows a slot has at most.
    pub rows: u64,
    /// How many encoded bytes a slot has at most.
    pub bytes: u64,
}

impl Default for SlotSize {
    fn default() -> Self {
        Self { rows: ROWS_PER_SLOT, bytes: BYTES_PER_SLOT }
    }
}

impl SlotSize {
    /// The number of slots, as bits, for that many rows and encoded bytes; no more than 12 bits.
    pub fn bits_for(self, rows: u64, bytes: u64) -> SlotBits {
        let slots = rows.div_ceil(self.rows).max(bytes.div_ceil(self.bytes)).clamp(1, 1 << MAX_BITS);
        SlotBits(slots.next_power_of_two().trailing_zeros() as u8)
    }
}

/// About how many rows a slot should have at most: a worker holds them in memory.
pub const ROWS_PER_SLOT: u64 = 131_072;
/// About how many encoded bytes a slot should have at most.
pub const BYTES_PER_SLOT: u64 = 4 << 20;
const MAX_BITS: u8 = 12;

impl TryFrom<u8> for SlotBits {
    type Error = String;
    fn try_from(bits: u8) -> Result<Self, String> {
        if bits > MAX_BITS {
            return Err(format!("{bits} slot bits are more than {MAX_BITS}"));
        }
        Ok(Self(bits))
    }
}

impl From<SlotBits> for u8 {
    fn from(bits: SlotBits) -> Self {
        bits.0
    }
}

impl SlotBits {
    /// How many slots there are.
    pub const fn count(self) -> u32 {
        1 << self.0
    }

    /// The hashes that lie in a slot.
    pub const fn hashes(self, slot: u32) -> RangeInclusive<u64> {
        if self.0 == 0 {
            return 0..=u64::MAX;
        }
        let shift = 64 - self.0 as u32;
        let first = (slot as u64) << shift;
        first..=first | (u64::MAX >> self.0)
    }

    /// The slot that a hash lies in.
    pub const fn slot_of(self, hash: u64) -> u32 {
        if self.0 == 0 { 0 } else { (hash >> (64 - self.0 as u32)) as u32 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_tile_the_hashes() {
        for bits in 0..=MAX_BITS {
            let bits = SlotBits(bits);
            let mut next = Some(0u64);
            for slot in 0..bits.count() {
                let hashes = bits.hashes(slot);
                assert_eq!(Some(*hashes.start()), next);
                assert_eq!((bits.slot_of(*hashes.start()), bits.slot_of(*hashes.end())), (slot, slot));
                next = hashes.end().checked_add(1);
            }
            assert_eq!(next, None);
        }
    }

    #[test]
    fn slots_grow_with_rows_and_bytes() {
        assert_eq!(SlotSize::default().bits_for(0, 0).count(), 1);
        assert_eq!(SlotSize::default().bits_for(ROWS_PER_SLOT + 1, 0).count(), 2);
        assert_eq!(SlotSize::default().bits_for(1, 3 * BYTES_PER_SLOT).count(), 4);
        assert_eq!(SlotSize::default().bits_for(u64::MAX, u64::MAX).count(), 1 << MAX_BITS);
    }
}
