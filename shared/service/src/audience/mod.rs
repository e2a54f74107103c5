//! Questions about users: counts, members, one user's profile; a source with its counts, and its data as CSV.

mod breakdown;
mod counts;
mod export;
mod prepare;
mod profile;
mod questions;
mod walk;

pub use breakdown::{Breakdown, Property};
pub use export::{CsvFor, CsvPage};
pub use prepare::IfExpired;
pub use profile::{Overall, ProfileRequest, Seen, SeenInteraction, SeenState, SourceFacts, UserProfile};
pub use questions::{Count, CountRequest, Match, MatchRequest, Members, MembersRequest};
