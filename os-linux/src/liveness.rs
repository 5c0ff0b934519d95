//! Claims: open-file-description locks (`F_OFD_SETLK`) on one byte of the object each, at the offset of the lock's number.
//!
//! The kernel lets go of them when the last descriptor of their description is closed, at the latest at the process's death.
//! They belong to the description and not to the process, so
//!
//! - two claims of one process exclude each other, since each has opened the object anew;
//! - a duplicate of a descriptor, one inherited by fork or passed through a socket, is the same description: locking
//!   through it would always succeed. Hence nothing is ever locked through the object's own descriptor;
//! - `is_claimed` asks through that descriptor, which holds no lock, and so sees the claims of its own process too.

use std::fs;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use seqslot_core::{Access, Lock, OsError};
use seqslot_os_posix::{Claim, Locking, Object, failed, last_failure};

use crate::object::reopen;
use crate::process;

/// Linux's way to lock.
#[derive(Debug)]
pub struct OfdLocks;

// SAFETY: 1. a claim opens the object anew, and an OFD lock belongs to the description. 2. `is_claimed` asks through the object's own
// descriptor, which nothing is locked through. The kernel keeps write locks of one byte apart.
unsafe impl Locking for OfdLocks {
    fn try_lock_file(file: BorrowedFd<'_>, path: &str) -> Result<bool, OsError> {
        set(file, &request(libc::F_WRLCK, 0, 0), path)
    }

    fn unlock(file: BorrowedFd<'_>) {
        // Closing the descriptor, which comes next, does it as well.
        let _ = set(file, &request(libc::F_UNLCK, 0, 0), "");
    }

    fn claim(object: &Object, lock: Lock) -> Result<Option<Claim>, OsError> {
        if object.access() == Access::ReadOnly {
            return Err(OsError::new("fcntl(F_OFD_SETLK)", libc::EBADF, object.label()));
        }
        let claim = Claim::open(|| reopen(object), Self::unlock, object.label())?;
        let got = set(claim.as_fd(), &request(libc::F_WRLCK, lock.number(), 1), object.label())?;
        Ok(got.then_some(claim))
    }

    fn is_claimed(object: &Object, lock: Lock) -> Result<bool, OsError> {
        let mut answer = request(libc::F_WRLCK, lock.number(), 1);
        // SAFETY: an open descriptor and a request of the type that the command takes, which the kernel overwrites.
        if unsafe { libc::fcntl(object.as_fd().as_raw_fd(), libc::F_OFD_GETLK, &raw mut answer) } != 0 {
            return Err(last_failure("fcntl(F_OFD_GETLK)", object.label()));
        }
        Ok(i32::from(answer.l_type) != libc::F_UNLCK)
    }

    fn owner_pid(object: &Object, alleged: u32) -> u32 {
        // A number of another pid namespace is somebody else's here, or nobody's.
        let is_foreign = !matches!(object.alleged_namespace(), 0) && object.alleged_namespace() != process::current().pid_namespace;
        holder(object, Lock::OWNER, alleged).unwrap_or(if is_foreign { 0 } else { alleged })
    }
}

/// The process that holds `lock` of a named object, as /proc/PID/fdinfo tells it (an OFD lock itself names no process):
/// `alleged` if it does, else the first found. `None` if it is in another pid namespace or another user's. Looks at every
/// descriptor of the processes of this user, so it is for error texts only.
fn holder(object: &Object, lock: Lock, alleged: u32) -> Option<u32> {
    let (_, name) = object.named()?;
    let holds = |pid: u32| is_held_by(pid, name.text(), lock).unwrap_or(false);
    if alleged != 0 && holds(alleged) {
        return Some(alleged);
    }
    let pids = fs::read_dir("/proc").ok()?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.into_iter().find(|&pid| holds(pid))
}

/// Whether a descriptor of process `pid` for the object `name` has `lock`. `None` where that is not ours to know.
fn is_held_by(pid: u32, name: &str, lock: Lock) -> Option<bool> {
    let number = lock.number().to_string();
    for entry in fs::read_dir(format!("/proc/{pid}/fd")).ok()?.flatten() {
        // `/dev/shm/NAME`; the name was drawn once, so it is enough.
        if !fs::read_link(entry.path()).is_ok_and(|target| target.to_string_lossy().contains(name)) {
            continue;
        }
        let info = fs::read_to_string(format!("/proc/{pid}/fdinfo/{}", entry.file_name().to_string_lossy())).unwrap_or_default();
        // `lock: 1: OFDLCK ADVISORY WRITE -1 00:1b:52 64 64`: the last two are the first and the last byte.
        let mut locks = info.lines().filter(|line| line.starts_with("lock:") && line.contains("OFDLCK"));
        if locks.any(|line| line.split_ascii_whitespace().rev().take(2).all(|byte| byte == number)) {
            return Some(true);
        }
    }
    Some(false)
}

/// A lock request for `len` bytes from `start`; a length of 0 is the whole file from there on.
fn request(kind: libc::c_int, start: u8, len: u8) -> libc::flock {
    libc::flock { l_type: kind as _, l_whence: libc::SEEK_SET as _, l_start: start.into(), l_len: len.into(), l_pid: 0 }
}

/// Sets a lock without waiting; false if somebody is in the way.
fn set(file: BorrowedFd<'_>, request: &libc::flock, label: &str) -> Result<bool, OsError> {
    // SAFETY: an open descriptor and a request of the type that the command takes.
    if unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, core::ptr::from_ref(request)) } == 0 {
        return Ok(true);
    }
    let error = std::io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::EAGAIN | libc::EACCES) => Ok(false),
        _ => Err(failed("fcntl(F_OFD_SETLK)", &error, label)),
    }
}
