//! Fuzz target: see `seqslot_hostile::zds2`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| seqslot_hostile::zds2(bytes));
