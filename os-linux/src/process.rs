//! Who a process is: number, start time, pid namespace.

use std::fs;
use std::os::unix::fs::MetadataExt;

use portable_atomic::{AtomicU32, Ordering};
use seqslot_core::Process;
use seqslot_os_posix::Token;

/// The calling process's number, start time (two words) and namespace, once known, and the token of the process that they are about:
/// a forked child does not believe its parent's.
static PID: AtomicU32 = AtomicU32::new(0);
static START: [AtomicU32; 2] = [AtomicU32::new(0), AtomicU32::new(0)];
static NAMESPACE: AtomicU32 = AtomicU32::new(0);
static KNOWN_FOR: AtomicU32 = AtomicU32::new(0);

/// The calling process. What /proc does not tell is 0. Reads /proc once; later calls make no system call.
///
/// ```
/// let me = seqslot_os_linux::process::current();
/// assert_eq!(me.pid, std::process::id());
/// ```
#[must_use]
pub fn current() -> Process {
    let token = Token::current().number();
    // ORDERING: Acquire, edge "known"; pairs with the Release below and carries the four words.
    if KNOWN_FOR.load(Ordering::Acquire) != token {
        let start = start_time("/proc/self/stat").unwrap_or(0);
        PID.store(std::process::id(), Ordering::Relaxed);
        START[0].store(start as u32, Ordering::Relaxed);
        START[1].store((start >> 32) as u32, Ordering::Relaxed);
        NAMESPACE.store(namespace().unwrap_or(0), Ordering::Relaxed);
        // ORDERING: Release, edge "known". Threads that come here at once store the same.
        KNOWN_FOR.store(token, Ordering::Release);
    }
    let start_time = u64::from(START[0].load(Ordering::Relaxed)) | u64::from(START[1].load(Ordering::Relaxed)) << 32;
    Process { pid: PID.load(Ordering::Relaxed), start_time, pid_namespace: NAMESPACE.load(Ordering::Relaxed) }
}

/// A second opinion on whether `process`, as a registry entry tells it, is alive. `None` where that cannot be known: it is
/// in another pid namespace, or /proc is not there.
///
/// ```
/// use seqslot_core::Process;
/// use seqslot_os_linux::process::{current, is_alive};
/// let me = current();
/// assert_ne!(is_alive(me), Some(false));
/// // The same number, started at another time, is somebody else:
/// let other = Process { start_time: me.start_time + 1, ..me };
/// assert_ne!(is_alive(other), Some(true));
/// ```
#[must_use]
pub fn is_alive(process: Process) -> Option<bool> {
    if process.pid_namespace == 0 || process.pid_namespace != current().pid_namespace || current().start_time == 0 {
        return None;
    }
    Some(start_time(&format!("/proc/{}/stat", process.pid)) == Some(process.start_time))
}

/// Field 22 of a stat file: clock ticks from the machine's start to the process's.
fn start_time(path: &str) -> Option<u64> {
    parse_start_time(&fs::read(path).ok()?)
}

/// The name in field 2 may hold anything, blanks and parentheses too: counting starts after the last of these.
fn parse_start_time(stat: &[u8]) -> Option<u64> {
    let end = stat.iter().rposition(|&byte| byte == b')')?;
    std::str::from_utf8(&stat[end + 1..]).ok()?.split_ascii_whitespace().nth(19)?.parse().ok()
}

fn namespace() -> Option<u32> {
    u32::try_from(fs::metadata("/proc/self/ns/pid").ok()?.ino()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_time_is_found_behind_any_name() {
        let stat = b"7 (a) b (1 2)) S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 98765 10 20";
        assert_eq!(parse_start_time(stat), Some(98765));
        assert_eq!(parse_start_time(b"7 (x) S 1"), None);
        assert_eq!(parse_start_time(b""), None);
    }

    #[test]
    fn this_process_is_alive_and_another_start_time_is_not() {
        let me = current();
        assert!(me.start_time != 0 && me.pid_namespace != 0, "{me:?}");
        assert_eq!(is_alive(me), Some(true));
        assert_eq!(is_alive(Process { start_time: me.start_time + 1, ..me }), Some(false));
        assert_eq!(is_alive(Process { pid_namespace: 1, ..me }), None);
    }
}
