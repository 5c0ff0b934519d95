//! The seeds' face over a segment.

use core::fmt;
use core::time::Duration;

use portable_atomic::Ordering::Relaxed;

use super::backend::{ReaderMask, SlotBackend, SlotHandle, SlotHeader};
use super::error::SlotError;
use super::exclusive::{Exclusion, Exclusive};
use super::reading::{Reading, behind};
use super::writing::{RECOVERY_INTERVAL_MS, Writing};
use super::{change, connect, payload};
use crate::index::{ReaderIndex, WriterIndex};
use crate::layout::control::{SEEDS, STATE_IN_USE, STATE_MASK};
use crate::os::{Mapping, MemoryOf};
use crate::registry::TRIES;
use crate::segment::{Segment, SlotsOs};
use crate::slots::decide::generation_of;
use crate::slots::parts::Slot;

/// The seeds' face over a segment that it owns: a [`SlotBackend`] on any platform.
///
/// It claims a writer entry at its first reserve or wait, and a reader's lock at that reader's first use, so merely attaching takes
/// nothing. Its threads are ordered by locks of kind `E`. Samples of the safe face's writers go to registered readers only; samples
/// of this face go to every reader. Dropping it gives loans back; what its readers owe stays owed to their indices.
///
/// Readers of this face count for whoever reserves through it and names them. A writer of the safe face names nobody, and would take
/// away what they owe a read: so a segment that this face was ever opened on has no new ones, and one with a living one is refused.
/// Readers of the safe face are welcome.
///
/// ```
/// # use core::sync::atomic::AtomicU8;
/// use seqslot_core::{Bare, Config, Exclusion, Exclusive, Region, Segment, SlotBackend, SlotFace};
/// struct Locked<T>(std::sync::Mutex<T>);
/// impl<T> Exclusive<T> for Locked<T> {
///     fn new(value: T) -> Self {
///         Self(std::sync::Mutex::new(value))
///     }
///     fn with<R>(&self, act: impl FnOnce(&mut T) -> R) -> R {
///         act(&mut self.0.lock().unwrap())
///     }
/// }
/// struct Mutexes;
/// impl Exclusion for Mutexes {
///     type Of<T> = Locked<T>;
/// }
/// # #[repr(align(64))]
/// # struct Bank([AtomicU8; 16384]);
/// # static BANK: Bank = Bank([const { AtomicU8::new(0) }; 16384]);
/// // SAFETY: nobody else uses the bank, and one segment is made in it.
/// let region = unsafe { Region::new(&BANK.0) }?;
/// let segment = Segment::create(Bare::new(region), &(), &Config::slots(4, 100))?;
/// let slots: SlotFace<_, Mutexes> = SlotFace::new(segment)?;
/// let handle = slots.reserve_slot(0b1)?;
/// assert_eq!(slots.commit_slot(handle, b"hello")?, 0);
///
/// let mut bytes = [0; 100];
/// let found = slots.next_unread_slot(0)?.expect("committed");
/// let header = slots.read_slot_into(found, &mut bytes)?;
/// assert_eq!(&bytes[..header.sample_size as usize], b"hello");
/// slots.mark_read(found, 0)?;
/// assert_eq!(slots.next_unread_slot(0)?, None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct SlotFace<O: SlotsOs, E: Exclusion> {
    // Dropped in this order: the claims before the segment that they lock.
    writing: E::Of<Writing<O>>,
    reading: E::Of<Reading<O>>,
    segment: Segment<O>,
    id: u64,
}

/// Refuses a segment in which a writer of the safe face lives. The lock of one that is dead may be held just now by whoever recovers
/// it, or takes its entry over: looked at again for a while.
fn no_safe_writer<O: SlotsOs>(segment: &Segment<O>) -> Result<(), SlotError> {
    for tries_left in (0..TRIES).rev() {
        match find_safe_writer(segment)? {
            None => return Ok(()),
            Some(index) if tries_left == 0 => return Err(SlotError::SafeWriter { index: index.get() }),
            Some(_) => segment.pause_for_recoverers(tries_left),
        }
    }
    Ok(())
}

fn find_safe_writer<O: SlotsOs>(segment: &Segment<O>) -> Result<Option<WriterIndex>, SlotError> {
    for index in (0..segment.geometry().writers).filter_map(WriterIndex::new) {
        let Some(entry) = segment.view().writer_entry(index) else { continue };
        // ORDERING: Relaxed; the fence behind the flag, edge "one kind of writer".
        let is_safe = entry.state().load(Relaxed) & STATE_MASK == STATE_IN_USE;
        if is_safe && segment.writer_lives(index)? {
            return Ok(Some(index));
        }
    }
    Ok(None)
}

impl<O: SlotsOs, E: Exclusion> SlotFace<O, E> {
    /// The face over `segment`. From here on the segment's readers move their change counters.
    ///
    /// # Errors
    /// [`SlotError::Forked`]; [`SlotError::Overwrites`]; [`SlotError::SafeWriter`].
    pub fn new(segment: Segment<O>) -> Result<Self, SlotError> {
        // An inherited segment is not to be marked as this face's by somebody who cannot use it.
        if !segment.mapping().is_mine() {
            return Err(SlotError::Forked);
        }
        if segment.geometry().overwrite {
            return Err(SlotError::Overwrites);
        }
        // Looked for before the flag, which is never taken back, and again behind it.
        no_safe_writer(&segment)?;
        // Edges "shared" and "one kind of writer".
        // ORDERING: Relaxed; the fence: a release that does not see the flag is seen by whatever this face looks at later.
        segment.view().flags().fetch_or(SEEDS, Relaxed);
        segment.view().fence_heavy(segment.os());
        no_safe_writer(&segment)?;
        let mut id = [0; 8];
        id.copy_from_slice(&segment.head().instance[..8]);
        Ok(Self { writing: Exclusive::new(Writing::new()), reading: Exclusive::new(Reading::new()), id: u64::from_ne_bytes(id), segment })
    }

    /// The segment.
    pub fn segment(&self) -> &Segment<O> {
        &self.segment
    }

    fn check_mine(&self) -> Result<(), SlotError> {
        if self.segment.mapping().is_mine() { Ok(()) } else { Err(SlotError::Forked) }
    }

    /// The handle's slot.
    fn slot(&self, handle: SlotHandle) -> Result<Slot<'_, MemoryOf<O>>, SlotError> {
        self.check_mine()?;
        if handle.segment_id != self.id {
            return Err(SlotError::StaleHandle);
        }
        self.segment.view().slot(handle.slot_index).ok_or(SlotError::OutOfBounds)
    }

    fn reader(&self, index: u8) -> Result<ReaderIndex, SlotError> {
        self.check_mine()?;
        ReaderIndex::new(u32::from(index)).filter(|reader| reader.get() < self.segment.geometry().readers).ok_or(SlotError::OutOfBounds)
    }

    fn capacity(&self) -> usize {
        self.segment.geometry().capacity as usize
    }

    fn handle(&self, slot_index: u32, generation: u32) -> SlotHandle {
        SlotHandle { segment_id: self.id, slot_index, generation }
    }

    /// Commits, filling the slot first where bytes are given.
    fn commit(&self, handle: SlotHandle, len: usize, fill: Option<&[u8]>) -> Result<u32, SlotError> {
        let slot = self.slot(handle)?;
        if len > self.capacity() {
            return Err(SlotError::SampleTooLarge { sample: len, slot_capacity: self.capacity() });
        }
        // A length that is at most the capacity fits.
        self.writing.with(|writing| writing.commit(&self.segment, &slot, handle.generation, len as u32, fill))
    }

    /// The handle's slot and the sample's size, if it holds the sample.
    fn sample(&self, handle: SlotHandle) -> Result<(Slot<'_, MemoryOf<O>>, u32, usize), SlotError> {
        let slot = self.slot(handle)?;
        let unread = payload::holds(&slot, handle.generation).ok_or(SlotError::StaleHandle)?;
        let size = payload::size(&slot, self.capacity())?;
        Ok((slot, unread, size))
    }

    /// Copies the sample's first bytes out and makes sure that they were its.
    fn copy(
        &self,
        handle: SlotHandle,
        slot: &Slot<'_, MemoryOf<O>>,
        unread: u32,
        size: usize,
        into: &mut [u8],
    ) -> Result<SlotHeader, SlotError> {
        let len = into.len().min(size);
        slot.copy_out(&mut into[..len]);
        // ORDERING: Relaxed; carried by the Acquire in `holds`.
        let position = slot.sequence().load(Relaxed);
        if !payload::still_holds(self.segment.view(), slot, handle.generation) {
            return Err(SlotError::StaleHandle);
        }
        Ok(SlotHeader {
            sequence_number: position.wrapping_sub(self.segment.geometry().ring_len),
            sample_size: size as u32,
            reader_mask: !unread,
            _reserved: 0,
        })
    }
}

impl<O: SlotsOs, E: Exclusion> SlotBackend for SlotFace<O, E>
where
    Self: Send + Sync,
{
    fn reserve_slot(&self, active_readers_mask: ReaderMask) -> Result<SlotHandle, SlotError> {
        self.check_mine()?;
        let reserve = || self.writing.with(|writing| writing.reserve(&self.segment, active_readers_mask));
        let got = match reserve() {
            // A system call that fails here (descriptors ran out) leaves things as they are; the answer stays true.
            Err(SlotError::NoFreeSlot)
                if self.segment.recovery_is_due(RECOVERY_INTERVAL_MS) && self.segment.recover().is_ok_and(|found| !found.is_empty()) =>
            {
                reserve()
            }
            answer => answer,
        };
        got.map(|loan| self.handle(loan.slot(), generation_of(loan.state())))
    }

    fn commit_slot(&self, handle: SlotHandle, bytes: &[u8]) -> Result<u32, SlotError> {
        self.commit(handle, bytes.len(), Some(bytes))
    }

    fn discard_slot(&self, handle: SlotHandle) -> Result<(), SlotError> {
        let slot = self.slot(handle)?;
        self.writing.with(|writing| writing.discard(&self.segment, &slot, handle.generation))
    }

    #[cfg(feature = "alloc")]
    fn read_slot(&self, handle: SlotHandle) -> Result<(SlotHeader, alloc::vec::Vec<u8>), SlotError> {
        let (slot, unread, size) = self.sample(handle)?;
        let mut bytes = alloc::vec![0; size];
        let header = self.copy(handle, &slot, unread, size, &mut bytes)?;
        Ok((header, bytes))
    }

    fn read_slot_into(&self, handle: SlotHandle, into: &mut [u8]) -> Result<SlotHeader, SlotError> {
        let (slot, unread, size) = self.sample(handle)?;
        self.copy(handle, &slot, unread, size, into)
    }

    fn mark_read(&self, handle: SlotHandle, reader_index: u8) -> Result<(), SlotError> {
        let reader = self.reader(reader_index)?;
        let slot = self.slot(handle)?;
        self.reading.with(|reading| reading.mark(&self.segment, reader, slot.index(), handle.generation))
    }

    fn mark_reader_disconnected(&self, reader_index: u8) -> Result<(), SlotError> {
        connect::mark_disconnected(&self.segment, self.reader(reader_index)?)
    }

    fn slot_count(&self) -> Result<usize, SlotError> {
        Ok(self.segment.geometry().slots as usize)
    }

    fn slot_total_size(&self) -> usize {
        self.segment.geometry().stride as usize
    }

    fn slot_capacity(&self) -> usize {
        self.capacity()
    }

    fn slot_data_ptr(&self, handle: SlotHandle) -> Result<(*mut u8, usize), SlotError> {
        let slot = self.slot(handle)?;
        self.writing.with(|writing| writing.loan(&slot, handle.generation))?;
        Ok((payload::data_ptr(&slot, self.capacity()), self.capacity()))
    }

    fn commit_in_place(&self, handle: SlotHandle, len: usize) -> Result<u32, SlotError> {
        self.commit(handle, len, None)
    }

    fn slot_read_ptr(&self, handle: SlotHandle) -> Result<(*const u8, usize), SlotError> {
        let (slot, _, size) = self.sample(handle)?;
        Ok((payload::read_ptr(&slot, size), size))
    }

    fn next_unread_slot(&self, reader_index: u8) -> Result<Option<SlotHandle>, SlotError> {
        let reader = self.reader(reader_index)?;
        let next = self.reading.with(|reading| reading.next(&self.segment, reader))?;
        Ok(next.map(|(slot, generation)| self.handle(slot, generation)))
    }

    fn next_of_writer(&self, handle: SlotHandle, reader_index: u8) -> Result<Option<SlotHandle>, SlotError> {
        let reader = self.reader(reader_index)?;
        let next = behind(self.segment.view(), reader, &self.slot(handle)?, handle.generation)?;
        Ok(next.map(|(slot, generation)| self.handle(slot, generation)))
    }

    fn sample_at(&self, slot_index: u32) -> Result<Option<(SlotHandle, SlotHeader)>, SlotError> {
        self.check_mine()?;
        let slot = self.segment.view().slot(slot_index).ok_or(SlotError::OutOfBounds)?;
        // ORDERING: Relaxed; a guess, which `holds` confirms.
        let generation = slot.generation().load(Relaxed);
        let Some(unread) = payload::holds(&slot, generation) else { return Ok(None) };
        // ORDERING: Relaxed; carried by the Acquire in `holds`.
        let size = slot.size().load(Relaxed) as usize;
        let handle = self.handle(slot_index, generation);
        match self.copy(handle, &slot, unread, size, &mut []) {
            Ok(header) => Ok(Some((handle, header))),
            Err(SlotError::StaleHandle) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn evict_sample(&self, handle: SlotHandle, readers: ReaderMask) -> Result<ReaderMask, SlotError> {
        let slot = self.slot(handle)?;
        self.writing.with(|writing| writing.take_back(&self.segment, slot.index(), handle.generation, readers))
    }

    fn now(&self) -> Option<Duration> {
        Some(self.segment.os().now()).filter(|now| !now.is_zero())
    }

    fn type_hash(&self) -> Option<[u8; 16]> {
        let hash = self.segment.head().type_hash;
        (hash != [0; 16]).then_some(hash)
    }

    fn notify_generation(&self) -> u64 {
        change::generation(self.segment.view())
    }

    fn wait_for_change(&self, last: u64, timeout: Duration) {
        change::wait(&self.segment, &self.writing, last, timeout);
    }
}

impl<O: SlotsOs, E: Exclusion> Drop for SlotFace<O, E> {
    fn drop(&mut self) {
        if self.check_mine().is_ok() {
            self.reading.with(|reading| reading.leave(&self.segment));
            self.writing.with(|writing| writing.leave(&self.segment));
        }
    }
}

impl<O: SlotsOs, E: Exclusion> fmt::Debug for SlotFace<O, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SlotFace").field("segment", &self.segment).finish_non_exhaustive()
    }
}
