//! Fuzz target: see `seqslot_hostile::clockbound`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| seqslot_hostile::clockbound(bytes));
