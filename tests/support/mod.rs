//! A second process for a test: the test's own binary, started again with the same test and a role.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

const ROLE: &str = "SEQSLOT_TEST_ROLE";
const SEGMENT: &str = "SEQSLOT_TEST_SEGMENT";

/// The role this process was started for and the segment's path; `None` in the test itself.
pub fn role() -> Option<(String, PathBuf)> {
    Some((std::env::var(ROLE).ok()?, std::env::var_os(SEGMENT)?.into()))
}

/// Another process that plays a role of the same test. Killed when dropped.
pub struct Peer {
    child: Child,
    says: BufReader<ChildStdout>,
    hears: Option<ChildStdin>,
}

impl Peer {
    /// Starts `test` (its full name) again as `role`.
    pub fn start(test: &str, role: &str, segment: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture", "--test-threads=1"])
            .env(ROLE, role)
            .env(SEGMENT, segment)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let says = BufReader::new(child.stdout.take().unwrap());
        let hears = child.stdin.take();
        Self { child, says, hears }
    }

    /// Waits until the peer says a line that begins with `what`; gives the rest of it.
    pub fn expect(&mut self, what: &str) -> String {
        let mut line = String::new();
        loop {
            line.clear();
            assert_ne!(self.says.read_line(&mut line).unwrap(), 0, "the peer ended before it said {what:?}");
            // libtest's "test name ... " stands before the first line.
            if let Some(at) = line.find(what) {
                return line[at + what.len()..].trim().to_owned();
            }
        }
    }

    /// Lets the peer go on from [`pause`].
    #[allow(dead_code, reason = "not every test has such a peer")]
    pub fn go_on(&mut self) {
        self.hears.as_mut().unwrap().write_all(b"go on\n").unwrap();
    }

    /// Kills it with SIGKILL and waits until it is gone.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for its end; panics if it failed.
    #[allow(dead_code, reason = "not every test has such a peer")]
    pub fn join(mut self) {
        drop(self.hears.take());
        let mut rest = String::new();
        std::io::Read::read_to_string(&mut self.says, &mut rest).unwrap();
        assert!(self.child.wait().unwrap().success(), "the peer failed: {rest}");
    }

    /// Sends it a signal; after SIGSTOP returns when it has stopped.
    #[allow(dead_code, reason = "not every test sends signals")]
    pub fn signal(&self, number: i32) {
        let pid = self.pid() as i32;
        // SAFETY: `kill` touches no memory; the pid is that of a child not yet waited for.
        assert_eq!(unsafe { libc::kill(pid, number) }, 0);
        if number == libc::SIGSTOP {
            let mut status = 0;
            // SAFETY: `status` is a place for the answer. The call returns once the child has stopped, and does not reap it.
            let stopped = unsafe { libc::waitpid(pid, &raw mut status, libc::WUNTRACED) };
            assert!(stopped == pid && libc::WIFSTOPPED(status));
        }
    }

    #[allow(dead_code, reason = "not every test needs it")]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// In a peer: says a line to the test.
pub fn say(what: &str) {
    println!("{what}");
    std::io::stdout().flush().unwrap();
}

/// In a peer: waits until the test says go on, or is gone.
pub fn pause() {
    let _ = std::io::stdin().read_line(&mut String::new());
}

/// A path for a segment in a folder of its own, which goes with the value.
pub fn place() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("segment.flink");
    (folder, path)
}
