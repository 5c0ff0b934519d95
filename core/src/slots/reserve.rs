//! Reserve: a free slot becomes a writer's, in one compare-and-swap that records the owner, so that no crash loses it.

use core::num::NonZeroU64;

use portable_atomic::Ordering::{Acquire, Relaxed, Release};

use super::Protocol;
use super::decide::{claimed, is_free, owner_of};
use super::parts::Slot;
use super::view::SlotsView;
use crate::index::WriterIndex;
use crate::layout::control::SCARCE;
use crate::memory::MemoryCas;
use crate::os::Os;

/// A slot that was claimed, and the state word it was claimed with: what a loan is made of. One register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reserved(NonZeroU64);

impl Reserved {
    /// `None` for a state word of 0, which no claim makes.
    #[inline(always)]
    pub(crate) fn new(slot: u32, state: u32) -> Option<Self> {
        // The state in the upper half: the test for 0 is then one of the state.
        NonZeroU64::new(u64::from(state) << 32 | u64::from(slot)).filter(|_| state != 0).map(Self)
    }

    /// Index of the slot.
    #[inline(always)]
    pub(crate) fn slot(self) -> u32 {
        self.0.get() as u32
    }

    /// Its state word: owner and generation.
    #[inline(always)]
    pub(crate) fn state(self) -> u32 {
        (self.0.get() >> 32) as u32
    }
}

impl<M: MemoryCas, O: Os> Protocol<'_, M, O> {
    /// Tries to claim slot `index` for `writer`; `None` if the slot is not free. Readers in `named` count besides the active ones, unless
    /// they are disconnected (the seeds' face).
    #[inline(always)]
    pub(crate) fn claim(self, writer: WriterIndex, index: u32, named: u32) -> Option<Reserved> {
        let view = self.view.local();
        let slot = view.slot(index)?;
        // ORDERING: Relaxed; a hint, the CAS below decides.
        let state = slot.state().load(Relaxed);
        if owner_of(state) != 0 {
            return None;
        }
        // Before the look at what is owed: who came back since it was disconnected is seen to owe nothing.
        let counting = connected(&view, named);
        // ORDERING: Relaxed, both; a hint, the second look decides.
        let owed = slot.unread().load(Relaxed);
        if owed != 0 && !is_free(owed, view.active().load(Relaxed) | counting) {
            return None;
        }
        let mine = claimed(state, writer.get());
        // ORDERING: Acquire, edge "unown"; pairs with the Release of whoever gave the slot up. Failure: Relaxed, nothing is concluded.
        slot.state().compare_exchange(state, mine, Acquire, Relaxed).ok()?;
        // ORDERING: Acquire, edge "release"; pairs with every reader's Release of its bit: their use of the payload is over.
        if slot.unread().load(Acquire) != 0 {
            // Full fence, edge "again": whoever becomes active, or comes back, and is not seen below sees this slot's publication, and does
            // not take it.
            view.memory().fence_full();
            // ORDERING: Acquire, edge "leave"; pairs with the Release of `active` by a reader that left, or its recoverer.
            let counting = view.active().load(Acquire) | connected(&view, named);
            // ORDERING: Acquire, edge "release", as above. Again: bits go, none comes while the slot is owned, and who came back owes nothing.
            if !is_free(slot.unread().load(Acquire), counting) {
                self.put_back(writer, index, state);
                return None;
            }
            // ORDERING: Relaxed; the next Release of `unread` or `state` carries it, readers that see 0 take nothing.
            slot.unread().store(0, Relaxed);
        }
        Reserved::new(index, mine)
    }

    /// As [`claim`](Self::claim), by the only writer that there can be: nobody else claims, so that one look is enough, and a store.
    #[inline(always)]
    pub(crate) fn claim_alone(self, writer: WriterIndex, index: u32) -> Option<Reserved> {
        let view = self.view.local();
        let slot = view.slot(index)?;
        // ORDERING: Acquire, edge "unown"; pairs with the Release of whoever gave the slot up: a former holder of the entry, or its recoverer.
        let state = slot.state().load(Acquire);
        if owner_of(state) != 0 {
            return None;
        }
        // ORDERING: Acquire, edge "release"; pairs with every reader's Release of its bit: their use of the payload is over.
        let owed = slot.unread().load(Acquire);
        if owed != 0 {
            // ORDERING: Relaxed; a hint, which saves the fence where the slot is plainly not free.
            if !is_free(owed, view.active().load(Relaxed)) {
                return None;
            }
            // Full fence, edge "again": whoever becomes active and is not seen below sees this slot's publication, and does not take it.
            view.memory().fence_full();
            // ORDERING: Acquire, edge "leave"; pairs with the Release of `active` by a reader that left, or its recoverer.
            if !is_free(owed, view.active().load(Acquire)) {
                return None;
            }
            // ORDERING: Relaxed; the next Release of `unread` or `state` carries it, readers that see 0 take nothing.
            slot.unread().store(0, Relaxed);
        }
        let mine = claimed(state, writer.get());
        // ORDERING: Relaxed; the commit's Releases carry it. A death before it leaves the slot free, as it is.
        slot.state().store(mine, Relaxed);
        Reserved::new(index, mine)
    }

    /// Undoes a claim whose second look found the slot owed: the very state word as before, and everybody who may have been
    /// misled by the transient owner is told.
    #[cold]
    #[inline(never)]
    pub(super) fn put_back(self, writer: WriterIndex, index: u32, state: u32) {
        let Some(slot) = self.view.slot(index) else { return };
        // ORDERING: Release, edge "unown"; pairs with the next claim's Acquire.
        slot.state().store(state, Release);
        if let Some(entry) = self.view.writer_entry(writer) {
            entry.retries().fetch_add(1, Relaxed);
        }
        self.freed(writer, &slot);
    }

    /// After a slot may have become free: moves the writer's change counter, then tells writers and change waiters.
    #[cold]
    pub(super) fn freed(self, writer: WriterIndex, slot: &Slot<'_, M>) {
        if let Some(entry) = self.view.writer_entry(writer) {
            // ORDERING: Release, so that who sums the counters up (Acquire) sees the change that moved it.
            entry.changes().fetch_add(1, Release);
        }
        // Full fence, edges "notify" and "scarce".
        self.view.memory().fence_full();
        // ORDERING: Relaxed; the fence above.
        if self.view.flags().load(Relaxed) & SCARCE != 0 {
            self.mark_if_free(slot);
        }
        self.wake_writers();
        self.wake_change();
    }
}

/// Those of `named` who are not disconnected.
#[inline(always)]
fn connected<M: MemoryCas>(view: &SlotsView<M>, named: u32) -> u32 {
    // ORDERING: Acquire, edge "disconnect"; pairs with the Release of a disconnection.
    if named == 0 { 0 } else { named & !view.disconnected().load(Acquire) }
}
