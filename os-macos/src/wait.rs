//! Wait and wake: `os_sync_wait_on_address` where the system has it (macOS 14.4 and later, found at run time), otherwise
//! looks at the word between sleeps that grow to [`NAP_MAX`].
//!
//! The system's call knows no masks: a wake wakes every waiter of the word, which looks and goes back to sleep.

use core::ffi::{CStr, c_int, c_void};
use core::time::Duration;

use portable_atomic::{AtomicU32, Ordering};
use seqslot_core::Woken;
use spin::Once;

use crate::clock::now;

/// Longest sleep between two looks where the system cannot wait on a word: the most that a wake can be late.
pub const NAP_MAX: Duration = Duration::from_millis(1);
/// First sleep; each is twice the one before.
const NAP_MIN: Duration = Duration::from_micros(10);

type WaitFn = unsafe extern "C" fn(*mut c_void, u64, usize, libc::os_sync_wait_on_address_flags_t, libc::os_clockid_t, u64) -> c_int;
type WakeFn = unsafe extern "C" fn(*mut c_void, usize, libc::os_sync_wake_by_address_flags_t) -> c_int;

/// The system's functions.
struct Sync {
    wait: WaitFn,
    wake: WakeFn,
}

/// Looked for once; `None` before macOS 14.4.
fn sync() -> Option<&'static Sync> {
    static FOUND: Once<Option<Sync>> = Once::new();
    FOUND.call_once(find).as_ref()
}

fn find() -> Option<Sync> {
    let wait = symbol(c"os_sync_wait_on_address_with_timeout")?;
    let wake = symbol(c"os_sync_wake_by_address_all")?;
    // SAFETY: the function of that name has had this type since it exists (os/os_sync_wait_on_address.h).
    let wait = unsafe { core::mem::transmute::<*mut c_void, WaitFn>(wait) };
    // SAFETY: as above.
    let wake = unsafe { core::mem::transmute::<*mut c_void, WakeFn>(wake) };
    Some(Sync { wait, wake })
}

fn symbol(name: &CStr) -> Option<*mut c_void> {
    // SAFETY: a string that ends with NUL; the default handle is always valid.
    let address = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    (!address.is_null()).then_some(address)
}

/// Sleeps while `word` holds `expected`, until a wake of the word or the end of `timeout`; the mask is not used. Goes on
/// sleeping after a signal. A timeout of zero makes no system call.
#[must_use]
pub fn wait(word: &AtomicU32, expected: u32, _mask: u32, timeout: Duration) -> Woken {
    // Relaxed: a look that saves a call; the kernel looks again, and the caller looks at what it waits for in any case.
    if word.load(Ordering::Relaxed) != expected {
        return Woken::Perhaps;
    }
    if timeout.is_zero() {
        return Woken::TimedOut;
    }
    let deadline = now().checked_add(timeout).unwrap_or(Duration::MAX);
    match sync() {
        Some(sync) => wait_on_address(sync, word, expected, deadline),
        None => poll(word, expected, deadline),
    }
}

/// Wakes everybody, in any process, who waits on `word`; the mask is not used.
pub fn wake(word: &AtomicU32, _mask: u32) {
    let Some(sync) = sync() else { return };
    // SAFETY: the address, size and flag that the waiters gave. Failing (ENOENT) means that nobody waits.
    unsafe { (sync.wake)(word.as_ptr().cast(), size_of::<u32>(), libc::OS_SYNC_WAKE_BY_ADDRESS_SHARED) };
}

fn wait_on_address(sync: &Sync, word: &AtomicU32, expected: u32, deadline: Duration) -> Woken {
    // Signals start it anew, with what is left of the time: that bounds the loop.
    loop {
        let left = deadline.saturating_sub(now());
        if left.is_zero() {
            return Woken::TimedOut;
        }
        // 292 years are as good as for ever.
        let left_ns = u64::try_from(left.as_nanos()).unwrap_or(u64::MAX).min(i64::MAX as u64);
        // SAFETY: the word lives through the call, and is of the size given; the kernel reads it atomically.
        let answer = unsafe {
            (sync.wait)(
                word.as_ptr().cast(),
                u64::from(expected),
                size_of::<u32>(),
                libc::OS_SYNC_WAIT_ON_ADDRESS_SHARED,
                libc::OS_CLOCK_MACH_ABSOLUTE_TIME,
                left_ns,
            )
        };
        if answer >= 0 {
            return Woken::Perhaps;
        }
        match std::io::Error::last_os_error().raw_os_error() {
            // The clock of the timeout stands still while the machine sleeps, ours does not: the loop's head decides.
            Some(libc::ETIMEDOUT | libc::EINTR) => {}
            // EFAULT: the word was not in memory; the caller looks and comes again.
            _ => return poll(word, expected, deadline.min(now() + NAP_MAX)).or_perhaps(now() < deadline),
        }
    }
}

/// Looks, and sleeps for longer and longer in between.
fn poll(word: &AtomicU32, expected: u32, deadline: Duration) -> Woken {
    let mut nap = NAP_MIN;
    loop {
        let left = deadline.saturating_sub(now());
        if left.is_zero() {
            return Woken::TimedOut;
        }
        std::thread::sleep(nap.min(left));
        // Relaxed: as in `wait`.
        if word.load(Ordering::Relaxed) != expected {
            return Woken::Perhaps;
        }
        nap = (nap * 2).min(NAP_MAX);
    }
}

/// An early end of a poll is no timeout.
trait OrPerhaps {
    fn or_perhaps(self, early: bool) -> Self;
}

impl OrPerhaps for Woken {
    fn or_perhaps(self, early: bool) -> Self {
        if early { Self::Perhaps } else { self }
    }
}
