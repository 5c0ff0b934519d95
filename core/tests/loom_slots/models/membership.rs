//! Joining and leaving while others commit: who joins gets everything committed after, and nothing is stuck when somebody leaves.

use std::sync::Arc;

use loom::thread;
use seqslot_core::Ordering::{AcqRel, Acquire, Release};
use seqslot_core::layout::control::ACTIVE_AT;
use seqslot_core::layout::slots::SLOT_UNREAD;
use seqslot_core::{Memory, MemoryCas, Reader, ReaderIndex};

use super::{Size, check, drain, looks_free, send, step, try_send, value};
use crate::mutation::Effect::{After, Left, NoFence, Relaxed};
use crate::mutation::Expect::{CaughtSoon, Survives};
use crate::mutation::Kind::{self, Active, Head, Unread};
use crate::mutation::Op::{And, FullFence, Load, Or, Store};
use crate::mutation::{Mutation, Rule, rule};
use crate::party::Party;
use crate::world::Plan;

const NEEDS_LOAD_BUFFERING: &str = "its other outcome needs a load to see a store that comes after it, which loom does not have";

pub const MUTATIONS: &[Mutation] = &[
    Mutation { model: JOIN, name: "active before the cursors", rules: ACTIVE_FIRST, expect: CaughtSoon },
    Mutation { model: JOIN, name: "head stored Relaxed", rules: &[rule(Head, Store, Relaxed)], expect: CaughtSoon },
    Mutation {
        model: JOIN,
        name: "active loaded Relaxed at commit",
        rules: &[rule(Active, Load, Relaxed).by("writer")],
        expect: Survives(NEEDS_LOAD_BUFFERING),
    },
    Mutation { model: JOIN, name: "active joined Relaxed", rules: &[rule(Active, Or, Relaxed)], expect: Survives(NEEDS_LOAD_BUFFERING) },
    Mutation { model: REJOIN, name: "active before the cursors", rules: ACTIVE_FIRST, expect: CaughtSoon },
    Mutation { model: REJOIN, name: "no sweep", rules: &[rule(Unread, And, Left).by("joiner")], expect: CaughtSoon },
    Mutation { model: STALE, name: "active before the cursors", rules: ACTIVE_FIRST, expect: CaughtSoon },
    Mutation { model: STALE, name: "no sweep", rules: &[rule(Unread, And, Left).by("joiner")], expect: CaughtSoon },
    Mutation { model: STALE, name: "head stored Relaxed", rules: &[rule(Head, Store, Relaxed)], expect: CaughtSoon },
    Mutation {
        model: STALE,
        name: "heads loaded Relaxed",
        rules: &[rule(Head, Load, Relaxed).by("joiner").when(Acquire)],
        expect: Survives("the full fence before the second sweep makes it an acquire"),
    },
    Mutation { model: HOLDING, name: "leave Relaxed", rules: &[rule(Active, And, Relaxed).when(Release)], expect: CaughtSoon },
    Mutation {
        model: UNLOOKED,
        name: "look at active Relaxed",
        rules: &[rule(Active, Load, Relaxed).by("writer").when(Acquire)],
        expect: Survives("the hint before found the same, and the full fence behind that makes it an acquire"),
    },
    Mutation {
        model: AGAIN,
        name: "join without its fences",
        rules: &[rule(Kind::None, FullFence, NoFence).by("joiner")],
        expect: CaughtSoon,
    },
    Mutation {
        model: AGAIN,
        name: "claim without its fence",
        rules: &[rule(Kind::None, FullFence, NoFence).by("writer")],
        expect: CaughtSoon,
    },
    Mutation {
        model: AGAIN_AMONG,
        name: "claim without its fence",
        rules: &[rule(Kind::None, FullFence, NoFence).by("writer")],
        expect: CaughtSoon,
    },
];

const ACTIVE_FIRST: &[Rule] = &[rule(Head, Load, After(count_already)).by("joiner"), rule(Unread, And, Left).by("joiner")];
const JOIN: &str = "models::membership::a_join_while_somebody_commits";
const REJOIN: &str = "models::membership::an_index_left_and_taken_again_while_somebody_commits";
const STALE: &str = "models::membership::a_commit_to_an_audience_that_left_and_joined";
const UNLOOKED: &str = "models::membership::a_reader_that_leaves_while_somebody_claims";
const AGAIN: &str = "models::membership::a_slot_claimed_again_while_an_index_changes_hands";
const AGAIN_AMONG: &str = "models::membership::a_slot_claimed_again_while_an_index_among_entries_changes_hands";
const HOLDING: &str = "models::membership::a_reader_that_leaves_holding_a_sample";

/// Reader 0 sweeps and counts before its join reads the heads.
fn count_already(party: &Party, _at: usize) {
    let (memory, g) = (party.unweakened(), party.geometry());
    // SAFETY: every segment has the word.
    if unsafe { memory.load(ACTIVE_AT, Acquire) } & 1 != 0 {
        return;
    }
    for slot in 0..g.slots as usize {
        // SAFETY: the slot's word.
        unsafe { memory.fetch_and(g.slots_at + slot * g.stride as usize + SLOT_UNREAD, !1, Release) };
    }
    // SAFETY: every segment has the word.
    unsafe { memory.fetch_or(ACTIVE_AT, 1, AcqRel) };
}

#[test]
fn a_join_while_somebody_commits() {
    let plan = Arc::new(Plan::new(2, 1, 1));
    check("a join while somebody commits", 3, Size::Small, move || {
        let world = plan.world();
        let writer = world.writer("writer");
        let joiner = world.attach("joiner");
        let joiner = thread::spawn(move || {
            let reader = Reader::<_>::join(joiner).expect("joins");
            let mut got = Vec::new();
            step(&reader, &mut got).expect("goes on");
            (reader, got)
        });
        send(&writer);
        send(&writer);
        let (reader, mut got) = joiner.join().expect("no panic");
        drain(&reader, &mut got);
        world.assert_nothing_stuck();
        assert!(got.windows(2).all(|pair| pair[0].1 < pair[1].1), "in order: {got:?}");
        let late = send(&writer);
        let mut after = Vec::new();
        drain(&reader, &mut after);
        assert_eq!(after, [(0, late)], "committed after the join returned");
        world.assert_nothing_stuck();
    });
}

#[test]
fn an_index_left_and_taken_again_while_somebody_commits() {
    let plan = Arc::new(Plan::new(2, 1, 1));
    check("an index left and taken again while somebody commits", 2, Size::Full, move || {
        let world = plan.world();
        let writer = world.writer("writer");
        let former = world.reader("former");
        send(&writer);
        let joiner = world.attach("joiner");
        let joiner = thread::spawn(move || {
            drop(former);
            let reader = Reader::<_>::join_as(joiner, ReaderIndex::new(0).expect("in bounds")).expect("joins");
            let mut got = Vec::new();
            step(&reader, &mut got).expect("goes on");
            (reader, got)
        });
        // One slot is free; the other is owed to the former holder of the index.
        send(&writer);
        if looks_free(&writer) {
            try_send(&writer);
        }
        let (reader, mut got) = joiner.join().expect("no panic");
        drain(&reader, &mut got);
        world.assert_nothing_stuck();
        let late = send(&writer);
        let mut after = Vec::new();
        drain(&reader, &mut after);
        assert_eq!(after, [(0, late)], "committed after the join returned");
        world.assert_nothing_stuck();
    });
}

#[test]
fn a_commit_to_an_audience_that_left_and_joined() {
    let plan = Arc::new(Plan::new(1, 1, 1));
    check("a commit to an audience that left and joined", 3, Size::Small, move || {
        let world = plan.world();
        let writer = world.writer("writer");
        let former = world.reader("former");
        let joiner = world.attach("joiner");
        let mut loan = writer.try_loan().expect("free");
        let joiner = thread::spawn(move || {
            drop(former);
            Reader::<_>::join_as(joiner, ReaderIndex::new(0).expect("in bounds")).expect("joins")
        });
        loan.copy_from_slice(&value(0, 0));
        loan.commit_len(4).expect("commits");
        let reader = joiner.join().expect("no panic");
        drain(&reader, &mut Vec::new());
        world.assert_nothing_stuck();
        send(&writer);
    });
}

#[test]
fn a_batch_to_an_audience_that_left_and_joined() {
    let plan = Arc::new(Plan::new(1, 1, 1));
    check("a batch to an audience that left and joined", 3, Size::Small, move || {
        let world = plan.world();
        let writer = world.writer("writer");
        let former = world.reader("former");
        let joiner = world.attach("joiner");
        let mut loans = writer.loan_batch::<1>().expect("free");
        let joiner = thread::spawn(move || {
            drop(former);
            Reader::<_>::join_as(joiner, ReaderIndex::new(0).expect("in bounds")).expect("joins")
        });
        loans[0].copy_from_slice(&value(0, 0));
        assert_eq!(writer.commit_batch(loans, |_| 4), Ok(1));
        let reader = joiner.join().expect("no panic");
        drain(&reader, &mut Vec::new());
        world.assert_nothing_stuck();
        send(&writer);
    });
}

#[test]
fn a_reader_that_leaves_holding_a_sample() {
    leave_holding_a_sample("a reader that leaves holding a sample", Plan::new(1, 1, 1));
}

#[test]
fn a_reader_that_leaves_among_entries_holding_a_sample() {
    leave_holding_a_sample("a reader that leaves among entries, holding a sample", Plan::new(1, 2, 2));
}

fn leave_holding_a_sample(name: &str, plan: Plan) {
    let plan = Arc::new(plan);
    check(name, 3, Size::Small, move || {
        let world = plan.world();
        let writer = world.writer("writer");
        let reader = world.reader("reader");
        send(&writer);
        let leaver = thread::spawn(move || {
            let sample = reader.take().expect("goes on").expect("one is there");
            assert_eq!(*sample, value(0, 0));
            // As a death, or an abandoned thread: not released, only left.
            std::mem::forget(sample);
        });
        for _ in 0..2 {
            if looks_free(&writer) {
                send(&writer);
                break;
            }
        }
        leaver.join().expect("no panic");
        world.assert_nothing_stuck();
    });
}

#[test]
fn a_reader_that_leaves_while_somebody_claims() {
    let plan = Arc::new(Plan::new(1, 1, 1));
    check("a reader that leaves while somebody claims", 2, Size::Small, move || {
        let world = plan.world();
        let writer = world.writer("writer");
        let reader = world.reader("reader");
        send(&writer);
        let leaving = thread::spawn(move || {
            let sample = reader.take().expect("goes on").expect("one is there");
            assert_eq!(*sample, value(0, 0));
            std::mem::forget(sample);
        });
        // Not after a look at the hints, which the claim's full fence would make an acquire.
        try_send(&writer);
        leaving.join().expect("no panic");
        world.assert_nothing_stuck();
    });
}

/// An index changes hands beside a commit to its former holder, whose slot the writer claims again at once.
fn commit_to_the_former_and_claim_again(name: &str, plan: Plan) {
    let plan = Arc::new(plan);
    check(name, 3, Size::Small, move || {
        let world = plan.world();
        let writer = world.writer("writer");
        let former = world.reader("former");
        let joiner = world.attach("joiner");
        let mut loan = writer.try_loan().expect("free");
        let joining = thread::spawn(move || {
            drop(former);
            let reader = Reader::<_>::join_as(joiner, ReaderIndex::new(0).expect("in bounds")).expect("joins");
            let mut got = Vec::new();
            step(&reader, &mut got).expect("goes on");
            (reader, got)
        });
        loan.copy_from_slice(&value(0, 0));
        loan.commit_len(4).expect("commits");
        if looks_free(&writer) {
            try_send(&writer);
        }
        let (reader, mut got) = joining.join().expect("no panic");
        drain(&reader, &mut got);
        assert!(got.windows(2).all(|pair| pair[0].1 < pair[1].1), "in order: {got:?}");
        world.assert_nothing_stuck();
    });
}

#[test]
fn a_slot_claimed_again_while_an_index_changes_hands() {
    commit_to_the_former_and_claim_again("a slot claimed again while an index changes hands", Plan::new(1, 1, 1));
}

#[test]
fn a_slot_claimed_again_while_an_index_among_entries_changes_hands() {
    commit_to_the_former_and_claim_again("a slot claimed again while an index among entries changes hands", Plan::new(1, 2, 2));
}

#[test]
fn a_slot_claimed_again_by_full_fences_while_an_index_changes_hands() {
    let plan = Plan::new(1, 2, 2).with_full_fences();
    commit_to_the_former_and_claim_again("a slot claimed again by full fences while an index changes hands", plan);
}
