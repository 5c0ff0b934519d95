//! The typed reader.

use core::fmt;
use core::marker::PhantomData;
use core::mem::size_of;
use core::ops::Deref;
use core::time::Duration;

use super::data::{FlatStruct, check};
use super::waiting::Waiting;
use crate::seeds::{ReaderMask, SlotBackend, SlotError, SlotHandle, SlotHeader};

/// Reads values of `T` through a backend, as one of its 32 readers. What it gives are copies, whole: one that its slot was taken from meanwhile
/// is not given out.
///
/// A writer keeps for a reader what it writes while the reader's bit is in the writer's mask. Reading needs the reader to itself (`&mut`): the
/// next sample is the one after.
///
/// Numbers wrap, and are compared on their circle, and within a writer only: samples of several writers have no order among each other.
/// See [`FlatWriter`](crate::FlatWriter) for an example.
pub struct FlatReader<T, B> {
    pub(super) backend: B,
    pub(super) index: u8,
    /// Bounds what one call looks at.
    pub(super) slots: u32,
    _of: PhantomData<fn() -> T>,
}

/// A sample out of its slot.
pub(super) struct Taken<T> {
    pub(super) handle: SlotHandle,
    pub(super) header: SlotHeader,
    value: T,
}

impl<T: FlatStruct, B: Deref<Target: SlotBackend>> FlatReader<T, B> {
    /// Reader `reader_index`. Nothing is claimed before its first read.
    ///
    /// # Errors
    /// [`SlotError::TypeMismatch`] if the segment is for another type; one without a type is taken on trust.
    /// [`SlotError::SampleTooLarge`] if its slots are too small for a `T`; [`SlotError::OutOfBounds`] for an index of 32 or more.
    pub fn new(backend: B, reader_index: u8) -> Result<Self, SlotError> {
        if u32::from(reader_index) >= ReaderMask::BITS {
            return Err(SlotError::OutOfBounds);
        }
        check::<T, _>(&*backend)?;
        let slots = u32::try_from(backend.slot_count()?).unwrap_or(u32::MAX);
        Ok(Self { backend, index: reader_index, slots, _of: PhantomData })
    }

    /// The backend.
    pub fn backend(&self) -> &B::Target {
        &self.backend
    }

    /// Identity of the type that this reader reads: of `T`.
    #[must_use]
    pub fn type_hash(&self) -> [u8; 16] {
        T::TYPE_HASH
    }

    /// The oldest unread sample, marked read; `None` if there is none. Every sample comes once, those of a writer in its order.
    ///
    /// A reader that was declared gone meanwhile ([`SlotBackend::mark_reader_disconnected`], or evicted in the midst of a mark) gets one that is
    /// left, and counts again by marking it; the others that it had not read are gone. Who has to know takes them by
    /// [`next_ref`](Self::next_ref) and minds gaps in the numbers.
    ///
    /// # Errors
    /// [`SlotError::SampleSize`] for a sample that is no `T`: it is marked, and the next call goes on behind it. Else as
    /// [`SlotBackend::next_unread_slot`].
    pub fn read_next(&mut self) -> Result<Option<T>, SlotError> {
        self.marked_next().map(|taken| taken.map(|taken| taken.value))
    }

    /// The newest unread sample of a writer; it and all older ones of that writer are marked read. `None` if there is none. Of several writers,
    /// each in turn: whoever wants the last word of all of them reads until `None`.
    ///
    /// A reader that was declared gone meanwhile gets the newest that is left in the slots, and counts again; what is committed during this very
    /// call it may miss.
    ///
    /// # Errors
    /// As [`read_next`](Self::read_next), but a sample that is no `T` is passed over (and marked) if there is another.
    pub fn read(&mut self) -> Result<Option<T>, SlotError> {
        let newest = match self.newest() {
            Err(SlotError::InPlaceUnsupported) => self.newest_by_marks(),
            Ok(Some(taken)) => self.mark(taken.handle).map(|()| Some(taken)),
            answer => answer,
        };
        newest.map(|taken| taken.map(|taken| taken.value))
    }

    /// As [`read_next`](Self::read_next), but the sample is marked when the answer is dropped. Until then its slot is not given out anew, unless the
    /// sample is taken back (see [`FlatSampleRef`]).
    ///
    /// # Errors
    /// As [`read_next`](Self::read_next).
    pub fn next_ref(&mut self) -> Result<Option<FlatSampleRef<'_, T, B>>, SlotError> {
        let Some(taken) = self.next()? else { return Ok(None) };
        Ok(Some(FlatSampleRef { reader: self, taken }))
    }

    /// As [`read`](Self::read), but the newest sample itself is marked when the answer is dropped. Until then its slot is not given out anew, unless
    /// the sample is taken back (see [`FlatSampleRef`]).
    ///
    /// A backend without [`next_of_writer`](SlotBackend::next_of_writer) is taken for one writer's, and looked over by
    /// [`sample_at`](SlotBackend::sample_at), O(slots); one without that, too, holds the oldest.
    ///
    /// # Errors
    /// As [`read_next`](Self::read_next).
    pub fn read_ref(&mut self) -> Result<Option<FlatSampleRef<'_, T, B>>, SlotError> {
        let newest = match self.newest() {
            Err(SlotError::InPlaceUnsupported) => self.newest_by_numbers(),
            answer => answer,
        };
        Ok(newest?.map(|taken| FlatSampleRef { reader: self, taken }))
    }

    /// As [`read`](Self::read), waiting at most `timeout` in all for a sample, asleep; `None` if none came. Over a backend that cannot wait it
    /// looks once or twice more and says so at once.
    ///
    /// # Errors
    /// As [`read_next`](Self::read_next).
    pub fn read_blocking(&mut self, timeout: Duration) -> Result<Option<T>, SlotError> {
        self.blocking(timeout, Self::read)
    }

    /// As [`read_next`](Self::read_next), waiting at most `timeout` in all for a sample, asleep.
    ///
    /// # Errors
    /// As [`read_next`](Self::read_next).
    pub fn read_next_blocking(&mut self, timeout: Duration) -> Result<Option<T>, SlotError> {
        self.blocking(timeout, Self::read_next)
    }

    fn blocking(
        &mut self,
        timeout: Duration,
        mut read: impl FnMut(&mut Self) -> Result<Option<T>, SlotError>,
    ) -> Result<Option<T>, SlotError> {
        if let Some(value) = read(self)? {
            return Ok(Some(value));
        }
        let mut waiting = Waiting::new(&*self.backend, timeout);
        loop {
            let seen = self.backend.notify_generation();
            if let Some(value) = read(self)? {
                return Ok(Some(value));
            }
            if !waiting.sleep(&*self.backend, seen, Duration::MAX) {
                return Ok(None);
            }
        }
    }

    /// The oldest unread sample, marked.
    pub(super) fn marked_next(&self) -> Result<Option<Taken<T>>, SlotError> {
        let next = self.next()?;
        if let Some(taken) = &next {
            self.mark(taken.handle)?;
        }
        Ok(next)
    }

    /// The oldest unread sample.
    pub(super) fn next(&self) -> Result<Option<Taken<T>>, SlotError> {
        // Bounded: each further turn means that a sample was taken away between two looks at it, from a reader that does not count.
        for _ in 0..=self.slots {
            let Some(handle) = self.backend.next_unread_slot(self.index)? else { break };
            if let Some(taken) = self.copy(handle)? {
                return Ok(Some(taken));
            }
        }
        Ok(None)
    }

    /// Copies a sample; `None` if its slot has moved on.
    pub(super) fn copy(&self, handle: SlotHandle) -> Result<Option<Taken<T>>, SlotError> {
        let mut value = T::new_zeroed();
        let error = match self.backend.read_slot_into(handle, value.as_mut_bytes()) {
            Ok(header) if header.sample_size as usize == size_of::<T>() => return Ok(Some(Taken { handle, header, value })),
            Ok(header) => SlotError::SampleSize { sample: header.sample_size as usize, expected: size_of::<T>() },
            Err(SlotError::StaleHandle) => return Ok(None),
            Err(error @ SlotError::SampleTooLarge { .. }) => error,
            Err(error) => return Err(error),
        };
        // It is never going to be a `T`.
        self.mark(handle)?;
        Err(error)
    }

    pub(super) fn mark(&self, handle: SlotHandle) -> Result<(), SlotError> {
        match self.backend.mark_read(handle, self.index) {
            // Taken away after it was copied, or owed to nobody: there is nothing to mark.
            Err(SlotError::StaleHandle) => Ok(()),
            answer => answer,
        }
    }
}

impl<T, B> fmt::Debug for FlatReader<T, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlatReader").field("index", &self.index).finish_non_exhaustive()
    }
}

/// A copy of a sample, and its slot, which is not given out anew while this is held and this reader counts, or until the sample is taken back
/// ([`SlotBackend::evict_sample`]; a [`FlatWriter`](crate::FlatWriter) does so after its straggler timeout). The copy stays as it is in any
/// case. Dropping it marks the sample read.
///
/// ```
/// # use seqslot_core::{FlatReader, FlatStruct, FlatWriter, SlotBackend, SlotError};
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
/// # let segment = seqslot_core::Segment::create(seqslot_core::Bare::new(region), &(), &seqslot_core::Config::slots(1, 64))?;
/// # let slots: seqslot_core::SlotFace<_, Mutexes> = seqslot_core::SlotFace::new(segment)?;
/// # #[derive(Debug, Clone, Copy, PartialEq, zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout)]
/// # #[repr(C)]
/// # struct Pose { x: i64, y: i64 }
/// # impl FlatStruct for Pose { const TYPE_HASH: [u8; 16] = [1; 16]; }
/// // One slot.
/// let writer = FlatWriter::<Pose, _>::new(&slots, 0b1)?;
/// let mut reader = FlatReader::<Pose, _>::new(&slots, 0)?;
/// writer.write(&Pose { x: 1, y: 2 })?;
/// let held = reader.read_ref()?.expect("written");
/// assert_eq!((held.x, held.sequence_number()), (1, 0));
/// assert_eq!(writer.write(&Pose { x: 3, y: 4 }), Err(SlotError::NoFreeSlot));
/// drop(held);
/// assert!(writer.write(&Pose { x: 3, y: 4 }).is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct FlatSampleRef<'r, T: FlatStruct, B: Deref<Target: SlotBackend>> {
    reader: &'r FlatReader<T, B>,
    taken: Taken<T>,
}

impl<T: FlatStruct, B: Deref<Target: SlotBackend>> FlatSampleRef<'_, T, B> {
    /// Its place in its writer's order: from 0, by one a sample, wrapping after 2^32. A gap is what this reader did not get.
    #[must_use]
    pub fn sequence_number(&self) -> u32 {
        self.taken.header.sequence_number
    }

    /// The value; the slot is let go of.
    #[must_use]
    pub fn into_inner(self) -> T {
        self.taken.value
    }
}

impl<T: FlatStruct, B: Deref<Target: SlotBackend>> Deref for FlatSampleRef<'_, T, B> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.taken.value
    }
}

impl<T: FlatStruct, B: Deref<Target: SlotBackend>> Drop for FlatSampleRef<'_, T, B> {
    fn drop(&mut self) {
        // Refused: the segment is a parent's, or the index went to another while it was held. There is nobody to tell.
        let _ = self.reader.mark(self.taken.handle);
    }
}

impl<T: FlatStruct + fmt::Debug, B: Deref<Target: SlotBackend>> fmt::Debug for FlatSampleRef<'_, T, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlatSampleRef").field("sequence_number", &self.sequence_number()).field("value", &self.taken.value).finish()
    }
}
