//! The reader's steps over a segment that a foreign daemon writes.
//!
//! | step | what | why |
//! |---|---|---|
//! | 1 | version and generation, one word, Relaxed; fence Acquire | even: the payload of that generation is there |
//! | 2 | payload, 32-bit words, Relaxed; fence Acquire | a word of a newer payload implies that step 3 sees another generation |
//! | 3 | version and generation again: the same, or try again | |
//!
//! ClockBound's daemons do not order their odd generation before their payload for weakly ordered machines, and write the generation by
//! 16-bit stores; both are theirs to mend ([`ClockBoundPen`](super::ClockBoundPen) does neither). On x86-64 their stores come in order, and
//! ours are the fences that keep the loads so.

use portable_atomic::Ordering;

use super::bound::ClockErrorBound;
use super::error::ShmError;
use super::layout::{HEADER_LEN, Layout, PAYLOAD_LEN_MAX, SEGMENT_SIZE_AT, VERSION_GENERATION_AT, v2, v3};
use super::parse::SegmentHeader;
use crate::memory::Memory;
use crate::region::Word;

/// How often a snapshot looks before it gives up: the daemon's update takes well below a microsecond, once a second.
pub const CLOCKBOUND_TRIES_MAX: u32 = if cfg!(loom) { 2 } else { 1_000 };

/// How fresh a bound is that a snapshot answers.
///
/// ```
/// use seqslot_core::clockbound::SnapshotStatus;
/// assert!(SnapshotStatus::Unchanged.is_current() && !SnapshotStatus::WriterBusy.is_current());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum SnapshotStatus {
    /// A finished update that this reader had not seen.
    Fresh,
    /// The segment still holds the update that this reader has.
    Unchanged,
    /// The daemon was at it, or died there: the bound is of the last update that this reader has seen.
    WriterBusy,
    /// The segment was wiped, or is being made anew: the bound is of the last update before that.
    Wiped,
}

impl SnapshotStatus {
    /// Whether the bound is what the segment holds.
    #[must_use]
    pub const fn is_current(self) -> bool {
        matches!(self, Self::Fresh | Self::Unchanged)
    }
}

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
    layout: Layout,
    payload: [u8; PAYLOAD_LEN_MAX],
    bound: ClockErrorBound,
}

/// What one try found.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Try {
    /// The cache holds the newest bound.
    Done(SnapshotStatus),
    /// The daemon was writing already.
    Odd,
    /// The daemon wrote meanwhile.
    Overtaken,
}

impl<M: Memory> ClockBoundView<M> {
    /// A reader of the segment in `memory`, of either layout, after a check of its header.
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
        let mapped = memory.len() as u64;
        let view = Self { memory, cached: None, current: false };
        let words = [0, 4, SEGMENT_SIZE_AT, VERSION_GENERATION_AT].map(|at| view.word(at).load(Ordering::Relaxed));
        SegmentHeader::of_words(words, mapped)?;
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
    /// [`ShmError`], as for [`attach`](Self::attach), and `Contended` if the daemon wrote during every try of the first snapshot.
    pub fn snapshot(&mut self) -> Result<&ClockErrorBound, ShmError> {
        match self.snapshot_status()? {
            (_, SnapshotStatus::Wiped) => Err(ShmError::SegmentNotInitialized),
            _ => self.cached().ok_or(ShmError::SegmentNotInitialized),
        }
    }

    /// The newest bound, or the last one, and which of them it is.
    ///
    /// # Errors
    /// As [`snapshot`](Self::snapshot), but a segment that was wiped is an error only to a reader that has no bound yet.
    pub fn snapshot_status(&mut self) -> Result<(&ClockErrorBound, SnapshotStatus), ShmError> {
        self.current = false;
        let mut found = Try::Odd;
        for _ in 0..CLOCKBOUND_TRIES_MAX {
            found = self.attempt()?;
            if matches!(found, Try::Done(_)) {
                break;
            }
            core::hint::spin_loop();
        }
        let status = match found {
            Try::Done(status) => status,
            Try::Overtaken if self.cached.is_none() => return Err(ShmError::Contended { tries: CLOCKBOUND_TRIES_MAX }),
            Try::Odd | Try::Overtaken => SnapshotStatus::WriterBusy,
        };
        self.current = status.is_current();
        self.cached.as_ref().map(|cached| (&cached.bound, status)).ok_or(ShmError::SegmentNotInitialized)
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

    fn attempt(&mut self) -> Result<Try, ShmError> {
        let word = self.word(VERSION_GENERATION_AT).load(Ordering::Relaxed);
        let header = match SegmentHeader::of_version(word) {
            Err(ShmError::SegmentNotInitialized) => return Ok(Try::Done(SnapshotStatus::Wiped)),
            header => header?,
        };
        let layout = header.layout;
        // Another daemon may have made it anew, with the longer layout.
        if layout.segment_len() > self.memory.len() {
            return Err(ShmError::SegmentMalformed);
        }
        if header.is_busy() {
            return Ok(Try::Odd);
        }
        // ORDERING: Acquire fence after a Relaxed load (the memory is mapped read-only), edge "payload"; pairs with the writer's store of the
        // even generation. Carries the payload.
        self.memory.fence(Ordering::Acquire);
        if self.cached.as_ref().is_some_and(|cached| cached.word == word && self.has_date_of(cached)) {
            return Ok(Try::Done(SnapshotStatus::Unchanged));
        }
        let mut payload = [0; PAYLOAD_LEN_MAX];
        // SAFETY: 1. and 2. the header is 16 bytes, and it was compared above that the layout's payload follows. 3. `attach`, duty 1.
        unsafe { self.memory.copy_out(HEADER_LEN, &mut payload[..layout.payload_len()]) };
        // ORDERING: Acquire fence after the Relaxed copy, edge "torn"; pairs with the fence between the writer's odd generation and its payload.
        self.memory.fence(Ordering::Acquire);
        if self.word(VERSION_GENERATION_AT).load(Ordering::Relaxed) != word {
            return Ok(Try::Overtaken);
        }
        let bound = ClockErrorBound::of_payload(layout, &payload)?;
        self.cached = Some(Cached { word, layout, payload, bound });
        Ok(Try::Done(SnapshotStatus::Fresh))
    }

    /// Whether the segment still has the date of the cached bound: 16 bits of generation alone come round after 32,767 updates. The caller
    /// has seen that it has the cached bound's layout, too.
    fn has_date_of(&self, cached: &Cached) -> bool {
        // What comes before void_after: the time, and in layout 3 the counter.
        const DATE_LEN_MAX: usize = v3::VOID_AFTER;
        let mut date = [0; DATE_LEN_MAX];
        let date = match cached.layout {
            Layout::V2 => &mut date[..v2::VOID_AFTER],
            Layout::V3 => &mut date[..],
        };
        // SAFETY: as in `attempt`, for the first bytes of the payload.
        unsafe { self.memory.copy_out(HEADER_LEN, date) };
        cached.payload.starts_with(date)
    }

    /// A word of the header, whose length `attach` has checked.
    fn word(&self, at: usize) -> Word<'_, M> {
        debug_assert!(at < HEADER_LEN);
        // SAFETY: 1. and 2. a constant inside the header. 3. `attach`, duty 1. 4. nothing is stored.
        unsafe { Word::new(&self.memory, at) }
    }
}
