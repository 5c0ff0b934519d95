//! A process on the world: its memory, which can be weakened, die, or be late. Its platform is in [`platform`](crate::platform).

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering::Relaxed as Plainly};

use seqslot_core::layout::slots::SlotsGeometry;
use seqslot_core::{AtomicU32, Memory, MemoryCas, Ordering};

use crate::loom_memory::LoomMemory;
use crate::mutation::{Effect, Kind, Op, effect};
use crate::world::Shared;

/// A staged way for a process to be unlucky, which the protocol must bear.
#[derive(Default)]
struct Fate {
    /// Stores until its death; none is counted before one is set.
    left: AtomicI64,
    /// It sees the words as they were when this was set, until it registers as a waiter.
    past: std::sync::OnceLock<Vec<Option<u32>>>,
    /// Its pauses are over before anybody else has done anything.
    is_restless: std::sync::atomic::AtomicBool,
    /// So many of its next hints (Relaxed loads of `unread`) answer 0: older than they could be.
    stale_hints: AtomicUsize,
}

/// A process: cloned handles are the same one.
#[derive(Clone)]
pub struct Party {
    pub(crate) shared: Arc<Shared>,
    pub(crate) name: &'static str,
    /// Its place among the points of a word that is watched.
    pub(crate) number: usize,
    fate: Arc<Fate>,
    registered: Arc<std::sync::atomic::AtomicBool>,
}

impl Party {
    pub fn new(shared: Arc<Shared>, name: &'static str) -> Self {
        let fate = Fate { left: AtomicI64::new(i64::MAX), ..Fate::default() };
        let number = shared.enrol();
        Self { shared, name, number, fate: Arc::new(fate), registered: Arc::default() }
    }

    /// It dies before its store number `stores` from now on (words for people are not counted): that store and whatever follows
    /// is lost, so that destructors put nothing right. Its locks are free once its handles are dropped.
    pub fn die_after(&self, stores: i64) {
        self.fate.left.store(stores, Plainly);
    }

    /// Whether it has come to its end.
    pub fn is_dead(&self) -> bool {
        self.fate.left.load(Plainly) <= 0
    }

    /// From now until it registers as a reader that waits, it sees the words as they were when this was called first (before the
    /// threads start): its looks before that come too early. There are hundreds; what they could see is seen by the look behind the
    /// registration as well.
    pub fn look_too_early(&self) {
        self.registered.store(false, Plainly);
        let now = || {
            let mut words = vec![None; self.shared.memory.len() / 4];
            for &at in &self.shared.plan.modelled {
                // SAFETY: the plan says that there is a word at the offset.
                words[at / 4] = Some(unsafe { self.shared.memory.load(at, Ordering::Relaxed) });
            }
            words
        };
        self.fate.past.get_or_init(now);
    }

    /// Its next so many hints of who owes a slot answer "nobody", as an old value could.
    pub fn have_stale_hints(&self, count: usize) {
        self.fate.stale_hints.store(count, Plainly);
    }

    /// From now on nobody else gets anywhere while it pauses.
    pub fn be_restless(&self) {
        self.fate.is_restless.store(true, Plainly);
    }

    pub(crate) fn is_restless(&self) -> bool {
        self.fate.is_restless.load(Plainly)
    }

    /// The memory itself.
    pub fn unweakened(&self) -> &LoomMemory {
        &self.shared.memory
    }

    pub fn geometry(&self) -> &SlotsGeometry {
        &self.shared.plan.geometry
    }

    fn kind(&self, at: usize) -> Kind {
        self.shared.plan.kind(at)
    }

    /// Counts a store; false if the process is dead.
    fn is_alive_for(&self, at: usize) -> bool {
        if self.fate.left.load(Plainly) == i64::MAX || self.kind(at) == Kind::ForPeople {
            return !self.is_dead();
        }
        self.fate.left.fetch_sub(1, Plainly) > 0
    }

    pub(crate) fn effect(&self, at: usize, op: Op, order: Ordering) -> Option<Effect> {
        let found = effect(self.name, self.kind(at), op, order);
        if let Some(Effect::After(what)) = found {
            what(self, at);
        }
        found
    }

    fn early_answer(&self, at: usize, order: Ordering) -> Option<u32> {
        let kind = self.kind(at);
        if kind == Kind::Unread && order == Ordering::Relaxed {
            let hints = &self.fate.stale_hints;
            if hints.fetch_update(Plainly, Plainly, |left| left.checked_sub(1)).is_ok() {
                return Some(0);
            }
        }
        if self.registered.load(Plainly) { None } else { self.fate.past.get()?[at / 4] }
    }

    /// Of the accesses to a word loom remembers the last, and forgets over it that another thread's load came before: so the loads
    /// of each party have a point of their own, where others' stores meet them.
    fn meet(&self, at: usize, op: Op) {
        let Some(points) = self.shared.watched.get(&at) else { return };
        for (number, point) in points.iter().enumerate().take(self.shared.parties()) {
            let is_mine = number == self.number;
            if matches!(op, Op::Load) && is_mine || matches!(op, Op::Store) && !is_mine || !matches!(op, Op::Load | Op::Store) {
                point.touch();
            }
        }
    }

    /// A read-modify-write, weakened or lost where that is staged.
    #[track_caller]
    fn rmw(&self, at: usize, op: Op, order: Ordering, change: Change) -> u32 {
        let memory = &self.shared.memory;
        self.meet(at, op);
        let found = self.effect(at, op, order);
        if !self.is_alive_for(at) || matches!(found, Some(Effect::Left)) {
            // SAFETY: the memory checks the offset.
            return unsafe { memory.load(at, Ordering::Relaxed) };
        }
        let order = match found {
            Some(Effect::Relaxed) => Ordering::Relaxed,
            Some(Effect::Torn) => {
                // SAFETY: the memory checks the offset.
                let value = unsafe { memory.load(at, Ordering::Relaxed) };
                // SAFETY: the memory checks the offset.
                unsafe { memory.store(at, change.of(value), order) };
                return value;
            }
            _ => order,
        };
        // No closures: the memory is told which line of the core asks.
        match change {
            // SAFETY: the memory checks the offset.
            Change::Add(value) => unsafe { memory.fetch_add(at, value, order) },
            // SAFETY: the memory checks the offset.
            Change::Or(bits) => unsafe { memory.fetch_or(at, bits, order) },
            // SAFETY: the memory checks the offset.
            Change::And(bits) => unsafe { memory.fetch_and(at, bits, order) },
        }
    }
}

/// What a read-modify-write makes of a word.
#[derive(Clone, Copy)]
enum Change {
    Add(u32),
    Or(u32),
    And(u32),
}

impl Change {
    fn of(self, before: u32) -> u32 {
        match self {
            Self::Add(value) => before.wrapping_add(value),
            Self::Or(bits) => before | bits,
            Self::And(bits) => before & bits,
        }
    }
}

// SAFETY: as true to the duties as the model's memory, less what a mutation or a death takes away on purpose.
unsafe impl Memory for Party {
    fn len(&self) -> usize {
        self.shared.memory.len()
    }

    unsafe fn load(&self, at: usize, order: Ordering) -> u32 {
        if let Some(early) = self.early_answer(at, order) {
            return early;
        }
        self.meet(at, Op::Load);
        let order = match self.effect(at, Op::Load, order) {
            Some(Effect::Answers(value)) => return value,
            Some(Effect::Relaxed) => Ordering::Relaxed,
            _ => order,
        };
        // SAFETY: the caller's duties.
        unsafe { self.shared.memory.load(at, order) }
    }

    unsafe fn store(&self, at: usize, value: u32, order: Ordering) {
        self.meet(at, Op::Store);
        let order = match self.effect(at, Op::Store, order) {
            Some(Effect::Left) => return,
            Some(Effect::Relaxed) => Ordering::Relaxed,
            _ => order,
        };
        if !self.is_alive_for(at) {
            return;
        }
        if self.kind(at) == Kind::Pins {
            // Loom does not put a plain store in one order with the read-modify-writes of others that run beside it: a later load
            // could answer either. As a read-modify-write it is in their order, as every machine's store is.
            assert_eq!(value, 0, "pins are only ever stored as zero");
            // SAFETY: the caller's duties.
            unsafe { self.shared.memory.fetch_and(at, 0, order) };
        } else if self.shared.plan.is_exchanged(at) {
            // SAFETY: the caller's duties.
            let mut found = unsafe { self.shared.memory.load(at, Ordering::Relaxed) };
            // SAFETY: the caller's duties.
            while let Err(other) = unsafe { self.shared.memory.compare_exchange(at, found, value, order, Ordering::Relaxed) } {
                found = other;
            }
        } else {
            // SAFETY: the caller's duties.
            unsafe { self.shared.memory.store(at, value, order) }
        }
    }

    fn fence(&self, order: Ordering) {
        if !self.is_dead() && !matches!(effect(self.name, Kind::None, Op::Fence, order), Some(Effect::NoFence)) {
            self.shared.memory.fence(order);
        }
    }

    fn fence_full(&self) {
        if !matches!(effect(self.name, Kind::None, Op::FullFence, Ordering::SeqCst), Some(Effect::NoFence)) {
            self.full_fence();
        }
    }

    fn fence_light(&self) {
        self.light_fence();
    }

    unsafe fn copy_out(&self, at: usize, into: &mut [u8]) {
        // SAFETY: the caller's duties.
        unsafe { self.shared.memory.copy_out(at, into) }
    }

    unsafe fn copy_in(&self, at: usize, from: &[u8]) {
        // SAFETY: the caller's duties.
        unsafe { self.shared.memory.copy_in(at, from) }
    }

    unsafe fn payload(&self, at: usize, len: usize) -> *const u8 {
        // SAFETY: the caller's duties.
        unsafe { self.shared.memory.payload(at, len) }
    }

    unsafe fn payload_mut(&self, at: usize, len: usize) -> *mut u8 {
        // SAFETY: the caller's duties.
        unsafe { self.shared.memory.payload_mut(at, len) }
    }

    unsafe fn futex(&self, at: usize) -> &AtomicU32 {
        // SAFETY: the caller's duties.
        unsafe { self.shared.memory.futex(at) }
    }
}

// SAFETY: as for Memory.
unsafe impl MemoryCas for Party {
    unsafe fn compare_exchange(&self, at: usize, current: u32, new: u32, success: Ordering, failure: Ordering) -> Result<u32, u32> {
        let memory = &self.shared.memory;
        self.meet(at, Op::Cas);
        let found = self.effect(at, Op::Cas, success);
        if !self.is_alive_for(at) {
            return Ok(current);
        }
        match found {
            Some(Effect::Torn) => {
                // SAFETY: the caller's duties.
                let value = unsafe { memory.load(at, success) };
                if value != current {
                    return Err(value);
                }
                // SAFETY: the caller's duties.
                unsafe { memory.store(at, new, Ordering::Relaxed) };
                Ok(value)
            }
            Some(Effect::Relaxed) => {
                // SAFETY: the caller's duties.
                unsafe { memory.compare_exchange(at, current, new, Ordering::Relaxed, failure) }
            }
            _ => {
                // SAFETY: the caller's duties.
                unsafe { memory.compare_exchange(at, current, new, success, failure) }
            }
        }
    }

    unsafe fn fetch_add(&self, at: usize, value: u32, order: Ordering) -> u32 {
        self.rmw(at, Op::Add, order, Change::Add(value))
    }

    unsafe fn fetch_or(&self, at: usize, bits: u32, order: Ordering) -> u32 {
        if self.kind(at) == Kind::ReaderWaiters {
            self.registered.store(true, Plainly);
        }
        self.rmw(at, Op::Or, order, Change::Or(bits))
    }

    unsafe fn fetch_and(&self, at: usize, bits: u32, order: Ordering) -> u32 {
        self.rmw(at, Op::And, order, Change::And(bits))
    }
}
