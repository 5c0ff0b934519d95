//! Asymmetric fences by `membarrier(2)`: who waits pays for a fence on every processor, so that who commits or releases pays for none.
//!
//! `MEMBARRIER_CMD_GLOBAL_EXPEDITED` (Linux 4.16) runs a full barrier on every processor that is running a thread of a registered
//! process; a thread that is not running has passed one when the scheduler took it off. The caller passes one at the begin and at the end.

use core::sync::atomic::AtomicU32;
use core::sync::atomic::Ordering;

use seqslot_os_posix::Token;

/// The process that is registered, by its token: a forked child is not.
static ENROLLED: AtomicU32 = AtomicU32::new(0);

/// Registers this process with the kernel, once; false where the kernel cannot, or a sandbox forbids it.
///
/// One system call at the first call, none later. Of a process that has several threads by then, the kernel waits until all
/// processors have noticed, which may take some milliseconds.
///
/// ```
/// use seqslot_os_linux::fence;
/// // In a sandbox both may be false; a kernel that registers also makes the fences.
/// assert_eq!(fence::enroll(), fence::fence_all());
/// ```
#[must_use]
pub fn enroll() -> bool {
    let token = Token::current().number();
    // Relaxed: the word says nothing but that the kernel has answered this process; who reads it stale asks again.
    if ENROLLED.load(Ordering::Relaxed) == token {
        return true;
    }
    let is_enrolled = membarrier(libc::MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED);
    if is_enrolled {
        // Relaxed: as above.
        ENROLLED.store(token, Ordering::Relaxed);
    }
    is_enrolled
}

/// A full fence in every thread of every registered process, and here. False where the kernel refused. One system call; microseconds
/// where such threads run on other processors, which it interrupts.
#[must_use]
pub fn fence_all() -> bool {
    membarrier(libc::MEMBARRIER_CMD_GLOBAL_EXPEDITED)
}

fn membarrier(command: libc::c_int) -> bool {
    // SAFETY: it takes numbers and touches no memory.
    unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) == 0 }
}
