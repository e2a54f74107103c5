//! The laws of `rekindle-domain`, proved through its public surface. One binary, a module a subject.
//!
//! Tests that stand for an invariant of ARCHITECTURE.md carry its number in their name: `l2_…`, `l5_…`.

mod blocks;
mod compaction;
mod descriptions;
mod evaluation;
mod expiry;
mod filters;
mod golden;
mod idle;
mod ingest;
mod ingest_limits;
mod ingest_text;
mod lifecycle;
mod manifest;
mod notice;
mod packing;
mod people;
mod rows;
mod sizes;
mod support;
mod tally;
mod times;
