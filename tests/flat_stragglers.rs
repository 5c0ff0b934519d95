//! Readers that live and do not read, between processes: what they hold is taken back, and what they get afterwards is true.
#![allow(clippy::result_large_err)]

#[allow(dead_code, reason = "a part of it is used here")]
mod support;

use std::time::{Duration, Instant};

use seqslot::{
    FlatReader, FlatStruct, FlatWriter, PosixSlotAllocator, Reliability, STRAGGLER_TIMEOUT, SlotBackend, SlotError, WriteOutcome,
};
use support::{Peer, pause, place, role, say};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(60);
/// A straggler timeout that passes.
const SHORT: Duration = Duration::from_millis(20);

/// Every word says the same: a torn one is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Frame([u64; 512]);

impl FlatStruct for Frame {
    const TYPE_HASH: [u8; 16] = *b"frame, 512 words";
}

const fn frame(number: u64) -> Frame {
    Frame([number; 512])
}

fn number_of(frame: &Frame) -> u64 {
    assert_eq!(*frame, self::frame(frame.0[0]), "torn");
    frame.0[0]
}

type Writer<'s> = FlatWriter<Frame, &'s PosixSlotAllocator>;
type Reader<'s> = FlatReader<Frame, &'s PosixSlotAllocator>;

fn create(slots: usize) -> (tempfile::TempDir, std::path::PathBuf, PosixSlotAllocator) {
    let (folder, path) = place();
    let slots = PosixSlotAllocator::create_typed::<Frame>(&path, slots).unwrap();
    (folder, path, slots)
}

/// Writes, however long the readers of `mask` do not read.
fn insist(writer: &Writer<'_>, number: u64) -> u32 {
    match writer.write_bp(&frame(number), Reliability::Reliable, Duration::MAX) {
        Ok(WriteOutcome::Written(sequence)) => sequence,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_not_read_in_time_counts_as_read_and_not_before() {
    let (_folder, _path, slots) = create(2);
    let patient = Writer::new(&slots, 1).unwrap();
    assert_eq!((patient.straggler_timeout(), STRAGGLER_TIMEOUT), (Duration::from_secs(60), Duration::from_secs(60)));
    let mut reader = Reader::new(&slots, 0).unwrap();
    patient.write(&frame(0)).unwrap();
    assert_eq!(reader.read_next().unwrap().as_ref().map(number_of), Some(0));
    patient.write(&frame(1)).unwrap();
    patient.write(&frame(2)).unwrap();
    assert_eq!(patient.write(&frame(3)), Err(SlotError::NoFreeSlot));

    let hasty = Writer::new(&slots, 1).unwrap().with_straggler_timeout(SHORT);
    let start = Instant::now();
    assert_eq!(insist(&hasty, 3), 3, "those of another writer count from when they were first seen");
    assert!(start.elapsed() >= SHORT);
    // The reader is not confused: what comes next is newer, and whole.
    let next = reader.read_next().unwrap().as_ref().map(number_of).unwrap();
    assert!(next >= 2, "{next}");
    patient.write(&frame(4)).unwrap();
    let rest: Vec<_> = std::iter::from_fn(|| reader.read_next().unwrap()).map(|frame| number_of(&frame)).collect();
    assert_eq!(rest.last(), Some(&4), "it counts again: {rest:?}");
}

#[test]
fn a_reader_that_is_told_to_wait_for_ever_is_waited_for() {
    let (_folder, _path, slots) = create(1);
    let writer = Writer::new(&slots, 1).unwrap().with_straggler_timeout(Duration::MAX);
    writer.write(&frame(0)).unwrap();
    assert_eq!(writer.write_bp(&frame(1), Reliability::Reliable, SHORT * 3), Ok(WriteOutcome::TimedOut));
    // Timeouts beyond what a clock can say are no different.
    let writer = Writer::new(&slots, 1).unwrap().with_straggler_timeout(Duration::MAX - Duration::from_nanos(1));
    assert_eq!(writer.write_bp(&frame(1), Reliability::Reliable, SHORT), Ok(WriteOutcome::TimedOut));
}

#[test]
fn readers_that_are_not_counted_or_have_read_are_left_alone() {
    let (_folder, _path, slots) = create(1);
    let (mut first, mut second) = (Reader::new(&slots, 0).unwrap(), Reader::new(&slots, 1).unwrap());
    let writer = Writer::new(&slots, 0b11).unwrap().with_straggler_timeout(SHORT);
    for number in 0..5 {
        insist(&writer, number);
        assert_eq!(first.read_next().unwrap().as_ref().map(number_of), Some(number), "who reads in time gets all");
    }
    assert_eq!(second.read_next().unwrap().as_ref().map(number_of), Some(4));
}

#[test]
fn readers_in_no_mask_are_evicted_by_nobody() {
    let (_folder, _path, slots) = create(2);
    let writer = Writer::new(&slots, 1).unwrap().with_straggler_timeout(SHORT);
    insist(&writer, 0);
    insist(&writer, 1);
    std::thread::sleep(SHORT * 2);
    insist(&writer, 2);
    let masks = [0, 1].map(|slot| slots.sample_at(slot).unwrap().unwrap().1.reader_mask);
    assert_eq!(masks.iter().filter(|mask| **mask == 1).count(), 1, "one is still there, free of reader 0 alone: {masks:?}");
}

#[test]
fn a_sample_of_another_writer_is_not_as_old_as_the_last_one_in_its_slot() {
    let (_folder, path, slots) = create(1);
    // Another process's, as it were: it counts its samples from 0, too.
    let attached = PosixSlotAllocator::attach(&path).unwrap();
    let (writer, other) = (Writer::new(&slots, 1).unwrap().with_straggler_timeout(SHORT), Writer::new(&attached, 1).unwrap());
    let mut reader = Reader::new(&slots, 0).unwrap();
    insist(&writer, 0);
    assert_eq!(reader.read().unwrap().as_ref().map(number_of), Some(0));
    std::thread::sleep(SHORT * 2);
    let start = Instant::now();
    assert_eq!(other.write(&frame(1)), Ok(0));
    insist(&writer, 2);
    assert!(start.elapsed() >= SHORT);
}

#[test]
fn a_sample_held_in_time_and_dropped_late_marks_nothing_else() {
    let (_folder, _path, slots) = create(1);
    let writer = Writer::new(&slots, 1).unwrap().with_straggler_timeout(SHORT);
    let mut reader = Reader::new(&slots, 0).unwrap();
    insist(&writer, 0);
    let held = reader.read_ref().unwrap().unwrap();
    insist(&writer, 1);
    assert_eq!(number_of(&held), 0, "the copy is whole");
    drop(held);
    assert_eq!(reader.read_next().unwrap().as_ref().map(number_of), Some(1), "the late mark hid nothing");
}

#[test]
fn a_registered_reader_of_the_safe_face_is_not_evicted() {
    let (_folder, path, slots) = create(1);
    let segment = seqslot::attach(&path).unwrap();
    let registered = segment.reader().unwrap();
    let writer = Writer::new(&slots, 1 << registered.index().get()).unwrap().with_straggler_timeout(SHORT);
    insist(&writer, 0);
    let before = slots.notify_generation();
    assert_eq!(writer.write_bp(&frame(1), Reliability::Reliable, SHORT * 5), Ok(WriteOutcome::TimedOut));
    assert_eq!(slots.notify_generation(), before, "the writer slept, and woke nobody");
    assert_eq!(registered.take().unwrap().unwrap().len(), size_of::<Frame>());
    insist(&writer, 1);
}

/// Reads everything, says of each what it was, until number `last` came.
fn read_all(slots: &PosixSlotAllocator, last: u64) -> (u64, u64) {
    let mut reader = Reader::new(slots, 0).unwrap();
    let (mut got, mut newest) = (0, None);
    while newest != Some(last) {
        let held = reader.next_ref().unwrap();
        let Some(held) = held else {
            let seen = slots.notify_generation();
            if slots.next_unread_slot(0).unwrap().is_none() {
                slots.wait_for_change(seen, LONG);
            }
            continue;
        };
        let number = number_of(&held);
        assert_eq!(number, u64::from(held.sequence_number()), "a number and its sample belong together");
        assert!(newest.is_none_or(|newest| number > newest), "{number} after {newest:?}");
        (got, newest) = (got + 1, Some(number));
        if got == 1 {
            say("reading");
        }
    }
    (got, last + 1 - got)
}

#[test]
fn a_stopped_reader_holds_slots_for_the_timeout_and_gets_what_is_true_when_it_goes_on() {
    const BEFORE: u64 = 1000;
    const WHILE: u64 = 200;
    const LAST: u64 = 3000;
    if let Some((_, path)) = role() {
        let slots = PosixSlotAllocator::attach_typed::<Frame>(path).unwrap();
        let (got, missed) = read_all(&slots, LAST);
        say(&format!("got {got} {missed}"));
        return;
    }
    let (_folder, path, slots) = create(4);
    let writer = Writer::new(&slots, 1).unwrap().with_straggler_timeout(SHORT);
    let patient = Writer::new(&slots, 1).unwrap();
    let mut peer = Peer::start("a_stopped_reader_holds_slots_for_the_timeout_and_gets_what_is_true_when_it_goes_on", "reader", &path);
    insist(&patient, 0);
    peer.expect("reading");
    for number in 1..BEFORE {
        insist(&patient, number);
    }
    peer.signal(libc::SIGSTOP);
    let start = Instant::now();
    let deadline_passed = (BEFORE..BEFORE + WHILE).filter(|&number| {
        insist(&writer, number);
        start.elapsed() >= SHORT
    });
    assert!(deadline_passed.count() > 0, "the first slots were not free before the timeout");
    peer.signal(libc::SIGCONT);
    for number in BEFORE + WHILE..LAST {
        insist(&patient, number);
    }
    // Until it says that it has the last one, that one is written to it.
    insist(&patient, LAST);
    let told = peer.expect("got");
    let mut numbers = told.split_whitespace().map(|word| word.parse::<u64>().unwrap());
    let (got, missed) = (numbers.next().unwrap(), numbers.next().unwrap());
    assert_eq!(got + missed, LAST + 1);
    assert!(missed >= WHILE - 8, "a stopped reader got what was taken from it? {missed}");
    peer.join();
}

#[test]
fn what_a_dead_writer_left_behind_is_taken_back_from_a_stopped_reader_by_its_successor() {
    if let Some((role, path)) = role() {
        let slots = PosixSlotAllocator::attach_typed::<Frame>(path).unwrap();
        if role == "writer" {
            let writer = Writer::new(&slots, 1).unwrap();
            for number in 0..3 {
                writer.write(&frame(number)).unwrap();
            }
        } else {
            let mut reader = Reader::new(&slots, 0).unwrap();
            assert_eq!(reader.next_ref().unwrap().as_deref().map(number_of), Some(0));
            let held = reader.next_ref().unwrap().unwrap();
            say("holding");
            pause();
            assert_eq!(number_of(&held), 1, "held in time, and whole");
            drop(held);
            let numbers = std::iter::from_fn(|| reader.read_next().unwrap()).map(|frame| number_of(&frame));
            let numbers: Vec<_> = numbers.collect();
            assert!(numbers.iter().all(|&number| (100..110).contains(&number)) && numbers.is_sorted(), "{numbers:?}");
            say("done");
        }
        return pause();
    }
    const NAME: &str = "what_a_dead_writer_left_behind_is_taken_back_from_a_stopped_reader_by_its_successor";
    let (_folder, path, slots) = create(3);
    let dead = Peer::start(NAME, "writer", &path);
    while slots.sample_at(2).unwrap().is_none() {
        std::thread::yield_now();
    }
    dead.kill();
    let mut reader = Peer::start(NAME, "reader", &path);
    reader.expect("holding");
    reader.signal(libc::SIGSTOP);
    let writer = Writer::new(&slots, 1).unwrap().with_straggler_timeout(SHORT);
    for number in 100..110 {
        insist(&writer, number);
    }
    reader.signal(libc::SIGCONT);
    reader.go_on();
    reader.expect("done");
    reader.go_on();
    reader.join();
}
