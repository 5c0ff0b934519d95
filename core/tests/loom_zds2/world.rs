//! The memory and the platform of a model's world, and the locks of its processes.

use std::sync::Arc;
use std::time::Duration;

use loom::sync::{Condvar, Mutex};
use loom::thread;
use seqslot_core::zerodds::layout::{HEAD_LEN, PAYLOAD_AT};
use seqslot_core::zerodds::{Zds2Face, Zds2Geometry};
use seqslot_core::{
    Access, AtomicU32, Claim, CreateFault, Created, Exclusion, Exclusive, Lock, Mapping, Memory, MemoryCas, ObjectSpec, OpenFault,
    Ordering, Os, OsError, Process, Woken,
};

use crate::loom_memory::{Builder, LoomMemory};

const STRIDE: usize = 64;
pub const CAPACITY: u64 = 4;
/// The memory of one world. Stores to masks are exchanges: of a store beside another's read-modify-write loom does not say which came
/// first (a later load could answer either). Every machine's store is in one order with them.
#[derive(Clone)]
pub struct Masked(LoomMemory);

impl Masked {
    fn is_mask(at: usize) -> bool {
        at >= HEAD_LEN && (at - HEAD_LEN) % STRIDE == 8
    }
}

// SAFETY: `LoomMemory`'s, but for the stores said above, which are atomic, too.
unsafe impl Memory for Masked {
    fn len(&self) -> usize {
        self.0.len()
    }

    #[track_caller]
    unsafe fn load(&self, at: usize, order: Ordering) -> u32 {
        // SAFETY: the caller's duties.
        unsafe { self.0.load(at, order) }
    }

    #[track_caller]
    unsafe fn store(&self, at: usize, value: u32, order: Ordering) {
        if !Self::is_mask(at) {
            // SAFETY: the caller's duties.
            return unsafe { self.0.store(at, value, order) };
        }
        // SAFETY: the caller's duties.
        let mut found = unsafe { self.0.load(at, Ordering::Relaxed) };
        // SAFETY: the caller's duties.
        while let Err(other) = unsafe { self.0.compare_exchange(at, found, value, order, Ordering::Relaxed) } {
            found = other;
        }
    }

    #[track_caller]
    fn fence(&self, order: Ordering) {
        self.0.fence(order);
    }

    #[track_caller]
    fn fence_full(&self) {
        self.0.fence_full();
    }

    #[track_caller]
    unsafe fn copy_out(&self, at: usize, into: &mut [u8]) {
        // SAFETY: the caller's duties.
        unsafe { self.0.copy_out(at, into) };
    }

    #[track_caller]
    unsafe fn copy_in(&self, at: usize, from: &[u8]) {
        // SAFETY: the caller's duties.
        unsafe { self.0.copy_in(at, from) };
    }

    unsafe fn payload(&self, at: usize, len: usize) -> *const u8 {
        // SAFETY: the caller's duties.
        unsafe { self.0.payload(at, len) }
    }

    unsafe fn payload_mut(&self, at: usize, len: usize) -> *mut u8 {
        // SAFETY: the caller's duties.
        unsafe { self.0.payload_mut(at, len) }
    }

    unsafe fn futex(&self, at: usize) -> &AtomicU32 {
        // SAFETY: the caller's duties.
        unsafe { self.0.futex(at) }
    }
}

// SAFETY: `LoomMemory`'s.
unsafe impl MemoryCas for Masked {
    #[track_caller]
    unsafe fn compare_exchange(&self, at: usize, current: u32, new: u32, success: Ordering, failure: Ordering) -> Result<u32, u32> {
        // SAFETY: the caller's duties.
        unsafe { self.0.compare_exchange(at, current, new, success, failure) }
    }

    #[track_caller]
    unsafe fn fetch_add(&self, at: usize, value: u32, order: Ordering) -> u32 {
        // SAFETY: the caller's duties.
        unsafe { self.0.fetch_add(at, value, order) }
    }

    #[track_caller]
    unsafe fn fetch_or(&self, at: usize, bits: u32, order: Ordering) -> u32 {
        // SAFETY: the caller's duties.
        unsafe { self.0.fetch_or(at, bits, order) }
    }

    #[track_caller]
    unsafe fn fetch_and(&self, at: usize, bits: u32, order: Ordering) -> u32 {
        // SAFETY: the caller's duties.
        unsafe { self.0.fetch_and(at, bits, order) }
    }
}

/// The platform and the object of one world: its memory and its queue of sleepers; no time passes.
#[derive(Clone)]
pub struct World {
    memory: Masked,
    sleepers: Arc<(Mutex<u32>, Condvar)>,
}

/// A process with one thread.
pub type Face = Zds2Face<World, Alone>;

/// A process with threads, whose locks loom sees.
pub type Shared = Zds2Face<World, Locked>;

impl World {
    pub fn new(slots: usize) -> Self {
        Self::seeing(slots, [])
    }

    /// Loom sees these words of the head, too.
    pub fn seeing(slots: usize, head: impl IntoIterator<Item = usize>) -> Self {
        let len = Zds2Geometry::new(slots as u64, CAPACITY).expect("small").len();
        let slot_words = |index: usize| [0, 4, 8, PAYLOAD_AT].map(|at| HEAD_LEN + index * STRIDE + at);
        let mut builder = Builder::new(len).plain((0..len).step_by(4)).words([0x0C, 0x10, 0x14]).words(head);
        for index in 0..slots {
            builder = builder.words(slot_words(index)).payload(HEAD_LEN + index * STRIDE + PAYLOAD_AT, CAPACITY as usize);
        }
        Self { memory: Masked(builder.build()), sleepers: Arc::new((Mutex::new(0), Condvar::new())) }
    }

    pub fn owner(&self, slots: u64) -> Face {
        Face::create(self.clone(), &(), slots, CAPACITY).expect("a new world")
    }

    /// An owner with threads.
    pub fn shared_owner(&self, slots: u64) -> Arc<Shared> {
        Arc::new(Zds2Face::create(self.clone(), &(), slots, CAPACITY).expect("a new world"))
    }

    pub fn attach(&self) -> Face {
        Face::attach(self.clone(), &()).expect("made")
    }
}

// SAFETY: 1. each model creates once, in a memory of its own.
unsafe impl Os for World {
    type Name = ();
    type Mapping = Self;

    fn create(&self, (): &(), _spec: ObjectSpec) -> Result<Created<Self, Held>, CreateFault> {
        Ok(Created { mapping: self.clone(), owner: Held })
    }

    fn open(&self, (): &(), _access: Access) -> Result<Self, OpenFault> {
        Ok(self.clone())
    }

    /// The look at the word and the falling asleep are one step, as the kernel makes them. Nobody comes after a slice: a wake-up that is
    /// lost is a deadlock, which loom reports.
    fn wait(&self, word: &AtomicU32, expected: u32, _mask: u32, _timeout: Duration) -> Woken {
        let at = self.memory.0.offset_of(word);
        let mut wakes = self.sleepers.0.lock().expect("no panic");
        // SAFETY: the word came from this memory.
        if unsafe { self.memory.load(at, Ordering::Relaxed) } != expected {
            return Woken::Perhaps;
        }
        let before = *wakes;
        while *wakes == before {
            wakes = self.sleepers.1.wait(wakes).expect("no panic");
        }
        Woken::Perhaps
    }

    fn wake(&self, _word: &AtomicU32, _mask: u32) {
        *self.sleepers.0.lock().expect("no panic") += 1;
        self.sleepers.1.notify_all();
    }

    fn sleep(&self, _time: Duration) {
        thread::yield_now();
    }

    fn now(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn process(&self) -> Process {
        Process { pid: 1, start_time: 1, pid_namespace: 1 }
    }
}

// SAFETY: 4. the memory is reference-counted. 9, 10. no lock is given but the owner's, once.
unsafe impl Mapping for World {
    type Memory = Masked;
    type Claim = Held;

    fn memory(&self) -> Masked {
        self.memory.clone()
    }

    fn claim(&self, _lock: Lock, _word: &AtomicU32) -> Result<Option<Held>, OsError> {
        Ok(None)
    }

    fn is_claimed(&self, _lock: Lock, _word: &AtomicU32) -> Result<bool, OsError> {
        Ok(true)
    }

    fn unlink(&self) -> Result<(), OsError> {
        Ok(())
    }
}

/// The owner's lock.
pub struct Held;

impl Claim for Held {
    fn is_mine(&self) -> bool {
        true
    }
}

/// The exclusion of a process with one thread, which loom need not see.
pub struct Alone;

pub struct AloneOf<T>(std::sync::Mutex<T>);

impl Exclusion for Alone {
    type Of<T> = AloneOf<T>;
}

impl<T> Exclusive<T> for AloneOf<T> {
    fn new(value: T) -> Self {
        Self(std::sync::Mutex::new(value))
    }

    fn with<R>(&self, act: impl FnOnce(&mut T) -> R) -> R {
        act(&mut self.0.try_lock().expect("one thread"))
    }
}

/// The exclusion of a process with threads.
pub struct Locked;

pub struct LockedOf<T>(Mutex<T>);

impl Exclusion for Locked {
    type Of<T> = LockedOf<T>;
}

impl<T> Exclusive<T> for LockedOf<T> {
    fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }

    fn with<R>(&self, act: impl FnOnce(&mut T) -> R) -> R {
        act(&mut self.0.lock().expect("no panic"))
    }
}
