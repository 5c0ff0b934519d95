//! How the protocol reaches shared memory.
//!
//! Everything above this module speaks of 32-bit words and payload ranges at byte offsets. [`Memory`] is the one
//! trait between the protocol and the bytes, so that the same protocol code runs over real memory ([`Raw`]), over a
//! model checker's words, and over a mock that dies on cue.
//!
//! `--cfg seqslot_no_asm` (in `RUSTFLAGS`) leaves out all assembly, here and in `copy`: what is left is what every other architecture
//! runs, and what a sanitizer can see (`cargo xtask tsan`).

use core::ptr::NonNull;

use portable_atomic::{AtomicU32, Ordering};

/// Shared memory as the protocol sees it: loads and stores of 32-bit words, full fences, and payload ranges.
///
/// A value is a cheap handle; clones reach the same memory.
///
/// # Safety
///
/// An implementation answers for these duties:
///
/// 1. `load` and `store` are single atomic accesses of 32 bits with the ordering asked for, on the word at that
///    offset, the same word for every clone and every process attached to the same memory.
/// 2. `fence_full` is a sequentially consistent fence. `fence_light` keeps the compiler from moving accesses across it, and is a
///    sequentially consistent fence with respect to the platform's [`fence_all`](crate::Os::fence_all) only.
/// 3. `copy_out` and `copy_in` access each word of the range by an atomic access of 32 bits, Relaxed, or by
///    instructions that guarantee as much for each word.
/// 4. `payload` and `payload_mut` return a pointer that is valid for `len` bytes as long as the memory is.
pub unsafe trait Memory: Clone {
    /// Length of the memory in bytes.
    fn len(&self) -> usize;

    /// True if there is no byte.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Loads the word at byte offset `at`.
    ///
    /// # Safety
    /// 1. `at` is a multiple of 4. 2. `at + 4 <= self.len()`. 3. The memory is still mapped.
    #[cfg_attr(loom, track_caller)]
    unsafe fn load(&self, at: usize, order: Ordering) -> u32;

    /// Stores to the word at byte offset `at`.
    ///
    /// # Safety
    /// As for [`load`](Self::load), and 4. the memory is mapped writable.
    #[cfg_attr(loom, track_caller)]
    unsafe fn store(&self, at: usize, value: u32, order: Ordering);

    /// A fence of Acquire or Release kind.
    #[cfg_attr(loom, track_caller)]
    fn fence(&self, order: Ordering);

    /// A sequentially consistent fence: no load after it is done before a store before it.
    #[cfg_attr(loom, track_caller)]
    fn fence_full(&self);

    /// The light half of an asymmetric fence: nothing for the processor, but the compiler moves no access across it. With respect to
    /// [`Os::fence_all`](crate::Os::fence_all), the heavy half, it is a full fence; two light ones order nothing between them.
    #[inline(always)]
    #[cfg_attr(loom, track_caller)]
    fn fence_light(&self) {
        portable_atomic::compiler_fence(Ordering::SeqCst);
    }

    /// Asks for the cache line at `at`, to be read or to be written soon: a hint, which changes nothing wherever it points.
    #[inline(always)]
    fn prefetch(&self, _at: usize, _write: bool) {}

    /// Copies shared words into private bytes; the bytes may be torn if somebody writes meanwhile, the access is not a race.
    ///
    /// # Safety
    /// 1. `at` is a multiple of 4. 2. `at + into.len()` rounded up to 4 is at most `self.len()`. 3. The memory is still mapped.
    #[cfg_attr(loom, track_caller)]
    unsafe fn copy_out(&self, at: usize, into: &mut [u8]);

    /// Copies private bytes into shared words; the last word is filled up with zeros.
    ///
    /// # Safety
    /// As for [`copy_out`](Self::copy_out), and 4. the memory is mapped writable.
    #[cfg_attr(loom, track_caller)]
    unsafe fn copy_in(&self, at: usize, from: &[u8]);

    /// Pointer for reading the payload range at `at`, whose writer has finished.
    ///
    /// # Safety
    /// 1. `at + len <= self.len()`. 2. The memory is still mapped. 3. By the protocol nobody writes the range while the pointer is used.
    unsafe fn payload(&self, at: usize, len: usize) -> *const u8;

    /// Pointer for filling the payload range at `at`, which the protocol has given to the caller alone.
    ///
    /// # Safety
    /// 1. `at + len <= self.len()`. 2. The memory is still mapped, writable. 3. By the protocol nobody else reads or writes the range.
    unsafe fn payload_mut(&self, at: usize, len: usize) -> *mut u8;

    /// The word at `at` as the operating system's wait and wake know it.
    ///
    /// # Safety
    /// As for [`load`](Self::load); the reference is not used after the memory is gone.
    unsafe fn futex(&self, at: usize) -> &AtomicU32;
}

portable_atomic::cfg_has_atomic_cas! {
/// What slots need beyond [`Memory`]: atomic read-modify-write of 32-bit words.
///
/// # Safety
///
/// Each operation is one atomic read-modify-write of the word at that offset.
pub unsafe trait MemoryCas: Memory {
    /// Compare and exchange (strong).
    ///
    /// # Errors
    /// The value found, where it is not `current`.
    ///
    /// # Safety
    /// As for [`Memory::store`].
    #[cfg_attr(loom, track_caller)]
    unsafe fn compare_exchange(
        &self,
        at: usize,
        current: u32,
        new: u32,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u32, u32>;

    /// Adds, wrapping, and returns the previous value.
    ///
    /// # Safety
    /// As for [`Memory::store`].
    #[cfg_attr(loom, track_caller)]
    unsafe fn fetch_add(&self, at: usize, value: u32, order: Ordering) -> u32;

    /// Sets bits and returns the previous value.
    ///
    /// # Safety
    /// As for [`Memory::store`].
    #[cfg_attr(loom, track_caller)]
    unsafe fn fetch_or(&self, at: usize, bits: u32, order: Ordering) -> u32;

    /// Keeps only `bits` and returns the previous value.
    ///
    /// # Safety
    /// As for [`Memory::store`].
    #[cfg_attr(loom, track_caller)]
    unsafe fn fetch_and(&self, at: usize, bits: u32, order: Ordering) -> u32;
}
}

/// Real memory: a base address and a length.
///
/// It holds no lifetime; whoever makes one keeps the memory alive (a mapping, a [`Region`](crate::Region)).
///
/// ```
/// use core::ptr::NonNull;
/// use seqslot_core::{AtomicU32, Memory, Ordering, Raw};
/// let words = [const { AtomicU32::new(0) }; 4];
/// // SAFETY: 1. the words outlive the handle. 2. they are words. 3. and 4. they are atomics, and reached through the handle only.
/// let memory = unsafe { Raw::new(NonNull::from(&words).cast(), 16) };
/// // SAFETY: a multiple of 4 below the length, in writable memory.
/// unsafe { memory.store(4, 7, Ordering::Relaxed) };
/// // SAFETY: as above.
/// assert_eq!(unsafe { memory.load(4, Ordering::Relaxed) }, 7);
/// assert_eq!((memory.len(), words[1].load(Ordering::Relaxed)), (16, 7));
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Raw {
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: `Raw` is an address; every access through it is atomic, or to a payload range the protocol has handed out.
unsafe impl Send for Raw {}
// SAFETY: as for Send.
unsafe impl Sync for Raw {}

impl Raw {
    /// A handle to `len` bytes at `base`.
    ///
    /// # Safety
    ///
    /// 1. `base` is valid for reads of `len` bytes (and writes, where a writing method is called) as long as a clone of the value is used.
    /// 2. `base` is aligned to at least 4 bytes.
    /// 3. Every other access to the bytes, in any process, is atomic with the same width or follows the protocol of the layout.
    /// 4. No `&mut` to any of the bytes exists meanwhile.
    pub const unsafe fn new(base: NonNull<u8>, len: usize) -> Self {
        Self { base, len }
    }

    /// # Safety
    /// As for [`Memory::load`].
    #[inline(always)]
    unsafe fn word(&self, at: usize) -> &AtomicU32 {
        debug_assert!(at.is_multiple_of(4) && at + 4 <= self.len);
        // SAFETY: duty 2 of the caller: `at + 4 <= len`, so the address is inside the range that `new` was promised.
        let address = unsafe { self.base.add(at) }.cast::<AtomicU32>();
        // SAFETY: aligned (base by `new` 2, `at` by the caller's duty 1); valid and never uniquely borrowed (`new` 1 and 4);
        // all accesses to the bytes are atomic with this width (`new` 3).
        unsafe { address.as_ref() }
    }
}

// SAFETY: 1. each access is one portable-atomic access of a 32-bit word at base + at. 2. portable-atomic's fences.
// 3. the copies are in `copy`, which answers there. 4. pointers are base + at, valid by `Raw::new` duty 1.
unsafe impl Memory for Raw {
    #[inline(always)]
    fn len(&self) -> usize {
        self.len
    }

    #[inline(always)]
    unsafe fn load(&self, at: usize, order: Ordering) -> u32 {
        // SAFETY: the caller's duties are those of `word`.
        unsafe { self.word(at) }.load(order)
    }

    #[inline(always)]
    unsafe fn store(&self, at: usize, value: u32, order: Ordering) {
        // SAFETY: the caller's duties are those of `word`.
        unsafe { self.word(at) }.store(value, order);
    }

    #[inline(always)]
    fn fence(&self, order: Ordering) {
        portable_atomic::fence(order);
    }

    #[inline(always)]
    fn fence_full(&self) {
        portable_atomic::fence(Ordering::SeqCst);
    }

    #[inline(always)]
    #[cfg(all(target_arch = "x86_64", not(seqslot_no_asm)))]
    fn prefetch(&self, at: usize, write: bool) {
        let address = self.base.as_ptr().wrapping_add(at);
        if write {
            // SAFETY: a hint: it changes nothing and never faults, wherever it points. (Processors that do not know PREFETCHW do nothing.)
            unsafe { core::arch::asm!("prefetchw [{}]", in(reg) address, options(nostack, preserves_flags)) };
        } else {
            // SAFETY: as above.
            unsafe { core::arch::asm!("prefetcht0 [{}]", in(reg) address, options(nostack, preserves_flags)) };
        }
    }

    #[inline(always)]
    unsafe fn copy_out(&self, at: usize, into: &mut [u8]) {
        // SAFETY: the caller's duty 2: inside the range.
        let from = unsafe { self.base.add(at) };
        // SAFETY: valid, aligned to 4 and atomically accessed by `new` 1-3 and the caller's duties.
        unsafe { crate::copy::out_of_shared(from.as_ptr().cast(), into) };
    }

    #[inline(always)]
    unsafe fn copy_in(&self, at: usize, from: &[u8]) {
        // SAFETY: the caller's duty 2: inside the range.
        let to = unsafe { self.base.add(at) };
        // SAFETY: valid, aligned to 4, writable and atomically accessed by `new` 1-3 and the caller's duties.
        unsafe { crate::copy::into_shared(from, to.as_ptr().cast()) };
    }

    #[inline(always)]
    unsafe fn payload(&self, at: usize, len: usize) -> *const u8 {
        debug_assert!(at + len <= self.len);
        // SAFETY: the caller's duty 1: inside the range.
        unsafe { self.base.add(at) }.as_ptr()
    }

    #[inline(always)]
    unsafe fn payload_mut(&self, at: usize, len: usize) -> *mut u8 {
        debug_assert!(at + len <= self.len);
        // SAFETY: the caller's duty 1: inside the range.
        unsafe { self.base.add(at) }.as_ptr()
    }

    #[inline(always)]
    unsafe fn futex(&self, at: usize) -> &AtomicU32 {
        // SAFETY: the caller's duties are those of `word`.
        unsafe { self.word(at) }
    }
}

portable_atomic::cfg_has_atomic_cas! {
// SAFETY: each is one portable-atomic operation on the word.
unsafe impl MemoryCas for Raw {
    #[inline(always)]
    unsafe fn compare_exchange(&self, at: usize, current: u32, new: u32, success: Ordering, failure: Ordering) -> Result<u32, u32> {
        // SAFETY: the caller's duties are those of `word`.
        unsafe { self.word(at) }.compare_exchange(current, new, success, failure)
    }

    #[inline(always)]
    unsafe fn fetch_add(&self, at: usize, value: u32, order: Ordering) -> u32 {
        // SAFETY: the caller's duties are those of `word`.
        unsafe { self.word(at) }.fetch_add(value, order)
    }

    #[inline(always)]
    unsafe fn fetch_or(&self, at: usize, bits: u32, order: Ordering) -> u32 {
        // SAFETY: the caller's duties are those of `word`.
        unsafe { self.word(at) }.fetch_or(bits, order)
    }

    #[inline(always)]
    unsafe fn fetch_and(&self, at: usize, bits: u32, order: Ordering) -> u32 {
        // SAFETY: the caller's duties are those of `word`.
        unsafe { self.word(at) }.fetch_and(bits, order)
    }
}
}
