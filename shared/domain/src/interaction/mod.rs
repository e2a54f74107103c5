//! Interactions as senders post them. `batch` takes a body apart; `wire` reads and checks one interaction; `diagnose`
//! explains one that cannot be read; `mend` makes a text readable that was cut within a character; `pile` holds the interactions that one ledger gets; `collector` sorts a request
//! into piles.
//!
//! One bad interaction never hurts its neighbours: it becomes a [`Rejection`] that says what is wrong and where.

mod batch;
mod collector;
mod diagnose;
mod mend;
mod pile;
mod wire;

pub use batch::without_bom;
pub use collector::{Collected, Collector};

use crate::{
    rows::fingerprint,
    time::{DAY_MILLIS, Time},
};
use serde::Serialize;
use std::borrow::Cow;

/// The longest user id, in bytes.
pub const MAX_USER_ID: usize = 512;
/// The longest stored link alias, in bytes.
pub const MAX_ALIAS: usize = 256;
/// The most interactions one request may have.
pub const MAX_ITEMS: usize = 100_000;
/// The most sources one request may name.
pub const MAX_SOURCES: usize = 1_000;
/// The earliest time an interaction may have: 2000-01-01.
pub const EARLIEST: Time = Time(946_684_800_000);
/// How far ahead of the present an interaction's time may be.
pub const MAX_AHEAD_MILLIS: i64 = DAY_MILLIS;

/// An interaction that was not taken.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Rejection {
    /// Its place in the request, from 0.
    pub index: usize,
    /// What is wrong, stable, for programs.
    pub code: Cow<'static, str>,
    /// What is wrong and how to mend it, for people.
    pub detail: String,
}

/// A request that is refused as a whole.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum BatchError {
    /// The body is not JSON, or not of the shape of a batch.
    Malformed {
        /// The kind of error, stable, for programs.
        code: &'static str,
        /// The error and its place, for people.
        detail: String,
    },
    /// The request has more than one request may hold; the text says of what.
    TooMany(String),
}

/// Why one interaction is not taken: the code and the detail of its [`Rejection`].
type Refusal = (Cow<'static, str>, String);

fn refuse<T>(code: &'static str, detail: impl Into<String>) -> Result<T, Refusal> {
    Err((code.into(), detail.into()))
}

/// Checks that `id` may be a user id.
///
/// # Errors
/// The rule and the length of `id`, to be put behind the field's name.
pub fn check_user_id(id: &str) -> Result<(), String> {
    if (1..=MAX_USER_ID).contains(&id.len()) && !has_control(id) {
        let is_blank = id.trim_start().is_empty();
        return if is_blank { Err("must not be of blanks alone".to_owned()) } else { Ok(()) };
    }
    Err(format!(
        "must be 1 to {MAX_USER_ID} bytes of UTF-8 without control characters; this one has {} bytes",
        id.len()
    ))
}

/// A link's alias as it is stored and asked for. One of more than [`MAX_ALIAS`] bytes, or with control characters, costs
/// no click: each control character becomes a blank, the text is cut at the end of a character, and `~` and the 16 hex
/// digits of the [`fingerprint`] of the whole alias follow, [`MAX_ALIAS`] bytes at most in all. A stored alias is its own
/// stored form.
pub fn stored_alias(alias: &str) -> Cow<'_, str> {
    if alias.len() <= MAX_ALIAS && !has_control(alias) {
        return alias.into();
    }
    let mark = format!("~{:016x}", fingerprint(alias.as_bytes()));
    let mut stored = String::with_capacity(MAX_ALIAS);
    for c in alias.chars().map(|c| if c.is_control() { ' ' } else { c }) {
        if stored.len() + c.len_utf8() + mark.len() > MAX_ALIAS {
            break;
        }
        stored.push(c);
    }
    stored.push_str(&mark);
    stored.into()
}

/// Whether there are control characters. Most texts are ASCII, where looking at bytes suffices.
fn has_control(text: &str) -> bool {
    if text.is_ascii() {
        // Without an early end, so that the compiler can look at many bytes at once.
        text.bytes().fold(false, |found, b| found | b.is_ascii_control())
    } else {
        text.chars().any(char::is_control)
    }
}
