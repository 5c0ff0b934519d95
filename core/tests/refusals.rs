//! What is refused, and what becomes of a peer's damage: an answer that says why, and nothing left behind.
#![allow(missing_docs)]

mod poke;
mod seeds_support;

use core::time::Duration;

use poke::Poke;
use seeds_support::{dead, region, segment};
use seqslot_core::layout::control::SCARCE;
use seqslot_core::layout::head::{FLAG_ALWAYS_WAKE, HEAD_LEN, Head};
use seqslot_core::layout::slots::SlotsGeometry;
use seqslot_core::{
    AttachError, Bare, CommitError, Config, CreateError, HeadError, JoinError, LoanError, Lock, Memory, Ordering, Os, Raw, Region, Segment,
    SlotBackend, SlotsView, TakeError, Woken,
};

#[test]
fn a_region_that_is_too_short_or_at_an_odd_place_is_refused() {
    let config = Config::slots(4, 64);
    let short = Bare::new(region(config.len().unwrap() - 64));
    let refused = Segment::create(short, &(), &config);
    assert!(matches!(refused.err(), Some(CreateError::BadName { reason }) if reason.contains("shorter")));
    assert_eq!(Segment::attach(short, &()).err(), Some(AttachError::Head(HeadError::NotReady)), "nothing left behind");
    let bytes: &'static [core::sync::atomic::AtomicU8] = Vec::leak((0..256).map(|_| core::sync::atomic::AtomicU8::new(0)).collect());
    let odd = bytes.as_ptr().align_offset(64) + 4;
    // SAFETY: 1. and 2. the bytes are this test's, and no segment is made in them.
    assert_eq!(unsafe { Region::new(&bytes[odd..]) }.err(), Some(HeadError::Misaligned));
    // SAFETY: as above.
    let empty = unsafe { Region::new(&bytes[odd - 4..odd - 4]) }.unwrap();
    assert!(empty.is_empty() && !region(64).is_empty());
    assert!(matches!(Segment::attach(Bare::new(empty), &()).err(), Some(AttachError::Head(HeadError::TooShort { len: 0, .. }))));
}

#[test]
fn a_segment_moved_to_where_its_payloads_are_not_aligned_is_refused() {
    let config = Config::slots(2, 64).align(4096);
    let len = config.len().unwrap();
    let room = region(2 * len + 8192);
    let aligned = at(room, (4096 - address(room) % 4096) % 4096, len);
    let made = Segment::create(Bare::new(aligned), &(), &config).unwrap();
    let moved = at(room, (4096 - address(room) % 4096) % 4096 + len.next_multiple_of(4096) + 64, len);
    assert_eq!(Segment::create(Bare::new(moved), &(), &config).err(), Some(CreateError::Misaligned));
    for word in (0..len).step_by(4) {
        // SAFETY: a multiple of 4 inside both; the regions are leaked.
        let value = unsafe { made.view().memory().load(word, Ordering::Relaxed) };
        // SAFETY: as above, and writable.
        unsafe { moved.raw().store(word, value, Ordering::Relaxed) };
    }
    assert_eq!(Segment::attach(Bare::new(moved), &()).err(), Some(AttachError::Head(HeadError::Misaligned)));
}

fn address(region: Region<'_>) -> usize {
    // SAFETY: 1. zero bytes. 2. borrowed. 3. nothing is read.
    unsafe { region.raw().payload(0, 0) }.addr()
}

/// A region inside another.
fn at(room: Region<'static>, start: usize, len: usize) -> Region<'static> {
    assert!(start + len <= room.len());
    // SAFETY: 1. inside, asserted. 2. and 3. nothing is read through the pointer here.
    let bytes = unsafe { room.raw().payload(start, len) }.cast();
    // SAFETY: the room is made of atomics that are leaked, and reached through regions only.
    let bytes: &'static [core::sync::atomic::AtomicU8] = unsafe { core::slice::from_raw_parts(bytes, len) };
    // SAFETY: 1. and 2. the room is the test's, and the parts do not overlap.
    unsafe { Region::new(bytes) }.unwrap()
}

#[test]
fn each_field_of_a_head_that_cannot_be_is_named() {
    let made = segment(&Config::slots(4, 64).writers(2).readers(2));
    let (good, mapped) = (*made.head(), made.view().memory().len());
    assert_eq!(SlotsGeometry::from_head(&good, mapped).as_ref(), Ok(made.geometry()));
    let refused = |change: fn(&mut Head)| {
        let mut head = good;
        change(&mut head);
        SlotsGeometry::from_head(&head, mapped).unwrap_err()
    };
    let field = |name, value| HeadError::Field { name, value };
    assert_eq!(refused(|head| head.count = 0), field("slot count", 0));
    assert_eq!(refused(|head| head.capacity = 0), field("capacity", 0));
    assert_eq!(refused(|head| head.writers = 33), field("writer count", 33));
    assert_eq!(refused(|head| head.readers = 0), field("reader count", 0));
    assert_eq!(refused(|head| head.payload_align = 48), field("payload alignment", 48));
    assert_eq!(refused(|head| head.stride += 64), field("stride", u64::from(good.stride) + 64));
    assert_eq!(refused(|head| head.ring_len *= 2), field("ring length", u64::from(good.ring_len) * 2));
    assert_eq!(refused(|head| head.total_len += 64), field("total length", good.total_len + 64));
    assert_eq!(refused(|head| head.flags = FLAG_ALWAYS_WAKE), field("flags", u64::from(FLAG_ALWAYS_WAKE)));
    let short = SlotsGeometry::from_head(&good, mapped - 64);
    assert_eq!(short.err(), Some(HeadError::TooShort { len: mapped as u64 - 64, needed: mapped as u64 }));
}

#[test]
fn a_view_is_not_made_of_a_geometry_that_does_not_add_up_or_fit() {
    let made = segment(&Config::slots(4, 64));
    let (geometry, memory) = (*made.geometry(), *made.view().memory());
    let view = |geometry, memory: Raw| {
        // SAFETY: 1. the region is leaked. 2. it is writable.
        unsafe { SlotsView::new(memory, geometry) }.map(|_| ())
    };
    assert_eq!(view(geometry, memory), Ok(()));
    let mut forged = geometry;
    forged.slots_at += 64;
    assert!(matches!(view(forged, memory), Err(HeadError::Field { name: "geometry", .. })));
    let half = at(made.os().open(&(), seqslot_core::Access::ReadWrite).unwrap(), 0, (geometry.total_len / 2) & !63).raw();
    assert!(matches!(view(geometry, half), Err(HeadError::TooShort { .. })));
    assert!(memory.len() >= HEAD_LEN && !memory.is_empty());
}

#[test]
fn a_sample_whose_alleged_size_cannot_be_is_skipped_told_and_its_slot_is_free() {
    let made = segment(&Config::slots(2, 8));
    let (writer, reader) = (made.writer().unwrap(), made.reader().unwrap());
    let typed = made.reader_of::<u32>().unwrap();
    writer.send(b"good").unwrap();
    writer.send(b"damaged").unwrap();
    made.view().slot(1).unwrap().size().store(9, Ordering::Relaxed);
    assert_eq!(reader.take().unwrap().as_deref(), Some(&b"good"[..]));
    assert_eq!(reader.take().err(), Some(TakeError::BadSize { size: 9, capacity: 8 }));
    assert!(reader.take().unwrap().is_none());
    assert_eq!((made.stats().bad_sizes, reader.taken()), (1, 1));
    // For a reader of values anything but the value's size is as bad.
    assert_eq!(typed.take().unwrap().map(|sample| *sample), Some(u32::from_ne_bytes(*b"good")));
    assert_eq!(typed.take().err(), Some(TakeError::BadSize { size: 9, capacity: 8 }));
    assert!(writer.send(b"a").is_ok() && writer.send(b"b").is_ok());
}

#[test]
fn a_type_that_does_not_fit_gets_no_handle_and_takes_no_entry() {
    let made = segment(&Config::slots(2, 8).type_hash([1; 16]));
    assert_eq!(made.reader_of::<[u64; 2]>().err(), Some(JoinError::TypeMismatch));
    assert_eq!(made.writer_of::<[u64; 2]>().err(), Some(JoinError::TypeMismatch));
    assert_eq!(made.view().active().load(Ordering::Relaxed), 0);
    assert_eq!(made.expect_type([2; 16]), Err(HeadError::TypeMismatch));
    assert_eq!((made.expect_type([1; 16]), segment(&Config::slots(2, 8)).expect_type([2; 16])), (Ok(()), Ok(())));
}

#[test]
fn handles_of_a_party_that_was_declared_dead_do_nothing_any_more() {
    let made = segment(&Config::slots(4, 8));
    let (writer, reader) = (made.writer().unwrap(), made.reader().unwrap());
    let (loan, kept) = (writer.loan().unwrap(), made.writer().unwrap());
    dead(&made, Lock::writer(0)).unwrap();
    assert_eq!(loan.commit_len(1), Err(CommitError::Forked));
    assert_eq!((writer.try_loan().err(), writer.loan().err()), (Some(LoanError::Forked), Some(LoanError::Forked)));
    dead(&made, Lock::reader(0)).unwrap();
    assert_eq!(reader.take().err(), Some(TakeError::Forked));
    // Their places are others' by now, whom their going does not touch.
    let (next, heir) = (made.writer().unwrap(), made.reader().unwrap());
    assert_eq!((next.index(), heir.index()), (writer.index(), reader.index()));
    drop((writer, reader));
    next.send(b"on").unwrap();
    assert_eq!(heir.take().unwrap().as_deref(), Some(&b"on"[..]));
    drop(kept);
}

#[test]
fn without_a_clock_a_wait_ends_after_so_many_looks() {
    let os = Bare::new(region(4096));
    let word = seqslot_core::AtomicU32::new(1);
    assert_eq!(os.wait(&word, 1, 1, Duration::ZERO), Woken::TimedOut);
    assert_eq!(os.wait(&word, 1, 1, Duration::MAX), Woken::TimedOut);
    assert_eq!(os.wait(&word, 0, 1, Duration::MAX), Woken::Perhaps);
    os.sleep(Duration::MAX);
    assert_eq!(os.now(), Duration::ZERO);
}

/// The window and the slots beyond it are gone round in order: one that is held is passed over, and nothing is begun anew.
#[test]
fn a_held_slot_beyond_the_window_is_passed_over() {
    const SLOTS: u32 = 150;
    let made = segment(&Config::slots(u64::from(SLOTS), 40_000).sparse());
    let (writer, reader) = (made.writer().unwrap(), made.reader().unwrap());
    let send = |first: u32, end: u32| {
        for slot in first..end {
            let loan = writer.loan().unwrap();
            assert_eq!(loan.slot(), slot);
            loan.commit_len(0).unwrap();
        }
    };
    let window = (4 << 20) / made.geometry().stride;
    let held_slot = window + 20;
    assert!(held_slot < SLOTS && SLOTS - window < window);
    send(0, held_slot + 1);
    let mut held = None;
    while let Some(sample) = reader.take().unwrap() {
        held = Some(sample);
    }
    assert_eq!(held.as_ref().map(|sample| sample.slot()), Some(held_slot));
    send(held_slot + 1, SLOTS);
    while reader.take().unwrap().is_some() {}
    // The reader falls behind: the whole window, then what is beyond it, but for the one that is held.
    send(0, held_slot);
    send(held_slot + 1, SLOTS);
    assert_eq!(made.view().flags().load(Ordering::Relaxed) & SCARCE, 0, "there were free slots all the time");
}

#[test]
fn large_slots_are_written_again_while_they_are_warm() {
    const LARGE: u64 = 1_000_000;
    let made = segment(&Config::slots(16, LARGE));
    let (writer, reader) = (made.writer().unwrap(), made.reader().unwrap());
    let mut used = std::collections::BTreeSet::new();
    for number in 0..30_u8 {
        writer.send(&[number; 9]).unwrap();
        let sample = reader.take().unwrap().unwrap();
        assert_eq!(*sample, [number; 9]);
        used.insert(sample.slot());
    }
    assert_eq!(used.len(), 4, "four of a megabyte: {used:?}");
    // A reader that is a whole window behind is no reason to wait: the other slots are used, and then the window again.
    let held: Vec<_> = (0..16).map(|number: u8| writer.send(&[number; 9]).map(|_| reader.take().unwrap().unwrap())).collect();
    assert!(held.iter().all(Result::is_ok), "all of the others");
    assert!(writer.send(&[0]).is_err());
    drop(held);
    writer.send(&[1; 9]).unwrap();
    assert_eq!(*reader.take().unwrap().unwrap(), [1; 9]);
    let face = seeds_support::face(16, 40_000);
    used.clear();
    for number in 0..20_u8 {
        let loan = face.reserve_slot(1).unwrap();
        used.insert(loan.slot_index);
        face.commit_slot(loan, &[number; 9]).unwrap();
        let got = face.next_unread_slot(0).unwrap().unwrap();
        let mut bytes = [0; 9];
        assert_eq!(face.read_slot_into(got, &mut bytes).unwrap().sample_size, 9);
        assert_eq!(bytes, [number; 9]);
        face.mark_read(got, 0).unwrap();
    }
    assert!(used.len() <= 5, "{used:?}");
}
