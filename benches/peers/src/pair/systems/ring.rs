//! The limit of streams: a ring of one writer and one reader in shared memory, without recovery, identity or anybody else.

use std::hint::spin_loop;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::pair::lane::{Lane, Receiver, Sender, Shape, fill};
use crate::pair::other::Place;
use crate::pair::shared::{LINE, Shared};

/// Where the writer's count is, the reader's, and the first slot.
const HEAD: usize = 0;
const TAIL: usize = LINE;
const SLOTS: usize = 4096;

/// The ring.
pub struct Ring {
    memory: Shared,
    shape: Shape,
}

impl Ring {
    fn stride(shape: Shape) -> usize {
        shape.len.next_multiple_of(64)
    }

    fn bytes(shape: Shape) -> usize {
        assert!(shape.slots.is_power_of_two(), "{} slots", shape.slots);
        SLOTS + shape.slots * Self::stride(shape)
    }

    fn slot(&self, number: u64) -> *mut u8 {
        let index = number as usize & (self.shape.slots - 1);
        self.memory.at(SLOTS + index * Self::stride(self.shape), self.shape.len)
    }
}

impl Lane for Ring {
    fn create(_name: &Path, shape: Shape) -> Self {
        Self { memory: Shared::create(Self::bytes(shape)), shape }
    }

    fn attach(place: &Place, shape: Shape) -> Self {
        Self { memory: Shared::inherited(place.descriptors[0], Self::bytes(shape)), shape }
    }

    fn descriptors(&self) -> Vec<i32> {
        vec![self.memory.descriptor()]
    }

    fn sender(&self) -> impl Sender + '_ {
        End { ring: self, own: self.memory.word(HEAD), theirs: self.memory.word(TAIL), at: 0, seen: 0 }
    }

    fn receiver(&self) -> impl Receiver + '_ {
        End { ring: self, own: self.memory.word(TAIL), theirs: self.memory.word(HEAD), at: 0, seen: 0 }
    }
}

/// One end: its own count, and what it last saw of the other's, which it reads again only when it must.
struct End<'r> {
    ring: &'r Ring,
    own: &'r AtomicU64,
    theirs: &'r AtomicU64,
    at: u64,
    seen: u64,
}

impl Sender for End<'_> {
    #[inline(always)]
    fn send(&mut self, number: u64) {
        while self.at - self.seen == self.ring.shape.slots as u64 {
            // ORDERING: Acquire, with the reader's Release: it has left the slot.
            self.seen = self.theirs.load(Ordering::Acquire);
            if self.at - self.seen == self.ring.shape.slots as u64 {
                spin_loop();
            }
        }
        // SAFETY: `slot` gave a place inside the mapping, of this length; it is the writer's until the count below says otherwise.
        fill(unsafe { core::slice::from_raw_parts_mut(self.ring.slot(self.at), self.ring.shape.len) }, number);
        self.at += 1;
        // ORDERING: Release, with the reader's Acquire: carries the payload.
        self.own.store(self.at, Ordering::Release);
    }
}

impl Receiver for End<'_> {
    #[inline(always)]
    fn receive(&mut self, look: &mut impl FnMut(&[u8])) {
        // ORDERING: Acquire, with the writer's Release: carries the payloads.
        self.seen = self.theirs.load(Ordering::Acquire);
        while self.at != self.seen {
            // SAFETY: inside the mapping, of this length; the writer leaves it alone until the count below has passed it.
            look(unsafe { core::slice::from_raw_parts(self.ring.slot(self.at), self.ring.shape.len) });
            self.at += 1;
            // ORDERING: Release, with the writer's Acquire.
            self.own.store(self.at, Ordering::Release);
        }
    }
}
