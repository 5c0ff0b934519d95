//! [`SlotBackend`] for the face.

use core::time::Duration;

use super::face::Zds2Face;
use super::sample::{self, Mark};
use super::change;
use crate::os::Mapping;
use crate::seeds::{Exclusion, Exclusive, ReaderMask, SlotBackend, SlotError, SlotHandle, SlotHeader};
use crate::segment::SlotsOs;

// Not inlined: an allocator over either layout would carry these bodies beside those of the native face, at each place of use.
impl<O: SlotsOs, E: Exclusion> SlotBackend for Zds2Face<O, E>
where
    Self: Send + Sync,
{
    #[inline(never)]
    fn reserve_slot(&self, active_readers_mask: ReaderMask) -> Result<SlotHandle, SlotError> {
        self.check_mine()?;
        let owner = self.owner.as_ref().ok_or(SlotError::NotOwner)?;
        let (slot_index, generation) = owner.with(|owner| owner.reserve(&self.view, active_readers_mask))?;
        Ok(SlotHandle { segment_id: !self.id, slot_index, generation })
    }

    #[inline(never)]
    fn commit_slot(&self, handle: SlotHandle, bytes: &[u8]) -> Result<u32, SlotError> {
        self.commit(handle, bytes.len(), Some(bytes))
    }

    #[inline(never)]
    fn discard_slot(&self, handle: SlotHandle) -> Result<(), SlotError> {
        let (owner, slot) = self.loan(handle)?;
        owner.with(|owner| owner.discard(slot.index(), handle.generation))?;
        change::bump(&self.view, &self.os);
        Ok(())
    }

    #[inline(never)]
    fn read_slot(&self, handle: SlotHandle) -> Result<(SlotHeader, alloc::vec::Vec<u8>), SlotError> {
        let (slot, seen) = self.sample(handle)?;
        let mut bytes = alloc::vec![0; seen.size as usize];
        let header = self.copy(&slot, seen, &mut bytes)?;
        Ok((header, bytes))
    }

    #[inline(never)]
    fn read_slot_into(&self, handle: SlotHandle, into: &mut [u8]) -> Result<SlotHeader, SlotError> {
        let (slot, seen) = self.sample(handle)?;
        self.copy(&slot, seen, into)
    }

    #[inline(never)]
    fn mark_read(&self, handle: SlotHandle, reader_index: u8) -> Result<(), SlotError> {
        let bit = self.bit(reader_index)?;
        let (slot, sequence) = self.named(handle)?;
        let mark = self.marking.with(|()| sample::mark(&slot, sequence, bit));
        // A bit that was taken back may have hidden a sample from its reader for a moment.
        if mark != Mark::Stale {
            change::bump(&self.view, &self.os);
        }
        if mark == Mark::Made { Ok(()) } else { Err(SlotError::StaleHandle) }
    }

    fn mark_reader_disconnected(&self, reader_index: u8) -> Result<(), SlotError> {
        let bit = self.bit(reader_index)?;
        // Not within a mark: one that comes late would take the bit back.
        self.marking.with(|()| self.view.slots().for_each(|slot| sample::give_up(&slot, bit)));
        change::bump(&self.view, &self.os);
        Ok(())
    }

    fn slot_count(&self) -> Result<usize, SlotError> {
        Ok(self.view.geometry().slots() as usize)
    }

    fn slot_total_size(&self) -> usize {
        self.view.geometry().stride() as usize
    }

    fn slot_capacity(&self) -> usize {
        self.capacity()
    }

    #[inline(never)]
    fn slot_data_ptr(&self, handle: SlotHandle) -> Result<(*mut u8, usize), SlotError> {
        let (owner, slot) = self.loan(handle)?;
        if !owner.with(|owner| owner.is_out(slot.index(), handle.generation)) {
            return Err(SlotError::StaleHandle);
        }
        Ok((slot.payload_mut(), slot.capacity()))
    }

    #[inline(never)]
    fn commit_in_place(&self, handle: SlotHandle, len: usize) -> Result<u32, SlotError> {
        self.commit(handle, len, None)
    }

    #[inline(never)]
    fn slot_read_ptr(&self, handle: SlotHandle) -> Result<(*const u8, usize), SlotError> {
        let (slot, seen) = self.sample(handle)?;
        Ok((slot.payload(seen.size as usize), seen.size as usize))
    }

    #[inline(never)]
    fn next_unread_slot(&self, reader_index: u8) -> Result<Option<SlotHandle>, SlotError> {
        let bit = self.bit(reader_index)?;
        let before = change::generation(&self.view);
        let mut found = self.oldest(bit);
        // Two samples committed during the look, the older one in a slot that was looked at before: who has seen a sample sees what was
        // published before it, so the second look finds the oldest.
        if found.is_some() && change::generation(&self.view) != before {
            found = self.oldest(bit);
        }
        Ok(found.map(|(slot, sequence)| SlotHandle { segment_id: self.id, slot_index: slot.index(), generation: sequence }))
    }

    fn sample_at(&self, slot_index: u32) -> Result<Option<(SlotHandle, SlotHeader)>, SlotError> {
        self.check_mine()?;
        let slot = self.view.slot(slot_index).ok_or(SlotError::OutOfBounds)?;
        let seen = sample::look(&slot);
        Ok(seen.map(|seen| {
            let handle = SlotHandle { segment_id: self.id, slot_index, generation: seen.sequence };
            (handle, SlotHeader { sequence_number: seen.sequence, sample_size: seen.size, reader_mask: seen.mask, _reserved: 0 })
        }))
    }

    fn evict_sample(&self, handle: SlotHandle, readers: ReaderMask) -> Result<ReaderMask, SlotError> {
        self.check_mine()?;
        let owner = self.owner.as_ref().ok_or(SlotError::NotOwner)?;
        let (slot, sequence) = self.named(handle)?;
        let evicted = owner.with(|owner| owner.evict(&slot, sequence, readers))?;
        if evicted != 0 {
            change::bump(&self.view, &self.os);
        }
        Ok(evicted)
    }

    fn now(&self) -> Option<Duration> {
        Some(self.os.now()).filter(|now| !now.is_zero())
    }

    fn notify_generation(&self) -> u64 {
        change::generation(&self.view)
    }

    #[inline(never)]
    fn wait_for_change(&self, last: u64, timeout: Duration) {
        if self.mapping.is_mine() {
            change::wait(&self.view, &self.os, last, timeout);
        } else {
            change::wait_uncounted(&self.view, &self.os, last, timeout);
        }
    }
}
