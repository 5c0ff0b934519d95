//! The owner's side: which slots are on loan, and the steps of reserve and commit.
//!
//! The layout has no room for loans, so they are in the owner's own memory, under the face's lock; of the shared words only the masks
//! are asked. What a peer writes elsewhere changes nothing here.

use alloc::vec::Vec;

use portable_atomic::Ordering::{Acquire, Relaxed, Release};

use super::view::{Slot, View};
use crate::memory::{Memory, MemoryCas};
use crate::seeds::SlotError;

/// What the owner knows of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Never used, or its loan was discarded.
    Empty,
    /// On loan, by the number drawn for it.
    Loan(u32),
    /// Holds the sample that loan became.
    Sample { loan: u32, sequence: u32 },
}

/// The owner's own account of its segment.
#[derive(Debug)]
pub(super) struct Owner {
    slots: Vec<State>,
    /// The next slot in ring order: where the oldest sample is, if they are read in turn.
    next: u32,
    /// The next sequence number.
    sequence: u32,
    /// The next loan's number.
    loan: u32,
}

impl Owner {
    /// An account that has room for `slots` slots, which [`open`](Self::open) fills in; `None` if there is no memory for it.
    pub(super) fn with_room(slots: u32) -> Option<Self> {
        let mut states = Vec::new();
        states.try_reserve_exact(slots as usize).ok()?;
        Some(Self { slots: states, next: 0, sequence: 0, loan: 0 })
    }

    /// `slots` empty slots.
    pub(super) fn open(&mut self, slots: u32) {
        self.slots.resize(slots as usize, State::Empty);
    }

    /// Claims a slot that every reader in `active` has read, in ring order; its index and the loan's number. O(slots) where few are free.
    pub(super) fn reserve<M: Memory>(&mut self, view: &View<M>, active: u32) -> Result<(u32, u32), SlotError> {
        let count = self.slots.len() as u32;
        for step in 0..count {
            // Below 2 * count, which may be more than 32 bits have.
            let index = ((u64::from(self.next) + u64::from(step)) % u64::from(count)) as u32;
            let (Some(state), Some(slot)) = (self.slots.get_mut(index as usize), view.slot(index)) else { continue };
            if !is_free(*state, &slot, active) {
                continue;
            }
            let loan = self.loan;
            *state = State::Loan(loan);
            self.loan = loan.wrapping_add(1);
            self.next = if index + 1 == count { 0 } else { index + 1 };
            withdraw(view.memory(), &slot);
            return Ok((index, loan));
        }
        Err(SlotError::NoFreeSlot)
    }

    /// Whether `loan` of slot `index` is out.
    pub(super) fn is_out(&self, index: u32, loan: u32) -> bool {
        self.slots.get(index as usize) == Some(&State::Loan(loan))
    }

    /// Publishes a loan, after filling it where bytes are given; the sequence number.
    pub(super) fn commit<M: Memory>(
        &mut self,
        view: &View<M>,
        slot: &Slot<'_, M>,
        loan: u32,
        len: u32,
        fill: Option<&[u8]>,
    ) -> Result<u32, SlotError> {
        let state = self.slots.get_mut(slot.index() as usize).filter(|state| **state == State::Loan(loan)).ok_or(SlotError::StaleHandle)?;
        if let Some(bytes) = fill {
            slot.copy_in(bytes);
        }
        let sequence = self.sequence;
        self.sequence = sequence.wrapping_add(1);
        *state = State::Sample { loan, sequence };
        publish(view, slot, sequence, len);
        Ok(sequence)
    }

    /// Ends a loan without a sample.
    pub(super) fn discard(&mut self, index: u32, loan: u32) -> Result<(), SlotError> {
        let state = self.slots.get_mut(index as usize).filter(|state| **state == State::Loan(loan)).ok_or(SlotError::StaleHandle)?;
        *state = State::Empty;
        Ok(())
    }

    /// Has sample `sequence` of a slot count as read by `readers`; those that had not read it. The slot is not given out meanwhile, so the
    /// bits fall into no other sample's mask, and whatever other bits are in it stay.
    pub(super) fn evict<M: MemoryCas>(&self, slot: &Slot<'_, M>, sequence: u32, readers: u32) -> Result<u32, SlotError> {
        let holds = |state: &&State| matches!(state, State::Sample { sequence: held, .. } if *held == sequence);
        self.slots.get(slot.index() as usize).filter(holds).ok_or(SlotError::StaleHandle)?;
        // ORDERING: Relaxed; whoever takes the slot has this lock, and what the readers read is theirs to look after.
        let before = slot.mask().fetch_or(readers, Relaxed);
        Ok(readers & !before)
    }

    /// The sequence number of the sample that a loan became, if its slot still holds it.
    pub(super) fn sequence_of(&self, index: u32, loan: u32) -> Option<u32> {
        match self.slots.get(index as usize)? {
            State::Sample { loan: became, sequence } if *became == loan => Some(*sequence),
            _ => None,
        }
    }
}

fn is_free<M: Memory>(state: State, slot: &Slot<'_, M>, active: u32) -> bool {
    match state {
        State::Empty => true,
        State::Loan(_) => false,
        // ORDERING: Acquire, edge "read"; pairs with the Release of a mark: what its reader read was read before anything is written here.
        State::Sample { .. } => slot.mask().load(Acquire) & active == active,
    }
}

/// Takes the old sample out of sight before a byte of the next is written: first for whoever looks at the mask, then for all.
fn withdraw<M: Memory>(memory: &M, slot: &Slot<'_, M>) {
    // ORDERING: Relaxed, both; carried by the fence.
    slot.mask().store(u32::MAX, Relaxed);
    slot.size().store(0, Relaxed);
    // ORDERING: Release fence, edge "reuse"; pairs with the Acquire fence behind a copy, and with the Acquire of the number: whoever copies a
    // byte that is written from here on finds the size changed, and whoever sees the next number sees neither mask nor size of this sample.
    memory.fence(Release);
}

/// Makes a filled slot the sample `sequence` of `len` bytes. The last store is the publication: until then the mask says that everybody has
/// read, so that a reader of any kind passes the slot over.
fn publish<M: Memory>(view: &View<M>, slot: &Slot<'_, M>, sequence: u32, len: u32) {
    // ORDERING: Relaxed; carried by the sequence number: who sees that sees how far the numbers have come.
    view.next().store(sequence.wrapping_add(1), Relaxed);
    // ORDERING: Relaxed; behind the Release fence of the withdrawal, which it carries to the Acquire of `look`, edge "reuse".
    slot.sequence().store(sequence, Relaxed);
    // ORDERING: Release, edge "commit"; pairs with the Acquire of `look` and `still_holds`. Carries the number and the bytes.
    slot.size().store(len, Release);
    // ORDERING: Release, edge "publish"; pairs with the Acquire of `look` and `mark`. Carries number, size and bytes.
    slot.mask().store(0, Release);
}
