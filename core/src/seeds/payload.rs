//! Payload bytes of slots: copied in and out, and their addresses.

use portable_atomic::Ordering::{Acquire, Relaxed};

use super::error::SlotError;
use crate::memory::Memory;
use crate::slots::parts::Slot;
use crate::slots::view::SlotsView;

/// Copies `bytes` into a slot on loan to the caller, by atomic accesses: a late reader of the slot's last sample copies at the same
/// time, and finds out afterwards.
pub(super) fn fill<M: Memory>(view: &SlotsView<M>, slot: &Slot<'_, M>, bytes: &[u8]) {
    let len = bytes.len().min(view.geometry().capacity as usize);
    // SAFETY: 1. a payload starts at a multiple of 4. 2. strides are multiples of 64, so the range rounded up to 4 is inside the slot.
    // 3. the memory is borrowed. 4. slots segments are mapped writable.
    unsafe { view.memory().copy_in(slot.payload_at(), &bytes[..len]) };
}

/// Address of the data of a slot on loan to the caller.
pub(super) fn data_ptr<M: Memory>(slot: &Slot<'_, M>, capacity: usize) -> *mut u8 {
    // SAFETY: the caller has checked that the slot is on loan to its allocator: by the protocol nobody else writes it, and nobody who
    // counts reads it. Nothing is accessed here; how long the pointer may be used is documented with `slot_data_ptr`.
    unsafe { slot.payload_mut(capacity) }
}

/// Address of a sample's data.
pub(super) fn read_ptr<M: Memory>(slot: &Slot<'_, M>, len: usize) -> *const u8 {
    // SAFETY: nothing is accessed here; how long the pointer may be used is documented with `slot_read_ptr`.
    unsafe { slot.payload(len) }
}

/// What a slot says about the sample of `generation`: its `unread` mask, or `None` if it does not hold that sample.
///
/// A claim zeroes `unread` before the next sample's first byte, and a commit writes the generation before it publishes: so a mask that
/// is not zero, loaded before the generation, is that of this very sample.
pub(super) fn holds<M: Memory>(slot: &Slot<'_, M>, generation: u32) -> Option<u32> {
    // ORDERING: Acquire, edge "publish"; pairs with the Release of `unread` at commit. Carries header and payload.
    let unread = slot.unread().load(Acquire);
    // ORDERING: Relaxed; carried by the Acquire above.
    (unread != 0 && slot.generation().load(Relaxed) == generation).then_some(unread)
}

/// Size of the sample that the slot holds, read once and checked.
pub(super) fn size<M: Memory>(slot: &Slot<'_, M>, capacity: usize) -> Result<usize, SlotError> {
    // ORDERING: Relaxed; carried by the Acquire in `holds`.
    let sample = slot.size().load(Relaxed) as usize;
    if sample <= capacity { Ok(sample) } else { Err(SlotError::SampleTooLarge { sample, slot_capacity: capacity }) }
}

/// Whether the slot still held the sample of `generation` after a copy out of it was made.
pub(super) fn still_holds<M: Memory>(view: &SlotsView<M>, slot: &Slot<'_, M>, generation: u32) -> bool {
    // ORDERING: Acquire fence, edge "reuse"; pairs with the Release fence after a reserve's claim: had the copy met a byte of the next
    // sample, the loads below would see the claim or what followed it.
    view.memory().fence(Acquire);
    holds(slot, generation).is_some()
}
