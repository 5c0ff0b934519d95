//! The seeds' face: a sample is taken back from a reader that is about to mark it, or whose slot is just used again. What comes next in
//! the slot is owed to everybody.

use std::sync::Arc;

use loom::thread;
use seqslot_core::Ordering::{Acquire, Relaxed as Plainly};
use seqslot_core::{Reader, ReaderIndex, SlotBackend, SlotError, SlotHandle};

use super::seeds::{looks_free_for, send};
use super::{Got, Size, check_faces, step, value};
use crate::mutation::Effect::{NoFence, Relaxed, Torn};
use crate::mutation::Expect::{CaughtSoon, Survives};
use crate::mutation::Kind::{self, MarksBegun, MarksEnded, State, Unread};
use crate::mutation::Op::{Cas, FenceAll, FullFence, LightFence, Load, Store};
use crate::mutation::{Mutation, rule};
use crate::world::{Face, Plan, World};

pub const MUTATIONS: &[Mutation] = &[
    Mutation {
        model: MARK,
        name: "mark without its light fence",
        rules: &[rule(Kind::None, LightFence, NoFence).by("reader")],
        expect: CaughtSoon,
    },
    Mutation {
        model: MARK,
        name: "eviction without its heavy fence",
        rules: &[rule(Kind::None, FenceAll, NoFence).by("writer")],
        expect: CaughtSoon,
    },
    Mutation { model: MARK, name: "end of a mark Relaxed", rules: &[rule(MarksEnded, Store, Relaxed)], expect: Survives(LATE) },
    Mutation {
        model: MARK,
        name: "look at the ended Relaxed",
        rules: &[rule(MarksEnded, Load, Relaxed).when(Acquire)],
        expect: Survives(LATE),
    },
    Mutation {
        model: JOIN,
        name: "eviction without its full fences",
        rules: &[rule(Kind::None, FullFence, NoFence).by("writer")],
        expect: CaughtSoon,
    },
    Mutation { model: OTHER, name: "no claim", rules: &[rule(State, Cas, Torn).by("evictor")], expect: CaughtSoon },
];

const LATE: &str = "loom does an exchange when the thread comes to it: none arrives behind a store of later; on a machine it may";
const JOIN: &str = "models::straggler::a_reader_joins_while_a_sample_is_taken_back";
const MARK: &str = "models::straggler::a_sample_is_taken_back_while_its_reader_marks_it";
const OTHER: &str = "models::straggler::a_sample_is_taken_back_while_its_slot_is_used_again";

fn publish(face: &Face, sequence: u32) {
    let loan = face.reserve_slot(1).expect("a slot is free");
    assert_eq!(face.commit_slot(loan, &value(0, sequence)), Ok(sequence));
}

fn take_back(evictor: &Face, handle: SlotHandle) {
    match evictor.evict_sample(handle, 1) {
        Ok(0 | 1) | Err(SlotError::StaleHandle | SlotError::SlotBusy) => {}
        other => panic!("{other:?}"),
    }
}

/// What reader 0 gets now that everybody has come to the end.
fn drain(face: &Face) -> Vec<u32> {
    let mut got = Vec::new();
    while let Some(handle) = face.next_unread_slot(0).expect("its own index") {
        let mut bytes = [0; 4];
        let header = face.read_slot_into(handle, &mut bytes).expect("it holds the sample");
        assert_eq!(bytes, value(0, u32::from_ne_bytes(bytes) & 0xFFFF), "wrong bytes");
        face.mark_read(handle, 0).expect("it holds the sample");
        got.push(header.sequence_number);
    }
    got
}

/// The writer goes on if it may; what it sent.
fn go_on(world: &World, writer: &Face) -> Vec<u32> {
    go_on_for(1, !world.view().disconnected().load(Plainly) & 1, writer)
}

fn go_on_for(named: u32, counting: u32, writer: &Face) -> Vec<u32> {
    let loan = if looks_free_for(writer, counting) { writer.reserve_slot(named).ok() } else { None };
    loan.map(|loan| writer.commit_slot(loan, &value(0, 1)).expect("its own loan")).into_iter().collect()
}

#[test]
fn a_sample_is_taken_back_while_its_reader_marks_it() {
    let plan = Arc::new(Plan::for_faces(1, 1, 1).watching(&[MarksBegun, Unread]));
    check_faces("a sample is taken back while its reader marks it", 3, Size::Small, move || {
        let world = plan.world();
        let (writer, reader) = (world.face("writer"), world.face("reader"));
        publish(&writer, 0);
        let handle = reader.next_unread_slot(0).expect("an index").expect("committed");
        let marking = thread::spawn(move || {
            match reader.mark_read(handle, 0) {
                Ok(()) | Err(SlotError::StaleHandle) => {}
                Err(error) => panic!("{error}"),
            }
            reader
        });
        take_back(&writer, handle);
        let sent = go_on(&world, &writer);
        let reader = marking.join().expect("no panic");
        // It was in the midst of the mark, and was declared gone, and has come back, perhaps: then it owes nothing from before.
        let view = world.view();
        let is_excused = view.disconnected().load(Plainly) & 1 != 0 || view.changes().load(Plainly) != 0;
        let got = drain(&reader);
        assert!(got == sent || is_excused && got.is_empty(), "{got:?} of {sent:?}");
    });
}

#[test]
fn a_sample_is_taken_back_while_its_slot_is_used_again() {
    let plan = Arc::new(Plan::for_faces(1, 2, 1));
    check_faces("a sample is taken back while its slot is used again", 3, Size::Small, move || {
        let world = plan.world();
        let (writer, evictor, reader) = (world.face("writer"), world.face("evictor"), world.face("reader"));
        publish(&writer, 0);
        let handle = reader.next_unread_slot(0).expect("an index").expect("committed");
        // Its entry is claimed beforehand.
        assert_eq!(evictor.reserve_slot(1), Err(SlotError::NoFreeSlot));
        let taking_back = thread::spawn(move || {
            take_back(&evictor, handle);
            evictor
        });
        // Nobody counts for this writer, so that the slot is free while the evictor has something to clear.
        let sent = go_on_for(0, 0, &writer);
        let evictor = taking_back.join().expect("no panic");
        let got = drain(&reader);
        assert!(got == sent || sent.is_empty() && got == [0], "{got:?} of {sent:?}");
        let loan = evictor.reserve_slot(1).expect("nothing is stuck");
        evictor.discard_slot(loan).expect("on loan");
    });
}

#[test]
fn a_reader_joins_while_a_sample_is_taken_back() {
    let plan = Arc::new(Plan::for_faces(1, 1, 1).watching(&[Kind::Active]));
    check_faces("a reader joins while a sample is taken back", 2, Size::Small, move || {
        let world = plan.world();
        let writer = world.face("writer");
        let joiner = world.attach("joiner");
        let loan = writer.reserve_slot(0).expect("free");
        writer.discard_slot(loan).expect("on loan");
        let joining = thread::spawn(move || {
            let reader = Reader::<_>::join_as(joiner, ReaderIndex::new(0).expect("in bounds")).expect("nobody has the index");
            let mut got = Got::new();
            step(&reader, &mut got).expect("goes on");
            (reader, got)
        });
        send(&writer, 0, 0);
        let (handle, _) = writer.sample_at(0).expect("in bounds").expect("published");
        take_back(&writer, handle);
        let active = world.view().active().load(Plainly);
        if looks_free_for(&writer, active) {
            send(&writer, 0, 1);
        }
        let (reader, mut got) = joining.join().expect("no panic");
        super::drain(&reader, &mut got);
        assert!(got.is_sorted() && got.iter().all(|sample| sample.1 < 2), "{got:?}");
    });
}
