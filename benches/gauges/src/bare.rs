//! What the machine itself takes: copies, and an atomic operation on each slot's line, to see beside them what ours cost.

use std::hint::black_box;
use std::sync::atomic::Ordering;

use seqslot::Config;

use crate::{Outcome, Run, expect, path};

/// One atomic operation on the header's line of each slot in turn, in memory of the same kind and with the same strides as a segment's.
pub fn atomic(slots: u64, run: Run<'_>) -> Outcome {
    let segment = seqslot::create(path("bare"), &Config::slots(slots, 64).writers(1).readers(1))?;
    let (view, slots) = (segment.view(), segment.geometry().slots);
    let mut next = 0;
    let mut done = 0;
    run(&mut |count| {
        for _ in 0..count {
            let slot = view.slot(next).ok_or("no such slot")?;
            // SAFETY: mapped writable, as we made it; nobody joins this segment, and the word has a meaning only where overwriting is allowed.
            let word = unsafe { slot.pins().atomic() };
            // ORDERING: Acquire, as a claim needs; it carries nothing here.
            word.fetch_add(1, Ordering::Acquire);
            next = if next + 1 == slots { 0 } else { next + 1 };
            done += 1;
        }
        Ok(())
    })?;
    let counted: u64 = view.slots().map(|slot| u64::from(slot.words().pins)).sum();
    expect(counted == done, "an atomic operation was lost")
}

/// A copy of `len` bytes.
pub fn once(len: usize, run: Run<'_>) -> Outcome {
    let (from, mut into) = (bytes(len), vec![0; len]);
    run(&mut |count| {
        for _ in 0..count {
            black_box(&mut into[..]).copy_from_slice(black_box(&from));
        }
        Ok(())
    })?;
    expect(into == from, "other bytes than those copied")
}

/// A copy of `len` bytes, and one of the copy.
pub fn twice(len: usize, run: Run<'_>) -> Outcome {
    let (from, mut between, mut into) = (bytes(len), vec![0; len], vec![0; len]);
    run(&mut |count| {
        for _ in 0..count {
            black_box(&mut between[..]).copy_from_slice(black_box(&from));
            black_box(&mut into[..]).copy_from_slice(black_box(&between));
        }
        Ok(())
    })?;
    expect(into == from, "other bytes than those copied")
}

fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|at| at as u8).collect()
}
