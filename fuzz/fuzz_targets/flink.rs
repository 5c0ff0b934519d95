//! Fuzz target: see `seqslot_hostile::flink`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| seqslot_hostile::flink(bytes));
