//! Commit, take, release: samples arrive once, in order, whole; slots come back.

use std::sync::Arc;

use loom::thread;
use seqslot_core::Ordering::{Acquire, Release};

use super::{Size, check, drain, in_order, looks_free, send, step, try_send, value, warm_up};
use crate::mutation::Effect::Relaxed;
use crate::mutation::Expect::{Caught, CaughtSoon};
use crate::mutation::Kind::{RingTag, Unread};
use crate::mutation::Op::{And, Load, Store};
use crate::mutation::{Mutation, rule};
use crate::world::Plan;

pub const MUTATIONS: &[Mutation] = &[
    Mutation { model: REUSE, name: "release Relaxed", rules: &[rule(Unread, And, Relaxed)], expect: Caught },
    Mutation { model: AGAIN, name: "publication Relaxed", rules: &[rule(Unread, Store, Relaxed).when(Release)], expect: CaughtSoon },
    Mutation {
        model: AGAIN,
        name: "take's look at unread Relaxed",
        rules: &[rule(Unread, Load, Relaxed).by("reader")],
        expect: CaughtSoon,
    },
    Mutation { model: AGAIN, name: "release Relaxed", rules: &[rule(Unread, Store, Relaxed).by("reader")], expect: CaughtSoon },
    Mutation {
        model: AGAIN,
        name: "second look Relaxed",
        rules: &[rule(Unread, Load, Relaxed).by("writer").when(Acquire)],
        expect: CaughtSoon,
    },
    Mutation { model: ENTRIES, name: "release Relaxed", rules: &[rule(Unread, And, Relaxed)], expect: CaughtSoon },
    Mutation {
        model: ENTRIES,
        name: "second look Relaxed",
        rules: &[rule(Unread, Load, Relaxed).by("writer").when(Acquire)],
        expect: CaughtSoon,
    },
    Mutation { model: RING, name: "tag stored Relaxed", rules: &[rule(RingTag, Store, Relaxed)], expect: CaughtSoon },
    Mutation { model: RING, name: "tag loaded Relaxed", rules: &[rule(RingTag, Load, Relaxed)], expect: CaughtSoon },
    Mutation { model: RING, name: "release Relaxed", rules: &[rule(Unread, Store, Relaxed).by("reader")], expect: CaughtSoon },
];

const AGAIN: &str = "models::deliver::a_slot_used_again";
const ENTRIES: &str = "models::deliver::a_slot_used_again_among_entries";
const REUSE: &str = "models::deliver::two_readers_and_a_slot_used_again";
const RING: &str = "models::deliver::a_reader_that_predicts_wrongly_goes_by_the_ring";

#[test]
fn a_slot_used_again() {
    use_again("a slot used again", Plan::new(1, 1, 1));
}

#[test]
fn a_slot_used_again_among_entries() {
    use_again("a slot used again among entries", Plan::new(1, 2, 2));
}

fn use_again(name: &str, plan: Plan) {
    let plan = Arc::new(plan);
    check(name, 3, Size::Small, move || {
        let world = plan.world();
        let writer = world.writer("writer");
        let reader = world.reader("reader");
        let mut got = warm_up(&writer, &[&reader]);
        let reader = thread::spawn(move || {
            for _ in 0..2 {
                step(&reader, &mut got).expect("goes on");
            }
            (reader, got)
        });
        send(&writer);
        let sent = if looks_free(&writer) && try_send(&writer).is_some() { 3 } else { 2 };
        let (reader, mut got) = reader.join().expect("no panic");
        drain(&reader, &mut got);
        assert_eq!(got, in_order(sent));
        world.assert_nothing_stuck();
    });
}

#[test]
fn two_readers_and_a_slot_used_again() {
    let plan = Arc::new(Plan::new(1, 1, 2));
    check("two readers and a slot used again", 3, Size::Full, move || {
        let world = plan.world();
        let writer = world.writer("writer");
        let readers = [world.reader("reader"), world.reader("reader")];
        let warm = warm_up(&writer, &[&readers[0], &readers[1]]);
        let mut looks = [2, 1].into_iter();
        let readers = readers.map(|reader| {
            let (looks, mut got) = (looks.next().expect("two"), warm.clone());
            thread::spawn(move || {
                for _ in 0..looks {
                    step(&reader, &mut got).expect("goes on");
                }
                (reader, got)
            })
        });
        let mut sent = 2;
        send(&writer);
        if looks_free(&writer) && try_send(&writer).is_some() {
            sent += 1;
        }
        for reader in readers {
            let (reader, mut got) = reader.join().expect("no panic");
            drain(&reader, &mut got);
            assert_eq!(got, in_order(sent));
        }
        world.assert_nothing_stuck();
    });
}

#[test]
fn a_reader_that_predicts_wrongly_goes_by_the_ring() {
    let plan = Arc::new(Plan::new(3, 1, 1));
    check("a reader that predicts wrongly goes by the ring", 3, Size::Small, move || {
        let world = plan.world();
        let writer = world.writer("writer");
        let reader = world.reader("reader");
        let mut loans: Vec<_> = (0..2).map(|_| writer.try_loan().expect("free")).collect();
        let reader = thread::spawn(move || {
            let mut got = Vec::new();
            for _ in 0..3 {
                step(&reader, &mut got).expect("goes on");
            }
            (reader, got)
        });
        // Slot 1, then slot 0: never the one that is predicted.
        for sequence in 0..2 {
            let mut loan = loans.pop().expect("two");
            loan.copy_from_slice(&value(0, sequence));
            loan.commit_len(4).expect("commits");
        }
        // Slot 2, which nobody used, then what comes free.
        send(&writer);
        let sent = if looks_free(&writer) && try_send(&writer).is_some() { 4 } else { 3 };
        let (reader, mut got) = reader.join().expect("no panic");
        drain(&reader, &mut got);
        assert_eq!(got, in_order(sent));
        drop(loans);
        world.assert_nothing_stuck();
    });
}
