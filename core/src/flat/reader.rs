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
/// Numbers wrap, and are compared on their circle. Samples of several writers have no order among each other; those of one are in its order.
/// See [`FlatWriter`](crate::FlatWriter) for an example.
pub struct FlatReader<T, B> {
    backend: B,
    index: u8,
    /// Bounds what one call looks at.
    slots: u32,
    _of: PhantomData<fn() -> T>,
}

/// A sample out of its slot.
struct Taken<T> {
    handle: SlotHandle,
    header: SlotHeader,
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
    /// # Errors
    /// [`SlotError::SampleSize`] for a sample that is no `T`: it is marked, and the next call goes on behind it. Else as
    /// [`SlotBackend::next_unread_slot`].
    pub fn read_next(&mut self) -> Result<Option<T>, SlotError> {
        self.marked_next().map(|taken| taken.map(|taken| taken.value))
    }

    /// The newest unread sample; it and all older ones are marked read. `None` if there is none.
    ///
    /// # Errors
    /// As [`read_next`](Self::read_next).
    pub fn read(&mut self) -> Result<Option<T>, SlotError> {
        let Some(mut newest) = self.marked_next()? else { return Ok(None) };
        // At most as many as there can have been when the call began: a writer does not keep it here.
        for _ in 1..self.slots {
            // An error does not take away what was read and marked; unless it was one sample's, it comes again.
            let Ok(Some(next)) = self.marked_next() else { break };
            if is_newer(&next.header, &newest.header) {
                newest = next;
            }
        }
        Ok(Some(newest.value))
    }

    /// As [`read_next`](Self::read_next), but the sample is marked when the answer is dropped: until then its slot is not given out anew.
    ///
    /// # Errors
    /// As [`read_next`](Self::read_next).
    pub fn next_ref(&mut self) -> Result<Option<FlatSampleRef<'_, T, B>>, SlotError> {
        let Some(taken) = self.next()? else { return Ok(None) };
        Ok(Some(FlatSampleRef { reader: self, taken }))
    }

    /// As [`read`](Self::read), but the newest sample itself is marked when the answer is dropped: until then its slot is not given out anew.
    /// O(slots), where the backend has [`sample_at`](SlotBackend::sample_at); else it holds the oldest.
    ///
    /// # Errors
    /// As [`read_next`](Self::read_next).
    pub fn read_ref(&mut self) -> Result<Option<FlatSampleRef<'_, T, B>>, SlotError> {
        let Some(mut newest) = self.next()? else { return Ok(None) };
        for slot in 0..self.slots {
            if let Some((handle, header)) = self.unread_at(slot)?
                && is_newer(&header, &newest.header)
                && let Some(taken) = self.copy(handle)?
            {
                newest = taken;
            }
        }
        for slot in 0..self.slots {
            if let Some((handle, header)) = self.unread_at(slot)?
                && is_newer(&newest.header, &header)
            {
                self.mark(handle)?;
            }
        }
        Ok(Some(FlatSampleRef { reader: self, taken: newest }))
    }

    /// As [`read`](Self::read), waiting at most `timeout` in all for a sample, asleep; `None` if none came. Over a backend that cannot wait it
    /// looks once more and says so at once.
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
    fn marked_next(&mut self) -> Result<Option<Taken<T>>, SlotError> {
        let next = self.next()?;
        if let Some(taken) = &next {
            self.mark(taken.handle)?;
        }
        Ok(next)
    }

    /// The oldest unread sample.
    fn next(&self) -> Result<Option<Taken<T>>, SlotError> {
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
    fn copy(&self, handle: SlotHandle) -> Result<Option<Taken<T>>, SlotError> {
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

    fn mark(&self, handle: SlotHandle) -> Result<(), SlotError> {
        match self.backend.mark_read(handle, self.index) {
            // Taken away after it was copied, or owed to nobody: there is nothing to mark.
            Err(SlotError::StaleHandle) => Ok(()),
            answer => answer,
        }
    }

    /// The sample in this slot, if this reader has not read it.
    fn unread_at(&self, slot: u32) -> Result<Option<(SlotHandle, SlotHeader)>, SlotError> {
        Ok(self.backend.sample_at(slot)?.filter(|(_, header)| !header.all_read(1 << self.index)))
    }
}

/// Whether `one` was written after `other`, by numbers that wrap.
fn is_newer(one: &SlotHeader, other: &SlotHeader) -> bool {
    one.sequence_number.wrapping_sub(other.sequence_number) as i32 > 0
}

impl<T, B> fmt::Debug for FlatReader<T, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlatReader").field("index", &self.index).finish_non_exhaustive()
    }
}

/// A sample and its slot, which is not given out anew while this is held (and this reader counts). Dropping it marks the sample read.
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
