//! Linux keeps the clauses of `Os`, between real processes: each "other process" is a fork of the test; where a clause wants
//! signals, a timer sends one every other millisecond.

use std::io::{PipeReader, PipeWriter, Read, Write, pipe};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use seqslot_os_linux::{Claim, Linux};
use seqslot_os_mock::conformance::{Ending, Harness, Other, Signals};

/// What a child reports when it pauses, and answers with.
const PAUSED: u8 = b'P';
const YES: u8 = b'Y';

/// One test at a time, so that no other thread of this process is in the middle of something when it forks.
static ALONE: Mutex<()> = Mutex::new(());

struct LinuxHarness {
    directory: tempfile::TempDir,
    names: AtomicU32,
    _alone: MutexGuard<'static, ()>,
}

impl LinuxHarness {
    fn new() -> Self {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        Self { directory: tempfile::tempdir().expect("a directory"), names: AtomicU32::new(0), _alone: alone }
    }
}

seqslot_os_mock::conformance_tests!(LinuxHarness::new());

/// A forked child, as its parent has it.
struct Child {
    pid: libc::pid_t,
    report: PipeReader,
    /// Closed to let a paused child go on.
    go: Option<PipeWriter>,
    reaped: bool,
}

/// The child's ends.
struct Parent {
    report: PipeWriter,
    go: PipeReader,
}

enum Side {
    Child(Parent),
    Parent(Child),
}

/// Forks this process.
fn fork() -> Side {
    let (from_child, to_parent) = pipe().expect("a pipe");
    let (from_parent, to_child) = pipe().expect("a pipe");
    // SAFETY: the child runs the test's code and `_exit`s. Other threads of the test program wait: `ALONE`.
    match unsafe { libc::fork() } {
        -1 => panic!("fork: {}", std::io::Error::last_os_error()),
        0 => {
            // With the parent's end open in the child itself, it would never see it closed.
            drop((from_child, to_child));
            Side::Child(Parent { report: to_parent, go: from_parent })
        }
        pid => Side::Parent(Child { pid, report: from_child, go: Some(to_child), reaped: false }),
    }
}

impl Parent {
    fn pause(&mut self) {
        self.report.write_all(&[PAUSED]).expect("the parent reads");
        // Nothing ever comes: the parent closes its end.
        self.go.read_to_end(&mut Vec::new()).expect("the parent's end");
    }

    /// Runs the child's code and leaves without any destructor; a panic's text goes to the parent.
    fn leave_after(mut self, body: impl FnOnce(&mut Self)) -> ! {
        let status = match catch_unwind(AssertUnwindSafe(|| body(&mut self))) {
            Ok(()) => 0,
            Err(panic) => {
                let text = panic.downcast_ref::<String>().map_or("a panic in the child", String::as_str);
                // Best effort: the status tells, too.
                let _ = self.report.write_all(text.as_bytes());
                1
            }
        };
        // SAFETY: ends the process at once; nothing of it is used after.
        unsafe { libc::_exit(status) }
    }
}

impl Child {
    /// Waits for the child's pause; false if it ended or failed before.
    fn is_paused(&mut self) -> bool {
        let mut byte = [0];
        self.report.read_exact(&mut byte).is_ok() && byte[0] == PAUSED
    }

    fn kill(&self) {
        // SAFETY: a child of this process that was not waited for, so that the number is still its own.
        unsafe { libc::kill(self.pid, libc::SIGKILL) };
    }

    /// Lets the child go on and waits for its end; returns what is left of its report, and the status of `waitpid`.
    fn end(mut self) -> (Vec<u8>, libc::c_int) {
        self.go = None;
        let mut rest = Vec::new();
        self.report.read_to_end(&mut rest).expect("the child's end");
        (rest, self.reap())
    }

    /// As `end`, for a child that is to leave without a panic.
    fn end_well(self) -> Vec<u8> {
        let (rest, status) = self.end();
        assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0, "{}", String::from_utf8_lossy(&rest));
        rest
    }

    fn reap(&mut self) -> libc::c_int {
        let mut status = 0;
        self.reaped = true;
        loop {
            // SAFETY: a child of this process, not waited for yet; the status is written to a local.
            let pid = unsafe { libc::waitpid(self.pid, &raw mut status, 0) };
            if pid == self.pid {
                return status;
            }
            let error = std::io::Error::last_os_error();
            assert_eq!(error.kind(), std::io::ErrorKind::Interrupted, "waitpid: {error}");
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Only where a test fails on the parent's side.
        if !self.reaped {
            self.kill();
            self.reap();
        }
    }
}

extern "C" fn nothing(_signal: libc::c_int) {}

/// Sends this process a signal every other millisecond from now on; calls that it interrupts are not started anew.
fn disturb() {
    // SAFETY: all zero is a valid `sigaction`: no flags (so no SA_RESTART), an empty mask.
    let mut action: libc::sigaction = unsafe { core::mem::zeroed() };
    action.sa_sigaction = nothing as *const () as usize;
    // SAFETY: the handler does nothing, which any signal context allows; the struct is whole.
    let set = unsafe { libc::sigaction(libc::SIGALRM, &raw const action, core::ptr::null_mut()) };
    assert_eq!(set, 0);
    let every = libc::timeval { tv_sec: 0, tv_usec: 2000 };
    let timer = libc::itimerval { it_interval: every, it_value: every };
    // SAFETY: the struct is whole; the old value is not asked for.
    let set = unsafe { libc::setitimer(libc::ITIMER_REAL, &raw const timer, core::ptr::null_mut()) };
    assert_eq!(set, 0);
}

impl Harness for LinuxHarness {
    type Os = Linux;
    type Fresh = PathBuf;

    fn os(&self) -> Linux {
        Linux::new()
    }

    fn fresh_name(&self) -> PathBuf {
        self.directory.path().join(format!("{}.flink", self.names.fetch_add(1, Ordering::Relaxed)))
    }

    fn beside(&self, ending: Ending, other: &mut Other<'_, Linux>, meanwhile: &mut dyn FnMut()) -> bool {
        match fork() {
            Side::Child(parent) => parent.leave_after(|parent| other(&Linux::new(), &mut || parent.pause())),
            Side::Parent(mut child) => {
                if child.is_paused() {
                    meanwhile();
                    if ending == Ending::Killed {
                        child.kill();
                        let (_, status) = child.end();
                        assert!(libc::WIFSIGNALED(status), "status {status:#x}");
                        return true;
                    }
                }
                child.end_well();
                true
            }
        }
    }

    fn orphan(&self, holder: &mut dyn FnMut(&Linux), meanwhile: &mut dyn FnMut()) -> bool {
        match fork() {
            Side::Child(parent) => parent.leave_after(|parent| {
                holder(&Linux::new());
                // SAFETY: this process has one thread; parent and child go on with what is theirs.
                let forked = unsafe { libc::fork() };
                assert_ne!(forked, -1, "fork");
                if forked == 0 {
                    // The orphan tells the test that it runs, by the same pipes as its parent, and lives until it may go on. (Until a
                    // child has run for the first time, nothing in it can have closed what it has inherited.)
                    parent.pause();
                } else {
                    let _ = parent.go.read_to_end(&mut Vec::new());
                }
            }),
            Side::Parent(mut child) => {
                if !child.is_paused() {
                    child.end_well();
                    return true;
                }
                child.kill();
                let status = child.reap();
                assert!(libc::WIFSIGNALED(status), "status {status:#x}");
                meanwhile();
                // Until the orphan is gone: it holds the other end of the report.
                child.go = None;
                child.report.read_to_end(&mut Vec::new()).expect("the orphan's end");
                true
            }
        }
    }

    fn concurrently(&self, signals: Signals, others: usize, other: &(dyn Fn(&Linux, usize) + Sync), here: &mut dyn FnMut(&Linux)) -> bool {
        let start = |number| match fork() {
            Side::Child(parent) => parent.leave_after(|_| {
                if signals == Signals::Many {
                    disturb();
                }
                other(&Linux::new(), number);
            }),
            Side::Parent(child) => child,
        };
        let children: Vec<Child> = (0..others).map(start).collect();
        here(&Linux::new());
        children.into_iter().for_each(|child| drop(child.end_well()));
        true
    }

    fn fork(&self, claim: Claim, child: &mut dyn FnMut(Claim) -> bool) -> (Option<bool>, Claim) {
        match fork() {
            Side::Child(parent) => parent.leave_after(|parent| {
                if child(claim) {
                    parent.report.write_all(&[YES]).expect("the parent reads");
                }
            }),
            Side::Parent(forked) => (Some(forked.end_well() == [YES]), claim),
        }
    }
}
