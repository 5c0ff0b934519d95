//! What a running segment needs from its platform: objects, wait and wake, a clock, and the truth about who lives.
//!
//! A shim implements [`Os`] and [`Mapping`]; `seqslot-os-mock` has the conformance suite that checks the numbered clauses
//! below on any implementation. Where there is no operating system, [`Bare`](crate::Bare) implements both over a region.

use core::time::Duration;

use portable_atomic::AtomicU32;

use crate::error::{CreateFault, OpenFault, OsError};
use crate::memory::Memory;

/// A lock of the segment's object: held by exactly one living party, let go of when it dies.
///
/// Readers have locks 0 to 31, writers 32 to 63; the others have names.
///
/// ```
/// use seqslot_core::Lock;
/// assert_eq!((Lock::reader(31).number(), Lock::writer(0).number(), Lock::OWNER.number()), (31, 32, 64));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Lock(u8);

impl Lock {
    /// The creator of the object, who has the duty to unlink it.
    pub const OWNER: Self = Self(64);
    /// Whoever evicts a living reader, so that no two evictions and no join meet.
    pub const EVICTION: Self = Self(65);

    /// The lock of reader entry `index` (below 32).
    #[must_use]
    pub const fn reader(index: u8) -> Self {
        Self(index & 31)
    }

    /// The lock of writer entry `index` (below 32).
    #[must_use]
    pub const fn writer(index: u8) -> Self {
        Self(32 + (index & 31))
    }

    /// Its number: 0 to 65. Shims that lock byte ranges use it as the offset of the byte.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }
}

/// Who a process is, as its registry entry tells people and, where locks cannot be tested, other processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Process {
    /// Process number in its own pid namespace; 0 where there is none.
    pub pid: u32,
    /// Start time in the platform's unit, so that a number used again is told apart; 0 if unknown.
    pub start_time: u64,
    /// Identity of the pid namespace; 0 if unknown.
    pub pid_namespace: u32,
}

/// How an object is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObjectSpec {
    /// Length in bytes.
    pub len: usize,
    /// Reserve the memory now, so that a full system is an error here and not a fault at first use.
    pub reserve: bool,
    /// Let the group of the creator in as well (mode 0660 in place of 0600).
    pub group: bool,
}

/// How an object is mapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Loads only; the kernel refuses everything else.
    ReadOnly,
    /// Loads and stores.
    ReadWrite,
}

/// Why a wait returned. None of the answers promises that the condition holds: the caller looks again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Woken {
    /// A wake, a signal, a spurious return, or the word did not hold the expected value.
    Perhaps,
    /// The time is up.
    TimedOut,
}

/// A freshly made object: its mapping and the lock of its owner.
#[derive(Debug)]
pub struct Created<G, C> {
    /// The object, mapped for reading and writing, every byte zero.
    pub mapping: G,
    /// [`Lock::OWNER`], held.
    pub owner: C,
}

/// The claim type of an [`Os`].
pub type ClaimOf<O> = <<O as Os>::Mapping as Mapping>::Claim;
/// The memory type of an [`Os`].
pub type MemoryOf<O> = <<O as Os>::Mapping as Mapping>::Memory;

/// A platform. A value is a cheap handle; clones are the same platform.
///
/// Clauses that every implementation keeps (the conformance suite has a test for each):
///
/// 1. `create` makes an object of exactly `spec.len` bytes, all zero, visible under `name` to `open` at the latest when it returns;
///    it returns with the owner's lock held, and leaves nothing behind when it fails.
/// 2. `create` over an object whose owner lives is [`CreateFault::AlreadyExists`]; over a dead owner's it succeeds with a new
///    object, and those attached to the old one keep it.
/// 3. `open` of a name that does not exist is [`OpenFault::NotFound`].
/// 4. Two mappings of one object show the same memory; a mapping's memory is never longer than the object, and lives as long as the mapping.
/// 5. A wait whose word does not hold `expected` returns without sleeping.
/// 6. A wait returns soon after a wake of the same word whose mask shares a bit with its own, if the word was changed before the wake.
/// 7. A wait returns at the latest when `timeout` is over, whatever signals and spurious wake-ups come; zero does not sleep.
/// 8. `now` never goes back and goes on while processes sleep.
/// 13. Where `fence_all` answers true, every thread of every process of which an `enroll` has answered true before has made a full
///     (sequentially consistent) fence between the call and its return, and so has the caller after that.
///
/// # Safety
///
/// Clause 1 carries the soundness of whatever is laid out in a new object: each mapping that `create` gives is of an object that it made
/// for this call, all zero, mapped writable, and in nobody else's hands (what opens its name meanwhile finds no head). An object given
/// out twice would be laid out twice, and one slot be lent to two.
///
/// So a platform over another one is `unsafe` to write, too:
///
/// ```compile_fail,E0200
/// # use core::time::Duration;
/// # use seqslot_core::*;
/// #[derive(Clone)]
/// struct Mine<O>(O);
/// impl<O: Os> Os for Mine<O> {
///     type Name = O::Name;
///     type Mapping = O::Mapping;
///     fn create(&self, name: &O::Name, spec: ObjectSpec) -> Result<Created<O::Mapping, ClaimOf<O>>, CreateFault> {
///         let owner = self.0.create(name, spec)?.owner;
///         Ok(Created { mapping: self.0.open(name, Access::ReadWrite).unwrap(), owner }) // is it new? whose is it?
///     }
/// #   fn open(&self, name: &O::Name, access: Access) -> Result<O::Mapping, OpenFault> { self.0.open(name, access) }
/// #   fn wait(&self, word: &AtomicU32, expected: u32, mask: u32, timeout: Duration) -> Woken { Woken::Perhaps }
/// #   fn wake(&self, word: &AtomicU32, mask: u32) {}
/// #   fn sleep(&self, time: Duration) {}
/// #   fn now(&self) -> Duration { Duration::ZERO }
/// #   fn process(&self) -> Process { Process::default() }
///     // and so on
/// }
/// ```
pub unsafe trait Os: Clone {
    /// What names an object: a path, a string.
    type Name: ?Sized;
    /// A mapped object.
    type Mapping: Mapping;

    /// Makes an object (clauses 1 and 2).
    ///
    /// # Errors
    /// [`CreateFault`]: the name is taken by a living owner, memory is short, or a system call failed.
    fn create(&self, name: &Self::Name, spec: ObjectSpec) -> Result<Created<Self::Mapping, ClaimOf<Self>>, CreateFault>;

    /// Maps an existing object whole (clauses 3 and 4).
    ///
    /// # Errors
    /// [`OpenFault`]: no such name, no permission, a name file that is not one, or a system call failed.
    fn open(&self, name: &Self::Name, access: Access) -> Result<Self::Mapping, OpenFault>;

    /// Sleeps while `word` holds `expected`, at most `timeout` (clauses 5 to 7). `mask` is not 0.
    fn wait(&self, word: &AtomicU32, expected: u32, mask: u32, timeout: Duration) -> Woken;

    /// Wakes everybody who waits on `word` with a mask that shares a bit with `mask`, which is not 0 (clause 6).
    fn wake(&self, word: &AtomicU32, mask: u32);

    /// Sleeps for about `time` without a word: for waiters that cannot register.
    fn sleep(&self, time: Duration);

    /// A monotonic clock, the same for all processes of the machine (clause 8). Zero for ever where there is none.
    fn now(&self) -> Duration;

    /// Who the calling process is.
    fn process(&self) -> Process;

    /// Tells the system that the threads of this process answer [`fence_all`](Self::fence_all); false where there is no such thing. Called
    /// again and again; a forked child starts without.
    fn enroll(&self) -> bool {
        false
    }

    /// The heavy half of an asymmetric fence: a full fence in every thread of every process that [`enroll`](Self::enroll)ed, at some
    /// moment between this call and its return (clause 13). False if it was not made.
    #[cfg_attr(loom, track_caller)]
    fn fence_all(&self) -> bool {
        false
    }

    /// Between cores whose caches are not coherent: makes this core's stores to the range visible. Nothing to do elsewhere.
    fn cache_clean(&self, _at: usize, _len: usize) {}

    /// Between cores whose caches are not coherent: forgets this core's copies of the range. Nothing to do elsewhere.
    fn cache_invalidate(&self, _at: usize, _len: usize) {}

    /// Between cores without a futex: tells the other side to look (an inter-processor interrupt). Nothing to do elsewhere.
    fn doorbell(&self) {}
}

/// A mapped object and the locks on it. Dropping it unmaps; nothing made from [`memory`](Self::memory) may be used after that.
///
/// Clauses:
///
/// 9. Of all claims of one lock, in this process and in others, at most one is out at any time.
/// 10. When a claim is dropped, or its process dies in any way, the lock is free; a fork of the process does not keep it.
/// 11. `is_claimed` is true exactly while a claim is out, wherever it is held, also in this process.
/// 12. In a forked child an inherited claim answers `is_mine() == false`, and dropping it changes nothing for the parent.
///
/// (A holder that is killed between a fork and its child's first instruction may keep its lock until the child runs.)
///
/// # Safety
///
/// Clauses 4, 9, 10 and 12 carry the soundness of everything above: the memory is valid as long as the mapping lives and moves with
/// it, and no lock is ever given to two. [`alignment`](Self::alignment) and [`access`](Self::access) tell the truth.
pub unsafe trait Mapping {
    /// Access to the mapped memory.
    type Memory: Memory;
    /// A lock that is held.
    type Claim: Claim;

    /// The memory, valid as long as this value is.
    fn memory(&self) -> Self::Memory;

    /// Tries to take `lock`, without waiting; `None` if somebody has it (clauses 9 and 10). `word` is a word of the segment set
    /// aside for this lock, for platforms without locks of their own; others leave it alone.
    ///
    /// # Errors
    /// The system call that failed: the descriptor limit is reached, the object is read-only.
    fn claim(&self, lock: Lock, word: &AtomicU32) -> Result<Option<Self::Claim>, OsError>;

    /// Whether somebody has `lock` (clause 11).
    ///
    /// # Errors
    /// The system call that failed.
    fn is_claimed(&self, lock: Lock, word: &AtomicU32) -> Result<bool, OsError>;

    /// Takes the object's name away, if it still names this object; those attached keep the object.
    ///
    /// # Errors
    /// The system call that failed.
    fn unlink(&self) -> Result<(), OsError>;

    /// Whether the name it was opened by still leads to this object. An object without a name counts as named.
    ///
    /// # Errors
    /// The system call that failed.
    fn is_named(&self) -> Result<bool, OsError> {
        Ok(true)
    }

    /// A power of two that the memory's first byte is a multiple of: at least 64.
    fn alignment(&self) -> usize {
        64
    }

    /// What the memory may be used for.
    fn access(&self) -> Access {
        Access::ReadWrite
    }

    /// Whether this process may use the mapping: false in a forked child of the one that made it.
    fn is_mine(&self) -> bool {
        true
    }
}

/// A lock that is held; dropping it lets go.
pub trait Claim {
    /// False in a forked child of the process that took it (clause 12).
    fn is_mine(&self) -> bool;
}
