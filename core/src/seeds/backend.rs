//! The trait of the seeds' face, and what passes through it.

use core::time::Duration;

use super::error::SlotError;

/// Readers, a bit each: bit r is reader index r.
pub type ReaderMask = u32;

/// Names a loan, and then the sample it became: slot and generation. Built only by an allocator.
///
/// The public fields are for people and logs; changing them makes a handle that is refused, or that names another loan or sample
/// of the same generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct SlotHandle {
    /// The segment: its instance, of which these are the first 64 bits.
    pub segment_id: u64,
    /// The slot's index.
    pub slot_index: u32,
    pub(crate) generation: u32,
}

/// A committed slot's header, as the seed shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct SlotHeader {
    /// Place in its writer's order: from 0, by one a commit, wrapping after 2^32.
    pub sequence_number: u32,
    /// Bytes of the sample.
    pub sample_size: u32,
    /// Readers that have read it, or do not any more.
    pub reader_mask: u32,
    /// Zero.
    pub _reserved: u32,
}

/// Bytes of a header as ZeroDDS lays it out.
pub const SLOT_HEADER_SIZE: usize = 16;

impl SlotHeader {
    /// The header of a sample that nobody has read.
    ///
    /// ```
    /// use seqslot_core::{SlotError, SlotHeader};
    /// let mut header = SlotHeader::new(7, 24);
    /// assert!(!header.all_read(0b101));
    /// header.mark_read(0)?;
    /// header.mark_read(2)?;
    /// assert!(header.all_read(0b101) && !header.all_read(0b111));
    /// assert_eq!(header.mark_read(32), Err(SlotError::OutOfBounds));
    /// assert_eq!(SlotHeader::from_bytes_le(&header.to_bytes_le()), Some(header));
    /// # Ok::<(), SlotError>(())
    /// ```
    #[must_use]
    pub const fn new(sequence_number: u32, sample_size: u32) -> Self {
        Self { sequence_number, sample_size, reader_mask: 0, _reserved: 0 }
    }

    /// Whether everybody in `active_readers_mask` has read it. Who is not in the mask is not asked.
    #[must_use]
    pub const fn all_read(&self, active_readers_mask: ReaderMask) -> bool {
        self.reader_mask & active_readers_mask == active_readers_mask
    }

    /// Notes in this copy of the header that reader `reader_index` has read the sample. The sample itself is marked by
    /// [`SlotBackend::mark_read`].
    ///
    /// # Errors
    /// [`SlotError::OutOfBounds`] for an index of 32 or more; nothing is noted.
    pub const fn mark_read(&mut self, reader_index: u8) -> Result<(), SlotError> {
        if reader_index as u32 >= ReaderMask::BITS {
            return Err(SlotError::OutOfBounds);
        }
        self.reader_mask |= 1 << reader_index;
        Ok(())
    }

    /// The four words, each little-endian, in the order of the fields.
    #[must_use]
    pub fn to_bytes_le(&self) -> [u8; SLOT_HEADER_SIZE] {
        let mut bytes = [0; SLOT_HEADER_SIZE];
        let words = [self.sequence_number, self.sample_size, self.reader_mask, self._reserved];
        for (place, word) in bytes.chunks_exact_mut(4).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    /// The header in the first 16 of `bytes`; `None` if they are fewer.
    #[must_use]
    pub fn from_bytes_le(bytes: &[u8]) -> Option<Self> {
        let words: &[u8; SLOT_HEADER_SIZE] = bytes.first_chunk()?;
        let word = |at: usize| u32::from_le_bytes([words[at], words[at + 1], words[at + 2], words[at + 3]]);
        Some(Self { sequence_number: word(0), sample_size: word(4), reader_mask: word(8), _reserved: word(12) })
    }
}

/// Slots by handle: reserve, fill, commit; find, read, mark. All methods take `&self`, from any thread.
///
/// No method waits but [`wait_for_change`](Self::wait_for_change). None may be called in a signal or interrupt handler.
///
/// ```
/// use core::time::Duration;
/// use seqslot_core::{SlotBackend, SlotError};
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
/// # let segment = seqslot_core::Segment::create(seqslot_core::Bare::new(region), &(), &seqslot_core::Config::slots(4, 64))?;
/// # let slots: seqslot_core::SlotFace<_, Mutexes> = seqslot_core::SlotFace::new(segment)?;
/// assert_eq!((slots.slot_count()?, slots.slot_capacity()), (4, 64));
/// let before = slots.notify_generation();
///
/// // In place: reserve, fill, commit; find, read, mark.
/// let loan = slots.reserve_slot(0b1)?;
/// let (data, capacity) = slots.slot_data_ptr(loan)?;
/// assert_eq!(capacity, 64);
/// // SAFETY: the loan is out, and five bytes are within its capacity.
/// unsafe { data.copy_from_nonoverlapping(b"hello".as_ptr(), 5) };
/// slots.commit_in_place(loan, 5)?;
/// let found = slots.next_unread_slot(0)?.expect("committed");
/// let (data, len) = slots.slot_read_ptr(found)?;
/// // SAFETY: reader 0 counts and has not marked the sample yet.
/// assert_eq!(unsafe { core::slice::from_raw_parts(data, len) }, b"hello");
/// slots.mark_read(found, 0)?;
/// slots.wait_for_change(before, Duration::MAX); // the generation has moved: returns at once
///
/// // A loan that is discarded publishes nothing, and a handle serves once.
/// let loan = slots.reserve_slot(0b1)?;
/// slots.discard_slot(loan)?;
/// assert_eq!(slots.commit_slot(loan, b"late"), Err(SlotError::StaleHandle));
///
/// // A reader that is gone owes nothing any more.
/// for _ in 0..4 {
///     let loan = slots.reserve_slot(0b1)?;
///     slots.commit_slot(loan, b"unread")?;
/// }
/// assert_eq!(slots.reserve_slot(0b1), Err(SlotError::NoFreeSlot));
/// slots.mark_reader_disconnected(0)?;
/// assert!(slots.reserve_slot(0b1).is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait SlotBackend: Send + Sync {
    /// Reserves a free slot. Readers whose bits are not in `active_readers_mask` count as having read, except registered readers of the
    /// safe face, who always count.
    ///
    /// # Errors
    /// [`SlotError::NoFreeSlot`]; [`SlotError::NoWriterEntry`] at the first call.
    fn reserve_slot(&self, active_readers_mask: ReaderMask) -> Result<SlotHandle, SlotError>;

    /// Copies `bytes` into the loaned slot and publishes it to every reader; the sample's sequence number.
    ///
    /// # Errors
    /// [`SlotError::SampleTooLarge`], after which the loan is still out; [`SlotError::StaleHandle`] if it is not this allocator's loan.
    fn commit_slot(&self, handle: SlotHandle, bytes: &[u8]) -> Result<u32, SlotError>;

    /// Ends the loan without a sample; the slot is free.
    ///
    /// # Errors
    /// [`SlotError::StaleHandle`] if it is not this allocator's loan.
    fn discard_slot(&self, handle: SlotHandle) -> Result<(), SlotError>;

    /// Reads header and bytes of the handle's sample, copied. By default through [`read_slot_into`](Self::read_slot_into).
    ///
    /// # Errors
    /// [`SlotError::StaleHandle`] if the slot does not hold the sample (any more): never bytes of another.
    #[cfg(feature = "alloc")]
    fn read_slot(&self, handle: SlotHandle) -> Result<(SlotHeader, alloc::vec::Vec<u8>), SlotError> {
        let mut bytes = alloc::vec![0; self.slot_capacity()];
        let header = self.read_slot_into(handle, &mut bytes)?;
        bytes.truncate(header.sample_size as usize);
        Ok((header, bytes))
    }

    /// As `read_slot`, for those without a heap: copies the first bytes into `into`, as many as there are and as fit. The header tells the size.
    ///
    /// # Errors
    /// [`SlotError::StaleHandle`] as above, [`SlotError::InPlaceUnsupported`] by default.
    fn read_slot_into(&self, handle: SlotHandle, into: &mut [u8]) -> Result<SlotHeader, SlotError> {
        let _ = (handle, into);
        Err(SlotError::InPlaceUnsupported)
    }

    /// Marks the sample read by reader `reader_index`.
    ///
    /// # Errors
    /// [`SlotError::StaleHandle`] if the slot does not hold the sample any more; [`SlotError::OutOfBounds`] for an index of 32 or more.
    fn mark_read(&self, handle: SlotHandle, reader_index: u8) -> Result<(), SlotError>;

    /// Declares reader `reader_index` gone: it has read, so to speak, everything committed so far, and it does not count for what
    /// comes, until it marks or joins again.
    ///
    /// # Errors
    /// [`SlotError::OutOfBounds`] for an index of 32 or more.
    fn mark_reader_disconnected(&self, reader_index: u8) -> Result<(), SlotError>;

    /// Number of slots.
    ///
    /// # Errors
    /// None here; the seed's backends may have some.
    fn slot_count(&self) -> Result<usize, SlotError>;

    /// Bytes of a slot: header, data and padding.
    fn slot_total_size(&self) -> usize;

    /// Bytes of data that a slot can hold.
    fn slot_capacity(&self) -> usize;

    /// Pointer to the loaned slot's data and its capacity, for filling it in place before [`commit_in_place`](Self::commit_in_place).
    ///
    /// The pointer may be written through until the loan is committed or discarded (through any copy of the handle), the allocator is
    /// dropped, or the process is declared dead; afterwards it must not be used.
    ///
    /// # Errors
    /// [`SlotError::StaleHandle`] if it is not this allocator's loan; [`SlotError::InPlaceUnsupported`] by default.
    fn slot_data_ptr(&self, handle: SlotHandle) -> Result<(*mut u8, usize), SlotError> {
        let _ = handle;
        Err(SlotError::InPlaceUnsupported)
    }

    /// Publishes a slot whose first `len` bytes were written in place; the sample's sequence number.
    ///
    /// # Errors
    /// As [`commit_slot`](Self::commit_slot), and [`SlotError::InPlaceUnsupported`] by default.
    fn commit_in_place(&self, handle: SlotHandle, len: usize) -> Result<u32, SlotError> {
        let _ = (handle, len);
        Err(SlotError::InPlaceUnsupported)
    }

    /// Pointer to the committed sample's data and its length, for reading in place.
    ///
    /// The bytes stay as they are until the slot is given out anew, which does not happen while a reader that counts has not marked it, or until
    /// the sample was taken back from it ([`evict_sample`](Self::evict_sample); a [`FlatWriter`](crate::FlatWriter) does so after its straggler
    /// timeout, 60 s unless told otherwise): read, then mark. A caller that does not count (no reserve names its bit, or it was disconnected) gets no such promise:
    /// `read_slot` is for it. The pointer must not be used after the allocator is dropped.
    ///
    /// # Errors
    /// [`SlotError::StaleHandle`] if the slot does not hold the sample (any more); [`SlotError::InPlaceUnsupported`] by default.
    fn slot_read_ptr(&self, handle: SlotHandle) -> Result<(*const u8, usize), SlotError> {
        let _ = handle;
        Err(SlotError::InPlaceUnsupported)
    }

    /// The oldest committed sample that `reader_index` has not marked, the same again until it is marked; of several writers, each in
    /// turn. An empty sample is a sample.
    ///
    /// # Errors
    /// [`SlotError::OutOfBounds`] for an index of 32 or more.
    fn next_unread_slot(&self, reader_index: u8) -> Result<Option<SlotHandle>, SlotError> {
        let _ = reader_index;
        Ok(None)
    }

    /// The next sample behind that of `handle`, of the same writer, that `reader_index` has not marked, whether that of `handle` is marked or
    /// not: for looking ahead before anything is marked. Numbers are compared within a writer only.
    ///
    /// # Errors
    /// [`SlotError::StaleHandle`] if the slot does not hold the sample any more; [`SlotError::OutOfBounds`] for an index of 32 or more;
    /// [`SlotError::InPlaceUnsupported`] by default.
    fn next_of_writer(&self, handle: SlotHandle, reader_index: u8) -> Result<Option<SlotHandle>, SlotError> {
        let _ = (handle, reader_index);
        Err(SlotError::InPlaceUnsupported)
    }

    /// The committed sample in slot `slot_index`: its handle and header, for looking over the slots. `None` if the slot holds none, or was just
    /// moving on; by default always. The size is what the slot alleges.
    ///
    /// # Errors
    /// [`SlotError::OutOfBounds`] for an index that is not below [`slot_count`](Self::slot_count).
    fn sample_at(&self, slot_index: u32) -> Result<Option<(SlotHandle, SlotHeader)>, SlotError> {
        let _ = slot_index;
        Ok(None)
    }

    /// Has the sample count as read by those of `readers` that have not read it: they live, perhaps, and do not read. Those for whom that was
    /// done now; where there is nobody, nothing is touched. Whatever else a reader has not read stays owed to it, and its
    /// next look does not find this sample.
    ///
    /// A reader that is stopped in the very midst of a mark is declared gone as well, as by
    /// [`mark_reader_disconnected`](Self::mark_reader_disconnected), but keeps what is in the slots until they are used. Registered
    /// readers of the safe face are left alone: they are evicted by `Segment::evict`.
    ///
    /// By default each of the readers is declared gone, and so free of all that it has not read.
    ///
    /// # Errors
    /// [`SlotError::StaleHandle`] if the slot does not hold the sample any more; [`SlotError::SlotBusy`] if another process has just claimed it: try
    /// again. [`SlotError::NoWriterEntry`] if this backend has not written before.
    fn evict_sample(&self, handle: SlotHandle, readers: ReaderMask) -> Result<ReaderMask, SlotError> {
        let _ = handle;
        let mut evicted = 0;
        for reader in crate::index::bits(readers) {
            match self.mark_reader_disconnected(reader as u8) {
                Ok(()) => evicted |= 1 << reader,
                Err(SlotError::ReaderTaken | SlotError::OutOfBounds) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(evicted)
    }

    /// The time by a clock that never goes back, since some moment in the past; `None` where there is no clock, and by default.
    fn now(&self) -> Option<Duration> {
        None
    }

    /// Identity of the payload's type; `None` if the segment is for bytes.
    fn type_hash(&self) -> Option<[u8; 16]> {
        None
    }

    /// A number that moves with every commit and with everything that frees a slot. Take it before looking at a condition, and give it
    /// to [`wait_for_change`](Self::wait_for_change): then no wake-up is lost. Compare for equality only. 0 by default.
    fn notify_generation(&self) -> u64 {
        0
    }

    /// Waits until [`notify_generation`](Self::notify_generation) differs from `last`, at most `timeout` in all. Returns at once by default.
    fn wait_for_change(&self, last: u64, timeout: Duration) {
        let _ = (last, timeout);
    }
}
