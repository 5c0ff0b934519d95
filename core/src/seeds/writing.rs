//! The writer's side of a face: its writer entry, where it looks for free slots, and its loans.
//!
//! Loans are in shared memory (a slot's state word names owner and generation); what is here is private bookkeeping under the
//! face's lock, which also makes "is it on loan" and "commit it" one step for the threads of this process.

use portable_atomic::Ordering::{Acquire, Relaxed, Release};

use super::change;
use super::error::{SlotError, no_writer};
use super::payload;
use crate::index::{WriterIndex, first_bits};
use crate::layout::control::STATE_SEEDS;
use crate::layout::slots::OWNER_SHIFT;
use crate::memory::Memory;
use crate::os::MemoryOf;
use crate::registry::{Claimed, clean};
use crate::segment::{Segment, SlotsOs};
use crate::slots::Protocol;
use crate::slots::decide::{owner_field, owner_of};
use crate::slots::reserve::Reserved;
use crate::slots::parts::Slot;
use crate::slots::straggler::TakenBack;

/// Slots tried in ring order before slots count as scarce.
const PROBES: u32 = 8;
/// Slots committed last, tried first when payloads are large: in ring order those leave the last-level cache.
const RECENT: usize = 4;
/// From this capacity on payloads are large.
const LARGE: u32 = 32 * 1024;
/// While slots are scarce, every so many reserves one slot in ring order is tried, to see whether they still are.
const SCARCE_PROBE: u32 = 16;
/// So many of those in a row found free end the scarcity.
const PLENTIFUL: u32 = 8;
/// Milliseconds between two looks for dead owners.
pub(super) const RECOVERY_INTERVAL_MS: usize = 10;

type ProtocolOf<'s, O> = Protocol<'s, MemoryOf<O>, O>;

/// The writer's side of a face.
pub(crate) struct Writing<O: SlotsOs> {
    claimed: Option<Claimed<O, WriterIndex>>,
    /// The next position.
    position: u32,
    /// The next slot in ring order.
    next: u32,
    recent: [u32; RECENT],
    /// Which of `recent` is the oldest.
    oldest: usize,
    /// Loans that are out.
    loans: u32,
    scarce_reserves: u32,
    plenty: u32,
    /// What the last look over all slots that found none free was made with.
    failed: Option<Failed>,
    /// Threads registered in `change_waiters`.
    pub(super) waiting: u32,
}

/// Nothing was free for these readers at this generation: while nothing moves, nothing is.
#[derive(Clone, Copy)]
struct Failed {
    generation: u64,
    active: u32,
    connected: u32,
}

impl<O: SlotsOs> Writing<O> {
    pub(super) const fn new() -> Self {
        Self {
            claimed: None,
            position: 0,
            next: 0,
            recent: [u32::MAX; RECENT],
            oldest: 0,
            loans: 0,
            scarce_reserves: 0,
            plenty: 0,
            failed: None,
            waiting: 0,
        }
    }

    /// The writer entry, claimed at the first call.
    pub(super) fn entry(&mut self, segment: &Segment<O>) -> Result<WriterIndex, SlotError> {
        if let Some(claimed) = &self.claimed {
            return Ok(claimed.index);
        }
        let claimed = segment.claim_writer(STATE_SEEDS).map_err(no_writer)?;
        let index = claimed.index;
        let geometry = segment.geometry();
        // ORDERING: Relaxed; the entry is ours, its lock came with what its last holder stored.
        let head = segment.view().writer_entry(index).map_or(0, |entry| entry.head().load(Relaxed));
        self.position = head.wrapping_add(geometry.ring_len);
        // Writers start far from each other, so that they do not meet at the same slots.
        self.next = (u64::from(index.get()) * u64::from(geometry.slots) / u64::from(geometry.writers)) as u32;
        self.claimed = Some(claimed);
        Ok(index)
    }

    /// Claims a slot that is free for the readers of `wanted` and for the active ones.
    pub(super) fn reserve(&mut self, segment: &Segment<O>, wanted: u32) -> Result<Reserved, SlotError> {
        let me = self.entry(segment)?;
        let view = segment.view();
        let named = wanted & first_bits(view.geometry().readers);
        let got = self.find(segment.protocol(), me, named).ok_or(SlotError::NoFreeSlot)?;
        // ORDERING: Release fence, edge "reuse"; pairs with the Acquire fence of a late reader's `read_slot`: whoever copies a byte that
        // is written from here on finds the claim when it looks again.
        view.memory().fence(Release);
        self.loans = self.loans.wrapping_add(1);
        Ok(got)
    }

    fn find(&mut self, protocol: ProtocolOf<'_, O>, me: WriterIndex, named: u32) -> Option<Reserved> {
        if protocol.view.geometry().capacity >= LARGE
            && let Some(got) = self.find_recent(protocol, me, named)
        {
            return Some(got);
        }
        if protocol.is_scarce() {
            if let Some(got) = self.probe_for_plenty(protocol, me, named) {
                return Some(got);
            }
        } else {
            for _ in 0..PROBES {
                if let Some(got) = self.probe(protocol, me, named) {
                    return Some(got);
                }
            }
            self.plenty = 0;
            protocol.become_scarce();
        }
        self.find_marked(protocol, me, named).or_else(|| self.find_anywhere(protocol, me, named))
    }

    /// Tries the next slot in ring order.
    #[inline]
    fn probe(&mut self, protocol: ProtocolOf<'_, O>, me: WriterIndex, named: u32) -> Option<Reserved> {
        let slot = self.next;
        self.next = if slot + 1 >= protocol.view.geometry().slots { 0 } else { slot + 1 };
        protocol.claim(me, slot, named)
    }

    /// Every so often: are slots still scarce?
    fn probe_for_plenty(&mut self, protocol: ProtocolOf<'_, O>, me: WriterIndex, named: u32) -> Option<Reserved> {
        self.scarce_reserves = self.scarce_reserves.wrapping_add(1);
        if !self.scarce_reserves.is_multiple_of(SCARCE_PROBE) {
            return None;
        }
        let got = self.probe(protocol, me, named);
        self.plenty = if got.is_some() { self.plenty + 1 } else { 0 };
        if self.plenty >= PLENTIFUL {
            protocol.become_plentiful();
        }
        got
    }

    /// Tries the slots committed last, the last but one first: the last is most likely still being read.
    fn find_recent(&self, protocol: ProtocolOf<'_, O>, me: WriterIndex, named: u32) -> Option<Reserved> {
        let newest = self.oldest + RECENT - 1;
        [1, 2, 3, 0].into_iter().find_map(|back| {
            let slot = self.recent[(newest - back) % RECENT];
            protocol.claim(me, slot, named)
        })
    }

    /// Takes marked slots out of the free map until one can be claimed; at most as many as there are slots.
    fn find_marked(&self, protocol: ProtocolOf<'_, O>, me: WriterIndex, named: u32) -> Option<Reserved> {
        (0..protocol.view.geometry().slots).map_while(|_| protocol.pop_marked()).find_map(|slot| protocol.claim(me, slot, named))
    }

    /// Looks at every slot, so that "none is free" is true whatever the map shows (another mask may have taken the mark away); not
    /// again while nothing has moved since.
    fn find_anywhere(&mut self, protocol: ProtocolOf<'_, O>, me: WriterIndex, named: u32) -> Option<Reserved> {
        let view = protocol.view;
        // Before the look: what moves during it makes the next look worth while.
        // ORDERING: Acquire, edge "leave", for `active`. Relaxed, for `disconnected`; compared only, as the claims load it again: whoever set
        // it may have died before it moved a counter.
        let connected = named & !view.disconnected().load(Relaxed);
        let now = Failed { generation: change::generation(view), active: view.active().load(Acquire), connected };
        let is_known = self
            .failed
            .is_some_and(|failed| failed.generation == now.generation && failed.active == now.active && failed.connected & !connected == 0);
        if is_known {
            return None;
        }
        let got = (0..view.geometry().slots).find_map(|slot| protocol.claim(me, slot, named));
        self.failed = if got.is_none() { Some(now) } else { None };
        got
    }

    /// The loan of `generation` on `slot`, if it is out and ours, and our index.
    pub(super) fn loan(&self, slot: &Slot<'_, MemoryOf<O>>, generation: u32) -> Result<(WriterIndex, Reserved), SlotError> {
        let claimed = self.claimed.as_ref().ok_or(SlotError::StaleHandle)?;
        let mine = generation | owner_field(claimed.index.get()) << OWNER_SHIFT;
        // ORDERING: Relaxed; only we, or our recoverer after our death, write the state of a slot that we own.
        let is_ours = slot.state().load(Relaxed) == mine;
        Reserved::new(slot.index(), mine).filter(|_| is_ours).map(|loan| (claimed.index, loan)).ok_or(SlotError::StaleHandle)
    }

    /// Publishes a loan, after filling it where `fill` is given; the sequence number.
    pub(super) fn commit(
        &mut self,
        segment: &Segment<O>,
        slot: &Slot<'_, MemoryOf<O>>,
        generation: u32,
        len: u32,
        fill: Option<&[u8]>,
    ) -> Result<u32, SlotError> {
        let (me, loan) = self.loan(slot, generation)?;
        if let Some(bytes) = fill {
            payload::fill(segment.view(), slot, bytes);
        }
        let position = self.position;
        segment.protocol().commit(me, loan, position, len, true, false, 0).map_err(|_| SlotError::StaleHandle)?;
        self.position = position.wrapping_add(1);
        self.loans = self.loans.wrapping_sub(1);
        self.recent[self.oldest] = slot.index();
        self.oldest = (self.oldest + 1) % RECENT;
        Ok(position.wrapping_sub(segment.geometry().ring_len))
    }

    /// Ends a loan without a sample.
    pub(super) fn discard(&mut self, segment: &Segment<O>, slot: &Slot<'_, MemoryOf<O>>, generation: u32) -> Result<(), SlotError> {
        let (me, loan) = self.loan(slot, generation)?;
        segment.protocol().discard(me, loan.slot(), loan.state()).map_err(|_| SlotError::StaleHandle)?;
        self.loans = self.loans.wrapping_sub(1);
        Ok(())
    }

    /// Takes the sample of `generation` in slot `index` back from those of `readers` that owe it; which those were.
    pub(super) fn take_back(&mut self, segment: &Segment<O>, index: u32, generation: u32, readers: u32) -> Result<u32, SlotError> {
        let me = self.entry(segment)?;
        match segment.protocol().take_back(me, index, generation, readers) {
            TakenBack::From(evicted) => Ok(evicted),
            TakenBack::Busy => Err(SlotError::SlotBusy),
            TakenBack::Gone => Err(SlotError::StaleHandle),
        }
    }

    /// Gives the writer entry back, and the loans that are out.
    pub(super) fn leave(&mut self, segment: &Segment<O>) {
        let Some(claimed) = self.claimed.take() else { return };
        if self.loans != 0 {
            for slot in segment.view().slots() {
                // ORDERING: Relaxed; our own slots.
                let state = slot.state().load(Relaxed);
                if owner_of(state) == owner_field(claimed.index.get()) {
                    let _ = segment.protocol().discard(claimed.index, slot.index(), state);
                }
            }
        }
        // ORDERING: Release, edge "close"; pairs with the Acquire of a safe reader's empty take. Carries the last commit.
        segment.view().closed().fetch_or(claimed.index.bit(), Release);
        segment.protocol().notify_all();
        if let Some(entry) = segment.view().writer_entry(claimed.index) {
            // ORDERING: Release, last: a death before this is recovered.
            entry.state().store(clean(claimed.state), Release);
        }
    }
}
