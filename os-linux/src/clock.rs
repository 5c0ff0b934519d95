//! The clock of waits and timeouts: `CLOCK_MONOTONIC`, the same for all processes of the machine, time namespaces aside.

use core::time::Duration;

/// Time since some moment before the machine's start; never goes back.
///
/// ```
/// let before = seqslot_os_linux::clock::now();
/// assert!(seqslot_os_linux::clock::now() >= before);
/// ```
#[must_use]
pub fn now() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a clock that every kernel has, and a value to write to. It cannot fail.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// `timeout` from now as an absolute time for the kernel; what is too far away to say is as far as can be said.
pub(crate) fn deadline(timeout: Duration) -> libc::timespec {
    let at = now().checked_add(timeout).unwrap_or(Duration::MAX);
    // 68 years after the start fit every width of the field, and every kernel takes them.
    let seconds = at.as_secs().min(i32::MAX as u64);
    libc::timespec { tv_sec: seconds as libc::time_t, tv_nsec: at.subsec_nanos() as _ }
}
