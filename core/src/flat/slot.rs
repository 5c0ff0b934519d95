//! A loaned slot of a typed writer.

use core::fmt;
use core::mem::size_of;
use core::ops::Deref;

use super::data::FlatStruct;
use super::writer::FlatWriter;
use crate::seeds::{SlotBackend, SlotError, SlotHandle};

/// A slot on loan to a [`FlatWriter`]. Dropping it gives the slot back without a sample.
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
/// # let segment = seqslot_core::Segment::create(seqslot_core::Bare::new(region), &(), &seqslot_core::Config::slots(2, 64))?;
/// # let slots: seqslot_core::SlotFace<_, Mutexes> = seqslot_core::SlotFace::new(segment)?;
/// # #[derive(Debug, Clone, Copy, PartialEq, zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout)]
/// # #[repr(C)]
/// # struct Pose { x: i64, y: i64 }
/// # impl FlatStruct for Pose { const TYPE_HASH: [u8; 16] = [1; 16]; }
/// let writer = FlatWriter::<Pose, _>::new(&slots, 0b1)?;
/// let mut loan = writer.loan_slot()?;
/// // SAFETY: 1. the backend is this library's. 2. no handle is made up here.
/// let pose = unsafe { loan.as_mut() }?;
/// pose.x = 11; // straight into shared memory; the rest is zero
/// loan.commit_in_place()?;
/// assert_eq!(FlatReader::<Pose, _>::new(&slots, 0)?.read()?, Some(Pose { x: 11, y: 0 }));
///
/// let loans = [writer.loan_slot()?, writer.loan_slot()?];
/// assert_eq!(writer.loan_slot().err(), Some(SlotError::NoFreeSlot));
/// drop(loans);
/// assert!(writer.loan_slot().is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct FlatSlot<'w, T: FlatStruct, B: Deref<Target: SlotBackend>> {
    writer: &'w FlatWriter<T, B>,
    handle: SlotHandle,
    is_out: bool,
    is_filled: bool,
}

impl<'w, T: FlatStruct, B: Deref<Target: SlotBackend>> FlatSlot<'w, T, B> {
    #[inline]
    pub(super) fn new(writer: &'w FlatWriter<T, B>, handle: SlotHandle) -> Self {
        Self { writer, handle, is_out: true, is_filled: false }
    }

    /// Publishes a copy of `sample`; its sequence number.
    ///
    /// # Errors
    /// [`SlotError::StaleHandle`] if the loan was ended by somebody else, who made up its handle. Nothing is published.
    #[inline]
    pub fn commit(mut self, sample: T) -> Result<u32, SlotError> {
        let number = self.writer.backend.commit_slot(self.handle, sample.as_bytes())?;
        self.is_out = false;
        self.writer.note(self.handle, number);
        Ok(number)
    }

    /// The slot's own bytes as a `T`, for filling it without a copy; then [`commit_in_place`](Self::commit_in_place). The first call zeroes
    /// them: nothing of the last sample shows.
    ///
    /// Who wants this without an unsafe call uses the safe face: `Writer::loan`.
    ///
    /// # Safety
    /// 1. The backend's `slot_data_ptr` keeps its promise; those of this library do.
    /// 2. While the reference is in use nobody ends this loan: nobody commits or discards by a handle made up from another's fields, and this process
    ///    is not declared dead.
    ///
    /// # Errors
    /// [`SlotError::InPlaceUnsupported`]: the backend has no access in place, or none at the alignment of `T`.
    pub unsafe fn as_mut(&mut self) -> Result<&mut T, SlotError> {
        let (data, slot_capacity) = self.writer.backend.slot_data_ptr(self.handle)?;
        if slot_capacity < size_of::<T>() {
            return Err(SlotError::SampleTooLarge { sample: size_of::<T>(), slot_capacity });
        }
        let data = data.cast::<T>();
        if !data.is_aligned() {
            return Err(SlotError::InPlaceUnsupported);
        }
        if !self.is_filled {
            // SAFETY: the slot is on loan to us (1., 2.), has room for a `T` and is aligned for it; zeroes are a `T`.
            unsafe { data.write(T::new_zeroed()) };
            self.is_filled = true;
        }
        // SAFETY: as above; the loan, and with it the exclusive borrow, outlives the reference. Any bytes are a `T`.
        Ok(unsafe { &mut *data })
    }

    /// Publishes what was filled in by [`as_mut`](Self::as_mut); its sequence number. A slot that was not filled is all zero.
    ///
    /// # Errors
    /// As [`commit`](Self::commit).
    pub fn commit_in_place(mut self) -> Result<u32, SlotError> {
        if !self.is_filled {
            return self.commit(T::new_zeroed());
        }
        let number = self.writer.backend.commit_in_place(self.handle, size_of::<T>())?;
        self.is_out = false;
        self.writer.note(self.handle, number);
        Ok(number)
    }
}

impl<T: FlatStruct, B: Deref<Target: SlotBackend>> Drop for FlatSlot<'_, T, B> {
    #[inline]
    fn drop(&mut self) {
        if self.is_out {
            // Refused: it was ended by somebody else, or the segment is a parent's.
            let _ = self.writer.backend.discard_slot(self.handle);
        }
    }
}

impl<T: FlatStruct, B: Deref<Target: SlotBackend>> fmt::Debug for FlatSlot<'_, T, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlatSlot").field("handle", &self.handle).finish_non_exhaustive()
    }
}
