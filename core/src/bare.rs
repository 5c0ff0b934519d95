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
#[derive(Debug, Clone, Copy)]
pub struct Bare<'r> {
    region: Region<'r>,
}

impl<'r> Bare<'r> {
    /// The platform over `region`. All zero is a fresh region.
    #[must_use]
    pub const fn new(region: Region<'r>) -> Self {
        Self { region }
    }
}

impl<'r> Os for Bare<'r> {
    type Name = ();
    type Mapping = Region<'r>;

    fn create(&self, (): &(), spec: ObjectSpec) -> Result<Created<Self::Mapping, BareClaim<'r>>, CreateFault> {
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
            // ORDERING: Acquire, edge "notify"; pairs with the Release of a bump.
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

impl<'r> Mapping for Region<'r> {
    type Memory = Raw;
    type Claim = BareClaim<'r>;

    fn memory(&self) -> Raw {
        self.raw()
    }

    fn claim(&self, _lock: Lock, word: &AtomicU32) -> Result<Option<Self::Claim>, OsError> {
        // ORDERING: Acquire, edge "claim"; pairs with the Release of a drop. Failure: Relaxed, nothing is concluded.
        if word.compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed).is_err() {
            return Ok(None);
        }
        let at = core::ptr::from_ref(word).addr() - self.raw_base();
        Ok(Some(BareClaim { word: Some((*self, at)) }))
    }

    fn is_claimed(&self, _lock: Lock, word: &AtomicU32) -> Result<bool, OsError> {
        // ORDERING: Relaxed; an answer that may be old when it arrives.
        Ok(word.load(Ordering::Relaxed) != 0)
    }

    fn unlink(&self) -> Result<(), OsError> {
        Ok(())
    }
}

/// A claim held by a word of the region.
#[derive(Debug)]
pub struct BareClaim<'r> {
    word: Option<(Region<'r>, usize)>,
}

impl Claim for BareClaim<'_> {
    #[inline(always)]
    fn is_mine(&self) -> bool {
        true
    }
}

impl Drop for BareClaim<'_> {
    fn drop(&mut self) {
        if let Some((region, at)) = self.word {
            region.store_release(at, 0);
        }
    }
}
