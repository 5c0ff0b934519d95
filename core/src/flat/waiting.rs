//! A wait for a backend to change, with one timeout over all of its sleeps.

use core::time::Duration;

use crate::seeds::SlotBackend;

/// What a wake-up counts for where no clock runs, so that a wait ends however often it is woken.
const TURN: Duration = Duration::from_millis(1);

/// What is left of a timeout.
pub(super) struct Waiting {
    left: Duration,
    looked: Option<Duration>,
    /// The last sleep ended before its slice, and nothing had moved.
    was_early: bool,
}

impl Waiting {
    pub(super) fn new<B: SlotBackend + ?Sized>(backend: &B, timeout: Duration) -> Self {
        Self { left: timeout, looked: backend.now(), was_early: false }
    }

    /// Sleeps until the generation differs from `seen`, at most `slice`, which may be nothing; false, without sleeping, if the time is up.
    /// `seen` was taken before the caller looked at its condition, so no change is missed.
    pub(super) fn sleep<B: SlotBackend + ?Sized>(&mut self, backend: &B, seen: u64, slice: Duration) -> bool {
        if self.left.is_zero() {
            return false;
        }
        let slice = slice.min(self.left);
        if !slice.is_zero() {
            backend.wait_for_change(seen, slice);
        }
        let now = backend.now();
        let by_clock = self.looked.zip(now).map(|(before, now)| now.saturating_sub(before));
        self.looked = now;
        // Nothing moved: the slice is over; or it moved and is back at the same number, or something else woke the backend; or the backend cannot
        // wait. Where a clock runs that is told by the second time in a row: asking again and again is not to be the answer.
        let is_same = backend.notify_generation() == seen;
        let is_early = is_same && by_clock.is_some_and(|by_clock| by_clock < slice) && !self.was_early;
        self.was_early = is_early;
        let by_clock = by_clock.unwrap_or_else(|| TURN.min(slice));
        let slept = if is_same && !is_early { by_clock.max(slice) } else { by_clock };
        self.left = self.left.saturating_sub(slept);
        true
    }
}
