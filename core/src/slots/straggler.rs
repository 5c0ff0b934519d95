//! Taking a sample back from readers of the slot face that live and do not read it.
//!
//! The evictor claims the slot, as a writer does that is mistaken: until it puts it back nobody else claims it, so the sample stays and
//! bits of `unread` only go. It clears the bits, and then has to be sure of what a mark does that looked before: such a mark would clear its
//! bit whenever it gets to it, and should the slot hold the next sample by then, hide that one from its reader. So marks count
//! themselves, at their beginning and at their end, on either side of look and exchange (edge "straggler").
//!
//! | the marks of reader r, after the heavy fence | what it means | the evictor |
//! |---|---|---|
//! | as many ended as begun | one that begins later sees its bit cleared, and one that ended cleared this sample's | is done |
//! | (it is gone already) | nothing is owed to it | does not look |
//! | not so, for the length of a spin | r is in the midst of one: on its way out, stopped, or dead | declares r gone as well: what such a mark hides is not owed to it |
//! | (the index was ever shared by two, or the system refused the fence) | nobody can tell | the same |
//!
//! An evictor that dies in between leaves a claimed slot: its recovery unowns it, with what is cleared cleared.

use portable_atomic::Ordering::{Acquire, Relaxed, Release};

use super::Protocol;
use super::decide::{claimed, owner_of};
use super::parts::{Entry, Slot};
use crate::index::{ReaderIndex, WriterIndex, bits, first_bits};
use crate::memory::{Memory, MemoryCas};
use crate::os::Os;

/// How often the evictor looks whether a mark is over.
const SPINS: u32 = if cfg!(loom) { 1 } else { 4096 };

/// What became of an eviction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TakenBack {
    /// These readers owe the sample no more, and did before.
    From(u32),
    /// The slot does not hold the sample.
    Gone,
    /// Somebody else has just claimed the slot; nothing was changed.
    Busy,
}

impl<M: MemoryCas, O: Os> Protocol<'_, M, O> {
    /// Takes the sample of `generation` in slot `index` back from those of `readers` that owe it, but for registered ones. The caller is
    /// `writer`, alone.
    pub(crate) fn take_back(self, writer: WriterIndex, index: u32, generation: u32, readers: u32) -> TakenBack {
        let Some(slot) = self.view.slot(index) else { return TakenBack::Gone };
        if !holds(&slot, generation) {
            return TakenBack::Gone;
        }
        // ORDERING: Relaxed; a hint, looked at again in the claimed slot. Where nobody can be evicted nothing is touched, and nobody told.
        if slot.unread().load(Relaxed) & self.evictable(readers) == 0 {
            return TakenBack::From(0);
        }
        // ORDERING: Relaxed; a hint, the exchange below decides.
        let state = slot.state().load(Relaxed);
        // ORDERING: Acquire, edge "unown"; pairs with the Release of whoever gave the slot up. Failure: Relaxed, nothing is concluded.
        if owner_of(state) != 0 || slot.state().compare_exchange(state, claimed(state, writer.get()), Acquire, Relaxed).is_err() {
            return TakenBack::Busy;
        }
        let answer = if holds(&slot, generation) { TakenBack::From(self.clear(&slot, readers)) } else { TakenBack::Gone };
        // ORDERING: Release, edge "unown"; pairs with the next claim's Acquire. Carries the cleared bits, the marks that ended, and who is gone.
        slot.state().store(state, Release);
        self.freed(writer, &slot);
        answer
    }

    /// Clears the bits of those of `readers` that are set and not registered, in a slot that the caller has claimed; which those were.
    fn clear(self, slot: &Slot<'_, M>, readers: u32) -> u32 {
        // Full fence, edge "again": who becomes active, and is not seen below, sees this slot's publication in its sweep.
        self.view.memory().fence_full();
        let stragglers = self.evictable(readers);
        // ORDERING: Relaxed; the Release of the state carries it. Other readers' Releases of their bits go on through an exchange.
        let owed = slot.unread().fetch_and(!stragglers, Relaxed) & stragglers;
        // Heavy fence, edge "straggler": a mark's beginning is seen below, or the mark sees its bit cleared.
        let covered = self.view.fence_heavy(self.os);
        // ORDERING: Relaxed; the fence: who begins to share an index makes a full one before its first look.
        let shared = self.view.shared().load(Relaxed);
        // Who is gone already is not waited for: before it counts again it makes a full fence, and whatever it looks at then is cleared.
        // ORDERING: Relaxed; the fence.
        let gone = self.view.disconnected().load(Relaxed);
        for reader in bits(owed & !gone).filter_map(ReaderIndex::new) {
            let is_counted = covered && shared & reader.bit() == 0;
            if !is_counted || !self.view.reader_entry(reader).is_some_and(|entry| becomes_quiet(&entry)) {
                // ORDERING: Relaxed; the Release of the state carries it to whoever is given this slot.
                self.view.disconnected().fetch_or(reader.bit(), Relaxed);
            }
        }
        owed
    }

    /// Those of `readers` that there are and that are not registered.
    fn evictable(self, readers: u32) -> u32 {
        // ORDERING: Relaxed; a hint, or behind the caller's full fence.
        readers & first_bits(self.view.geometry().readers) & !self.view.active().load(Relaxed)
    }
}

/// Whether the slot holds the sample of `generation`.
fn holds<M: Memory>(slot: &Slot<'_, M>, generation: u32) -> bool {
    // ORDERING: Relaxed, both; looked at again, or confirmed, while the slot is claimed: then they do not change but for bits that go.
    slot.unread().load(Relaxed) != 0 && slot.generation().load(Relaxed) == generation
}

/// Whether at some moment during this call no mark of the entry's reader was under way.
fn becomes_quiet<M: MemoryCas>(entry: &Entry<'_, M>) -> bool {
    (0..SPINS).any(|_| {
        core::hint::spin_loop();
        // ORDERING: Acquire, edge "straggler"; pairs with the Release of a mark's end: its exchange was made before the slot is given out
        // again. Before the other count, so that equal means none under way when that was loaded.
        let ended = entry.marks_ended().load(Acquire);
        // ORDERING: Relaxed; behind the heavy fence.
        entry.marks_begun().load(Relaxed) == ended
    })
}

/// A mark of the holder of a reader's lock, under way until it is dropped. Who shares an index counts nothing: the index tells.
pub(crate) struct Marking<'v, M: MemoryCas> {
    entry: Entry<'v, M>,
    number: u32,
}

impl<'v, M: MemoryCas> Marking<'v, M> {
    /// Counts the mark as begun. The caller, which holds the index's lock, looks at its bit after this.
    #[inline(always)]
    pub(crate) fn begin(entry: Entry<'v, M>) -> Self {
        // ORDERING: Relaxed, both; only the holder counts, and the fence.
        let number = entry.marks_begun().load(Relaxed).wrapping_add(1);
        entry.marks_begun().store(number, Relaxed);
        // Light fence, edge "straggler": an evictor sees the beginning, or the look that follows sees the bit cleared.
        entry.view.fence_light();
        Self { entry, number }
    }
}

impl<M: MemoryCas> Drop for Marking<'_, M> {
    #[inline(always)]
    fn drop(&mut self) {
        // ORDERING: Release, edge "straggler"; pairs with the evictor's Acquire. Carries the exchange of the mark.
        self.entry.marks_ended().store(self.number, Release);
    }
}
