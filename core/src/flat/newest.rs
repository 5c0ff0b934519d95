//! The newest sample of a writer: copied before anything is marked, for a mark of a reader that was declared gone meanwhile lets go of all.

use core::ops::Deref;

use super::data::FlatStruct;
use super::reader::{FlatReader, Taken};
use crate::seeds::{SlotBackend, SlotError, SlotHandle, SlotHeader};

impl<T: FlatStruct, B: Deref<Target: SlotBackend>> FlatReader<T, B> {
    /// The newest unread sample of the writer whose turn it is, not marked; those before it are.
    ///
    /// # Errors
    /// [`SlotError::InPlaceUnsupported`]: the backend cannot look ahead within a writer.
    pub(super) fn newest(&self) -> Result<Option<Taken<T>>, SlotError> {
        let mut refused = None;
        // Bounded: each further turn means that a sample was no `T`, and is marked, or was taken away from a reader that does not count.
        for _ in 0..=self.slots {
            let Some(oldest) = self.backend.next_unread_slot(self.index)? else { break };
            match self.copy(self.last_of_writer(oldest)?) {
                Ok(Some(taken)) => {
                    self.mark_older(oldest, &taken)?;
                    return Ok(Some(taken));
                }
                Ok(None) => {}
                Err(error @ (SlotError::SampleSize { .. } | SlotError::SampleTooLarge { .. })) => refused = Some(error),
                Err(error) => return Err(error),
            }
        }
        refused.map_or(Ok(None), Err)
    }

    /// The last unread sample of the writer of `handle`.
    fn last_of_writer(&self, mut handle: SlotHandle) -> Result<SlotHandle, SlotError> {
        // At most as many as there are: a writer does not keep it here.
        for _ in 1..self.slots {
            match self.backend.next_of_writer(handle, self.index) {
                Ok(Some(next)) => handle = next,
                Ok(None) | Err(SlotError::StaleHandle) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(handle)
    }

    /// Marks what the writer of `newest` wrote before it, from `oldest` on.
    fn mark_older(&self, oldest: SlotHandle, newest: &Taken<T>) -> Result<(), SlotError> {
        let mut handle = oldest;
        for _ in 1..self.slots {
            // Looked at each time: once a mark has let go of all, the next one may be a newer one.
            match self.backend.read_slot_into(handle, &mut []) {
                Ok(header) if is_newer(&newest.header, &header) => {}
                _ => break,
            }
            let next = self.backend.next_of_writer(handle, self.index);
            self.mark(handle)?;
            let Ok(Some(next)) = next else { break };
            handle = next;
        }
        Ok(())
    }

    /// As [`newest`](Self::newest), of all that are in the slots, by their numbers; the oldest, where the backend cannot look over them.
    pub(super) fn newest_by_numbers(&self) -> Result<Option<Taken<T>>, SlotError> {
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
        Ok(Some(newest))
    }

    /// The newest of all by their numbers, each marked as it comes: for backends that cannot look ahead.
    pub(super) fn newest_by_marks(&self) -> Result<Option<Taken<T>>, SlotError> {
        let Some(mut newest) = self.marked_next()? else { return Ok(None) };
        // At most as many as there can have been when the call began: a writer does not keep it here.
        for _ in 1..self.slots {
            // An error does not take away what was read and marked; unless it was one sample's, it comes again.
            let Ok(Some(next)) = self.marked_next() else { break };
            if is_newer(&next.header, &newest.header) {
                newest = next;
            }
        }
        Ok(Some(newest))
    }

    /// The sample in this slot, if this reader has not read it.
    fn unread_at(&self, slot: u32) -> Result<Option<(SlotHandle, SlotHeader)>, SlotError> {
        Ok(self.backend.sample_at(slot)?.filter(|(_, header)| !header.all_read(1 << self.index)))
    }
}

/// Whether `one` was written after `other`, by numbers that wrap.
pub(super) fn is_newer(one: &SlotHeader, other: &SlotHeader) -> bool {
    one.sequence_number.wrapping_sub(other.sequence_number) as i32 > 0
}
