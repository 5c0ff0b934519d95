//! zerodds-flatdata: its allocator over shared memory, in place on both sides.

use std::path::Path;
use std::time::Duration;

use zerodds_flatdata::{PosixSlotAllocator, SlotBackend, SlotError};

use crate::pair::lane::{Lane, Receiver, Sender, Shape, fill};
use crate::pair::other::Place;

/// The only reader's index, and its bit.
const READER: u8 = 0;

/// How long a reader sleeps at most.
const PATIENCE: Duration = Duration::from_secs(20);

/// A segment for one direction.
pub struct Slots {
    allocator: PosixSlotAllocator,
    len: usize,
}

impl Lane for Slots {
    fn create(name: &Path, shape: Shape) -> Self {
        Self { allocator: PosixSlotAllocator::create(name, shape.slots, shape.len).expect("a segment"), len: shape.len }
    }

    fn attach(place: &Place, shape: Shape) -> Self {
        Self { allocator: PosixSlotAllocator::attach(&place.name).expect("the segment"), len: shape.len }
    }

    fn sender(&self) -> impl Sender + '_ {
        Writer(self)
    }

    fn receiver(&self) -> impl Receiver + '_ {
        Reader(self)
    }
}

struct Writer<'s>(&'s Slots);

impl Sender for Writer<'_> {
    #[inline(always)]
    fn send(&mut self, number: u64) {
        let Slots { allocator, len } = self.0;
        let handle = loop {
            match allocator.reserve_slot(1 << READER) {
                Ok(handle) => break handle,
                Err(SlotError::NoFreeSlot) => {}
                Err(error) => panic!("{error}"),
            }
        };
        let (start, capacity) = allocator.slot_data_ptr(handle).expect("our loan");
        assert!(capacity >= *len, "a slot of {capacity}");
        // SAFETY: the loan is ours alone until it is committed, and has room for as many bytes.
        let payload = unsafe { core::slice::from_raw_parts_mut(start, *len) };
        fill(payload, number);
        allocator.commit_in_place(handle, *len).expect("our loan");
    }
}

struct Reader<'s>(&'s Slots);

impl Receiver for Reader<'_> {
    #[inline(always)]
    fn receive(&mut self, look: &mut impl FnMut(&[u8])) {
        let allocator = &self.0.allocator;
        if let Some(handle) = allocator.next_unread_slot(READER).expect("its index") {
            let (start, len) = allocator.slot_read_ptr(handle).expect("a sample");
            // SAFETY: committed, and not given to a writer before this reader has marked it.
            look(unsafe { core::slice::from_raw_parts(start, len) });
            allocator.mark_read(handle, READER).expect("a sample");
        }
    }

    fn sleep(&mut self, look: &mut impl FnMut(&[u8])) {
        let allocator = &self.0.allocator;
        let seen = allocator.notify_generation();
        if allocator.next_unread_slot(READER).expect("its index").is_none() {
            allocator.wait_for_change(seen, PATIENCE);
        }
        self.receive(look);
    }
}
