//! Fuzz target: see `seqslot_hostile::attach`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| seqslot_hostile::attach(bytes));
