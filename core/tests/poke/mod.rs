//! Writing words in the name of somebody dead or elsewhere.

use seqslot_core::{Memory, Ordering, Word};

/// The operations of a word that only the protocol has.
#[allow(dead_code, reason = "not every test needs all")]
pub trait Poke {
    /// Stores.
    fn store(&self, value: u32, order: Ordering);
    /// Sets bits.
    fn fetch_or(&self, bits: u32, order: Ordering) -> u32;
}

impl<M: Memory> Poke for Word<'_, M> {
    fn store(&self, value: u32, order: Ordering) {
        // SAFETY: 1. the tests' regions are real and writable. 2. the tests look at no payload that the write could concern.
        unsafe { self.atomic() }.store(value, order);
    }

    fn fetch_or(&self, bits: u32, order: Ordering) -> u32 {
        // SAFETY: as above.
        unsafe { self.atomic() }.fetch_or(bits, order)
    }
}
