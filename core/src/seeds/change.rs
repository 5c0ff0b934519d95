//! The derived generation, and the wait for it to move.
//!
//! Nothing is bumped for it: everything that publishes or frees moves a word of its own, after the change and before the fence that
//! precedes its look at the waiters. The sum of those words is the generation. It is read word by word: a word that moves after it was
//! read makes a later sum differ, so a wait returns at once, and one that moved before carries its change (edge "changed").

use core::time::Duration;

use portable_atomic::Ordering::{Acquire, Relaxed};

use super::error::SlotError;
use super::exclusive::Exclusive;
use super::writing::Writing;
use crate::config::WRITER_SLICE;
use crate::deadline::Deadline;
use crate::index::{ReaderIndex, WriterIndex};
use crate::memory::Memory;
use crate::os::{Mapping, Woken};
use crate::segment::{Segment, SlotsOs};
use crate::slots::notify::UNCOVERED_SLICE;
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
    // A forked child must not even look at the lock: another thread of its parent may have had it.
    let registered = if segment.mapping().is_mine() { writing.with(|writing| register(segment, writing).ok()) } else { None };
    match registered {
        Some((bit, covered)) => {
            let slice_max = if covered { WRITER_SLICE } else { UNCOVERED_SLICE };
            wait_registered(segment, bit, last, slice_max, &mut deadline);
            writing.with(|writing| unregister(segment, writing, bit));
        }
        // No entry is left, or the system refused: it sleeps in growing steps.
        None => {
            let mut pause = SLEEP_FIRST;
            while let Some(slice) = deadline.next(pause).filter(|_| generation(segment.view()) == last) {
                segment.os().sleep(slice);
                deadline.account(segment.os(), slice, Woken::TimedOut);
                pause = (pause * 2).min(SLEEP_LONGEST);
            }
        }
    }
}

/// Sets this process's bit among the change waiters, and says whether no notifier can miss it. Its threads share one bit, so they are counted.
fn register<O: SlotsOs>(segment: &Segment<O>, writing: &mut Writing<O>) -> Result<(u32, bool), SlotError> {
    let bit = writing.entry(segment)?.bit();
    writing.waiting += 1;
    // ORDERING: Relaxed; the fence orders it before every look of this wait.
    segment.view().change_waiters().fetch_or(bit, Relaxed);
    // Heavy fence, edge "notify": a notifier either sees the bit, and bumps, or its change is seen by the looks.
    let covered = segment.view().fence_heavy(segment.os());
    Ok((bit, covered))
}

/// The last thread that waits clears the bit.
fn unregister<O: SlotsOs>(segment: &Segment<O>, writing: &mut Writing<O>, bit: u32) {
    writing.waiting -= 1;
    if writing.waiting == 0 {
        // ORDERING: Relaxed; a notifier that still sees the bit wakes nobody.
        segment.view().change_waiters().fetch_and(!bit, Relaxed);
    }
}

fn wait_registered<O: SlotsOs>(segment: &Segment<O>, bit: u32, last: u64, slice_max: Duration, deadline: &mut Deadline) {
    let view = segment.view();
    // Slept since the dead were looked for.
    let mut unlooked = Duration::ZERO;
    loop {
        // ORDERING: Acquire, edge "notify"; pairs with the Release of a bump: having seen it, the look below sees its change.
        let seen = view.change_generation().load(Acquire);
        if generation(view) != last {
            return;
        }
        let Some(slice) = deadline.next(slice_max) else { return };
        let woken = segment.os().wait(view.change_generation().futex(), seen, bit, slice);
        deadline.account(segment.os(), slice, woken);
        if woken == Woken::TimedOut {
            unlooked += slice;
        }
        if unlooked >= WRITER_SLICE || woken == Woken::TimedOut && deadline.next(slice_max).is_none() {
            // Recovery moves a counter if there was somebody to recover. What cannot be looked at now is looked at after the next slice.
            let _ = segment.recover();
            unlooked = Duration::ZERO;
        }
    }
}
