//! The platform's type and its [`Os`].

use core::time::Duration;
use std::path::Path;

use seqslot_core::{Access, AtomicU32, CreateFault, Created, ObjectSpec, OpenFault, Os, Process, Woken};
use seqslot_os_posix::{Claim, PosixMapping, RemoveError, named};

use crate::liveness::FileLocks;
use crate::{clock, process, wait};

/// A mapped object on macOS.
pub type Mapping = PosixMapping<FileLocks>;

/// macOS, as a platform. A value is nothing but a handle.
#[derive(Debug, Clone, Copy, Default)]
pub struct MacOs;

impl MacOs {
    /// The platform.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }

    /// Maps any object's bytes read-only, whoever owns it: for looking into, not for taking part.
    ///
    /// # Errors
    /// [`OpenFault`], but never `Untrusted`.
    pub fn inspect(&self, path: &Path) -> Result<Mapping, OpenFault> {
        named::inspect(path)
    }

    /// Removes the segment at `path`. Refuses while anybody holds one of its locks, unless `force`; those attached keep the
    /// memory in any case. Waits at most a second for another process that is creating or removing the same segment.
    ///
    /// # Errors
    /// [`RemoveError`]; `InUse` lists the locks that are held.
    pub fn remove(&self, path: &Path, force: bool) -> Result<(), RemoveError> {
        seqslot_os_posix::remove::<FileLocks>(path, force)
    }
}

// SAFETY: 1. `named::create` makes an object of a name that was drawn at random, exclusively (`O_EXCL`), for each call.
unsafe impl Os for MacOs {
    type Name = Path;
    type Mapping = Mapping;

    fn create(&self, name: &Path, spec: ObjectSpec) -> Result<Created<Mapping, Claim>, CreateFault> {
        named::create(name, spec)
    }

    fn open(&self, name: &Path, access: Access) -> Result<Mapping, OpenFault> {
        named::open(name, access)
    }

    #[inline]
    fn wait(&self, word: &AtomicU32, expected: u32, mask: u32, timeout: Duration) -> Woken {
        wait::wait(word, expected, mask, timeout)
    }

    #[inline]
    fn wake(&self, word: &AtomicU32, mask: u32) {
        wait::wake(word, mask);
    }

    fn sleep(&self, time: Duration) {
        // Goes on after a signal by itself.
        std::thread::sleep(time);
    }

    fn now(&self) -> Duration {
        clock::now()
    }

    fn process(&self) -> Process {
        process::current()
    }
}
