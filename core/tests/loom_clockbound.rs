//! Loom models of the reader and the writer of ClockBound's segments, over the code that ships.
//!
//! `RUSTFLAGS="--cfg loom" cargo test --release -p seqslot-core --test loom_clockbound -- --nocapture`
#![cfg(loom)]
#![allow(missing_docs)]

mod loom_memory;

use loom_memory::{Builder, LoomMemory, explore};
use seqslot_core::clockbound::{ClockBoundPen, ClockBoundView, ClockErrorBound, ClockStatus, Layout, ShmError, SnapshotStatus, TimeSpec};
use seqslot_core::{Memory, Ordering};

/// Offsets: segment size, version and generation, as_of (seconds), bound.
const SIZE_AT: usize = 8;
const GENERATION_AT: usize = 12;
const AS_OF_AT: usize = 16;
const BOUND_AT: usize = 48;
const LEN: usize = 80;

/// The low word of a number of 64 bits.
fn low(at: usize) -> usize {
    if cfg!(target_endian = "big") { at + 4 } else { at }
}

/// A segment that holds nothing yet; the words that tell the tale are modelled.
fn memory() -> LoomMemory {
    Builder::new(LEN).plain((0..LEN).step_by(4)).words([GENERATION_AT, low(AS_OF_AT), low(BOUND_AT)]).build()
}

fn pen(memory: &LoomMemory) -> ClockBoundPen<LoomMemory> {
    // SAFETY: 1. the model's memory lives as long as its handles. 2. it starts at 0. 3. each model has one at a time.
    unsafe { ClockBoundPen::start(memory.clone(), Layout::V2) }.expect("long enough")
}

/// A bound whose date and width are `number`.
fn bound(number: i64) -> ClockErrorBound {
    let date = TimeSpec::new(number, 0).expect("no nanoseconds");
    ClockErrorBound::new(date, date, number, 0, 0, ClockStatus::Synchronized, false)
}

/// What a snapshot says: the number of a whole bound, or none.
fn told(view: &mut ClockBoundView<LoomMemory>) -> Option<i64> {
    match view.snapshot() {
        Ok(bound) => {
            assert_eq!(bound.as_of().tv_sec(), bound.bound_nsec(), "torn");
            Some(bound.bound_nsec())
        }
        Err(error) => {
            assert!(matches!(error, ShmError::Contended { .. } | ShmError::SegmentNotInitialized), "{error}");
            None
        }
    }
}

#[test]
fn a_bound_is_that_of_its_date() {
    let executions = explore(3, || {
        let memory = memory();
        let mut pen = pen(&memory);
        pen.write(&bound(10)).expect("of its layout");
        // SAFETY: 1. and 2. as for the pen.
        let mut view = unsafe { ClockBoundView::attach(memory) }.expect("a segment");
        let daemon = loom::thread::spawn(move || pen.write(&bound(20)));
        for _ in 0..2 {
            assert!(matches!(told(&mut view), None | Some(10 | 20)));
        }
        daemon.join().expect("no panic").expect("of its layout");
        assert_eq!(told(&mut view), Some(20));
    });
    println!("a bound is that of its date: {executions} executions");
    assert!(executions > 1, "a concurrent model that explored one execution shows nothing");
}

#[test]
fn a_bound_is_never_of_a_wipe() {
    let executions = explore(3, || {
        let memory = memory();
        pen(&memory).write(&bound(10)).expect("of its layout");
        // SAFETY: 1. and 2. as for the pen.
        let mut view = unsafe { ClockBoundView::attach(memory.clone()) }.expect("a segment");
        // What makes the next writer wipe it; the view has looked at it.
        // SAFETY: a word of the segment.
        unsafe { memory.store(SIZE_AT, 0, Ordering::Relaxed) };
        let daemon = loom::thread::spawn(move || pen(&memory).write(&bound(20)));
        assert!(matches!(told(&mut view), None | Some(10 | 20)));
        daemon.join().expect("no panic").expect("of its layout");
        let status = view.snapshot_status().map(|(bound, status)| (bound.bound_nsec(), status));
        assert!(matches!(status, Ok((20, SnapshotStatus::Fresh | SnapshotStatus::Unchanged))), "{status:?}");
    });
    println!("a bound is never of a wipe: {executions} executions");
    assert!(executions > 1, "a concurrent model that explored one execution shows nothing");
}
