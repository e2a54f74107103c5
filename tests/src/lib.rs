//! The parts of the system's proof: a deployment in memory, faults, a plain model of the expected answers, and an auditor of
//! everything that is stored.
#![allow(missing_docs, reason = "used by the proof only, not an interface")]

pub mod openapi;
pub mod sim;

pub mod fixture {
    pub mod browser;
    pub mod compaction;
    pub mod faults;
    pub mod log;
    pub mod model;
    pub mod peek;
    pub mod ports;
    pub mod world;
}
