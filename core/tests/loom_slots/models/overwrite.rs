//! Segments that allow overwriting: a sample is taken away only if nobody is inside it, and nobody gets inside what is taken away.

use std::sync::Arc;

use loom::thread;
use seqslot_core::Ordering::Release;

use super::{Got, Size, check, drain, send, step, try_send, value};
use crate::mutation::Effect::{Left, Relaxed, Torn};
use crate::mutation::Expect::{Caught, CaughtSoon};
use crate::mutation::Kind::{Pins, SlotWriter};
use crate::mutation::Op::{And, Cas, Or, Store};
use crate::mutation::{Mutation, rule};
use crate::world::Plan;

pub const MUTATIONS: &[Mutation] = &[
    Mutation { model: TWO_PINS, name: "evict is no single step", rules: &[rule(Pins, Cas, Torn)], expect: Caught },
    Mutation { model: PIN, name: "pin Relaxed", rules: &[rule(Pins, Or, Relaxed)], expect: CaughtSoon },
    Mutation { model: PIN, name: "unpin Relaxed", rules: &[rule(Pins, And, Relaxed)], expect: CaughtSoon },
    Mutation { model: PIN, name: "evict Relaxed", rules: &[rule(Pins, Cas, Relaxed)], expect: CaughtSoon },
    Mutation { model: PIN, name: "evict is no single step", rules: &[rule(Pins, Cas, Torn)], expect: CaughtSoon },
    Mutation { model: PIN, name: "publication Relaxed", rules: &[rule(Pins, Store, Relaxed).when(Release)], expect: CaughtSoon },
    Mutation {
        model: DISCARD,
        name: "the header goes on naming it",
        rules: &[rule(SlotWriter, Store, Left).by("writer")],
        expect: CaughtSoon,
    },
];

const PIN: &str = "models::overwrite::an_eviction_and_a_pin";
const TWO_PINS: &str = "models::overwrite::an_eviction_and_two_pins";
const DISCARD: &str = "models::overwrite::an_eviction_then_a_discard";

/// What `readers` readers take while the writer evicts: each gets or misses every sample.
fn evict_while_they_read(plan: &Arc<Plan>, readers: usize) {
    let world = plan.world();
    let writer = world.writer("writer");
    let readers: Vec<_> = (0..readers).map(|_| world.reader("reader")).collect();
    send(&writer);
    let threads: Vec<_> = readers
        .into_iter()
        .map(|reader| {
            thread::spawn(move || {
                let mut got = Got::new();
                step(&reader, &mut got).expect("goes on");
                (reader, got)
            })
        })
        .collect();
    let sent = if try_send(&writer).is_some() { 2 } else { 1 };
    for thread in threads {
        let (reader, mut got) = thread.join().expect("no panic");
        drain(&reader, &mut got);
        assert_eq!(got.len() as u32 + reader.missed(), sent, "each is got or counted as missed: {got:?}");
        assert_eq!(got.last(), Some(&(0, sent - 1)), "the newest is there");
    }
    world.assert_nothing_stuck();
    send(&writer);
}

#[test]
fn an_eviction_and_a_pin() {
    let plan = Arc::new(Plan::overwriting(1, 1, 1));
    check("an eviction and a pin", 3, Size::Small, move || evict_while_they_read(&plan, 1));
}

#[test]
fn an_eviction_and_two_pins() {
    let plan = Arc::new(Plan::overwriting(1, 1, 2));
    check("an eviction and two pins", 2, Size::Full, move || evict_while_they_read(&plan, 2));
}

#[test]
fn an_eviction_then_a_discard() {
    let plan = Arc::new(Plan::overwriting(1, 1, 1));
    check("an eviction, then a discard", 3, Size::Small, move || {
        let world = plan.world();
        let writer = world.writer("writer");
        let reader = world.reader("reader");
        send(&writer);
        let thread = thread::spawn(move || {
            let mut got = Got::new();
            step(&reader, &mut got).expect("goes on");
            (reader, got)
        });
        let evicted = writer.try_loan().ok().map(|mut loan| loan.copy_from_slice(&[0xFF; 4])).is_some();
        let (reader, mut got) = thread.join().expect("no panic");
        drain(&reader, &mut got);
        assert!(evicted || got.len() == 1, "nobody took it away");
        assert_eq!(got.len() as u32 + reader.missed(), 1);
        world.assert_nothing_stuck();
        let next = send(&writer);
        drain(&reader, &mut got);
        assert_eq!(got.last(), Some(&(0, next)));
    });
}

#[test]
fn a_reader_that_leaves_inside_a_sample() {
    let plan = Arc::new(Plan::overwriting(1, 1, 1));
    check("a reader that leaves inside a sample", 2, Size::Small, move || {
        let world = plan.world();
        let writer = world.writer("writer");
        let reader = world.reader("reader");
        send(&writer);
        let leaving = thread::spawn(move || {
            if let Some(sample) = reader.take().expect("goes on") {
                assert_eq!(*sample, value(0, sample.sequence()));
                // As an abandoned thread: not released, only left.
                std::mem::forget(sample);
            }
        });
        for _ in 0..2 {
            try_send(&writer);
        }
        leaving.join().expect("no panic");
        world.assert_nothing_stuck();
    });
}

#[test]
fn an_eviction_then_a_death() {
    let plan = Arc::new(Plan::overwriting(1, 1, 1));
    check("an eviction, then a death", 3, Size::Small, move || {
        let world = plan.world();
        let doomed = world.writer("doomed");
        let reader = world.reader("reader");
        let recoverer = world.attach("recoverer");
        send(&doomed);
        let dying = thread::spawn(move || {
            let party = doomed.segment().mapping().clone();
            // The claim and the eviction; the header goes on naming the sample.
            party.die_after(2);
            if let Ok(mut loan) = doomed.try_loan() {
                loan.copy_from_slice(&[0xFF; 4]);
                std::mem::forget(loan);
            }
            party.die_after(0);
            drop(doomed);
            recoverer.recover().expect("no system");
        });
        let mut got = Got::new();
        for _ in 0..2 {
            // The writer may have died, and have been recovered, already.
            if step(&reader, &mut got).is_err() {
                break;
            }
        }
        dying.join().expect("no panic");
        drain(&reader, &mut got);
        assert!(got.len() <= 1, "{got:?}");
        world.assert_nothing_stuck();
    });
}
