//! Total time of a wait, against spurious wake-ups, and on platforms without a clock.

use core::time::Duration;

use crate::os::{Os, Woken};

/// What is left of a timeout.
pub(crate) struct Deadline {
    left: Duration,
    seen: Duration,
}

impl Deadline {
    pub(crate) fn new<O: Os>(os: &O, timeout: Duration) -> Self {
        Self { left: timeout, seen: os.now() }
    }

    /// The next sleep: at most `slice`; `None` if the time is up.
    pub(crate) fn next(&mut self, slice: Duration) -> Option<Duration> {
        (!self.left.is_zero()).then(|| self.left.min(slice))
    }

    /// Accounts for a sleep that was to last `slept`: by the clock, or, where none runs, by what the platform says.
    pub(crate) fn account<O: Os>(&mut self, os: &O, slept: Duration, woken: Woken) {
        let now = os.now();
        let by_clock = now.saturating_sub(self.seen);
        self.seen = now;
        let by_word = match woken {
            _ if !by_clock.is_zero() => Duration::ZERO,
            Woken::TimedOut => slept,
            // Without a clock every return counts for something, so that a wait ends however often it is woken.
            Woken::Perhaps if now.is_zero() => slept.min(Duration::from_millis(1)),
            Woken::Perhaps => Duration::ZERO,
        };
        self.left = self.left.saturating_sub(by_clock.max(by_word));
    }
}
