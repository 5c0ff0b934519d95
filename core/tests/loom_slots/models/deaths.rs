//! Deaths and recoveries in one thread, others beside it: what the dead did comes to the others by what the recoverer stores. (In
//! [`recovery`](super::recovery) the deaths come before the threads.)

use std::sync::Arc;

use loom::thread;
use seqslot_core::{Reader, ReaderIndex, TakeError, Writer};

use super::{Got, Size, check, drain, looks_free, send, step, value, warm_up};
use crate::world::{Attached, Plan};

/// Of the stores of a commit, those up to the slot's being given up: four of the header, the publication, the state.
const GIVEN_UP: i64 = 6;

/// It publishes `bytes`, but for the last stores of the commit; then somebody joins in its place.
fn die_and_be_followed(doomed: Writer<Attached>, bytes: [u8; 4], next: Attached) -> Writer<Attached> {
    let party = doomed.segment().mapping().clone();
    let mut loan = doomed.try_loan().expect("a slot is free");
    loan.copy_from_slice(&bytes);
    party.die_after(GIVEN_UP);
    loan.commit_len(4).expect("it does not know that it is dead");
    party.die_after(0);
    drop(doomed);
    Writer::join(next).expect("a free entry")
}

#[test]
fn a_commit_of_the_dead_beside_a_reader() {
    let plan = Arc::new(Plan::new(2, 1, 1));
    check("a commit of the dead beside a reader", 2, Size::Small, move || {
        let world = plan.world();
        let reader = world.reader("reader");
        let doomed = world.writer("doomed");
        let mut got = warm_up(&doomed, &[&reader]);
        // The next sample is not where it is expected: the reader goes by the ring.
        drop(doomed.try_loan().expect("the slot that is expected"));
        let next = world.attach("recoverer");
        let dying = thread::spawn(move || die_and_be_followed(doomed, value(0, 1), next));
        for _ in 0..2 {
            // Between the recovery and the next writer the stream has an end, but not before the last sample.
            if let Err(error) = step(&reader, &mut got) {
                assert_eq!((error, got.len()), (TakeError::WriterDied, 2));
            }
        }
        let writer = dying.join().expect("no panic");
        drain(&reader, &mut got);
        assert_eq!(got, [(0, 0), (0, 1)]);
        drop(writer);
        world.assert_nothing_stuck();
    });
}

#[test]
fn a_commit_of_the_dead_to_an_audience_that_left_and_joined() {
    let plan = Arc::new(Plan::new(1, 1, 1));
    check("a commit of the dead to an audience that left and joined", 3, Size::Small, move || {
        let world = plan.world();
        let doomed = world.writer("doomed");
        let former = world.reader("former");
        let (joiner, next) = (world.attach("joiner"), world.attach("recoverer"));
        let joining = thread::spawn(move || {
            drop(former);
            Reader::<_>::join_as(joiner, ReaderIndex::new(0).expect("in bounds")).expect("joins")
        });
        let writer = die_and_be_followed(doomed, value(0, 0), next);
        let reader = joining.join().expect("no panic");
        drain(&reader, &mut Got::new());
        world.assert_nothing_stuck();
        send(&writer);
    });
}

#[test]
fn a_loan_of_the_dead_and_the_next_claim() {
    let plan = Arc::new(Plan::new(1, 2, 1));
    check("a loan of the dead and the next claim", 2, Size::Small, move || {
        let world = plan.world();
        let (doomed, other) = (world.writer("doomed"), world.writer("writer"));
        let recoverer = world.attach("recoverer");
        let dying = thread::spawn(move || {
            if let Ok(mut loan) = doomed.try_loan() {
                loan.copy_from_slice(&[0xFF; 4]);
                std::mem::forget(loan);
            }
            doomed.segment().mapping().die_after(0);
            drop(doomed);
            recoverer.recover().expect("no system");
        });
        // Who gets the slot is alone in its bytes.
        let _ = other.try_loan().map(|mut loan| loan.copy_from_slice(&[1; 4]));
        let _ = other.try_loan().map(|mut loan| loan.copy_from_slice(&[2; 4]));
        dying.join().expect("no panic");
        world.assert_nothing_stuck();
    });
}

#[test]
fn a_reader_that_dies_holding_a_sample() {
    let plan = Arc::new(Plan::new(1, 1, 1));
    check("a reader that dies holding a sample", 3, Size::Small, move || {
        let world = plan.world();
        let writer = world.writer("writer");
        let reader = world.reader("doomed");
        let recoverer = world.attach("recoverer");
        send(&writer);
        // The writer has the thread of its own: of two accesses to a word loom remembers the last, and the dead one's lost store to
        // `active`, a load here, would hide that the writer's look could come before the recovery.
        let writing = thread::spawn(move || {
            for _ in 0..2 {
                if looks_free(&writer) {
                    send(&writer);
                    break;
                }
            }
            writer
        });
        let sample = reader.take().expect("goes on").expect("one is there");
        assert_eq!(*sample, value(0, 0));
        std::mem::forget(sample);
        reader.segment().mapping().die_after(0);
        drop(reader);
        recoverer.recover().expect("no system");
        drop(writing.join().expect("no panic"));
        world.assert_nothing_stuck();
    });
}
