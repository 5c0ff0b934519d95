//! Full fences in place of light ones, where a segment is made so; and several light ones beside a heavy one.

use std::sync::Arc;

use loom::thread;

use super::notify::{LONG, commit_to_who_waits, release_to_who_waits, unpin_to_who_waits};
use super::{Got, Size, check, check_cases, send, step, value};
use crate::mutation::Effect::{Answers, NoFence};
use crate::mutation::Expect::{Caught, CaughtSoon};
use crate::mutation::Kind::{self, WriterWaiters};
use crate::mutation::Op::{FullFence, LightFence, Load};
use crate::mutation::{Mutation, rule};
use crate::world::Plan;

pub const MUTATIONS: &[Mutation] = &[
    Mutation {
        model: READER_FULL,
        name: "commit without its fence",
        rules: &[rule(Kind::None, FullFence, NoFence).by("writer")],
        expect: CaughtSoon,
    },
    Mutation {
        model: RELEASE_FULL,
        name: "release without its fence",
        rules: &[rule(Kind::None, FullFence, NoFence).by("releaser")],
        expect: CaughtSoon,
    },
    Mutation {
        model: UNPIN_FULL,
        name: "unpin without its fence",
        rules: &[rule(Kind::None, FullFence, NoFence).by("reader")],
        expect: CaughtSoon,
    },
    Mutation { model: TWO, name: "release without its fence", rules: &[rule(Kind::None, LightFence, NoFence)], expect: Caught },
    Mutation {
        model: BATCH_TO_NOBODY,
        name: "batch without its fence",
        rules: &[rule(Kind::None, LightFence, NoFence)],
        expect: CaughtSoon,
    },
    Mutation {
        model: BATCH_TO_NOBODY,
        name: "batch ignores writers",
        rules: &[rule(WriterWaiters, Load, Answers(0)).by("writer")],
        expect: CaughtSoon,
    },
];

const READER_FULL: &str = "models::fences::a_commit_with_full_fences_wakes_a_reader";
const RELEASE_FULL: &str = "models::fences::a_release_with_full_fences_wakes_a_writer";
const UNPIN_FULL: &str = "models::fences::an_unpin_with_full_fences_wakes_a_writer";
const TWO: &str = "models::fences::two_releases_free_a_slot_together";
const BATCH_TO_NOBODY: &str = "models::fences::a_batch_to_nobody_frees_its_slots";

#[test]
fn a_commit_with_full_fences_wakes_a_reader() {
    commit_to_who_waits("a commit with full fences wakes a reader", Plan::new(1, 1, 1).with_full_fences());
}

#[test]
fn a_release_with_full_fences_wakes_a_writer() {
    release_to_who_waits("a release with full fences wakes a writer", Plan::new(1, 1, 1).with_full_fences());
}

#[test]
fn an_unpin_with_full_fences_wakes_a_writer() {
    unpin_to_who_waits("an unpin with full fences wakes a writer", Plan::overwriting(1, 2, 1).with_full_fences());
}

#[test]
fn two_releases_free_a_slot_together() {
    let plans = [false, true].map(|last_first| Arc::new(Plan::new(1, 1, 2).fencing_the_last_first(last_first)));
    check_cases("two releases free a slot together", 2, Size::Full, plans.into_iter(), move |plan| {
        let world = plan.world();
        let readers = [world.reader("releaser"), world.reader("releaser")];
        let writer = world.writer("waiter");
        send(&writer);
        let releasing = readers.map(|reader| {
            thread::spawn(move || {
                step(&reader, &mut Got::new()).expect("goes on");
                reader
            })
        });
        drop(writer.loan_timeout(LONG).expect("a slot"));
        for thread in releasing {
            drop(thread.join().expect("no panic"));
        }
        world.assert_nothing_stuck();
    });
}

#[test]
fn a_batch_to_nobody_frees_its_slots() {
    let plan = Arc::new(Plan::new(2, 2, 1));
    check("a batch to nobody frees its slots", 2, Size::Small, move || {
        let world = plan.world();
        let committer = world.writer("writer");
        let mut loans = committer.loan_batch::<2>().expect("free");
        let writer = world.writer("waiter");
        let waiting = thread::spawn(move || {
            drop(writer.loan_timeout(LONG).expect("a slot"));
            writer
        });
        for (sequence, loan) in loans.iter_mut().enumerate() {
            loan.copy_from_slice(&value(0, sequence as u32));
        }
        assert_eq!(committer.commit_batch(loans, |_| 4), Ok(2));
        drop(waiting.join().expect("no panic"));
        world.assert_nothing_stuck();
    });
}
