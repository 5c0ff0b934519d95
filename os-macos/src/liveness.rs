//! Claims: `flock` on a file for each lock, in a directory beside the flink.
//!
//! Objects of `shm_open` cannot be locked on macOS, and locks of byte ranges belong to processes there, so that two claims
//! of one process would not exclude each other. `flock` belongs to the open file description, and every claim opens the
//! file anew. The kernel lets go when the last descriptor of the description is closed.
//!
//! A lock file is removed only by who has it locked, and counts only if it still has its name after it was locked.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::ErrorKind;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use seqslot_core::{Access, Lock, OsError};
use seqslot_os_posix::{Claim, Locking, Object, failed};

use crate::object::{lock_directory, lock_file};

/// How often a lock file that is removed at the same moment is made anew.
const TRIES: u32 = 100;

/// macOS's way to lock.
#[derive(Debug)]
pub struct FileLocks;

// SAFETY: 1. a claim opens its lock file anew, and a `flock` belongs to the description. 2. so does a test. The kernel keeps exclusive
// locks of one file apart, and a claim counts only while the file has its name.
unsafe impl Locking for FileLocks {
    fn try_lock_file(file: BorrowedFd<'_>, path: &str) -> Result<bool, OsError> {
        flock(file, libc::LOCK_EX | libc::LOCK_NB, path)
    }

    fn unlock(file: BorrowedFd<'_>) {
        // Closing the descriptor, which comes next, does it as well.
        let _ = flock(file, libc::LOCK_UN, "");
    }

    fn claim(object: &Object, lock: Lock) -> Result<Option<Claim>, OsError> {
        if object.access() == Access::ReadOnly {
            return Err(OsError::new("flock", libc::EBADF, object.label()));
        }
        let directory = lock_directory(object)?;
        let path = directory.join(lock_file(lock));
        let label = path.to_string_lossy();
        let group = object.status()?.mode() & 0o060 != 0;
        for _ in 0..TRIES {
            let claim = Claim::open(|| Ok(open(&directory, &path, group)?.into()), Self::unlock, &label)?;
            if !Self::try_lock_file(claim.as_fd(), &label)? {
                return Ok(None);
            }
            if is_at(claim.as_fd(), &path, &label)? {
                return Ok(Some(claim));
            }
        }
        Err(OsError::new("open", libc::EAGAIN, &label))
    }

    fn is_claimed(object: &Object, lock: Lock) -> Result<bool, OsError> {
        let path = lock_directory(object)?.join(lock_file(lock));
        let label = path.to_string_lossy();
        let file = match OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW).open(&path) {
            Ok(file) => file,
            // Never claimed, or tidied away since.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(failed("open", &error, &label)),
        };
        // There is no way to ask without locking. A shared lock keeps other askers out of nothing, and a claimer for a moment.
        // The descriptor is entered as a claim, so that a fork at this moment does not keep the lock.
        let test = Claim::keep(file.into(), Self::unlock, &label)?;
        Ok(!flock(test.as_fd(), libc::LOCK_SH | libc::LOCK_NB, &label)?)
    }

    fn tidy(object: &Object) {
        let Ok(directory) = lock_directory(object) else { return };
        for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
            remove_if_free(&entry.path());
        }
        // Stays while a lock in it is held.
        let _ = fs::remove_dir(&directory);
    }
}

/// Removes a lock file that nobody has locked.
fn remove_if_free(path: &Path) {
    let label = path.to_string_lossy();
    let Ok(file) = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW).open(path) else { return };
    let Ok(lock) = Claim::keep(file.into(), FileLocks::unlock, &label) else { return };
    if FileLocks::try_lock_file(lock.as_fd(), &label) == Ok(true) && is_at(lock.as_fd(), path, &label) == Ok(true) {
        let _ = fs::remove_file(path);
    }
}

/// Opens a lock file, which is made with its directory if it is not there.
fn open(directory: &Path, path: &Path, group: bool) -> Result<File, OsError> {
    let (directory_mode, mode) = if group { (0o770, 0o660) } else { (0o700, 0o600) };
    match DirBuilder::new().mode(directory_mode).create(directory) {
        Ok(()) => allow(directory, directory_mode)?,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(failed("mkdir", &error, &directory.to_string_lossy())),
    }
    let mut options = OpenOptions::new();
    options.read(true).write(true).custom_flags(libc::O_NOFOLLOW).mode(mode);
    match options.clone().create_new(true).open(path) {
        Ok(file) => {
            allow(path, mode)?;
            return Ok(file);
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(failed("open", &error, &path.to_string_lossy())),
    }
    options.create(true).open(path).map_err(|error| failed("open", &error, &path.to_string_lossy()))
}

/// Gives what was just made its mode, whatever the process's mask took away.
fn allow(path: &Path, mode: u32) -> Result<(), OsError> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(|e| failed("chmod", &e, &path.to_string_lossy()))
}

/// Whether `path` names the open file.
fn is_at(file: BorrowedFd<'_>, path: &Path, label: &str) -> Result<bool, OsError> {
    let copy = file.try_clone_to_owned().map_err(|e| failed("fcntl(F_DUPFD_CLOEXEC)", &e, label))?;
    let held = File::from(copy).metadata().map_err(|e| failed("fstat", &e, label))?;
    match fs::symlink_metadata(path) {
        Ok(now) => Ok((now.dev(), now.ino()) == (held.dev(), held.ino())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(failed("lstat", &error, label)),
    }
}

/// Locks or unlocks; false if somebody is in the way.
fn flock(file: BorrowedFd<'_>, operation: libc::c_int, label: &str) -> Result<bool, OsError> {
    loop {
        // SAFETY: an open descriptor and a number.
        if unsafe { libc::flock(file.as_raw_fd(), operation) } == 0 {
            return Ok(true);
        }
        let error = std::io::Error::last_os_error();
        match error.kind() {
            ErrorKind::WouldBlock => return Ok(false),
            ErrorKind::Interrupted => {}
            _ => return Err(failed("flock", &error, label)),
        }
    }
}
