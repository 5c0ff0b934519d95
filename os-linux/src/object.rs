//! Another open file description of an object: what a claim locks.

use std::fs::OpenOptions;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use seqslot_core::{Access, OsError};
use seqslot_os_posix::{Object, failed};

/// Opens `object` anew, for reading and writing, so that nobody else has the description: by its name, which costs a third; else through
/// /proc, which reaches an object whose name is gone and one that never had any.
///
/// # Errors
/// Neither way worked; the error is that of the second.
pub(crate) fn reopen(object: &Object) -> Result<OwnedFd, OsError> {
    object.open_again().map_or_else(|| reopen_descriptor(object.as_fd(), Access::ReadWrite), Ok)
}

/// Opens the file behind `fd` anew, through /proc.
///
/// # Errors
/// `open` failed: there is no /proc, or the file's mode does not allow it.
pub(crate) fn reopen_descriptor(fd: BorrowedFd<'_>, access: Access) -> Result<OwnedFd, OsError> {
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    let opened = OpenOptions::new().read(true).write(access == Access::ReadWrite).open(&path);
    opened.map(OwnedFd::from).map_err(|error| failed("open", &error, &path))
}
