//! Copies between private bytes and shared words that somebody may write at the same time.
//!
//! In the memory model the shared side is a row of 32-bit atomics accessed Relaxed. On x86-64 the same guarantee for each
//! aligned word is had from wider vector moves in assembly (`docs/adr/0002-payload-access-width.md` has the argument);
//! everywhere else the loop over atomics is what runs.

use portable_atomic::{AtomicU32, Ordering};

/// Copies `into.len()` bytes from the shared words at `from`.
///
/// # Safety
///
/// 1. `from` is aligned to 4 and valid for reads of `into.len()` bytes rounded up to 4.
/// 2. Whoever writes those bytes meanwhile does so with 32-bit atomics, or with [`into_shared`].
#[inline]
pub(crate) unsafe fn out_of_shared(from: *const AtomicU32, into: &mut [u8]) {
    #[cfg(target_arch = "x86_64")]
    let done = {
        let whole = into.len() & !15;
        // SAFETY: `whole` bytes are valid on both sides: the caller's duty 1, and the slice's own length.
        unsafe { vector::copy(from.cast(), into.as_mut_ptr(), whole) };
        whole
    };
    #[cfg(not(target_arch = "x86_64"))]
    let done = 0;
    for (at, chunk) in into[done..].chunks_mut(4).enumerate() {
        // SAFETY: the caller's duty 1: the word that holds this chunk is inside the range.
        let address = unsafe { from.add(done / 4 + at) };
        // SAFETY: valid and aligned by the caller's duty 1; atomically accessed by duty 2.
        let word = unsafe { &*address };
        // ORDERING: Relaxed; the fences around a copy carry it (edges "snapshot" in `snapshot`).
        let bytes = word.load(Ordering::Relaxed).to_ne_bytes();
        chunk.copy_from_slice(&bytes[..chunk.len()]);
    }
}

/// Copies `from` into the shared words at `to`; the last word is filled up with zeros.
///
/// # Safety
///
/// 1. `to` is aligned to 4 and valid for writes of `from.len()` bytes rounded up to 4.
/// 2. Whoever reads those bytes meanwhile does so with 32-bit atomics, or with [`out_of_shared`]; nobody else writes them.
#[inline]
pub(crate) unsafe fn into_shared(from: &[u8], to: *const AtomicU32) {
    #[cfg(target_arch = "x86_64")]
    let done = {
        let whole = from.len() & !15;
        // SAFETY: `whole` bytes are valid on both sides: the slice's own length, and the caller's duty 1.
        unsafe { vector::copy(from.as_ptr(), to.cast_mut().cast(), whole) };
        whole
    };
    #[cfg(not(target_arch = "x86_64"))]
    let done = 0;
    for (at, chunk) in from[done..].chunks(4).enumerate() {
        let mut bytes = [0; 4];
        bytes[..chunk.len()].copy_from_slice(chunk);
        // SAFETY: the caller's duty 1: the word that holds this chunk is inside the range.
        let address = unsafe { to.add(done / 4 + at) };
        // SAFETY: valid and aligned by the caller's duty 1; atomically accessed by duty 2.
        let word = unsafe { &*address };
        // ORDERING: Relaxed; the fences around a copy carry it (edges "snapshot" in `snapshot`).
        word.store(u32::from_ne_bytes(bytes), Ordering::Relaxed);
    }
}

#[cfg(target_arch = "x86_64")]
mod vector {
    //! Vector moves whose aligned 32-bit parts are single accesses.

    /// Bytes from which the string move is faster than vector moves.
    const STRING_FROM: usize = 1024;

    /// Copies `len` bytes, a multiple of 16, from `from` to `to`.
    ///
    /// # Safety
    ///
    /// 1. `from` is valid for reads and `to` for writes of `len` bytes. 2. `len` is a multiple of 16. 3. The ranges do not overlap.
    /// 4. A side that is shared is aligned to 4 and is accessed by others in aligned 32-bit parts only.
    #[inline(always)]
    pub(super) unsafe fn copy(from: *const u8, to: *mut u8, len: usize) {
        if len >= STRING_FROM {
            // SAFETY: duties 1 to 4 of the caller; the direction flag is clear by the calling convention. Opaque to the
            // compiler, so no access of the program is merged with it or moved across it.
            unsafe {
                core::arch::asm!("rep movsb", inout("rcx") len => _, inout("rsi") from => _, inout("rdi") to => _, options(nostack, preserves_flags));
            }
            return;
        }
        if len == 0 {
            return;
        }
        // SAFETY: duties 1 to 3 of the caller: `left` runs from `len` down to 0 by 16, each step moves the 16 bytes at its place.
        unsafe {
            core::arch::asm!(
                "2:",
                "movups {data}, xmmword ptr [{from} + {at}]",
                "movups xmmword ptr [{to} + {at}], {data}",
                "add {at}, 16",
                "cmp {at}, {len}",
                "jne 2b",
                from = in(reg) from,
                to = in(reg) to,
                at = inout(reg) 0_usize => _,
                len = in(reg) len,
                data = out(xmm_reg) _,
                options(nostack),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_survives_the_way_there_and_back() {
        for len in (0..200).chain([1023, 1024, 1025, 4096, 4099]) {
            let words: std::vec::Vec<AtomicU32> = (0..len / 4 + 2).map(|_| AtomicU32::new(0xEEEE_EEEE)).collect();
            let sent: std::vec::Vec<u8> = (0..len).map(|byte| (byte % 251) as u8).collect();
            // SAFETY: 1. the vector has len / 4 + 2 words. 2. nobody else has it.
            unsafe { into_shared(&sent, words.as_ptr()) };
            let mut got = std::vec![0; len];
            // SAFETY: as above.
            unsafe { out_of_shared(words.as_ptr(), &mut got) };
            assert_eq!(got, sent);
            assert_eq!(words[len.div_ceil(4)].load(Ordering::Relaxed), 0xEEEE_EEEE, "wrote past the end at {len}");
        }
    }
}
