//! The seeds' face: samples by handle arrive once, in order, whole; readers that go and come back.

use std::sync::Arc;

use loom::thread;
use seqslot_core::Ordering::{Acquire, Relaxed as Plainly, Release};
use seqslot_core::{Reader, ReaderIndex, SlotBackend, SlotError, SlotHandle, TakeError};

use super::{Size, check_faces, value};
use crate::mutation::Effect::{Left, NoFence, Relaxed, Torn};
use crate::mutation::Expect::{Caught, CaughtSoon, Survives};
use crate::mutation::Kind::{self, Disconnected, Head, RingTag, Unread};
use crate::mutation::Op::{And, FullFence, Load, Or, Store};
use crate::mutation::{Mutation, rule};
use crate::world::{Face, Plan};

pub const MUTATIONS: &[Mutation] = &[
    Mutation { model: AGAIN, name: "publication Relaxed", rules: &[rule(Unread, Store, Relaxed).when(Release)], expect: CaughtSoon },
    Mutation { model: AGAIN, name: "look at unread Relaxed", rules: &[rule(Unread, Load, Relaxed).by("reader")], expect: CaughtSoon },
    Mutation { model: AGAIN, name: "mark Relaxed", rules: &[rule(Unread, And, Relaxed).by("reader")], expect: CaughtSoon },
    Mutation {
        model: AGAIN,
        name: "second look Relaxed",
        rules: &[rule(Unread, Load, Relaxed).by("writer").when(Acquire)],
        expect: Survives("a commit of this face owes the slot to all: the claim's full fence, behind the look, makes it an acquire"),
    },
    Mutation { model: TWO, name: "a mark is no single step", rules: &[rule(Unread, And, Torn)], expect: Caught },
    Mutation { model: TAKE_UP, name: "tag stored Relaxed", rules: &[rule(RingTag, Store, Relaxed)], expect: CaughtSoon },
    Mutation { model: TAKE_UP, name: "tag loaded Relaxed", rules: &[rule(RingTag, Load, Relaxed).by("reader")], expect: CaughtSoon },
    Mutation { model: TAKE_UP, name: "head stored Relaxed", rules: &[rule(Head, Store, Relaxed)], expect: CaughtSoon },
    Mutation { model: TAKE_UP, name: "head loaded Relaxed", rules: &[rule(Head, Load, Relaxed).by("reader")], expect: CaughtSoon },
    Mutation {
        model: LAPPED,
        name: "looks at unread and tag Relaxed",
        rules: &[
            rule(Unread, Load, Relaxed).by("reader"),
            rule(RingTag, Load, Relaxed).by("reader"),
            rule(Head, Load, Relaxed).by("reader"),
        ],
        expect: CaughtSoon,
    },
    Mutation { model: GONE, name: "disconnected set Relaxed", rules: &[rule(Disconnected, Or, Relaxed)], expect: CaughtSoon },
    Mutation {
        model: GONE,
        name: "disconnected loaded Relaxed",
        rules: &[rule(Disconnected, Load, Relaxed).by("writer")],
        expect: Survives("what it finds is found again behind the full fence of the claim, which makes it an acquire"),
    },
    Mutation {
        model: GONE,
        name: "the gone go on counting",
        rules: &[rule(Disconnected, Or, Left), rule(Unread, And, Left)],
        expect: CaughtSoon,
    },
    Mutation { model: BACK, name: "disconnected cleared Relaxed", rules: &[rule(Disconnected, And, Relaxed)], expect: CaughtSoon },
    Mutation {
        model: BACK,
        name: "disconnected loaded Relaxed",
        rules: &[rule(Disconnected, Load, Relaxed).by("writer")],
        expect: CaughtSoon,
    },
    Mutation {
        model: SHOWN,
        name: "reader comes back without its fence",
        rules: &[rule(Kind::None, FullFence, NoFence).by("reader")],
        expect: CaughtSoon,
    },
    Mutation {
        model: SHOWN,
        name: "claim without its fence",
        rules: &[rule(Kind::None, FullFence, NoFence).by("writer")],
        expect: CaughtSoon,
    },
    Mutation { model: BACK, name: "no sweep", rules: &[rule(Unread, And, Left)], expect: CaughtSoon },
    Mutation {
        model: SHARED,
        name: "user without its fence",
        rules: &[rule(Kind::None, FullFence, NoFence).by("second")],
        expect: CaughtSoon,
    },
    Mutation {
        model: SHARED,
        name: "joiner without its fence",
        rules: &[rule(Kind::None, FullFence, NoFence).by("joiner")],
        expect: CaughtSoon,
    },
    Mutation { model: SHARED, name: "the use is not told", rules: &[rule(Kind::Shared, Or, Left)], expect: CaughtSoon },
];

const AGAIN: &str = "models::seeds::a_slot_used_again_by_handle";
const TWO: &str = "models::seeds::two_readers_of_the_mask_and_a_slot_used_again";
const TAKE_UP: &str = "models::seeds::an_index_taken_up_while_somebody_commits";
const GONE: &str = "models::seeds::a_disconnection_while_somebody_reserves";
const BACK: &str = "models::seeds::a_reader_comes_back_while_somebody_reserves";
const SHOWN: &str = "models::seeds::a_slot_shown_to_a_reader_that_came_back_while_somebody_reserves";
const SHARED: &str = "models::seeds::an_index_is_shared_or_joined";
const LAPPED: &str = "models::seeds::a_reader_that_was_lapped_while_somebody_commits";

/// Whether slot 0 looks free for these readers, by the hints that a reserve begins with.
pub fn looks_free_for(face: &Face, mask: u32) -> bool {
    let view = face.segment().view();
    let slot = view.slot(0).expect("one");
    slot.state().load(Plainly) >> 26 == 0 && slot.unread().load(Plainly) & mask == 0
}

/// Fills a loan in place and commits it.
fn commit(face: &Face, loan: SlotHandle, sequence: u32) {
    let (data, _) = face.slot_data_ptr(loan).expect("on loan");
    // SAFETY: the loan is out, and has four bytes.
    unsafe { data.copy_from_nonoverlapping(value(0, sequence).as_ptr(), 4) };
    assert_eq!(face.commit_in_place(loan, 4), Ok(sequence));
}

pub fn send(face: &Face, mask: u32, sequence: u32) {
    commit(face, face.reserve_slot(mask).expect("a slot is free"), sequence);
}

/// Looks at the oldest unread sample in place and marks it; whether there was one.
pub fn step(face: &Face, reader: u8, got: &mut Vec<u32>) -> bool {
    let Some(handle) = face.next_unread_slot(reader).expect("an index of its own") else { return false };
    let (data, len) = face.slot_read_ptr(handle).expect("it counts, and has not marked it");
    // SAFETY: the reader counts and has not marked the sample yet.
    let bytes = unsafe { core::slice::from_raw_parts(data, len) };
    let sequence = u32::from_ne_bytes(bytes.try_into().expect("four")) & 0xFFFF;
    assert_eq!(bytes, value(0, sequence), "wrong bytes");
    face.mark_read(handle, reader).expect("it holds the sample");
    got.push(sequence);
    true
}

fn drain(face: &Face, reader: u8, got: &mut Vec<u32>) {
    while step(face, reader, got) {
        assert!(got.len() < 20, "one sample again and again: {got:?}");
    }
}

/// What `readers` readers of the mask get of two or three samples in one slot.
fn use_again(plan: &Arc<Plan>, readers: u8) {
    let world = plan.world();
    let writer = world.face("writer");
    let mask = (1 << readers) - 1;
    let faces: Vec<Face> = (0..readers).map(|_| world.face("reader")).collect();
    send(&writer, mask, 0);
    let threads: Vec<_> = faces
        .into_iter()
        .zip(0..)
        .map(|(face, reader)| {
            let mut got = Vec::new();
            assert!(step(&face, reader, &mut got));
            thread::spawn(move || {
                step(&face, reader, &mut got);
                (face, reader, got)
            })
        })
        .collect();
    let mut sent = 2;
    send(&writer, mask, 1);
    if looks_free_for(&writer, mask) {
        send(&writer, mask, 2);
        sent += 1;
    }
    for thread in threads {
        let (face, reader, mut got) = thread.join().expect("no panic");
        drain(&face, reader, &mut got);
        assert_eq!(got, (0..sent).collect::<Vec<_>>());
    }
}

#[test]
fn a_slot_used_again_by_handle() {
    let plan = Arc::new(Plan::for_faces(1, 1, 1));
    check_faces("a slot used again by handle", 3, Size::Small, move || use_again(&plan, 1));
}

#[test]
fn two_readers_of_the_mask_and_a_slot_used_again() {
    let plan = Arc::new(Plan::for_faces(1, 1, 2));
    check_faces("two readers of the mask and a slot used again", 1, Size::Full, move || use_again(&plan, 2));
}

#[test]
fn an_index_taken_up_while_somebody_commits() {
    let plan = Arc::new(Plan::for_faces(2, 1, 1));
    check_faces("an index taken up while somebody commits", 3, Size::Small, move || {
        let world = plan.world();
        let writer = world.face("writer");
        let reader = world.face("reader");
        let mut loans: Vec<_> = (0..2).map(|_| writer.reserve_slot(1).expect("free")).collect();
        let reading = thread::spawn(move || {
            let mut got = Vec::new();
            step(&reader, 0, &mut got);
            (reader, got)
        });
        // Slot 1, then slot 0: never the one that an old ring entry names.
        for sequence in 0..2 {
            commit(&writer, loans.pop().expect("two"), sequence);
        }
        let (reader, mut got) = reading.join().expect("no panic");
        drain(&reader, 0, &mut got);
        assert_eq!(got, [0, 1], "kept for it from the first commit on");
    });
}

#[test]
fn a_reader_that_was_lapped_while_somebody_commits() {
    let plan = Arc::new(Plan::for_faces(2, 1, 1));
    check_faces("a reader that was lapped while somebody commits", 3, Size::Small, move || {
        let world = plan.world();
        let reader = world.face("reader");
        assert_eq!(reader.next_unread_slot(0), Ok(None));
        // Positions were burnt by deaths, more than the ring has entries: it finds its samples by looking at the slots.
        world.set_position(0, world.view().geometry().ring_len * 3);
        let writer = world.face("writer");
        let first = world.view().geometry().ring_len * 2;
        let reading = thread::spawn(move || {
            let mut got = Vec::new();
            for _ in 0..2 {
                step(&reader, 0, &mut got);
            }
            (reader, got)
        });
        for number in 0..2 {
            send(&writer, 1, first + number);
        }
        let (reader, mut got) = reading.join().expect("no panic");
        drain(&reader, 0, &mut got);
        assert_eq!(got, [first, first + 1]);
    });
}

#[test]
fn a_disconnection_while_somebody_reserves() {
    let plan = Arc::new(Plan::for_faces(1, 1, 1));
    check_faces("a disconnection while somebody reserves", 3, Size::Small, move || {
        let world = plan.world();
        let writer = world.face("writer");
        let reader = world.face("reader");
        send(&writer, 1, 0);
        let handle = reader.next_unread_slot(0).expect("an index").expect("committed");
        let leaving = thread::spawn(move || {
            let (data, len) = reader.slot_read_ptr(handle).expect("it counts");
            // SAFETY: the reader counts and has not marked the sample yet.
            assert_eq!(unsafe { core::slice::from_raw_parts(data, len) }, value(0, 0));
            reader.mark_reader_disconnected(0).expect("an index of its own");
            reader
        });
        let view = writer.segment().view();
        if looks_free_for(&writer, !view.disconnected().load(Plainly) & 1) {
            if let Ok(loan) = writer.reserve_slot(1) {
                commit(&writer, loan, 1);
            }
        }
        drop(leaving.join().expect("no panic"));
        let loan = writer.reserve_slot(1).expect("nobody counts any more");
        writer.discard_slot(loan).expect("on loan");
    });
}

#[test]
fn a_reader_comes_back_while_somebody_reserves() {
    let plan = Arc::new(Plan::for_faces(1, 1, 1).watching(&[Disconnected]));
    check_faces("a reader comes back while somebody reserves", 3, Size::Small, move || {
        let world = plan.world();
        let writer = world.face("writer");
        let reader = world.face("reader");
        assert_eq!(reader.next_unread_slot(0), Ok(None));
        // Slots are scarce: a reserve that finds nothing makes no fence any more.
        send(&writer, 1, 0);
        assert_eq!(writer.reserve_slot(1), Err(SlotError::NoFreeSlot));
        assert!(step(&reader, 0, &mut Vec::new()));
        reader.mark_reader_disconnected(0).expect("an index of its own");
        send(&writer, 1, 1);
        world.set_marks(0, 0);
        let handle = reader.next_unread_slot(0).expect("an index").expect("committed after it went");
        let returning = thread::spawn(move || {
            match reader.mark_read(handle, 0) {
                Ok(()) | Err(SlotError::StaleHandle) => {}
                Err(error) => panic!("{error}"),
            }
            reader
        });
        // Who sees it count again sees that it owes nothing.
        send(&writer, 1, 2);
        let reader = returning.join().expect("no panic");
        let counts = world.view().disconnected().load(Plainly) & 1 == 0;
        let mut got = Vec::new();
        drain(&reader, 0, &mut got);
        assert!(got.is_empty() || got == [2], "{got:?}");
        assert!(!counts || looks_free_for(&writer, 1));
    });
}

#[test]
fn a_slot_shown_to_a_reader_that_came_back_while_somebody_reserves() {
    let plan = Arc::new(Plan::for_faces(1, 1, 1).watching(&[Disconnected]));
    check_faces("a slot shown to a reader that came back while somebody reserves", 3, Size::Small, move || {
        let world = plan.world();
        let writer = world.face("writer");
        let reader = world.face("reader");
        writer.mark_reader_disconnected(0).expect("nobody has the index");
        let returning = thread::spawn(move || {
            let mut got = Vec::new();
            step(&reader, 0, &mut got);
            (reader, got)
        });
        send(&writer, 1, 0);
        let mask = !world.view().disconnected().load(Plainly) & 1;
        let loan = if looks_free_for(&writer, mask) { writer.reserve_slot(1).ok() } else { None };
        let sent = if loan.is_some() { 2 } else { 1 };
        if let Some(loan) = loan {
            commit(&writer, loan, 1);
        }
        let (reader, mut got) = returning.join().expect("no panic");
        drain(&reader, 0, &mut got);
        assert!(got.iter().all(|sequence| *sequence < sent) && got.is_sorted(), "{got:?} of {sent}");
    });
}

#[test]
fn an_index_is_shared_or_joined() {
    let plan = Arc::new(Plan::for_faces(1, 1, 1).watching(&[Kind::EntryState, Kind::Shared]));
    check_faces("an index is shared or joined", 2, Size::Small, move || {
        let world = plan.world();
        let (first, second) = (world.face("first"), world.face("second"));
        let joiner = world.attach("joiner");
        // It finds the index held at all its tries, whatever comes then.
        second.segment().mapping().be_restless();
        assert_eq!(first.next_unread_slot(0), Ok(None));
        let joining = thread::spawn(move || {
            drop(first);
            Reader::<_>::join_as(joiner, ReaderIndex::new(0).expect("in bounds")).ok()
        });
        let used = second.next_unread_slot(0);
        let joined = joining.join().expect("no panic");
        assert!(used.is_err() || joined.is_none(), "both use the index");
        assert!(used == Ok(None) || used == Err(SlotError::ReaderTaken), "{used:?}");
    });
}

#[test]
fn a_face_goes_while_a_registered_reader_takes() {
    let plan = Arc::new(Plan::for_faces(1, 1, 1));
    check_faces("a face goes while a registered reader takes", 2, Size::Small, move || {
        let world = plan.world();
        let (face, reader) = (world.face("writer"), world.reader("reader"));
        let loan = face.reserve_slot(1).expect("free");
        let taking = thread::spawn(move || {
            let mut got = 0;
            for _ in 0..3 {
                match reader.take() {
                    Ok(sample) => got += u32::from(sample.is_some()),
                    Err(error) => {
                        assert_eq!((error, got), (TakeError::Closed, 1), "not before the last sample");
                        break;
                    }
                }
            }
            (reader, got)
        });
        commit(&face, loan, 0);
        drop(face);
        let (reader, got) = taking.join().expect("no panic");
        assert!(got == 1 || reader.take().expect("before the end").is_some());
    });
}
