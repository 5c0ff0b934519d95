//! Join and leave: how a reader begins and ceases to count.

use portable_atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use super::Protocol;
use super::parts::Entry;
use super::take::Follow;
use crate::index::{ReaderIndex, WriterIndex};
use crate::layout::control::{SCARCE, SEEDS};
use crate::memory::MemoryCas;
use crate::os::Os;

/// How often a join looks at a head that moves.
const LOOKS: u32 = 8;

impl<M: MemoryCas, O: Os> Protocol<'_, M, O> {
    /// Joins reader `reader`, whose lock the caller holds and whose entry is recovered. `follow` gets the cursor of each writer.
    ///
    /// `is_first`: the index was never held before.
    ///
    /// The order is heads, sweep, active: the other way round loses samples or leaks slots (PROTOCOL's hard case 4).
    pub(crate) fn join(self, reader: ReaderIndex, is_first: bool, mut follow: impl FnMut(WriterIndex, Follow)) {
        for writer in (0..self.view.geometry().writers).filter_map(WriterIndex::new) {
            if let Some(entry) = self.view.writer_entry(writer) {
                let (cursor, burnt) = self.start(&entry);
                follow(writer, Follow::new(self.view.ring_place(writer), cursor, burnt));
            }
        }
        self.sweep_bit(reader);
        // ORDERING: AcqRel, edge "join"; pairs with the Acquire of `active` at commit. Carries the sweep. (That the Acquire half is
        // needed cannot be shown by loom, which has no load buffering: kept by argument.)
        self.view.active().fetch_or(reader.bit(), AcqRel);
        // Full fence, edge "again": a commit that counted the index's former holder may have come between the sweep and the bit, and its slot
        // may be claimed again by who did not see the bit. Then its commit is seen here: what it is owed is not taken.
        self.view.memory().fence_full();
        // ORDERING: Relaxed; the fence: a face that opens later sees the bit at its first commit.
        let owes_to_all = self.view.flags().load(Relaxed) & SEEDS != 0;
        // Nobody was counted before the first holder: what is owed is this one's, and all of it comes. (A commit of the slot face is owed to
        // all indices, held or not.)
        if (!is_first || owes_to_all) && self.sweep_bit(reader) {
            self.tell_of_freed_slots();
        }
    }

    /// Where a join begins to follow the writer of `entry`, and how many positions before that were burnt.
    fn start(self, entry: &Entry<'_, M>) -> (u32, u32) {
        let mut start = (0, 0);
        let mut before = None;
        // Again while the head moves: a position burnt in between is behind the cursor, and the count has it already. Bounded: what moves
        // it so often is a writer that lives.
        for _ in 0..LOOKS {
            // ORDERING: Acquire, edge "head"; pairs with the Release at commit: what is before the cursor is published, so the
            // sweep that follows sees its bits.
            let head = entry.head().load(Acquire);
            if before == Some(head) {
                break;
            }
            let cursor = head.wrapping_add(self.view.geometry().ring_len);
            start = (cursor, burnt_before(entry, cursor));
            if !self.view.geometry().overwrite {
                // Nobody asks for the count.
                break;
            }
            before = Some(head);
        }
        start
    }

    /// Clears the reader's bit in every slot: what was owed to a former holder of the index. True if it was set somewhere.
    pub(crate) fn sweep_bit(self, reader: ReaderIndex) -> bool {
        let mut found = false;
        for slot in self.view.slots() {
            // ORDERING: Relaxed; a bit that is set later is set by a commit that saw the index active.
            if slot.unread().load(Relaxed) & reader.bit() != 0 {
                // ORDERING: Release, edge "release"; the former holder's use is over (its lock is ours), pairs with the claim's Acquire.
                slot.unread().fetch_and(!reader.bit(), Release);
                found = true;
            }
        }
        found
    }

    /// Clears the reader's pins in every slot (overwriting segments).
    pub(crate) fn sweep_pins(self, reader: ReaderIndex) {
        for slot in self.view.slots() {
            // ORDERING: Relaxed; nobody else sets this bit.
            if slot.pins().load(Relaxed) & reader.bit() != 0 {
                // ORDERING: Release, edge "release"; pairs with the Acquire of the next eviction.
                slot.pins().fetch_and(!reader.bit(), Release);
            }
        }
    }

    /// Ceases to count: everything this reader owes is free of it at once. The caller holds the index's lock (or evicts under it).
    pub(crate) fn leave(self, reader: ReaderIndex) {
        // ORDERING: Release, edge "leave"; pairs with the Acquire of the claim's second look at `active`.
        self.view.active().fetch_and(!reader.bit(), Release);
        if self.view.geometry().overwrite {
            self.sweep_pins(reader);
        }
        self.tell_of_freed_slots();
    }

    /// After slots may have become free of a reader: moves the change counter, marks what is free while slots are scarce, and tells
    /// writers and change waiters.
    pub(crate) fn tell_of_freed_slots(self) {
        // ORDERING: Release, so that who sums the counters up (Acquire) sees the change.
        self.view.changes().fetch_add(1, Release);
        // Full fence, edges "notify" and "scarce".
        self.view.memory().fence_full();
        // ORDERING: Relaxed; the fence.
        if self.view.flags().load(Relaxed) & SCARCE != 0 {
            self.mark_all_free();
        }
        self.wake_writers();
        self.wake_change();
    }
}

/// How many positions before `cursor` were burnt, where `cursor` is the head: that very position may have been counted already, by a
/// recovery that is under way, or died.
fn burnt_before<M: MemoryCas>(entry: &Entry<'_, M>, cursor: u32) -> u32 {
    // ORDERING: Acquire; pairs with the Release of the count by a recovery: who sees the count sees what it is for.
    let burnt = entry.burnt().load(Acquire);
    // ORDERING: Acquire; pairs with the Release of "burning". Then Relaxed: the count that goes with it, 0 if there never was one.
    let is_counted = entry.burning().load(Acquire) == cursor;
    let before = if is_counted { entry.burnt_then().load(Relaxed).checked_sub(1) } else { None };
    before.unwrap_or(burnt)
}
