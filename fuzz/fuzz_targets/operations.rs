//! Fuzz target: see `seqslot_hostile::operations`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| seqslot_hostile::operations(bytes));
