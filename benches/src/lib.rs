//! Holds the benches beside it; has no code of its own.
