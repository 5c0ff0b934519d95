//! Readers that are declared gone, and that come back.
//!
//! `disconnected` is set before the sweep: a commit between the two is masked by the bit, one before it is swept. It is cleared after
//! a sweep, so that who comes back owes nothing from before; and then comes another behind a full fence, as in a join (edge "again"): of a
//! slot that a reserve takes because it saw the bit set, the publication is seen, and what it is owed is not shown.

use portable_atomic::Ordering::{Relaxed, Release};

use super::error::SlotError;
use crate::index::ReaderIndex;
use crate::layout::control::{STATE_CLEAN, STATE_EVICTED, STATE_IN_USE, STATE_MASK, STATE_SEEDS};
use crate::memory::MemoryCas;
use crate::os::{Lock, Os};
use crate::registry::clean;
use crate::segment::{Segment, SlotsOs};
use crate::slots::Protocol;

/// How often an index that is just changing hands is looked at again.
const TRIES: u32 = 1000;

impl<M: MemoryCas, O: Os> Protocol<'_, M, O> {
    /// Declares a reader of the seeds' face gone: all it owes is free of it, and what comes does not count it.
    pub(crate) fn disconnect(self, reader: ReaderIndex) {
        // ORDERING: Release, edge "disconnect"; pairs with the Acquire of a reserve.
        self.view.disconnected().fetch_or(reader.bit(), Release);
        self.view.memory().fence_full();
        self.sweep_and_tell(reader);
    }

    /// Recovers a dead reader of either face, whose lock the caller holds and whose entry said `state`. One of this face never was
    /// active: what frees its slots is its disconnection. An evicted one may have been of this face, and its evictor may have died
    /// before it came to that.
    pub(crate) fn recover_reader_in(self, reader: ReaderIndex, state: u32) {
        if matches!(state & STATE_MASK, STATE_SEEDS | STATE_EVICTED) {
            self.disconnect(reader);
        }
        self.recover_reader(reader);
    }

    /// A reader that was disconnected counts again, and owes nothing committed so far.
    pub(super) fn reconnect(self, reader: ReaderIndex) {
        self.sweep_bit(reader);
        // ORDERING: Release; who sees the bit cleared sees the sweep.
        self.view.disconnected().fetch_and(!reader.bit(), Release);
        // Full fence, edge "again".
        self.view.memory().fence_full();
        self.sweep_bit(reader);
        self.tell_of_freed_slots();
    }

    /// Whether a reader of the seeds' face is disconnected.
    #[inline]
    pub(super) fn is_disconnected(self, reader: ReaderIndex) -> bool {
        // ORDERING: Relaxed; a declaration has no moment it could be exact at.
        self.view.disconnected().load(Relaxed) & reader.bit() != 0
    }

    fn sweep_and_tell(self, reader: ReaderIndex) {
        self.sweep_bit(reader);
        self.tell_of_freed_slots();
    }
}

/// Who has a reader's lock.
enum Holder<C> {
    /// Nobody had it: the caller has it now.
    Nobody(C),
    /// Somebody of the seeds' face.
    Seeds,
    /// A registered reader of the safe face.
    Registered,
}

/// `mark_reader_disconnected`. While its lock is free it is held, so that no reader of the safe face joins with the index meanwhile.
pub(super) fn mark_disconnected<O: SlotsOs>(segment: &Segment<O>, reader: ReaderIndex) -> Result<(), SlotError> {
    let entry = segment.view().reader_entry(reader).ok_or(SlotError::OutOfBounds)?;
    match holder(segment, reader)? {
        Holder::Registered => return Err(SlotError::ReaderTaken),
        Holder::Seeds => {
            // Under the lock of evictions nobody joins: the index cannot become a registered reader's in the midst of the sweep.
            let _eviction = segment.claim_eviction()?.ok_or(SlotError::ReaderTaken)?;
            // ORDERING: Relaxed; whoever joins needs the lock.
            if entry.state().load(Relaxed) & STATE_MASK == STATE_IN_USE {
                return Err(SlotError::ReaderTaken);
            }
            segment.protocol().disconnect(reader);
        }
        Holder::Nobody(held) => {
            // ORDERING: Relaxed; the lock is ours, and came with what its last holder stored.
            let state = entry.state().load(Relaxed);
            let is_dead = !matches!(state & STATE_MASK, STATE_CLEAN | STATE_EVICTED);
            if is_dead {
                segment.protocol().recover_reader(reader);
            }
            segment.protocol().disconnect(reader);
            if is_dead {
                // ORDERING: Release, last: a recoverer that dies before this is followed by another. Failure: an eviction came between.
                let _ = entry.state().compare_exchange(state, clean(state), Release, Relaxed);
            }
            drop(held);
        }
    }
    Ok(())
}

fn holder<O: SlotsOs>(segment: &Segment<O>, reader: ReaderIndex) -> Result<Holder<crate::os::ClaimOf<O>>, SlotError> {
    let entry = segment.view().reader_entry(reader).ok_or(SlotError::OutOfBounds)?;
    for _ in 0..TRIES {
        if let Some(held) = segment.claim(Lock::reader(reader.get() as u8))? {
            return Ok(Holder::Nobody(held));
        }
        // ORDERING: Relaxed; what the holder is changes only with the lock.
        match entry.state().load(Relaxed) & STATE_MASK {
            STATE_SEEDS => return Ok(Holder::Seeds),
            // Just taken or just given back, or recovered by somebody: look again.
            STATE_CLEAN => core::hint::spin_loop(),
            _ => return Ok(Holder::Registered),
        }
    }
    Ok(Holder::Registered)
}
