//! Target: a "ZDS2" segment in which anything may stand, and change at any access.
//!
//! The first byte chooses: 0 the rest is the region, which is attached to and used; 1 the rest describes a segment made here, what is done
//! through its owner and through somebody attached, and which words are forged meanwhile; 2 the same with no forgery, against a plain model.

use std::sync::Arc;

use arbitrary::{Arbitrary, Unstructured};
use seqslot_core::zerodds::layout::{HEAD_LEN, PAYLOAD_AT};
use seqslot_core::zerodds::{Zds2Face, Zds2Geometry};
use seqslot_core::{SlotBackend, SlotError, SlotHandle};

use crate::exercise::BRIEF;
use crate::party::{Guards, sum};
use crate::spoil::{Spoil, script};
use crate::world::{HostileOs, World};

type Face = Zds2Face<HostileOs, Guards>;

/// Longest region of the raw inputs.
const RAW_MAX: usize = 1 << 14;
const READERS: u8 = 3;
/// Most accesses of an operation for each slot, and beside them. A wait looks several times.
const ACCESSES: u64 = 64;
const BESIDE: u64 = 512;

#[derive(Debug, Arbitrary)]
struct Plan {
    slots: u8,
    capacity: u8,
    steps: u8,
    forgeries: u8,
}

#[derive(Debug, Clone, Copy, Arbitrary)]
enum Step {
    Reserve(u8),
    Commit(u8, u8),
    CommitInPlace(u8, u8),
    Discard(u8),
    Next(u8),
    Read(u8),
    Mark(u8, u8),
    MarkNext(u8),
    Disconnect(u8),
    Wait,
    Attach,
}

/// Runs the target.
pub fn zds2(bytes: &[u8]) {
    let Some((kind, rest)) = bytes.split_first() else { return };
    if kind % 3 == 0 {
        return raw(&rest[..rest.len().min(RAW_MAX)]);
    }
    let mut rest = Unstructured::new(rest);
    let Ok(plan) = Plan::arbitrary(&mut rest) else { return };
    let steps: Vec<Step> = (0..plan.steps).map_while(|_| if rest.is_empty() { None } else { Step::arbitrary(&mut rest).ok() }).collect();
    let spoils = if kind % 3 == 1 { script(&mut rest, plan.forgeries) } else { Vec::new() };
    let (slots, capacity) = (u64::from(plan.slots % 12) + 1, u64::from(plan.capacity) + 1);
    Play::new(slots, capacity, spoils).run(&steps);
}

/// Any bytes are attached to, and used as far as they are a segment.
fn raw(bytes: &[u8]) {
    let world = World::holding(bytes);
    let os = HostileOs::new(&world);
    world.begin("attach", 64);
    std::hint::black_box(Face::recognises(&os.mapping()));
    let Ok(face) = Face::adopt(os.clone(), os.mapping()) else { return };
    let g = *face.geometry();
    assert!(g.len() <= bytes.len(), "the geometry is larger than the region");
    let begin = |what| world.begin(what, ACCESSES * u64::from(g.slots()) + BESIDE);
    let mut into = [0; 40];
    for reader in [0, 1, 31] {
        for _ in 0..3 {
            begin("next");
            let Ok(Some(found)) = face.next_unread_slot(reader) else { break };
            begin("read");
            std::hint::black_box((face.read_slot(found).map(|(_, bytes)| sum(&bytes)).ok(), face.read_slot_into(found, &mut into).is_ok()));
            if let Ok((at, len)) = face.slot_read_ptr(found) {
                check_span(&g, world.base(), at.addr(), len);
            }
            begin("mark");
            let _ = face.mark_read(found, reader);
        }
    }
    for index in [0, g.slots() - 1, g.slots(), u32::MAX] {
        begin("look");
        std::hint::black_box(face.sample_at(index).is_ok());
    }
    begin("disconnect");
    let _ = face.mark_reader_disconnected(1);
    assert_eq!(face.reserve_slot(0), Err(SlotError::NotOwner));
    begin("wait");
    face.wait_for_change(face.notify_generation(), BRIEF);
}

/// Whether `at` and `len` lie inside the payload of one slot of a region at `base`.
fn check_span(g: &Zds2Geometry, base: usize, at: usize, len: usize) {
    let offset = at.checked_sub(base + HEAD_LEN).unwrap_or_else(|| panic!("lent at {at:#x}, below the slots"));
    assert!(offset / g.stride() as usize <= g.slots() as usize, "lent behind the slots");
    assert_eq!(offset % g.stride() as usize, PAYLOAD_AT, "lent at no payload's start");
    assert!(len <= g.capacity() as usize, "{len} bytes lent of {}", g.capacity());
}

/// What a slot holds, as a plain model has it.
#[derive(Debug, Clone, PartialEq)]
enum Slot {
    Free,
    Loan(SlotHandle),
    Sample { loan: SlotHandle, sequence: u32, bytes: Vec<u8>, read: u32 },
}

/// An owner, somebody attached, and the model. Where words are forged, the model keeps the loans only.
struct Play {
    world: Arc<World>,
    owner: Face,
    reader: Face,
    slots: Vec<Slot>,
    sequence: u32,
    /// Loans given out, and samples found with their readers.
    loans: Vec<SlotHandle>,
    found: Vec<SlotHandle>,
    honest: bool,
}

impl Play {
    fn new(slots: u64, capacity: u64, spoils: Vec<Spoil>) -> Self {
        let geometry = Zds2Geometry::new(slots, capacity).expect("small");
        let world = World::new(geometry.len());
        let os = HostileOs::new(&world);
        let owner = Face::create(os.clone(), &(), slots, capacity).expect("a fresh region");
        let reader = Face::attach(os, &()).expect("just made");
        let honest = spoils.is_empty();
        world.plan(spoils, None, false);
        let slots = vec![Slot::Free; slots as usize];
        Self { world, owner, reader, slots, sequence: 0, loans: Vec::new(), found: Vec::new(), honest }
    }

    fn run(&mut self, steps: &[Step]) {
        for step in steps {
            let bound = ACCESSES * self.slots.len() as u64 + BESIDE;
            self.world.begin("a step", if matches!(step, Step::Wait) { bound * 100 } else { bound });
            self.step(*step);
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Reserve(mask) => self.reserve(u32::from(mask % (1 << READERS))),
            Step::Commit(which, len) | Step::CommitInPlace(which, len) => {
                self.commit(which, usize::from(len), matches!(step, Step::CommitInPlace(..)));
            }
            Step::Discard(which) => self.discard(which),
            Step::Next(reader) => drop(self.next(reader % READERS)),
            Step::MarkNext(reader) => {
                if let Some(found) = self.next(reader % READERS) {
                    self.mark(found, reader % READERS);
                }
            }
            Step::Read(which) => self.read(which),
            Step::Mark(which, reader) => {
                if let Some(found) = pick(&self.found, which) {
                    self.mark(found, reader % READERS);
                }
            }
            Step::Disconnect(reader) => self.disconnect(reader),
            Step::Wait => self.reader.wait_for_change(self.reader.notify_generation(), BRIEF),
            // A head that was forged is refused; the one that was read stands.
            Step::Attach => {
                if let Ok(again) = Face::attach(HostileOs::new(&self.world), &()) {
                    assert!(again.geometry().len() <= self.world.len());
                    self.reader = again;
                    self.found.clear();
                }
            }
        }
    }

    fn reserve(&mut self, mask: u32) {
        let answer = self.owner.reserve_slot(mask);
        let is_free = |slot: &Slot| match slot {
            Slot::Free => true,
            Slot::Loan(_) => false,
            Slot::Sample { read, .. } => read & mask == mask,
        };
        match answer {
            Ok(loan) => {
                let slot = &mut self.slots[loan.slot_index as usize];
                assert!(!matches!(slot, Slot::Loan(_)), "lent twice");
                assert!(!self.honest || is_free(slot), "lent while it is owed");
                *slot = Slot::Loan(loan);
                self.loans.push(loan);
            }
            Err(error) => {
                assert_eq!(error, SlotError::NoFreeSlot);
                assert!(!self.honest || !self.slots.iter().any(is_free), "one was free");
            }
        }
    }

    fn commit(&mut self, which: u8, len: usize, in_place: bool) {
        let Some(loan) = pick(&self.loans, which) else { return };
        let bytes = vec![len as u8; len];
        let capacity = self.owner.slot_capacity();
        if let Ok((at, room)) = self.owner.slot_data_ptr(loan) {
            check_span(self.owner.geometry(), self.world.base(), at.addr(), room);
        }
        let answer = if in_place { self.owner.commit_in_place(loan, len) } else { self.owner.commit_slot(loan, &bytes) };
        let slot = &mut self.slots[loan.slot_index as usize];
        let expected = match slot {
            _ if len > capacity => Err(SlotError::SampleTooLarge { sample: len, slot_capacity: capacity }),
            _ if len == 0 => Err(SlotError::EmptySample),
            Slot::Loan(out) if *out == loan => Ok(self.sequence),
            _ => Err(SlotError::StaleHandle),
        };
        assert_eq!(answer, expected, "loans are the owner's own account");
        if answer.is_ok() {
            // In place nothing was written; what is there is not looked at.
            let bytes = if in_place { Vec::new() } else { bytes };
            *slot = Slot::Sample { loan, sequence: self.sequence, bytes, read: 0 };
            self.sequence = self.sequence.wrapping_add(1);
        }
    }

    fn discard(&mut self, which: u8) {
        let Some(loan) = pick(&self.loans, which) else { return };
        let slot = &mut self.slots[loan.slot_index as usize];
        let is_out = *slot == Slot::Loan(loan);
        assert_eq!(self.owner.discard_slot(loan), if is_out { Ok(()) } else { Err(SlotError::StaleHandle) });
        if is_out {
            *slot = Slot::Free;
        }
    }

    fn next(&mut self, reader: u8) -> Option<SlotHandle> {
        let found = self.reader.next_unread_slot(reader).expect("an index below 32");
        if self.honest {
            let owed = |slot: &Slot| match slot {
                Slot::Sample { sequence, read, .. } if read >> reader & 1 == 0 => Some(*sequence),
                _ => None,
            };
            let oldest = self.slots.iter().filter_map(owed).min();
            assert_eq!(found.and_then(|found| owed(&self.slots[found.slot_index as usize])), oldest, "the oldest");
        }
        self.found.extend(found);
        found
    }

    fn read(&mut self, which: u8) {
        let mut into = [0; 300];
        for (face, handle) in [(&self.reader, pick(&self.found, which)), (&self.owner, pick(&self.loans, which))] {
            let Some(handle) = handle else { continue };
            if let Ok((at, len)) = face.slot_read_ptr(handle) {
                check_span(face.geometry(), self.world.base(), at.addr(), len);
            }
            let read = face.read_slot_into(handle, &mut into);
            std::hint::black_box(face.read_slot(handle).map(|(_, bytes)| sum(&bytes)).ok());
            if let (true, Ok(header)) = (self.honest, read) {
                let Slot::Sample { loan, sequence, bytes, read } = &self.slots[handle.slot_index as usize] else {
                    panic!("nothing is there")
                };
                assert_eq!((header.sequence_number, header.reader_mask), (*sequence, *read));
                assert!(bytes.is_empty() || bytes[..] == into[..header.sample_size as usize], "another sample's bytes");
                assert!(handle.segment_id != loan.segment_id || handle == *loan, "another loan's sample");
            }
        }
    }

    fn mark(&mut self, found: SlotHandle, reader: u8) {
        let before = if self.honest { self.reader.sample_at(found.slot_index).expect("its index") } else { None };
        let marked = self.reader.mark_read(found, reader);
        if !self.honest {
            return;
        }
        match &mut self.slots[found.slot_index as usize] {
            Slot::Sample { read, .. } if before.is_some_and(|(handle, _)| handle == found) => {
                assert_eq!(marked, Ok(()));
                *read |= 1 << reader;
            }
            _ => assert_eq!(marked, Err(SlotError::StaleHandle), "nothing else is marked"),
        }
    }

    fn disconnect(&mut self, reader: u8) {
        let answer = self.reader.mark_reader_disconnected(reader);
        assert_eq!(answer, if reader < 32 { Ok(()) } else { Err(SlotError::OutOfBounds) });
        for slot in &mut self.slots {
            if let (Slot::Sample { read, .. }, true) = (slot, answer.is_ok()) {
                *read |= 1 << reader;
            }
        }
    }
}

/// One of the handles, if there are any.
fn pick(handles: &[SlotHandle], which: u8) -> Option<SlotHandle> {
    handles.get(usize::from(which) % handles.len().max(1)).copied()
}
