//! Shared memory made of loom's words, so that the real protocol code runs under the model checker.
//!
//! A model lists what it needs up front, because loom wants its objects made before the threads are: modelled words, plain
//! words (immutable or not of interest: the head), and payload ranges. Anything else that the code touches is a panic that names the offset.
#![allow(dead_code, reason = "each model uses its part")]

pub mod site;

use std::panic::Location;
use std::sync::Arc;

use loom::cell::UnsafeCell;
use loom::sync::atomic as modelled;
use seqslot_core::{AtomicU32, Memory, MemoryCas, Ordering};

/// What is at a word's offset.
enum Word {
    Absent,
    Plain,
    Modelled(modelled::AtomicU32),
}

/// A payload range: an access to it is an instantaneous read or write of its cell, so that loom sees two that race.
struct Payload {
    at: usize,
    bytes: Box<[std::cell::UnsafeCell<u8>]>,
    access: UnsafeCell<()>,
}

struct Shared {
    words: Vec<Word>,
    /// Plain words live here, and so do the addresses that `futex` gives out for modelled ones.
    shadow: Box<[AtomicU32]>,
    payloads: Vec<Payload>,
}

// SAFETY: the words are atomics. A payload's cell panics in the model if two accesses race, and its bytes are only reached by those to
// whom the protocol under test has given the range; loom runs one thread at a time, so a failing model does no harm either.
unsafe impl Send for Shared {}
// SAFETY: as for Send.
unsafe impl Sync for Shared {}

/// Lists what a memory is made of.
pub struct Builder {
    shared: Shared,
}

impl Builder {
    /// A memory of `len` bytes (rounded up to words) with nothing in it yet.
    pub fn new(len: usize) -> Self {
        let count = len.div_ceil(4);
        let shadow = (0..count).map(|_| AtomicU32::new(0)).collect();
        Self { shared: Shared { words: (0..count).map(|_| Word::Absent).collect(), shadow, payloads: Vec::new() } }
    }

    /// Modelled words at these byte offsets, zero at first.
    pub fn words(mut self, offsets: impl IntoIterator<Item = usize>) -> Self {
        for at in offsets {
            assert!(at.is_multiple_of(4));
            self.shared.words[at / 4] = Word::Modelled(modelled::AtomicU32::new(0));
        }
        self
    }

    /// Words that loom does not see, at these byte offsets, zero at first: for what is written before the threads start.
    pub fn plain(mut self, offsets: impl IntoIterator<Item = usize>) -> Self {
        for at in offsets {
            assert!(at.is_multiple_of(4));
            self.shared.words[at / 4] = Word::Plain;
        }
        self
    }

    /// A payload range of its own bytes.
    pub fn payload(mut self, at: usize, len: usize) -> Self {
        let bytes = (0..len).map(|_| std::cell::UnsafeCell::new(0)).collect();
        self.shared.payloads.push(Payload { at, bytes, access: UnsafeCell::new(()) });
        self
    }

    pub fn build(self) -> LoomMemory {
        LoomMemory { shared: Arc::new(self.shared) }
    }
}

/// Memory over loom's words; a clone reaches the same.
#[derive(Clone)]
pub struct LoomMemory {
    shared: Arc<Shared>,
}

impl LoomMemory {
    /// The byte offset of a word that [`Memory::futex`] gave out, for a model's own wait and wake.
    pub fn offset_of(&self, word: &AtomicU32) -> usize {
        let offset = std::ptr::from_ref(word).addr() - self.shared.shadow.as_ptr().addr();
        assert!(offset < self.shared.shadow.len() * 4, "a word of another memory");
        offset
    }

    fn word(&self, at: usize) -> Result<&modelled::AtomicU32, &AtomicU32> {
        assert!(at.is_multiple_of(4), "unaligned word at {at}");
        match &self.shared.words[at / 4] {
            Word::Modelled(word) => Ok(word),
            Word::Plain => Err(&self.shared.shadow[at / 4]),
            Word::Absent => panic!("the model has no word at {at}"),
        }
    }

    fn range(&self, at: usize, len: usize) -> (&Payload, *mut u8) {
        let payload = self.shared.payloads.iter().find(|payload| payload.at <= at && at + len <= payload.at + payload.bytes.len());
        let payload = payload.unwrap_or_else(|| panic!("the model has no payload at {at}, {len} bytes"));
        let first = &payload.bytes[at - payload.at..];
        (payload, first.as_ptr().cast_mut().cast())
    }
}

// SAFETY: 1. and 3. one modelled atomic access a word, of the ordering asked for unless `site` weakens it on purpose. 2. loom's SeqCst
// fence; light fences are the platform's affair. 4. pointers into boxes that live as long as the memory.
unsafe impl Memory for LoomMemory {
    fn len(&self) -> usize {
        self.shared.words.len() * 4
    }

    unsafe fn load(&self, at: usize, order: Ordering) -> u32 {
        let order = site::order(Location::caller(), order);
        self.word(at).map_or_else(|plain| plain.load(order), |word| word.load(order))
    }

    unsafe fn store(&self, at: usize, value: u32, order: Ordering) {
        let order = site::order(Location::caller(), order);
        self.word(at).map_or_else(|plain| plain.store(value, order), |word| word.store(value, order));
    }

    fn fence(&self, order: Ordering) {
        if site::is_fenced(Location::caller()) {
            modelled::fence(order);
        }
    }

    fn fence_full(&self) {
        if site::is_fenced(Location::caller()) {
            modelled::fence(Ordering::SeqCst);
        }
    }

    unsafe fn copy_out(&self, at: usize, into: &mut [u8]) {
        for (index, chunk) in into.chunks_mut(4).enumerate() {
            // SAFETY: `word` checks the offset.
            let word = unsafe { self.load(at + 4 * index, Ordering::Relaxed) };
            chunk.copy_from_slice(&word.to_ne_bytes()[..chunk.len()]);
        }
    }

    unsafe fn copy_in(&self, at: usize, from: &[u8]) {
        for (index, chunk) in from.chunks(4).enumerate() {
            let mut word = [0; 4];
            word[..chunk.len()].copy_from_slice(chunk);
            // SAFETY: `word` checks the offset.
            unsafe { self.store(at + 4 * index, u32::from_ne_bytes(word), Ordering::Relaxed) };
        }
    }

    unsafe fn payload(&self, at: usize, len: usize) -> *const u8 {
        let (payload, first) = self.range(at, len);
        payload.access.with(|_| first)
    }

    unsafe fn payload_mut(&self, at: usize, len: usize) -> *mut u8 {
        let (payload, first) = self.range(at, len);
        payload.access.with_mut(|_| first)
    }

    unsafe fn futex(&self, at: usize) -> &AtomicU32 {
        &self.shared.shadow[at / 4]
    }
}

// SAFETY: each is one modelled read-modify-write.
unsafe impl MemoryCas for LoomMemory {
    unsafe fn compare_exchange(&self, at: usize, current: u32, new: u32, success: Ordering, failure: Ordering) -> Result<u32, u32> {
        let (success, failure) = site::orders(Location::caller(), success, failure);
        match self.word(at) {
            Ok(word) => word.compare_exchange(current, new, success, failure),
            Err(plain) => plain.compare_exchange(current, new, success, failure),
        }
    }

    unsafe fn fetch_add(&self, at: usize, value: u32, order: Ordering) -> u32 {
        let order = site::order(Location::caller(), order);
        self.word(at).map_or_else(|plain| plain.fetch_add(value, order), |word| word.fetch_add(value, order))
    }

    unsafe fn fetch_or(&self, at: usize, bits: u32, order: Ordering) -> u32 {
        let order = site::order(Location::caller(), order);
        self.word(at).map_or_else(|plain| plain.fetch_or(bits, order), |word| word.fetch_or(bits, order))
    }

    unsafe fn fetch_and(&self, at: usize, bits: u32, order: Ordering) -> u32 {
        let order = site::order(Location::caller(), order);
        self.word(at).map_or_else(|plain| plain.fetch_and(bits, order), |word| word.fetch_and(bits, order))
    }
}

/// Runs `model` under loom with this preemption bound and returns how many executions there were.
pub fn explore(preemption_bound: usize, model: impl Fn() + Sync + Send + 'static) -> usize {
    let executions = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = executions.clone();
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemption_bound);
    builder.max_branches = 20_000;
    builder.check(move || {
        counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        model();
    });
    executions.load(std::sync::atomic::Ordering::Relaxed)
}
