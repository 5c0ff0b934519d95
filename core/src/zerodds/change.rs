//! The one generation word, and the wait for it to move.
//!
//! Whoever changes something adds one, makes a full fence, and wakes if the count of waiters is not 0. A commit adds its one before the
//! next commit begins, so that who sees a sample sees that of every sample before it. Whoever waits counts itself, makes
//! a full fence and looks at the generation before it sleeps on it. So either the waiter sees the generation moved, or the other one sees
//! it counted; and the sleep does not begin where the word has moved in between.
//!
//! The count is alleged. One who is killed while it waits stays counted, which costs needless wakes; where a peer takes a count away
//! that is not its own, a wake may be left out, so nobody sleeps longer than a slice without looking.

use core::time::Duration;

use portable_atomic::Ordering::{Acquire, Relaxed, Release};

use super::view::View;
use crate::config::WRITER_SLICE;
use crate::deadline::Deadline;
use crate::memory::{Memory, MemoryCas};
use crate::os::{Os, Woken};

/// First and longest sleep of one who cannot be counted.
const SLEEP_FIRST: Duration = Duration::from_micros(50);
const SLEEP_LONGEST: Duration = Duration::from_millis(10);

/// The generation.
pub(super) fn generation<M: Memory>(view: &View<M>) -> u64 {
    // ORDERING: Acquire, edge "changed"; pairs with the Release of a bump. Carries what was changed before it.
    u64::from(view.generation().load(Acquire))
}

/// Tells of a change that was made before.
pub(super) fn bump<M: MemoryCas, O: Os>(view: &View<M>, os: &O) {
    advance(view);
    wake(view, os);
}

/// The first half of a bump: whoever looks sees the change. A [`wake`] is to follow.
pub(super) fn advance<M: MemoryCas>(view: &View<M>) {
    // ORDERING: Release, edge "changed"; pairs with the Acquire of `generation`. Carries the change.
    view.generation().fetch_add(1, Release);
}

/// The second half of a bump: whoever sleeps looks.
pub(super) fn wake<M: MemoryCas, O: Os>(view: &View<M>, os: &O) {
    // Full fence, edge "notify"; pairs with the one of a wait.
    view.memory().fence_full();
    // ORDERING: Relaxed; the fence orders it behind the advance.
    if view.waiters().load(Relaxed) != 0 {
        os.wake(view.generation().futex(), u32::MAX);
    }
}

/// Waits until the generation differs from `last`, at most `timeout` in all.
pub(super) fn wait<M: MemoryCas, O: Os>(view: &View<M>, os: &O, last: u64, timeout: Duration) {
    if generation(view) != last || timeout.is_zero() {
        return;
    }
    let mut deadline = Deadline::new(os, timeout);
    // ORDERING: Relaxed; the fence orders it before every look of this wait.
    view.waiters().fetch_add(1, Relaxed);
    // Full fence, edge "notify"; pairs with the one of a bump.
    view.memory().fence_full();
    while generation(view) == last {
        let Some(slice) = deadline.next(WRITER_SLICE) else { break };
        // The low half is the word: `last` is one that `generation` gave.
        let woken = os.wait(view.generation().futex(), last as u32, u32::MAX, slice);
        deadline.account(os, slice, woken);
    }
    // ORDERING: Relaxed; who still sees it counted wakes nobody.
    view.waiters().fetch_add(u32::MAX, Relaxed);
}

/// As [`wait`], for a forked child, which must not change what it inherited.
pub(super) fn wait_uncounted<M: Memory, O: Os>(view: &View<M>, os: &O, last: u64, timeout: Duration) {
    let mut deadline = Deadline::new(os, timeout);
    let mut pause = SLEEP_FIRST;
    while let Some(slice) = deadline.next(pause).filter(|_| generation(view) == last) {
        os.sleep(slice);
        deadline.account(os, slice, Woken::TimedOut);
        pause = (pause * 2).min(SLEEP_LONGEST);
    }
}
