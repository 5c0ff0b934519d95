//! The words of a "ZDS2" segment, and its payloads: bounds established once.

use portable_atomic::Ordering::{Acquire, Relaxed, Release};

use super::layout::{
    COUNT_AT, GENERATION_AT, HEAD_LEN, INSTANCE_AT, MAGIC, MAGIC_AT, MASK_AT, NEXT_AT, OWNER_AT, PAYLOAD_AT, SEQUENCE_AT, SIZE_AT, STRIDE_AT,
    WAITERS_AT, Zds2Geometry,
};
use crate::error::HeadError;
use crate::layout::head;
use crate::memory::Memory;
use crate::region::Word;

/// Geometry and memory.
#[derive(Debug)]
pub(super) struct View<M> {
    memory: M,
    geometry: Zds2Geometry,
}

/// Whether the memory begins as such a segment does. One without a magic yet that is too short for a segment of any other kind is one
/// that the crate is just making.
///
/// # Safety
/// The memory is still mapped.
pub(super) unsafe fn begins_so<M: Memory>(memory: &M) -> bool {
    if memory.len() < HEAD_LEN {
        return false;
    }
    // ORDERING: Relaxed; a question, `attach` looks itself.
    // SAFETY: 1. a multiple of 4. 2. compared above. 3. the caller's duty.
    let magic = unsafe { memory.load(MAGIC_AT, Relaxed) };
    magic == MAGIC || (magic == 0 && memory.len() < head::HEAD_LEN)
}

impl<M: Memory> View<M> {
    /// The segment that is in the memory, after a check of its head.
    ///
    /// # Safety
    /// 1. The memory stays mapped as long as the value and everything made from it is used. 2. It is mapped writable.
    pub(super) unsafe fn attach(memory: M) -> Result<Self, HeadError> {
        let len = memory.len();
        if len < HEAD_LEN {
            return Err(HeadError::TooShort { len: len as u64, needed: HEAD_LEN as u64 });
        }
        // ORDERING: Acquire, edge "made"; pairs with the Release of the magic. Carries the head.
        // SAFETY: 1. a multiple of 4. 2. compared above. 3. the caller's duty 1.
        let magic = unsafe { memory.load(MAGIC_AT, Acquire) };
        if magic == 0 {
            return Err(HeadError::NotReady);
        }
        if magic != MAGIC {
            return Err(HeadError::Magic { found: magic });
        }
        // ORDERING: Relaxed, both; carried by the Acquire above.
        // SAFETY: as above.
        let slots = unsafe { memory.load(COUNT_AT, Relaxed) };
        // SAFETY: as above.
        let stride = unsafe { memory.load(STRIDE_AT, Relaxed) };
        let geometry = Zds2Geometry::from_head(slots, stride, len)?;
        Ok(Self { memory, geometry })
    }

    /// Lays a segment out in memory that is all zero; the magic is stored last.
    ///
    /// # Safety
    /// 1. and 2. as for [`attach`](Self::attach). 3. The memory is in nobody else's hands yet.
    pub(super) unsafe fn lay_out(memory: M, geometry: Zds2Geometry, instance: u32, owner: u32) -> Result<Self, HeadError> {
        geometry.fits(memory.len())?;
        let view = Self { memory, geometry };
        // ORDERING: Relaxed, all; carried by the magic.
        for (at, value) in [(COUNT_AT, geometry.slots()), (STRIDE_AT, geometry.stride()), (INSTANCE_AT, instance), (OWNER_AT, owner)] {
            view.head_word(at).store(value, Relaxed);
        }
        // ORDERING: Release, edge "made"; pairs with the Acquire of the magic at attach. Carries the head and the zeros.
        view.head_word(MAGIC_AT).store(MAGIC, Release);
        Ok(view)
    }

    pub(super) fn memory(&self) -> &M {
        &self.memory
    }

    pub(super) fn geometry(&self) -> &Zds2Geometry {
        &self.geometry
    }

    fn head_word(&self, at: usize) -> Word<'_, M> {
        debug_assert!(at.is_multiple_of(4) && at + 4 <= HEAD_LEN);
        // SAFETY: 1. and 2. the constants of the head, whose length the geometry was compared with. 3. and 4. `attach` 1 and 2.
        unsafe { Word::new(&self.memory, at) }
    }

    /// The next sequence number.
    pub(super) fn next(&self) -> Word<'_, M> {
        self.head_word(NEXT_AT)
    }

    /// The notify generation.
    pub(super) fn generation(&self) -> Word<'_, M> {
        self.head_word(GENERATION_AT)
    }

    /// How many wait.
    pub(super) fn waiters(&self) -> Word<'_, M> {
        self.head_word(WAITERS_AT)
    }

    /// The segment's instance; 0 if it was made by the crate.
    pub(super) fn instance(&self) -> Word<'_, M> {
        self.head_word(INSTANCE_AT)
    }

    /// Slot `index`, if there is one.
    pub(super) fn slot(&self, index: u32) -> Option<Slot<'_, M>> {
        let at = self.geometry.slot_at(index)?;
        Some(Slot { memory: &self.memory, at, index, capacity: self.geometry.capacity() as usize })
    }

    /// All slots.
    pub(super) fn slots(&self) -> impl Iterator<Item = Slot<'_, M>> {
        (0..self.geometry.slots()).filter_map(|index| self.slot(index))
    }
}

/// A slot: a multiple of 64 bytes at a multiple of 16, inside the memory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slot<'v, M> {
    memory: &'v M,
    at: usize,
    index: u32,
    capacity: usize,
}

impl<'v, M: Memory> Slot<'v, M> {
    pub(super) fn index(&self) -> u32 {
        self.index
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    fn word(&self, at: usize) -> Word<'v, M> {
        // SAFETY: 1. and 2. a slot starts at a multiple of 4 and has a header of 16 bytes. 3. and 4. `View::attach` 1 and 2.
        unsafe { Word::new(self.memory, self.at + at) }
    }

    /// The sample's sequence number.
    pub(super) fn sequence(&self) -> Word<'v, M> {
        self.word(SEQUENCE_AT)
    }

    /// The sample's size; 0 if there is none.
    pub(super) fn size(&self) -> Word<'v, M> {
        self.word(SIZE_AT)
    }

    /// Readers that have read it.
    pub(super) fn mask(&self) -> Word<'v, M> {
        self.word(MASK_AT)
    }

    /// Copies the first bytes of the payload out.
    pub(super) fn copy_out(&self, into: &mut [u8]) {
        let len = into.len().min(self.capacity);
        // SAFETY: 1. payloads start at multiples of 16. 2. a slot's end is a multiple of 4 behind its capacity rounded up. 3. `attach` 1.
        unsafe { self.memory.copy_out(self.at + PAYLOAD_AT, &mut into[..len]) };
    }

    /// Copies bytes into the payload, by atomic accesses: somebody late may copy it out at the same time, and finds out afterwards.
    pub(super) fn copy_in(&self, bytes: &[u8]) {
        let len = bytes.len().min(self.capacity);
        // SAFETY: 1. to 3. as above. 4. `attach` 2.
        unsafe { self.memory.copy_in(self.at + PAYLOAD_AT, &bytes[..len]) };
    }

    /// Address of the first `len` bytes of the payload, for reading.
    pub(super) fn payload(&self, len: usize) -> *const u8 {
        // SAFETY: 1. inside the slot. 2. `attach` 1. 3. nothing is accessed here; `SlotBackend::slot_read_ptr` says how long it may be used.
        unsafe { self.memory.payload(self.at + PAYLOAD_AT, len.min(self.capacity)) }
    }

    /// Address of the payload, for filling a loan.
    pub(super) fn payload_mut(&self) -> *mut u8 {
        // SAFETY: 1. inside the slot. 2. `attach` 1 and 2. 3. the caller has the slot on loan; nothing is accessed here, and
        // `SlotBackend::slot_data_ptr` says how long it may be used.
        unsafe { self.memory.payload_mut(self.at + PAYLOAD_AT, self.capacity) }
    }
}
