//! The one thing that platforms do differently about named objects: how a lock is held and tested.

use std::fmt::Debug;
use std::os::fd::BorrowedFd;

use seqslot_core::{Lock, OsError};

use crate::fork::Claim;
use crate::object::Object;

/// How a platform holds locks that the kernel lets go of when their process dies.
///
/// Duties of an implementation:
///
/// 1. Locks belong to an open file description, and each claim has one of its own, so that two claims of one process exclude each other
///    and closing some other descriptor lets go of nothing.
/// 2. Tests go through a description that holds no lock, so that claims of the same process are seen.
///
/// # Safety
///
/// Both duties are kept, and of all claims of one lock of one object at most one is out at any time:
/// [`PosixMapping`](crate::PosixMapping) answers for it to whoever lends out slots.
pub unsafe trait Locking: Debug + 'static {
    /// Tries to lock a whole file (a flink, opened for writing), without waiting; false if somebody has it.
    ///
    /// # Errors
    /// The system call that failed, on `path`.
    fn try_lock_file(file: BorrowedFd<'_>, path: &str) -> Result<bool, OsError>;

    /// Lets go of every lock of a description. Failing is harmless: closing the descriptor does it too.
    fn unlock(file: BorrowedFd<'_>);

    /// Tries to take `lock` of `object`, without waiting; `None` if somebody has it.
    ///
    /// # Errors
    /// The system call that failed.
    fn claim(object: &Object, lock: Lock) -> Result<Option<Claim>, OsError>;

    /// Whether somebody has `lock` of `object`.
    ///
    /// # Errors
    /// The system call that failed.
    fn is_claimed(object: &Object, lock: Lock) -> Result<bool, OsError>;

    /// The process that holds [`Lock::OWNER`], for people to read. `alleged` is what the object itself says: 0 if it says
    /// nothing, and anything if a peer damaged it. Platforms that can ask the kernel do.
    fn owner_pid(_object: &Object, alleged: u32) -> u32 {
        alleged
    }

    /// The object's name is gone: what the platform keeps beside the flink for its locks may go, as far as nobody holds one.
    fn tidy(_object: &Object) {}
}

/// Every lock that an object has.
pub fn every_lock() -> impl Iterator<Item = Lock> {
    let readers = (0..32).map(Lock::reader);
    let writers = (0..32).map(Lock::writer);
    readers.chain(writers).chain([Lock::OWNER, Lock::EVICTION])
}
