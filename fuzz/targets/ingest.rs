//! Tries arbitrary bytes as a request's body.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rekindle_fuzz::ingest::check(data));
