//! Faults that a sanitizer must report: `cargo xtask tsan` and `cargo xtask asan` run this first, so that a run that sees nothing, because
//! nothing is instrumented, does not pass for one without faults.
#![allow(unsafe_code, reason = "faulty on purpose")]

use std::cell::UnsafeCell;
use std::hint::black_box;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::thread;

struct Word(UnsafeCell<u64>);

// SAFETY: it is not safe: this is the fault.
unsafe impl Sync for Word {}

static WORD: Word = Word(UnsafeCell::new(0));

/// Two threads change a word, and nothing orders them.
fn race() {
    let there = AtomicU32::new(0);
    let change = || {
        // Both are there: one that had ended before the other began could have been ordered before it by the allocator. Relaxed orders nothing.
        there.fetch_add(1, Relaxed);
        while there.load(Relaxed) < 2 {
            thread::yield_now();
        }
        for _ in 0..1000 {
            // SAFETY: a word that is there for ever; that another thread writes it is the fault.
            unsafe { *black_box(WORD.0.get()) += 1 };
        }
    };
    thread::scope(|scope| {
        scope.spawn(change);
        scope.spawn(change);
    });
}

/// Reads one byte behind an allocation.
fn overrun() {
    let bytes = black_box(vec![0_u8; 64]);
    // SAFETY: it is not inside: this is the fault.
    black_box(unsafe { *bytes.as_ptr().wrapping_add(black_box(64)) });
}

/// Loses an allocation.
fn leak() {
    core::mem::forget(black_box(vec![0_u8; 64]));
}

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("race") => race(),
        Some("overrun") => overrun(),
        Some("leak") => leak(),
        _ => println!("faulty race|overrun|leak: to be run under a sanitizer, which must tell of it"),
    }
}
