//! Tries arbitrary bytes as a block.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rekindle_fuzz::block::check(data));
