//! What the proof of the whole system is made of: a deployment in memory, its faults, a plain model of what it should
//! answer, and an auditor of what it stores.
#![allow(missing_docs, reason = "the proof's own parts, not an interface")]

pub mod openapi;
pub mod sim;

pub mod fixture {
    pub mod compaction;
    pub mod faults;
    pub mod model;
    pub mod peek;
    pub mod ports;
    pub mod world;
}
