//! The seeds' faults: each has a test here that shows that ours does not have it.
#![allow(missing_docs, clippy::result_large_err)]

mod poke;
mod seeds_support;

use core::time::Duration;

use poke::Poke;
use portable_atomic::Ordering::Relaxed;
use seeds_support::{Face, attach, face, safe};
use seqslot_core::{Lock, ReaderIndex, SlotBackend, SlotError, SlotHandle, WriterIndex};

const R0: u32 = 1;
const R1: u32 = 2;

fn send(face: &Face, mask: u32, bytes: &[u8]) -> SlotHandle {
    let handle = face.reserve_slot(mask).unwrap();
    face.commit_slot(handle, bytes).unwrap();
    handle
}

/// Copied out, through the call that needs no heap.
fn read(face: &Face, handle: SlotHandle) -> Result<Vec<u8>, SlotError> {
    let mut bytes = vec![0; face.slot_capacity()];
    let header = face.read_slot_into(handle, &mut bytes)?;
    bytes.truncate(header.sample_size as usize);
    Ok(bytes)
}

fn sequence(face: &Face, handle: SlotHandle) -> u32 {
    face.read_slot_into(handle, &mut []).unwrap().sequence_number
}

#[test]
fn a_late_reader_gets_an_error_and_its_late_mark_hides_nothing() {
    let face = face(1, 8);
    let old = send(&face, 0, b"old");
    let new = send(&face, 0, b"new");
    assert_eq!(old.slot_index, new.slot_index);
    assert_ne!(old, new);
    assert_eq!(read(&face, old), Err(SlotError::StaleHandle));
    assert_eq!(face.slot_read_ptr(old), Err(SlotError::StaleHandle));
    let before = face.notify_generation();
    assert_eq!(face.mark_read(old, 0), Err(SlotError::StaleHandle));
    assert_eq!(face.notify_generation(), before);
    assert_eq!(face.next_unread_slot(0), Ok(Some(new)));
    assert_eq!(read(&face, new).unwrap(), b"new");
}

#[test]
fn a_late_reader_of_a_slot_on_loan_again_is_told() {
    let face = face(1, 8);
    let old = send(&face, 0, b"old");
    let loan = face.reserve_slot(0).unwrap();
    assert_eq!(read(&face, old), Err(SlotError::StaleHandle));
    assert_eq!(face.mark_read(old, 0), Err(SlotError::StaleHandle));
    assert_eq!(face.mark_read(loan, 0), Err(SlotError::StaleHandle), "nothing is published yet");
    face.discard_slot(loan).unwrap();
    assert_eq!(read(&face, old), Err(SlotError::StaleHandle));
    assert_eq!(read(&face, loan), Err(SlotError::StaleHandle));
}

#[test]
fn two_attached_writers_never_get_one_slot() {
    let one = face(2, 8);
    let other = attach(&one);
    let (a, b) = (one.reserve_slot(0).unwrap(), other.reserve_slot(0).unwrap());
    assert_ne!(a.slot_index, b.slot_index);
    assert_eq!(one.reserve_slot(0), Err(SlotError::NoFreeSlot));
    assert_eq!(other.commit_slot(a, b"x"), Err(SlotError::StaleHandle), "the loan is the other's");
    assert_eq!(other.discard_slot(a), Err(SlotError::StaleHandle));
    assert_eq!(other.slot_data_ptr(a), Err(SlotError::StaleHandle));
    assert_eq!(one.commit_slot(a, b"a"), Ok(0));
    assert_eq!(other.commit_slot(b, b"b"), Ok(0));
}

#[test]
fn a_reader_index_of_32_is_out_of_bounds_and_marks_nobody() {
    let face = face(2, 8);
    let handle = send(&face, R0, b"x");
    for index in [32, 33, 64, 255] {
        assert_eq!(face.mark_read(handle, index), Err(SlotError::OutOfBounds));
        assert_eq!(face.next_unread_slot(index), Err(SlotError::OutOfBounds));
        assert_eq!(face.mark_reader_disconnected(index), Err(SlotError::OutOfBounds));
    }
    assert_eq!(face.read_slot_into(handle, &mut []).unwrap().reader_mask, 0);
    assert_eq!(face.next_unread_slot(0), Ok(Some(handle)));
    assert!(face.mark_read(handle, 31).is_ok());
    assert_eq!(face.read_slot_into(handle, &mut []).unwrap().reader_mask, 1 << 31);
}

#[test]
fn an_empty_sample_is_delivered_and_not_overwritten() {
    let face = face(1, 8);
    let empty = send(&face, R0, b"");
    assert_eq!(face.reserve_slot(R0), Err(SlotError::NoFreeSlot));
    assert_eq!(face.next_unread_slot(0), Ok(Some(empty)));
    assert_eq!(read(&face, empty).unwrap(), b"");
    face.mark_read(empty, 0).unwrap();
    assert_eq!(face.next_unread_slot(0), Ok(None));
    assert!(face.reserve_slot(R0).is_ok());
}

#[test]
fn delivery_is_in_the_order_of_commits_and_not_of_slots() {
    let face = face(3, 8);
    let loans = [(); 3].map(|()| face.reserve_slot(R0).unwrap());
    for (number, loan) in [2, 0, 1].into_iter().enumerate() {
        assert_eq!(face.commit_slot(loans[loan], &[number as u8]), Ok(number as u32));
    }
    for (number, loan) in [2, 0, 1].into_iter().enumerate() {
        let next = face.next_unread_slot(0).unwrap().unwrap();
        assert_eq!((next, sequence(&face, next)), (loans[loan], number as u32));
        assert_eq!(face.next_unread_slot(0), Ok(Some(next)), "the same until it is marked");
        face.mark_read(next, 0).unwrap();
    }
}

#[test]
fn a_commit_needs_a_live_loan_and_ends_it() {
    let face = face(2, 8);
    let handle = send(&face, 0, b"once");
    assert_eq!(face.commit_slot(handle, b"twice"), Err(SlotError::StaleHandle));
    assert_eq!(face.commit_in_place(handle, 1), Err(SlotError::StaleHandle));
    assert_eq!(face.discard_slot(handle), Err(SlotError::StaleHandle));
    assert_eq!(read(&face, handle).unwrap(), b"once");

    let gone = face.reserve_slot(0).unwrap();
    face.discard_slot(gone).unwrap();
    assert_eq!(face.commit_slot(gone, b"x"), Err(SlotError::StaleHandle));
    assert_eq!(face.discard_slot(gone), Err(SlotError::StaleHandle));
}

#[test]
fn handles_of_another_segment_and_forged_ones_are_refused() {
    let (here, there) = (face(2, 8), face(2, 8));
    let foreign = there.reserve_slot(0).unwrap();
    let own = here.reserve_slot(0).unwrap();
    assert_ne!(foreign.segment_id, own.segment_id);
    assert_eq!(here.commit_slot(foreign, b"x"), Err(SlotError::StaleHandle));
    assert_eq!(here.mark_read(foreign, 0), Err(SlotError::StaleHandle));
    for slot_index in [2, u32::MAX] {
        let mut forged = own;
        forged.slot_index = slot_index;
        assert_eq!(here.commit_slot(forged, b"x"), Err(SlotError::OutOfBounds));
        assert_eq!(here.slot_data_ptr(forged), Err(SlotError::OutOfBounds));
        assert_eq!(read(&here, forged), Err(SlotError::OutOfBounds));
        assert_eq!(here.mark_read(forged, 0), Err(SlotError::OutOfBounds));
    }
    let mut neighbour = own;
    neighbour.slot_index = 1 - own.slot_index;
    assert_eq!(here.commit_slot(neighbour, b"x"), Err(SlotError::StaleHandle));
    assert_eq!(here.commit_slot(own, b"x"), Ok(0));
}

#[test]
fn a_sample_too_large_is_refused_and_the_loan_stays() {
    let face = face(1, 8);
    let loan = face.reserve_slot(0).unwrap();
    let too_large = SlotError::SampleTooLarge { sample: 9, slot_capacity: 8 };
    assert_eq!(face.commit_slot(loan, &[0; 9]), Err(too_large.clone()));
    assert_eq!(face.commit_in_place(loan, 9), Err(too_large));
    assert_eq!(face.commit_slot(loan, &[7; 8]), Ok(0));
    assert_eq!(read(&face, loan).unwrap(), [7; 8]);
}

#[test]
fn sequence_numbers_go_on_across_their_wrap_in_order() {
    let face = face(4, 8);
    let view = face.segment().view();
    let writer = WriterIndex::new(0).unwrap();
    // As after 2^32 - 3 commits: the head, and in the ring the positions before it, whose samples are read and gone.
    let (head, ring_len) = (u32::MAX - 2, view.geometry().ring_len);
    view.writer_entry(writer).unwrap().head().store(head, Relaxed);
    for back in 1..=ring_len {
        let position = head.wrapping_add(ring_len).wrapping_sub(back);
        view.ring(writer).unwrap().tag(position).store(position, Relaxed);
    }
    for round in 0..40_u32 {
        let expected = head.wrapping_add(round);
        let generation = face.notify_generation();
        let loan = face.reserve_slot(R0).unwrap();
        assert_eq!(face.commit_slot(loan, &round.to_ne_bytes()), Ok(expected));
        assert_ne!(face.notify_generation(), generation);
        if round % 3 == 2 {
            for late in round - 2..=round {
                let next = face.next_unread_slot(0).unwrap().unwrap();
                assert_eq!(read(&face, next).unwrap(), late.to_ne_bytes());
                assert_eq!(sequence(&face, next), head.wrapping_add(late));
                face.mark_read(next, 0).unwrap();
            }
        }
    }
}

#[test]
fn a_sample_held_while_the_positions_run_half_a_circle_is_still_the_oldest() {
    let face = face(4, 8);
    let held = send(&face, 0, b"held");
    assert_eq!(face.next_unread_slot(0), Ok(Some(held)));
    // Three thousand million commits later (their samples read and gone).
    let view = face.segment().view();
    let writer = WriterIndex::new(0).unwrap();
    let later = attach(&face);
    drop_writer_entry_and_move_head(&face, 3_000_000_000);
    let ring_len = view.geometry().ring_len;
    let head = view.writer_entry(writer).unwrap().head().load(Relaxed).wrapping_add(ring_len);
    for back in 1..=ring_len {
        let position = head.wrapping_sub(back);
        view.ring(writer).unwrap().index(position).store(u32::MAX, Relaxed);
        view.ring(writer).unwrap().tag(position).store(position, Relaxed);
    }
    let new = send(&later, R0, b"new");
    assert_eq!(face.next_unread_slot(0), Ok(Some(held)));
    face.mark_read(held, 0).unwrap();
    assert_eq!(face.next_unread_slot(0), Ok(Some(new)), "found over any distance");
    face.mark_read(new, 0).unwrap();
    assert_eq!(face.next_unread_slot(0), Ok(None));
}

/// Takes the writer entry away from `face` as its recovery would, and lets its positions run on.
fn drop_writer_entry_and_move_head(face: &Face, by: u32) {
    seeds_support::dead(face.segment(), Lock::writer(0)).unwrap();
    let head = face.segment().view().writer_entry(WriterIndex::new(0).unwrap()).unwrap().head();
    head.store(head.load(Relaxed).wrapping_add(by), Relaxed);
}

#[test]
fn a_wait_does_not_outlast_its_timeout_and_leaves_no_waiter_behind() {
    let face = face(2, 8);
    let seen = face.notify_generation();
    face.wait_for_change(seen, Duration::from_millis(1));
    let view = face.segment().view();
    assert_eq!(view.change_waiters().load(Relaxed), 0);
    send(&face, 0, b"x");
    face.wait_for_change(seen, Duration::MAX);
    assert_ne!(face.notify_generation(), seen);
}

#[test]
fn a_killed_waiter_leaves_no_waiter_behind() {
    let face = face(2, 8);
    let other = attach(&face);
    other.wait_for_change(other.notify_generation(), Duration::ZERO);
    // It dies registered.
    let view = face.segment().view();
    view.change_waiters().fetch_or(1, Relaxed);
    assert_eq!(seeds_support::dead(face.segment(), Lock::writer(0)).unwrap().writers, 1);
    assert_eq!(view.change_waiters().load(Relaxed), 0);
    core::mem::forget(other);
}

#[test]
fn every_change_moves_the_generation() {
    let face = face(2, 8);
    let mut last = face.notify_generation();
    let mut moved = |what: &str| {
        let now = face.notify_generation();
        assert_ne!(now, last, "{what}");
        last = now;
    };
    let handle = send(&face, R0, b"x");
    moved("commit");
    face.mark_read(handle, 0).unwrap();
    moved("mark");
    let loan = face.reserve_slot(0).unwrap();
    face.discard_slot(loan).unwrap();
    moved("discard");
    face.mark_reader_disconnected(5).unwrap();
    moved("disconnection");
    let segment = safe(&face);
    let reader = segment.reader().unwrap();
    send(&face, 0, b"y");
    moved("commit");
    drop(reader.take().unwrap().unwrap());
    moved("release of the safe face");
    drop(reader);
    moved("leave");
    seeds_support::dead(face.segment(), Lock::writer(0)).unwrap();
    moved("recovery");
}

#[test]
fn a_dead_reader_of_this_face_holds_nothing_and_its_successor_starts_anew() {
    let face = face(2, 8);
    let reader = attach(&face);
    send(&face, R0, b"a");
    let held = reader.next_unread_slot(0).unwrap().unwrap();
    assert_eq!(read(&reader, held).unwrap(), b"a");
    send(&face, R0, b"b");
    assert_eq!(face.reserve_slot(R0), Err(SlotError::NoFreeSlot));
    core::mem::forget(reader);
    assert_eq!(seeds_support::dead(face.segment(), Lock::reader(0)).unwrap().readers, 1);
    let after = send(&face, R0, b"c");
    send(&face, R0, b"d");
    send(&face, R0, b"e");
    assert_eq!(read(&face, after), Err(SlotError::StaleHandle), "the dead do not count for what comes");

    let successor = attach(&face);
    assert_eq!(successor.next_unread_slot(0), Ok(None));
    let first = send(&face, R0, b"f");
    assert_eq!(successor.next_unread_slot(0), Ok(Some(first)));
    send(&face, R0, b"g");
    assert_eq!(face.reserve_slot(R0), Err(SlotError::NoFreeSlot), "the successor counts");
}

#[test]
fn a_reader_disconnected_is_free_of_all_and_counts_again_when_it_marks() {
    let face = face(2, 8);
    let first = send(&face, R0, b"a");
    assert_eq!(face.next_unread_slot(0), Ok(Some(first)));
    send(&face, R0, b"b");
    face.mark_reader_disconnected(0).unwrap();
    assert_eq!(face.next_unread_slot(0), Ok(None));
    assert_eq!(face.read_slot_into(first, &mut []).unwrap().reader_mask, R0);
    for _ in 0..5 {
        send(&face, R0, b"c");
    }
    let last = face.next_unread_slot(0).unwrap().unwrap();
    face.mark_read(last, 0).unwrap();
    assert_eq!(face.next_unread_slot(0), Ok(None), "what was committed while it was away is not owed");
    send(&face, R0, b"d");
    send(&face, R0, b"e");
    assert_eq!(face.reserve_slot(R0), Err(SlotError::NoFreeSlot), "it counts again");
    assert!(face.reserve_slot(R1).is_err(), "1 has read nothing either");
    assert!(face.reserve_slot(0).is_ok());
}

#[test]
fn a_stale_mark_does_not_bring_a_disconnected_reader_back() {
    let face = face(1, 8);
    let old = send(&face, R0, b"a");
    face.next_unread_slot(0).unwrap();
    face.mark_reader_disconnected(0).unwrap();
    send(&face, R0, b"b");
    assert_eq!(face.mark_read(old, 0), Err(SlotError::StaleHandle));
    assert!(face.reserve_slot(R0).is_ok());
}

#[test]
fn an_index_of_the_safe_face_is_refused_and_the_other_way_round() {
    let face = face(4, 8);
    let segment = safe(&face);
    let registered = seqslot_core::Reader::<_, [u8]>::join_as(&segment, ReaderIndex::new(0).unwrap()).unwrap();
    let handle = send(&face, 0, b"x");
    assert_eq!(face.next_unread_slot(0), Err(SlotError::ReaderTaken));
    assert_eq!(face.mark_read(handle, 0), Err(SlotError::ReaderTaken));
    assert_eq!(face.mark_reader_disconnected(0), Err(SlotError::ReaderTaken));
    assert_eq!(face.next_unread_slot(1), Ok(Some(handle)));
    let second = segment.reader().unwrap();
    assert_eq!(second.index().get(), 2, "1 is in use by the seeds' face");
    assert_eq!(&*registered.take().unwrap().unwrap(), b"x");
    drop(registered);
    assert_eq!(face.next_unread_slot(0), Ok(None), "the registered reader has read it");
}

#[test]
fn registered_readers_of_the_safe_face_count_whatever_the_mask() {
    let face = face(2, 8);
    let segment = safe(&face);
    let reader = segment.reader().unwrap();
    send(&face, 0, b"a");
    send(&face, 0, b"b");
    assert_eq!(face.reserve_slot(0), Err(SlotError::NoFreeSlot));
    assert_eq!(&*reader.take().unwrap().unwrap(), b"a");
    assert!(face.reserve_slot(0).is_ok());
    assert_eq!(&*reader.take().unwrap().unwrap(), b"b");
}

#[test]
fn an_evicted_reader_of_this_face_counts_no_more_until_it_comes_back() {
    let face = face(1, 8);
    let reader = attach(&face);
    let held = send(&face, R0, b"a");
    assert_eq!(reader.next_unread_slot(0), Ok(Some(held)));
    assert!(face.reserve_slot(R0).is_err());
    let mut hung = None;
    face.segment().lag(|lag| hung = Some(lag.reader));
    seeds_support::evict(face.segment(), hung.unwrap()).unwrap();
    send(&face, R0, b"b");
    assert_eq!(reader.mark_read(held, 0), Err(SlotError::StaleHandle));
    assert_eq!(reader.next_unread_slot(0), Ok(None), "it has joined anew");
    let next = send(&face, R0, b"c");
    assert_eq!(reader.next_unread_slot(0), Ok(Some(next)));
    assert!(face.reserve_slot(R0).is_err());
}

#[test]
fn loans_of_a_dead_writer_and_of_a_dropped_one_come_back() {
    let face = face(2, 8);
    let other = attach(&face);
    let kept = send(&other, R0, b"kept");
    let lost = other.reserve_slot(0).unwrap();
    assert_eq!(face.reserve_slot(R0), Err(SlotError::NoFreeSlot));
    assert_eq!(seeds_support::dead(face.segment(), Lock::writer(0)).unwrap().slots, 1);
    assert_eq!(other.commit_slot(lost, b"x"), Err(SlotError::StaleHandle));
    core::mem::forget(other);
    let again = face.reserve_slot(R0).unwrap();
    assert_eq!(again.slot_index, lost.slot_index);
    assert_eq!(read(&face, kept).unwrap(), b"kept");
    face.discard_slot(again).unwrap();

    let third = attach(&face);
    third.reserve_slot(R0).unwrap();
    assert!(face.reserve_slot(R0).is_err());
    drop(third);
    assert!(face.reserve_slot(R0).is_ok());
}

#[test]
fn writers_share_the_reader_and_keep_their_order() {
    let one = face(8, 8);
    let other = attach(&one);
    for number in 0..3_u8 {
        send(&one, R0, &[0, number]);
        send(&other, R0, &[1, number]);
    }
    let mut next = [0; 2];
    let mut turns = Vec::new();
    while let Some(handle) = one.next_unread_slot(0).unwrap() {
        let bytes = read(&one, handle).unwrap();
        assert_eq!(bytes[1], next[usize::from(bytes[0])]);
        next[usize::from(bytes[0])] += 1;
        turns.push(bytes[0]);
        one.mark_read(handle, 0).unwrap();
    }
    assert_eq!(next, [3, 3]);
    assert!(turns.windows(2).all(|pair| pair[0] != pair[1]), "in turn: {turns:?}");
}

#[test]
fn attaching_and_reading_take_no_writer_entry_and_one_too_many_is_told() {
    let config = seqslot_core::Config::slots(4, 8).writers(1);
    let writer: Face = seqslot_core::SlotFace::new(seeds_support::segment(&config)).unwrap();
    let reader = attach(&writer);
    let handle = send(&writer, R0, b"x");
    assert_eq!(reader.next_unread_slot(0), Ok(Some(handle)));
    reader.mark_read(handle, 0).unwrap();
    assert_eq!(reader.reserve_slot(0), Err(SlotError::NoWriterEntry));
    // No entry to register with: it sleeps, and comes back.
    reader.wait_for_change(reader.notify_generation(), Duration::from_micros(10));
    drop(writer);
    assert!(reader.reserve_slot(0).is_ok());
}

#[test]
fn a_segment_that_overwrites_is_refused() {
    let segment = seeds_support::segment(&seqslot_core::Config::slots(4, 8).overwrite());
    assert!(seqslot_core::SlotFace::<_, seeds_support::Mutexes>::new(segment).is_err());
}

#[test]
fn in_place_is_the_same_as_copied() {
    let face = face(2, 8);
    let loan = face.reserve_slot(R0).unwrap();
    let (data, capacity) = face.slot_data_ptr(loan).unwrap();
    assert_eq!(capacity, 8);
    // SAFETY: a live loan's data, of that capacity; nobody else has the handle.
    unsafe { core::ptr::copy_nonoverlapping(b"in place".as_ptr(), data, 8) };
    assert_eq!(face.commit_in_place(loan, 7), Ok(0));
    let (data, len) = face.slot_read_ptr(loan).unwrap();
    // SAFETY: reader 0 counts and has not marked it, so the bytes stay.
    assert_eq!(unsafe { core::slice::from_raw_parts(data, len) }, b"in plac");
    assert_eq!(read(&face, loan).unwrap(), b"in plac");
    assert_eq!((face.slot_count(), face.slot_capacity(), face.type_hash()), (Ok(2), 8, None));
    assert!(face.slot_total_size() >= 16 + 8);
}

#[test]
fn a_size_that_a_peer_forged_is_an_error() {
    let face = face(2, 8);
    let handle = send(&face, R0, b"x");
    face.segment().view().slot(handle.slot_index).unwrap().size().store(u32::MAX, Relaxed);
    let too_large = SlotError::SampleTooLarge { sample: u32::MAX as usize, slot_capacity: 8 };
    assert_eq!(read(&face, handle), Err(too_large.clone()));
    assert_eq!(face.slot_read_ptr(handle), Err(too_large));
    face.mark_read(handle, 0).unwrap();
}
