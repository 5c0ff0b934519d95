//! Wake-ups: none is lost. (The world has no time: a waiter that is not woken is a deadlock, which loom reports.)

use std::sync::Arc;
use std::time::Duration;

use loom::thread;
use seqslot_core::TakeError;

use super::{Got, Size, check, drain, in_order, send, step, value};
use crate::mutation::Effect::{Answers, Left, NoFence};
use crate::mutation::Expect::{Caught, CaughtSoon};
use crate::mutation::Kind::{self, Active, ReaderGeneration, ReaderWaiters, WriterGeneration, WriterWaiters};
use crate::mutation::Op::{Add, And, FenceAll, FullFence, LightFence, Load, Wake};
use crate::mutation::{Mutation, rule};
use crate::world::{Attached, Plan, World};

pub const MUTATIONS: &[Mutation] = &[
    Mutation { model: READER, name: "commit without its fence", rules: &[rule(Kind::None, LightFence, NoFence)], expect: CaughtSoon },
    Mutation {
        model: READER,
        name: "waiter without its fence",
        rules: &[rule(Kind::None, FullFence, NoFence).by("reader"), rule(Kind::None, FenceAll, NoFence).by("reader")],
        expect: CaughtSoon,
    },
    Mutation { model: READER, name: "no bump", rules: &[rule(ReaderGeneration, Add, Left)], expect: CaughtSoon },
    Mutation { model: READER, name: "no wake", rules: &[rule(ReaderGeneration, Wake, Left)], expect: CaughtSoon },
    Mutation {
        model: BATCH,
        name: "batch without its fence",
        rules: &[rule(Kind::None, LightFence, NoFence).by("writer")],
        expect: CaughtSoon,
    },
    Mutation { model: BATCH, name: "batch silent", rules: &[rule(ReaderWaiters, Load, Answers(0))], expect: CaughtSoon },
    Mutation { model: RELEASE, name: "release without its fence", rules: &[rule(Kind::None, LightFence, NoFence)], expect: CaughtSoon },
    Mutation { model: RELEASE, name: "release silent", rules: &[rule(WriterWaiters, Load, Answers(0)).by("releaser")], expect: CaughtSoon },
    Mutation {
        model: RELEASE,
        name: "waiter without its fence",
        rules: &[rule(Kind::None, FullFence, NoFence).by("waiter"), rule(Kind::None, FenceAll, NoFence).by("waiter")],
        expect: CaughtSoon,
    },
    Mutation { model: RELEASE, name: "no bump", rules: &[rule(WriterGeneration, Add, Left)], expect: CaughtSoon },
    Mutation { model: LEAVE, name: "leave silent", rules: &[rule(WriterWaiters, Load, Answers(0)).by("leaver")], expect: Caught },
    Mutation { model: LEAVE, name: "release silent", rules: &[rule(WriterWaiters, Load, Answers(0)).by("releaser")], expect: Caught },
    Mutation { model: LEAVE, name: "leave without its fence", rules: &[rule(Kind::None, FullFence, NoFence).by("leaver")], expect: Caught },
    Mutation { model: PUT_BACK, name: "put-back silent", rules: &[rule(WriterWaiters, Load, Answers(0)).by("hasty")], expect: Caught },
    Mutation {
        model: EMPTY,
        name: "commit to nobody silent",
        rules: &[rule(WriterWaiters, Load, Answers(0)).by("writer")],
        expect: CaughtSoon,
    },
    Mutation { model: EMPTY, name: "commit without its fence", rules: &[rule(Kind::None, LightFence, NoFence)], expect: CaughtSoon },
    Mutation { model: OWNED, name: "commit ignores writers", rules: &[rule(WriterWaiters, Load, Answers(0)).by("writer")], expect: Caught },
    Mutation {
        model: DEAD,
        name: "recovery wakes nobody",
        rules: &[rule(WriterGeneration, Wake, Left).by("recoverer")],
        expect: CaughtSoon,
    },
    Mutation {
        model: DEAD,
        name: "recovery without a bump",
        rules: &[rule(WriterGeneration, Add, Left).by("recoverer")],
        expect: CaughtSoon,
    },
    Mutation { model: DEAD, name: "the dead go on counting", rules: &[rule(Active, And, Left).by("recoverer")], expect: CaughtSoon },
    Mutation { model: READER, name: "waiter fences itself only", rules: &[rule(Kind::None, FenceAll, NoFence)], expect: CaughtSoon },
    Mutation { model: RELEASE, name: "waiter fences itself only", rules: &[rule(Kind::None, FenceAll, NoFence)], expect: CaughtSoon },
    Mutation { model: UNPIN, name: "waiter fences itself only", rules: &[rule(Kind::None, FenceAll, NoFence)], expect: CaughtSoon },
    Mutation { model: UNPIN, name: "unpin without its fence", rules: &[rule(Kind::None, LightFence, NoFence)], expect: CaughtSoon },
];

const UNPIN: &str = "models::notify::an_unpin_wakes_a_writer";
const DEAD: &str = "models::notify::recovery_of_a_reader_wakes_a_writer";
const READER: &str = "models::notify::a_commit_wakes_a_reader";
const BATCH: &str = "models::notify::a_batch_wakes_a_reader";
const RELEASE: &str = "models::notify::a_release_wakes_a_writer";
const LEAVE: &str = "models::notify::a_release_and_a_leave_free_a_slot_together";
const PUT_BACK: &str = "models::notify::a_claim_put_back_hides_a_slot";
const EMPTY: &str = "models::notify::a_commit_to_nobody_frees_its_slot";
const OWNED: &str = "models::notify::a_sample_released_while_its_slot_is_owned";

/// Longer than any model.
pub(super) const LONG: Duration = Duration::from_secs(1000);

/// A writer whose segment knows that slots are scarce, as that of every writer that waits: it has found none.
fn waiter(world: &World) -> seqslot_core::Writer<Attached> {
    let writer = world.writer("waiter");
    assert!(writer.loan().is_err(), "everything is taken");
    writer
}

#[test]
fn a_commit_wakes_a_reader() {
    commit_to_who_waits("a commit wakes a reader", Plan::new(1, 1, 1));
}

pub(super) fn commit_to_who_waits(name: &str, plan: Plan) {
    let plan = Arc::new(plan);
    check(name, 3, Size::Small, move || {
        let world = plan.world();
        let writer = world.writer("writer");
        let reader = world.reader("reader");
        reader.segment().mapping().look_too_early();
        let waiting = thread::spawn(move || {
            assert_eq!(*reader.take_timeout(LONG).expect("a sample"), value(0, 0));
        });
        send(&writer);
        waiting.join().expect("no panic");
    });
}

#[test]
fn a_batch_wakes_a_reader() {
    let plan = Arc::new(Plan::new(2, 1, 1));
    check("a batch wakes a reader", 3, Size::Small, move || {
        let world = plan.world();
        let writer = world.writer("writer");
        let reader = world.reader("reader");
        let mut loans = writer.loan_batch::<2>().expect("free");
        reader.segment().mapping().look_too_early();
        let waiting = thread::spawn(move || {
            for sequence in 0..2 {
                reader.segment().mapping().look_too_early();
                assert_eq!(*reader.take_timeout(LONG).expect("a sample"), value(0, sequence));
            }
        });
        for (sequence, loan) in loans.iter_mut().enumerate() {
            loan.copy_from_slice(&value(0, sequence as u32));
        }
        assert_eq!(writer.commit_batch(loans, |_| 4), Ok(2));
        waiting.join().expect("no panic");
    });
}

#[test]
fn a_release_wakes_a_writer() {
    release_to_who_waits("a release wakes a writer", Plan::new(1, 1, 1));
}

#[test]
fn a_release_by_one_of_two_entries_wakes_a_writer() {
    release_to_who_waits("a release by one of two entries wakes a writer", Plan::new(1, 2, 2));
}

pub(super) fn release_to_who_waits(name: &str, plan: Plan) {
    let plan = Arc::new(plan);
    check(name, 3, Size::Small, move || {
        let world = plan.world();
        let reader = world.reader("releaser");
        // It does not know yet that slots are scarce: the releaser may see neither that flag nor the waiter.
        let writer = world.writer("waiter");
        send(&writer);
        let releasing = thread::spawn(move || {
            step(&reader, &mut Got::new()).expect("goes on");
            reader
        });
        drop(writer.loan_timeout(LONG).expect("a slot"));
        drop(releasing.join().expect("no panic"));
        world.assert_nothing_stuck();
    });
}

#[test]
fn a_release_and_a_leave_free_a_slot_together() {
    let plan = Arc::new(Plan::new(1, 1, 2));
    check("a release and a leave free a slot together", 2, Size::Full, move || {
        let world = plan.world();
        let (reader, leaver) = (world.reader("releaser"), world.reader("leaver"));
        let writer = world.writer("waiter");
        send(&writer);
        assert!(writer.loan().is_err());
        let releasing = thread::spawn(move || {
            step(&reader, &mut Got::new()).expect("goes on");
            reader
        });
        let leaving = thread::spawn(move || drop(leaver));
        drop(writer.loan_timeout(LONG).expect("a slot"));
        leaving.join().expect("no panic");
        drop(releasing.join().expect("no panic"));
        world.assert_nothing_stuck();
    });
}

#[test]
fn a_claim_put_back_hides_a_slot() {
    let plan = Arc::new(Plan::new(1, 2, 1));
    check("a claim put back hides a slot", 2, Size::Full, move || {
        let world = plan.world();
        let reader = world.reader("releaser");
        let hasty = world.writer("hasty");
        send(&hasty);
        let writer = waiter(&world);
        // The map still shows the slot, and the hint is old: both may be wrong, and only then is a claim put back.
        world.set_marks(0, 1);
        hasty.segment().mapping().have_stale_hints(1);
        let hurrying = thread::spawn(move || {
            drop(hasty.try_loan());
            hasty
        });
        let releasing = thread::spawn(move || {
            step(&reader, &mut Got::new()).expect("goes on");
            reader
        });
        drop(writer.loan_timeout(LONG).expect("a slot"));
        drop(hurrying.join().expect("no panic"));
        drop(releasing.join().expect("no panic"));
        world.assert_nothing_stuck();
    });
}

#[test]
fn a_commit_to_nobody_frees_its_slot() {
    let plan = Arc::new(Plan::new(1, 2, 1));
    check("a commit to nobody frees its slot", 3, Size::Small, move || {
        let world = plan.world();
        let committer = world.writer("writer");
        let mut loan = committer.try_loan().expect("free");
        let writer = world.writer("waiter");
        let waiting = thread::spawn(move || {
            drop(writer.loan_timeout(LONG).expect("a slot"));
            writer
        });
        loan.copy_from_slice(&value(0, 0));
        loan.commit_len(4).expect("commits");
        drop(waiting.join().expect("no panic"));
        world.assert_nothing_stuck();
    });
}

#[test]
fn a_sample_released_while_its_slot_is_owned() {
    let plan = Arc::new(Plan::new(1, 2, 1));
    check("a sample released while its slot is owned", 2, Size::Full, move || {
        let world = plan.world();
        let reader = world.reader("releaser");
        let committer = world.writer("writer");
        let mut loan = committer.try_loan().expect("free");
        let writer = waiter(&world);
        let waiting = thread::spawn(move || {
            drop(writer.loan_timeout(LONG).expect("a slot"));
            writer
        });
        let releasing = thread::spawn(move || {
            let mut got = Got::new();
            step(&reader, &mut got).expect("goes on");
            // Who found nothing leaves, here, so that the slot comes free in any case.
            (!got.is_empty()).then_some((reader, got))
        });
        loan.copy_from_slice(&value(0, 0));
        loan.commit_len(4).expect("commits");
        if let Some((reader, mut got)) = releasing.join().expect("no panic") {
            drain(&reader, &mut got);
            assert_eq!(got, in_order(1));
        }
        drop(waiting.join().expect("no panic"));
        world.assert_nothing_stuck();
    });
}

#[test]
fn recovery_of_a_reader_wakes_a_writer() {
    let plan = Arc::new(Plan::new(1, 1, 1));
    check("recovery of a reader wakes a writer", 3, Size::Small, move || {
        let world = plan.world();
        let writer = world.writer("waiter");
        let recoverer = world.attach("recoverer");
        let reader = world.reader("doomed");
        send(&writer);
        std::mem::forget(reader.take().expect("goes on").expect("one is there"));
        reader.segment().mapping().die_after(0);
        drop(reader);
        let recovering = thread::spawn(move || recoverer.recover().expect("no system"));
        drop(writer.loan_timeout(LONG).expect("a slot"));
        recovering.join().expect("no panic");
        world.assert_nothing_stuck();
    });
}

#[test]
fn a_close_wakes_a_reader() {
    let plan = Arc::new(Plan::new(1, 1, 1));
    check("a close wakes a reader", 3, Size::Small, move || {
        let world = plan.world();
        let writer = world.writer("writer");
        let reader = world.reader("reader");
        reader.segment().mapping().look_too_early();
        let waiting = thread::spawn(move || assert_eq!(reader.take_timeout(LONG).err(), Some(TakeError::Closed)));
        drop(writer);
        waiting.join().expect("no panic");
    });
}

#[test]
fn a_leave_wakes_a_writer() {
    let plan = Arc::new(Plan::new(1, 2, 1));
    check("a leave wakes a writer", 3, Size::Small, move || {
        let world = plan.world();
        let reader = world.reader("leaver");
        send(&world.writer("writer"));
        let writer = world.writer("waiter");
        let leaving = thread::spawn(move || drop(reader));
        drop(writer.loan_timeout(LONG).expect("a slot"));
        leaving.join().expect("no panic");
        world.assert_nothing_stuck();
    });
}

#[test]
fn an_unpin_wakes_a_writer() {
    unpin_to_who_waits("an unpin wakes a writer", Plan::overwriting(1, 2, 1));
}

pub(super) fn unpin_to_who_waits(name: &str, plan: Plan) {
    let plan = Arc::new(plan);
    check(name, 3, Size::Small, move || {
        let world = plan.world();
        let reader = world.reader("reader");
        send(&world.writer("writer"));
        let waiting = world.writer("waiter");
        let reading = thread::spawn(move || {
            step(&reader, &mut Got::new()).expect("goes on");
            reader
        });
        drop(waiting.loan_timeout(LONG).expect("a slot"));
        drop(reading.join().expect("no panic"));
        world.assert_nothing_stuck();
    });
}
