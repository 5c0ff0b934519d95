//! Files that have no name until they are whole.

use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::name::Place;
use crate::object::set_mode;

/// A file without a name that holds `text`, in the directory that `place` is in; `None` where the file system knows no such files, or
/// refuses it.
pub(crate) fn make(place: &Place, text: &str, mode: u32) -> Option<File> {
    let directory = place.path().parent().filter(|path| !path.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = OpenOptions::new().read(true).write(true).mode(mode).custom_flags(libc::O_TMPFILE).open(directory).ok()?;
    set_mode(&file, &file.metadata().ok()?, mode, place.text()).ok()?;
    file.write_all(text.as_bytes()).ok()?;
    Some(file)
}

/// Gives it the name `place`, if nothing has that. False if it did not: something has it, or (before Linux 6.10, without privilege) a file
/// cannot be linked by its descriptor.
pub(crate) fn link(file: BorrowedFd<'_>, place: &Place) -> bool {
    let Ok(path) = CString::new(place.text()) else { return false };
    // SAFETY: an open descriptor, and strings that end with NUL and live through the call.
    unsafe { libc::linkat(file.as_raw_fd(), c"".as_ptr(), libc::AT_FDCWD, path.as_ptr(), libc::AT_EMPTY_PATH) == 0 }
}
