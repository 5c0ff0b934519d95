//! Wait and wake: futexes that processes share, with bit masks, and absolute timeouts, so that signals cannot stretch a wait.

use core::time::Duration;

use portable_atomic::{AtomicU32, Ordering};
use seqslot_core::Woken;

use crate::clock::deadline;

/// How long a wait sleeps where the kernel refuses futexes (a sandbox), so that its caller's loop does not spin.
const REFUSED_PAUSE: Duration = Duration::from_millis(1);

/// The bits of a wait or wake; none means all.
fn bits(mask: u32) -> u32 {
    if mask == 0 { u32::MAX } else { mask }
}

/// Sleeps while `word` holds `expected`, until a wake whose mask shares a bit with `mask` (0: any), or the end of
/// `timeout`. Goes on sleeping after a signal. A timeout of zero makes no system call. The word may be in read-only memory.
///
/// ```
/// use core::time::Duration;
/// use seqslot_core::{AtomicU32, Woken};
/// use seqslot_os_linux::wait::wait;
///
/// let word = AtomicU32::new(1);
/// assert_eq!(wait(&word, 2, 0, Duration::MAX), Woken::Perhaps);
/// assert_eq!(wait(&word, 1, 0, Duration::ZERO), Woken::TimedOut);
/// ```
#[must_use]
pub fn wait(word: &AtomicU32, expected: u32, mask: u32, timeout: Duration) -> Woken {
    // Relaxed: a look that saves a call; the kernel looks again, and the caller looks at what it waits for in any case.
    if word.load(Ordering::Relaxed) != expected {
        return Woken::Perhaps;
    }
    if timeout.is_zero() {
        return Woken::TimedOut;
    }
    let deadline = deadline(timeout);
    // Signals start it anew, with the same end: that bounds the loop.
    loop {
        match sleep_until(word, expected, bits(mask), &deadline) {
            Ok(()) => return Woken::Perhaps,
            Err(libc::ETIMEDOUT) => return Woken::TimedOut,
            Err(libc::EAGAIN) => return Woken::Perhaps,
            Err(libc::EINTR) => {}
            Err(_) => {
                std::thread::sleep(timeout.min(REFUSED_PAUSE));
                return if timeout <= REFUSED_PAUSE { Woken::TimedOut } else { Woken::Perhaps };
            }
        }
    }
}

/// One futex call; the error is the number.
fn sleep_until(word: &AtomicU32, expected: u32, mask: u32, deadline: &libc::timespec) -> Result<(), i32> {
    // SAFETY: the word and the deadline live through the call; the kernel reads the word atomically and writes nothing.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            libc::FUTEX_WAIT_BITSET,
            expected,
            core::ptr::from_ref(deadline),
            core::ptr::null::<u32>(),
            mask,
        )
    };
    if answer == 0 { Ok(()) } else { Err(std::io::Error::last_os_error().raw_os_error().unwrap_or(0)) }
}

/// Wakes everybody, in any process, who waits on `word` with a mask that shares a bit with `mask` (0: any).
///
/// ```
/// use core::time::Duration;
/// use seqslot_core::{AtomicU32, Ordering, Woken};
/// use seqslot_os_linux::wait::{wait, wake};
///
/// let word = AtomicU32::new(0);
/// std::thread::scope(|scope| {
///     let waiter = scope.spawn(|| wait(&word, 0, 0b10, Duration::from_secs(600)));
///     word.store(1, Ordering::Release);
///     wake(&word, 0b10); // a waiter of another mask would sleep on
///     assert_eq!(waiter.join().expect("no panic"), Woken::Perhaps);
/// });
/// ```
pub fn wake(word: &AtomicU32, mask: u32) {
    // SAFETY: the kernel uses the address of the word to find the waiters. It cannot fail for a word that is mapped.
    unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            libc::FUTEX_WAKE_BITSET,
            i32::MAX,
            core::ptr::null::<libc::timespec>(),
            core::ptr::null::<u32>(),
            bits(mask),
        )
    };
}
