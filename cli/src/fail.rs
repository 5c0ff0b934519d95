//! How commands fail: what happened, what to do next, and an exit code for each cause.

use std::io::{self, Write};
use std::process::ExitCode;

use seqslot::{AttachError, Cause, CreateError, JoinError, LoanError, OsError, SendError, TakeError};
use seqslot_os_posix::RemoveError;
use serde::Serialize;

/// What kind of failure it is; the discriminant is the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// What was to be verified is not so.
    Verification = 1,
    /// Wrong use.
    Misuse = 2,
    /// The bytes are not what they should be.
    Corruption = 3,
    /// Somebody is in the way, or is not there.
    Contention = 4,
    /// A system call failed.
    Os = 5,
    /// Ctrl-C before the end.
    Interrupted = 130,
}

impl From<Cause> for Kind {
    fn from(cause: Cause) -> Self {
        match cause {
            Cause::Misuse => Self::Misuse,
            Cause::Corruption => Self::Corruption,
            Cause::Contention => Self::Contention,
            Cause::Os => Self::Os,
        }
    }
}

/// A failure, as it is told to people and to scripts.
#[derive(Debug, Clone, Serialize)]
pub struct Failure {
    /// What happened.
    pub error: String,
    /// What kind of failure it is.
    pub cause: Kind,
    /// What to do next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl Failure {
    /// A failure without advice.
    pub fn new(cause: Kind, error: impl Into<String>) -> Self {
        Self { error: error.into(), cause, next: None }
    }

    /// Something that `path` and an error of the library say.
    pub fn of(cause: Cause, what: &str, error: &impl std::fmt::Display) -> Self {
        Self::new(cause.into(), format!("{what}: {error}"))
    }

    /// A call of the standard library that failed.
    pub fn io(what: &str, error: &io::Error) -> Self {
        Self::new(Kind::Os, format!("{what}: {error}"))
    }

    /// Ctrl-C.
    pub fn interrupted() -> Self {
        Self::new(Kind::Interrupted, "interrupted")
    }

    /// The same, with what to do next.
    #[must_use]
    pub fn next(mut self, advice: impl Into<String>) -> Self {
        self.next = Some(advice.into());
        self
    }

    /// Tells it on standard error; its exit code.
    pub fn report(&self, json: bool) -> ExitCode {
        let advice = self.next.as_ref().map_or(String::new(), |next| format!("\n  next: {next}"));
        if json {
            say_json(self)
        } else {
            say(&format!("seqslot: {}{advice}", self.error))
        }
        ExitCode::from(self.cause as u8)
    }
}

/// A line (or more) on standard error in one piece, so that processes that share it do not mix theirs.
pub fn say(text: &str) {
    // Nobody to tell that nobody listens.
    let _ = io::stderr().write_all(format!("{text}\n").as_bytes());
}

/// [`say`] for scripts.
pub fn say_json(value: &impl Serialize) {
    // Plain structures of numbers and strings always serialize.
    say(&serde_json::to_string(value).unwrap_or_default());
}

/// A result on standard output.
///
/// # Errors
/// It could not be written; that nobody reads it is no error.
pub fn print(text: &str) -> Result<(), Failure> {
    match io::stdout().write_all(format!("{}\n", text.trim_end()).as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::io("writing standard output", &error)),
        _ => Ok(()),
    }
}

/// A result for scripts on standard output.
///
/// # Errors
/// As [`print()`].
pub fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    // Plain structures of numbers and strings always serialize.
    print(&serde_json::to_string_pretty(value).unwrap_or_default())
}

/// A segment at `path` was not made.
pub fn create(path: &std::path::Path, error: &CreateError) -> Failure {
    let failure = Failure::of(error.cause(), &path.display().to_string(), error);
    match error {
        CreateError::Geometry(_) => failure.next("choose other values for --slots and --capacity (or --bytes)"),
        CreateError::BadName { .. } => failure.next("give the path of a file in a directory that you can write"),
        CreateError::NotASegment => failure.next("choose another path, or move that file away"),
        CreateError::Os(error) => failure.next(os_advice(error)),
        CreateError::AlreadyExists { .. } => failure.next("`seqslot inspect PATH` shows who lives in it"),
        CreateError::BeingCreated => failure.next("try again"),
        _ => failure,
    }
}

/// The segment at `path` was not attached to.
pub fn attach(path: &std::path::Path, error: &AttachError) -> Failure {
    let failure = Failure::of(error.cause(), &path.display().to_string(), error);
    match error {
        AttachError::NotFound => failure
            .next("start the writer (`seqslot pub PATH`), or look whether the path is right; containers must have the same /dev/shm, too"),
        AttachError::Untrusted { .. } => failure.next("`seqslot inspect PATH` shows it without trusting it"),
        AttachError::Os(error) => failure.next(os_advice(error)),
        AttachError::BadName { .. } => failure.next("give the path of a segment's name file"),
        _ => failure.next("`seqslot inspect PATH` tells what it is"),
    }
}

/// No entry of the segment was to be had.
pub fn join(path: &std::path::Path, error: &JoinError) -> Failure {
    let failure = Failure::of(error.cause(), &path.display().to_string(), error);
    match error {
        JoinError::Full { .. } => failure.next("`seqslot inspect PATH` shows who has them; stop one, or make the segment with more"),
        JoinError::Os(error) => failure.next(os_advice(error)),
        _ => failure,
    }
}

/// A sample was not published.
pub fn send(error: &SendError) -> Failure {
    let failure = Failure::of(error.cause(), "publishing", error);
    match error {
        SendError::Loan(LoanError::NoFreeSlot | LoanError::TimedOut) => failure.next("`seqslot inspect PATH` shows which reader is behind"),
        _ => failure,
    }
}

/// The stream of `path` ended badly.
pub fn take(path: &std::path::Path, error: &TakeError) -> Failure {
    let failure = Failure::of(error.cause(), &path.display().to_string(), error);
    match error {
        TakeError::WriterDied | TakeError::PeersGone => failure.next("start a new writer; it takes the path over. Or `seqslot rm PATH`"),
        TakeError::Evicted => failure.next("start again, to join again"),
        TakeError::BadSize { .. } => failure.next("stop the writer: it does not keep the protocol"),
        _ => failure,
    }
}

/// The segment at `path` was not removed.
pub fn remove(path: &std::path::Path, error: &RemoveError) -> Failure {
    let kind = match error {
        RemoveError::NotFound | RemoveError::InUse { .. } | RemoveError::Foreign => Kind::Contention,
        RemoveError::BadName { .. } => Kind::Misuse,
        RemoveError::NotASegment => Kind::Corruption,
        _ => Kind::Os,
    };
    let failure = Failure::new(kind, format!("{}: {error}", path.display()));
    match error {
        RemoveError::InUse { .. } => failure.next("stop them first, or use --force: those attached keep the memory, nobody else finds it"),
        RemoveError::Foreign => failure.next("make sure that nobody uses it, then --force"),
        RemoveError::NotASegment => failure.next("`seqslot inspect PATH` tells what it is; nothing was removed"),
        RemoveError::Os(error) => failure.next(os_advice(error)),
        _ => failure,
    }
}

/// What to do about a failed system call.
pub fn os_advice(error: &OsError) -> &'static str {
    match error.errno() {
        libc::ENOSPC | libc::ENOMEM => "memory is short: look at /dev/shm (df), remove what is left there, or use fewer or smaller slots",
        libc::EACCES | libc::EPERM | libc::EROFS => {
            "run as the user that made the segment, have it made for your group (`Config::group`), or use a directory that you may write"
        }
        libc::ENOENT | libc::ENOTDIR => "the directory is not there: make it first",
        libc::EMFILE | libc::ENFILE => "too many open files: raise the limit (ulimit -n)",
        libc::EFBIG | libc::EOVERFLOW => "too large for this system: use fewer or smaller slots",
        _ => "the error number tells what the system objects to",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_has_its_exit_code() {
        let codes = [Cause::Misuse, Cause::Corruption, Cause::Contention, Cause::Os].map(|cause| Kind::from(cause) as u8);
        assert_eq!(codes, [2, 3, 4, 5]);
        assert_eq!((Kind::Verification as u8, Kind::Interrupted as u8), (1, 130));
    }

    #[test]
    fn a_failure_as_json_has_its_cause_and_its_advice() {
        let failure = attach("/x".as_ref(), &AttachError::NotFound);
        let json = serde_json::to_value(&failure).unwrap();
        assert_eq!(json["cause"], "contention");
        assert!(json["next"].as_str().unwrap().contains("seqslot pub"));
    }
}
