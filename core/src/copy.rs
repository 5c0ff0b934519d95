//! Copies between private bytes and shared words that somebody may write at the same time.
//!
//! In the memory model the shared side is a row of 32-bit atomics accessed Relaxed. On x86-64 and AArch64 the same guarantee for each
//! aligned word is had from wider moves in assembly (`docs/adr/0002-payload-access-width.md` has the argument and the figures);
//! everywhere else the loop over atomics is what runs. Wide moves may overlap, so that a word is moved twice: it is the same word,
//! and whoever reads it meanwhile asks the protocol whether it counts. `--cfg seqslot_no_asm` takes the loop everywhere.

use portable_atomic::{AtomicU32, Ordering};

/// Copies `into.len()` bytes from the shared words at `from`.
///
/// # Safety
///
/// 1. `from` is aligned to 4 and valid for reads of `into.len()` bytes rounded up to 4.
/// 2. Whoever writes those bytes meanwhile does so with 32-bit atomics, or with [`into_shared`].
#[inline(always)]
pub(crate) unsafe fn out_of_shared(from: *const AtomicU32, into: &mut [u8]) {
    let whole = into.len() & !3;
    let mut done = 0;
    if wide::serves(whole, from.addr()) {
        // SAFETY: 1. valid on both sides: the caller's duty 1, and the slice's own length. 2. and 3. asked just now. 4. the slice is
        // private. 5. the caller's duties 1 and 2.
        unsafe { wide::copy(from.cast(), into.as_mut_ptr(), whole) };
        done = whole;
    }
    // Arrays and single bytes, not slices: a copy of a slice is a call, and brings the routine for it into small programs.
    let (words, rest) = into[done..].as_chunks_mut();
    for chunk in words {
        // SAFETY: the caller's duty 1: `done + 4 <= into.len()`.
        let word = unsafe { shared_word(from, done) };
        // ORDERING: Relaxed; the fences around a copy carry it (edges "latest" and "torn" in `snapshot`).
        *chunk = word.load(Ordering::Relaxed).to_ne_bytes();
        done += 4;
    }
    if !rest.is_empty() {
        // SAFETY: the caller's duty 1, which counts the last word whole.
        let word = unsafe { shared_word(from, done) };
        // ORDERING: as above.
        let bytes = word.load(Ordering::Relaxed).to_ne_bytes();
        rest.iter_mut().zip(bytes).for_each(|(to, byte)| *to = byte);
    }
}

/// Copies `from` into the shared words at `to`; the last word is filled up with zeros.
///
/// # Safety
///
/// 1. `to` is aligned to 4 and valid for writes of `from.len()` bytes rounded up to 4.
/// 2. Whoever reads those bytes meanwhile does so with 32-bit atomics, or with [`out_of_shared`]; nobody else writes them.
#[inline(always)]
pub(crate) unsafe fn into_shared(from: &[u8], to: *const AtomicU32) {
    let whole = from.len() & !3;
    let mut done = 0;
    if wide::serves(whole, to.addr()) {
        // SAFETY: 1. valid on both sides: the slice's own length, and the caller's duty 1. 2. and 3. asked just now. 4. the slice is
        // private. 5. the caller's duties 1 and 2.
        unsafe { wide::copy(from.as_ptr(), to.cast_mut().cast(), whole) };
        done = whole;
    }
    let (words, rest) = from[done..].as_chunks();
    for chunk in words {
        // SAFETY: the caller's duty 1: `done + 4 <= from.len()`.
        let word = unsafe { shared_word(to, done) };
        // ORDERING: Relaxed; the fences around a copy carry it (edges "latest" and "torn" in `snapshot`).
        word.store(u32::from_ne_bytes(*chunk), Ordering::Relaxed);
        done += 4;
    }
    if !rest.is_empty() {
        let mut bytes = [0; 4];
        bytes.iter_mut().zip(rest).for_each(|(to, byte)| *to = *byte);
        // SAFETY: the caller's duty 1, which counts the last word whole.
        let word = unsafe { shared_word(to, done) };
        // ORDERING: as above.
        word.store(u32::from_ne_bytes(bytes), Ordering::Relaxed);
    }
}

/// The shared word `at` bytes from `base`.
///
/// # Safety
///
/// 1. `base` is aligned to 4, `at` a multiple of 4, and the four bytes there are valid for as long as the reference is used.
/// 2. Everybody accesses them by 32-bit atomics, or as the copies of this module do.
#[inline(always)]
unsafe fn shared_word<'a>(base: *const AtomicU32, at: usize) -> &'a AtomicU32 {
    // SAFETY: the caller's duty 1: inside the range.
    let address = unsafe { base.byte_add(at) };
    // SAFETY: valid and aligned by duty 1; atomically accessed by duty 2.
    unsafe { &*address }
}

#[cfg(all(target_arch = "x86_64", target_feature = "sse2", not(seqslot_no_asm)))]
mod wide {
    //! SSE2 below 128 bytes, AVX from there where the processor has it, string moves for long copies.

    use core::arch::asm;

    use portable_atomic::{AtomicU8, Ordering};

    /// Bytes from which the string move is at least as fast as vector moves.
    const STRING_FROM: usize = 8192;
    /// The same where both sides stand at the same place in their cache lines.
    const STRING_FROM_IN_STEP: usize = 4096;

    const KNOWN: u8 = 1;
    const AVX: u8 = 2;
    const FAST_STRINGS: u8 = 4;
    /// What the processor can do, once it was asked.
    static FEATURES: AtomicU8 = AtomicU8::new(0);

    /// Whether [`copy`] moves `len` bytes to or from the shared address.
    #[inline(always)]
    pub(super) fn serves(len: usize, _shared: usize) -> bool {
        len >= 16
    }

    /// Copies `len` bytes from `from` to `to`, one of which is the shared address.
    ///
    /// # Safety
    ///
    /// 1. `from` is valid for reads and `to` for writes of `len` bytes. 2. `len` is a multiple of 4. 3. `serves` said yes.
    /// 4. The ranges do not overlap. 5. The shared side is aligned to 4 and is accessed by others in aligned 32-bit parts only.
    #[inline(always)]
    pub(super) unsafe fn copy(from: *const u8, to: *mut u8, len: usize) {
        if len <= 32 {
            // SAFETY: the caller's duties; 16 <= len, so both ends of 16 bytes are inside.
            unsafe { ends_of_16(from, to, len - 16) }
        } else if len <= 64 {
            // SAFETY: the caller's duties; 32 < len, so both ends of 32 bytes are inside.
            unsafe { ends_of_32(from, to, len - 32) }
        } else {
            // SAFETY: the caller's duties.
            unsafe { copy_long(from, to, len) }
        }
    }

    /// Copies 16 bytes from the start and 16 from `back`.
    ///
    /// # Safety
    /// Those of [`copy`] for `back + 16` bytes.
    #[inline(always)]
    unsafe fn ends_of_16(from: *const u8, to: *mut u8, back: usize) {
        // SAFETY: both ends are valid on both sides by the caller's duties. Not `pure`, so no access is left out, merged or moved.
        unsafe {
            asm!(
                "movups {a}, xmmword ptr [{from}]",
                "movups {b}, xmmword ptr [{from} + {back}]",
                "movups xmmword ptr [{to}], {a}",
                "movups xmmword ptr [{to} + {back}], {b}",
                from = in(reg) from, to = in(reg) to, back = in(reg) back,
                a = out(xmm_reg) _, b = out(xmm_reg) _,
                options(nostack, preserves_flags),
            );
        }
    }

    /// Copies 32 bytes from the start and 32 from `back`.
    ///
    /// # Safety
    /// Those of [`copy`] for `back + 32` bytes.
    #[inline(always)]
    unsafe fn ends_of_32(from: *const u8, to: *mut u8, back: usize) {
        // SAFETY: both ends are valid on both sides by the caller's duties. Not `pure`, so no access is left out, merged or moved.
        unsafe {
            asm!(
                "movups {a}, xmmword ptr [{from}]",
                "movups {b}, xmmword ptr [{from} + 16]",
                "movups {c}, xmmword ptr [{from} + {back}]",
                "movups {d}, xmmword ptr [{from} + {back} + 16]",
                "movups xmmword ptr [{to}], {a}",
                "movups xmmword ptr [{to} + 16], {b}",
                "movups xmmword ptr [{to} + {back}], {c}",
                "movups xmmword ptr [{to} + {back} + 16], {d}",
                from = in(reg) from, to = in(reg) to, back = in(reg) back,
                a = out(xmm_reg) _, b = out(xmm_reg) _, c = out(xmm_reg) _, d = out(xmm_reg) _,
                options(nostack, preserves_flags),
            );
        }
    }

    /// More than 64 bytes.
    ///
    /// # Safety
    /// Those of [`copy`].
    #[inline]
    unsafe fn copy_long(from: *const u8, to: *mut u8, len: usize) {
        let mut features = FEATURES.load(Ordering::Relaxed);
        if features == 0 {
            features = ask();
        }
        let string_from = if (from.addr() ^ to.addr()).is_multiple_of(64) { STRING_FROM_IN_STEP } else { STRING_FROM };
        if len >= string_from && features & FAST_STRINGS != 0 {
            // SAFETY: the caller's duties.
            unsafe { string(from, to, len) }
        } else if len > 256 && features & AVX != 0 {
            // SAFETY: the caller's duties; more than 256 bytes; AVX is there.
            unsafe { avx(from, to, len) }
        } else if len >= 128 && features & AVX != 0 {
            // SAFETY: the caller's duties; from 128 to 256 bytes; AVX is there.
            unsafe { ends_of_128(from, to, len - 128) }
        } else {
            // SAFETY: the caller's duties.
            unsafe { sse(from, to, len) }
        }
    }

    /// Blocks of 64 bytes, and the last 64 once more.
    ///
    /// # Safety
    /// Those of [`copy`], for more than 64 bytes.
    unsafe fn sse(from: *const u8, to: *mut u8, len: usize) {
        let mut at = 0;
        while at < len {
            let start = at.min(len - 64);
            // SAFETY: `start + 64 <= len`.
            let from = unsafe { from.add(start) };
            // SAFETY: `start + 64 <= len`.
            let to = unsafe { to.add(start) };
            // SAFETY: the caller's duties, for the 64 bytes there.
            unsafe { ends_of_32(from, to, 32) }
            at += 64;
        }
    }

    /// Copies 128 bytes from the start and 128 from `back`.
    ///
    /// # Safety
    /// Those of [`copy`] for `back + 128` bytes; the processor and the system know AVX.
    unsafe fn ends_of_128(from: *const u8, to: *mut u8, back: usize) {
        // SAFETY: both ends are valid on both sides by the caller's duties. Not `pure`, so no access is left out, merged or moved. The
        // upper halves of the registers are left as a function of the calling convention leaves them.
        unsafe {
            asm!(
                "vmovups ymm0, ymmword ptr [{from}]",
                "vmovups ymm1, ymmword ptr [{from} + 32]",
                "vmovups ymm2, ymmword ptr [{from} + 64]",
                "vmovups ymm3, ymmword ptr [{from} + 96]",
                "vmovups ymm4, ymmword ptr [{from} + {back}]",
                "vmovups ymm5, ymmword ptr [{from} + {back} + 32]",
                "vmovups ymm6, ymmword ptr [{from} + {back} + 64]",
                "vmovups ymm7, ymmword ptr [{from} + {back} + 96]",
                "vmovups ymmword ptr [{to}], ymm0",
                "vmovups ymmword ptr [{to} + 32], ymm1",
                "vmovups ymmword ptr [{to} + 64], ymm2",
                "vmovups ymmword ptr [{to} + 96], ymm3",
                "vmovups ymmword ptr [{to} + {back}], ymm4",
                "vmovups ymmword ptr [{to} + {back} + 32], ymm5",
                "vmovups ymmword ptr [{to} + {back} + 64], ymm6",
                "vmovups ymmword ptr [{to} + {back} + 96], ymm7",
                "vzeroupper",
                from = in(reg) from, to = in(reg) to, back = in(reg) back,
                out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _,
                out("xmm4") _, out("xmm5") _, out("xmm6") _, out("xmm7") _,
                options(nostack, preserves_flags),
            );
        }
    }

    /// The first 32 bytes, blocks of 256 from the next aligned place on, and the last 256 once more.
    ///
    /// # Safety
    /// Those of [`copy`], for more than 256 bytes; the processor and the system know AVX.
    unsafe fn avx(from: *const u8, to: *mut u8, len: usize) {
        // 4 to 32 bytes, to where the stores are aligned: a store across two lines costs more than a load. Whole words, so that the shared side
        // stays aligned to its own.
        let skip = 32 - (to.addr() & 28);
        // SAFETY: reads and writes bytes 0..32, [skip, skip + 256 * n) below `len`, and len - 256..len. Not `pure`, so no access is
        // left out, merged or moved. The upper halves of the registers are left as a function of the calling convention leaves them.
        unsafe {
            asm!(
                "vmovups ymm0, ymmword ptr [{from}]",
                "vmovups ymmword ptr [{to}], ymm0",
                "jmp 3f",
                "2:",
                "vmovups ymm0, ymmword ptr [{from} + {at}]",
                "vmovups ymm1, ymmword ptr [{from} + {at} + 32]",
                "vmovups ymm2, ymmword ptr [{from} + {at} + 64]",
                "vmovups ymm3, ymmword ptr [{from} + {at} + 96]",
                "vmovups ymm4, ymmword ptr [{from} + {at} + 128]",
                "vmovups ymm5, ymmword ptr [{from} + {at} + 160]",
                "vmovups ymm6, ymmword ptr [{from} + {at} + 192]",
                "vmovups ymm7, ymmword ptr [{from} + {at} + 224]",
                "vmovups ymmword ptr [{to} + {at}], ymm0",
                "vmovups ymmword ptr [{to} + {at} + 32], ymm1",
                "vmovups ymmword ptr [{to} + {at} + 64], ymm2",
                "vmovups ymmword ptr [{to} + {at} + 96], ymm3",
                "vmovups ymmword ptr [{to} + {at} + 128], ymm4",
                "vmovups ymmword ptr [{to} + {at} + 160], ymm5",
                "vmovups ymmword ptr [{to} + {at} + 192], ymm6",
                "vmovups ymmword ptr [{to} + {at} + 224], ymm7",
                "add {at}, 256",
                "3:",
                "cmp {at}, {last}",
                "jb 2b",
                "vmovups ymm0, ymmword ptr [{from} + {last}]",
                "vmovups ymm1, ymmword ptr [{from} + {last} + 32]",
                "vmovups ymm2, ymmword ptr [{from} + {last} + 64]",
                "vmovups ymm3, ymmword ptr [{from} + {last} + 96]",
                "vmovups ymm4, ymmword ptr [{from} + {last} + 128]",
                "vmovups ymm5, ymmword ptr [{from} + {last} + 160]",
                "vmovups ymm6, ymmword ptr [{from} + {last} + 192]",
                "vmovups ymm7, ymmword ptr [{from} + {last} + 224]",
                "vmovups ymmword ptr [{to} + {last}], ymm0",
                "vmovups ymmword ptr [{to} + {last} + 32], ymm1",
                "vmovups ymmword ptr [{to} + {last} + 64], ymm2",
                "vmovups ymmword ptr [{to} + {last} + 96], ymm3",
                "vmovups ymmword ptr [{to} + {last} + 128], ymm4",
                "vmovups ymmword ptr [{to} + {last} + 160], ymm5",
                "vmovups ymmword ptr [{to} + {last} + 192], ymm6",
                "vmovups ymmword ptr [{to} + {last} + 224], ymm7",
                "vzeroupper",
                from = in(reg) from, to = in(reg) to, at = inout(reg) skip => _, last = in(reg) len - 256,
                out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _,
                out("xmm4") _, out("xmm5") _, out("xmm6") _, out("xmm7") _,
                options(nostack),
            );
        }
    }

    /// The string move.
    ///
    /// # Safety
    /// Those of [`copy`].
    #[inline]
    unsafe fn string(from: *const u8, to: *mut u8, len: usize) {
        // SAFETY: the caller's duties; the direction flag is clear by the calling convention. Not `pure`, so no access is moved across.
        unsafe {
            asm!("rep movsb", inout("rcx") len => _, inout("rsi") from => _, inout("rdi") to => _, options(nostack, preserves_flags));
        }
    }

    /// Asks the processor, and the system whether it keeps the wide registers.
    #[cold]
    fn ask() -> u8 {
        use core::arch::x86_64::{__cpuid, __cpuid_count, __get_cpuid_max};
        let mut features = KNOWN;
        let leaf1 = __cpuid(1);
        if leaf1.ecx & (1 << 27) != 0 && leaf1.ecx & (1 << 28) != 0 {
            let enabled: u32;
            // SAFETY: XGETBV is there because OSXSAVE (bit 27 above) is set; it reads register 0 and nothing else.
            unsafe { asm!("xgetbv", in("ecx") 0, out("eax") enabled, out("edx") _, options(nomem, nostack, preserves_flags)) };
            if enabled & 6 == 6 {
                features |= AVX;
            }
        }
        if __get_cpuid_max(0).0 >= 7 && __cpuid_count(7, 0).ebx & (1 << 9) != 0 {
            features |= FAST_STRINGS;
        }
        // ORDERING: Relaxed; whoever reads zero asks for itself and finds the same.
        FEATURES.store(features, Ordering::Relaxed);
        features
    }

    #[cfg(test)]
    pub(super) fn each_way() -> [unsafe fn(*const u8, *mut u8, usize); 3] {
        unsafe fn avx_if_there(from: *const u8, to: *mut u8, len: usize) {
            if ask() & AVX == 0 || len < 128 {
                // SAFETY: the caller's duties.
                return unsafe { sse(from, to, len) };
            }
            if len <= 256 {
                // SAFETY: the caller's duties; asked just now.
                return unsafe { ends_of_128(from, to, len - 128) };
            }
            // SAFETY: the caller's duties; asked just now.
            unsafe { avx(from, to, len) }
        }
        [sse, avx_if_there, string]
    }
}

#[cfg(all(target_arch = "aarch64", not(seqslot_no_asm)))]
mod wide {
    //! Pairs of 64-bit registers, whose halves are single accesses where the address is a multiple of 8.

    use core::arch::asm;

    /// Whether [`copy`] moves `len` bytes to or from the shared address.
    #[inline(always)]
    pub(super) fn serves(len: usize, shared: usize) -> bool {
        len >= 32 && shared.is_multiple_of(8)
    }

    /// Copies `len` bytes from `from` to `to`, one of which is the shared address.
    ///
    /// # Safety
    ///
    /// 1. `from` is valid for reads and `to` for writes of `len` bytes. 2. `len` is a multiple of 4. 3. `serves` said yes.
    /// 4. The ranges do not overlap. 5. The shared side is aligned to 4 and is accessed by others in aligned 32-bit parts only.
    #[inline(always)]
    pub(super) unsafe fn copy(from: *const u8, to: *mut u8, len: usize) {
        // SAFETY: blocks of 32 bytes below `len`, then words up to `len`, all inside by the caller's duties. Not `pure`, so no access
        // is left out, merged or moved. Loads and stores of pairs are made of one access of 64 bits each, aligned on the shared side.
        unsafe {
            asm!(
                "2:",
                "ldp {a}, {b}, [{from}]",
                "ldp {c}, {d}, [{from}, #16]",
                "add {from}, {from}, #32",
                "stp {a}, {b}, [{to}]",
                "stp {c}, {d}, [{to}, #16]",
                "add {to}, {to}, #32",
                "subs {blocks}, {blocks}, #1",
                "b.ne 2b",
                "cbz {words}, 4f",
                "3:",
                "ldr {a:w}, [{from}], #4",
                "str {a:w}, [{to}], #4",
                "subs {words}, {words}, #1",
                "b.ne 3b",
                "4:",
                from = inout(reg) from => _, to = inout(reg) to => _,
                blocks = inout(reg) len / 32 => _, words = inout(reg) len % 32 / 4 => _,
                a = out(reg) _, b = out(reg) _, c = out(reg) _, d = out(reg) _,
                options(nostack),
            );
        }
    }
}

#[cfg(any(seqslot_no_asm, not(any(all(target_arch = "x86_64", target_feature = "sse2"), target_arch = "aarch64"))))]
mod wide {
    //! Nothing wider than the words.

    /// Never.
    #[inline(always)]
    pub(super) fn serves(_len: usize, _shared: usize) -> bool {
        false
    }

    /// Never called.
    ///
    /// # Safety
    /// None.
    #[inline(always)]
    pub(super) unsafe fn copy(_from: *const u8, _to: *mut u8, _len: usize) {
        debug_assert!(false, "serves never says yes");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLANK: u32 = 0xEEEE_EEEE;

    fn sent(len: usize) -> std::vec::Vec<u8> {
        (0..len).map(|byte| (byte % 251) as u8).collect()
    }

    /// Words of which a slice at every alignment to 4 within 64 bytes can be taken.
    fn words(len: usize) -> std::vec::Vec<AtomicU32> {
        (0..len / 4 + 20).map(|_| AtomicU32::new(BLANK)).collect()
    }

    #[test]
    fn every_length_and_alignment_survives_the_way_there_and_back() {
        for len in (0..300).chain([511, 513, 768, 1023, 1024, 1025, 4095, 4096, 4099, 8192]) {
            for skip in 0..16 {
                let (words, sent) = (words(len), sent(len));
                let shared = &words[skip..];
                // SAFETY: 1. more than len / 4 + 1 words from there on. 2. nobody else has them.
                unsafe { into_shared(&sent, shared.as_ptr()) };
                let mut got = std::vec![0xAA; len + 1];
                // SAFETY: as above.
                unsafe { out_of_shared(shared.as_ptr(), &mut got[..len]) };
                assert_eq!((&got[..len], got[len]), (&sent[..], 0xAA), "{len} bytes, {skip} words in");
                let after = shared[len.div_ceil(4)].load(Ordering::Relaxed);
                assert_eq!(after, BLANK, "wrote past the end of {len} bytes");
                assert!(words[..skip].iter().all(|word| word.load(Ordering::Relaxed) == BLANK), "wrote before the start");
            }
        }
    }

    #[cfg(all(target_arch = "x86_64", target_feature = "sse2", not(seqslot_no_asm)))]
    #[test]
    fn each_way_of_this_processor_copies_the_same() {
        for way in wide::each_way() {
            for len in (68..700).step_by(4).chain([4096, 8188]) {
                for skip in 0..16 {
                    let (from, to) = (words(len), words(len));
                    for (index, word) in from.iter().enumerate() {
                        word.store(index as u32, Ordering::Relaxed);
                    }
                    // SAFETY: both have more than `skip + len / 4` words.
                    unsafe { way(from[skip..].as_ptr().cast(), to[1..].as_ptr().cast_mut().cast(), len) };
                    for (index, word) in to.iter().enumerate() {
                        let inside = (1..=len / 4).contains(&index);
                        let expected = if inside { (skip + index - 1) as u32 } else { BLANK };
                        assert_eq!(word.load(Ordering::Relaxed), expected, "word {index} of {len} bytes");
                    }
                }
            }
        }
    }
}
