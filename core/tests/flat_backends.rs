//! Typed writers and readers over backends that are none of ours: with any order, no looks, waits that are none.
#![allow(missing_docs)]

mod seeds_support;

use core::time::Duration;
use std::sync::Mutex;

use seeds_support::face;
use seqslot_core::{FlatReader, FlatStruct, FlatWriter, Reliability, SlotBackend, SlotError, SlotHandle, SlotHeader};

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

type Kept = (SlotHeader, Vec<u8>);

/// Samples in slots, given out by lowest index, as ZeroDDS does; numbers as they are given.
struct Heap {
    slots: Vec<(SlotHandle, Mutex<Kept>)>,
    can_look: bool,
    /// Each sample is taken back just before it is marked.
    is_taking_back: bool,
    /// So many reads find that the slot has moved on.
    stale: Mutex<u32>,
    /// Bytes that a slot alleges to have in place.
    room: usize,
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
        Self { slots, can_look, is_taking_back: false, stale: Mutex::default(), room: 32, steps: Mutex::default(), clock: Mutex::default() }
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
        let mut stale = self.stale.lock().unwrap();
        if *stale > 0 {
            *stale -= 1;
            return Err(SlotError::StaleHandle);
        }
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
        Ok((slot.1.as_mut_ptr().wrapping_add(1), self.room))
    }

    fn sample_at(&self, slot: u32) -> Result<Option<(SlotHandle, SlotHeader)>, SlotError> {
        let (handle, slot) = &self.slots[slot as usize];
        Ok(self.can_look.then(|| (*handle, slot.lock().unwrap().0)))
    }

    fn now(&self) -> Option<Duration> {
        *self.clock.lock().unwrap()
    }

    fn notify_generation(&self) -> u64 {
        7
    }

    fn wait_for_change(&self, last: u64, timeout: Duration) {
        assert_eq!(last, 7, "taken before the look");
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
fn a_slot_that_moves_on_under_a_look_is_looked_for_again_and_not_for_ever() {
    for (stale, got) in [(0, Some(pose(10))), (1, Some(pose(10))), (4, Some(pose(10))), (u32::MAX, None)] {
        let heap = Heap { stale: Mutex::new(stale), ..Heap::new(&WRAPPED, false) };
        assert_eq!(FlatReader::<Sample, _>::new(&heap, 0).unwrap().read_next(), Ok(got), "{stale}");
    }
    let heap = Heap { room: 23, ..Heap::new(&WRAPPED, false) };
    let writer = FlatWriter::<Sample, _>::new(&heap, 1).unwrap();
    let mut loan = writer.loan_slot().unwrap();
    // SAFETY: 1. the pointer is never used. 2. no handle is made up.
    assert_eq!(unsafe { loan.as_mut() }.err(), Some(SlotError::SampleTooLarge { sample: 24, slot_capacity: 23 }));
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
