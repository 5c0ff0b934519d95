//! The clocks that a bound is read against.

use std::io::Error;

use seqslot_core::clockbound::{ShmError, TimeSpec};

/// The clock that layout 2 dates its updates by: cheap to read, steps of a few milliseconds.
#[cfg(target_os = "linux")]
const MONOTONIC: libc::clockid_t = libc::CLOCK_MONOTONIC_COARSE;
/// There is no coarse one; ClockBound uses this one there, too.
#[cfg(not(target_os = "linux"))]
const MONOTONIC: libc::clockid_t = libc::CLOCK_MONOTONIC;

/// CLOCK_REALTIME.
pub(super) fn realtime() -> Result<TimeSpec, ShmError> {
    read(libc::CLOCK_REALTIME)
}

/// The clock that updates of layout 2 are dated by, and read against: CLOCK_MONOTONIC_COARSE where there is one.
///
/// # Errors
/// [`ShmError::SyscallError`].
///
/// ```
/// let before = seqslot_os_posix::monotonic()?;
/// assert!(seqslot_os_posix::monotonic()? >= before);
/// # Ok::<(), seqslot_core::clockbound::ShmError>(())
/// ```
pub fn monotonic() -> Result<TimeSpec, ShmError> {
    read(MONOTONIC)
}

#[allow(clippy::useless_conversion, reason = "narrower on 32-bit platforms")]
fn read(clock: libc::clockid_t) -> Result<TimeSpec, ShmError> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a number, and a value to write to.
    if unsafe { libc::clock_gettime(clock, &raw mut time) } != 0 {
        return Err(ShmError::SyscallError(Error::last_os_error().raw_os_error().unwrap_or(0), c"clock_gettime"));
    }
    TimeSpec::new(time.tv_sec.into(), time.tv_nsec.into()).ok_or(ShmError::SyscallError(libc::EINVAL, c"clock_gettime"))
}

/// The processor's counter; nothing before it in the program is done after it is read, nothing after it before.
#[cfg(target_arch = "x86_64")]
pub(super) fn counter() -> Result<u64, ShmError> {
    use core::arch::x86_64::{_mm_lfence, _rdtsc};
    // SAFETY: every processor of this architecture has the instruction.
    unsafe { _mm_lfence() };
    // SAFETY: as above; where a system forbids it to programs, it ends the process in an orderly way (SIGSEGV).
    let counter = unsafe { _rdtsc() };
    // SAFETY: as above.
    unsafe { _mm_lfence() };
    Ok(counter)
}

/// The processor's counter; nothing before it in the program is done after it is read, nothing after it before.
#[cfg(target_arch = "aarch64")]
pub(super) fn counter() -> Result<u64, ShmError> {
    let counter: u64;
    // SAFETY: reads a register that the system lets programs read, into a register; touches no memory, no stack, no flags.
    unsafe { core::arch::asm!("isb", "mrs {}, cntvct_el0", "isb", out(reg) counter, options(nostack, preserves_flags)) };
    Ok(counter)
}

/// No counter that ClockBound uses.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(super) fn counter() -> Result<u64, ShmError> {
    Err(ShmError::NoCounter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_and_counter_go_forward() {
        let (real, coarse, ticks) = (realtime().unwrap(), monotonic().unwrap(), counter());
        std::thread::sleep(std::time::Duration::from_millis(20));
        assert!(monotonic().unwrap() > coarse, "a step of the coarse clock is 10 ms at most");
        assert!(realtime().unwrap() != real);
        match (ticks, counter()) {
            (Ok(before), Ok(after)) => assert!(after > before),
            (Err(before), Err(after)) => assert_eq!((before, after), (ShmError::NoCounter, ShmError::NoCounter)),
            other => panic!("{other:?}"),
        }
    }
}
