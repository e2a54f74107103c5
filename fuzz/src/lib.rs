//! What must hold whatever bytes arrive. The targets call one `check` each, and it panics where something does not.

pub mod block;
pub mod heap;
pub mod ingest;
pub mod reference;
