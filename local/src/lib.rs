//! The local runner: the same handlers as in Lambda, and an AWS of its own, in one process.

pub mod embedded;
