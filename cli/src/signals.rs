//! Ctrl-C and SIGTERM end commands cleanly: the handler sets a flag and writes to a pipe that every sleep of ours polls.
//!
//! The handlers are installed without `SA_RESTART`, so that a blocking read or write comes back too. A second Ctrl-C ends at once.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};
use std::time::Duration;

/// How often SIGINT or SIGTERM came.
static COUNT: AtomicU32 = AtomicU32::new(0);
/// How often SIGINT came.
static INTERRUPTS: AtomicU32 = AtomicU32::new(0);
/// The pipe: reading end, writing end; -1 before `install`, or where the system gave none.
static PIPE: [AtomicI32; 2] = [AtomicI32::new(-1), AtomicI32::new(-1)];

/// What a wait came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ready {
    /// The descriptor is ready, or has an error that the next call on it will tell.
    Yes,
    /// Ctrl-C or SIGTERM.
    Interrupted,
    /// The time is over.
    TimedOut,
}

/// What a descriptor is to be ready for.
#[derive(Debug, Clone, Copy)]
pub enum For {
    /// Reading.
    Reading,
    /// Writing.
    Writing,
    /// Nothing: only errors, such as that the other end of a pipe is gone.
    Errors,
}

/// Installs the handlers. Called once, before anything else.
pub fn install() {
    let mut ends = [-1; 2];
    // SAFETY: an array of two descriptors, which the call fills.
    if unsafe { libc::pipe(ends.as_mut_ptr()) } == 0 {
        for (end, place) in ends.into_iter().zip(&PIPE) {
            set_flag(end, libc::F_GETFD, libc::F_SETFD, libc::FD_CLOEXEC);
            set_flag(end, libc::F_GETFL, libc::F_SETFL, libc::O_NONBLOCK);
            // ORDERING: Relaxed; the handlers are installed after it, by this thread.
            place.store(end, Ordering::Relaxed);
        }
    }
    handle(libc::SIGINT, on_end);
    handle(libc::SIGTERM, on_end);
    handle(libc::SIGHUP, on_end);
    handle(libc::SIGBUS, on_cut);
}

fn set_flag(fd: i32, get: i32, set: i32, flag: i32) {
    // SAFETY: a descriptor that was just made, and commands that take and return numbers.
    let flags = unsafe { libc::fcntl(fd, get) };
    // SAFETY: as above.
    unsafe { libc::fcntl(fd, set, flags | flag) };
}

fn handle(number: i32, handler: extern "C" fn(i32)) {
    // SAFETY: all zero is a valid value of this plain structure: no flags, an empty mask.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler as *const () as libc::sighandler_t;
    // SAFETY: a whole action whose handler calls async-signal-safe functions only.
    unsafe { libc::sigaction(number, &raw const action, std::ptr::null_mut()) };
}

/// Runs in a signal's context: atomics, `write` and `_exit` only.
extern "C" fn on_end(number: i32) {
    // ORDERING: Relaxed, all; flags that the same process looks at, the pipe's bytes are what wakes it.
    COUNT.fetch_add(1, Ordering::Relaxed);
    if number == libc::SIGINT && INTERRUPTS.fetch_add(1, Ordering::Relaxed) > 0 {
        // SAFETY: ends the process; nothing of ours runs after it.
        unsafe { libc::_exit(130) };
    }
    let saved = errno(None);
    // SAFETY: one byte, to a descriptor of ours that does not block; a full pipe is as good as one more byte.
    unsafe { libc::write(PIPE[1].load(Ordering::Relaxed), b"!".as_ptr().cast(), 1) };
    errno(Some(saved));
}

/// The memory behind a mapping is gone: somebody cut the file, or a sparse one met a full system.
extern "C" fn on_cut(_number: i32) {
    const TEXT: &[u8] = b"seqslot: the segment's memory is gone: its file was cut by somebody, or the system is full\n  \
        next: remove it (`seqslot rm PATH --force`) and start its writer again\n";
    // SAFETY: a constant text to standard error.
    unsafe { libc::write(2, TEXT.as_ptr().cast(), TEXT.len()) };
    // SAFETY: ends the process; the faulting access is not repeated.
    unsafe { libc::_exit(crate::fail::Kind::Corruption as i32) };
}

/// The thread's error number, and a new one if given: what a handler must leave as it found it.
fn errno(new: Option<i32>) -> i32 {
    #[cfg(target_os = "linux")]
    // SAFETY: takes nothing, returns the address of this thread's number.
    let place = unsafe { libc::__errno_location() };
    #[cfg(not(target_os = "linux"))]
    // SAFETY: takes nothing, returns the address of this thread's number.
    let place = unsafe { libc::__error() };
    // SAFETY: valid and aligned as long as the thread lives, and only this thread uses it.
    let old = unsafe { place.read() };
    if let Some(new) = new {
        // SAFETY: as above.
        unsafe { place.write(new) };
    }
    old
}

/// Whether the command is to end.
pub fn requested() -> bool {
    // ORDERING: Relaxed; looked at again and again.
    COUNT.load(Ordering::Relaxed) != 0
}

/// Waits until `fd` is ready, a signal asks to end, or `timeout` is over (`None`: no limit). A ready descriptor goes before a signal.
///
/// # Errors
/// `poll` failed.
pub fn wait(fd: Option<BorrowedFd<'_>>, what: For, timeout: Option<Duration>) -> io::Result<Ready> {
    let events = match what {
        For::Reading => libc::POLLIN,
        For::Writing => libc::POLLOUT,
        For::Errors => 0,
    };
    // ORDERING: Relaxed; stored before any signal could come.
    let pipe = PIPE[0].load(Ordering::Relaxed);
    let mut polled = [
        libc::pollfd { fd: fd.map_or(-1, |fd| fd.as_raw_fd()), events, revents: 0 },
        libc::pollfd { fd: pipe, events: libc::POLLIN, revents: 0 },
    ];
    let millis = timeout.map_or(-1, |time| i32::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX));
    // SAFETY: an array of two entries, which the call fills; -1 is an entry that is passed over.
    let count = unsafe { libc::poll(polled.as_mut_ptr(), 2, millis) };
    if count < 0 {
        let error = io::Error::last_os_error();
        return if error.kind() == io::ErrorKind::Interrupted { Ok(Ready::Interrupted) } else { Err(error) };
    }
    if polled[0].revents != 0 {
        return Ok(Ready::Yes);
    }
    Ok(if count == 0 { Ready::TimedOut } else { Ready::Interrupted })
}

/// Sleeps for `time`; true if a signal asks to end.
pub fn sleep(time: Duration) -> bool {
    // `poll` on a pipe of ours fails for want of memory only; then the sleep is short.
    let _ = wait(None, For::Errors, Some(time));
    requested()
}

/// Whether nobody reads any more what is written to `fd`.
pub fn is_deaf(fd: &impl AsFd) -> bool {
    matches!(wait(Some(fd.as_fd()), For::Errors, Some(Duration::ZERO)), Ok(Ready::Yes))
}

/// Asks the kernel to send SIGTERM when the parent dies, where it can; and does not start if it is dead already.
pub fn end_with_parent(parent: u32) {
    #[cfg(target_os = "linux")]
    {
        // SAFETY: a command that takes a number.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM) };
        if std::os::unix::process::parent_id() != parent {
            std::process::exit(crate::fail::Kind::Interrupted as i32);
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = parent;
}

/// Asks a child of ours to end (SIGTERM).
pub fn terminate(pid: u32) {
    if let Ok(pid) = libc::pid_t::try_from(pid) {
        // SAFETY: numbers; the child is not reaped yet, so the process is ours. If it has ended already nothing happens.
        unsafe { libc::kill(pid, libc::SIGTERM) };
    }
}
