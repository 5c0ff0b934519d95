//! A platform without an operating system: a region, two or more cores or threads, no clock, no futex, and nobody to say who died.

use core::time::Duration;

use portable_atomic::{AtomicU32, Ordering};

use crate::error::{CreateFault, OpenFault, OsError};
use crate::memory::Raw;
use crate::os::{Access, Claim, Created, Lock, Mapping, ObjectSpec, Os, Process, Woken};
use crate::region::Region;

/// How often a wait looks at its word before it says that the time is up.
const LOOKS: u32 = 4096;

/// The platform of embedded and custom-allocator users: everything happens in one given region.
///
/// A claim is a compare-and-swap on a word of the region. It outlives its holder: whoever knows that a party is gone (a core was
/// reset) says so by [`Segment::declare_dead`](crate::Segment::declare_dead). Waits poll. The clock stands still, so timeouts
/// count looks: bounded, not timed.
///
/// ```
/// use seqslot_core::{Bare, Config, CreateError, Segment};
/// # #[repr(align(64))] struct Bank([core::sync::atomic::AtomicU8; 16384]);
/// # static BANK: Bank = Bank([const { core::sync::atomic::AtomicU8::new(0) }; 16384]);
/// # // SAFETY: nobody else uses the bank, and one segment is made in it.
/// # let region = unsafe { seqslot_core::Region::new(&BANK.0) }?;
/// let (os, config) = (Bare::new(region), Config::slots(4, 64).readers(2));
/// let made = Segment::create(os, &(), &config)?;
/// let attached = Segment::attach(os, &())?; // on the other core
/// let reader = attached.reader()?;
/// made.writer()?.send(b"hello")?;
/// assert_eq!(reader.take()?.as_deref(), Some(&b"hello"[..]));
/// // A region that holds a segment is not laid out anew:
/// assert_eq!(Segment::create(os, &(), &config).err(), Some(CreateError::AlreadyExists { pid: 0 }));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Bare<'r> {
    region: Region<'r>,
}

impl<'r> Bare<'r> {
    /// The platform over `region`. A region is fresh when it is all zero: who makes a segment in one that was used before zeroes it first.
    #[must_use]
    pub const fn new(region: Region<'r>) -> Self {
        Self { region }
    }
}

// SAFETY: 1. the bytes are whoever made the region promised (`Region::new` 2): at most one segment is made in them, so they are handed out
// for one, until it is ready.
unsafe impl<'r> Os for Bare<'r> {
    type Name = ();
    type Mapping = Region<'r>;

    fn create(&self, (): &(), spec: ObjectSpec) -> Result<Created<Self::Mapping, BareClaim<'r>>, CreateFault> {
        if self.region.is_ready() {
            return Err(CreateFault::AlreadyExists { pid: 0 });
        }
        if self.region.len() < spec.len {
            return Err(CreateFault::BadName { reason: "the region is shorter than the segment" });
        }
        // The owner of a region is whoever wrote the program: there is nothing to unlink, and no lock to hold.
        Ok(Created { mapping: self.region, owner: BareClaim { word: None } })
    }

    fn open(&self, (): &(), _access: Access) -> Result<Self::Mapping, OpenFault> {
        Ok(self.region)
    }

    fn wait(&self, word: &AtomicU32, expected: u32, _mask: u32, timeout: Duration) -> Woken {
        if timeout.is_zero() {
            return Woken::TimedOut;
        }
        for _ in 0..LOOKS {
            // ORDERING: Acquire, edge "notify"; pairs with the notifier's fence before its bump. Any other platform's wait is a system call,
            // which orders as much: the look that follows a wait may be its caller's last, and is by Relaxed hints.
            if word.load(Ordering::Acquire) != expected {
                return Woken::Perhaps;
            }
            core::hint::spin_loop();
        }
        Woken::TimedOut
    }

    fn wake(&self, _word: &AtomicU32, _mask: u32) {}

    fn sleep(&self, _time: Duration) {
        for _ in 0..LOOKS {
            core::hint::spin_loop();
        }
    }

    fn now(&self) -> Duration {
        Duration::ZERO
    }

    fn process(&self) -> Process {
        Process::default()
    }
}

// SAFETY: 4. a region is borrowed for 'r, which the mapping carries, and never moves. 9. a claim is a compare-and-swap from even to odd.
// 10. it is let go of by its drop; a death is told by `declare_dead`. 12. nothing forks. The address gives the alignment; regions are writable.
unsafe impl<'r> Mapping for Region<'r> {
    type Memory = Raw;
    type Claim = BareClaim<'r>;

    fn memory(&self) -> Raw {
        self.raw()
    }

    fn claim(&self, _lock: Lock, word: &AtomicU32) -> Result<Option<Self::Claim>, OsError> {
        // ORDERING: Relaxed; a hint, the exchange decides.
        let free = word.load(Ordering::Relaxed);
        let held = free.wrapping_add(1);
        // ORDERING: Acquire, edge "claim"; pairs with the Release of whoever let go. Failure: Relaxed, nothing is concluded.
        if is_held(free) || word.compare_exchange(free, held, Ordering::Acquire, Ordering::Relaxed).is_err() {
            return Ok(None);
        }
        let at = core::ptr::from_ref(word).addr().checked_sub(self.raw_base());
        Ok(Some(BareClaim { word: at.map(|at| (*self, at, held)) }))
    }

    fn is_claimed(&self, lock: Lock, word: &AtomicU32) -> Result<bool, OsError> {
        // The owner of a region is the program, which lives. ORDERING: Relaxed; an answer that may be old when it arrives.
        Ok(lock == Lock::OWNER || is_held(word.load(Ordering::Relaxed)))
    }

    fn unlink(&self) -> Result<(), OsError> {
        Ok(())
    }

    fn alignment(&self) -> usize {
        1 << self.raw_base().trailing_zeros().min(usize::BITS - 2)
    }
}

/// A lock word is odd while it is held, and counts its holders: who was declared dead does not free the lock of a successor.
const fn is_held(word: u32) -> bool {
    !word.is_multiple_of(2)
}

/// Frees the lock of a party that is gone.
pub(crate) fn free_lock(word: &AtomicU32) {
    // ORDERING: Relaxed; a hint, the exchange decides.
    let held = word.load(Ordering::Relaxed);
    if is_held(held) {
        // ORDERING: Release, edge "claim"; pairs with the Acquire of the next claim. Failure: somebody else freed it.
        let _ = word.compare_exchange(held, held.wrapping_add(1), Ordering::Release, Ordering::Relaxed);
    }
}

/// A claim held by a word of the region.
#[derive(Debug)]
pub struct BareClaim<'r> {
    /// The region, the word's offset, and what the word holds while this claim does.
    word: Option<(Region<'r>, usize, u32)>,
}

impl Claim for BareClaim<'_> {
    #[inline(always)]
    fn is_mine(&self) -> bool {
        // Not any more once its holder was declared dead.
        self.word.is_none_or(|(region, at, held)| region.word_is(at, held))
    }
}

impl Drop for BareClaim<'_> {
    fn drop(&mut self) {
        if let Some((region, at, held)) = self.word {
            region.let_go(at, held);
        }
    }
}
