//! Objects without a name: sealed memory files, passed to other processes by descriptor.
//!
//! The seals (no shrinking, no growing, no further seals) are what a named object cannot have: no peer can cut the file
//! while it is mapped, so nobody gets a SIGBUS. Pass the descriptor ([`AsFd`] of the mapping) by `SCM_RIGHTS` or
//! inheritance, and [`adopt`](Linux::adopt) it on the other side. Every claim opens the file anew through `/proc/self/fd`, since a passed
//! descriptor is the same open file description, through which everybody's lock would succeed; both sides need /proc.

use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use seqslot_core::{Access, Created, Lock, ObjectSpec, OpenFault, OsError};
use seqslot_os_posix::{Claim, Locking, Object, PosixMapping, failed, last_failure};

use crate::liveness::OfdLocks;
use crate::object::reopen_descriptor;
use crate::os::{Linux, Mapping};

/// The seals that every object without a name has.
const SEALS: i32 = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;

impl Linux {
    /// Makes a sealed object without a name. `name` is shown in /proc only; `spec.group` has no meaning here, since whoever has the
    /// descriptor has the object.
    ///
    /// # Errors
    /// `memfd_create`, `fallocate` (ENOSPC), `ftruncate`, `mmap` or `fcntl` failed; or /proc is not there to take the owner's claim.
    ///
    /// ```
    /// use std::os::fd::AsFd;
    /// use seqslot_core::{Lock, Mapping, Memory, ObjectSpec};
    /// use seqslot_os_linux::Linux;
    ///
    /// let os = Linux::new();
    /// let made = os.memfd("frames", ObjectSpec { len: 4096, reserve: true, group: false })?;
    /// let passed = made.mapping.as_fd().try_clone_to_owned()?;   // as SCM_RIGHTS does it
    /// let other = os.adopt(passed)?;
    /// assert_eq!(other.memory().len(), 4096);
    /// # let word = seqslot_core::AtomicU32::new(0);
    /// assert!(other.claim(Lock::OWNER, &word)?.is_none());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn memfd(&self, name: &str, spec: ObjectSpec) -> Result<Created<Mapping, Claim>, OsError> {
        make(name, spec, SEALS)
    }

    /// As [`memfd`](Self::memfd), and sealed against writing through any other mapping than the one returned: whoever adopts it can only
    /// read. For snapshots whose readers are not trusted; should the writer die, its successor makes a new object.
    ///
    /// # Errors
    /// As for [`memfd`](Self::memfd); EINVAL from `fcntl(F_ADD_SEALS)` before Linux 5.1.
    ///
    /// ```
    /// use std::os::fd::AsFd;
    /// use seqslot_core::{Access, Mapping, ObjectSpec};
    /// use seqslot_os_linux::Linux;
    ///
    /// let os = Linux::new();
    /// let made = os.memfd_single_writer("state", ObjectSpec { len: 4096, reserve: true, group: false })?;
    /// let other = os.adopt(made.mapping.as_fd().try_clone_to_owned()?)?;
    /// assert_eq!((made.mapping.access(), other.access()), (Access::ReadWrite, Access::ReadOnly));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn memfd_single_writer(&self, name: &str, spec: ObjectSpec) -> Result<Created<Mapping, Claim>, OsError> {
        make(name, spec, SEALS | libc::F_SEAL_FUTURE_WRITE)
    }

    /// Maps an object that was passed as a descriptor, whole: read-only if the descriptor or a seal allows no more.
    ///
    /// # Errors
    /// [`OpenFault::NotASegment`] if it is not a memory file, or has no bytes. [`OpenFault::Os`] naming `fcntl(F_GET_SEALS)`, EPERM and the
    /// missing seals if it could be cut under us; else the system call that failed (`open`: without /proc there are no claims).
    ///
    /// ```
    /// use std::os::fd::AsFd;
    /// use seqslot_core::{Config, ObjectSpec, OpenFault, Segment};
    /// use seqslot_os_linux::Linux;
    ///
    /// let (os, config) = (Linux::new(), Config::slots(4, 64));
    /// let made = os.memfd("frames", ObjectSpec { len: config.len()?, reserve: true, group: false })?;
    /// let passed = made.mapping.as_fd().try_clone_to_owned()?; // as SCM_RIGHTS does it
    /// // SAFETY: made just now, and laid out once.
    /// let segment = unsafe { Segment::format(os, made, &config) }?;
    /// let other = Segment::adopt(os, os.adopt(passed)?)?;
    /// let reader = other.reader()?;
    /// segment.writer()?.send(b"hello")?;
    /// assert_eq!(reader.take()?.as_deref(), Some(&b"hello"[..]));
    /// // What a peer could cut under us is refused:
    /// let plain = std::fs::File::open(std::env::current_exe()?)?;
    /// assert!(os.adopt(plain.into()).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn adopt(&self, fd: OwnedFd) -> Result<Mapping, OpenFault> {
        let seals = seals(fd.as_fd())?;
        if let Some(missing) = missing(seals) {
            return Err(OpenFault::Os(OsError::new("fcntl(F_GET_SEALS)", libc::EPERM, missing)));
        }
        let access = allowed(fd.as_fd(), seals)?;
        // A description of our own, so that tests see the claims of whoever else has the one that was passed.
        let object = Object::nameless(reopen_descriptor(fd.as_fd(), access).map_err(OpenFault::Os)?, access);
        PosixMapping::of(object).map_err(OpenFault::Os)?.ok_or(OpenFault::NotASegment)
    }
}

fn make(name: &str, spec: ObjectSpec, seals: i32) -> Result<Created<Mapping, Claim>, OsError> {
    let object = Object::nameless(memfd_create(name)?, Access::ReadWrite);
    object.resize(spec)?;
    let Some(mapping) = PosixMapping::of(object)? else {
        return Err(OsError::new("mmap", libc::EINVAL, name));
    };
    let Some(owner) = OfdLocks::claim(mapping.object(), Lock::OWNER)? else {
        // Nobody else has the descriptor yet.
        return Err(OsError::new("fcntl(F_OFD_SETLK)", libc::EAGAIN, name));
    };
    // After mapping: the seal against writing would refuse it.
    // SAFETY: an open descriptor and a number.
    if unsafe { libc::fcntl(mapping.as_fd().as_raw_fd(), libc::F_ADD_SEALS, seals) } != 0 {
        return Err(last_failure("fcntl(F_ADD_SEALS)", name));
    }
    Ok(Created { mapping, owner })
}

fn memfd_create(name: &str) -> Result<OwnedFd, OsError> {
    let raw = CString::new(name).map_err(|_| OsError::new("memfd_create", libc::EINVAL, name))?;
    let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    let mut fd = -1;
    // Not executable, where the kernel (6.3 and later) knows that; it warns about those that do not say.
    for flags in [flags | libc::MFD_NOEXEC_SEAL, flags] {
        // SAFETY: a string that ends with NUL and lives through the call.
        fd = unsafe { libc::memfd_create(raw.as_ptr(), flags) };
        if fd >= 0 {
            break;
        }
    }
    if fd < 0 {
        return Err(last_failure("memfd_create", name));
    }
    // SAFETY: a descriptor that was just made and that nobody else has.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn seals(fd: BorrowedFd<'_>) -> Result<i32, OpenFault> {
    // SAFETY: an open descriptor.
    let seals = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GET_SEALS) };
    if seals >= 0 {
        return Ok(seals);
    }
    let error = std::io::Error::last_os_error();
    // EINVAL: a file of a kind that has no seals.
    if error.raw_os_error() == Some(libc::EINVAL) {
        return Err(OpenFault::NotASegment);
    }
    Err(OpenFault::Os(failed("fcntl(F_GET_SEALS)", &error, "memfd")))
}

/// What to tell about seals that are not there; `None` if all are.
fn missing(seals: i32) -> Option<&'static str> {
    let is_missing = |seal| seals & seal == 0;
    match (is_missing(libc::F_SEAL_SHRINK), is_missing(libc::F_SEAL_GROW), is_missing(libc::F_SEAL_SEAL)) {
        (false, false, false) => None,
        (true, false, false) => Some("memfd without F_SEAL_SHRINK"),
        (false, true, false) => Some("memfd without F_SEAL_GROW"),
        (false, false, true) => Some("memfd without F_SEAL_SEAL"),
        (true, true, false) => Some("memfd without F_SEAL_SHRINK and F_SEAL_GROW"),
        (true, false, true) => Some("memfd without F_SEAL_SHRINK and F_SEAL_SEAL"),
        (false, true, true) => Some("memfd without F_SEAL_GROW and F_SEAL_SEAL"),
        (true, true, true) => Some("memfd without F_SEAL_SHRINK, F_SEAL_GROW and F_SEAL_SEAL"),
    }
}

/// How it may be mapped.
fn allowed(fd: BorrowedFd<'_>, seals: i32) -> Result<Access, OpenFault> {
    // SAFETY: an open descriptor.
    let flags = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL) };
    if flags < 0 {
        return Err(OpenFault::Os(last_failure("fcntl(F_GETFL)", "memfd")));
    }
    let sealed = seals & (libc::F_SEAL_WRITE | libc::F_SEAL_FUTURE_WRITE) != 0;
    let writable = flags & libc::O_ACCMODE == libc::O_RDWR;
    Ok(if writable && !sealed { Access::ReadWrite } else { Access::ReadOnly })
}
