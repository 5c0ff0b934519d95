//! "ZDS2" segments: the owner's account of its slots where the heap is short.
#![cfg(feature = "alloc")]
#![allow(missing_docs)]

mod seeds_support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use seeds_support::{Mutexes, region};
use seqslot_core::zerodds::Zds2Face;
use seqslot_core::zerodds::layout::HEAD_LEN;
use seqslot_core::{Bare, Cause, CreateError, Memory, Ordering};

thread_local! {
    /// The largest piece that this thread gets.
    static LARGEST: Cell<usize> = const { Cell::new(usize::MAX) };
}

struct Short;

// SAFETY: the system's, or nothing.
unsafe impl GlobalAlloc for Short {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.size() > LARGEST.get() {
            return core::ptr::null_mut();
        }
        // SAFETY: the caller's duties.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's duties; it came from there.
        unsafe { System.dealloc(at, layout) };
    }
}

#[global_allocator]
static HEAP: Short = Short;

#[test]
fn where_the_heap_is_short_nothing_is_made() {
    const SLOTS: u32 = 10_000;
    let region = region(HEAD_LEN + SLOTS as usize * 64);
    let create = || Zds2Face::<_, Mutexes>::create(Bare::new(region), &(), u64::from(SLOTS), 8);
    LARGEST.set(4096);
    let refused = create().err();
    LARGEST.set(usize::MAX);
    let refused = refused.expect("no heap");
    assert_eq!(refused, CreateError::NoHeap { slots: SLOTS });
    assert_eq!(refused.cause(), Cause::Os);
    assert!(refused.to_string().contains("10000 slots; make fewer"), "{refused}");
    // SAFETY: the first word of the region.
    assert_eq!(unsafe { region.raw().load(0, Ordering::SeqCst) }, 0, "nobody finds a segment");
    assert_eq!(create().map(|face| face.geometry().slots()).ok(), Some(SLOTS));
}
