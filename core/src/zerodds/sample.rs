//! What readers do with one slot: look at its header, copy its sample, mark it.

use portable_atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use super::view::Slot;
use crate::memory::{Memory, MemoryCas};

/// How often a header is read again that changes while it is read.
const LOOKS: u32 = 4;

/// A sample's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) sequence: u32,
    pub(super) size: u32,
    pub(super) mask: u32,
}

/// The header of the sample that the slot holds; `None` if it holds none, or changes each time it is looked at. The size is alleged.
///
/// Where our owner writes, a bit that is 0 in the mask is of the sample of that number, and so is the size: who sees a sequence number
/// sees the mask of all ones before it (or a later mask), and who sees the mask of a publication sees its number.
pub(super) fn look<M: Memory>(slot: &Slot<'_, M>) -> Option<Seen> {
    for _ in 0..LOOKS {
        // ORDERING: Acquire, edge "commit"; pairs with the Release of the number. Carries the mask before it, and the bytes.
        let sequence = slot.sequence().load(Acquire);
        // ORDERING: Acquire, edge "commit"; pairs with the Release of the size. Carries the number.
        let size = slot.size().load(Acquire);
        if size == 0 {
            return None;
        }
        // ORDERING: Acquire, edge "publish"; pairs with the Release of the mask at commit. Carries number, size and bytes.
        let mask = slot.mask().load(Acquire);
        // ORDERING: Relaxed; ordered behind the Acquire loads above.
        if slot.sequence().load(Relaxed) == sequence {
            return Some(Seen { sequence, size, mask });
        }
    }
    None
}

/// Whether the slot shows nothing that reader `bit` could want: a hint.
pub(super) fn is_settled<M: Memory>(slot: &Slot<'_, M>, bit: u32) -> bool {
    // ORDERING: Relaxed, both; whoever waits for a change has seen the generation of the last one it knows, which carries these.
    slot.mask().load(Relaxed) & bit != 0 || slot.size().load(Relaxed) == 0
}

/// The header of sample `sequence`, if the slot holds it.
pub(super) fn find<M: Memory>(slot: &Slot<'_, M>, sequence: u32) -> Option<Seen> {
    look(slot).filter(|seen| seen.sequence == sequence)
}

/// Whether the slot still held sample `sequence`, of `size` bytes, after a copy out of it.
pub(super) fn still_holds<M: Memory>(memory: &M, slot: &Slot<'_, M>, seen: Seen) -> bool {
    // ORDERING: Acquire fence, edge "reuse"; pairs with the Release fence of a reserve. Had the copy met a byte of the next sample, the size
    // below would be that of a slot on loan, or what came after.
    memory.fence(Acquire);
    // ORDERING: Acquire, edge "commit"; pairs with the Release of the size. A next sample of the same size shows its number.
    slot.size().load(Acquire) == seen.size && slot.sequence().load(Relaxed) == seen.sequence
}

/// What became of a mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// The slot holds the sample, and the bit is set.
    Made,
    /// The slot does not hold the sample (any more); nothing was changed.
    Stale,
    /// The slot moved on between the look and the bit, which may have been another sample's for a moment.
    TakenBack,
}

/// Marks sample `sequence` read by the reader of `bit`.
pub(super) fn mark<M: MemoryCas>(slot: &Slot<'_, M>, sequence: u32, bit: u32) -> Mark {
    if find(slot, sequence).is_none() {
        return Mark::Stale;
    }
    // ORDERING: AcqRel. Release, edge "read"; pairs with the Acquire of the mask at reserve: what the reader read was read before. Acquire,
    // edge "publish": a bit that fell into the mask of a next sample shows that sample's number below.
    let before = slot.mask().fetch_or(bit, AcqRel);
    // ORDERING: Acquire, edge "commit"; pairs with the Release of the size. Relaxed, the number; carried by that and the exchange above.
    let size = slot.size().load(Acquire);
    if size != 0 && slot.sequence().load(Relaxed) == sequence {
        return Mark::Made;
    }
    // A bit that was set before changed nothing, and the mask of a slot that is on loan is overwritten by its commit. Any other bit may hide
    // the next sample from its reader.
    if before & bit == 0 && size != 0 {
        // ORDERING: Relaxed; nothing is carried, the bump that follows tells the reader to look again.
        slot.mask().fetch_and(!bit, Relaxed);
    }
    Mark::TakenBack
}

/// Declares that the reader of `bit` needs nothing that the slot holds.
pub(super) fn give_up<M: MemoryCas>(slot: &Slot<'_, M>, bit: u32) {
    // ORDERING: Release, edge "read"; pairs with the Acquire of the mask at reserve.
    slot.mask().fetch_or(bit, Release);
}
