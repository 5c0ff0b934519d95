//! Segments that allow overwriting: a writer that finds nothing free takes the oldest sample away, unless a reader is inside it.
//!
//! Pin and EVICT share one word, so that of a reader's pin and a writer's eviction one comes first, and no fence between a store
//! and a load is needed.

use portable_atomic::Ordering::{Acquire, Relaxed, Release};

use super::Protocol;
use super::decide::{claimed, owner_field, owner_of};
use super::reserve::Reserved;
use super::take::Found;
use super::parts::Slot;
use crate::index::{ReaderIndex, WriterIndex};
use crate::layout::slots::EVICT;
use crate::memory::MemoryCas;
use crate::os::Os;

impl<M: MemoryCas, O: Os> Protocol<'_, M, O> {
    /// Tries to claim slot `index` and to take its sample away; `None` if it is owned or pinned.
    #[inline]
    pub(crate) fn claim_and_evict(self, writer: WriterIndex, index: u32) -> Option<Reserved> {
        let slot = self.view.slot(index)?;
        // ORDERING: Relaxed, both; hints, the CASes below decide.
        let state = slot.state().load(Relaxed);
        if owner_of(state) != 0 || slot.pins().load(Relaxed) != 0 {
            return None;
        }
        let mine = claimed(state, writer.get());
        // ORDERING: Relaxed; whoever owned the slot and wrote to it stored its pins (Release) before it gave the slot up, and the exchange
        // below acquires that. One that found it pinned wrote nothing. Failure: nothing is concluded.
        slot.state().compare_exchange(state, mine, Relaxed, Relaxed).ok()?;
        // ORDERING: Acquire, edges "publish" and "release"; pairs with the Release of the last owner's store of the pins, and of every
        // unpin since: their use is over. Failure: Relaxed.
        if slot.pins().compare_exchange(0, EVICT, Acquire, Relaxed).is_err() {
            self.put_back(writer, index, state);
            return None;
        }
        // ORDERING: Relaxed, both; nobody can pin until the next publication or discard, which carries the store.
        if slot.writer().load(Relaxed) != 0 {
            slot.writer().store(0, Relaxed);
            if let Some(entry) = self.view.writer_entry(writer) {
                entry.overwritten().fetch_add(1, Relaxed);
            }
        }
        Reserved::new(index, mine)
    }

    /// Pins slot `index` if it holds `position` of `writer`.
    #[inline(never)]
    pub(super) fn pin(self, reader: ReaderIndex, index: u32, writer: u32, position: u32) -> Option<Found> {
        let slot = self.view.slot(index)?;
        // ORDERING: Acquire, edge "publish"; pairs with the Release of `pins` at the publication.
        let before = slot.pins().fetch_or(reader.bit(), Acquire);
        // ORDERING: Relaxed, all; pinned without EVICT the header does not change, and the Acquire above carries it.
        if before & (EVICT | reader.bit()) == 0
            && slot.sequence().load(Relaxed) == position
            && slot.writer().load(Relaxed) == owner_field(writer)
        {
            return Some(Found { index: slot.index(), size: slot.size().load(Relaxed) });
        }
        if before & reader.bit() == 0 {
            self.unpin(reader, &slot);
        }
        None
    }

    /// Lets go of the pinned slot `index`.
    #[inline(never)]
    pub(super) fn unpin_at(self, reader: ReaderIndex, index: u32) {
        if let Some(slot) = self.view.slot(index) {
            self.unpin(reader, &slot);
        }
    }

    /// Lets go of a pinned slot.
    #[inline]
    pub(super) fn unpin(self, reader: ReaderIndex, slot: &Slot<'_, M>) {
        // ORDERING: Release, edge "release"; pairs with the Acquire of the next eviction.
        slot.pins().fetch_and(!reader.bit(), Release);
        // Light fence, edge "notify".
        self.view.fence_light();
        // ORDERING: Relaxed; the fence.
        if (self.view.writer_waiters().load(Relaxed) | self.view.change_waiters().load(Relaxed)) != 0 {
            // Full fence, edge "notify": before the bump.
            self.view.memory().fence_full();
            self.wake_writers();
            self.wake_change();
        }
    }
}
