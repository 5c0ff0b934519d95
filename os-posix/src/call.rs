//! Failed system calls as errors that name the call, its object and the error number; and who the caller is.

use std::io;

use seqslot_core::OsError;

/// `call` on `object` failed with `error`.
#[must_use]
pub fn failed(call: &'static str, error: &io::Error, object: &str) -> OsError {
    OsError::new(call, error.raw_os_error().unwrap_or(0), object)
}

/// `call` on `object` has just failed; the error number is this thread's `errno`.
#[must_use]
pub fn last_failure(call: &'static str, object: &str) -> OsError {
    failed(call, &io::Error::last_os_error(), object)
}

/// The user whose files this process makes.
pub(crate) fn user() -> u32 {
    // SAFETY: takes nothing, cannot fail.
    unsafe { libc::geteuid() }
}

/// Whether the calling process is in `group`.
pub(crate) fn in_group(group: u32) -> bool {
    // SAFETY: takes nothing, cannot fail.
    if unsafe { libc::getegid() } == group {
        return true;
    }
    // SAFETY: a count of zero asks for the number of groups and writes nothing through the pointer.
    let count = unsafe { libc::getgroups(0, core::ptr::null_mut()) };
    let mut groups = vec![0; usize::try_from(count).unwrap_or(0)];
    // SAFETY: the vector has room for `count` groups; more than that are an error and write nothing.
    let got = unsafe { libc::getgroups(count.max(0), groups.as_mut_ptr()) };
    groups.truncate(usize::try_from(got).unwrap_or(0));
    groups.contains(&group)
}

/// Bytes of a host's name at most, and its NUL: what POSIX allows, or more.
const HOST_NAME_LEN: usize = 256;

/// The name of this host.
pub(crate) fn host_name() -> Result<Vec<u8>, OsError> {
    // One byte more than the call is told of, so that a name that was cut ends, too.
    let mut name = vec![0_u8; HOST_NAME_LEN + 1];
    // SAFETY: the vector has room for as many bytes as the call may write.
    if unsafe { libc::gethostname(name.as_mut_ptr().cast(), HOST_NAME_LEN) } != 0 {
        return Err(last_failure("gethostname", ""));
    }
    let len = name.iter().position(|&byte| byte == 0).unwrap_or(HOST_NAME_LEN);
    name.truncate(len);
    Ok(name)
}
