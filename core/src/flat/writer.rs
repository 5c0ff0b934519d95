//! The typed writer.

use core::cell::Cell;
use core::fmt;
use core::marker::PhantomData;
use core::ops::Deref;
use core::time::Duration;

use super::data::{FlatStruct, check};
use super::slot::FlatSlot;
#[cfg(feature = "alloc")]
use super::stragglers::Stragglers;
use super::waiting::Waiting;
use crate::seeds::{ReaderMask, SlotBackend, SlotError, SlotHandle};

/// What [`FlatWriter::write_bp`] does while no slot is free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Reliability {
    /// It waits for one, at most the timeout.
    Reliable,
    /// It drops the sample.
    BestEffort,
}

/// What became of a sample given to [`FlatWriter::write_bp`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use]
pub enum WriteOutcome {
    /// It is published under this sequence number.
    Written(u32),
    /// No slot was free, and none was waited for.
    Dropped,
    /// No slot became free in time.
    TimedOut,
}

/// Writes values of `T` through a backend: `B` is `&PosixSlotAllocator`, `Arc<PosixSlotAllocator>`, `&SlotFace<..>`, `Box<dyn SlotBackend>`...
///
/// A reader that is alive but does not read would hold slots for ever. So with `alloc`, where a clock runs, a sample that a reader in the mask
/// has not read for the straggler timeout (60 s after this writer committed it, or first saw it: another writer's) counts as read by it: see
/// [`SlotBackend::evict_sample`]. That is looked after when no slot is free. The ages are this writer's own account, and go with it: who makes a
/// writer for each message never finds anything too old, so keep one.
///
/// Whoever reads in place ([`SlotBackend::slot_read_ptr`]), and may take longer than that, has to be let do so by every writer:
/// `with_straggler_timeout(Duration::MAX)`.
///
/// Send, not Sync: each thread has a writer of its own, over the same backend if they like. A writer holds nothing of the backend but its
/// loans.
///
/// ```
/// use core::time::Duration;
/// use seqslot_core::{FlatReader, FlatStruct, FlatWriter, Reliability, SlotError, WriteOutcome};
/// use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};
/// # struct Locked<T>(std::sync::Mutex<T>);
/// # impl<T> seqslot_core::Exclusive<T> for Locked<T> {
/// #     fn new(value: T) -> Self { Self(std::sync::Mutex::new(value)) }
/// #     fn with<R>(&self, act: impl FnOnce(&mut T) -> R) -> R { act(&mut self.0.lock().unwrap()) }
/// # }
/// # struct Mutexes;
/// # impl seqslot_core::Exclusion for Mutexes { type Of<T> = Locked<T>; }
/// # #[repr(align(64))] struct Bank([core::sync::atomic::AtomicU8; 16384]);
/// # static BANK: Bank = Bank([const { core::sync::atomic::AtomicU8::new(0) }; 16384]);
/// # // SAFETY: nobody else uses the bank, and one segment is made in it.
/// # let region = unsafe { seqslot_core::Region::new(&BANK.0) }?;
/// # let config = seqslot_core::Config::typed::<Pose>(2).type_hash(Pose::TYPE_HASH);
/// # let segment = seqslot_core::Segment::create(seqslot_core::Bare::new(region), &(), &config)?;
/// # let slots: seqslot_core::SlotFace<_, Mutexes> = seqslot_core::SlotFace::new(segment)?;
///
/// #[derive(Debug, Clone, Copy, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
/// #[repr(C)]
/// struct Pose {
///     x: i64,
///     y: i64,
/// }
/// impl FlatStruct for Pose {
///     const TYPE_HASH: [u8; 16] = *b"Pose{x:i64,y:i64";
/// }
///
/// // Two slots, and reader 0 counts.
/// let writer = FlatWriter::<Pose, _>::new(&slots, 0b1)?;
/// let mut reader = FlatReader::<Pose, _>::new(&slots, 0)?;
/// assert_eq!(writer.write(&Pose { x: 1, y: 1 })?, 0);
/// assert_eq!(writer.loan_slot()?.commit(Pose { x: 2, y: 2 })?, 1);
/// assert_eq!(writer.write(&Pose { x: 3, y: 3 }), Err(SlotError::NoFreeSlot));
/// let best_effort = writer.write_bp(&Pose { x: 3, y: 3 }, Reliability::BestEffort, Duration::ZERO)?;
/// assert_eq!(best_effort, WriteOutcome::Dropped);
///
/// assert_eq!(reader.read_next()?, Some(Pose { x: 1, y: 1 }));
/// let reliable = writer.write_bp(&Pose { x: 3, y: 3 }, Reliability::Reliable, Duration::MAX)?;
/// assert_eq!(reliable, WriteOutcome::Written(2));
/// assert_eq!(reader.read()?, Some(Pose { x: 3, y: 3 }), "the newest");
/// assert_eq!(reader.read()?, None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct FlatWriter<T, B> {
    pub(super) backend: B,
    active: ReaderMask,
    #[cfg(feature = "alloc")]
    stragglers: Stragglers,
    _of: PhantomData<fn() -> T>,
    /// Of one thread at a time, whatever is kept beside it.
    _not_sync: PhantomData<Cell<()>>,
}

impl<T: FlatStruct, B: Deref<Target: SlotBackend>> FlatWriter<T, B> {
    /// A writer whose slots are free again when the readers in `active_readers_mask` have read them.
    ///
    /// # Errors
    /// [`SlotError::TypeMismatch`] if the segment is for another type; one without a type is taken on trust.
    /// [`SlotError::SampleTooLarge`] if its slots are too small.
    pub fn new(backend: B, active_readers_mask: ReaderMask) -> Result<Self, SlotError> {
        check::<T, _>(&*backend)?;
        Ok(Self {
            #[cfg(feature = "alloc")]
            stragglers: Stragglers::new(backend.slot_count()?),
            backend,
            active: active_readers_mask,
            _of: PhantomData,
            _not_sync: PhantomData,
        })
    }

    /// The backend.
    pub fn backend(&self) -> &B::Target {
        &self.backend
    }

    /// The readers that count for this writer.
    #[must_use]
    pub fn active_readers(&self) -> ReaderMask {
        self.active
    }

    /// Another set of readers that count, from the next write on: somebody joined, or left.
    pub fn set_active_readers(&mut self, mask: ReaderMask) {
        self.active = mask;
    }

    /// How long a sample waits for a reader that is alive and does not read. `Duration::MAX`: for ever, and no clock is read at a commit.
    #[cfg(feature = "alloc")]
    #[must_use]
    pub fn with_straggler_timeout(mut self, timeout: Duration) -> Self {
        self.stragglers.timeout = timeout;
        self
    }

    /// How long a sample waits for a reader that is alive and does not read: [`STRAGGLER_TIMEOUT`](crate::STRAGGLER_TIMEOUT), or as was said.
    #[cfg(feature = "alloc")]
    #[must_use]
    pub fn straggler_timeout(&self) -> Duration {
        self.stragglers.timeout
    }

    fn reserve(&self) -> Result<SlotHandle, SlotError> {
        match self.backend.reserve_slot(self.active) {
            #[cfg(feature = "alloc")]
            Err(SlotError::NoFreeSlot) if self.stragglers.evict(&*self.backend, self.active)? => self.backend.reserve_slot(self.active),
            answer => answer,
        }
    }

    /// Notes that the sample of `handle` was committed.
    #[inline]
    pub(super) fn note(&self, handle: SlotHandle, sequence: u32) {
        #[cfg(feature = "alloc")]
        self.stragglers.committed(&*self.backend, handle, sequence);
        #[cfg(not(feature = "alloc"))]
        let _ = (handle, sequence);
    }

    /// How long a wait for a slot may last before a look is worth while.
    fn longest_sleep(&self) -> Duration {
        #[cfg(feature = "alloc")]
        return self.stragglers.until_next_look(&*self.backend);
        #[cfg(not(feature = "alloc"))]
        Duration::MAX
    }

    /// Publishes a copy of `sample`; its sequence number. Does not wait.
    ///
    /// # Errors
    /// [`SlotError::NoFreeSlot`]: every slot is owed to a reader that counts; wait by [`write_bp`](Self::write_bp), or drop the sample. Else as
    /// [`SlotBackend::reserve_slot`].
    pub fn write(&self, sample: &T) -> Result<u32, SlotError> {
        FlatSlot::new(self, self.reserve()?).commit(*sample)
    }

    /// Publishes a copy of `sample` under pressure: where no slot is free it is dropped, or waited with, as `reliability` says.
    ///
    /// It waits at most `timeout` in all (`Duration::MAX`: for ever), asleep, and is woken by what frees a slot. Over a backend that cannot
    /// wait it answers [`WriteOutcome::TimedOut`] after a try or two more.
    ///
    /// # Errors
    /// As [`write`](Self::write), but for [`SlotError::NoFreeSlot`].
    pub fn write_bp(&self, sample: &T, reliability: Reliability, timeout: Duration) -> Result<WriteOutcome, SlotError> {
        match (self.written(sample)?, reliability) {
            (Some(number), _) => return Ok(WriteOutcome::Written(number)),
            (None, Reliability::BestEffort) => return Ok(WriteOutcome::Dropped),
            (None, Reliability::Reliable) => {}
        }
        let mut waiting = Waiting::new(&*self.backend, timeout);
        loop {
            let seen = self.backend.notify_generation();
            if let Some(number) = self.written(sample)? {
                return Ok(WriteOutcome::Written(number));
            }
            if !waiting.sleep(&*self.backend, seen, self.longest_sleep()) {
                return Ok(WriteOutcome::TimedOut);
            }
        }
    }

    /// Writes, unless no slot is free.
    fn written(&self, sample: &T) -> Result<Option<u32>, SlotError> {
        match self.write(sample) {
            Err(SlotError::NoFreeSlot) => Ok(None),
            answer => answer.map(Some),
        }
    }

    /// Reserves a slot to be filled later: commit it, or drop it to give it back. Several may be out.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn loan_slot(&self) -> Result<FlatSlot<'_, T, B>, SlotError> {
        Ok(FlatSlot::new(self, self.reserve()?))
    }
}

impl<T, B> fmt::Debug for FlatWriter<T, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlatWriter").field("active", &format_args!("{:#b}", self.active)).finish_non_exhaustive()
    }
}
