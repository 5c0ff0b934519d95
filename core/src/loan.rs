//! A loaned slot.

use core::marker::PhantomData;
use core::mem::ManuallyDrop;
use core::ops::{Deref, DerefMut};

use crate::error::CommitError;
use crate::segment::SegmentHandle;
use crate::slots::reserve::Reserved;
use crate::typed::Payload;
use crate::writer::Writer;

/// A slot on loan: fill it in place, then commit it. Dropping it discards it, also when a panic does.
///
/// It derefs to the payload: `[u8]` of the slot's whole capacity, or a `T`. What is in it at first is what its last use left.
/// It is lent to nobody else by any party that follows the protocol; one that forges a slot's words can have it lent twice, as it could write
/// the bytes itself. Not `Send`: a commit belongs to the thread that has the writer.
///
/// ```
/// # #[repr(align(64))] struct Bank([core::sync::atomic::AtomicU8; 16384]);
/// # static BANK: Bank = Bank([const { core::sync::atomic::AtomicU8::new(0) }; 16384]);
/// # // SAFETY: nobody else uses the bank, and one segment is made in it.
/// # let region = unsafe { seqslot_core::Region::new(&BANK.0) }?;
/// # let segment = seqslot_core::Segment::create(seqslot_core::Bare::new(region), &(), &seqslot_core::Config::slots(4, 64))?;
/// let reader = segment.reader()?;
/// let writer = segment.writer()?;
/// let mut loan = writer.loan()?;
/// assert_eq!(loan.len(), loan.capacity());
/// loan[..5].copy_from_slice(b"hello");
/// loan.commit_len(5)?;
/// let dropped = writer.loan()?;
/// let slot = dropped.slot();
/// drop(dropped); // discarded: the slot is nobody's again
/// assert_eq!(segment.view().slot(slot).expect("its index").words().state >> 26, 0);
/// assert_eq!(reader.take()?.as_deref(), Some(&b"hello"[..]));
/// assert!(reader.take()?.is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Loan<'w, H: SegmentHandle, T: ?Sized = [u8]> {
    writer: &'w Writer<H, T>,
    reserved: Reserved,
    not_send: PhantomData<*const ()>,
}

impl<'w, H: SegmentHandle, T: Payload + ?Sized> Loan<'w, H, T> {
    #[inline(always)]
    pub(crate) fn new(writer: &'w Writer<H, T>, reserved: Reserved) -> Self {
        Self { writer, reserved, not_send: PhantomData }
    }

    /// Publishes the whole payload to everybody who reads now; the sample's sequence number in this writer's order. Does not wait.
    ///
    /// # Errors
    /// [`CommitError`]; the slot is given back.
    ///
    /// ```
    /// # #[repr(align(64))] struct Bank([core::sync::atomic::AtomicU8; 16384]);
    /// # static BANK: Bank = Bank([const { core::sync::atomic::AtomicU8::new(0) }; 16384]);
    /// # // SAFETY: nobody else uses the bank, and one segment is made in it.
    /// # let region = unsafe { seqslot_core::Region::new(&BANK.0) }?;
    /// # let segment = seqslot_core::Segment::create(seqslot_core::Bare::new(region), &(), &seqslot_core::Config::slots(4, 64))?;
    /// let reader = segment.reader()?;
    /// let writer = segment.writer()?;
    /// let mut loan = writer.loan()?;
    /// loan.fill(7);
    /// assert_eq!(loan.commit()?, 0);
    /// assert_eq!(reader.take()?.as_deref(), Some(&[7; 64][..]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline(always)]
    pub fn commit(self) -> Result<u32, CommitError> {
        let size = T::SIZE.unwrap_or(self.capacity());
        self.commit_bytes(size)
    }

    /// Index of the slot, for people.
    pub fn slot(&self) -> u32 {
        self.reserved.slot()
    }

    /// Bytes of the slot's payload.
    pub fn capacity(&self) -> usize {
        self.writer.handle().geometry().capacity as usize
    }

    #[inline(always)]
    pub(crate) fn commit_bytes(self, size: usize) -> Result<u32, CommitError> {
        // On this error the loan is dropped, and with it discarded.
        self.writer.check_len(size)?;
        self.finish(size, false)
    }

    /// Whether this is a loan of `writer`.
    pub(crate) fn is_of(&self, writer: &Writer<H, T>) -> bool {
        core::ptr::eq(self.writer, writer)
    }

    /// Publishes without telling anybody: part of a batch.
    pub(crate) fn commit_quietly(self, size: usize) -> Result<u32, CommitError> {
        self.writer.check_len(size)?;
        self.finish(size, true)
    }

    #[inline(always)]
    fn finish(self, size: usize, quiet: bool) -> Result<u32, CommitError> {
        let loan = ManuallyDrop::new(self);
        loan.writer.commit_slot(loan.reserved, size as u32, quiet)
    }

    /// Copies bytes to the start of the payload; the caller has compared the lengths.
    pub(crate) fn fill(&mut self, bytes: &[u8]) {
        let len = bytes.len().min(self.capacity());
        let payload = self.payload_mut(len);
        // SAFETY: `payload_mut` gave a pointer valid for `len` bytes, which this loan owns alone; `bytes` is private memory.
        unsafe { core::ptr::copy_nonoverlapping(bytes.as_ptr(), payload, len) };
    }

    #[inline(always)]
    fn payload_mut(&mut self, len: usize) -> *mut u8 {
        // A loan's index is below the count: it came from a claim.
        self.writer.handle().view().slot(self.reserved.slot()).map_or(core::ptr::dangling_mut(), |slot| {
            // SAFETY: this loan owns the slot, and nobody's bit was set when it was claimed (or EVICT is set).
            unsafe { slot.payload_mut(len) }
        })
    }

    #[inline(always)]
    fn payload(&self, len: usize) -> *const u8 {
        self.writer.handle().view().slot(self.reserved.slot()).map_or(core::ptr::dangling(), |slot| {
            // SAFETY: this loan owns the slot.
            unsafe { slot.payload(len) }
        })
    }
}

impl<H: SegmentHandle> Loan<'_, H, [u8]> {
    /// Publishes the first `len` bytes to everybody who reads now; the sample's sequence number. Does not wait.
    ///
    /// # Errors
    /// [`CommitError::SampleTooLarge`], and as [`commit`](Loan::commit); the slot is given back.
    ///
    /// ```
    /// use seqslot_core::CommitError;
    /// # #[repr(align(64))] struct Bank([core::sync::atomic::AtomicU8; 16384]);
    /// # static BANK: Bank = Bank([const { core::sync::atomic::AtomicU8::new(0) }; 16384]);
    /// # // SAFETY: nobody else uses the bank, and one segment is made in it.
    /// # let region = unsafe { seqslot_core::Region::new(&BANK.0) }?;
    /// # let segment = seqslot_core::Segment::create(seqslot_core::Bare::new(region), &(), &seqslot_core::Config::slots(4, 64))?;
    /// let reader = segment.reader()?;
    /// let writer = segment.writer()?;
    /// writer.loan()?.commit_len(0)?; // an empty sample is a sample
    /// assert_eq!(reader.take()?.map(|sample| sample.len()), Some(0));
    /// let too_large = CommitError::SampleTooLarge { sample: 65, capacity: 64 };
    /// assert_eq!(writer.loan()?.commit_len(65), Err(too_large));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline(always)]
    pub fn commit_len(self, len: usize) -> Result<u32, CommitError> {
        self.commit_bytes(len)
    }
}

impl<H: SegmentHandle, T: Payload + ?Sized> Deref for Loan<'_, H, T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        let len = T::SIZE.unwrap_or(self.capacity());
        let payload = T::cast(self.payload(len), len);
        // SAFETY: valid for `len` bytes (the join checked that `T` fits), aligned (the same check), any bit pattern is a `T`
        // (`Payload`), and this loan alone has the slot, borrowed shared here.
        unsafe { &*payload }
    }
}

impl<H: SegmentHandle, T: Payload + ?Sized> DerefMut for Loan<'_, H, T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut T {
        let len = T::SIZE.unwrap_or(self.capacity());
        let payload = T::cast_mut(self.payload_mut(len), len);
        // SAFETY: as in `deref`, and this loan is borrowed uniquely here.
        unsafe { &mut *payload }
    }
}

impl<H: SegmentHandle, T: ?Sized> Drop for Loan<'_, H, T> {
    #[inline(always)]
    fn drop(&mut self) {
        self.writer.discard_slot(self.reserved);
    }
}

impl<H: SegmentHandle, T: ?Sized> core::fmt::Debug for Loan<'_, H, T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Loan").field("slot", &self.reserved.slot()).finish_non_exhaustive()
    }
}
