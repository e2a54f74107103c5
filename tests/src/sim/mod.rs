//! A simulation of the whole system: seeded histories, interleaved call by call, and an auditor.
//!
//! A **history** is a deployment in memory, a clock that only the history moves, and processes (requests, sweeps,
//! deliveries) whose calls to AWS wait at the **gate** until the scheduler lets one through, breaks it, or kills its
//! process. Everything follows from the seed. After each call that could lose something the **auditor** compares
//! everything that is stored with a plain list of the posted interactions.

pub mod audit;
mod days;
pub mod gate;
pub mod history;
pub mod rest;
pub mod snapshot;
pub mod truth;
