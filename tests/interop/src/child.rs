//! Other processes: this program again, in a role.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{ChildStdin, ChildStdout, Command, ExitStatus, Stdio};

/// A child process, spoken to by lines. It is killed when the value goes.
pub struct Child {
    process: std::process::Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Child {
    /// Starts this program in a role.
    pub fn start(role: &[&str]) -> std::io::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("role").args(role).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn()?;
        let nothing = || std::io::Error::other("a pipe is missing");
        let (input, output) = (process.stdin.take(), process.stdout.take().ok_or_else(nothing)?);
        Ok(Self { process, input, output: BufReader::new(output) })
    }

    /// Sends a line.
    pub fn say(&mut self, line: &str) -> std::io::Result<()> {
        let input = self.input.as_mut().ok_or_else(|| std::io::Error::other("its input is closed"))?;
        writeln!(input, "{line}")?;
        input.flush()
    }

    /// Waits for a line; an error if the child ended without one.
    pub fn line(&mut self) -> std::io::Result<String> {
        let mut line = String::new();
        if self.output.read_line(&mut line)? == 0 {
            return Err(std::io::Error::other("the other process ended without a word"));
        }
        line.truncate(line.trim_end().len());
        Ok(line)
    }

    /// Kills it, wherever it is, and waits until it is gone.
    pub fn kill(&mut self) -> std::io::Result<()> {
        self.process.kill()?;
        self.process.wait().map(|_| ())
    }

    /// Closes its input and waits for its end.
    pub fn end(&mut self) -> std::io::Result<ExitStatus> {
        self.input = None;
        self.process.wait()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The signal that ended a process, if one did.
pub fn signal(status: ExitStatus) -> Option<i32> {
    status.signal()
}

/// Stays on one processor from now on, so that the two sides of an exchange run at the same time; where there are fewer, anywhere.
pub fn stay_on(processor: usize) {
    // SAFETY: a set of processors is plain numbers, of which all zero is the empty one.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the set is large enough for the numbers used here.
    unsafe { libc::CPU_SET(processor, &mut set) };
    // SAFETY: 0 is this process's thread; the set is read only. Where it has no such processor, nothing changes.
    unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set) };
}
