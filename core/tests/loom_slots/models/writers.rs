//! Two writers, one slot: it is given to one of them at a time, and never while a reader is inside.

use std::sync::Arc;

use loom::thread;
use seqslot_core::Ordering::{Acquire, Release};
use seqslot_core::layout::slots::{SLOT_STATE, SLOT_UNREAD};
use seqslot_core::{Memory, Reader, TakeError, Writer};

use super::{Got, Size, check, drain, looks_free, send, step, try_send, value};
use crate::mutation::Effect::{After, Answers, Relaxed, Torn};
use crate::mutation::Expect::{Caught, CaughtSoon};
use crate::mutation::Kind::{Closed, State, Unread};
use crate::mutation::Op::{Cas, Load, Or, Store};
use crate::mutation::{Mutation, rule};
use crate::party::Party;
use crate::world::{Attached, Plan};

pub const MUTATIONS: &[Mutation] = &[
    Mutation { model: ONE_SLOT, name: "the claim is no single step", rules: &[rule(State, Cas, Torn)], expect: CaughtSoon },
    Mutation { model: ONE_SLOT, name: "claim Relaxed", rules: &[rule(State, Cas, Relaxed)], expect: Caught },
    Mutation { model: ONE_SLOT, name: "given up Relaxed", rules: &[rule(State, Store, Relaxed)], expect: Caught },
    Mutation {
        model: ONE_SLOT,
        name: "given up before the publication",
        rules: &[rule(Unread, Store, After(give_up)).when(Release)],
        expect: Caught,
    },
    Mutation {
        model: ONE_SLOT,
        name: "no second look",
        rules: &[rule(Unread, Load, Answers(0)).by("writer").when(Acquire)],
        expect: Caught,
    },
    Mutation { model: CLOSE, name: "closed loaded Relaxed", rules: &[rule(Closed, Load, Relaxed)], expect: CaughtSoon },
    Mutation { model: CLOSE, name: "closed stored Relaxed", rules: &[rule(Closed, Or, Relaxed)], expect: CaughtSoon },
];

const ONE_SLOT: &str = "models::writers::two_writers_and_one_slot";
const CLOSE: &str = "models::writers::a_close_while_somebody_takes";

/// The slot is given up before its sample is published.
fn give_up(party: &Party, unread_at: usize) {
    let at = unread_at - SLOT_UNREAD + SLOT_STATE;
    let memory = party.unweakened();
    // SAFETY: the same slot's state word.
    let state = unsafe { memory.load(at, Acquire) };
    // SAFETY: as above.
    unsafe { memory.store(at, state & ((1 << 26) - 1), Release) };
}

/// Publishes up to `tries` samples, where the slot looks free; how many.
fn send_some(writer: &Writer<Attached>, tries: usize) -> u32 {
    (0..tries).filter(|_| looks_free(writer) && try_send(writer).is_some()).count() as u32
}

fn of_writer(got: &Got, writer: u32) -> Vec<u32> {
    got.iter().filter(|sample| sample.0 == writer).map(|sample| sample.1).collect()
}

#[test]
fn two_writers_and_one_slot() {
    let plan = Arc::new(Plan::new(1, 2, 1));
    check("two writers and one slot", 2, Size::Full, move || {
        let world = plan.world();
        let writers = [world.writer("writer"), world.writer("writer")];
        let reader = world.reader("reader");
        let threads = writers.map(|writer| {
            thread::spawn(move || {
                let sent = send_some(&writer, 1);
                (writer, sent)
            })
        });
        let mut got = Vec::new();
        for _ in 0..2 {
            step(&reader, &mut got).expect("goes on");
        }
        let ended = threads.map(|writer| writer.join().expect("no panic"));
        drain(&reader, &mut got);
        for (writer, sent) in &ended {
            assert_eq!(of_writer(&got, writer.index().get()), (0..*sent).collect::<Vec<_>>(), "{got:?}");
        }
        assert!(ended.iter().any(|(_, sent)| *sent > 0), "the slot was free");
        world.assert_nothing_stuck();
        send(&ended[0].0);
    });
}

#[test]
fn a_close_while_somebody_takes() {
    let plan = Arc::new(Plan::new(1, 1, 1));
    check("a close while somebody takes", 3, Size::Small, move || {
        let world = plan.world();
        let writer = world.writer("writer");
        let reader = world.reader("reader");
        let taker = thread::spawn(move || {
            let mut got = Vec::new();
            for _ in 0..3 {
                if take_or_end(&reader, &mut got) {
                    break;
                }
            }
            (reader, got)
        });
        let mut loan = writer.try_loan().expect("free");
        loan.copy_from_slice(&value(0, 0));
        loan.commit_len(4).expect("commits");
        drop(writer);
        let (reader, mut got) = taker.join().expect("no panic");
        while !take_or_end(&reader, &mut got) {}
        assert_eq!(got, [(0, 0)]);
        world.assert_nothing_stuck();
    });
}

/// Takes once; true at the end of the stream, which must not come before the sample.
fn take_or_end(reader: &Reader<Attached>, got: &mut Got) -> bool {
    match step(reader, got) {
        Ok(_) => false,
        Err(error) => {
            assert_eq!(error, TakeError::Closed);
            assert_eq!(*got, [(0, 0)], "closed before the last sample was taken");
            true
        }
    }
}

#[test]
fn a_discard_and_the_next_claim() {
    discard_and_claim("a discard and the next claim", Plan::new(1, 2, 1));
}

#[test]
fn a_discard_and_the_next_eviction() {
    discard_and_claim("a discard and the next eviction", Plan::overwriting(1, 2, 1));
}

fn discard_and_claim(name: &str, plan: Plan) {
    let plan = Arc::new(plan);
    check(name, 3, Size::Small, move || {
        let world = plan.world();
        let (first, second) = (world.writer("writer"), world.writer("writer"));
        // Each is alone in the slot's bytes.
        let fill = |writer: &Writer<Attached>| writer.try_loan().map(|mut loan| loan.copy_from_slice(&[0xFF; 4])).is_ok();
        let other = thread::spawn(move || {
            fill(&first);
            first
        });
        fill(&second);
        drop(other.join().expect("no panic"));
        world.assert_nothing_stuck();
        assert!(fill(&second), "free in the end");
    });
}

#[test]
fn a_claim_put_back_and_the_next_claim() {
    let plan = Arc::new(Plan::new(1, 3, 1));
    check("a claim put back and the next claim", 2, Size::Full, move || {
        let world = plan.world();
        let reader = world.reader("reader");
        let (publisher, others) = (world.writer("writer"), [world.writer("hasty"), world.writer("hasty")]);
        let threads = others.map(|writer| {
            thread::spawn(move || {
                writer.segment().mapping().have_stale_hints(1);
                let found = writer.try_loan().map(|mut loan| loan.copy_from_slice(&[0xFF; 4])).is_ok();
                (writer, found)
            })
        });
        let sent = try_send(&publisher).is_some();
        let ended = threads.map(|writer| writer.join().expect("no panic"));
        let mut got = Got::new();
        drain(&reader, &mut got);
        assert_eq!(got.len(), usize::from(sent), "what was published stays until it is read");
        drop(ended);
        world.assert_nothing_stuck();
    });
}
