//! Nothing but tests: `tests/system` proves Rekindle through its public surfaces, over an embedded AWS.
