//! Another open file description of an object: what a claim locks.

use std::fs::OpenOptions;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;

use seqslot_core::{Access, OsError};
use seqslot_os_posix::{Object, failed};

/// Opens `object` anew, for reading and writing, so that nobody else has the description: through /proc, which reaches an
/// object whose name is gone and one that never had any; by its name where there is no /proc.
///
/// # Errors
/// Neither way worked; the error is that of the first.
pub(crate) fn reopen(object: &Object) -> Result<OwnedFd, OsError> {
    let first = match reopen_descriptor(object.as_fd(), Access::ReadWrite) {
        Ok(fd) => return Ok(fd),
        Err(error) => error,
    };
    by_name(object)?.ok_or(first)
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

/// Opens it by name; `None` if it has none, or its name is gone or another's.
fn by_name(object: &Object) -> Result<Option<OwnedFd>, OsError> {
    let Some((place, name)) = object.named() else { return Ok(None) };
    let Some(again) = Object::open(place, name, Access::ReadWrite)? else { return Ok(None) };
    let (one, other) = (object.status()?, again.status()?);
    if (one.dev(), one.ino()) != (other.dev(), other.ino()) {
        return Ok(None);
    }
    let fd = again.as_fd().try_clone_to_owned().map_err(|e| failed("fcntl(F_DUPFD_CLOEXEC)", &e, object.label()))?;
    Ok(Some(fd))
}
