//! What the tests of the command share: a directory of their own, children that never outlive them, waits for conditions.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// After so long a condition that did not come true is taken for one that never will.
const NEVER: Duration = Duration::from_secs(120);

/// A directory that is removed at the end, with the objects that those killed in it left.
pub struct Place(tempfile::TempDir);

impl Drop for Place {
    fn drop(&mut self) {
        for entry in std::fs::read_dir(self.dir()).into_iter().flatten().flatten() {
            // A link, a directory, or something else that is no name file has nothing to remove.
            let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
            if is_file && std::fs::read(entry.path()).is_ok_and(|bytes| bytes.starts_with(b"/seqslot-")) {
                let _ = std::fs::remove_file(object(&entry.path()));
            }
        }
    }
}

impl Place {
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary directory"))
    }

    pub fn dir(&self) -> &Path {
        self.0.path()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A file with these bytes.
    pub fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, bytes).expect("a file to write");
        path
    }
}

/// The command.
pub fn seqslot() -> Command {
    Command::new(env!("CARGO_BIN_EXE_seqslot"))
}

/// Runs it to its end without input.
pub fn run(command: &str, path: &Path, options: &[&str]) -> Output {
    seqslot().arg(command).arg(path).args(options).stdin(Stdio::null()).output().expect("the command starts")
}

/// Exit code; a signal that killed it is a failure of the test.
pub fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or_else(|| panic!("{}: {}", output.status, text(&output.stderr)))
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Standard output as JSON.
pub fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}{}", text(&output.stdout), text(&output.stderr)))
}

/// What `inspect --json` says; `None` if it says that something is wrong.
pub fn inspect(path: &Path) -> Option<Value> {
    let output = run("inspect", path, &["--json", "--slots"]);
    output.status.success().then(|| json(&output))
}

/// Tries until it holds.
pub fn until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(start.elapsed() < NEVER, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A child that is killed if the test ends before it.
pub struct Running(Option<Child>);

impl Running {
    pub fn spawn(command: &mut Command) -> Self {
        Self(Some(command.spawn().expect("the command starts")))
    }

    /// `pub PATH`, its input a pipe.
    pub fn publish(path: &Path, options: &[&str]) -> Self {
        let mut command = seqslot();
        command.arg("pub").arg(path).args(options);
        Self::spawn(command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()))
    }

    /// `sub PATH`, its output a pipe.
    pub fn subscribe(path: &Path, options: &[&str]) -> Self {
        let mut command = seqslot();
        command.arg("sub").arg(path).args(options);
        Self::spawn(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()))
    }

    pub fn child(&mut self) -> &mut Child {
        self.0.as_mut().expect("not waited for yet")
    }

    pub fn pid(&mut self) -> u32 {
        self.child().id()
    }

    pub fn input(&mut self) -> ChildStdin {
        self.child().stdin.take().expect("a piped input")
    }

    /// Reads so many bytes of its output; the pipe stays open.
    pub fn read(&mut self, len: usize) -> Vec<u8> {
        let output = self.child().stdout.as_mut().expect("a piped output");
        let mut bytes = vec![0; len];
        let mut got = 0;
        while got < len {
            let mut polled = libc::pollfd { fd: output.as_raw_fd(), events: libc::POLLIN, revents: 0 };
            // SAFETY: one entry, which the call fills.
            let ready = unsafe { libc::poll(&raw mut polled, 1, NEVER.as_millis() as i32) };
            assert_eq!(ready, 1, "never: {len} bytes of output; there are {got}");
            let count = output.read(&mut bytes[got..]).expect("its output");
            assert_ne!(count, 0, "its output ended after {got} bytes, {len} were to come");
            got += count;
        }
        bytes
    }

    pub fn signal(&mut self, number: i32) {
        let pid = self.pid() as libc::pid_t;
        // SAFETY: numbers; the child is not reaped yet, so the process is ours.
        assert_eq!(unsafe { libc::kill(pid, number) }, 0);
    }

    /// SIGKILL, and waits until it is gone.
    pub fn kill(mut self) -> ExitStatus {
        let mut child = self.0.take().expect("not waited for yet");
        child.kill().expect("kill");
        child.wait().expect("waitpid")
    }

    /// Waits for its end, reading what it writes.
    pub fn finish(mut self) -> Output {
        let mut child = self.0.take().expect("not waited for yet");
        drop(child.stdin.take());
        let (killer, end) = std::sync::mpsc::channel::<()>();
        let pid = child.id() as libc::pid_t;
        let watch = std::thread::spawn(move || {
            if end.recv_timeout(NEVER) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                // SAFETY: numbers; the child is not reaped before this thread is joined.
                unsafe { libc::kill(pid, libc::SIGKILL) };
            }
        });
        let mut output = Output { status: ExitStatus::default(), stdout: Vec::new(), stderr: Vec::new() };
        let mut errors = child.stderr.take();
        let reader = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            if let Some(errors) = &mut errors {
                errors.read_to_end(&mut bytes).expect("standard error");
            }
            bytes
        });
        if let Some(stdout) = &mut child.stdout {
            stdout.read_to_end(&mut output.stdout).expect("standard output");
        }
        output.stderr = reader.join().expect("the thread that reads");
        drop(killer);
        watch.join().expect("the thread that watches");
        output.status = child.wait().expect("waitpid");
        output
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Writes to a child's input; that the child is gone is no failure of the test.
pub fn feed(input: &mut ChildStdin, bytes: &[u8]) {
    let _ = input.write_all(bytes);
}

/// The shared memory object that a name file names, as a file.
pub fn object(flink: &Path) -> PathBuf {
    let name = std::fs::read_to_string(flink).expect("a name file");
    Path::new("/dev/shm").join(name.trim_start_matches('/'))
}

/// Lines as `seq 1 N` writes them.
pub fn numbers(count: u32) -> Vec<u8> {
    (1..=count).flat_map(|number| format!("{number}\n").into_bytes()).collect()
}

/// Bytes that do not repeat soon (xorshift).
pub fn noise(len: usize, mut seed: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        bytes.extend_from_slice(&seed.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}
