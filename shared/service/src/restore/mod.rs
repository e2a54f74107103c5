//! Bringing expired data back.

mod begin;
mod end;
mod progress;
mod requests;
mod work;

pub use progress::{ItemView, RequestView};
pub use requests::RestoreInput;
