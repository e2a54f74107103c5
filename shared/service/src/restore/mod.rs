//! Bringing expired data back.

mod begin;
mod end;
mod estimate;
mod progress;
mod requests;
mod work;

pub use estimate::{Estimate, EstimateItem, EstimateState};
pub use progress::{ItemView, RequestView, Restoring};
pub use requests::RestoreInput;
