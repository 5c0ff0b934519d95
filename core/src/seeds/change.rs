//! The derived generation, and the wait for it to move.
//!
//! Nothing is bumped for it: everything that publishes or frees moves a word of its own, after the change and before the fence that
//! precedes its look at the waiters. The sum of those words is the generation. It is read word by word: a word that moves after it was
//! read makes a later sum differ, so a wait returns at once, and one that moved before carries its change (edge "changed").

use core::time::Duration;

use portable_atomic::Ordering::{Acquire, Relaxed};

use super::exclusive::Exclusive;
use super::writing::Writing;
use crate::config::WRITER_SLICE;
use crate::deadline::Deadline;
use crate::index::{ReaderIndex, WriterIndex};
use crate::memory::Memory;
use crate::os::Woken;
use crate::segment::{Segment, SlotsOs};
use crate::slots::view::SlotsView;

/// First and longest sleep of a waiter for whom no writer entry is left.
const SLEEP_FIRST: Duration = Duration::from_micros(50);
const SLEEP_LONGEST: Duration = Duration::from_millis(10);

/// The sum of the writers' heads and of all change counters. Each is 32 bits and wraps; the sum still moves.
pub(super) fn generation<M: Memory>(view: &SlotsView<M>) -> u64 {
    // ORDERING: Acquire, all, edge "changed"; pairs with the Release that moved the word after its change.
    let mut sum = u64::from(view.changes().load(Acquire));
    for entry in (0..view.geometry().writers).filter_map(WriterIndex::new).filter_map(|index| view.writer_entry(index)) {
        sum += u64::from(entry.head().load(Acquire));
        sum += u64::from(entry.changes().load(Acquire));
    }
    for entry in (0..view.geometry().readers).filter_map(ReaderIndex::new).filter_map(|index| view.reader_entry(index)) {
        sum += u64::from(entry.changes().load(Acquire));
    }
    sum
}

/// Waits until the generation differs from `last`, at most `timeout`.
pub(super) fn wait<O: SlotsOs, X: Exclusive<Writing<O>>>(segment: &Segment<O>, writing: &X, last: u64, timeout: Duration) {
    if generation(segment.view()) != last {
        return;
    }
    let mut deadline = Deadline::new(segment.os(), timeout);
    // What cannot be registered (no entry is left, the system refused) sleeps in growing steps.
    let bit = writing.with(|writing| writing.wait_bit(segment).ok());
    let mut pause = SLEEP_FIRST;
    while let Some(slice) = deadline.next(if bit.is_some() { WRITER_SLICE } else { pause }) {
        let woken = match bit {
            Some(bit) => sleep_registered(segment, writing, bit, last, slice),
            None => {
                segment.os().sleep(slice);
                pause = (pause * 2).min(SLEEP_LONGEST);
                Some(Woken::TimedOut)
            }
        };
        let Some(woken) = woken else { return };
        if generation(segment.view()) != last {
            return;
        }
        if woken == Woken::TimedOut && bit.is_some() {
            // Recovery moves a counter if there was somebody to recover. What cannot be looked at now is looked at after the next slice.
            let _ = segment.recover();
        }
        deadline.account(segment.os(), slice, woken);
    }
}

/// One registered sleep; `None` if the generation had moved by the time of the registration.
fn sleep_registered<O: SlotsOs, X: Exclusive<Writing<O>>>(
    segment: &Segment<O>,
    writing: &X,
    bit: u32,
    last: u64,
    slice: Duration,
) -> Option<Woken> {
    let view = segment.view();
    // ORDERING: Acquire, edge "notify"; pairs with the Release of a bump: having seen it, the look below sees its change.
    let seen = view.change_generation().load(Acquire);
    // The threads of this process share one bit, so they are counted: the last one clears it.
    writing.with(|writing| {
        writing.waiting += 1;
        // ORDERING: Relaxed; the fence orders it before the look.
        view.change_waiters().fetch_or(bit, Relaxed);
    });
    // Full fence, edge "notify": the bit is visible before the generation is looked at.
    view.memory().fence_full();
    let woken = (generation(view) == last).then(|| segment.os().wait(view.change_generation().futex(), seen, bit, slice));
    writing.with(|writing| {
        writing.waiting -= 1;
        if writing.waiting == 0 {
            // ORDERING: Relaxed; a notifier that still sees the bit wakes nobody.
            view.change_waiters().fetch_and(!bit, Relaxed);
        }
    });
    woken
}
