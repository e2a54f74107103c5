//! What happens without anybody asking: expiring, compacting, warning, stopping what is idle, and deleting what is doomed.

mod compact;
mod expire;
mod housekeep;
mod idle;
mod sweep;
mod warn;

pub use compact::CompactReport;
pub use expire::Progress;
pub use sweep::SweepReport;
