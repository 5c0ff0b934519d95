//! A sample in place.

use core::marker::PhantomData;
use core::ops::Deref;

use crate::index::WriterIndex;
use crate::reader::ReaderShared;
use crate::segment::SegmentHandle;
use crate::slots::take::Found;
use crate::typed::Payload;

/// A sample, read in place. Dropping it marks it read: that is what frees the slot.
///
/// It derefs to the payload: `[u8]` of the sample's length, or a `T`. The bytes are the shared ones, nothing is copied: a writer
/// that follows the protocol leaves them alone until every reader has let go. Reading them in place trusts the peers in that;
/// [`copy_to`](Self::copy_to) trusts nobody. `Send`: it may be let go of on another thread.
///
/// ```
/// # #[repr(align(64))] struct Bank([core::sync::atomic::AtomicU8; 16384]);
/// # static BANK: Bank = Bank([const { core::sync::atomic::AtomicU8::new(0) }; 16384]);
/// # // SAFETY: nobody else uses the bank, and one segment is made in it.
/// # let region = unsafe { seqslot_core::Region::new(&BANK.0) }?;
/// # let segment = seqslot_core::Segment::create(seqslot_core::Bare::new(region), &(), &seqslot_core::Config::slots(4, 64))?;
/// let (reader, writer) = (segment.reader()?, segment.writer()?);
/// writer.send(b"hello")?;
/// let sample = reader.take()?.expect("committed");
/// assert_eq!((&*sample, sample.len_bytes()), (&b"hello"[..], 5));
/// assert_eq!((sample.sequence(), sample.writer(), sample.missed()), (0, writer.index(), 0));
/// let slot = segment.view().slot(sample.slot()).expect("its index");
/// assert_eq!(slot.words().unread, reader.index().bit());
/// drop(sample); // read: the slot is free
/// assert_eq!(slot.words().unread, 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Sample<'r, H: SegmentHandle, T: ?Sized = [u8]> {
    shared: &'r ReaderShared<H>,
    slot: u32,
    len: u32,
    sequence: u32,
    missed: u32,
    writer: WriterIndex,
    payload: PhantomData<fn(&T)>,
}

impl<'r, H: SegmentHandle, T: Payload + ?Sized> Sample<'r, H, T> {
    #[inline(always)]
    pub(crate) fn new(shared: &'r ReaderShared<H>, found: Found, writer: WriterIndex, sequence: u32, missed: u32) -> Self {
        Self { shared, slot: found.index, len: found.size, sequence, missed, writer, payload: PhantomData }
    }

    /// Its place in its writer's order: from 0, by one a sample (more where a writer died or was overtaken), wrapping after 2^32.
    pub fn sequence(&self) -> u32 {
        self.sequence
    }

    /// Its writer.
    pub fn writer(&self) -> WriterIndex {
        self.writer
    }

    /// Positions of its writer just before it that were gone when this reader came to them.
    pub fn missed(&self) -> u32 {
        self.missed
    }

    /// Index of the slot, for people.
    pub fn slot(&self) -> u32 {
        self.slot
    }

    /// Its length in bytes.
    pub fn len_bytes(&self) -> usize {
        self.len as usize
    }

    /// Copies the sample's first bytes into `into`, with atomic accesses: trusts nobody (a peer that scribbles makes garbage, not
    /// undefined behaviour). The number of bytes copied: the shorter of the two lengths.
    ///
    /// ```
    /// # #[repr(align(64))] struct Bank([core::sync::atomic::AtomicU8; 16384]);
    /// # static BANK: Bank = Bank([const { core::sync::atomic::AtomicU8::new(0) }; 16384]);
    /// # // SAFETY: nobody else uses the bank, and one segment is made in it.
    /// # let region = unsafe { seqslot_core::Region::new(&BANK.0) }?;
    /// # let segment = seqslot_core::Segment::create(seqslot_core::Bare::new(region), &(), &seqslot_core::Config::slots(4, 64))?;
    /// let (reader, writer) = (segment.reader()?, segment.writer()?);
    /// writer.send(b"hello")?;
    /// let sample = reader.take()?.expect("committed");
    /// let (mut short, mut long) = ([0; 3], [0; 8]);
    /// assert_eq!((sample.copy_to(&mut short), &short), (3, b"hel"));
    /// assert_eq!((sample.copy_to(&mut long), &long), (5, b"hello\0\0\0"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn copy_to(&self, into: &mut [u8]) -> usize {
        let len = into.len().min(self.len as usize);
        if let Some(slot) = self.shared.handle.view().slot(self.slot) {
            slot.copy_out(&mut into[..len]);
        }
        len
    }
}

impl<H: SegmentHandle, T: Payload + ?Sized> Deref for Sample<'_, H, T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        let len = self.len as usize;
        // A sample's index is below the count: it was found in the view.
        let start = self.shared.handle.view().slot(self.slot).map_or(core::ptr::dangling(), |slot| {
            // SAFETY: this reader's bit (or pin) is set in the slot until this sample is dropped, so no writer is given it.
            unsafe { slot.payload(len) }
        });
        let payload = T::cast(start, len);
        // SAFETY: valid for `len` bytes (the take compared it with the capacity, or with the size of `T`), aligned (the join checked
        // that `T` fits), any bit pattern is a `T` (`Payload`); writers leave the bytes alone by the protocol, as documented.
        unsafe { &*payload }
    }
}

impl<H: SegmentHandle, T: ?Sized> Drop for Sample<'_, H, T> {
    #[inline(always)]
    fn drop(&mut self) {
        self.shared.release(self.slot);
    }
}

impl<H: SegmentHandle, T: ?Sized> core::fmt::Debug for Sample<'_, H, T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Sample")
            .field("writer", &self.writer)
            .field("sequence", &self.sequence)
            .field("len", &self.len)
            .field("slot", &self.slot)
            .finish_non_exhaustive()
    }
}
