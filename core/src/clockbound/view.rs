//! The reader's steps over a segment that a foreign daemon writes.
//!
//! | step | what | why |
//! |---|---|---|
//! | 1 | version and generation, one word, Relaxed; fence Acquire | even: the payload of that generation is there |
//! | 2 | payload, 32-bit words, Relaxed; fence Acquire | a word of a newer payload implies that step 3 sees another generation |
//! | 3 | version and generation again: the same, or try again | |
//!
//! The daemon of ClockBound 2.x does not order its odd generation before its payload for weakly ordered machines, and writes the
//! generation by 16-bit stores; both are the format's owner's to mend. On x86-64 its stores come in order, and ours are the fences that
//! keep the loads so.

use portable_atomic::Ordering;

use super::bound::ClockErrorBound;
use super::error::ShmError;
use super::layout::{AS_OF, HEADER_LEN, PAYLOAD_LEN, SEGMENT_LEN, VERSION_GENERATION_AT, VOID_AFTER};
use super::parse::{check_header, check_version, parse};
use crate::memory::Memory;
use crate::region::Word;

/// How often a snapshot looks before it gives up: the daemon's update takes well below a microsecond, once a second.
pub const CLOCKBOUND_TRIES_MAX: u32 = if cfg!(loom) { 2 } else { 1_000 };

/// A reader of a mapped ClockBound segment, with the last bound it read.
///
/// ```
/// use seqslot_core::clockbound::{ClockBoundView, ClockStatus, TimeSpec};
/// # use core::sync::atomic::{AtomicU8, Ordering::Relaxed};
/// # #[repr(align(64))] struct Bank([AtomicU8; 80]);
/// # static BANK: Bank = Bank([const { AtomicU8::new(0) }; 80]);
/// # let put = |at: usize, bytes: &[u8]| BANK.0[at..].iter().zip(bytes).for_each(|(to, byte)| to.store(*byte, Relaxed));
/// # put(0, &0x414D_5A4E_u32.to_ne_bytes());
/// # put(4, &0x4342_0200_u32.to_ne_bytes());
/// # put(8, &80_u32.to_ne_bytes());
/// # put(12, &2_u16.to_ne_bytes());
/// # put(14, &10_u16.to_ne_bytes());
/// # put(16, &1000_i64.to_ne_bytes());
/// # put(32, &2000_i64.to_ne_bytes());
/// # put(48, &10_000_i64.to_ne_bytes());
/// # put(64, &1_000_u32.to_ne_bytes());
/// # put(68, &1_i32.to_ne_bytes());
/// # // SAFETY: nobody else uses the bank.
/// # let memory = unsafe { seqslot_core::Region::new(&BANK.0) }?.raw();
/// // `memory` holds a segment: at 1,000 s within 10 us, drift 1,000 ppb.
/// // SAFETY: 1. it is mapped as long as the program runs. 2. it is aligned to 64.
/// let mut view = unsafe { ClockBoundView::attach(memory) }?;
/// let bound = *view.snapshot()?;
/// assert!(view.is_current() && view.cached() == Some(&bound));
/// assert_eq!((bound.bound_nsec(), bound.clock_status()), (10_000, ClockStatus::Synchronized));
///
/// // Two seconds later the bound is 2 us wider:
/// let time = |seconds, nanos| TimeSpec::new(seconds, nanos).expect("nanoseconds below a second");
/// let (earliest, latest, status) = bound.at(time(50_000, 20_000), time(1002, 0))?;
/// assert_eq!((earliest, latest), (time(50_000, 8_000), time(50_000, 32_000)));
/// assert_eq!(status, ClockStatus::Synchronized);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct ClockBoundView<M> {
    memory: M,
    /// The last good payload: its version word, its bytes, and what they say.
    cached: Option<Cached>,
    current: bool,
}

#[derive(Debug)]
struct Cached {
    word: u32,
    payload: [u8; PAYLOAD_LEN],
    bound: ClockErrorBound,
}

/// Why a try failed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Busy {
    /// The daemon was writing already.
    Odd,
    /// The daemon wrote meanwhile.
    Overtaken,
}

impl<M: Memory> ClockBoundView<M> {
    /// A reader of the segment in `memory`, after a check of its header.
    ///
    /// # Errors
    /// [`ShmError`]: not initialised, another version, not a ClockBound segment, or shorter than it says.
    ///
    /// # Safety
    ///
    /// 1. `memory` is mapped, and not cut short, as long as the view is used. 2. It starts at a multiple of 4.
    pub unsafe fn attach(memory: M) -> Result<Self, ShmError> {
        if memory.len() < HEADER_LEN {
            return Err(ShmError::SegmentMalformed);
        }
        let mapped = memory.len();
        let view = Self { memory, cached: None, current: false };
        check_header([0, 4, 8, 12].map(|at| view.word(at).load(Ordering::Relaxed)), mapped)?;
        // The header may allege a length, the check compared it: from here on a whole payload is mapped.
        debug_assert!(mapped >= SEGMENT_LEN);
        Ok(view)
    }

    /// The newest bound; looks at one cache line if nothing has changed.
    ///
    /// If the daemon is found writing on every try, so that it probably died there, the answer is the last good bound, if there is one:
    /// it carries its own date, and [`ClockErrorBound::at`] makes it wider and at last void ([`is_current`](Self::is_current) tells).
    /// Without one it is an error: zeros never pass for a bound. A segment that was wiped is an error in any case.
    ///
    /// Never waits; at most [`CLOCKBOUND_TRIES_MAX`] tries.
    ///
    /// # Errors
    /// [`ShmError`], as for [`attach`](Self::attach), and `Contended` if the daemon wrote during every try.
    pub fn snapshot(&mut self) -> Result<&ClockErrorBound, ShmError> {
        self.current = false;
        let mut busy = Busy::Odd;
        for _ in 0..CLOCKBOUND_TRIES_MAX {
            match self.attempt()? {
                Ok(()) => {
                    self.current = true;
                    break;
                }
                Err(found) => busy = found,
            }
            core::hint::spin_loop();
        }
        if !self.current && busy == Busy::Overtaken {
            return Err(ShmError::Contended { tries: CLOCKBOUND_TRIES_MAX });
        }
        self.cached.as_ref().map(|cached| &cached.bound).ok_or(ShmError::SegmentNotInitialized)
    }

    /// Whether the last [`snapshot`](Self::snapshot) found a finished update: false if it answered an older bound.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.current
    }

    /// The last good bound, without a look at the segment.
    #[must_use]
    pub fn cached(&self) -> Option<&ClockErrorBound> {
        self.cached.as_ref().map(|cached| &cached.bound)
    }

    /// One try: the cache holds the newest bound after `Ok(Ok(()))`.
    fn attempt(&mut self) -> Result<Result<(), Busy>, ShmError> {
        let word = self.word(VERSION_GENERATION_AT).load(Ordering::Relaxed);
        let generation = check_version(word)?;
        if generation % 2 != 0 {
            return Ok(Err(Busy::Odd));
        }
        // ORDERING: Acquire fence after a Relaxed load (the memory is mapped read-only), edge "payload"; pairs with the daemon's store of the
        // even generation. Carries the payload.
        self.memory.fence(Ordering::Acquire);
        if self.cached.as_ref().is_some_and(|cached| cached.word == word && self.has_date_of(cached)) {
            return Ok(Ok(()));
        }
        let mut payload = [0; PAYLOAD_LEN];
        // SAFETY: 1. and 2. the header is 16 bytes and `attach` has checked that a payload of 64 follows. 3. `attach`, duty 1.
        unsafe { self.memory.copy_out(HEADER_LEN, &mut payload) };
        // ORDERING: Acquire fence after the Relaxed copy, edge "torn"; pairs with what orders the daemon's odd generation before its payload.
        self.memory.fence(Ordering::Acquire);
        if self.word(VERSION_GENERATION_AT).load(Ordering::Relaxed) != word {
            return Ok(Err(Busy::Overtaken));
        }
        self.cached = Some(Cached { word, payload, bound: parse(&payload)? });
        Ok(Ok(()))
    }

    /// Whether the segment still has the date of the cached bound: 16 bits of generation alone come round after 32,767 updates.
    fn has_date_of(&self, cached: &Cached) -> bool {
        let mut dates = [0; VOID_AFTER - AS_OF];
        // SAFETY: as in `attempt`, for the first bytes of the payload.
        unsafe { self.memory.copy_out(HEADER_LEN + AS_OF, &mut dates) };
        dates == cached.payload[AS_OF..VOID_AFTER]
    }

    /// A word of the header, whose length `attach` has checked.
    fn word(&self, at: usize) -> Word<'_, M> {
        debug_assert!(at < HEADER_LEN);
        // SAFETY: 1. and 2. a constant inside the header. 3. `attach`, duty 1. 4. nothing is stored.
        unsafe { Word::new(&self.memory, at) }
    }
}
