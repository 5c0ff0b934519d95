//! The limit of waking: a word, and the system's call that sleeps on it.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::pair::lane::{Lane, Receiver, Sender, Shape, fill};
use crate::pair::other::Place;
use crate::pair::shared::{LINE, Shared};

/// Samples it has room for, should the sleeper be late; nobody checks it.
const SAMPLES: u32 = 64;
const BYTES: usize = LINE * (1 + SAMPLES as usize);

/// A word that counts samples, and the last few of them.
pub struct Futex {
    memory: Shared,
    len: usize,
}

impl Futex {
    fn word(&self) -> &AtomicU32 {
        // SAFETY: inside the mapping, aligned, and only ever used as an atomic of this width.
        unsafe { &*self.memory.at(0, 4).cast::<AtomicU32>() }
    }

    /// Where the sample of this count is.
    fn sample(&self, count: u32) -> *mut u8 {
        self.memory.at(LINE * (1 + (count % SAMPLES) as usize), self.len)
    }

    /// `operation` on the word. What it answers does not matter: the word is looked at again.
    fn call(&self, operation: i32, value: u32) {
        let (word, none) = (self.word().as_ptr(), std::ptr::null::<libc::timespec>());
        // SAFETY: a word that lives, and no time limit.
        unsafe { libc::syscall(libc::SYS_futex, word, operation, value, none) };
    }
}

impl Lane for Futex {
    fn create(_name: &Path, shape: Shape) -> Self {
        assert!(shape.len <= LINE, "{} bytes", shape.len);
        Self { memory: Shared::create(BYTES), len: shape.len }
    }

    fn attach(place: &Place, shape: Shape) -> Self {
        Self { memory: Shared::inherited(place.descriptors[0], BYTES), len: shape.len }
    }

    fn descriptors(&self) -> Vec<i32> {
        vec![self.memory.descriptor()]
    }

    fn sender(&self) -> impl Sender + '_ {
        Wake { futex: self, count: 0 }
    }

    fn receiver(&self) -> impl Receiver + '_ {
        Wait { futex: self, seen: 0 }
    }
}

struct Wake<'f> {
    futex: &'f Futex,
    count: u32,
}

impl Sender for Wake<'_> {
    fn send(&mut self, number: u64) {
        let futex = self.futex;
        // SAFETY: inside the mapping, of this length; the other side is not so many samples late, or its sum is wrong and it fails.
        fill(unsafe { core::slice::from_raw_parts_mut(futex.sample(self.count), futex.len) }, number);
        self.count = self.count.wrapping_add(1);
        // ORDERING: Release, with the sleeper's Acquire: carries the payload.
        futex.word().store(self.count, Ordering::Release);
        futex.call(libc::FUTEX_WAKE, 1);
    }
}

struct Wait<'f> {
    futex: &'f Futex,
    seen: u32,
}

impl Receiver for Wait<'_> {
    fn receive(&mut self, look: &mut impl FnMut(&[u8])) {
        // ORDERING: Acquire, with the waker's Release.
        while self.futex.word().load(Ordering::Acquire) == self.seen {
            self.futex.call(libc::FUTEX_WAIT, self.seen);
        }
        // SAFETY: inside the mapping, of this length; see the waker.
        look(unsafe { core::slice::from_raw_parts(self.futex.sample(self.seen), self.futex.len) });
        self.seen = self.seen.wrapping_add(1);
    }
}
