//! A loom model of the reader of ClockBound's segments, over the code that ships; the daemon is played as its format asks of it.
//!
//! `RUSTFLAGS="--cfg loom" cargo test --release -p seqslot-core --test loom_clockbound -- --nocapture`
#![cfg(loom)]
#![allow(missing_docs)]

mod loom_memory;

use loom_memory::{Builder, LoomMemory, explore};
use seqslot_core::clockbound::{ClockBoundView, ShmError};
use seqslot_core::{Memory, Ordering};

/// Offsets: version and generation, as_of (seconds), bound, status.
const GENERATION_AT: usize = 12;
const AS_OF_AT: usize = 16;
const BOUND_AT: usize = 48;
const STATUS_AT: usize = 68;
const LEN: usize = 80;

fn put(memory: &LoomMemory, at: usize, value: u32, order: Ordering) {
    // SAFETY: a word of the segment.
    unsafe { memory.store(at, value, order) };
}

/// Version 2 and a generation, as the word that holds both.
fn generation(number: u16) -> u32 {
    let ([a, b], [c, d]) = (2_u16.to_ne_bytes(), number.to_ne_bytes());
    u32::from_ne_bytes([a, b, c, d])
}

/// The low word of a number of 64 bits.
fn low(at: usize) -> usize {
    if cfg!(target_endian = "big") { at + 4 } else { at }
}

/// The daemon's update: an odd generation, the payload, an even one.
fn update(memory: &LoomMemory, number: u16, value: u32) {
    put(memory, GENERATION_AT, generation(number - 1), Ordering::Relaxed);
    memory.fence(Ordering::Release);
    put(memory, low(AS_OF_AT), value, Ordering::Relaxed);
    put(memory, low(BOUND_AT), value, Ordering::Relaxed);
    put(memory, GENERATION_AT, generation(number), Ordering::Release);
}

#[test]
fn a_bound_is_that_of_its_date() {
    let executions = explore(3, || {
        let words = [GENERATION_AT, low(AS_OF_AT), low(BOUND_AT)];
        let memory = Builder::new(LEN).plain((0..LEN).step_by(4)).words(words).build();
        for (at, value) in [(0, 0x414D_5A4E), (4, 0x4342_0200), (8, LEN as u32), (STATUS_AT, 1)] {
            put(&memory, at, value, Ordering::Relaxed);
        }
        update(&memory, 2, 10);
        // SAFETY: 1. the model's memory lives as long as its handles. 2. it starts at 0.
        let mut view = unsafe { ClockBoundView::attach(memory.clone()) }.expect("a segment");
        let daemon = loom::thread::spawn(move || {
            update(&memory, 4, 20);
            memory
        });
        for _ in 0..2 {
            match view.snapshot() {
                Ok(bound) => assert_eq!(bound.as_of().tv_sec(), bound.bound_nsec(), "torn"),
                Err(error) => assert!(matches!(error, ShmError::Contended { .. } | ShmError::SegmentNotInitialized), "{error}"),
            }
        }
        let _memory = daemon.join().expect("no panic");
        assert_eq!(view.snapshot().map(|bound| bound.bound_nsec()), Ok(20));
    });
    println!("a bound is that of its date: {executions} executions");
    assert!(executions > 1, "a concurrent model that explored one execution shows nothing");
}
