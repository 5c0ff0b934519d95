//! What readers do with one slot: look at its header, copy its sample, mark it.

use portable_atomic::Ordering::{Acquire, Relaxed, Release};

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
/// sees the mask of all ones before it (or a later mask), and who sees the mask of a publication sees its number and size. The crate
/// stores number, size and mask in this order as it is compiled for x86-64, which comes to the same for a reader that it waits for: what the
/// mask shows unread is of the number and size that are there after it.
pub(super) fn look<M: Memory>(slot: &Slot<'_, M>) -> Option<Seen> {
    for _ in 0..LOOKS {
        // ORDERING: Acquire, edge "reuse"; pairs with the Release fence of the reserve before it. Carries the withdrawal: neither size nor mask
        // below is of a sample before.
        let sequence = slot.sequence().load(Acquire);
        // ORDERING: Acquire, edge "commit"; pairs with the Release of the size. Carries the number.
        let size = slot.size().load(Acquire);
        if size == 0 {
            return None;
        }
        // ORDERING: Acquire, edge "publish"; pairs with the Release of the mask at commit. Carries number, size and bytes.
        let mask = slot.mask().load(Acquire);
        // ORDERING: Relaxed, both; ordered behind the Acquire loads above.
        if slot.sequence().load(Relaxed) == sequence && slot.size().load(Relaxed) == size {
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
    /// The bit was set while the slot held the sample.
    Made,
    /// The slot does not hold the sample (any more); nothing was changed.
    Stale,
    /// The slot moved on between the look and the bit, which was another sample's for a moment.
    TakenBack,
}

/// Marks sample `sequence` read by the reader of `bit`. Not called by two threads for one reader at a time: the one would take the mark of the
/// other back.
pub(super) fn mark<M: MemoryCas>(slot: &Slot<'_, M>, sequence: u32, bit: u32) -> Mark {
    if find(slot, sequence).is_none() {
        return Mark::Stale;
    }
    // ORDERING: Release, edge "read"; pairs with the Acquire of the mask at reserve: what the reader read was read before.
    let before = slot.mask().fetch_or(bit, Release);
    // A bit that was set already changed nothing: the sample was marked before, or the slot is being filled anew.
    if before & bit != 0 {
        return Mark::Made;
    }
    // All ones is the mask of a slot being filled, whose commit takes the bit away, or of a sample that all 32 have read, where the bit would hide
    // it for good: it can be the second if all the others had read what the bit fell into. Between its size and its mask a commit looks so,
    // too, for an instruction, or as long as its thread is stopped: hence some looks.
    let is_last = before | bit == u32::MAX;
    let mut looks = LOOKS;
    for _ in 0..=u32::BITS + LOOKS {
        // ORDERING: Acquire, edge "publish"; pairs with the Release of the mask at commit, which the bits behind it go on: had the bit fallen
        // into the mask of a next sample, its number is seen. Relaxed, the number; carried by that.
        let mask = slot.mask().load(Acquire);
        // The bit made the slot free, and it may be in use again: then the bit is gone.
        if mask & bit == 0 || slot.sequence().load(Relaxed) == sequence {
            return Mark::Made;
        }
        if mask == u32::MAX {
            // ORDERING: Relaxed; a hint: an old size shows a sample that is just withdrawn, and its mask is not looked at any more.
            if !is_last || slot.size().load(Relaxed) == 0 {
                return Mark::Made;
            }
            if looks > 0 {
                looks -= 1;
                core::hint::spin_loop();
                continue;
            }
        }
        // ORDERING: Relaxed, both; nothing is carried, the bump that follows tells the reader to look again.
        if slot.mask().compare_exchange(mask, mask & !bit, Relaxed, Relaxed).is_ok() {
            return Mark::TakenBack;
        }
        // Bounded: each failure is another reader's mark of the sample, or a slot that was used again.
    }
    Mark::TakenBack
}

/// Declares that the reader of `bit` needs nothing that the slot holds.
pub(super) fn give_up<M: MemoryCas>(slot: &Slot<'_, M>, bit: u32) {
    // ORDERING: Release, edge "read"; pairs with the Acquire of the mask at reserve.
    slot.mask().fetch_or(bit, Release);
}
