//! Random sequences of calls of the seeds' face, by two allocators of one segment, against a plain model.
#![allow(missing_docs, clippy::result_large_err)]

mod seeds_support;

use proptest::prelude::*;
use seeds_support::{Face, attach, face};
use seqslot_core::{SlotBackend, SlotError, SlotHandle};

const SLOTS: usize = 4;
/// More slots than a writer probes, so that the free map is used too.
const MANY: usize = 40;
const READERS: u8 = 3;
const FACES: usize = 2;

#[derive(Debug, Clone)]
enum Call {
    Reserve { face: usize, mask: u32 },
    Commit { face: usize, handle: usize, bytes: Vec<u8>, in_place: bool },
    Discard { face: usize, handle: usize },
    Next { face: usize, reader: u8 },
    MarkNext { face: usize, reader: u8 },
    Mark { face: usize, handle: usize, reader: u8 },
    Disconnect { face: usize, reader: u8 },
    Read { face: usize, handle: usize },
    Reattach { face: usize },
}

fn calls() -> impl Strategy<Value = Vec<Call>> {
    let (face, reader, handle) = (0..FACES, 0..READERS, 0..6_usize);
    let bytes = prop::collection::vec(any::<u8>(), 0..9);
    let call = prop_oneof![
        6 => (face.clone(), 0..8_u32).prop_map(|(face, mask)| Call::Reserve { face, mask }),
        6 => (face.clone(), handle.clone(), bytes, any::<bool>()).prop_map(|(face, handle, bytes, in_place)| Call::Commit { face, handle, bytes, in_place }),
        1 => (face.clone(), handle.clone()).prop_map(|(face, handle)| Call::Discard { face, handle }),
        3 => (face.clone(), reader.clone()).prop_map(|(face, reader)| Call::Next { face, reader }),
        6 => (face.clone(), reader.clone()).prop_map(|(face, reader)| Call::MarkNext { face, reader }),
        2 => (face.clone(), handle.clone(), reader.clone()).prop_map(|(face, handle, reader)| Call::Mark { face, handle, reader }),
        1 => (face.clone(), reader).prop_map(|(face, reader)| Call::Disconnect { face, reader }),
        2 => (face.clone(), handle).prop_map(|(face, handle)| Call::Read { face, handle }),
        1 => face.prop_map(|face| Call::Reattach { face }),
    ];
    prop::collection::vec(call, 1..400)
}

#[derive(Debug, Clone, PartialEq)]
enum Slot {
    Free,
    Loan { face: usize, handle: SlotHandle },
    Sample { handle: SlotHandle, writer: usize, sequence: u32, bytes: Vec<u8>, unread: u32 },
}

/// What is to be: no shared memory, no cursors, no lists of free slots.
struct Model {
    slots: Vec<Slot>,
    disconnected: u32,
    /// The face that has a reader's lock.
    holder: [Option<usize>; 32],
    uses: [[bool; 32]; FACES],
    shown: [[Option<SlotHandle>; 32]; FACES],
    /// The writer entry of each face; the next sequence number of each entry.
    writer: [Option<usize>; FACES],
    sequence: [u32; FACES],
    handles: Vec<SlotHandle>,
}

impl Model {
    fn new(slots: usize) -> Self {
        Self {
            slots: vec![Slot::Free; slots],
            disconnected: 0,
            holder: [None; 32],
            uses: [[false; 32]; FACES],
            shown: [[None; 32]; FACES],
            writer: [None; FACES],
            sequence: [0; FACES],
            handles: Vec::new(),
        }
    }

    /// One of the handles made last.
    fn handle(&self, back: usize) -> Option<SlotHandle> {
        self.handles.len().checked_sub(1 + back).map(|at| self.handles[at])
    }

    fn is_free(&self, slot: usize, mask: u32) -> bool {
        match &self.slots[slot] {
            Slot::Free => true,
            Slot::Loan { .. } => false,
            Slot::Sample { unread, .. } => unread & mask & !self.disconnected == 0,
        }
    }

    fn enter_writer(&mut self, face: usize) -> usize {
        let free = (0..FACES).find(|entry| !self.writer.contains(&Some(*entry))).unwrap_or(0);
        *self.writer[face].get_or_insert(free)
    }

    fn is_loan_of(&self, face: usize, handle: SlotHandle) -> bool {
        self.slots[handle.slot_index as usize] == Slot::Loan { face, handle }
    }

    fn sweep(&mut self, reader: u8) {
        for slot in &mut self.slots {
            if let Slot::Sample { unread, .. } = slot {
                *unread &= !(1 << reader);
            }
        }
    }

    fn reconnect(&mut self, reader: u8) {
        if self.disconnected & 1 << reader != 0 {
            self.sweep(reader);
            self.disconnected &= !(1 << reader);
        }
    }

    /// The first use takes the reader's lock, if nobody has it, and joins.
    fn take_up(&mut self, face: usize, reader: u8) {
        let at = usize::from(reader);
        if !self.uses[face][at] || self.holder[at].is_none() {
            self.uses[face][at] = true;
            if self.holder[at].is_none() {
                self.holder[at] = Some(face);
                self.reconnect(reader);
            }
        }
    }

    /// The oldest unread of each writer.
    fn oldest(&self, reader: u8) -> Vec<SlotHandle> {
        let owed = |of: usize| {
            let unread = self.slots.iter().filter_map(|slot| match slot {
                Slot::Sample { handle, writer, sequence, unread, .. } if *writer == of && unread & 1 << reader != 0 => {
                    Some((*sequence, *handle))
                }
                _ => None,
            });
            unread.min_by_key(|(sequence, _)| *sequence).map(|(_, handle)| handle)
        };
        (0..FACES).filter_map(owed).collect()
    }

    fn sample(&self, handle: SlotHandle) -> Option<(u32, &[u8], u32)> {
        match &self.slots[handle.slot_index as usize] {
            Slot::Sample { handle: held, sequence, bytes, unread, .. } if *held == handle => Some((*sequence, bytes, *unread)),
            _ => None,
        }
    }
}

fn next(faces: &[Face], model: &mut Model, face: usize, reader: u8) -> Option<SlotHandle> {
    let got = faces[face].next_unread_slot(reader).unwrap();
    model.take_up(face, reader);
    let oldest = model.oldest(reader);
    match got {
        None => assert!(oldest.is_empty(), "there is {oldest:?}"),
        Some(got) => assert!(oldest.contains(&got), "{got:?} is none of the oldest {oldest:?}"),
    }
    let shown = &mut model.shown[face][usize::from(reader)];
    if let Some(shown) = shown.filter(|shown| oldest.contains(shown)) {
        assert_eq!(got, Some(shown), "the same until it is marked");
    }
    *shown = got;
    got
}

fn mark(faces: &[Face], model: &mut Model, face: usize, handle: SlotHandle, reader: u8) {
    let got = faces[face].mark_read(handle, reader);
    if model.sample(handle).is_none() {
        return assert_eq!(got, Err(SlotError::StaleHandle));
    }
    assert_eq!(got, Ok(()));
    model.take_up(face, reader);
    model.reconnect(reader);
    if let Slot::Sample { unread, .. } = &mut model.slots[handle.slot_index as usize] {
        *unread &= !(1 << reader);
    }
}

fn reserve(faces: &[Face], model: &mut Model, face: usize, mask: u32) {
    let got = faces[face].reserve_slot(mask);
    model.enter_writer(face);
    match got {
        Ok(handle) => {
            let slot = handle.slot_index as usize;
            assert!(model.is_free(slot, mask), "{handle:?} is {:?}", model.slots[slot]);
            assert!(!model.handles.contains(&handle));
            model.slots[slot] = Slot::Loan { face, handle };
            model.handles.push(handle);
        }
        Err(error) => {
            assert_eq!(error, SlotError::NoFreeSlot);
            assert!(!(0..model.slots.len()).any(|slot| model.is_free(slot, mask)), "one is free: {:?}", model.slots);
        }
    }
}

fn commit(faces: &[Face], model: &mut Model, face: usize, handle: SlotHandle, bytes: &[u8], in_place: bool) {
    let got = match in_place {
        true => faces[face].slot_data_ptr(handle).and_then(|(data, _)| {
            // SAFETY: a live loan's data, of capacity 8; the bytes are at most 8.
            unsafe { core::ptr::copy_nonoverlapping(bytes.as_ptr(), data, bytes.len()) };
            faces[face].commit_in_place(handle, bytes.len())
        }),
        false => faces[face].commit_slot(handle, bytes),
    };
    if !model.is_loan_of(face, handle) {
        return assert_eq!(got, Err(SlotError::StaleHandle));
    }
    let writer = model.writer[face].unwrap();
    assert_eq!(got, Ok(model.sequence[writer]));
    model.slots[handle.slot_index as usize] =
        Slot::Sample { handle, writer, sequence: model.sequence[writer], bytes: bytes.to_vec(), unread: u32::MAX };
    model.sequence[writer] += 1;
}

fn read(faces: &[Face], model: &Model, face: usize, handle: SlotHandle) {
    let mut bytes = [0; 8];
    let got = faces[face].read_slot_into(handle, &mut bytes);
    let pointer = faces[face].slot_read_ptr(handle);
    match model.sample(handle) {
        None => {
            assert_eq!(got, Err(SlotError::StaleHandle));
            assert_eq!(pointer, Err(SlotError::StaleHandle));
        }
        Some((sequence, expected, unread)) => {
            let header = got.unwrap();
            assert_eq!((header.sequence_number, header.reader_mask), (sequence, !unread));
            assert_eq!(&bytes[..header.sample_size as usize], expected);
            let (data, len) = pointer.unwrap();
            // SAFETY: the sample's data; nobody reserves meanwhile.
            assert_eq!(unsafe { core::slice::from_raw_parts(data, len) }, expected);
        }
    }
}

/// The former allocator's loans and locks come back; what its readers owe stays owed.
fn reattach(faces: &mut [Face], model: &mut Model, face: usize) {
    faces[face] = attach(&faces[face]);
    for slot in &mut model.slots {
        if matches!(slot, Slot::Loan { face: of, .. } if *of == face) {
            *slot = Slot::Free;
        }
    }
    model.writer[face] = None;
    model.uses[face] = [false; 32];
    model.shown[face] = [None; 32];
    for holder in model.holder.iter_mut().filter(|holder| **holder == Some(face)) {
        *holder = None;
    }
}

fn run(slots: usize, calls: &[Call]) {
    let owner = face(slots as u64, 8);
    let mut faces = vec![attach(&owner), attach(&owner)];
    let mut model = Model::new(slots);
    for call in calls {
        let before = (model.slots.clone(), faces[0].notify_generation());
        match call {
            Call::Reserve { face, mask } => reserve(&faces, &mut model, *face, *mask),
            Call::Commit { face, handle, bytes, in_place } => {
                if let Some(handle) = model.handle(*handle) {
                    commit(&faces, &mut model, *face, handle, &bytes[..bytes.len().min(8)], *in_place);
                }
            }
            Call::Discard { face, handle } => {
                if let Some(handle) = model.handle(*handle) {
                    let got = faces[*face].discard_slot(handle);
                    assert_eq!(got.is_ok(), model.is_loan_of(*face, handle));
                    if got.is_ok() {
                        model.slots[handle.slot_index as usize] = Slot::Free;
                    }
                }
            }
            Call::Next { face, reader } => drop(next(&faces, &mut model, *face, *reader).is_some()),
            Call::MarkNext { face, reader } => {
                if let Some(handle) = next(&faces, &mut model, *face, *reader) {
                    mark(&faces, &mut model, *face, handle, *reader);
                }
            }
            Call::Mark { face, handle, reader } => {
                if let Some(handle) = model.handle(*handle) {
                    mark(&faces, &mut model, *face, handle, *reader);
                }
            }
            Call::Disconnect { face, reader } => {
                faces[*face].mark_reader_disconnected(*reader).unwrap();
                model.disconnected |= 1 << reader;
                model.sweep(*reader);
            }
            Call::Read { face, handle } => {
                if let Some(handle) = model.handle(*handle) {
                    read(&faces, &model, *face, handle);
                }
            }
            Call::Reattach { face } => reattach(&mut faces, &mut model, *face),
        }
        let changed = before.0 != model.slots;
        if changed && !matches!(call, Call::Reserve { .. }) {
            assert_ne!(faces[0].notify_generation(), before.1, "something was published or freed");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn few_slots_do_what_the_model_does(calls in calls()) {
        run(SLOTS, &calls);
    }

    #[test]
    fn many_slots_do_what_the_model_does(calls in calls()) {
        run(MANY, &calls);
    }
}
