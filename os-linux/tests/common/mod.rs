//! Real processes for tests: the test's own executable again, with a role.
//!
//! A test that needs other processes starts with `if let Some(role) = role() { … }`. A role tells its parent what
//! happened by lines that start with `@`, and waits for its parent by reading its standard input.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::io::{BufRead, BufReader, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use seqslot_core::{AtomicU32, Created, ObjectSpec, Os};
use seqslot_os_linux::{Claim, Linux, Mapping};

pub const SPEC: ObjectSpec = ObjectSpec { len: 8192, reserve: true, group: false };
pub const OS: Linux = Linux::new();
/// The word that claims get and Linux leaves alone.
pub static WORD: AtomicU32 = AtomicU32::new(0);

const ROLE: &str = "SEQSLOT_TEST_ROLE";
const PATH: &str = "SEQSLOT_TEST_PATH";

/// What this process was started as; `None` for the test itself.
pub fn role() -> Option<String> {
    std::env::var(ROLE).ok()
}

/// The path that the parent gave.
pub fn given_path() -> PathBuf {
    std::env::var_os(PATH).expect("a role has a path").into()
}

/// Tells the parent.
pub fn tell(what: &str) {
    println!("\n@{what}");
}

/// Blocks until the parent closes this process's standard input, or dies.
pub fn wait_for_parent() {
    let mut rest = Vec::new();
    let _ = std::io::stdin().read_to_end(&mut rest);
}

/// A process with a role. It is killed when this is dropped.
pub struct Player {
    child: Child,
    says: BufReader<ChildStdout>,
    input: Option<ChildStdin>,
}

/// The command that runs `role` of the test named `test`.
pub fn role_args(test: &str) -> [&str; 3] {
    ["--exact", test, "--nocapture"]
}

impl Player {
    pub fn start(test: &str, role: &str, path: &Path) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(role_args(test));
        Self::run(command, role, path)
    }

    pub fn run(mut command: Command, role: &str, path: &Path) -> Self {
        command.env(ROLE, role).env(PATH, path).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let says = BufReader::new(child.stdout.take().unwrap());
        let input = child.stdin.take();
        Self { child, says, input }
    }

    /// As `run`, with a standard input that the caller has made; the role has no path.
    pub fn run_with_input(mut command: Command, role: &str, input: std::os::fd::OwnedFd) -> Self {
        let mut child = command.env(ROLE, role).stdin(input).stdout(Stdio::piped()).spawn().unwrap();
        let says = BufReader::new(child.stdout.take().unwrap());
        Self { child, says, input: None }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The next thing it tells; panics if it ends first.
    pub fn hears(&mut self) -> String {
        loop {
            let mut line = String::new();
            assert!(self.says.read_line(&mut line).unwrap() > 0, "the process ended without a word");
            if let Some((_, what)) = line.split_once('@') {
                return what.trim().to_owned();
            }
        }
    }

    /// Writes a line to its standard input.
    pub fn say(&mut self, what: &str) {
        self.input.as_mut().expect("not released").write_all(format!("{what}\n").as_bytes()).unwrap();
    }

    pub fn expects(&mut self, what: &str) {
        assert_eq!(self.hears(), what);
    }

    /// SIGKILL, and waits until it is gone.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Closes its standard input, for which `wait_for_parent` waits.
    pub fn release(&mut self) {
        self.input = None;
    }

    /// Its end, which must be a success.
    pub fn ends(mut self) {
        self.input = None;
        let mut rest = String::new();
        self.says.read_to_string(&mut rest).unwrap();
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}: {rest}");
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A directory that goes with the test, and a path in it.
pub fn place() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s.flink");
    (dir, path)
}

/// Makes the segment, or panics.
pub fn create(path: &Path) -> Created<Mapping, Claim> {
    OS.create(path, SPEC).unwrap()
}

/// Removes the object when the test ends, however it ends.
pub struct Unlinked<'a>(pub &'a Path);

impl Drop for Unlinked<'_> {
    fn drop(&mut self) {
        let _ = OS.remove(self.0, true);
    }
}

/// Names in /dev/shm that are ours.
pub fn objects() -> Vec<String> {
    let entries = std::fs::read_dir("/dev/shm").unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with("seqslot-")).collect()
}

pub fn is_root() -> bool {
    // SAFETY: takes nothing, cannot fail.
    unsafe { libc::geteuid() == 0 }
}

/// A command that runs `role` of `test` in a mount namespace of its own, where it may mount; `None`, with the reason
/// printed, where that is not allowed.
pub fn in_own_mounts(test: &str) -> Option<Command> {
    let mut options = vec!["--mount"];
    if !is_root() {
        options.push("--map-root-user");
    }
    let tried = Command::new("unshare").args(&options).args(["mount", "-t", "tmpfs", "-o", "size=1m", "none", "/dev/shm"]).output();
    match tried {
        Ok(output) if output.status.success() => {}
        Ok(output) => {
            println!("skipped: no mount namespace ({})", String::from_utf8_lossy(&output.stderr).trim());
            return None;
        }
        Err(error) => {
            println!("skipped: no unshare command ({error})");
            return None;
        }
    }
    let mut command = Command::new("unshare");
    command.args(&options).arg(std::env::current_exe().unwrap()).args(role_args(test));
    Some(command)
}

/// Puts an empty tmpfs of 1 MB over /dev/shm. Only in a mount namespace of one's own.
pub fn mount_small_shm() {
    let status = Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "none", "/dev/shm"]).status().unwrap();
    assert!(status.success());
}
