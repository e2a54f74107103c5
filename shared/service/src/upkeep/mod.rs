//! Work that no caller asks for: expiring and compacting data, warning people, stopping idle sources, and deleting doomed
//! copies and deleted sources; and counting what the days brought.

mod compact;
mod days;
mod expire;
mod housekeep;
mod idle;
mod purge;
mod sending;
mod sweep;
mod warn;

pub use compact::CompactReport;
pub use expire::Progress;
pub use sweep::SweepReport;
