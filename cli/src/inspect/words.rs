//! Plain copies of the words of a mapping.

use seqslot_core::{AtomicU32, Memory};

/// `N` words from byte offset `at`; zeros where the memory is shorter.
pub fn words<const N: usize>(memory: &impl Memory, at: usize) -> [u32; N] {
    let mut words = [0; N];
    for (index, word) in words.iter_mut().enumerate() {
        let at = (at & !3) + index * 4;
        if at + 4 <= memory.len() {
            // SAFETY: 1. rounded down to a multiple of 4. 2. compared with the length. 3. the caller has the mapping.
            // ORDERING: Relaxed; a picture, nothing is concluded from it.
            *word = unsafe { memory.load(at, seqslot_core::Ordering::Relaxed) };
        }
    }
    words
}

/// The first 16 bytes, filled up with zeros where the memory is shorter.
pub fn start(memory: &impl Memory) -> [u8; 16] {
    let mut bytes = [0; 16];
    for (chunk, word) in bytes.chunks_exact_mut(4).zip(words::<4>(memory, 0)) {
        chunk.copy_from_slice(&word.to_ne_bytes());
    }
    bytes
}

/// The word at `at` as the platform's locks know it; `None` outside.
pub fn lock_word<M: Memory>(memory: &M, at: usize) -> Option<&AtomicU32> {
    if !at.is_multiple_of(4) || at + 4 > memory.len() {
        return None;
    }
    // SAFETY: 1. and 2. checked above. 3. the caller has the mapping, and the reference lives as long as the handle is borrowed from it.
    Some(unsafe { memory.futex(at) })
}
