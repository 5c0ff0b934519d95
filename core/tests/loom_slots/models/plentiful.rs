//! The flag that slots are scarce is taken away while a writer that waits relies on it, and somebody frees its slot.

use std::sync::Arc;
use std::time::Duration;

use loom::thread;

use super::{Got, Size, check, send, step};
use crate::mutation::Effect::{Answers, NoFence};
use crate::mutation::Expect::CaughtSoon;
use crate::mutation::Kind::{self, WriterWaiters};
use crate::mutation::Op::{FenceAll, FullFence, LightFence, Load};
use crate::mutation::{Mutation, rule};
use crate::world::Plan;

pub const MUTATIONS: &[Mutation] = &[
    Mutation { model: PARKED, name: "release without its fence", rules: &[rule(Kind::None, LightFence, NoFence)], expect: CaughtSoon },
    Mutation {
        model: PARKED,
        name: "waiter without its fences",
        rules: &[rule(Kind::None, FullFence, NoFence).by("waiter"), rule(Kind::None, FenceAll, NoFence).by("waiter")],
        expect: CaughtSoon,
    },
    Mutation { model: PARKED, name: "release silent", rules: &[rule(WriterWaiters, Load, Answers(0)).by("releaser")], expect: CaughtSoon },
];

const PARKED: &str = "models::plentiful::slots_count_as_plentiful_while_a_writer_waits";

#[test]
fn slots_count_as_plentiful_while_a_writer_waits() {
    let plan = Arc::new(Plan::new(1, 2, 1));
    check("slots count as plentiful while a writer waits", 2, Size::Full, move || {
        let world = plan.world();
        let (waiter, recoverer) = (world.writer("waiter"), world.attach("recoverer"));
        let reader = world.reader("releaser");
        send(&waiter);
        assert!(waiter.loan().is_err(), "everything is taken, so slots are scarce");
        let doomed = world.writer("doomed");
        doomed.segment().mapping().die_after(0);
        drop(doomed);
        let releasing = thread::spawn(move || {
            assert_eq!(step(&reader, &mut Got::new()), Ok(true));
            reader
        });
        // Recovery of a writer ends the scarcity, and wakes everybody once.
        let recovering = thread::spawn(move || recoverer.recover().expect("no system"));
        drop(waiter.loan_timeout(Duration::from_secs(1000)).expect("a slot"));
        recovering.join().expect("no panic");
        drop(releasing.join().expect("no panic"));
        world.assert_nothing_stuck();
    });
}
