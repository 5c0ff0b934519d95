//! Commit and discard: what ends a loan.

use portable_atomic::Ordering::{Acquire, Relaxed, Release};

use super::Protocol;
use super::decide::{generation_of, is_free, owner_field, unowned};
use super::reserve::Reserved;
use super::view::SlotsView;
use crate::index::WriterIndex;
use crate::layout::control::SCARCE;
use crate::layout::slots::EVICT;
use crate::memory::MemoryCas;
use crate::os::Os;

/// The loan is no longer the caller's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stale;

impl<M: MemoryCas, O: Os> Protocol<'_, M, O> {
    /// Publishes the loaned slot as the sample at `position`; `everybody` replaces the audience in the seeds' face. The caller is `writer`, alone, and `position` is its head.
    ///
    /// With `ahead` it asks for the cache lines of the slot so many behind this one. With `quiet`, nobody
    /// is told and no fence is made: the caller does both before it returns to its user (a batch).
    #[inline(always)]
    #[allow(clippy::too_many_arguments, reason = "one store each, in the order of the protocol")]
    pub(crate) fn commit(
        self,
        writer: WriterIndex,
        loan: Reserved,
        position: u32,
        size: u32,
        everybody: bool,
        quiet: bool,
        ahead: u32,
    ) -> Result<(), Stale> {
        let (index, mine) = (loan.slot(), loan.state());
        let view = self.view.local();
        let slot = view.slot(index).ok_or(Stale)?;
        let ring = view.ring(writer).ok_or(Stale)?;
        let entry = view.writer_entry(writer).ok_or(Stale)?;
        // ORDERING: Relaxed; only the owner and its recoverer (after its death) write the state of an owned slot.
        if slot.state().load(Relaxed) != mine {
            return Err(Stale);
        }
        // ORDERING: Acquire, edge "join"; pairs with the AcqRel of a join: its sweep of this slot is done before its bit comes back here.
        let active = view.active().load(Acquire);
        // Where overwriting is allowed the audience is not kept: whoever joins before the publication may read, and is to be woken.
        let audience = if everybody || view.geometry().overwrite { u32::MAX } else { active };
        // ORDERING: Relaxed, all four; carried by the publication.
        slot.sequence().store(position, Relaxed);
        slot.size().store(size, Relaxed);
        slot.writer().store(owner_field(writer.get()), Relaxed);
        slot.generation().store(generation_of(mine), Relaxed);
        if view.geometry().overwrite {
            // ORDERING: Release, edge "publish"; pairs with a reader's pin (Acquire). Carries payload and header.
            slot.pins().store(0, Release);
        } else {
            // ORDERING: Release, edge "publish"; pairs with take's Acquire of `unread`. Carries payload and header.
            slot.unread().store(audience, Release);
        }
        // ORDERING: Release, edge "unown"; pairs with the next claim's Acquire.
        slot.state().store(unowned(mine), Release);
        // ORDERING: Relaxed; carried by the tag.
        ring.index(position).store(index, Relaxed);
        // ORDERING: Release, edge "ring"; pairs with take's Acquire of the tag.
        ring.tag(position).store(position, Release);
        let head = position.wrapping_add(1).wrapping_sub(view.geometry().ring_len);
        // ORDERING: Release, edge "head"; pairs with the Acquire of a join and of take's sweep.
        entry.head().store(head, Release);
        if !quiet {
            // Light fence, edges "notify" and "scarce".
            view.fence_light();
            if concerns_somebody(&view) {
                self.tell_of_commit(index, audience);
            }
        }
        if ahead != 0 {
            // Behind everything that others wait for.
            slot.ask_ahead(ahead, true);
        }
        Ok(())
    }

    /// Tells whoever waits of a commit, and marks the slot if nobody was there to read it, or everybody has.
    #[cold]
    #[inline(never)]
    fn tell_of_commit(self, index: u32, audience: u32) {
        // Full fence, edges "notify" and "scarce": before a bump; and of a commit and a release of its slot one sees the other.
        self.view.memory().fence_full();
        self.wake_readers(audience);
        // A fast reader may have released the slot while it was still owned, or the audience may be empty: then no release will
        // tell the writers, so the commit does. Both words are loaded after the fence.
        // ORDERING: Relaxed; the fence.
        if let Some(slot) = self.view.slot(index)
            && is_free(slot.unread().load(Relaxed), self.view.active().load(Relaxed))
        {
            if self.view.flags().load(Relaxed) & SCARCE != 0 {
                self.mark_if_free(&slot);
            }
            self.wake_writers();
        }
        self.wake_change();
    }

    /// Tells whoever waits of a batch of commits that told nobody.
    #[inline]
    pub(crate) fn tell_of_batch(self) {
        // Light fence, edges "notify" and "scarce": behind all the commits.
        self.view.fence_light();
        if concerns_somebody(self.view) {
            self.tell_all_of_batch();
        }
    }

    #[cold]
    fn tell_all_of_batch(self) {
        // Full fence, edges "notify" and "scarce": as in `tell_of_commit`.
        self.view.memory().fence_full();
        self.wake_readers(u32::MAX);
        if self.is_scarce() {
            // Slots became scarce in the midst of the batch: its first commits did not look.
            self.mark_all_free();
        }
        // A slot whose audience was empty, or done already, is free.
        self.wake_writers();
        self.wake_change();
    }

    /// Ends the loan of slot `index` without a sample.
    pub(crate) fn discard(self, writer: WriterIndex, index: u32, mine: u32) -> Result<(), Stale> {
        let slot = self.view.slot(index).ok_or(Stale)?;
        // ORDERING: Relaxed; as in `commit`.
        if slot.state().load(Relaxed) != mine {
            return Err(Stale);
        }
        // ORDERING: Relaxed; only the owner sets EVICT or takes it back while it owns the slot.
        if self.view.geometry().overwrite && slot.pins().load(Relaxed) & EVICT != 0 {
            // ORDERING: Relaxed; carried by the Release of the pins. The header must not name the sample that was taken away.
            slot.writer().store(0, Relaxed);
            // ORDERING: Release, edge "publish"; a reader that pins from here on (Acquire) sees a header that names nobody.
            slot.pins().store(0, Release);
        }
        // ORDERING: Release, edge "unown"; pairs with the next claim's Acquire.
        slot.state().store(unowned(mine), Release);
        self.freed(writer, &slot);
        Ok(())
    }
}

/// Whether a commit is to be told to anybody: one who waits, or the free map. A light fence lies between the commit and this look.
#[inline(always)]
fn concerns_somebody<M: MemoryCas>(view: &SlotsView<M>) -> bool {
    // ORDERING: Relaxed, all; the fence. The four words are on one line.
    let waiting = view.reader_waiters().load(Relaxed) | view.writer_waiters().load(Relaxed) | view.change_waiters().load(Relaxed);
    waiting | view.flags().load(Relaxed) & SCARCE != 0
}
