//! "ZDS2" segments: somebody else's act between two accesses of a commit, a look, a mark, an eviction.
#![cfg(feature = "alloc")]
#![allow(missing_docs, clippy::result_large_err)]

#[allow(dead_code, clippy::all, clippy::pedantic, clippy::undocumented_unsafe_blocks, reason = "shared")]
mod hooked;

use std::sync::mpsc::channel;
use std::time::Duration;

use hooked::{HookOs, Mx, arm, region};
use seqslot_core::zerodds::Zds2Face;
use seqslot_core::zerodds::layout::HEAD_LEN;
use seqslot_core::{Bare, SlotBackend, SlotError, SlotHandle};

type Face = Zds2Face<HookOs, Mx>;

const STRIDE: usize = 64;
const GENERATION_AT: usize = 0x10;
/// Long enough for a thread to get anywhere, if it is not kept.
const A_WHILE: Duration = Duration::from_millis(200);

const fn mask_at(slot: usize) -> usize {
    HEAD_LEN + slot * STRIDE + 8
}

/// A segment made here, and one attached to it as by another process.
fn pair(slots: usize) -> (&'static Face, &'static Face) {
    let (owner, reader, _) = three(slots);
    (owner, reader)
}

/// The same, and another process.
fn three(slots: usize) -> (&'static Face, &'static Face, &'static Face) {
    let region = region(HEAD_LEN + slots * STRIDE);
    let os = HookOs(Bare::new(region), region);
    let owner = Face::create(os.clone(), &(), slots as u64, 8).unwrap();
    let attach = || -> &'static Face { Box::leak(Box::new(Face::attach(os.clone(), &()).unwrap())) };
    (Box::leak(Box::new(owner)), attach(), attach())
}

fn send(face: &Face, mask: u32, bytes: &[u8]) -> SlotHandle {
    let handle = face.reserve_slot(mask).unwrap();
    face.commit_slot(handle, bytes).unwrap();
    handle
}

/// The next sample for a reader, which is there.
fn next(face: &Face, reader: u8) -> SlotHandle {
    face.next_unread_slot(reader).unwrap().expect("unread")
}

fn bytes(face: &Face, handle: SlotHandle) -> Vec<u8> {
    face.read_slot(handle).unwrap().1
}

/// Two threads of the owner, each stopped behind its publication, and a look that has passed the first one's slot.
#[test]
fn two_threads_of_the_owner_commit_in_order() {
    let (owner, reader) = pair(2);
    let (arrive, arrived) = channel();
    let commit = |slot: u32| {
        let loan = owner.reserve_slot(1).unwrap();
        assert_eq!(loan.slot_index, slot);
        let (start, started) = channel::<()>();
        let (go, held) = channel::<()>();
        let arrive = arrive.clone();
        let thread = std::thread::spawn(move || {
            started.recv().unwrap();
            arm("add", GENERATION_AT, 0, move || {
                // Nobody waits for it any more where it comes late.
                let _ = arrive.send(());
                held.recv().unwrap();
            });
            owner.commit_slot(loan, b"x").unwrap()
        });
        (start, go, thread)
    };
    let (start_first, go_first, first) = commit(0);
    let (start_second, go_second, second) = commit(1);
    arm("load", mask_at(1), 0, move || {
        start_first.send(()).unwrap();
        arrived.recv().unwrap();
        start_second.send(()).unwrap();
        // It may be kept until the first one has told of its sample.
        let _ = arrived.recv_timeout(A_WHILE);
    });
    let found = reader.next_unread_slot(0).unwrap();
    go_first.send(()).unwrap();
    go_second.send(()).unwrap();
    assert_eq!((first.join().unwrap(), second.join().unwrap()), (0, 1));
    let found = found.unwrap_or_else(|| next(reader, 0));
    assert_eq!(reader.read_slot(found).unwrap().0.sequence_number, 0, "oldest first");
}

/// Reader 0 counts, and reads in time, just when a thread of the owner evicts its sample.
#[test]
fn an_eviction_does_not_take_the_next_sample_from_a_reader_in_time() {
    let (owner, reader) = pair(1);
    let old = send(owner, 1, b"old");
    let (done, sent) = channel();
    arm("or", mask_at(0), 0, move || {
        reader.mark_read(next(reader, 0), 0).unwrap();
        // Another thread of the owner uses the slot again as soon as it can.
        std::thread::spawn(move || {
            send(owner, 1, b"new");
            done.send(()).unwrap();
        });
        std::thread::sleep(A_WHILE);
    });
    let evicted = owner.evict_sample(old, 1);
    sent.recv().unwrap();
    assert_eq!(evicted, Ok(0), "it had marked it");
    assert_eq!(owner.reserve_slot(1), Err(SlotError::NoFreeSlot), "reader 0 was not shown the new one");
    assert_eq!(bytes(reader, next(reader, 0)), b"new");
}

/// The same reader finds the next sample before the eviction is done, and marks that in time, too.
#[test]
fn an_eviction_does_not_show_a_sample_twice() {
    let (owner, reader) = pair(1);
    let old = send(owner, 1, b"old");
    let (show, shown) = channel();
    let (done, sent) = channel();
    arm("or", mask_at(0), 0, move || {
        reader.mark_read(next(reader, 0), 0).unwrap();
        std::thread::spawn(move || {
            send(owner, 1, b"new");
            done.send(()).unwrap();
        });
        std::thread::sleep(A_WHILE);
        if let Some(new) = reader.next_unread_slot(0).unwrap() {
            show.send(new).unwrap();
            arm("cas", mask_at(0), 0, move || reader.mark_read(new, 0).unwrap());
        }
    });
    let _ = owner.evict_sample(old, 1);
    sent.recv().unwrap();
    let again = reader.next_unread_slot(0).unwrap();
    assert_eq!(shown.try_iter().chain(again).count(), 1);
}

#[test]
fn an_eviction_concerns_one_sample_and_those_named_who_owe_it() {
    let (owner, reader) = pair(2);
    let old = send(owner, 0b111, b"old");
    send(owner, 0b111, b"new");
    reader.mark_read(next(reader, 1), 1).unwrap();
    let mut last = owner.notify_generation();
    let mut moved = || core::mem::replace(&mut last, owner.notify_generation()) != owner.notify_generation();
    assert_eq!((owner.evict_sample(old, 0b11), moved()), (Ok(0b01), true), "reader 1 had read it");
    assert_eq!((owner.evict_sample(old, 0b11), moved()), (Ok(0), false), "once");
    assert_eq!([0, 1, 2].map(|index| bytes(reader, next(reader, index))), [b"new", b"new", b"old"]);
    // By the handle under which it is found, too.
    assert_eq!((owner.evict_sample(next(owner, 2), 0b100), moved()), (Ok(0b100), true));
    assert_eq!(owner.reserve_slot(0b111).unwrap().slot_index, old.slot_index);
    assert_eq!((owner.evict_sample(old, 0b1000), moved()), (Err(SlotError::StaleHandle), false), "on loan again");
}

#[test]
fn who_attached_evicts_nothing() {
    let (owner, reader) = pair(1);
    send(owner, 0b11, b"kept");
    assert_eq!(reader.evict_sample(next(reader, 0), 0b10), Err(SlotError::NotOwner));
    assert_eq!(bytes(reader, next(reader, 1)), b"kept");
}

/// A mark of reader 5, which is not waited for, falls into the mask of the next sample after all others marked that.
#[test]
fn a_late_mark_hides_nothing_when_all_others_have_read() {
    let (owner, reader) = pair(1);
    send(owner, 0, b"old");
    let old = next(reader, 5);
    arm("or", mask_at(0), 0, move || {
        let new = send(owner, 0, b"new");
        (0..32).filter(|&other| other != 5).for_each(|other| owner.mark_read(new, other).unwrap());
    });
    assert_eq!(reader.mark_read(old, 5), Err(SlotError::StaleHandle));
    assert_eq!(bytes(reader, next(reader, 5)), b"new");
}

/// The same while the slot is on loan: a mask of all ones that the next commit takes away.
#[test]
fn a_late_mark_of_a_slot_on_loan_is_no_other_samples() {
    let (owner, reader) = pair(1);
    send(owner, 0, b"old");
    let old = next(reader, 5);
    let (lent, loan) = channel();
    arm("or", mask_at(0), 0, move || {
        arm("load", mask_at(0), 0, move || lent.send(owner.reserve_slot(0).unwrap()).unwrap());
    });
    assert_eq!(reader.mark_read(old, 5), Ok(()));
    owner.commit_slot(loan.recv().unwrap(), b"new").unwrap();
    assert_eq!(bytes(reader, next(reader, 5)), b"new");
}

/// The last of 32 marks in time, and the slot is in use again as soon as it has: a commit that has stored its number, and no size yet.
#[test]
fn a_mark_of_the_last_reader_in_time_is_made() {
    let (owner, reader) = pair(1);
    let old = send(owner, 0, b"old");
    (0..32).filter(|&other| other != 5).for_each(|other| owner.mark_read(old, other).unwrap());
    let (go, held) = channel();
    arm("or", mask_at(0), 0, move || {
        arm("load", mask_at(0), 0, move || {
            let loan = owner.reserve_slot(u32::MAX).expect("all have read");
            let (arrive, arrived) = channel();
            std::thread::spawn(move || {
                arm("store", mask_at(0) - 4, 0, move || {
                    arrive.send(()).unwrap();
                    held.recv().unwrap();
                });
                owner.commit_slot(loan, b"new").unwrap();
            });
            arrived.recv().unwrap();
        });
    });
    let before = reader.notify_generation();
    assert_eq!(reader.mark_read(next(reader, 5), 5), Ok(()));
    go.send(()).unwrap();
    // The mark's, and the commit's.
    while reader.notify_generation() != before + 2 {
        std::thread::yield_now();
    }
    assert_eq!(bytes(reader, next(reader, 5)), b"new");
}

/// A reader that sleeps is told when its bit is taken back: it may have looked while the bit hid a sample.
#[test]
fn a_mark_taken_back_moves_the_generation() {
    let (owner, reader, other) = three(1);
    send(owner, 0, b"old");
    let old = next(reader, 0);
    let (looked, seen) = channel();
    arm("or", mask_at(0), 0, move || {
        send(owner, 0, b"new");
        arm("cas", mask_at(0), 0, move || {
            assert_eq!(other.next_unread_slot(0), Ok(None), "hidden for a moment");
            looked.send(other.notify_generation()).unwrap();
        });
    });
    assert_eq!(reader.mark_read(old, 0), Err(SlotError::StaleHandle));
    assert_ne!(other.notify_generation(), seen.recv().unwrap());
    assert_eq!(bytes(other, next(other, 0)), b"new");
}

/// Another process that is the same reader has marked the next sample before the late mark: the bit is not the late one's to take back.
#[test]
fn a_late_mark_takes_no_other_mark_back() {
    let (owner, reader, other) = three(1);
    send(owner, 0, b"old");
    let old = next(reader, 0);
    arm("or", mask_at(0), 0, move || {
        send(owner, 0, b"new");
        other.mark_read(next(other, 0), 0).unwrap();
    });
    let _ = reader.mark_read(old, 0);
    assert_eq!(reader.next_unread_slot(0), Ok(None), "it was marked");
}

/// A disconnection in the midst of a late mark of the same process.
#[test]
fn a_late_mark_does_not_undo_a_disconnection() {
    let (owner, reader) = pair(1);
    send(owner, 0, b"old");
    let old = next(reader, 0);
    let (done, gone) = channel();
    arm("or", mask_at(0), 0, move || {
        send(owner, 0, b"new");
        arm("cas", mask_at(0), 0, move || {
            std::thread::spawn(move || {
                reader.mark_reader_disconnected(0).unwrap();
                done.send(()).unwrap();
            });
            std::thread::sleep(A_WHILE);
        });
    });
    assert_eq!(reader.mark_read(old, 0), Err(SlotError::StaleHandle));
    gone.recv().unwrap();
    assert_eq!(reader.next_unread_slot(0), Ok(None), "it was declared gone");
}

#[test]
fn a_header_that_changes_during_a_look_is_looked_at_again() {
    let (owner, reader) = pair(1);
    send(owner, 0, b"old");
    // The first load of the mask is a hint, the second one is behind number and size.
    arm("load", mask_at(0), 1, move || {
        send(owner, 0, b"new");
    });
    assert_eq!(bytes(reader, next(reader, 0)), b"new");
}
