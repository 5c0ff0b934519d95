//! The end of a stream, and a reader that waits meanwhile: it is told, and not before the last sample.

use std::sync::Arc;
use std::time::Duration;

use loom::thread;
use seqslot_core::{Reader, TakeError};

use super::{Size, check, send, value};
use crate::mutation::Effect::{Left, NoFence, Relaxed};
use crate::mutation::Expect::CaughtSoon;
use crate::mutation::Kind::{self, Closed, Died, ReaderGeneration};
use crate::mutation::Op::{Add, FenceAll, FullFence, LightFence, Load, Or, Wake};
use crate::mutation::{Mutation, rule};
use crate::world::{Attached, Plan};

pub const MUTATIONS: &[Mutation] = &[
    Mutation { model: SPINS, name: "commit without its fence", rules: &[rule(Kind::None, LightFence, NoFence)], expect: CaughtSoon },
    Mutation {
        model: SPINS,
        name: "waiter without its fence",
        rules: &[rule(Kind::None, FullFence, NoFence).by("reader"), rule(Kind::None, FenceAll, NoFence).by("reader")],
        expect: CaughtSoon,
    },
    Mutation {
        model: CLOSE,
        name: "close without its fence",
        rules: &[rule(Kind::None, FullFence, NoFence).by("writer")],
        expect: CaughtSoon,
    },
    Mutation {
        model: CLOSE,
        name: "waiter without its fence",
        rules: &[rule(Kind::None, FullFence, NoFence).by("reader"), rule(Kind::None, FenceAll, NoFence).by("reader")],
        expect: CaughtSoon,
    },
    Mutation { model: CLOSE, name: "no bump", rules: &[rule(ReaderGeneration, Add, Left)], expect: CaughtSoon },
    Mutation { model: CLOSE, name: "close not told", rules: &[rule(ReaderGeneration, Wake, Left)], expect: CaughtSoon },
    Mutation { model: LAST, name: "closed loaded Relaxed", rules: &[rule(Closed, Load, Relaxed)], expect: CaughtSoon },
    Mutation { model: DEAD, name: "recovery without a bump", rules: &[rule(ReaderGeneration, Add, Left)], expect: CaughtSoon },
    Mutation { model: DEAD, name: "recovery wakes nobody", rules: &[rule(ReaderGeneration, Wake, Left)], expect: CaughtSoon },
    Mutation { model: DEAD, name: "the death is not told", rules: &[rule(Died, Or, Left)], expect: CaughtSoon },
];

const SPINS: &str = "models::closing::a_reader_spins_then_waits_while_somebody_commits";
const CLOSE: &str = "models::closing::a_close_wakes_a_reader";
const LAST: &str = "models::closing::a_last_sample_and_a_close_while_a_reader_waits";
const DEAD: &str = "models::closing::recovery_of_a_writer_wakes_a_reader";

/// Longer than any model.
const LONG: Duration = Duration::from_secs(1000);

/// A reader that waits for a sample, or for the end.
fn waiting(reader: Reader<Attached>, expected: Result<[u8; 4], TakeError>) -> thread::JoinHandle<Reader<Attached>> {
    thread::spawn(move || {
        let got = reader.take_timeout(LONG).map(|sample| <[u8; 4]>::try_from(&*sample).expect("four bytes"));
        assert_eq!(got, expected);
        reader
    })
}

#[test]
fn a_reader_spins_then_waits_while_somebody_commits() {
    let plan = Arc::new(Plan::new(1, 1, 1));
    check("a reader spins, then waits, while somebody commits", 3, Size::Small, move || {
        let world = plan.world();
        let writer = world.writer("writer");
        let reader = waiting(world.reader("reader"), Ok(value(0, 0)));
        send(&writer);
        drop(reader.join().expect("no panic"));
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
        let reader = waiting(reader, Err(TakeError::Closed));
        drop(writer);
        drop(reader.join().expect("no panic"));
    });
}

#[test]
fn a_last_sample_and_a_close_while_a_reader_waits() {
    let plan = Arc::new(Plan::new(1, 1, 1));
    check("a last sample and a close while a reader waits", 2, Size::Small, move || {
        let world = plan.world();
        let writer = world.writer("writer");
        // It takes the one sample, and only then hears of the end.
        let reader = waiting(world.reader("reader"), Ok(value(0, 0)));
        send(&writer);
        drop(writer);
        let reader = reader.join().expect("no panic");
        assert_eq!(reader.take().err(), Some(TakeError::Closed));
    });
}

#[test]
fn recovery_of_a_writer_wakes_a_reader() {
    let plan = Arc::new(Plan::new(1, 1, 1));
    check("recovery of a writer wakes a reader", 3, Size::Small, move || {
        let world = plan.world();
        let doomed = world.writer("doomed");
        let recoverer = world.attach("recoverer");
        let reader = world.reader("reader");
        doomed.segment().mapping().die_after(0);
        drop(doomed);
        reader.segment().mapping().look_too_early();
        let reader = waiting(reader, Err(TakeError::WriterDied));
        recoverer.recover().expect("no system");
        drop(reader.join().expect("no panic"));
        world.assert_nothing_stuck();
    });
}
