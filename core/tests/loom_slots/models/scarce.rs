//! The free map: while slots are scarce, a slot that is free is found by its finder or marked for the next one.

use std::sync::Arc;

use loom::thread;
use seqslot_core::Ordering::Relaxed as Plainly;
use seqslot_core::Reader;

use super::{Got, Size, check, check_cases, send, step, value};
use crate::mutation::Effect::{Answers, Left, NoFence, Relaxed};
use crate::mutation::Expect::{Caught, CaughtSoon};
use crate::mutation::Kind::{self, Flags, Free, FreeAbove};
use crate::mutation::Op::{FenceAll, FullFence, LightFence, Load, Or};
use crate::mutation::{Mutation, rule};
use crate::world::{Attached, Plan, World};

pub const MUTATIONS: &[Mutation] = &[
    Mutation {
        model: BECOME,
        name: "setter without its fence",
        rules: &[rule(Kind::None, FullFence, NoFence).by("writer"), rule(Kind::None, FenceAll, NoFence).by("writer")],
        expect: CaughtSoon,
    },
    Mutation { model: BECOME, name: "releaser without its fence", rules: &[rule(Kind::None, LightFence, NoFence)], expect: CaughtSoon },
    Mutation { model: BECOME, name: "releaser marks nothing", rules: &[rule(Free, Or, Left).by("releaser")], expect: CaughtSoon },
    Mutation {
        model: BECOME,
        name: "releaser ignores the flag",
        rules: &[rule(Flags, Load, Answers(0)).by("releaser")],
        expect: CaughtSoon,
    },
    Mutation {
        model: STALE,
        name: "popper without its fence",
        rules: &[rule(Kind::None, FullFence, NoFence).by("writer")],
        expect: CaughtSoon,
    },
    Mutation {
        model: STALE,
        name: "releaser without its full fence",
        rules: &[rule(Kind::None, FullFence, NoFence).by("releaser")],
        expect: CaughtSoon,
    },
    Mutation {
        model: OWNED,
        name: "popper without its fence",
        rules: &[rule(Kind::None, FullFence, NoFence).by("popper")],
        expect: CaughtSoon,
    },
    Mutation {
        model: OWNED,
        name: "commit without its full fence",
        rules: &[rule(Kind::None, FullFence, NoFence).by("writer")],
        expect: CaughtSoon,
    },
    Mutation {
        model: OWNED,
        name: "release without its full fence",
        rules: &[rule(Kind::None, FullFence, NoFence).by("releaser")],
        expect: CaughtSoon,
    },
    Mutation { model: OWNED, name: "commit marks nothing", rules: &[rule(Free, Or, Left).by("writer")], expect: CaughtSoon },
    Mutation {
        model: LEVELS,
        name: "marker without its fence",
        rules: &[rule(Kind::None, FullFence, NoFence).by("releaser")],
        expect: CaughtSoon,
    },
    Mutation {
        model: LEVELS,
        name: "popper without its fence",
        rules: &[rule(Kind::None, FullFence, NoFence).by("writer")],
        expect: CaughtSoon,
    },
    Mutation { model: LEVELS, name: "popper does not look again", rules: &[rule(FreeAbove, Or, Left).by("writer")], expect: CaughtSoon },
    Mutation { model: BECOME, name: "setter fences itself only", rules: &[rule(Kind::None, FenceAll, NoFence)], expect: CaughtSoon },
    Mutation {
        model: BECOME_FULL,
        name: "releaser without its fence",
        rules: &[rule(Kind::None, FullFence, NoFence).by("releaser")],
        expect: CaughtSoon,
    },
    Mutation {
        model: HANDS,
        name: "the heavy fence ends without one of the setter",
        rules: &[rule(Kind::None, FenceAll, Relaxed)],
        expect: Caught,
    },
    Mutation {
        model: HANDS,
        name: "commit looks without a full fence",
        rules: &[rule(Kind::None, FullFence, NoFence).by("writer")],
        expect: Caught,
    },
    Mutation {
        model: HANDS,
        name: "release looks without a full fence",
        rules: &[rule(Kind::None, FullFence, NoFence).by("releaser")],
        expect: Caught,
    },
    Mutation {
        model: BATCH,
        name: "batch looks without a full fence",
        rules: &[rule(Kind::None, FullFence, NoFence).by("writer")],
        expect: Caught,
    },
];

const BECOME_FULL: &str = "models::scarce::slots_become_scarce_with_full_fences";
const HANDS: &str = "models::scarce::slots_become_scarce_while_one_changes_hands";
const BATCH: &str = "models::scarce::slots_become_scarce_while_a_batch_changes_hands";
const BECOME: &str = "models::scarce::slots_become_scarce_while_one_is_released";
const STALE: &str = "models::scarce::a_stale_mark_is_popped_while_its_slot_is_released";
const OWNED: &str = "models::scarce::a_mark_is_popped_while_its_slot_changes_hands";
const LEVELS: &str = "models::scarce::a_word_found_empty_is_unmarked_while_a_slot_of_it_is_marked";

/// A thread that takes one sample and lets go of it.
fn release_one(reader: Reader<Attached>) -> thread::JoinHandle<Reader<Attached>> {
    thread::spawn(move || {
        assert_eq!(step(&reader, &mut Got::new()), Ok(true));
        reader
    })
}

/// Slot `index`, which is free, is marked on both levels.
fn assert_marked(world: &World, index: u32) {
    for (level, at) in [(0, index), (1, index / 32)] {
        if let Some(word) = world.view().free_word(level, at / 32) {
            assert_ne!(word.load(Plainly) & 1 << (at % 32), 0, "slot {index} is free, not found, and not marked on level {level}");
        }
    }
}

#[test]
fn slots_become_scarce_while_one_is_released() {
    become_scarce_beside_a_release("slots become scarce while one is released", Plan::new(1, 1, 1));
}

#[test]
fn slots_become_scarce_with_full_fences() {
    become_scarce_beside_a_release("slots become scarce with full fences", Plan::new(1, 1, 1).with_full_fences());
}

fn become_scarce_beside_a_release(name: &str, plan: Plan) {
    let plan = Arc::new(plan);
    check(name, 3, Size::Small, move || {
        let world = plan.world();
        let writer = world.writer("writer");
        let reader = world.reader("releaser");
        send(&writer);
        let releasing = release_one(reader);
        let found = writer.try_loan().is_ok();
        let reader = releasing.join().expect("no panic");
        if !found {
            assert_marked(&world, 0);
        }
        drop(reader);
        world.assert_nothing_stuck();
    });
}

#[test]
fn a_stale_mark_is_popped_while_its_slot_is_released() {
    let plan = Arc::new(Plan::new(1, 1, 1));
    check("a stale mark is popped while its slot is released", 3, Size::Small, move || {
        let world = plan.world();
        let writer = world.writer("writer");
        let reader = world.reader("releaser");
        send(&writer);
        // Twice, so that the next failure makes no sweep that would find again what is lost.
        assert!(writer.try_loan().is_err() && writer.try_loan().is_err());
        world.set_marks(0, 1);
        let releasing = release_one(reader);
        let found = writer.try_loan().is_ok();
        let reader = releasing.join().expect("no panic");
        if !found {
            assert_marked(&world, 0);
        }
        drop(reader);
        world.assert_nothing_stuck();
    });
}

#[test]
fn a_word_found_empty_is_unmarked_while_a_slot_of_it_is_marked() {
    let plan = Arc::new(Plan::with_slots(33, 2, 1, &[32]));
    check("a word found empty is unmarked while a slot of it is marked", 3, Size::Small, move || {
        let world = plan.world();
        let (writer, other) = (world.writer("writer"), world.writer("other"));
        let reader = world.reader("releaser");
        for _ in 0..32 {
            send(&writer);
        }
        // The last slot, the only one of its word, is the other writer's, whom the reader asks first.
        send(&other);
        assert!(writer.try_loan().is_err() && writer.try_loan().is_err());
        // The word is empty, its bit above is set: as after a pop.
        world.set_marks(1, 2);
        let releasing = release_one(reader);
        let found = writer.try_loan().is_ok();
        let reader = releasing.join().expect("no panic");
        if !found {
            assert_marked(&world, 32);
        }
        drop(reader);
    });
}

#[test]
fn a_mark_is_popped_while_its_slot_changes_hands() {
    let plan = Arc::new(Plan::new(1, 2, 1));
    check("a mark is popped while its slot changes hands", 2, Size::Small, move || {
        let world = plan.world();
        let writer = world.writer("writer");
        let popper = world.writer("popper");
        let reader = world.reader("releaser");
        let mut loan = writer.try_loan().expect("free");
        assert!(popper.try_loan().is_err() && popper.try_loan().is_err());
        // A claim by another way leaves the mark.
        world.set_marks(0, 1);
        let popping = thread::spawn(move || {
            let found = popper.try_loan().is_ok();
            (popper, found)
        });
        let releasing = thread::spawn(move || {
            let mut got = Got::new();
            step(&reader, &mut got).expect("goes on");
            (reader, got.len())
        });
        loan.copy_from_slice(&value(0, 0));
        loan.commit_len(4).expect("commits");
        let (reader, got) = releasing.join().expect("no panic");
        let (popper, found) = popping.join().expect("no panic");
        assert!(got == 1 || !found, "it was owed");
        if got == 1 {
            assert_marked(&world, 0);
        }
        drop((reader, popper));
    });
}

/// A commit, or a batch, then its release, while another writer finds nothing free and says that slots are scarce: in the end the slot
/// is found, or marked.
fn become_scarce_beside_a_commit(name: &str, is_batch: bool) {
    let plans = [false, true].map(|last_first| Arc::new(Plan::new(1, 2, 1).fencing_the_last_first(last_first)));
    check_cases(name, 2, Size::Full, plans.into_iter(), move |plan| {
        let world = plan.world();
        let (writer, setter) = (world.writer("writer"), world.writer("setter"));
        let reader = world.reader("releaser");
        let batch = is_batch.then(|| writer.loan_batch::<1>().expect("free"));
        let loan = (!is_batch).then(|| writer.try_loan().expect("free"));
        let setting = thread::spawn(move || {
            let found = setter.try_loan().is_ok();
            (setter, found)
        });
        let releasing = thread::spawn(move || {
            let mut got = Got::new();
            step(&reader, &mut got).expect("goes on");
            (reader, got.len())
        });
        if let Some(mut loan) = loan {
            loan.copy_from_slice(&value(0, 0));
            loan.commit_len(4).expect("commits");
        }
        if let Some(mut batch) = batch {
            batch[0].copy_from_slice(&value(0, 0));
            assert_eq!(writer.commit_batch(batch, |_| 4), Ok(1));
        }
        let (reader, got) = releasing.join().expect("no panic");
        let (setter, found) = setting.join().expect("no panic");
        if got == 1 && !found {
            assert_marked(&world, 0);
        }
        drop((reader, setter));
    });
}

#[test]
fn slots_become_scarce_while_one_changes_hands() {
    become_scarce_beside_a_commit("slots become scarce while one changes hands", false);
}

#[test]
fn slots_become_scarce_while_a_batch_changes_hands() {
    become_scarce_beside_a_commit("slots become scarce while a batch changes hands", true);
}
