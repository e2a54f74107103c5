//! Taking interactions in. This room knows no audience and no lifecycle.

mod batch;
mod body;
mod sources;

pub use batch::Accepted;
pub use body::{Encoding, Layout, MAX_ENCODED};
