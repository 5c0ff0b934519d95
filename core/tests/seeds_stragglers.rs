//! Samples taken back from readers of the seeds' face that live and do not read.
#![allow(missing_docs, clippy::result_large_err)]

mod poke;
mod seeds_support;

use poke::Poke as _;
use portable_atomic::Ordering::Relaxed;
use seeds_support::{Face, attach, face, safe};
use seqslot_core::{Lock, ReaderIndex, SlotBackend, SlotError, SlotHandle, WriterIndex};

const R0: u32 = 0b01;
const R1: u32 = 0b10;

fn send(face: &Face, mask: u32, bytes: &[u8]) -> SlotHandle {
    let handle = face.reserve_slot(mask).unwrap();
    face.commit_slot(handle, bytes).unwrap();
    handle
}

fn drain(face: &Face, reader: u8) -> Vec<SlotHandle> {
    let mut got = Vec::new();
    while let Some(handle) = face.next_unread_slot(reader).unwrap() {
        face.mark_read(handle, reader).unwrap();
        got.push(handle);
    }
    got
}

fn is_gone(face: &Face, reader: u32) -> bool {
    face.segment().view().disconnected().load(Relaxed) & 1 << reader != 0
}

#[test]
fn the_sample_alone_is_taken_back_and_from_the_named_alone() {
    let face = face(3, 8);
    let peer = attach(&face);
    let [a, b, c] = [b"a", b"b", b"c"].map(|bytes| send(&face, R0 | R1, bytes));
    assert_eq!(peer.next_unread_slot(0), Ok(Some(a)));
    assert_eq!(face.evict_sample(b, R0), Ok(R0));
    assert_eq!(face.evict_sample(b, R0), Ok(0), "once");
    assert_eq!(face.sample_at(b.slot_index).unwrap().unwrap().1.reader_mask, R0);
    assert_eq!(drain(&peer, 0), [a, c], "its next look does not find the sample");
    assert_eq!(drain(&peer, 1), [a, b, c], "and another's does");
    assert!(!is_gone(&face, 0));
    // It counts as before.
    for bytes in [b"d", b"e", b"f"] {
        send(&face, R0, bytes);
    }
    assert_eq!(face.reserve_slot(R0), Err(SlotError::NoFreeSlot));
}

#[test]
fn the_sample_shown_last_may_be_taken_back_and_its_slot_used_again() {
    let face = face(1, 8);
    let peer = attach(&face);
    let old = send(&face, R0, b"old");
    assert_eq!(peer.next_unread_slot(0), Ok(Some(old)));
    let before = face.notify_generation();
    assert_eq!(face.evict_sample(old, R0), Ok(R0));
    assert_ne!(face.notify_generation(), before, "whoever waits for a slot is told");
    let new = send(&face, R0, b"new");
    assert_eq!(peer.mark_read(old, 0), Err(SlotError::StaleHandle), "a late mark");
    assert_eq!(peer.next_unread_slot(0), Ok(Some(new)));
    assert_eq!(face.evict_sample(old, R0), Err(SlotError::StaleHandle), "a late eviction");
    assert_eq!(peer.next_unread_slot(0), Ok(Some(new)), "hid nothing");
}

#[test]
fn a_registered_reader_keeps_what_it_is_owed() {
    let face = face(1, 8);
    let segment = safe(&face);
    let registered = segment.reader().unwrap();
    let bit = registered.index().bit();
    let handle = send(&face, bit, b"kept");
    let before = face.notify_generation();
    assert_eq!(face.evict_sample(handle, bit), Ok(0));
    assert_eq!(face.notify_generation(), before, "nothing is touched, and nobody woken");
    assert_eq!(face.evict_sample(handle, u32::MAX), Ok(!bit), "the others, heard of or not");
    assert_eq!(face.evict_sample(handle, u32::MAX), Ok(0));
    assert_eq!(&*registered.take().unwrap().unwrap(), b"kept");
    drop(registered);
    // Now nobody is left who owes it.
    assert!(face.reserve_slot(u32::MAX).is_ok());
}

#[test]
fn a_slot_that_another_writer_has_just_claimed_is_left_alone() {
    let face = face(1, 8);
    let handle = send(&face, R0, b"a");
    let view = face.segment().view();
    let slot = view.slot(0).unwrap();
    let state = slot.state().load(Relaxed);
    slot.state().store((state + 1) | (2 << 26), Relaxed);
    assert_eq!(face.evict_sample(handle, R0), Err(SlotError::SlotBusy));
    assert_eq!((slot.state().load(Relaxed), slot.unread().load(Relaxed)), ((state + 1) | (2 << 26), u32::MAX));
    slot.state().store(state, Relaxed);
    assert_eq!(face.evict_sample(handle, R0), Ok(R0));
    assert_eq!(slot.state().load(Relaxed), state, "put back as it was");
}

#[test]
fn one_that_is_stopped_in_the_midst_of_a_mark_is_gone_until_it_marks_again() {
    let face = face(2, 8);
    let peer = attach(&face);
    let (a, b) = (send(&face, R0, b"a"), send(&face, R0, b"b"));
    assert_eq!(peer.next_unread_slot(0), Ok(Some(a)));
    let entry = face.segment().view().reader_entry(ReaderIndex::new(0).unwrap()).unwrap();
    entry.marks_begun().store(1, Relaxed);
    assert_eq!(face.evict_sample(a, R0), Ok(R0));
    assert!(is_gone(&face, 0), "what its mark will clear, it may be of the next sample in the slot");
    let c = send(&face, R0, b"c");
    assert_eq!(c.slot_index, a.slot_index);
    // The mark goes on.
    face.segment().view().slot(a.slot_index).unwrap().unread().store(!R0, Relaxed);
    entry.marks_ended().store(1, Relaxed);
    assert_eq!(peer.next_unread_slot(0), Ok(Some(b)), "nobody has needed the slot yet");
    peer.mark_read(b, 0).unwrap();
    assert!(!is_gone(&face, 0));
    assert_eq!(drain(&peer, 0), []);
    send(&face, R0, b"d");
    send(&face, R0, b"e");
    assert_eq!(face.reserve_slot(R0), Err(SlotError::NoFreeSlot), "it counts again");
}

#[test]
fn an_index_that_two_share_is_gone_with_its_sample_for_nobody_counts_their_marks() {
    let face = face(2, 8);
    let [first, second] = [attach(&face), attach(&face)];
    assert_eq!((first.next_unread_slot(0), second.next_unread_slot(0)), (Ok(None), Ok(None)));
    let (a, b) = (send(&face, R0, b"a"), send(&face, R0, b"b"));
    assert_eq!(face.evict_sample(a, R0), Ok(R0));
    assert!(is_gone(&face, 0));
    assert_eq!((first.next_unread_slot(0), second.next_unread_slot(0)), (Ok(Some(b)), Ok(Some(b))));
    second.mark_read(b, 0).unwrap();
    assert!(!is_gone(&face, 0), "either brings it back");
}

#[test]
fn a_mark_that_a_death_cut_short_is_over_for_the_next_holder() {
    let face = face(1, 8);
    let dying = attach(&face);
    assert_eq!(dying.next_unread_slot(0), Ok(None));
    let entry = face.segment().view().reader_entry(ReaderIndex::new(0).unwrap()).unwrap();
    entry.marks_begun().store(1, Relaxed);
    seeds_support::dead(face.segment(), Lock::reader(0)).unwrap();
    let next = attach(&face);
    assert_eq!(next.next_unread_slot(0), Ok(None));
    let handle = send(&face, R0, b"a");
    assert_eq!(face.evict_sample(handle, R0), Ok(R0));
    assert!(!is_gone(&face, 0));
    core::mem::forget(dying);
}

#[test]
fn an_evictor_that_dies_leaves_the_sample_to_those_that_still_owe_it() {
    let face = face(1, 8);
    let peer = attach(&face);
    let dying = attach(&face);
    let handle = send(&dying, R0 | R1, b"a");
    let slot = face.segment().view().slot(0).unwrap();
    // As it leaves it between the bits and the put-back.
    let entry = (0..4)
        .filter_map(WriterIndex::new)
        .find(|index| face.segment().view().writer_entry(*index).is_some_and(|entry| entry.state().load(Relaxed) & 3 != 0));
    let writer = entry.unwrap().get();
    slot.state().store((slot.state().load(Relaxed) + 1) | ((writer + 1) << 26), Relaxed);
    slot.unread().store(!R0, Relaxed);
    assert_eq!(face.reserve_slot(R0), Err(SlotError::NoFreeSlot));
    seeds_support::dead(face.segment(), Lock::writer(writer as u8)).unwrap();
    assert_eq!(drain(&peer, 0), []);
    assert_eq!(drain(&peer, 1), [handle]);
    assert!(face.reserve_slot(R0 | R1).is_ok());
    core::mem::forget(dying);
}

#[test]
fn handles_of_loans_and_of_nothing_are_stale() {
    let face = face(2, 8);
    let loan = face.reserve_slot(R0).unwrap();
    assert_eq!(face.evict_sample(loan, R0), Err(SlotError::StaleHandle));
    face.commit_slot(loan, b"a").unwrap();
    let mut wrong = loan;
    wrong.slot_index = 7;
    assert_eq!(face.evict_sample(wrong, R0), Err(SlotError::OutOfBounds));
    wrong.segment_id ^= 1;
    assert_eq!(face.evict_sample(wrong, R0), Err(SlotError::StaleHandle));
    assert_eq!(face.evict_sample(loan, R0), Ok(R0));
}
