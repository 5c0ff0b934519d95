//! The clock of waits and timeouts: `CLOCK_MONOTONIC`, the same for all processes of the machine; it goes on while the machine sleeps.

use core::time::Duration;

/// Time since some moment before now that is the same for all processes; never goes back.
#[must_use]
pub fn now() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a clock that the system has since 10.12, and a value to write to. It cannot fail.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}
