//! The memory of objects: zeroed, page-aligned like a mapping, shared by raw address.

use core::ptr::NonNull;
use std::alloc::Layout;

use seqslot_core::Raw;

/// What `mmap` aligns to on the platforms the mock stands for.
const PAGE: usize = 4096;

/// Zeroed memory that is freed when this is dropped.
pub(crate) struct Heap {
    base: NonNull<u8>,
    len: usize,
    layout: Layout,
}

// SAFETY: `Heap` owns its allocation and offers no access but `Raw`, whose users answer for atomicity.
unsafe impl Send for Heap {}
// SAFETY: as for Send.
unsafe impl Sync for Heap {}

impl Heap {
    /// `len` bytes of zeros; `None` if the allocator has no such range.
    pub(crate) fn new(len: usize) -> Option<Self> {
        // Whole pages, so that the last word of a length that is no multiple of 4 is inside the allocation.
        let whole = len.max(1).checked_next_multiple_of(PAGE)?;
        let layout = Layout::from_size_align(whole, PAGE).ok()?;
        // SAFETY: the layout is of at least one page, so it is not of size zero.
        let base = unsafe { std::alloc::alloc_zeroed(layout) };
        Some(Self { base: NonNull::new(base)?, len, layout })
    }

    /// A handle to the bytes; whoever uses it keeps this value alive.
    pub(crate) fn raw(&self) -> Raw {
        // SAFETY: 1. valid for `len` bytes as long as `self` lives, which `MockMemory` sees to by an `Arc`. 2. page-aligned.
        // 3. the only access to the bytes is through `Raw`. 4. nobody makes a `&mut` of them.
        unsafe { Raw::new(self.base, self.len) }
    }

    /// Base address, to be handed out as a pointer to bytes nobody else looks at.
    pub(crate) fn base(&self) -> *mut u8 {
        self.base.as_ptr()
    }
}

impl Drop for Heap {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` by the same allocator with this layout, and freed only here.
        unsafe { std::alloc::dealloc(self.base.as_ptr(), self.layout) };
    }
}
