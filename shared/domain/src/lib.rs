//! Rekindle's rules, without I/O: no AWS, no async runtime, no clock, no source of randomness.
//!
//! A **ledger** keeps the interactions of a source: rows of (user, facet) with first and last time, in an *inbox* of
//! appended blocks and in immutable *runs*, which lie in *copies* that a *manifest* lists. The other
//! modules are about sources, their lifecycle and their restores, about filters, which ask a ledger, and about keys, which
//! say what a caller may do.

pub mod arrival;
pub mod block;
pub mod bounds;
pub mod breaks;
mod codec;
pub mod compact;
pub mod day;
pub mod deletion;
#[doc(hidden)]
pub mod expire;
pub mod facet;
pub mod filter;
pub mod id;
pub mod idle;
pub mod interaction;
pub mod key;
pub mod manifest;
pub mod merge;
pub mod notice;
pub mod part;
pub mod people;
pub mod prices;
pub mod removal;
pub mod restore;
pub mod rows;
#[cfg(feature = "schema")]
pub mod schema;
pub mod segment;
pub mod session;
pub mod slot;
pub mod source;
pub mod tally;
pub mod time;
pub mod words;

pub use ulid::Ulid;

/// Whether a field has its default, and is not to be stored: for serde.
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
