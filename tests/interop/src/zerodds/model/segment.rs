//! What a segment holds, how it is made, attached to and left.

use super::super::call::Outcome;
use super::super::difference::Difference;
use super::{Meaning, Model, Open, Use, Wrong, want};

/// Bytes of a slot's header on their side, and what a slot is rounded up to.
const THEIR_HEADER: usize = 16;
const LINE: usize = 64;

/// A segment.
#[derive(Debug, Clone)]
pub(super) struct Segment {
    pub(super) slots: Vec<Slot>,
    pub(super) capacity: usize,
    /// The name is there to attach to.
    pub(super) is_named: bool,
    /// Theirs: the next sequence number.
    pub(super) next_number: u32,
    /// Theirs: numbers drawn by commits that were refused.
    pub(super) burnt: u32,
    /// Commits of each writer: ours, by writer entry; theirs, by allocator.
    pub(super) entries: Vec<Entry>,
    /// Ours: readers declared gone.
    pub(super) disconnected: u32,
    /// Ours: which allocator holds each reader index.
    pub(super) holders: [Option<usize>; 32],
    /// Samples so far, for their order.
    pub(super) samples: u64,
}

/// A writer's place in a segment.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Entry {
    pub(super) commits: u32,
    pub(super) is_taken: bool,
}

/// A slot.
#[derive(Debug, Clone, Default)]
pub(super) struct Slot {
    /// Counts the loans.
    pub(super) generation: u32,
    /// The header as it is in memory.
    pub(super) number: u32,
    pub(super) size: u32,
    pub(super) read_by: u32,
    pub(super) bytes: Vec<u8>,
    /// What the header is of.
    pub(super) sample: Option<Sample>,
    /// The allocator whose loan is out.
    pub(super) loan: Option<usize>,
    /// Theirs: the allocators that think it is on loan.
    pub(super) loaned: u32,
}

/// A committed sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sample {
    /// The step that committed it.
    pub(super) id: usize,
    /// Its place in the order of commits.
    pub(super) order: u64,
    pub(super) writer: usize,
    /// The loan that it was.
    pub(super) generation: u32,
}

/// The same bytes of a slot on their side.
const fn their_total(capacity: usize) -> usize {
    (THEIR_HEADER + capacity).next_multiple_of(LINE)
}

impl Model {
    /// The capacity that an allocator goes by.
    pub(super) fn capacity(&mut self, place: usize) -> usize {
        let is_owner = self.allocators[place].as_ref().is_some_and(|open| open.is_owner);
        let capacity = self.segment_of(place).map_or(0, |segment| segment.capacity);
        let rounded = their_total(capacity) - THEIR_HEADER;
        if self.is_theirs && !is_owner { rounded } else { capacity }
    }

    /// The same, where it is told, or a sample is larger than the owner would take.
    pub(super) fn capacity_told(&mut self, place: usize) -> usize {
        let (told, true_one) = (self.capacity(place), self.segment_of(place).map_or(0, |segment| segment.capacity));
        let _ = told != true_one && self.has(Difference::CapacityRoundedAtAttach);
        told
    }

    pub(super) fn create(&mut self, place: usize, slots: usize, capacity: usize, got: &Outcome) -> Result<Meaning, Wrong> {
        if self.allocators[place].is_some() {
            return want(got, &Outcome::Absent);
        }
        let is_named = self.segments.last().is_some_and(|segment| segment.is_named);
        if is_named || (slots == 0 || capacity == 0) && !self.has(Difference::EmptyGeometryAccepted) {
            return want(got, &Outcome::Done(Err("Shm".into())));
        }
        self.segments.push(Segment {
            slots: vec![Slot { bytes: vec![0; their_total(capacity) - THEIR_HEADER], ..Slot::default() }; slots],
            capacity,
            is_named: true,
            next_number: 0,
            burnt: 0,
            entries: Vec::new(),
            disconnected: 0,
            holders: [None; 32],
            samples: 0,
        });
        self.open(place, true);
        want(got, &Outcome::Done(Ok(())))
    }

    pub(super) fn attach(&mut self, place: usize, got: &Outcome) -> Result<Meaning, Wrong> {
        if self.allocators[place].is_some() {
            return want(got, &Outcome::Absent);
        }
        if !self.segments.last().is_some_and(|segment| segment.is_named) {
            return want(got, &Outcome::Done(Err("Shm".into())));
        }
        self.open(place, false);
        want(got, &Outcome::Done(Ok(())))
    }

    fn open(&mut self, place: usize, is_owner: bool) {
        let uses = [Use::default(); 32];
        self.allocators[place] = Some(Open { segment: self.segments.len() - 1, is_owner, entry: None, uses });
        // Nothing to compare the generation with.
        self.moves = None;
    }

    pub(super) fn drop_allocator(&mut self, place: usize, got: &Outcome) -> Result<Meaning, Wrong> {
        let Some(open) = self.allocators[place].take() else { return want(got, &Outcome::Absent) };
        let segment = &mut self.segments[open.segment];
        if open.is_owner {
            segment.is_named = false;
        }
        if let Some(entry) = open.entry {
            segment.entries[entry].is_taken = false;
        }
        for holder in segment.holders.iter_mut().filter(|holder| **holder == Some(place)) {
            *holder = None;
        }
        for slot in &mut segment.slots {
            slot.loaned &= !(1 << place);
            if slot.loan == Some(place) {
                slot.loan = None;
                slot.generation += 1;
            }
        }
        want(got, &Outcome::Done(Ok(())))
    }

    pub(super) fn numbers(&mut self, place: usize, got: &Outcome) -> Result<Meaning, Wrong> {
        let (Some(segment), capacity) = (self.segment_of(place).cloned(), self.capacity_told(place)) else {
            return want(got, &Outcome::Absent);
        };
        self.has(Difference::SlotSize);
        let &Outcome::Numbers { total, .. } = got else { return Err("there should have been numbers".into()) };
        let is_total_right =
            if self.is_theirs { total == their_total(segment.capacity) } else { total.is_multiple_of(LINE) && total >= capacity };
        let total = if is_total_right { total } else { usize::MAX };
        let slots = Ok(segment.slots.len());
        want(got, &Outcome::Numbers { slots, capacity, total, has_hash: false, is_path_kept: true })
    }
}
