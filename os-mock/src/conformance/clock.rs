//! Clause 8: the clock.

use core::time::Duration;

use seqslot_core::{Mapping, Ordering, Os};

use super::harness::{Ending, Harness};
use super::{FREE_AT, Fresh, check, create, open, word};

/// Clause 8: the clock goes on, and is the same for all. (One that shows zero for ever stands for none, which is allowed.)
///
/// # Panics
/// If the clause is broken.
pub fn clause_08<H: Harness>(harness: &H) {
    let (os, name) = (harness.os(), Fresh::new(harness));
    let mut last = os.now();
    let first = last;
    for _ in 0..10_000 {
        let now = os.now();
        check!(8, now >= last, "it went from {last:?} to {now:?}");
        last = now;
    }
    os.sleep(Duration::from_millis(10));
    let after = os.now();
    if first.is_zero() && after.is_zero() {
        return;
    }
    check!(8, after > last, "it stood at {after:?} during a sleep");

    let made = create(&os, name.get());
    let memory = made.mapping.memory();
    let (high, low) = (word(&memory, FREE_AT), word(&memory, FREE_AT + 4));
    let mut other = |os: &H::Os, pause: &mut dyn FnMut()| {
        let mapping = open(os, name.get());
        let memory = mapping.memory();
        let micros = os.now().as_micros() as u64;
        word(&memory, FREE_AT).store((micros >> 32) as u32, Ordering::Release);
        word(&memory, FREE_AT + 4).store(micros as u32, Ordering::Release);
        pause();
    };
    let mut meanwhile = || {
        let seen = u64::from(high.load(Ordering::Acquire)) << 32 | u64::from(low.load(Ordering::Acquire));
        let (from, to) = (after.as_micros() as u64, os.now().as_micros() as u64);
        check!(8, (from..=to).contains(&seen), "another process's clock shows {seen} µs between {from} and {to} of this one's");
    };
    harness.beside(Ending::Leaves, &mut other, &mut meanwhile);
}
