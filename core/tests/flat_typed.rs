//! Typed writers and readers over a plain region, and over backends that are none of ours.
#![allow(missing_docs)]

mod seeds_support;

use core::time::Duration;
use std::sync::Mutex;

use seeds_support::{attach, face, segment};
use seqslot_core::{
    Config, FlatReader, FlatStruct, FlatWriter, Reliability, SlotBackend, SlotError, SlotFace, SlotHandle, SlotHeader, WriteOutcome,
};

type Pose = [i64; 3];
#[derive(Debug, Clone, Copy, PartialEq, Eq, zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout)]
#[repr(C)]
struct Typed<T>(T);

impl FlatStruct for Typed<Pose> {
    const TYPE_HASH: [u8; 16] = [0x42; 16];
}

type Sample = Typed<Pose>;

const fn pose(x: i64) -> Sample {
    Typed([x, x + 1, -x])
}

#[test]
fn another_types_segment_is_refused_and_one_without_a_type_is_not() {
    let other = SlotFace::new(segment(&Config::slots(2, 24).type_hash([7; 16]))).unwrap() as seeds_support::Face;
    let mismatch = SlotError::TypeMismatch { expected: [0x42; 16], found: Some([7; 16]) };
    assert_eq!(FlatWriter::<Sample, _>::new(&other, 1).err(), Some(mismatch.clone()));
    assert_eq!(FlatReader::<Sample, _>::new(&other, 0).err(), Some(mismatch));
    let same = SlotFace::new(segment(&Config::slots(2, 24).type_hash([0x42; 16]))).unwrap() as seeds_support::Face;
    assert!(FlatWriter::<Sample, _>::new(&same, 1).is_ok());
    let plain = face(2, 24);
    assert_eq!(FlatReader::<Sample, _>::new(&plain, 31).unwrap().type_hash(), [0x42; 16]);
    assert_eq!(FlatReader::<Sample, _>::new(&plain, 32).err(), Some(SlotError::OutOfBounds));
    let small = face(2, 23);
    let too_large = SlotError::SampleTooLarge { sample: 24, slot_capacity: 23 };
    assert_eq!(FlatWriter::<Sample, _>::new(&small, 1).err(), Some(too_large.clone()));
    assert_eq!(FlatReader::<Sample, _>::new(&small, 1).err(), Some(too_large));
}

#[test]
fn every_sample_comes_once_and_in_order_or_the_newest_alone() {
    let slots = face(8, 24);
    let writer = FlatWriter::<Sample, _>::new(&slots, 0b11).unwrap();
    let (mut all, mut newest) = (FlatReader::<Sample, _>::new(&slots, 0).unwrap(), FlatReader::<Sample, _>::new(&slots, 1).unwrap());
    for round in 0..50 {
        for number in 0..=round % 8 {
            writer.write(&pose(round * 8 + number)).unwrap();
        }
        for number in 0..=round % 8 {
            assert_eq!(all.read_next().unwrap(), Some(pose(round * 8 + number)));
        }
        assert_eq!((all.read_next(), newest.read()), (Ok(None), Ok(Some(pose(round * 8 + round % 8)))));
        assert_eq!(newest.read(), Ok(None), "older ones are marked");
    }
}

#[test]
fn a_held_sample_keeps_its_slot_and_the_others_are_let_go_of() {
    let slots = face(3, 24);
    let writer = FlatWriter::<Sample, _>::new(&slots, 1).unwrap();
    let mut reader = FlatReader::<Sample, _>::new(&slots, 0).unwrap();
    for x in 0..3 {
        writer.write(&pose(x)).unwrap();
    }
    let held = reader.read_ref().unwrap().unwrap();
    assert_eq!((*held, held.sequence_number()), (pose(2), 2), "the newest");
    writer.write(&pose(3)).unwrap();
    writer.write(&pose(4)).unwrap();
    assert_eq!(writer.write(&pose(5)), Err(SlotError::NoFreeSlot));
    assert_eq!(held.into_inner(), pose(2));
    writer.write(&pose(5)).unwrap();

    let held = reader.next_ref().unwrap().unwrap();
    assert_eq!(*held, pose(3), "the oldest");
    assert_eq!(writer.write(&pose(6)), Err(SlotError::NoFreeSlot));
    drop(held);
    assert_eq!(reader.read_next(), Ok(Some(pose(4))));
}

#[test]
fn what_is_no_value_is_told_once_and_skipped() {
    let slots = face(4, 32);
    let writer = FlatWriter::<Sample, _>::new(&slots, 1).unwrap();
    let mut reader = FlatReader::<Sample, _>::new(&slots, 0).unwrap();
    for len in [23, 25, 0] {
        let handle = slots.reserve_slot(1).unwrap();
        slots.commit_slot(handle, &[1; 32][..len]).unwrap();
    }
    writer.write(&pose(7)).unwrap();
    for sample in [23, 25, 0] {
        assert_eq!(reader.read_next(), Err(SlotError::SampleSize { sample, expected: 24 }));
    }
    assert_eq!(reader.read_next(), Ok(Some(pose(7))));
    // In a look at the newest, too, and it takes nothing of the others away.
    writer.write(&pose(8)).unwrap();
    let handle = slots.reserve_slot(1).unwrap();
    slots.commit_slot(handle, b"short").unwrap();
    assert_eq!(reader.read(), Ok(Some(pose(8))));
}

#[test]
fn a_loan_is_filled_in_place_from_zero_or_given_back() {
    let slots = face(1, 24);
    let writer = FlatWriter::<Sample, _>::new(&slots, 1).unwrap();
    let mut reader = FlatReader::<Sample, _>::new(&slots, 0).unwrap();
    writer.loan_slot().unwrap().commit(pose(9)).unwrap();
    assert_eq!(reader.read(), Ok(Some(pose(9))));
    let mut loan = writer.loan_slot().unwrap();
    // SAFETY: 1. a backend of this library. 2. no handle is made up.
    unsafe { loan.as_mut() }.unwrap().0[1] = 5;
    // SAFETY: as above.
    unsafe { loan.as_mut() }.unwrap().0[2] = 6;
    assert_eq!(writer.write(&pose(1)), Err(SlotError::NoFreeSlot));
    assert_eq!(loan.commit_in_place(), Ok(1));
    assert_eq!(reader.read(), Ok(Some(Typed([0, 5, 6]))), "zeroed once");
    drop(writer.loan_slot().unwrap());
    assert_eq!(reader.read(), Ok(None));
    writer.loan_slot().unwrap().commit_in_place().unwrap();
    assert_eq!(reader.read(), Ok(Some(Typed([0; 3]))), "nothing of the last sample shows");
}

#[test]
fn under_pressure_a_sample_is_dropped_or_waited_with() {
    let slots = face(1, 24);
    let peer = attach(&slots);
    let writer = FlatWriter::<Sample, _>::new(&slots, 1).unwrap();
    assert_eq!(writer.write_bp(&pose(0), Reliability::BestEffort, Duration::ZERO), Ok(WriteOutcome::Written(0)));
    assert_eq!(writer.write_bp(&pose(1), Reliability::BestEffort, Duration::MAX), Ok(WriteOutcome::Dropped));
    assert_eq!(writer.write_bp(&pose(1), Reliability::Reliable, Duration::ZERO), Ok(WriteOutcome::TimedOut));
    // No clock runs here, and it ends.
    assert_eq!(writer.write_bp(&pose(1), Reliability::Reliable, Duration::from_millis(3)), Ok(WriteOutcome::TimedOut));
    let mut reader = FlatReader::<Sample, _>::new(&peer, 0).unwrap();
    assert_eq!(reader.read_blocking(Duration::MAX), Ok(Some(pose(0))));
    assert_eq!(reader.read_blocking(Duration::from_millis(3)), Ok(None));
    assert_eq!(writer.write_bp(&pose(2), Reliability::Reliable, Duration::MAX), Ok(WriteOutcome::Written(1)));
    assert_eq!(reader.read_next_blocking(Duration::ZERO), Ok(Some(pose(2))));
}

#[test]
fn a_look_over_the_slots_shows_who_has_read_what() {
    let slots = face(2, 24);
    assert_eq!(slots.sample_at(0), Ok(None));
    assert_eq!(slots.sample_at(2), Err(SlotError::OutOfBounds));
    assert_eq!(slots.now(), None, "the clock of a plain region stands still");
    let handle = slots.reserve_slot(1).unwrap();
    assert_eq!(slots.sample_at(handle.slot_index), Ok(None), "on loan");
    slots.commit_slot(handle, b"five!").unwrap();
    slots.mark_read(handle, 4).unwrap();
    let header = SlotHeader { sequence_number: 0, sample_size: 5, reader_mask: 1 << 4, _reserved: 0 };
    assert_eq!(slots.sample_at(handle.slot_index), Ok(Some((handle, header))));
}

type Kept = (SlotHeader, Vec<u8>);

/// Samples in slots, given out by lowest index, as ZeroDDS does; numbers as they are given.
struct Heap {
    slots: Vec<(SlotHandle, Mutex<Kept>)>,
    can_look: bool,
    /// Each sample is taken back just before it is marked.
    is_taking_back: bool,
    /// A clock that steps on at each sleep, which a wait may end too early by; none runs if there are no steps left.
    steps: Mutex<Vec<u64>>,
    clock: Mutex<Option<Duration>>,
}

impl Heap {
    /// `samples`: numbers and first words.
    fn new(samples: &[(u32, i64)], can_look: bool) -> Self {
        let handles = face(samples.len() as u64, 8);
        let of = |&(number, x): &(u32, i64)| {
            let bytes = zerocopy::IntoBytes::as_bytes(&pose(x)).to_vec();
            (handles.reserve_slot(0).unwrap(), Mutex::new((SlotHeader::new(number, 24), bytes)))
        };
        let mut slots: Vec<_> = samples.iter().map(of).collect();
        slots.sort_by_key(|(handle, _)| handle.slot_index);
        Self { slots, can_look, is_taking_back: false, steps: Mutex::default(), clock: Mutex::default() }
    }
}

impl SlotBackend for Heap {
    fn reserve_slot(&self, _active: u32) -> Result<SlotHandle, SlotError> {
        Ok(self.slots[0].0)
    }

    fn commit_slot(&self, _handle: SlotHandle, _bytes: &[u8]) -> Result<u32, SlotError> {
        Err(SlotError::LockPoisoned)
    }

    fn discard_slot(&self, _handle: SlotHandle) -> Result<(), SlotError> {
        Ok(())
    }

    fn read_slot_into(&self, handle: SlotHandle, into: &mut [u8]) -> Result<SlotHeader, SlotError> {
        let slot = self.slots[handle.slot_index as usize].1.lock().unwrap();
        into.copy_from_slice(&slot.1);
        Ok(slot.0)
    }

    fn mark_read(&self, handle: SlotHandle, reader: u8) -> Result<(), SlotError> {
        self.slots[handle.slot_index as usize].1.lock().unwrap().0.mark_read(reader)?;
        if self.is_taking_back { Err(SlotError::StaleHandle) } else { Ok(()) }
    }

    fn mark_reader_disconnected(&self, _reader: u8) -> Result<(), SlotError> {
        Ok(())
    }

    fn slot_count(&self) -> Result<usize, SlotError> {
        Ok(self.slots.len())
    }

    fn slot_total_size(&self) -> usize {
        64
    }

    fn slot_capacity(&self) -> usize {
        32
    }

    fn slot_data_ptr(&self, handle: SlotHandle) -> Result<(*mut u8, usize), SlotError> {
        let mut slot = self.slots[handle.slot_index as usize].1.lock().unwrap();
        Ok((slot.1.as_mut_ptr().wrapping_add(1), 32))
    }

    fn sample_at(&self, slot: u32) -> Result<Option<(SlotHandle, SlotHeader)>, SlotError> {
        let (handle, slot) = &self.slots[slot as usize];
        Ok(self.can_look.then(|| (*handle, slot.lock().unwrap().0)))
    }

    fn now(&self) -> Option<Duration> {
        *self.clock.lock().unwrap()
    }

    fn wait_for_change(&self, _last: u64, timeout: Duration) {
        let step = self.steps.lock().unwrap().pop().map(Duration::from_millis);
        if let Some(clock) = &mut *self.clock.lock().unwrap() {
            *clock += step.expect("asked again and again").min(timeout);
        }
    }

    fn next_unread_slot(&self, reader: u8) -> Result<Option<SlotHandle>, SlotError> {
        Ok(self.slots.iter().find(|(_, slot)| !slot.lock().unwrap().0.all_read(1 << reader)).map(|(handle, _)| *handle))
    }
}

/// Numbers around the wrap, not in the order of the slots: the newest is 3.
const WRAPPED: [(u32, i64); 4] = [(u32::MAX, 10), (2, 12), (3, 13), (u32::MAX - 1, 9)];

#[test]
fn the_newest_is_told_by_numbers_that_wrap_whatever_order_a_backend_has() {
    for turn in 0..4 {
        let mut samples = WRAPPED;
        samples.rotate_left(turn);
        let heap = Heap::new(&samples, false);
        let mut reader = FlatReader::<Sample, _>::new(&heap, 3).unwrap();
        assert_eq!((reader.read(), reader.read()), (Ok(Some(pose(13))), Ok(None)), "turned by {turn}");

        let heap = Heap::new(&samples, true);
        let mut reader = FlatReader::<Sample, _>::new(&heap, 3).unwrap();
        let held = reader.read_ref().unwrap().unwrap();
        assert_eq!((held.0[0], held.sequence_number()), (13, 3), "turned by {turn}");
        let unread = |heap: &Heap| heap.slots.iter().filter(|(_, slot)| !slot.lock().unwrap().0.all_read(8)).count();
        assert_eq!(unread(&heap), 1);
        drop(held);
        assert_eq!(unread(&heap), 0);
    }
}

#[test]
fn a_backend_that_cannot_look_over_its_slots_holds_its_first() {
    let heap = Heap::new(&WRAPPED, false);
    let mut reader = FlatReader::<Sample, _>::new(&heap, 0).unwrap();
    assert_eq!(*reader.read_ref().unwrap().unwrap(), pose(10));
}

#[test]
fn a_sample_that_is_taken_back_once_it_was_copied_is_had() {
    let heap = Heap { is_taking_back: true, ..Heap::new(&WRAPPED, false) };
    let mut reader = FlatReader::<Sample, _>::new(&heap, 0).unwrap();
    assert_eq!((reader.read_next(), reader.read()), (Ok(Some(pose(10))), Ok(Some(pose(13)))));
}

#[test]
fn a_place_that_is_not_aligned_is_no_reference_and_a_refused_commit_is_told() {
    let heap = Heap::new(&WRAPPED, false);
    let writer = FlatWriter::<Sample, _>::new(&heap, 1).unwrap();
    let mut loan = writer.loan_slot().unwrap();
    // SAFETY: 1. the pointer is never used. 2. no handle is made up.
    assert_eq!(unsafe { loan.as_mut() }.err(), Some(SlotError::InPlaceUnsupported));
    assert_eq!(loan.commit(pose(1)), Err(SlotError::LockPoisoned));
    let waited = writer.write_bp(&pose(1), Reliability::Reliable, Duration::MAX);
    assert_eq!(waited, Err(SlotError::LockPoisoned), "what is no want of a slot is not waited for");
}

#[test]
fn a_wait_is_as_long_as_the_clock_says_unless_the_backend_cannot_wait() {
    let wait = |steps: &[u64], timeout: Duration| {
        let heap = Heap {
            clock: Mutex::new(Some(Duration::ZERO)),
            steps: Mutex::new(steps.iter().rev().copied().collect()),
            ..Heap::new(&WRAPPED, false)
        };
        let mut reader = FlatReader::<Sample, _>::new(&heap, 0).unwrap();
        assert_eq!((reader.read(), reader.read_blocking(timeout)), (Ok(Some(pose(13))), Ok(None)));
        assert_eq!(*heap.steps.lock().unwrap(), [], "it gave up early");
        *heap.clock.lock().unwrap()
    };
    let timeout = Duration::from_millis(100);
    assert_eq!(wait(&[100], timeout), Some(timeout));
    assert_eq!(wait(&[30, 100], timeout), Some(timeout), "woken, and nothing had moved");
    assert_eq!(wait(&[0, 0], Duration::MAX), Some(Duration::ZERO), "it does not wait at all");
}

#[cfg(feature = "alloc")]
#[test]
fn over_zerodds_own_layout_it_is_the_same() {
    use seqslot_core::zerodds::Zds2Face;
    let os = seqslot_core::Bare::new(seeds_support::region(4096));
    let owner: Zds2Face<_, seeds_support::Mutexes> = Zds2Face::create(os, &(), 3, 24).unwrap();
    let attached: Zds2Face<_, seeds_support::Mutexes> = Zds2Face::attach(os, &()).unwrap();
    let writer = FlatWriter::<Sample, _>::new(&owner, 1).unwrap();
    let mut reader = FlatReader::<Sample, _>::new(&attached, 0).unwrap();
    for x in 0..3 {
        writer.write(&pose(x)).unwrap();
    }
    assert_eq!(reader.read_next(), Ok(Some(pose(0))));
    let held = reader.read_ref().unwrap().unwrap();
    assert_eq!((*held, held.sequence_number()), (pose(2), 2));
    let mut loans = [writer.loan_slot().unwrap(), writer.loan_slot().unwrap()];
    assert_eq!(writer.write(&pose(3)), Err(SlotError::NoFreeSlot), "one is held");
    drop(held);
    // SAFETY: 1. a backend of this library. 2. no handle is made up.
    *unsafe { loans[1].as_mut() }.unwrap() = pose(4);
    let [first, second] = loans;
    drop(first);
    assert_eq!(second.commit_in_place(), Ok(3));
    assert_eq!(reader.read(), Ok(Some(pose(4))));
    let other = FlatWriter::<Sample, _>::new(&attached, 1).unwrap();
    assert_eq!(other.write(&pose(5)), Err(SlotError::NotOwner));
    assert_eq!(attached.sample_at(3), Err(SlotError::OutOfBounds));
}
