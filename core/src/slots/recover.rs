//! Recovery: what a dead party left is put right by somebody who holds the dead party's own lock.
//!
//! The kernel frees that lock should the recoverer die, so the next one begins again; everything here may be done twice. A slow
//! recoverer can never touch a successor, because the successor needs the lock.
//!
//! | the writer died | what is there | recovery |
//! |---|---|---|
//! | before the claim | nothing | burns a position |
//! | loaned, filling | owner w, `unread` 0 | unowned: free |
//! | after the publication, still owner | owner w, `unread` = audience | ring and head named it, unowned: the sample lives |
//! | after giving it up, before the ring | `unread` = audience, not in the ring | ring and head name it |
//! | after the ring, before the head | the same, in the ring | the same |
//! | after the head | all there | burns a position |
//!
//! A position is burnt rather than used again, always: a fast reader may have read, and another writer reused, the slot already.

use portable_atomic::Ordering::{Acquire, Relaxed, Release};

use super::Protocol;
use super::parts::Entry;
use super::decide::{SlotOfTheDead, is_unfinished_commit, slot_of_the_dead, unowned};
use crate::index::{ReaderIndex, WriterIndex};
use crate::layout::control::SCARCE;
use crate::memory::MemoryCas;
use crate::os::Os;

/// The index in a ring entry whose position holds no sample.
pub(crate) const VOID: u32 = u32::MAX;

impl<M: MemoryCas, O: Os> Protocol<'_, M, O> {
    /// Recovers dead writer `writer`, whose lock the caller holds; the number of loans taken back.
    pub(crate) fn recover_writer(self, writer: WriterIndex) -> u32 {
        let (Some(entry), Some(ring)) = (self.view.writer_entry(writer), self.view.ring(writer)) else { return 0 };
        let geometry = self.view.geometry();
        // ORDERING: Relaxed; the dead cannot store, and what they stored came here with their lock.
        let head = entry.head().load(Relaxed).wrapping_add(geometry.ring_len);
        let mut unfinished = VOID;
        for slot in self.view.slots() {
            // ORDERING: Acquire, both, edge "publish"; the header counts only where the publication is seen. A slot of another
            // writer may be loaned anew meanwhile: then its header does not name us, or `unread` is 0.
            let (unread, pins) = (slot.unread().load(Acquire), slot.pins().load(Acquire));
            let (sequence, of) = (slot.sequence().load(Relaxed), slot.writer().load(Relaxed));
            if is_unfinished_commit(sequence, of, unread, pins, head, writer.get(), geometry.overwrite) {
                unfinished = slot.index();
            }
        }
        let mut taken_back = 0;
        for slot in self.view.slots() {
            // ORDERING: Relaxed; a slot the dead own changes no more.
            let state = slot.state().load(Relaxed);
            match slot_of_the_dead(state, slot.pins().load(Relaxed), writer.get(), geometry.overwrite) {
                SlotOfTheDead::Untouched => continue,
                SlotOfTheDead::UnownEvicted => {
                    // ORDERING: Relaxed; carried by the Release of the pins.
                    slot.writer().store(0, Relaxed);
                    // ORDERING: Release, edge "publish"; a reader that pins from here on sees a header that names nobody.
                    slot.pins().store(0, Release);
                }
                SlotOfTheDead::Unown => {}
            }
            // ORDERING: Release, edge "unown"; pairs with the next claim's Acquire.
            slot.state().store(unowned(state), Release);
            taken_back += 1;
        }
        if unfinished == VOID {
            count_burnt(&entry, head);
        }
        // ORDERING: Relaxed; carried by the tag.
        ring.index(head).store(unfinished, Relaxed);
        // ORDERING: Release, edge "ring"; pairs with take's Acquire.
        ring.tag(head).store(head, Release);
        // ORDERING: Release, edge "head"; pairs with the Acquire of a join and of take's sweep.
        entry.head().store(head.wrapping_add(1).wrapping_sub(geometry.ring_len), Release);
        // Whoever had closed its stream before it died has nothing to be missed for.
        // ORDERING: Relaxed; the dead cannot store, and what they stored came here with their lock.
        if self.view.closed().load(Relaxed) & writer.bit() == 0 {
            // ORDERING: Release, edge "close"; pairs with the Acquire of an empty take.
            self.view.died().fetch_or(writer.bit(), Release);
        }
        // It may have been the one that would have ended the scarcity; whoever finds slots scarce says so again.
        self.become_plentiful();
        // ORDERING: Relaxed; the dead wait no more.
        self.view.writer_waiters().fetch_and(!writer.bit(), Relaxed);
        self.view.change_waiters().fetch_and(!writer.bit(), Relaxed);
        self.after_recovery(taken_back, 0);
        taken_back
    }

    /// Recovers dead reader `reader`, whose lock the caller holds.
    pub(crate) fn recover_reader(self, reader: ReaderIndex) {
        // ORDERING: Release, edge "leave"; pairs with the Acquire of the claim's second look at `active`.
        self.view.active().fetch_and(!reader.bit(), Release);
        if self.view.geometry().overwrite {
            self.sweep_pins(reader);
        }
        // ORDERING: Relaxed; the dead wait no more.
        self.view.reader_waiters().fetch_and(!reader.bit(), Relaxed);
        self.after_recovery(0, 1);
    }

    fn after_recovery(self, slots: u32, readers: u32) {
        let [total_writers, total_readers, total_slots, _] = self.view.totals();
        let _ = if readers == 0 { total_writers } else { total_readers }.fetch_add(1, Relaxed);
        total_slots.fetch_add(slots, Relaxed);
        // ORDERING: Release, so that who sums the counters up (Acquire) sees the change.
        self.view.changes().fetch_add(1, Release);
        // Full fence, edges "notify" and "scarce"; then everybody is told, registered or not.
        self.view.memory().fence_full();
        if self.view.flags().load(Relaxed) & SCARCE != 0 {
            self.mark_all_free();
        }
        // ORDERING: Relaxed, all; the fence above is the release side of edge "notify".
        for generation in [self.view.reader_generation(), self.view.writer_generation(), self.view.change_generation()] {
            generation.fetch_add(1, Relaxed);
            self.os.wake(generation.futex(), u32::MAX);
        }
    }
}

/// Counts position `head` of a dead writer as burnt: once, however often its recovery dies and is begun anew, and before anybody sees
/// the position pass. The new count, which is not 0, is written down before the position it is for. (A position whose number is that of
/// the last one burnt, a whole circle later, is not counted.)
fn count_burnt<M: MemoryCas>(entry: &Entry<'_, M>, head: u32) {
    if entry.burning().load(Relaxed) != head || entry.burnt_then().load(Relaxed) == 0 {
        // ORDERING: Relaxed; carried by the next store.
        entry.burnt_then().store(entry.burnt().load(Relaxed).wrapping_add(1), Relaxed);
        // ORDERING: Release; keeps the count before it, for the next recoverer and for a join that reads it.
        entry.burning().store(head, Release);
    }
    // ORDERING: Release; keeps "burning" before it, for the same. Readers who see the tag, or the head, see it.
    entry.burnt().store(entry.burnt_then().load(Relaxed), Release);
}
