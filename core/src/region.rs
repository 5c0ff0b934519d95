//! A borrowed region, and safe access to single words of any [`Memory`].

use core::marker::PhantomData;
use core::ptr::NonNull;
use core::sync::atomic::AtomicU8;

use portable_atomic::{AtomicU32, Ordering};

use crate::error::HeadError;
use crate::layout::head::{HEAD_LEN, READY_AT};
use crate::memory::{Memory, Raw};

/// Alignment that a region's first byte must have: a cache line.
pub const REGION_ALIGN: usize = 64;

/// A borrowed region: a static, an SRAM bank shared between two cores, a piece of somebody's allocator.
///
/// Shared memory is written behind the compiler's back, so the bytes are atomics: a region never makes a `&mut` of them.
///
/// ```
/// use core::sync::atomic::AtomicU8;
/// #[repr(align(64))]
/// struct Bank([AtomicU8; 4096]);
/// static BANK: Bank = Bank([const { AtomicU8::new(0) }; 4096]);
/// // SAFETY: nobody else uses the bank, and one segment is made in it.
/// let region = unsafe { seqslot_core::Region::new(&BANK.0) }?;
/// assert_eq!(region.len(), 4096);
/// # Ok::<(), seqslot_core::HeadError>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Region<'r> {
    raw: Raw,
    bytes: PhantomData<&'r [AtomicU8]>,
}

impl<'r> Region<'r> {
    /// Wraps the bytes, after a check of their alignment.
    ///
    /// # Errors
    /// [`HeadError::Misaligned`] if the first byte is not at a multiple of 64.
    ///
    /// # Safety
    ///
    /// 1. As long as a copy of the value, or anything made from it, is used, the bytes are reached through this library only (also by
    ///    other cores): accesses of other widths would race, and payloads are lent out as plain references.
    /// 2. At most one segment is made in them at a time.
    pub unsafe fn new(bytes: &'r [AtomicU8]) -> Result<Self, HeadError> {
        let base = NonNull::from(bytes).cast::<u8>();
        if !base.as_ptr().addr().is_multiple_of(REGION_ALIGN) {
            return Err(HeadError::Misaligned);
        }
        // SAFETY: 1. valid for `bytes.len()` for 'r, which this value carries on; `AtomicU8` may be written through a shared
        // reference. 2. checked above. 3. the caller's duty 1. 4. a shared slice of atomics allows no `&mut`.
        let raw = unsafe { Raw::new(base, bytes.len()) };
        Ok(Self { raw, bytes: PhantomData })
    }

    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.raw.len()
    }

    /// True if there is no byte.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.raw.is_empty()
    }

    /// Address of the first byte, to tell a word's offset.
    pub(crate) fn raw_base(&self) -> usize {
        // SAFETY: 1. zero bytes at offset zero. 2. borrowed for 'r. 3. nothing is read through the pointer.
        unsafe { self.raw.payload(0, 0) }.addr()
    }

    /// Whether a segment was made in the region.
    pub(crate) fn is_ready(&self) -> bool {
        // ORDERING: Relaxed; a question, nothing else is read.
        // SAFETY: 1. a multiple of 4. 2. compared before. 3. borrowed for 'r.
        self.len() >= HEAD_LEN && unsafe { self.raw.load(READY_AT, Ordering::Relaxed) } != 0
    }

    /// The memory handle; valid for `'r`.
    #[must_use]
    pub fn raw(&self) -> Raw {
        self.raw
    }
}

/// One 32-bit word of a memory: where it is was checked when this was made.
#[derive(Debug, Clone, Copy)]
pub struct Word<'m, M> {
    memory: &'m M,
    at: usize,
}

impl<'m, M: Memory> Word<'m, M> {
    /// The word at byte offset `at`.
    ///
    /// # Safety
    ///
    /// 1. `at` is a multiple of 4. 2. `at + 4 <= memory.len()`. 3. The memory is mapped as long as `memory` is borrowed.
    /// 4. If the memory is mapped read-only, no method but `load` and `at` is called.
    #[inline(always)]
    pub(crate) unsafe fn new(memory: &'m M, at: usize) -> Self {
        debug_assert!(at.is_multiple_of(4) && at + 4 <= memory.len());
        Self { memory, at }
    }

    /// Its byte offset.
    #[inline(always)]
    pub fn at(&self) -> usize {
        self.at
    }

    /// Loads it.
    #[inline(always)]
    #[cfg_attr(loom, track_caller)]
    pub fn load(&self, order: Ordering) -> u32 {
        // SAFETY: `new` duties 1 to 3.
        unsafe { self.memory.load(self.at, order) }
    }

    /// Stores to it.
    #[inline(always)]
    #[cfg_attr(loom, track_caller)]
    pub(crate) fn store(&self, value: u32, order: Ordering) {
        // SAFETY: `new` duties 1 to 4.
        unsafe { self.memory.store(self.at, value, order) }
    }

    /// The word itself, for tests and tools that write what somebody else would have written.
    ///
    /// # Safety
    ///
    /// 1. The memory is real, and mapped writable if the word is written. 2. What is written is what a party of the protocol, however
    ///    buggy, could write without breaking a promise that this process's loans and samples rely on.
    pub unsafe fn atomic(&self) -> &'m AtomicU32 {
        self.futex()
    }

    /// The word for the platform's wait and wake.
    #[inline(always)]
    pub(crate) fn futex(&self) -> &'m AtomicU32 {
        // SAFETY: `new` duties 1 to 3; the reference lives as long as the borrow of the memory.
        unsafe { self.memory.futex(self.at) }
    }
}

portable_atomic::cfg_has_atomic_cas! {
use crate::memory::MemoryCas;

impl Region<'_> {
    /// Whether the word at `at` holds `value`.
    #[inline]
    pub(crate) fn word_is(&self, at: usize, value: u32) -> bool {
        if !at.is_multiple_of(4) || at.checked_add(4).is_none_or(|end| end > self.len()) {
            return false;
        }
        // ORDERING: Relaxed; a declaration of death has no moment it could be exact at.
        // SAFETY: 1. and 2. checked above. 3. borrowed for 'r.
        unsafe { self.raw.load(at, Ordering::Relaxed) == value }
    }

    /// Lets go of the lock whose word at `at` holds `held`, unless it was freed, and perhaps taken, before.
    pub(crate) fn let_go(&self, at: usize, held: u32) {
        if !at.is_multiple_of(4) || at.checked_add(4).is_none_or(|end| end > self.len()) {
            return;
        }
        // ORDERING: Release, edge "claim"; pairs with the Acquire of the next claim. Failure: Relaxed, nothing is concluded.
        // SAFETY: 1. and 2. checked above. 3. borrowed for 'r. 4. `AtomicU8` is writable through a shared reference.
        let _ = unsafe { self.raw.compare_exchange(at, held, held.wrapping_add(1), Ordering::Release, Ordering::Relaxed) };
    }
}

impl<M: MemoryCas> Word<'_, M> {
    /// Compare and exchange (strong); `Err` has the value found.
    #[inline(always)]
    #[cfg_attr(loom, track_caller)]
    pub(crate) fn compare_exchange(&self, current: u32, new: u32, success: Ordering, failure: Ordering) -> Result<u32, u32> {
        // SAFETY: `new` duties 1 to 4.
        unsafe { self.memory.compare_exchange(self.at, current, new, success, failure) }
    }

    /// Adds, wrapping; returns the previous value.
    #[inline(always)]
    #[cfg_attr(loom, track_caller)]
    pub(crate) fn fetch_add(&self, value: u32, order: Ordering) -> u32 {
        // SAFETY: `new` duties 1 to 4.
        unsafe { self.memory.fetch_add(self.at, value, order) }
    }

    /// Sets bits; returns the previous value.
    #[inline(always)]
    #[cfg_attr(loom, track_caller)]
    pub(crate) fn fetch_or(&self, bits: u32, order: Ordering) -> u32 {
        // SAFETY: `new` duties 1 to 4.
        unsafe { self.memory.fetch_or(self.at, bits, order) }
    }

    /// Keeps only `bits`; returns the previous value.
    #[inline(always)]
    #[cfg_attr(loom, track_caller)]
    pub(crate) fn fetch_and(&self, bits: u32, order: Ordering) -> u32 {
        // SAFETY: `new` duties 1 to 4.
        unsafe { self.memory.fetch_and(self.at, bits, order) }
    }
}
}
