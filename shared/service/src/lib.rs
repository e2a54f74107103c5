//! Rekindle's use cases, in rooms. A file beside the rooms is ground: every room may use it. A room uses the ground and the
//! rooms below it, and `tests/system/tidy` fails on any other arrow.
//!
//! | floor | room | purpose | may use |
//! |---|---|---|---|
//! | 5 | [`upkeep`] | the sweeper and the compactor: expire, compact, warn, stop what is idle, delete what is doomed | restore, notices, library, ledger |
//! | 4 | [`restore`] | bring expired data back | notices, library, ledger |
//! | 3 | [`notices`] | mails: their texts, and sending them | library |
//! | 3 | [`audience`] | questions about users | library, ledger |
//! | 3 | [`ingest`] | take interactions in | ledger |
//! | 2 | [`library`] | campaigns, Canvases, segments, tags, pins, and which source holds whose data | |
//! | 2 | [`ledger`] | rows in and out of one ledger | |
//! | 2 | [`access`] | keys, the audit trail, health | |
//! | 1 | ground | [`Rekindle`] itself, settings, caches, problems, pages, people, checks, journal, budget, retry, metrics | |

mod app;
mod budget;
mod caches;
mod checks;
pub mod config;
mod failure;
mod journal;
pub mod metrics;
mod page;
mod people;
mod problem;
mod report;
mod retry;
#[cfg(feature = "schema")]
mod schema;
mod settings;

pub mod access;
pub mod ledger;
pub mod library;

pub mod audience;
pub mod ingest;
pub mod notices;

pub mod restore;

pub mod upkeep;

/// Makes an `async fn` return its future in a box. A plain `async fn` is compiled by each crate that awaits it, together with
/// all that it awaits; a boxed one is compiled once, in this crate. Every method that another crate calls is boxed.
pub(crate) use async_recursion::async_recursion as boxed;

pub use app::Rekindle;
pub use budget::Budget;
pub use journal::Caller;
pub use page::{Listing, encode_cursor};
pub use problem::{Fact, Problem, ProblemKind, Remedy, Spell};
pub use report::{SweepOutcome, Swept};
pub use settings::{Settings, Sizes, UnknownSources};
