//! The properties that must hold for all bytes. Each target calls one `check`, which panics if a property does not hold.

pub mod block;
pub mod heap;
pub mod ingest;
pub mod reference;
