//! Clauses 5 to 7: waits end by the word, by a wake, by the time.

use core::time::Duration;

use seqslot_core::{Mapping, Ordering, Os, Woken};

use super::harness::{Harness, Signals};
use super::{FREE_AT, Fresh, check, create, open, word};

/// Words of the clauses below: the one waited on, and how many wait or are done.
const WAITED: usize = FREE_AT;
const READY: usize = FREE_AT + 64;
const DONE: usize = FREE_AT + 128;

/// Clause 5: the word has changed already.
///
/// # Panics
/// If the clause is broken.
pub fn clause_05(harness: &impl Harness) {
    let (os, name) = (harness.os(), Fresh::new(harness));
    let made = create(&os, name.get());
    let memory = made.mapping.memory();
    word(&memory, WAITED).store(1, Ordering::Release);
    // A broken wait is told by its answer.
    let woken = os.wait(word(&memory, WAITED), 0, u32::MAX, harness.patience());
    check!(5, woken == Woken::Perhaps, "it slept until its time was up");
}

/// Clause 6: the wake, of one waiter and of several.
///
/// # Panics
/// If the clause is broken.
pub fn clause_06<H: Harness>(harness: &H) {
    let patience = harness.patience();
    for (others, wait_mask, wake_mask) in [(1, u32::MAX, u32::MAX), (1, 0b0110, 0b0011), (1, 1 << 31, 1 << 31), (3, 1, 1)] {
        let (os, name) = (harness.os(), Fresh::new(harness));
        let name = name.get();
        let _made = create(&os, name);
        let waits = |os: &H::Os, _| {
            let mapping = open(os, name);
            let memory = mapping.memory();
            word(&memory, READY).fetch_add(1, Ordering::AcqRel);
            while word(&memory, WAITED).load(Ordering::Acquire) == 0 {
                let woken = os.wait(word(&memory, WAITED), 0, wait_mask, patience);
                check!(6, woken == Woken::Perhaps, "mask {wait_mask:#b} slept through a wake with {wake_mask:#b}");
            }
        };
        let mut wakes = |os: &H::Os| {
            let mapping = open(os, name);
            let memory = mapping.memory();
            while word(&memory, READY).load(Ordering::Acquire) != others as u32 {
                os.sleep(Duration::from_millis(1));
            }
            // So that they most likely sleep; either order must work.
            os.sleep(Duration::from_millis(20));
            word(&memory, WAITED).store(1, Ordering::Release);
            os.wake(word(&memory, WAITED), wake_mask);
        };
        // No signals: they would wake whom the wake has forgotten.
        if !harness.concurrently(Signals::None, others, &waits, &mut wakes) {
            return;
        }
    }
}

/// Clause 7: the timeout.
///
/// # Panics
/// If the clause is broken.
pub fn clause_07<H: Harness>(harness: &H) {
    let patience = harness.patience();
    let (os, name) = (harness.os(), Fresh::new(harness));
    let name = name.get();
    let made = create(&os, name);
    let memory = made.mapping.memory();
    let waited = word(&memory, WAITED);
    for timeout in [Duration::ZERO, Duration::from_nanos(1), Duration::from_millis(30)] {
        let before = os.now();
        // A wait may return early for no reason, but not every time.
        let ended = (0..10_000).any(|_| os.wait(waited, 0, u32::MAX, timeout) == Woken::TimedOut);
        let passed = os.now().saturating_sub(before);
        check!(7, ended, "a timeout of {timeout:?} never came");
        // Where the clock stands still, nothing can be said of it.
        check!(7, passed >= timeout || os.now().is_zero(), "a timeout of {timeout:?} came after {passed:?}");
    }
    let waits = |os: &H::Os, _| {
        let mapping = open(os, name);
        let memory = mapping.memory();
        // Whichever answer it gives: a signal may end it early, but nothing may keep it.
        let _ = os.wait(word(&memory, WAITED), 0, 0b01, Duration::from_millis(250));
        word(&memory, DONE).store(1, Ordering::Release);
    };
    // Wakes that are not for it, for much longer than it may wait.
    let mut disturbs = |os: &H::Os| {
        let begun = os.now();
        while word(&memory, DONE).load(Ordering::Acquire) == 0 {
            os.wake(waited, 0b10);
            os.sleep(Duration::from_micros(500));
            check!(7, os.now() - begun < patience, "a wait of 250 ms is not over after {patience:?} of wakes that are not for it");
        }
    };
    harness.concurrently(Signals::Many, 1, &waits, &mut disturbs);
}
