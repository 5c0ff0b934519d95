//! A reader that is overtaken at every try says so after a bounded number of them, whoever the writer is.
#![allow(missing_docs)]

mod snapshot_support;

use std::cell::Cell;
use std::rc::Rc;

use seqslot_core::clockbound::{CLOCKBOUND_TRIES_MAX, ClockBoundView, ShmError};
use seqslot_core::{AtomicU32, Memory, Ordering, Raw, Region, SNAPSHOT_TRIES_MAX, SnapshotError, SnapshotRead};
use snapshot_support::{attach, format, region, store};

/// Memory in which something happens in the midst of the first `times` copies.
#[derive(Clone)]
struct Overtaking {
    raw: Raw,
    left: Rc<Cell<u32>>,
    copies: Rc<Cell<u32>>,
    event: Rc<dyn Fn()>,
}

impl Overtaking {
    fn new(region: Region<'static>, times: u32, event: impl Fn() + 'static) -> Self {
        Self { raw: region.raw(), left: Rc::new(Cell::new(times)), copies: Rc::default(), event: Rc::new(event) }
    }
}

// SAFETY: every operation is `Raw`'s own.
unsafe impl Memory for Overtaking {
    fn len(&self) -> usize {
        self.raw.len()
    }

    unsafe fn load(&self, at: usize, order: Ordering) -> u32 {
        // SAFETY: the caller's duties.
        unsafe { self.raw.load(at, order) }
    }

    unsafe fn store(&self, at: usize, value: u32, order: Ordering) {
        // SAFETY: the caller's duties.
        unsafe { self.raw.store(at, value, order) }
    }

    fn fence(&self, order: Ordering) {
        self.raw.fence(order);
    }

    fn fence_full(&self) {
        self.raw.fence_full();
    }

    unsafe fn copy_out(&self, at: usize, into: &mut [u8]) {
        self.copies.set(self.copies.get() + 1);
        // SAFETY: the caller's duties.
        unsafe { self.raw.copy_out(at, into) };
        if self.left.get() != 0 {
            self.left.set(self.left.get() - 1);
            (self.event)();
        }
    }

    unsafe fn copy_in(&self, at: usize, from: &[u8]) {
        // SAFETY: the caller's duties.
        unsafe { self.raw.copy_in(at, from) }
    }

    unsafe fn payload(&self, at: usize, len: usize) -> *const u8 {
        // SAFETY: the caller's duties.
        unsafe { self.raw.payload(at, len) }
    }

    unsafe fn payload_mut(&self, at: usize, len: usize) -> *mut u8 {
        // SAFETY: the caller's duties.
        unsafe { self.raw.payload_mut(at, len) }
    }

    unsafe fn futex(&self, at: usize) -> &AtomicU32 {
        // SAFETY: the caller's duties; the region lives for ever.
        unsafe { self.raw.futex(at) }
    }
}

#[test]
fn a_snapshot_overtaken_at_every_try_is_contended_and_one_less_is_fresh() {
    for times in [SNAPSHOT_TRIES_MAX, SNAPSHOT_TRIES_MAX - 1] {
        let region = region::<1024>();
        let writer = format(region, 2, 16);
        let latest = Cell::new(writer.publish(0, &[1; 16]).unwrap());
        // Two publications later the copied buffer is the newest again, and another value.
        let event = move || (0..2).for_each(|_| latest.set(writer.publish(latest.get(), &[2; 16]).unwrap()));
        let memory = Overtaking::new(region, times, event);
        let (copies, mut value) = (Rc::clone(&memory.copies), [0; 16]);
        let got = attach(memory).read(0, &mut value);
        if times == SNAPSHOT_TRIES_MAX {
            assert_eq!(got, Err(SnapshotError::Contended { tries: SNAPSHOT_TRIES_MAX }));
        } else {
            assert_eq!((got, value), (Ok(SnapshotRead::Fresh(1 + 2 * u64::from(times))), [2; 16]));
        }
        assert_eq!(copies.get(), SNAPSHOT_TRIES_MAX);
    }
}

#[test]
fn a_clock_written_during_every_try_is_contended_and_one_less_is_read() {
    const HEADER: [u32; 4] = [0x414D_5A4E, 0x4342_0200, 80, 10 << 16 | 2];
    // Ten updates in the midst of a look are no reason to give up.
    for times in [CLOCKBOUND_TRIES_MAX, CLOCKBOUND_TRIES_MAX - 1, 10] {
        let region = region::<1024>();
        // The word of version and generation, in which they are two halves, the version first.
        let word = |generation: u16| u32::from_ne_bytes([2_u16.to_ne_bytes(), generation.to_ne_bytes()].concat().try_into().unwrap());
        HEADER[..3].iter().enumerate().for_each(|(index, value)| store(region, 4 * index, *value));
        store(region, 12, word(10));
        store(region, 16, 1000);
        // Status: synchronized.
        store(region, 16 + 52, 1);
        let generation = Cell::new(10);
        let event = move || {
            generation.set(generation.get() + 2);
            store(region, 12, word(generation.get()));
        };
        // SAFETY: 1. and 2. the region lives for ever and is aligned.
        let mut view = unsafe { ClockBoundView::attach(Overtaking::new(region, times, event)) }.unwrap();
        if times == CLOCKBOUND_TRIES_MAX {
            assert_eq!(view.snapshot().err(), Some(ShmError::Contended { tries: CLOCKBOUND_TRIES_MAX }));
        } else {
            assert!(view.snapshot().is_ok());
        }
        assert_eq!(view.is_current(), times != CLOCKBOUND_TRIES_MAX);
    }
}
