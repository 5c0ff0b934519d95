//! The safe face over a plain region: what one process can see of it.
#![allow(missing_docs)]

use core::sync::atomic::AtomicU8;
use core::time::Duration;

use seqslot_core::{Bare, CommitError, Config, LoanError, Lock, ReaderIndex, Region, Segment, TakeError};

#[repr(align(64))]
struct Line(#[allow(dead_code, reason = "reached through the slice")] [AtomicU8; 64]);

/// A fresh zeroed region, leaked: tests are short.
fn region(len: usize) -> Region<'static> {
    let lines: Vec<Line> = (0..len.div_ceil(64)).map(|_| Line([const { AtomicU8::new(0) }; 64])).collect();
    let lines: &'static [Line] = lines.leak();
    // SAFETY: lines are arrays of atomics without padding, one behind the other, for ever.
    let bytes = unsafe { core::slice::from_raw_parts(lines.as_ptr().cast::<AtomicU8>(), lines.len() * 64) };
    // SAFETY: 1. and 2. each test has a region of its own, with one segment in it.
    unsafe { Region::new(bytes) }.unwrap()
}

fn segment(config: &Config) -> Segment<Bare<'static>> {
    Segment::create(Bare::new(region(config.len().unwrap())), &(), config).unwrap()
}

fn attach_again(segment: &Segment<Bare<'static>>) -> Segment<Bare<'static>> {
    Segment::adopt(*segment.os(), *segment.mapping()).unwrap()
}

#[test]
fn samples_arrive_in_order_and_slots_come_back() {
    let segment = segment(&Config::slots(4, 64));
    let (writer, reader) = (segment.writer().unwrap(), segment.reader().unwrap());
    for number in 0..1000_u32 {
        let mut loan = writer.loan().unwrap();
        loan[..4].copy_from_slice(&number.to_ne_bytes());
        assert_eq!(loan.commit_len(4).unwrap(), number);
        let sample = reader.take().unwrap().unwrap();
        assert_eq!(&*sample, number.to_ne_bytes());
        assert_eq!((sample.sequence(), sample.missed()), (number, 0));
    }
    assert!(reader.take().unwrap().is_none());
}

#[test]
fn a_slot_owed_to_a_reader_is_not_given_out() {
    let segment = segment(&Config::slots(3, 8));
    let (writer, reader) = (segment.writer().unwrap(), segment.reader().unwrap());
    for _ in 0..3 {
        writer.loan().unwrap().commit_len(1).unwrap();
    }
    assert_eq!(writer.try_loan().err(), Some(LoanError::NoFreeSlot));
    assert_eq!(writer.loan_timeout(Duration::from_millis(1)).err(), Some(LoanError::TimedOut));
    let first = reader.take().unwrap().unwrap();
    assert_eq!(writer.loan().err(), Some(LoanError::NoFreeSlot));
    let freed = first.slot();
    drop(first);
    assert_eq!(writer.loan().unwrap().slot(), freed);
}

#[test]
fn each_of_32_readers_gets_every_sample() {
    let segment = segment(&Config::slots(2, 8));
    let writer = segment.writer().unwrap();
    let readers: Vec<_> = (0..32).map(|_| segment.reader().unwrap()).collect();
    assert!(segment.reader().is_err());
    for round in 0..10 {
        writer.send(&[round]).unwrap();
        for reader in &readers {
            assert_eq!(&*reader.take().unwrap().unwrap(), [round]);
        }
    }
    assert_eq!(segment.stats().taken, 320);
}

#[test]
fn a_reader_gets_what_is_committed_after_its_join_only() {
    let segment = segment(&Config::slots(4, 8));
    let writer = segment.writer().unwrap();
    writer.send(b"before").unwrap();
    let reader = segment.reader().unwrap();
    assert!(reader.take().unwrap().is_none());
    writer.send(b"after").unwrap();
    assert_eq!(&*reader.take().unwrap().unwrap(), b"after");
}

#[test]
fn an_index_taken_again_does_not_see_what_was_owed_to_the_former_holder() {
    let segment = segment(&Config::slots(2, 8));
    let writer = segment.writer().unwrap();
    let index = ReaderIndex::new(5).unwrap();
    let former = seqslot_core::Reader::<_, [u8]>::join_as(&segment, index).unwrap();
    writer.send(b"old").unwrap();
    drop(former);
    let reader = seqslot_core::Reader::<_, [u8]>::join_as(&segment, index).unwrap();
    assert!(reader.take().unwrap().is_none());
    for _ in 0..5 {
        writer.send(b"new").unwrap();
        assert_eq!(&*reader.take().unwrap().unwrap(), b"new");
    }
}

#[test]
fn two_writers_each_keep_their_order() {
    let segment = segment(&Config::slots(8, 8));
    let writers = [segment.writer().unwrap(), segment.writer().unwrap()];
    let reader = segment.reader().unwrap();
    let mut next = [0_u32; 2];
    for round in 0..200_u32 {
        let which = (round as usize * 7 / 3) % 2;
        writers[which].send(&round.to_ne_bytes()).unwrap();
        if round % 3 == 0 {
            while let Some(sample) = reader.take().unwrap() {
                let of = sample.writer().get() as usize;
                assert_eq!(sample.sequence(), next[of]);
                next[of] += 1;
            }
        }
    }
    while let Some(sample) = reader.take().unwrap() {
        next[sample.writer().get() as usize] += 1;
    }
    assert_eq!(next.iter().sum::<u32>(), 200);
}

#[test]
fn an_empty_sample_is_a_sample() {
    let segment = segment(&Config::slots(2, 8));
    let (writer, reader) = (segment.writer().unwrap(), segment.reader().unwrap());
    writer.loan().unwrap().commit_len(0).unwrap();
    assert_eq!(reader.take().unwrap().unwrap().len(), 0);
}

#[test]
fn a_sample_larger_than_the_slot_is_refused_and_the_slot_comes_back() {
    let segment = segment(&Config::slots(1, 8));
    let writer = segment.writer().unwrap();
    let answer = writer.loan().unwrap().commit_len(9);
    assert_eq!(answer, Err(CommitError::SampleTooLarge { sample: 9, capacity: 8 }));
    assert!(writer.loan().is_ok());
}

#[test]
fn a_dropped_loan_and_a_forgotten_one_come_back() {
    let segment = segment(&Config::slots(1, 8));
    let writer = segment.writer().unwrap();
    drop(writer.loan().unwrap());
    core::mem::forget(writer.loan().unwrap());
    assert_eq!(writer.loan().err(), Some(LoanError::NoFreeSlot));
    drop(writer);
    assert!(segment.writer().unwrap().loan().is_ok());
}

#[test]
fn a_forgotten_sample_is_free_when_its_reader_goes() {
    let segment = segment(&Config::slots(1, 8));
    let (writer, reader) = (segment.writer().unwrap(), segment.reader().unwrap());
    writer.send(b"x").unwrap();
    core::mem::forget(reader.take().unwrap().unwrap());
    assert!(writer.loan().is_err());
    drop(reader);
    assert!(writer.loan().is_ok());
}

#[test]
fn readers_drain_and_are_told_of_the_end() {
    let segment = segment(&Config::slots(4, 8));
    let (writer, reader) = (segment.writer().unwrap(), segment.reader().unwrap());
    assert!(reader.take().unwrap().is_none());
    writer.send(b"last").unwrap();
    writer.close();
    assert_eq!(&*reader.take().unwrap().unwrap(), b"last");
    assert_eq!(reader.take().err(), Some(TakeError::Closed));
    let again = segment.writer().unwrap();
    again.send(b"more").unwrap();
    assert_eq!(&*reader.take().unwrap().unwrap(), b"more", "a new writer goes on");
}

#[test]
fn a_writer_declared_dead_loses_its_loan_and_keeps_its_samples() {
    let segment = segment(&Config::slots(2, 8));
    let other = attach_again(&segment);
    let reader = other.reader().unwrap();
    let writer = segment.writer().unwrap();
    writer.send(b"kept").unwrap();
    let loan = writer.loan().unwrap();
    let found = dead(&other, Lock::writer(0)).unwrap();
    assert_eq!((found.writers, found.readers, found.slots), (1, 0, 1));
    assert_eq!(loan.commit_len(1), Err(CommitError::Forked));
    assert_eq!(&*reader.take().unwrap().unwrap(), b"kept");
    assert_eq!(reader.take().err(), Some(TakeError::WriterDied));
    core::mem::forget(writer);
    let next = other.writer().unwrap();
    next.send(b"goes on").unwrap();
    let sample = reader.take().unwrap().unwrap();
    assert_eq!((&*sample, sample.sequence()), (&b"goes on"[..], 2), "one position was burnt");
}

#[test]
fn a_reader_declared_dead_holds_nothing() {
    let segment = segment(&Config::slots(1, 8));
    let other = attach_again(&segment);
    let (writer, reader) = (segment.writer().unwrap(), other.reader().unwrap());
    writer.send(b"x").unwrap();
    core::mem::forget(reader.take().unwrap().unwrap());
    core::mem::forget(reader);
    assert!(writer.loan().is_err());
    assert_eq!(dead(&segment, Lock::reader(0)).unwrap().readers, 1);
    assert!(writer.loan().is_ok());
}

#[test]
fn an_evicted_reader_is_told_and_its_successor_is_not_hit() {
    let segment = segment(&Config::slots(2, 8).readers(1));
    let writer = segment.writer().unwrap();
    let reader = segment.reader().unwrap();
    let hung = reader.id();
    writer.send(b"a").unwrap();
    writer.send(b"b").unwrap();
    assert!(writer.loan().is_err());
    evict(&segment, hung).unwrap();
    assert!(writer.loan().is_ok());
    assert_eq!(reader.take().err(), Some(TakeError::Evicted));
    assert!(segment.reader().is_err(), "quarantined until it lets go");
    drop(reader);
    let successor = segment.reader().unwrap();
    assert!(evict(&segment, hung).is_err());
    writer.send(b"c").unwrap();
    assert_eq!(&*successor.take().unwrap().unwrap(), b"c");
}

#[test]
fn overwriting_takes_the_oldest_and_tells_how_many_were_missed() {
    let segment = segment(&Config::slots(4, 8).overwrite());
    let (writer, reader) = (segment.writer().unwrap(), segment.reader().unwrap());
    for number in 0..10_u32 {
        writer.send(&number.to_ne_bytes()).unwrap();
    }
    let first = reader.take().unwrap().unwrap();
    assert_eq!((first.sequence(), first.missed()), (6, 6));
    for number in 10..20_u32 {
        writer.send(&number.to_ne_bytes()).unwrap();
        assert_eq!(&*first, 6_u32.to_ne_bytes(), "pinned: left alone");
    }
    drop(first);
    let mut expected = 17;
    while let Some(sample) = reader.take().unwrap() {
        assert_eq!(sample.sequence(), expected);
        expected += 1;
    }
    assert_eq!((expected, reader.missed()), (20, 16));
    assert_eq!(segment.stats().overwritten, 16);
}

#[test]
fn few_free_slots_among_many_are_found_wherever_they_are() {
    let segment = segment(&Config::slots(1000, 8).writers(1));
    let (writer, reader) = (segment.writer().unwrap(), segment.reader().unwrap());
    let mut held: Vec<_> = Vec::new();
    for _ in 0..1000 {
        writer.send(b"x").unwrap();
        held.push(reader.take().unwrap().unwrap());
    }
    assert!(writer.loan().is_err());
    let mut state = 7_usize;
    for _ in 0..2000 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let let_go = held.swap_remove((state >> 33) % held.len());
        let slot = let_go.slot();
        drop(let_go);
        let loan = writer.try_loan().expect("the one that was freed");
        assert_eq!(loan.slot(), slot);
        loan.commit_len(1).unwrap();
        held.push(reader.take().unwrap().unwrap());
    }
    held.clear();
    for _ in 0..1000 {
        writer.send(b"y").unwrap();
        assert!(reader.take().unwrap().is_some());
    }
}

#[test]
fn typed_payloads_are_values_in_place() {
    #[derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout, Debug, PartialEq, Clone, Copy)]
    #[repr(C)]
    struct Pose {
        at: [f64; 3],
        stamp: u64,
    }
    let segment = segment(&Config::typed::<Pose>(4));
    let (writer, reader) = (segment.writer_of::<Pose>().unwrap(), segment.reader_of::<Pose>().unwrap());
    let pose = Pose { at: [1.0, 2.0, 3.0], stamp: 9 };
    let mut loan = writer.loan().unwrap();
    *loan = pose;
    loan.commit().unwrap();
    assert_eq!(*reader.take().unwrap().unwrap(), pose);
    assert!(segment.writer_of::<[u64; 5]>().is_err());
}

#[test]
fn batches_go_and_come_whole() {
    let segment = segment(&Config::slots(8, 8));
    let (writer, reader) = (segment.writer().unwrap(), segment.reader().unwrap());
    let loans = writer.loan_batch::<5>().unwrap();
    assert_eq!(loans.len(), 5);
    assert_eq!(writer.commit_batch(loans, |index| index).unwrap(), 5);
    let samples = reader.take_batch::<16>().unwrap();
    assert!(samples.iter().map(|sample| sample.len()).eq(0..5));
}

#[test]
fn lag_tells_who_is_behind() {
    let segment = segment(&Config::slots(8, 8));
    let writer = segment.writer().unwrap();
    let (quick, slow) = (segment.reader().unwrap(), segment.reader().unwrap());
    for _ in 0..6 {
        writer.send(b"x").unwrap();
        drop(quick.take().unwrap());
    }
    let mut seen = Vec::new();
    segment.lag(|lag| seen.push((lag.reader == slow.id(), lag.owed, lag.taken)));
    assert_eq!(seen, [(false, 0, 6), (true, 6, 0)]);
}

#[test]
fn handles_over_an_arc_live_on_their_own() {
    #[cfg(feature = "alloc")]
    {
        let segment = std::sync::Arc::new(segment(&Config::slots(2, 8)));
        let writer = seqslot_core::Writer::<_, [u8]>::join(segment.clone()).unwrap();
        let reader = seqslot_core::Reader::<_, [u8]>::join(segment).unwrap();
        let thread = std::thread::spawn(move || reader.take_timeout(Duration::MAX).map(|sample| sample.to_vec()));
        writer.send(b"far").unwrap();
        assert_eq!(thread.join().unwrap().unwrap(), b"far");
    }
}

/// Tells that a party is gone whose handles the test does not use to look at payloads any more.
#[allow(dead_code, reason = "not every test needs it")]
fn dead(segment: &Segment<Bare<'static>>, lock: Lock) -> Result<seqslot_core::Recovered, seqslot_core::OsError> {
    // SAFETY: as said.
    unsafe { segment.declare_dead(lock) }
}

/// Evicts a reader whose samples the test does not look at any more.
#[allow(dead_code, reason = "not every test needs it")]
fn evict(segment: &Segment<Bare<'static>>, reader: seqslot_core::ReaderId) -> Result<(), seqslot_core::EvictError> {
    // SAFETY: as said.
    unsafe { segment.evict(reader) }
}
