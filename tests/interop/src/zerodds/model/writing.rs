//! Reserve, commit, discard, and the wait.

use super::super::call::Outcome;
use super::super::difference::Difference;
use super::segment::{Entry, Sample, Slot};
use super::{Handle, Meaning, Model, Wrong, want};

/// Why a slot is free for a reserve, or is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Free {
    Yes,
    No,
    /// Only on their side, for these reasons.
    AsTheirs {
        is_loaned: bool,
        is_empty_sample: bool,
    },
    /// Only on our side: who owes it was declared gone.
    AsOurs,
}

impl Model {
    /// The writer entry of an allocator, taken at first: the first that is free.
    fn entry(&mut self, place: usize) -> usize {
        if let Some(entry) = self.allocators[place].as_ref().and_then(|open| open.entry) {
            return entry;
        }
        let Some(segment) = self.segment_of(place) else { return 0 };
        let entry = segment.entries.iter().position(|entry| !entry.is_taken).unwrap_or_else(|| {
            segment.entries.push(Entry::default());
            segment.entries.len() - 1
        });
        segment.entries[entry].is_taken = true;
        if let Some(open) = self.allocators[place].as_mut() {
            open.entry = Some(entry);
        }
        entry
    }

    pub(super) fn reserve(&mut self, party: usize, place: usize, active: u32, kept: usize, got: &Outcome) -> Result<Meaning, Wrong> {
        if self.allocators[place].is_none() {
            return want(got, &Outcome::Absent);
        }
        self.entry(place);
        let Some(segment) = self.segment_of(place) else { return want(got, &Outcome::Absent) };
        let gone = segment.disconnected;
        let frees: Vec<Free> = segment.slots.iter().map(|slot| free(slot, place, active, gone)).collect();
        let is_theirs = self.is_theirs;
        let counts = |free: Free| match free {
            Free::Yes => true,
            Free::No => false,
            Free::AsTheirs { .. } => is_theirs,
            Free::AsOurs => !is_theirs,
        };
        if !is_theirs && frees.contains(&Free::AsOurs) {
            self.lacks(Difference::DisconnectedCountsAgain);
        }
        let Some(lowest) = frees.iter().position(|free| counts(*free)) else {
            return want(got, &Outcome::Slot(Err("NoFreeSlot".into())));
        };
        let &Outcome::Slot(Ok(slot)) = got else { return Err(format!("a slot is free, such as {lowest}")) };
        let chosen = *frees.get(slot as usize).ok_or("there is no such slot")?;
        if !counts(chosen) || is_theirs && slot as usize != lowest {
            return Err(format!("that slot is not the one: they are {frees:?}"));
        }
        if let Free::AsTheirs { is_loaned, is_empty_sample } = chosen {
            let _ = is_loaned && self.has(Difference::LoansUnseenByOthers);
            let _ = is_empty_sample && self.has(Difference::EmptySampleLost);
        }
        let _ = slot as usize != lowest && self.lacks(Difference::SlotChoice);
        Ok(self.lend(party, place, slot, kept))
    }

    fn lend(&mut self, party: usize, place: usize, index: u32, kept: usize) -> Meaning {
        let (segment, is_theirs) = (self.allocators[place].as_ref().map_or(0, |open| open.segment), self.is_theirs);
        let slot = &mut self.segments[segment].slots[index as usize];
        slot.generation += 1;
        slot.loan = Some(place);
        slot.loaned |= 1 << place;
        if !is_theirs {
            slot.sample = None;
        }
        self.kept[party][kept] = Some(Handle { segment, slot: index, generation: slot.generation });
        Meaning::Done
    }

    /// Whether the handle is a loan of this allocator that is out.
    fn is_live(&mut self, place: usize, handle: Handle) -> bool {
        let slot = self.at(handle);
        slot.loan == Some(place) && slot.generation == handle.generation
    }

    /// `Ok` where the loan is out or the side does without.
    fn loan(&mut self, place: usize, handle: Handle, otherwise: Difference) -> Result<(), String> {
        if self.is_live(place, handle) || self.has(otherwise) { Ok(()) } else { Err("StaleHandle".into()) }
    }

    pub(super) fn commit(&mut self, place: usize, handle: Handle, len: usize, fill: Option<u8>) -> Result<u32, String> {
        let is_small = self.segment_of(place).is_some_and(|segment| len <= segment.capacity);
        let slot_capacity = if is_small { self.capacity(place) } else { self.capacity_told(place) };
        let too_large = format!("SampleTooLarge({len}, {slot_capacity})");
        let is_sane = self.allocators[place].as_ref().is_some_and(|open| open.segment == handle.segment);
        if self.is_theirs && len > slot_capacity {
            let _ = (!is_sane || handle.slot == super::FAR) && self.has(Difference::SizeCheckedFirst);
            return Err(too_large);
        }
        let found = self.slot(place, handle);
        if self.is_theirs && found.is_err() {
            // Its number is drawn before the index is looked at.
            if let Some(segment) = self.segment_of(place) {
                segment.next_number = segment.next_number.wrapping_add(1);
                segment.burnt += 1;
            }
        }
        let handle = found?;
        if len > slot_capacity {
            return Err(too_large);
        }
        self.loan(place, handle, Difference::CommitWithoutLoan)?;
        if let Some(fill) = fill {
            self.fill(place, handle.slot, fill, len);
        }
        self.moves = Some(true);
        Ok(self.publish(place, handle, len))
    }

    /// The loan becomes a sample.
    fn publish(&mut self, place: usize, handle: Handle, len: usize) -> u32 {
        let (writer, id, is_theirs) = (self.entry(place), self.steps, self.is_theirs);
        let segment = &mut self.segments[handle.segment];
        let own = segment.entries[writer].commits;
        segment.entries[writer].commits = own.wrapping_add(1);
        let number = if is_theirs { segment.next_number } else { own };
        segment.next_number = segment.next_number.wrapping_add(1);
        let (order, burnt) = (segment.samples, segment.burnt);
        segment.samples += 1;
        let slot = &mut segment.slots[handle.slot as usize];
        if slot.loan != Some(place) || slot.generation != handle.generation {
            slot.generation += 1;
        }
        slot.sample = Some(Sample { id, order, writer, generation: slot.generation });
        (slot.number, slot.size, slot.read_by) = (number, len as u32, 0);
        slot.loan = None;
        slot.loaned &= !(1 << place);
        let _ = burnt != 0 && self.has(Difference::RefusedCommitBurnsNumber);
        let _ = number.wrapping_sub(burnt) != own && self.has(Difference::NumbersPerWriter);
        number
    }

    /// `len` bytes of a slot become `fill`.
    pub(super) fn fill(&mut self, place: usize, index: u32, fill: u8, len: usize) {
        let Some(slot) = self.segment_of(place).and_then(|segment| segment.slots.get_mut(index as usize)) else { return };
        slot.bytes[..len].fill(fill);
    }

    pub(super) fn data_ptr(&mut self, place: usize, handle: Handle) -> Result<usize, String> {
        let handle = self.slot(place, handle)?;
        if !self.is_live(place, handle) {
            if self.at(handle).loaned & (1 << place) == 0 {
                return Err(if self.has(Difference::StaleIsOutOfBounds) { "OutOfBounds" } else { "StaleHandle" }.into());
            }
            self.loan(place, handle, Difference::PointerIntoAnothersLoan)?;
        }
        Ok(self.capacity_told(place))
    }

    pub(super) fn discard(&mut self, place: usize, handle: Handle) -> Result<(), String> {
        let handle = self.slot(place, handle)?;
        self.loan(place, handle, Difference::DiscardWithoutLoan)?;
        let slot = self.at(handle);
        slot.loaned &= !(1 << place);
        if slot.loan == Some(place) {
            slot.loan = None;
            slot.generation += 1;
        }
        self.moves = Some(true);
        Ok(())
    }

    pub(super) fn wait(&mut self, place: usize, is_stale: bool, got: &Outcome) -> Result<Meaning, Wrong> {
        if self.allocators[place].is_none() {
            return want(got, &Outcome::Absent);
        }
        if !is_stale {
            // It is as a writer that an allocator of ours waits.
            self.entry(place);
        }
        want(got, &Outcome::Done(Ok(())))
    }
}

/// Whether a reserve naming the readers of `active` may take the slot.
fn free(slot: &Slot, place: usize, active: u32, gone: u32) -> Free {
    let owed = |named: u32| slot.sample.is_some() && slot.read_by & named != named;
    let (mine, is_empty) = (1 << place, slot.size == 0);
    // Theirs: loans of others are not seen, and neither is an empty sample.
    let as_theirs = slot.loaned & mine == 0 && (is_empty || slot.read_by & active == active);
    let as_ours = slot.loan.is_none() && !owed(active & !gone);
    match (as_theirs, as_ours) {
        (true, true) => Free::Yes,
        (false, false) => Free::No,
        (true, false) => Free::AsTheirs { is_loaned: slot.loan.is_some(), is_empty_sample: is_empty && owed(active) },
        (false, true) => Free::AsOurs,
    }
}
