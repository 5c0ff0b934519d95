//! The free map: hints that keep reserve cheap when few of many slots are free.
//!
//! One bit a slot, then one bit for each word of the level below that is not zero, up to a single word. It is in use only while
//! the flag `SCARCE` is set: a writer that finds its next slots taken sets the flag and sweeps once; from then on everybody who
//! frees a slot marks it. The bits are hints: a claim decides. A mark can be lost only when its maker dies between two levels; the
//! sweep of its recovery, or of a writer that keeps failing, brings it back. No writer parks on a hint: it looks at every slot first.
//!
//! Edge "scarce": setter: flag, heavy fence, sweep. Releaser: its change, light fence, look at the flag. One of the two sees the other.
//! Who saw the flag makes a full fence before it looks at the slot: of a commit and the release of the same slot one sees the other, or
//! the setter, whose heavy fence ends with a full one of its own, sees both.
//! Edge "mark": marker: bit, full fence, look at the level above. Popper: clears the bit above, full fence, looks at the word below
//! again. One of the two sees the other.

use portable_atomic::Ordering::Relaxed;

use super::Protocol;
use super::decide::{is_free, owner_of};
use super::parts::Slot;
use crate::layout::control::SCARCE;
use crate::memory::MemoryCas;
use crate::os::Os;

/// Most steps of one search: each either goes a level down or repairs a stale hint above; past that the map is not worth more.
const STEPS_MAX: usize = 64;

impl<M: MemoryCas, O: Os> Protocol<'_, M, O> {
    /// Whether the free map is in use.
    #[inline(always)]
    pub(crate) fn is_scarce(self) -> bool {
        // ORDERING: Relaxed; a hint for writers. Releasers load the flag behind their fence.
        self.view.flags().load(Relaxed) & SCARCE != 0
    }

    /// Begins to use the map, and sweeps.
    #[cold]
    pub(crate) fn become_scarce(self) {
        // ORDERING: Relaxed; the fence is what orders it before the sweep.
        let before = self.view.flags().fetch_or(SCARCE, Relaxed);
        // Heavy fence, edge "scarce". Refused: a release may miss the flag, and its mark comes with a later sweep; the map holds hints.
        self.view.fence_heavy(self.os);
        // Set already: whoever set it swept, or is sweeping.
        if before & SCARCE == 0 {
            self.mark_all_free();
        }
    }

    /// Stops using the map.
    #[cold]
    pub(crate) fn become_plentiful(self) {
        // ORDERING: Relaxed; who still sees the flag marks in vain.
        self.view.flags().fetch_and(!SCARCE, Relaxed);
    }

    /// Marks every slot that is free, and repairs what is missing above the marks: O(slots).
    pub(crate) fn mark_all_free(self) {
        for slot in self.view.slots() {
            if self.looks_free(&slot) {
                self.mark(0, slot.index());
            }
        }
    }

    /// Nobody owns the slot, and nobody who counts owes it a read: a hint.
    #[inline(always)]
    fn looks_free(self, slot: &Slot<'_, M>) -> bool {
        // ORDERING: Relaxed, all; hints, the claim decides.
        let owed = slot.unread().load(Relaxed);
        owner_of(slot.state().load(Relaxed)) == 0 && (owed == 0 || is_free(owed, self.view.active().load(Relaxed)))
    }

    /// Marks the slot if it is free. The caller has made a full fence since it freed it.
    #[inline(always)]
    pub(super) fn mark_if_free(self, slot: &Slot<'_, M>) {
        if !self.looks_free(slot) {
            return;
        }
        // ORDERING: Relaxed; set already: whoever set it sees to the levels above, or is dead, and its recovery sweeps. The steady
        // state: a claim by another way leaves the mark.
        let is_marked = self.view.free_word(0, slot.index() / 32).is_some_and(|word| word.load(Relaxed) & 1 << (slot.index() % 32) != 0);
        if !is_marked {
            self.mark(0, slot.index());
        }
    }

    /// Sets bit `at` of `level`, and what is missing above it, up to the top.
    #[inline(never)]
    fn mark(self, level: usize, mut at: u32) {
        for level in level..self.view.geometry().free_levels {
            let Some(word) = self.view.free_word(level, at / 32) else { return };
            let bit = 1 << (at % 32);
            // ORDERING: Relaxed, both; the caller's fence orders the look behind its change, the fence below the bit before the look at
            // the level above. A bit set already says nothing of the levels above: its maker may be between the two, or dead.
            if word.load(Relaxed) & bit == 0 {
                word.fetch_or(bit, Relaxed);
                // Full fence, edge "mark".
                self.view.memory().fence_full();
            }
            at /= 32;
        }
    }

    /// Takes a marked slot out of the map; `None` if it shows none. The slot may not be free: the claim decides.
    pub(crate) fn pop_marked(self) -> Option<u32> {
        let top = self.view.geometry().free_levels.checked_sub(1)?;
        let (mut level, mut index) = (top, 0);
        for _ in 0..STEPS_MAX {
            let word = self.view.free_word(level, index)?;
            // ORDERING: Relaxed; a hint.
            let bits = word.load(Relaxed);
            if bits == 0 {
                if level == top {
                    return None;
                }
                self.unmark_above(level, index);
                (level, index) = (top, 0);
                continue;
            }
            let bit = bits.trailing_zeros();
            let below = index * 32 + bit;
            if level > 0 {
                level -= 1;
                index = below;
                continue;
            }
            // ORDERING: Relaxed; of those who pop one bit a single one finds it set, which is all that the operation decides.
            let before = word.fetch_and(!(1 << bit), Relaxed);
            // Full fence, edge "mark": a releaser that found the bit still set has cleared its `unread` before, so the claim that
            // follows sees it.
            self.view.memory().fence_full();
            if before & (1 << bit) != 0 {
                return Some(below);
            }
        }
        None
    }

    /// The word `index` of `level` was found zero: clears its bit above, and sets it again if somebody marked meanwhile.
    fn unmark_above(self, level: usize, index: u32) {
        let (Some(word), Some(above)) = (self.view.free_word(level, index), self.view.free_word(level + 1, index / 32)) else { return };
        // ORDERING: Relaxed; the fence.
        above.fetch_and(!(1 << (index % 32)), Relaxed);
        // Full fence, edge "mark".
        self.view.memory().fence_full();
        // ORDERING: Relaxed; the fence.
        if word.load(Relaxed) != 0 {
            // All the way up: somebody may have seen the level above zero meanwhile, and cleared its bit in turn.
            self.mark(level + 1, index);
        }
    }
}
