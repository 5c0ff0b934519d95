//! The registry: an entry has one holder at a time, who finds what the last one left; making the segment, and finding it.

use std::sync::Arc;

use loom::thread;
use seqslot_core::{AttachError, HeadError, Reader, ReaderIndex, Segment, Writer};

use super::{Got, Size, check, check_faces, drain, send, step};
use crate::mutation::Effect::{Left, NoFence, Relaxed};
use crate::mutation::Expect::CaughtSoon;
use crate::mutation::Kind::{self, Unread};
use crate::mutation::Op::{And, Claim, Fence, FenceAll, FullFence, Store};
use crate::mutation::{Effect, Mutation, rule};
use crate::world::{Attached, Plan};

pub const MUTATIONS: &[Mutation] = &[
    Mutation { model: ONE, name: "the lock is anybody's", rules: &[rule(Kind::None, Claim, Left)], expect: CaughtSoon },
    Mutation { model: HANDS, name: "the lock carries nothing", rules: &[rule(Kind::None, Claim, Relaxed)], expect: CaughtSoon },
    Mutation {
        model: READER,
        name: "recovery without the lock",
        rules: &[rule(Kind::None, Claim, Left).by("recoverer")],
        expect: CaughtSoon,
    },
    Mutation { model: READER, name: "no sweep", rules: &[rule(Unread, And, Left).by("joiner")], expect: CaughtSoon },
    Mutation {
        model: KINDS,
        name: "join without its fence",
        rules: &[rule(Kind::None, FullFence, NoFence).by("writer")],
        expect: CaughtSoon,
    },
    Mutation {
        model: KINDS,
        name: "face without its fence",
        rules: &[rule(Kind::None, FullFence, NoFence).by("face"), rule(Kind::None, FenceAll, NoFence).by("face")],
        expect: CaughtSoon,
    },
    Mutation { model: READY, name: "ready stored Relaxed", rules: &[rule(Kind::Ready, Store, Relaxed)], expect: CaughtSoon },
    Mutation { model: READY, name: "head read without its fence", rules: &[rule(Kind::None, Fence, Effect::NoFence)], expect: CaughtSoon },
];

const ONE: &str = "models::registry::two_processes_claim_one_entry";
const HANDS: &str = "models::registry::a_writers_entry_changes_hands";
const READER: &str = "models::registry::a_dead_reader_recovered_twice_and_its_index_taken";
const KINDS: &str = "models::registry::a_writer_of_each_kind_comes_at_once";
const READY: &str = "models::registry::a_segment_is_found_whole_or_not_at_all";

fn join(segment: Attached) -> Option<Writer<Attached>> {
    Writer::join(segment).ok()
}

#[test]
fn two_processes_claim_one_entry() {
    let plan = Arc::new(Plan::new(1, 1, 1));
    check("two processes claim one entry", 2, Size::Small, move || {
        let world = plan.world();
        let reader = world.reader("reader");
        let (one, two) = (world.attach("one"), world.attach("two"));
        one.mapping().be_restless();
        two.mapping().be_restless();
        let claiming = thread::spawn(move || join(one));
        let mine = join(two);
        let theirs = claiming.join().expect("no panic");
        let holders: Vec<_> = mine.into_iter().chain(theirs).collect();
        assert_eq!(holders.len(), 1, "one entry, one holder");
        send(&holders[0]);
        assert_eq!(step(&reader, &mut Got::new()), Ok(true));
    });
}

#[test]
fn a_writers_entry_changes_hands() {
    let plan = Arc::new(Plan::new(2, 1, 1));
    check("a writer's entry changes hands", 3, Size::Small, move || {
        let world = plan.world();
        let reader = world.reader("reader");
        let (former, next) = (world.writer("former"), world.attach("next"));
        next.mapping().be_restless();
        let leaving = thread::spawn(move || {
            send(&former);
            drop(former);
        });
        let early = join(next);
        leaving.join().expect("no panic");
        let writer = early.or_else(|| join(next)).expect("nobody has it");
        assert_eq!(send(&writer), 1, "it goes on where the last one ended");
        let mut got = Got::new();
        drain(&reader, &mut got);
        assert_eq!(got, [(0, 0), (0, 1)]);
        world.assert_nothing_stuck();
    });
}

#[test]
fn a_dead_reader_recovered_twice_and_its_index_taken() {
    let plan = Arc::new(Plan::new(1, 1, 1));
    check("a dead reader recovered twice, and its index taken", 3, Size::Small, move || {
        let world = plan.world();
        let writer = world.writer("writer");
        let doomed = world.reader("doomed");
        let (recoverer, joiner) = (world.attach("recoverer"), world.attach("joiner"));
        joiner.mapping().be_restless();
        send(&writer);
        std::mem::forget(doomed.take().expect("goes on").expect("one is there"));
        doomed.segment().mapping().die_after(0);
        drop(doomed);
        let recovering = thread::spawn(move || recoverer.recover().expect("no system"));
        // Recovers it too, under the same lock, if it comes first.
        let index = ReaderIndex::new(0).expect("in bounds");
        let early = Reader::<_>::join_as(joiner, index).ok();
        recovering.join().expect("no panic");
        let reader = early.unwrap_or_else(|| Reader::<_>::join_as(joiner, index).expect("nobody has it"));
        let sent = send(&writer);
        let mut got = Got::new();
        assert_eq!(step(&reader, &mut got), Ok(true), "the successor counts");
        assert_eq!(got, [(0, sent)]);
        world.assert_nothing_stuck();
    });
}

#[test]
fn a_segment_is_found_whole_or_not_at_all() {
    let plan = Arc::new(Plan::new(1, 1, 1).seen_being_made());
    check("a segment is found whole or not at all", 3, Size::Small, move || {
        let (creator, finder) = plan.unmade();
        let making = {
            let plan = plan.clone();
            thread::spawn(move || plan.make(creator))
        };
        match Segment::adopt(finder.clone(), finder) {
            Ok(segment) => assert_eq!(segment.geometry().slots, 1),
            Err(error) => assert_eq!(error, AttachError::Head(HeadError::NotReady)),
        }
        drop(making.join().expect("no panic"));
    });
}

#[test]
fn a_writer_of_each_kind_comes_at_once() {
    let plan = Arc::new(Plan::for_faces(1, 1, 1).watching(&[Kind::Flags, Kind::EntryState]));
    check_faces("a writer of each kind comes at once", 3, Size::Small, move || {
        let world = plan.world();
        let segment = world.attach("writer");
        let joining = thread::spawn(move || join(segment));
        let face = world.try_face("face");
        let writer = joining.join().expect("no panic");
        assert!(face.is_err() || writer.is_none(), "both write");
    });
}
