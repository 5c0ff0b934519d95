//! Files that others write, read by `pread`.
//!
//! They are never mapped: a mapping of a file that its writer cuts short, as ClockBound's does when it starts on a damaged one, kills the
//! reader (SIGBUS), and a look at the length before each access cannot exclude it. `pread` answers with fewer bytes instead.

use std::ffi::{CStr, OsStr};
use std::fs::{File, OpenOptions};
use std::io::{Error, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, OpenOptionsExt};

use seqslot_core::clockbound::ShmError;

/// Opens for reading; should it be a pipe, nobody waits for its writer.
pub(super) fn open(path: &CStr) -> Result<File, ShmError> {
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(libc::O_NONBLOCK);
    options.open(OsStr::from_bytes(path.to_bytes())).map_err(|error| failed(&error, c"open"))
}

/// As many of the file's first bytes as there are and as have room.
pub(super) fn read(file: &File, into: &mut [u8]) -> Result<usize, ShmError> {
    let mut done = 0;
    while done < into.len() {
        match file.read_at(&mut into[done..], done as u64) {
            Ok(0) => break,
            Ok(more) => done += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(&error, c"pread")),
        }
    }
    Ok(done)
}

/// The system call `call` failed.
pub(super) fn failed(error: &Error, call: &'static CStr) -> ShmError {
    ShmError::SyscallError(error.raw_os_error().unwrap_or(0), call)
}
