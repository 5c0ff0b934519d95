//! The platform's type and its [`Os`].

use core::time::Duration;
use std::path::Path;

use seqslot_core::{Access, AtomicU32, CreateFault, Created, ObjectSpec, OpenFault, Os, Process, Woken};
use seqslot_os_posix::{Claim, PosixMapping, RemoveError, named};

use crate::liveness::OfdLocks;
use crate::{clock, fence, process, wait};

/// A mapped object on Linux.
pub type Mapping = PosixMapping<OfdLocks>;

/// Linux, as a platform. A value is nothing but a handle.
#[derive(Debug, Clone, Copy, Default)]
pub struct Linux;

impl Linux {
    /// The platform.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }

    /// Maps any object's bytes read-only, whoever owns it: for looking into, not for taking part.
    ///
    /// # Errors
    /// [`OpenFault`], but never `Untrusted`.
    ///
    /// ```
    /// use seqslot_core::{Config, Inspection, Lock, Segment};
    /// use seqslot_os_linux::Linux;
    ///
    /// # let path = std::env::temp_dir().join(format!("seqslot-inspect-{}.flink", std::process::id()));
    /// let segment = Segment::create(Linux::new(), &path, &Config::slots(4, 64))?;
    /// let writer = segment.writer()?;
    /// let mapping = Linux::new().inspect(&path)?;
    /// let inspection = Inspection::of(&mapping)?;
    /// assert_eq!(inspection.head().count, 4);
    /// assert!(inspection.is_claimed(Lock::OWNER)? && inspection.is_claimed(Lock::writer(0))?);
    /// drop(writer);
    /// assert!(!inspection.is_claimed(Lock::writer(0))?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn inspect(&self, path: &Path) -> Result<Mapping, OpenFault> {
        named::inspect(path)
    }

    /// Removes the segment at `path`. Refuses while anybody holds one of its locks, unless `force`; those attached keep the
    /// memory in any case. Waits at most a second for another process that is creating or removing the same segment.
    ///
    /// # Errors
    /// [`RemoveError`]; `InUse` lists the locks that are held.
    ///
    /// ```
    /// use seqslot_core::{Config, Lock, Segment};
    /// use seqslot_os_linux::{Linux, RemoveError};
    ///
    /// # let path = std::env::temp_dir().join(format!("seqslot-remove-{}.flink", std::process::id()));
    /// let segment = Segment::create(Linux::new(), &path, &Config::slots(4, 64))?;
    /// let refused = Linux::new().remove(&path, false);
    /// assert_eq!(refused, Err(RemoveError::InUse { held: vec![Lock::OWNER] }));
    /// Linux::new().remove(&path, true)?;
    /// assert!(!path.exists());
    /// assert_eq!(Linux::new().remove(&path, true), Err(RemoveError::NotFound));
    /// assert_eq!(segment.writer()?.send(b"hello")?, 0, "whoever is attached goes on");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn remove(&self, path: &Path, force: bool) -> Result<(), RemoveError> {
        seqslot_os_posix::remove::<OfdLocks>(path, force)
    }
}

// SAFETY: 1. `named::create` makes an object of a name that was drawn at random, exclusively (`O_EXCL`), for each call.
unsafe impl Os for Linux {
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

    fn enroll(&self) -> bool {
        fence::enroll()
    }

    fn fence_all(&self) -> bool {
        fence::fence_all()
    }
}
