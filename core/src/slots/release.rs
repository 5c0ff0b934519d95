//! Release: a reader lets go of a sample.

use portable_atomic::Ordering::{Relaxed, Release};

use super::Protocol;
use super::decide::is_free;
use crate::index::ReaderIndex;
use crate::layout::control::{SCARCE, SEEDS};
use crate::memory::MemoryCas;
use crate::os::Os;

impl<M: MemoryCas, O: Os> Protocol<'_, M, O> {
    /// Clears the reader's bit in slot `index`, and tells writers if that freed it and one waits.
    #[inline(always)]
    pub(crate) fn release(self, reader: ReaderIndex, index: u32) {
        let view = self.view;
        if view.geometry().overwrite {
            return self.unpin_at(reader, index);
        }
        let Some(slot) = view.slot(index) else { return };
        // ORDERING: Relaxed; a bit that is set is mine, and stays until I clear it.
        if view.geometry().readers == 1 && slot.unread().load(Relaxed) == reader.bit() {
            // Nobody else has a bit, and no writer stores to the word before mine is cleared: what the exchange below would come to. A
            // sample of the slot face is owed to all 32: of it a late mark may find the slot on loan, and is to leave the word 0.
            // ORDERING: Release, edge "release"; as below.
            slot.unread().store(0, Release);
        } else {
            // ORDERING: Release, edge "release"; pairs with the Acquire of the claim's second look: my use of the payload is over.
            slot.unread().fetch_and(!reader.bit(), Release);
        }
        // Light fence, edges "notify" and "scarce".
        view.fence_light();
        // ORDERING: Relaxed, all; the fence. The three words are on one line.
        let concerned = view.writer_waiters().load(Relaxed) | view.change_waiters().load(Relaxed) | view.flags().load(Relaxed);
        if concerned != 0 {
            self.tell_of_release(reader, index);
        }
    }

    #[cold]
    #[inline(never)]
    fn tell_of_release(self, reader: ReaderIndex, index: u32) {
        let Some(slot) = self.view.slot(index) else { return };
        // Full fence, edges "notify", "scarce" and "mark": before a bump or a look at a mark; and of a release and the commit of its slot
        // one sees the other.
        self.view.memory().fence_full();
        // ORDERING: Relaxed; the fence.
        let flags = self.view.flags().load(Relaxed);
        if flags & SEEDS != 0
            && let Some(entry) = self.view.reader_entry(reader)
        {
            // ORDERING: Release, so that who sums the counters up (Acquire) sees the bit cleared.
            entry.changes().fetch_add(1, Release);
            // Full fence, edge "notify": the counter has moved before the waiters are looked at.
            self.view.memory().fence_full();
        }
        if flags & SCARCE != 0 {
            self.mark_if_free(&slot);
        }
        // ORDERING: Relaxed, both; the fence. A slot still owned, or owed to others, is told of by those.
        if is_free(slot.unread().load(Relaxed), self.view.active().load(Relaxed)) {
            self.wake_writers();
        }
        self.wake_change();
    }
}
