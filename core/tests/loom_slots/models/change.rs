//! `wait_for_change`: whatever publishes or frees moves the generation, and wakes who waits for it. (The world has no time: a wake-up
//! that is lost is a deadlock, which loom reports.)

use std::sync::Arc;
use std::time::Duration;

use loom::thread;
use seqslot_core::Ordering::Relaxed as Plainly;
use seqslot_core::{Reader, ReaderIndex, SlotBackend};

use super::seeds::{looks_free_for, send as send_by};
use super::{Got, Size, check_faces, send, step};
use crate::mutation::Effect::{Answers, Left, NoFence, Relaxed};
use crate::mutation::Expect::{Caught, CaughtSoon, Survives};
use crate::mutation::Kind::{self, ChangeGeneration, ChangeWaiters, Changes, Disconnected, EntryChanges, Head, Unread};
use crate::mutation::Op::{Add, And, FenceAll, FullFence, LightFence, Load, Or, Wake};
use crate::mutation::{Effect, Expect, Mutation, Rule, rule};
use crate::world::{Face, Plan};

const FENCED_BEFORE: &str = "the full fence behind the mark comes before it, and makes it a release";

const fn change(model: &'static str, name: &'static str, rules: &'static [Rule], expect: Expect) -> Mutation {
    Mutation { model, name, rules, expect }
}

const fn without_fence(party: &'static str) -> Rule {
    rule(Kind::None, FullFence, NoFence).by(party)
}

const SUMMED: &[Rule] = &[rule(Head, Load, Relaxed).by("waiter"), rule(EntryChanges, Load, Relaxed), rule(Changes, Load, Relaxed)];
const UNTOLD: &[Rule] = &[rule(ChangeWaiters, Load, Answers(0))];

pub const MUTATIONS: &[Mutation] = &[
    change(COMMIT, "waiter without its fence", &[without_fence("waiter"), rule(Kind::None, FenceAll, NoFence).by("waiter")], CaughtSoon),
    change(COMMIT, "commit without its fence", &[rule(Kind::None, LightFence, NoFence)], CaughtSoon),
    change(COMMIT, "no bump", &[rule(ChangeGeneration, Add, Left)], CaughtSoon),
    change(COMMIT, "no wake", &[rule(ChangeGeneration, Wake, Left)], CaughtSoon),
    change(COMMIT, "summed Relaxed", SUMMED, CaughtSoon),
    change(TAKES, "summed Relaxed", SUMMED, CaughtSoon),
    change(MOVES, "release without its second fence", &[without_fence("releaser")], CaughtSoon),
    change(MOVES, "counter not moved", &[rule(EntryChanges, Add, Left).by("releaser")], CaughtSoon),
    change(RELEASE, "release without its second fence", &[without_fence("releaser")], CaughtSoon),
    change(RELEASE, "counter not moved", &[rule(EntryChanges, Add, Left).by("releaser")], CaughtSoon),
    change(RELEASE, "counter Relaxed", &[rule(EntryChanges, Add, Effect::Relaxed).by("releaser")], Survives(FENCED_BEFORE)),
    change(RELEASE, "release silent", UNTOLD, CaughtSoon),
    change(MADE, "release without its full fence", &[without_fence("releaser")], CaughtSoon),
    change(FIRST, "release without its fence", &[rule(Kind::None, LightFence, NoFence)], CaughtSoon),
    change(FIRST, "the face fences itself only", &[rule(Kind::None, FenceAll, NoFence)], CaughtSoon),
    change(MARK, "mark without its second fence", &[without_fence("marker")], CaughtSoon),
    change(MARK, "counter not moved", &[rule(EntryChanges, Add, Left).by("marker")], CaughtSoon),
    change(DISCARD, "discard without its fence", &[without_fence("writer")], CaughtSoon),
    change(DISCARD, "counter not moved", &[rule(EntryChanges, Add, Left).by("writer")], CaughtSoon),
    change(DISCARD, "counter Relaxed", &[rule(EntryChanges, Add, Effect::Relaxed).by("writer")], CaughtSoon),
    change(DISCARD, "summed Relaxed", SUMMED, CaughtSoon),
    change(LEAVE, "leave without its fence", &[without_fence("leaver")], CaughtSoon),
    change(LEAVE, "counter Relaxed", &[rule(Changes, Add, Effect::Relaxed)], CaughtSoon),
    change(LEAVE, "counter not moved", &[rule(Changes, Add, Left)], CaughtSoon),
    change(GONE, "counter not moved", &[rule(Changes, Add, Left)], CaughtSoon),
    change(GONE, "disconnection without its fences", &[without_fence("teller")], CaughtSoon),
    change(JOIN, "join without its fences", &[without_fence("joiner")], Caught),
    change(JOIN, "counter not moved", &[rule(Changes, Add, Left)], Caught),
    change(DEAD_REGISTERED, "counter Relaxed", &[rule(Changes, Add, Effect::Relaxed)], CaughtSoon),
    change(DEAD_REGISTERED, "recovery without a bump", &[rule(ChangeGeneration, Add, Left).by("recoverer")], CaughtSoon),
    change(DEAD, "the dead go on counting", &[rule(Disconnected, Or, Left), rule(Unread, And, Left)], CaughtSoon),
    change(DEAD, "recovery without a bump", &[rule(ChangeGeneration, Add, Left).by("recoverer")], CaughtSoon),
    change(DEAD, "counter not moved", &[rule(Changes, Add, Left)], CaughtSoon),
];

const COMMIT: &str = "models::change::a_commit_ends_the_wait";
const TAKES: &str = "models::change::a_commit_to_a_registered_reader_ends_the_wait";
const MOVES: &str = "models::change::a_release_moves_the_generation";
const RELEASE: &str = "models::change::a_release_ends_the_wait";
const MADE: &str = "models::change::a_release_while_the_first_face_is_made";
const FIRST: &str = "models::change::a_release_is_seen_or_told_while_the_first_face_is_made";
const MARK: &str = "models::change::a_mark_ends_the_wait";
const DISCARD: &str = "models::change::a_discard_ends_the_wait";
const LEAVE: &str = "models::change::a_leave_ends_the_wait";
const GONE: &str = "models::change::a_disconnection_ends_the_wait";
const JOIN: &str = "models::change::a_join_ends_the_wait_of_a_face_that_it_does_not_know";
const DEAD: &str = "models::change::recovery_ends_the_wait";
const DEAD_REGISTERED: &str = "models::change::recovery_of_a_registered_reader_ends_the_wait";

/// Longer than any model.
const LONG: Duration = Duration::from_secs(1000);

/// Waits as the documentation says: takes the generation, looks, and waits for that generation to move.
fn wait_until(face: &Face, mut is_so: impl FnMut() -> bool) {
    loop {
        let generation = face.notify_generation();
        if is_so() {
            return;
        }
        face.wait_for_change(generation, LONG);
    }
}

/// Waits until a slot is free for the readers of `mask`.
fn wait_for_a_slot(face: &Face, mask: u32) {
    wait_until(face, || face.reserve_slot(mask).map(|loan| face.discard_slot(loan)).is_ok());
}

/// The one slot is taken, and the face has found so: what it does from now on when it finds nothing is short.
fn find_nothing(face: &Face, mask: u32) {
    assert!(face.reserve_slot(mask).is_err(), "everything is taken");
}

#[test]
fn a_commit_ends_the_wait() {
    let plan = Arc::new(Plan::for_faces(1, 2, 1));
    check_faces("a commit ends the wait", 3, Size::Small, move || {
        let world = plan.world();
        let (writer, waiter) = (world.face("writer"), world.face("waiter"));
        let loan = writer.reserve_slot(1).expect("free");
        // The writer's entry is claimed by a first wait, which returns at once.
        waiter.wait_for_change(waiter.notify_generation() + 1, LONG);
        assert_eq!(waiter.next_unread_slot(0), Ok(None));
        let waiting = thread::spawn(move || {
            wait_until(&waiter, || waiter.next_unread_slot(0).expect("an index").is_some());
            waiter
        });
        assert_eq!(writer.commit_in_place(loan, 0), Ok(0));
        drop(waiting.join().expect("no panic"));
    });
}

#[test]
fn a_commit_to_a_registered_reader_ends_the_wait() {
    let plan = Arc::new(Plan::for_faces(1, 2, 1));
    check_faces("a commit to a registered reader ends the wait", 3, Size::Small, move || {
        let world = plan.world();
        let writer = world.face("writer");
        let (waiter, reader) = (world.face("waiter"), world.reader("waiter"));
        waiter.wait_for_change(waiter.notify_generation() + 1, LONG);
        let waiting = thread::spawn(move || {
            // It goes by the ring's tag alone: what the generation carries is all it has.
            wait_until(&waiter, || reader.take().expect("goes on").is_some());
            waiter
        });
        send_by(&writer, 0, 0);
        drop(waiting.join().expect("no panic"));
    });
}

#[test]
fn a_release_moves_the_generation() {
    let plan = Arc::new(Plan::for_faces(1, 2, 1));
    check_faces("a release moves the generation", 3, Size::Small, move || {
        let world = plan.world();
        let waiter = world.face("waiter");
        let writer = world.face("writer");
        let reader = world.reader("releaser");
        send_by(&writer, 0, 0);
        let before = waiter.notify_generation();
        let waiting = thread::spawn(move || {
            wait_until(&waiter, || waiter.notify_generation() != before);
            waiter
        });
        assert_eq!(step(&reader, &mut Got::new()), Ok(true));
        drop(waiting.join().expect("no panic"));
    });
}

#[test]
fn a_release_ends_the_wait() {
    let plan = Arc::new(Plan::for_faces(1, 1, 1));
    check_faces("a release ends the wait", 2, Size::Small, move || {
        let world = plan.world();
        let waiter = world.face("waiter");
        let reader = world.reader("releaser");
        send_by(&waiter, 0, 0);
        find_nothing(&waiter, 0);
        let releasing = thread::spawn(move || {
            assert_eq!(step(&reader, &mut Got::new()), Ok(true));
            reader
        });
        wait_for_a_slot(&waiter, 0);
        drop(releasing.join().expect("no panic"));
    });
}

#[test]
fn a_release_while_the_first_face_is_made() {
    let plan = Arc::new(Plan::for_faces(1, 2, 1));
    check_faces("a release while the first face is made", 2, Size::Small, move || {
        let world = plan.world();
        let writer = world.writer("writer");
        let reader = world.reader("releaser");
        send(&writer);
        drop(writer);
        // Slots are scarce already: the face makes no fence of its own when it finds nothing.
        world.set_scarce();
        let releasing = thread::spawn(move || {
            assert_eq!(step(&reader, &mut Got::new()), Ok(true));
            reader
        });
        let waiter = world.face("waiter");
        wait_for_a_slot(&waiter, 0);
        drop(releasing.join().expect("no panic"));
    });
}

#[test]
fn a_release_is_seen_or_told_while_the_first_face_is_made() {
    let plan = Arc::new(Plan::for_faces(1, 2, 1));
    check_faces("a release is seen or told while the first face is made", 2, Size::Small, move || {
        let world = plan.world();
        let writer = world.writer("writer");
        let reader = world.reader("releaser");
        send(&writer);
        drop(writer);
        let releasing = thread::spawn(move || {
            assert_eq!(step(&reader, &mut Got::new()), Ok(true));
            reader
        });
        let waiter = world.face("waiter");
        // It does not reserve, which would fence: it looks who has read the sample.
        wait_until(&waiter, || looks_free_for(&waiter, 1));
        drop(releasing.join().expect("no panic"));
    });
}

#[test]
fn a_mark_ends_the_wait() {
    let plan = Arc::new(Plan::for_faces(1, 1, 1));
    check_faces("a mark ends the wait", 2, Size::Small, move || {
        let world = plan.world();
        let (waiter, marker) = (world.face("waiter"), world.face("marker"));
        send_by(&waiter, 1, 0);
        find_nothing(&waiter, 1);
        let handle = marker.next_unread_slot(0).expect("an index").expect("committed");
        let marking = thread::spawn(move || {
            marker.mark_read(handle, 0).expect("it holds the sample");
            marker
        });
        wait_for_a_slot(&waiter, 1);
        drop(marking.join().expect("no panic"));
    });
}

#[test]
fn a_discard_ends_the_wait() {
    let plan = Arc::new(Plan::for_faces(1, 2, 1));
    check_faces("a discard ends the wait", 2, Size::Small, move || {
        let world = plan.world();
        let (waiter, writer) = (world.face("waiter"), world.face("writer"));
        let loan = writer.reserve_slot(0).expect("free");
        find_nothing(&waiter, 0);
        let discarding = thread::spawn(move || {
            writer.discard_slot(loan).expect("on loan");
            writer
        });
        wait_for_a_slot(&waiter, 0);
        drop(discarding.join().expect("no panic"));
    });
}

#[test]
fn a_leave_ends_the_wait() {
    let plan = Arc::new(Plan::for_faces(1, 1, 1));
    check_faces("a leave ends the wait", 2, Size::Small, move || {
        let world = plan.world();
        let waiter = world.face("waiter");
        let reader = world.reader("leaver");
        send_by(&waiter, 0, 0);
        find_nothing(&waiter, 0);
        let leaving = thread::spawn(move || drop(reader));
        wait_for_a_slot(&waiter, 0);
        leaving.join().expect("no panic");
    });
}

#[test]
fn a_disconnection_ends_the_wait() {
    let plan = Arc::new(Plan::for_faces(1, 1, 1));
    check_faces("a disconnection ends the wait", 2, Size::Small, move || {
        let world = plan.world();
        let (waiter, teller) = (world.face("waiter"), world.face("teller"));
        send_by(&waiter, 1, 0);
        find_nothing(&waiter, 1);
        let telling = thread::spawn(move || {
            teller.mark_reader_disconnected(0).expect("nobody has it");
            teller
        });
        wait_for_a_slot(&waiter, 1);
        drop(telling.join().expect("no panic"));
    });
}

#[test]
fn a_join_ends_the_wait_of_a_face_that_it_does_not_know() {
    let plan = Arc::new(Plan::for_faces(1, 1, 1));
    check_faces("a join ends the wait of a face that it does not know", 2, Size::Full, move || {
        let world = plan.world();
        let joiner = world.attach("joiner");
        let joining = thread::spawn(move || Reader::<_>::join_as(joiner, ReaderIndex::new(0).expect("in bounds")).expect("nobody has it"));
        let waiter = world.face("waiter");
        // Kept for reader 0, of whom nobody has heard. Who joins with its index owes nothing of it.
        send_by(&waiter, 1, 0);
        let is_its = || {
            let view = waiter.segment().view();
            let owed = view.slot(0).expect("one").unread().load(Plainly);
            owed & view.active().load(Plainly) & 1 != 0
        };
        // If it swept before the sample was there, the sample is its own.
        wait_until(&waiter, || is_its() || waiter.reserve_slot(1).map(|loan| waiter.discard_slot(loan)).is_ok());
        drop(joining.join().expect("no panic"));
    });
}

#[test]
fn recovery_ends_the_wait() {
    let plan = Arc::new(Plan::for_faces(1, 1, 1));
    check_faces("recovery ends the wait", 2, Size::Small, move || {
        let world = plan.world();
        let (waiter, doomed) = (world.face("waiter"), world.face("doomed"));
        let recoverer = world.attach("recoverer");
        send_by(&waiter, 1, 0);
        assert!(doomed.next_unread_slot(0).expect("an index").is_some());
        find_nothing(&waiter, 1);
        doomed.segment().mapping().die_after(0);
        drop(doomed);
        let recovering = thread::spawn(move || recoverer.recover().expect("no system"));
        wait_for_a_slot(&waiter, 1);
        recovering.join().expect("no panic");
    });
}

#[test]
fn recovery_of_a_registered_reader_ends_the_wait() {
    let plan = Arc::new(Plan::for_faces(1, 1, 1));
    check_faces("recovery of a registered reader ends the wait", 2, Size::Small, move || {
        let world = plan.world();
        let waiter = world.face("waiter");
        let doomed = world.reader("doomed");
        let recoverer = world.attach("recoverer");
        send_by(&waiter, 0, 0);
        find_nothing(&waiter, 0);
        doomed.segment().mapping().die_after(0);
        drop(doomed);
        let recovering = thread::spawn(move || recoverer.recover().expect("no system"));
        wait_for_a_slot(&waiter, 0);
        recovering.join().expect("no panic");
    });
}
