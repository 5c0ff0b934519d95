//! Finding, reading and marking samples; readers that are declared gone.

use super::super::call::{Outcome, Shown};
use super::super::difference::Difference;
use super::segment::{Sample, Slot};
use super::{Handle, Hold, Meaning, Model, Use, Wrong, want};

/// Readers that there can be.
const READERS: u8 = 32;

impl Model {
    /// The bit of a reader index.
    fn bit(&mut self, reader: u8) -> Result<u32, String> {
        if reader >= READERS && !self.has(Difference::ReaderIndexWraps) {
            return Err("OutOfBounds".into());
        }
        Ok(1 << (reader % READERS))
    }

    /// Ours: the reader index is in use by this allocator from now on; one that was declared gone begins anew.
    fn take_up(&mut self, place: usize, reader: u8) {
        let index = usize::from(reader % READERS);
        let Some(hold) = self.allocators[place].as_ref().map(|open| open.uses[index].hold) else { return };
        let Some(segment) = self.segment_of(place) else { return };
        let holder = segment.holders[index];
        if hold == Hold::Held || hold == Hold::Shared && holder.is_some() {
            return;
        }
        let new = if holder.is_none() {
            segment.holders[index] = Some(place);
            if segment.disconnected & (1 << index) != 0 {
                self.reconnect(place, index);
            }
            Hold::Held
        } else {
            Hold::Shared
        };
        if let Some(open) = self.allocators[place].as_mut() {
            // Shared with one that is gone: it goes on where it was.
            let shown = if hold == Hold::Shared { open.uses[index].shown } else { None };
            open.uses[index] = Use { hold: new, shown };
        }
    }

    fn reconnect(&mut self, place: usize, index: usize) {
        let Some(segment) = self.segment_of(place) else { return };
        segment.disconnected &= !(1 << index);
        segment.sweep(1 << index);
        self.moves = Some(true);
        self.lacks(Difference::ShownWhatItMissed);
    }

    pub(super) fn disconnect(&mut self, place: usize, reader: u8, got: &Outcome) -> Result<Meaning, Wrong> {
        if self.allocators[place].is_none() {
            return want(got, &Outcome::Absent);
        }
        let bit = match self.bit(reader) {
            Ok(bit) => bit,
            Err(error) => return want(got, &Outcome::Done(Err(error))),
        };
        let is_theirs = self.is_theirs;
        if let Some(segment) = self.segment_of(place) {
            segment.sweep(bit);
            if !is_theirs {
                segment.disconnected |= bit;
            }
        }
        self.moves = Some(true);
        want(got, &Outcome::Done(Ok(())))
    }

    pub(super) fn next(&mut self, party: usize, place: usize, reader: u8, kept: usize, got: &Outcome) -> Result<Meaning, Wrong> {
        if self.allocators[place].is_none() {
            return want(got, &Outcome::Absent);
        }
        let bit = match self.bit(reader) {
            Ok(bit) => bit,
            Err(error) => return want(got, &Outcome::Next(Err(error))),
        };
        if !self.is_theirs {
            self.take_up(place, reader);
        }
        let number = self.allocators[place].as_ref().map_or(0, |open| open.segment);
        let slots = self.segments[number].slots.clone();
        let owed: Vec<(u32, Sample)> =
            (0..).zip(&slots).filter(|(_, slot)| slot.read_by & bit == 0).filter_map(|(index, slot)| Some((index, slot.sample?))).collect();
        let Outcome::Next(Ok(next)) = got else { return Err("there should have been a slot, or none".into()) };
        let allowed: Vec<u32> = if self.is_theirs { self.next_as_theirs(&slots, &owed) } else { self.next_as_ours(place, reader, &owed) };
        let is_right = next.map_or(allowed.is_empty(), |slot| allowed.contains(&slot));
        if !is_right {
            return Err(format!("the next slot should have been one of {allowed:?}"));
        }
        let found = next.and_then(|slot| owed.iter().find(|(index, _)| *index == slot));
        if let Some((slot, sample)) = found {
            self.kept[party][kept] = Some(Handle { segment: number, slot: *slot, generation: sample.generation });
        }
        let id = found.map(|(_, sample)| sample.id);
        if let Some(open) = self.allocators[place].as_mut() {
            open.uses[usize::from(reader % READERS)].shown = id;
        }
        Ok(Meaning::Next(id))
    }

    /// The first in the order of slots that is not empty.
    fn next_as_theirs(&mut self, slots: &[Slot], owed: &[(u32, Sample)]) -> Vec<u32> {
        let shown = owed.iter().find(|(index, _)| slots[*index as usize].size != 0);
        // What should have been before it, had it not been empty or in a higher slot.
        for (index, sample) in owed {
            let is_earlier = shown.is_none_or(|(_, shown)| sample.order < shown.order);
            let is_empty = slots[*index as usize].size == 0;
            if is_earlier && is_empty {
                self.has(Difference::EmptySampleLost);
            } else if is_earlier && shown.is_some_and(|(_, shown)| shown.writer == sample.writer) {
                self.has(Difference::DeliveryBySlotIndex);
            }
        }
        if let Some((index, sample)) = shown
            && slots[*index as usize].generation != sample.generation
        {
            self.has(Difference::SampleStaysUnderLoan);
        }
        shown.map(|(index, _)| *index).into_iter().collect()
    }

    /// The one that was shown, until it is marked; else the oldest of any writer.
    fn next_as_ours(&mut self, place: usize, reader: u8, owed: &[(u32, Sample)]) -> Vec<u32> {
        let shown = self.allocators[place].as_ref().and_then(|open| open.uses[usize::from(reader)].shown);
        if let Some((slot, _)) = owed.iter().find(|(_, sample)| Some(sample.id) == shown) {
            return vec![*slot];
        }
        let is_oldest = |of: &Sample| owed.iter().all(|(_, sample)| sample.writer != of.writer || sample.order >= of.order);
        let oldest: Vec<u32> = owed.iter().filter(|(_, sample)| is_oldest(sample)).map(|(slot, _)| *slot).collect();
        let _ = oldest.len() > 1 && self.lacks(Difference::WritersInTurn);
        oldest
    }

    /// Whether the handle names the sample in its slot.
    fn is_there(&mut self, handle: Handle) -> bool {
        let slot = self.at(handle);
        slot.sample.is_some_and(|sample| sample.generation == handle.generation)
    }

    pub(super) fn read(&mut self, place: usize, handle: Handle) -> Result<Shown, String> {
        let handle = self.slot(place, handle)?;
        if !self.is_there(handle) && !self.has(Difference::LateReadGetsAnother) {
            return Err("StaleHandle".into());
        }
        let is_under_loan = self.at(handle).generation != handle.generation;
        let _ = is_under_loan && self.is_there(handle) && self.has(Difference::SampleStaysUnderLoan);
        if self.at(handle).read_by == u32::MAX && !self.has(Difference::ReadByAllStays) {
            return Err("StaleHandle".into());
        }
        let (size, capacity) = (self.at(handle).size as usize, self.capacity(place));
        let _ = size > capacity && self.has(Difference::CapacityRoundedAtAttach);
        let slot = self.at(handle);
        let bytes = slot.bytes[..size.min(capacity)].to_vec();
        Ok(Shown { number: slot.number, size: slot.size, read_by: slot.read_by, bytes })
    }

    pub(super) fn mark(&mut self, place: usize, handle: Handle, reader: u8) -> Result<(), String> {
        if self.is_theirs {
            return self.mark_as_theirs(place, handle, reader);
        }
        let bit = self.bit(reader)?;
        let handle = self.slot(place, handle)?;
        let is_owed = |model: &mut Self| model.is_there(handle) && model.at(handle).read_by != u32::MAX;
        if !is_owed(self) {
            return Err("StaleHandle".into());
        }
        self.take_up(place, reader);
        if !is_owed(self) {
            return Err("StaleHandle".into());
        }
        let index = usize::from(reader);
        if self.segments[handle.segment].disconnected & bit != 0 {
            if let Some(open) = self.allocators[place].as_mut() {
                open.uses[index].shown = None;
            }
            self.reconnect(place, index);
        } else if self.at(handle).read_by & bit == 0 {
            self.at(handle).read_by |= bit;
            self.moves = Some(true);
        }
        Ok(())
    }

    fn mark_as_theirs(&mut self, place: usize, handle: Handle, reader: u8) -> Result<(), String> {
        let handle = self.slot(place, handle)?;
        let bit = self.bit(reader)?;
        if !self.is_there(handle) {
            self.has(Difference::LateMarkHidesNew);
        } else if self.at(handle).generation != handle.generation {
            self.has(Difference::SampleStaysUnderLoan);
        } else if self.at(handle).read_by == u32::MAX {
            self.has(Difference::ReadByAllStays);
        } else if self.at(handle).read_by & bit != 0 {
            self.has(Difference::MovesWithoutChange);
        }
        self.at(handle).read_by |= bit;
        self.moves = Some(true);
        Ok(())
    }
}

impl super::Segment {
    /// Every slot counts as read by these readers.
    fn sweep(&mut self, bits: u32) {
        self.slots.iter_mut().for_each(|slot| slot.read_by |= bits);
    }
}
