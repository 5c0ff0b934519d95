//! Exact interleavings of two faces in one thread (see `interleavings.rs`): readers that come back, and marks that come late.
#![cfg(feature = "alloc")]
#![allow(
    clippy::undocumented_unsafe_blocks,
    clippy::multiple_unsafe_ops_per_block,
    clippy::type_complexity,
    reason = "every unsafe call passes on what `Raw` is asked, with the caller's own duties"
)]

#[allow(dead_code, reason = "this file needs a part of it")]
mod hooked;

use hooked::*;
use seqslot_core::*;
use std::cell::{Cell, RefCell};

fn face(s: &Segment<HookOs>) -> &'static SlotFace<HookOs, Mx> {
    Box::leak(Box::new(SlotFace::new(Segment::adopt(s.os().clone(), *s.mapping()).unwrap()).unwrap()))
}

/// S2: a reader comes back in the midst of a reserve that left it out. What it is shown from then on is not loaned to anybody before it
/// has marked it.
#[test]
fn a_slot_shown_to_a_reader_that_came_back_is_not_loaned() {
    for access in ["load", "cas"] {
        let s = hooked(&Config::slots(1, 8).writers(2).readers(1));
        let (one, other) = (face(s), face(s));
        one.mark_reader_disconnected(0).unwrap();
        let shown: &'static RefCell<Option<(SlotHandle, Result<(SlotHeader, Vec<u8>), SlotError>)>> = Box::leak(Box::default());
        arm(access, s.view().slot(0).unwrap().state().at(), 0, move || {
            assert_eq!(other.next_unread_slot(0).unwrap(), None, "it is back");
            let loan = other.reserve_slot(1).unwrap();
            other.commit_slot(loan, b"shown").unwrap();
            let handle = other.next_unread_slot(0).unwrap().expect("committed after it came back");
            *shown.borrow_mut() = Some((handle, other.read_slot(handle)));
        });
        let loan = one.reserve_slot(1);
        let (handle, before) = shown.borrow_mut().take().expect("in the midst of the reserve");
        assert_eq!(loan, Err(SlotError::NoFreeSlot), "the reader has the only slot");
        assert_eq!(other.read_slot(handle), before);
        other.mark_read(handle, 0).unwrap();
        assert!(one.reserve_slot(1).is_ok());
    }
}

/// S1, S5: two processes share the only reader index, and one of them marks late. The slot is on loan by then: an old handle stays stale.
#[test]
fn a_late_mark_brings_no_stale_handle_back_to_life() {
    let fired: &'static Cell<u32> = Box::leak(Box::default());
    for access in ["store", "and"] {
        let s = hooked(&Config::slots(1, 8).writers(1).readers(1));
        let (one, other) = (face(s), face(s));
        let sample = one.reserve_slot(1).unwrap();
        one.commit_slot(sample, b"old").unwrap();
        assert_eq!(one.next_unread_slot(0).unwrap(), Some(sample));
        assert_eq!(other.next_unread_slot(0).unwrap(), Some(sample), "the index is shared");
        arm(access, s.view().slot(0).unwrap().unread().at(), 0, move || {
            fired.set(fired.get() + 1);
            one.mark_read(sample, 0).unwrap();
            one.reserve_slot(1).unwrap();
        });
        other.mark_read(sample, 0).unwrap();
        if HOOK.with(|hook| hook.borrow_mut().take()).is_none() {
            assert_eq!(one.read_slot(sample), Err(SlotError::StaleHandle), "the slot is being filled with the next sample");
        }
    }
    assert_ne!(fired.get(), 0, "in the midst of the mark");
}

/// S4: whoever declares a reader gone dies before it says that something changed. A reserve that failed before looks again all the same.
#[test]
fn a_disconnection_that_died_half_done_frees_its_slots() {
    let s = hooked(&Config::slots(1, 8).writers(1).readers(1));
    let one = face(s);
    let sample = one.reserve_slot(1).unwrap();
    one.commit_slot(sample, b"gone").unwrap();
    for _ in 0..3 {
        assert_eq!(one.reserve_slot(1), Err(SlotError::NoFreeSlot));
    }
    unsafe { s.view().disconnected().atomic() }.store(1, Ordering::Relaxed);
    assert!(one.reserve_slot(1).is_ok(), "nobody counts");
}

/// A reader is stopped in the midst of a mark: it is waited for once, and no more once it is declared gone.
#[test]
fn a_reader_stopped_in_a_mark_is_waited_for_once() {
    const SLOTS: u64 = 64;
    let looks: &'static Cell<u32> = Box::leak(Box::default());
    let s = hooked(&Config::slots(SLOTS, 8).writers(1).readers(1));
    let (one, other) = (face(s), face(s));
    let send = |_| {
        let loan = one.reserve_slot(1).unwrap();
        one.commit_slot(loan, b"x").unwrap();
        loan
    };
    let samples: Vec<_> = (0..SLOTS).map(send).collect();
    other.next_unread_slot(0).unwrap();
    let entry = s.view().reader_entry(ReaderIndex::new(0).unwrap()).unwrap();
    unsafe { entry.marks_begun().atomic() }.store(1, Ordering::Relaxed);
    // As many looks as two waits take, and some.
    arm("load", entry.marks_ended().at(), 10_000, || looks.set(1));
    for sample in samples {
        assert_eq!(one.evict_sample(sample, 1), Ok(1));
    }
    HOOK.with(|hook| hook.borrow_mut().take());
    assert_eq!((looks.get(), s.view().disconnected().load(Ordering::Relaxed)), (0, 1));
}

/// The sample moves on between an evictor's look and its claim: what is in the slot then stays.
#[test]
fn an_eviction_that_comes_too_late_takes_nothing_of_the_next_sample() {
    for (access, of_state) in [("load", true), ("cas", true), ("load", false)] {
        let s = hooked(&Config::slots(1, 8).writers(2).readers(1));
        let (one, other) = (face(s), face(s));
        let sample = one.reserve_slot(1).unwrap();
        one.commit_slot(sample, b"old").unwrap();
        // Its entry is claimed beforehand.
        assert_eq!(other.reserve_slot(1), Err(SlotError::NoFreeSlot));
        let slot = s.view().slot(0).unwrap();
        arm(access, if of_state { slot.state().at() } else { slot.generation().at() }, 0, move || {
            one.mark_read(sample, 0).unwrap();
            let loan = one.reserve_slot(1).unwrap();
            one.commit_slot(loan, b"new").unwrap();
        });
        let answer = other.evict_sample(sample, 1);
        assert!(HOOK.with(|hook| hook.borrow_mut().take()).is_none(), "in the midst of the eviction");
        assert!(matches!(answer, Err(SlotError::StaleHandle | SlotError::SlotBusy)), "{answer:?}");
        let next = one.next_unread_slot(0).unwrap().expect("still owed");
        assert_eq!(one.read_slot(next).unwrap().1, b"new");
    }
}
