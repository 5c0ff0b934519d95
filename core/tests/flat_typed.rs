//! Typed writers and readers over a plain region.
#![allow(missing_docs)]

mod seeds_support;

use core::time::Duration;

use seeds_support::{attach, face, segment};
use seqslot_core::{Config, FlatReader, FlatStruct, FlatWriter, Reliability, SlotBackend, SlotError, SlotFace, SlotHeader, WriteOutcome};

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
