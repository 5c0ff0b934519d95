//! Where the lock files of an object are: `<flink>.locks-<digits of the object's name>/NN`.
//!
//! Each object has a directory of its own, so that those who keep a dead owner's object do not meet those of its successor.

use std::path::PathBuf;

use seqslot_core::{Lock, OsError};
use seqslot_os_posix::Object;

/// The directory of `object`'s locks.
///
/// # Errors
/// ENOTSUP, as of `flock`: the object has no name, so there is no place for its locks.
pub(crate) fn lock_directory(object: &Object) -> Result<PathBuf, OsError> {
    let Some((place, name)) = object.named() else {
        return Err(OsError::new("flock", libc::ENOTSUP, object.label()));
    };
    let digits = name.digits().unwrap_or_else(|| name.text().trim_start_matches('/'));
    Ok(PathBuf::from(format!("{}.locks-{digits}", place.text())))
}

/// The file of one lock in that directory.
pub(crate) fn lock_file(lock: Lock) -> String {
    format!("{:02}", lock.number())
}
