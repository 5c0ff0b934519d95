//! Real memory through the control block of a simulated process.

use std::sync::Arc;

use portable_atomic::{AtomicBool, AtomicU32, Ordering};
use seqslot_core::{Access, Memory, MemoryCas, Raw};

use crate::object::{MockMapping, Object};
use crate::process::{Act, Control, with_acting};
use crate::trace::EventKind;
use crate::world::World;

/// Memory of a mapped object as one simulated process reaches it.
///
/// Stores to a read-only mapping, and every use after the mapping was dropped, panic: on a real system they are faults.
#[derive(Clone)]
pub struct MockMemory {
    raw: Raw,
    world: World,
    control: Arc<Control>,
    access: Access,
    mapped: Arc<AtomicBool>,
    /// Keeps the bytes, so that a use after unmapping is a panic and not undefined.
    _object: Arc<Object>,
}

impl MockMemory {
    pub(crate) fn new(mapping: &MockMapping, mapped: Arc<AtomicBool>) -> Self {
        Self {
            raw: mapping.object.heap.raw(),
            world: mapping.world.clone(),
            control: Arc::clone(&mapping.control),
            access: mapping.access,
            mapped,
            _object: Arc::clone(&mapping.object),
        }
    }

    fn check(&self, at: usize, len: usize) {
        // Not while unwinding: a second panic would abort, and the first has told what is wrong.
        if std::thread::panicking() {
            return;
        }
        assert!(self.mapped.load(Ordering::Relaxed), "memory at {at:#x} used after its mapping was dropped");
        assert!(at.checked_add(len).is_some_and(|end| end <= self.raw.len()), "{len} bytes at {at:#x} end after the object");
    }

    /// Before a load of `len` bytes.
    fn reads(&self, kind: EventKind, at: usize, len: usize) {
        self.check(at, len);
        with_acting(&self.control, |control| control.look(&self.world, kind, at, len as u32));
    }

    /// Before a change of `len` bytes; `None` if it must not be made, because the process is dead.
    fn writes(&self, kind: EventKind, at: usize, len: usize, value: u32) -> Option<Act> {
        self.check(at, len);
        let panicking = std::thread::panicking();
        assert!(panicking || self.access == Access::ReadWrite, "{kind:?} at {at:#x} of a mapping that is read-only");
        if self.access == Access::ReadOnly {
            return None;
        }
        with_acting(&self.control, |control| control.event(&self.world, kind, at, value))
    }
}

// SAFETY: 1. and 2. each access is one access of `Raw` to the same words for all processes, or, in a dead process, none: nothing
// can be told from a process that did not get so far. 3. copies are those of `Raw`, split at a word. 4. pointers are those of `Raw`,
// valid as long as the object, or scratch memory that lives as long as the process's control block, which this value holds.
unsafe impl Memory for MockMemory {
    fn len(&self) -> usize {
        self.raw.len()
    }

    unsafe fn load(&self, at: usize, order: Ordering) -> u32 {
        self.reads(EventKind::Load, at, 4);
        // SAFETY: the caller's duties 1 and 2; the object is kept by `self`.
        unsafe { self.raw.load(at, order) }
    }

    unsafe fn store(&self, at: usize, value: u32, order: Ordering) {
        if let Some(_act) = self.writes(EventKind::Store, at, 4, value) {
            // SAFETY: the caller's duties; writable, as `writes` has checked.
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
        self.reads(EventKind::CopyOut, at, into.len());
        // SAFETY: the caller's duties 1 and 2; the object is kept by `self`.
        unsafe { self.raw.copy_out(at, into) }
    }

    unsafe fn copy_in(&self, at: usize, from: &[u8]) {
        // In two parts, each an event, so that a process can die in the middle of a copy.
        let (first, second) = from.split_at((from.len() / 2).next_multiple_of(4).min(from.len()));
        for (at, part) in [(at, first), (at + first.len(), second)] {
            if !part.is_empty()
                && let Some(_act) = self.writes(EventKind::CopyIn, at, part.len(), part.len() as u32)
            {
                // SAFETY: the caller's duties; the second part starts at a multiple of 4, or is empty.
                unsafe { self.raw.copy_in(at, part) }
            }
        }
    }

    unsafe fn payload(&self, at: usize, len: usize) -> *const u8 {
        self.reads(EventKind::View, at, len);
        // SAFETY: the caller's duties.
        unsafe { self.raw.payload(at, len) }
    }

    unsafe fn payload_mut(&self, at: usize, len: usize) -> *mut u8 {
        if let Some(_act) = self.writes(EventKind::Grant, at, len, len as u32) {
            // SAFETY: the caller's duties; writable, as `writes` has checked.
            unsafe { self.raw.payload_mut(at, len) }
        } else {
            self.control.scratch(len)
        }
    }

    unsafe fn futex(&self, at: usize) -> &AtomicU32 {
        self.check(at, 4);
        // SAFETY: the caller's duties 1 and 2; the object is kept by `self`.
        unsafe { self.raw.futex(at) }
    }
}

// SAFETY: each is the one operation of `Raw`, or, in a dead process, a load that changes nothing.
unsafe impl MemoryCas for MockMemory {
    unsafe fn compare_exchange(&self, at: usize, current: u32, new: u32, success: Ordering, failure: Ordering) -> Result<u32, u32> {
        if let Some(_act) = self.writes(EventKind::Exchange, at, 4, new) {
            // SAFETY: the caller's duties; writable, as `writes` has checked.
            return unsafe { self.raw.compare_exchange(at, current, new, success, failure) };
        }
        // SAFETY: the caller's duties.
        let found = unsafe { self.raw.load(at, failure) };
        // As if it had succeeded: a destructor's retry loop must end.
        if found == current { Ok(found) } else { Err(found) }
    }

    unsafe fn fetch_add(&self, at: usize, value: u32, order: Ordering) -> u32 {
        if let Some(_act) = self.writes(EventKind::Add, at, 4, value) {
            // SAFETY: the caller's duties; writable, as `writes` has checked.
            return unsafe { self.raw.fetch_add(at, value, order) };
        }
        // SAFETY: the caller's duties.
        unsafe { self.raw.load(at, Ordering::Relaxed) }
    }

    unsafe fn fetch_or(&self, at: usize, bits: u32, order: Ordering) -> u32 {
        if let Some(_act) = self.writes(EventKind::Or, at, 4, bits) {
            // SAFETY: the caller's duties; writable, as `writes` has checked.
            return unsafe { self.raw.fetch_or(at, bits, order) };
        }
        // SAFETY: the caller's duties.
        unsafe { self.raw.load(at, Ordering::Relaxed) }
    }

    unsafe fn fetch_and(&self, at: usize, bits: u32, order: Ordering) -> u32 {
        if let Some(_act) = self.writes(EventKind::And, at, 4, bits) {
            // SAFETY: the caller's duties; writable, as `writes` has checked.
            return unsafe { self.raw.fetch_and(at, bits, order) };
        }
        // SAFETY: the caller's duties.
        unsafe { self.raw.load(at, Ordering::Relaxed) }
    }
}
