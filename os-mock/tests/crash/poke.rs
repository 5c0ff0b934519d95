//! Writing words that only a long history would write.

use seqslot_core::{Memory, Ordering, Word};

/// Stores a word before anybody uses the segment.
pub trait Poke {
    fn poke(&self, value: u32);
}

impl<M: Memory> Poke for Word<'_, M> {
    fn poke(&self, value: u32) {
        // SAFETY: 1. mapped and writable as long as the segment, which the caller has. 2. nobody uses the segment yet, so no payload is
        // concerned.
        unsafe { self.atomic() }.store(value, Ordering::Relaxed);
    }
}
