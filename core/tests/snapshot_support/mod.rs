//! What the snapshot tests share: regions, raw words, and a memory that stops storing on cue.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU8, Ordering::Relaxed};

use seqslot_core::layout::snapshot::{BUFFER_HIGH, BUFFER_LOW, LATEST_HIGH_AT, LATEST_LOW_AT, SnapshotGeometry, SnapshotShape};
use seqslot_core::{AtomicU32, Memory, Ordering, Raw, Region, SnapshotView};

#[repr(align(64))]
struct Bank<const N: usize>([AtomicU8; N]);

/// A region of `N` zeros that lives as long as the test process.
pub fn region<const N: usize>() -> Region<'static> {
    let bank: &'static Bank<N> = Box::leak(Box::new(Bank([const { AtomicU8::new(0) }; N])));
    // SAFETY: 1. and 2. each test has a region of its own, with one segment in it.
    unsafe { Region::new(&bank.0) }.expect("aligned")
}

pub fn load(region: Region<'_>, at: usize) -> u32 {
    assert!(at.is_multiple_of(4) && at + 4 <= region.len());
    // SAFETY: 1. and 2. asserted. 3. borrowed.
    unsafe { region.raw().load(at, Ordering::SeqCst) }
}

pub fn store(region: Region<'_>, at: usize, value: u32) {
    assert!(at.is_multiple_of(4) && at + 4 <= region.len());
    // SAFETY: 1. and 2. asserted. 3. borrowed. 4. made of atomics.
    unsafe { region.raw().store(at, value, Ordering::SeqCst) }
}

/// Sets `latest`, and fills both buffers as if `latest` and the one before it had just been published, each word of a value being the
/// generation's low word.
pub fn set_generation(region: Region<'_>, geometry: &SnapshotGeometry, latest: u64) {
    for generation in [latest - 1, latest] {
        let at = geometry.buffer_at(generation as u32);
        store(region, at + BUFFER_HIGH, (generation >> 32) as u32);
        store(region, at + BUFFER_LOW, generation as u32);
        for word in 0..geometry.capacity as usize / 4 {
            store(region, at + geometry.payload_offset as usize + 4 * word, generation as u32);
        }
    }
    store(region, LATEST_HIGH_AT, (latest >> 32) as u32);
    store(region, LATEST_LOW_AT, latest as u32);
}

/// Real memory of a process that dies: after so many stores every further one is lost. Every word of a copy is one store.
#[derive(Clone)]
pub struct Dying {
    raw: Raw,
    left: Arc<AtomicI64>,
}

impl Dying {
    pub fn after(region: Region<'static>, stores: i64) -> Self {
        Self { raw: region.raw(), left: Arc::new(AtomicI64::new(stores)) }
    }

    pub fn immortal(region: Region<'static>) -> Self {
        Self::after(region, i64::MAX)
    }

    pub fn is_dead(&self) -> bool {
        self.left.load(Relaxed) < 0
    }

    pub fn stores_left(&self) -> i64 {
        self.left.load(Relaxed)
    }

    fn lives(&self) -> bool {
        self.left.fetch_sub(1, Relaxed) > 0
    }
}

// SAFETY: every operation is `Raw`'s own, or nothing at all; a copy in is made of word stores.
unsafe impl Memory for Dying {
    fn len(&self) -> usize {
        self.raw.len()
    }

    unsafe fn load(&self, at: usize, order: Ordering) -> u32 {
        // SAFETY: the caller's duties.
        unsafe { self.raw.load(at, order) }
    }

    unsafe fn store(&self, at: usize, value: u32, order: Ordering) {
        if self.lives() {
            // SAFETY: the caller's duties.
            unsafe { self.raw.store(at, value, order) }
        }
    }

    fn fence(&self, order: Ordering) {
        self.raw.fence(order);
    }

    fn fence_full(&self) {
        self.raw.fence_full();
    }

    unsafe fn copy_out(&self, at: usize, into: &mut [u8]) {
        // SAFETY: the caller's duties.
        unsafe { self.raw.copy_out(at, into) }
    }

    unsafe fn copy_in(&self, at: usize, from: &[u8]) {
        for (index, chunk) in from.chunks(4).enumerate() {
            let mut word = [0; 4];
            word[..chunk.len()].copy_from_slice(chunk);
            // SAFETY: the caller's duties: the word lies in the range.
            unsafe { self.store(at + 4 * index, u32::from_ne_bytes(word), Ordering::Relaxed) }
        }
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

/// A new segment in `region`.
pub fn format(region: Region<'static>, buffers: u32, capacity: u32) -> SnapshotView<Raw> {
    let shape = SnapshotShape { buffers, capacity, align: 16, flags: 0 };
    // SAFETY: 1. the region lives for ever. 2. it is new, or the test has it alone.
    unsafe { SnapshotView::format(region.raw(), shape, [0; 16], [7; 16]) }.expect("fits")
}

/// An existing segment, through a memory of the test's choice.
pub fn attach<M: Memory>(memory: M) -> SnapshotView<M> {
    // SAFETY: 1. and 2. tests' regions live for ever and are aligned. 3. they are made of atomics.
    unsafe { SnapshotView::attach(memory) }.expect("a segment").0
}

/// A value of `len` bytes that carries its own checksum, so that any mixture of two is seen.
pub fn checked_value(seed: u64, into: &mut [u8]) {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let (body, sum) = into.split_at_mut_checked(into.len() - 8).expect("at least 8 bytes");
    for chunk in body.chunks_mut(8) {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        chunk.copy_from_slice(&state.to_le_bytes()[..chunk.len()]);
    }
    sum.copy_from_slice(&fnv(body).to_le_bytes());
}

/// Whether a value is whole.
pub fn is_whole(value: &[u8]) -> bool {
    let (body, sum) = value.split_at(value.len() - 8);
    fnv(body).to_le_bytes() == sum
}

fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xCBF2_9CE4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3))
}
