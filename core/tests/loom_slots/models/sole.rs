//! A segment for one writer, or one reader: the writer claims, and the reader lets go, by a plain store. Nobody else may be where that
//! store comes down.

use std::sync::Arc;

use loom::thread;
use seqslot_core::{EvictError, Reader, ReaderIndex, TakeError, Writer};

use super::{Got, Size, check, check_cases, drain, looks_free, send, step, try_send, value};
use crate::mutation::Effect::{Answers, Left};
use crate::mutation::Expect::CaughtSoon;
use crate::mutation::Kind::{self, Active, State, Unread};
use crate::mutation::Op::{Claim, Load, Store};
use crate::mutation::{Mutation, rule};
use crate::world::{Attached, Plan};

pub const MUTATIONS: &[Mutation] = &[
    Mutation {
        model: CROWD,
        name: "who left and who counts are not told apart",
        rules: &[rule(Active, Load, Answers(0)).by("writer")],
        expect: CaughtSoon,
    },
    Mutation { model: CROWD, name: "nobody is looked at", rules: &[rule(Unread, Load, Answers(0)).by("writer")], expect: CaughtSoon },
    Mutation { model: IN_CLAIM, name: "the dead stay owners", rules: &[rule(State, Store, Left).by("recoverer")], expect: CaughtSoon },
    Mutation {
        model: EVICTED,
        name: "join while the evicted may let go",
        rules: &[rule(Kind::None, Claim, Left).by("joiner")],
        expect: CaughtSoon,
    },
];

const CROWD: &str = "models::sole::a_sole_writer_claims_while_readers_come_and_go";
const IN_CLAIM: &str = "models::sole::a_sole_writer_dies_in_its_claim";
const EVICTED: &str = "models::sole::a_sole_reader_lets_go_while_it_is_evicted_and_followed";

fn first() -> ReaderIndex {
    ReaderIndex::new(0).expect("in bounds")
}

#[test]
fn a_sole_writer_claims_while_readers_come_and_go() {
    let plan = Arc::new(Plan::new(1, 1, 2));
    check("a sole writer claims while readers come and go", 2, Size::Small, move || {
        let world = plan.world();
        let writer = world.writer("writer");
        let (leaver, joiner) = (world.reader("leaver"), world.attach("joiner"));
        send(&writer);
        let leaving = thread::spawn(move || {
            let sample = leaver.take().expect("goes on").expect("one is there");
            assert_eq!(*sample, value(0, 0));
            // Not released, only left.
            std::mem::forget(sample);
        });
        let joining = thread::spawn(move || {
            let reader = Reader::<_>::join_as(joiner, ReaderIndex::new(1).expect("in bounds")).expect("nobody has it");
            let mut got = Got::new();
            step(&reader, &mut got).expect("goes on");
            (reader, got)
        });
        for _ in 0..2 {
            if looks_free(&writer) {
                try_send(&writer);
            }
        }
        leaving.join().expect("no panic");
        let (reader, mut got) = joining.join().expect("no panic");
        drain(&reader, &mut got);
        assert!(got.windows(2).all(|pair| pair[0].1 < pair[1].1), "in order: {got:?}");
        world.assert_nothing_stuck();
        let late = send(&writer);
        drain(&reader, &mut got);
        assert_eq!(got.last(), Some(&(0, late)), "committed after the join");
        world.assert_nothing_stuck();
    });
}

#[test]
fn a_sole_writer_claims_while_a_reader_is_recovered() {
    let plan = Arc::new(Plan::new(1, 1, 1));
    check("a sole writer claims while a reader is recovered", 3, Size::Small, move || {
        let world = plan.world();
        let writer = world.writer("writer");
        let doomed = world.reader("doomed");
        let recoverer = world.attach("recoverer");
        send(&writer);
        std::mem::forget(doomed.take().expect("goes on").expect("one is there"));
        doomed.segment().mapping().die_after(0);
        drop(doomed);
        let recovering = thread::spawn(move || {
            recoverer.recover().expect("no system");
            let next = Reader::<_>::join_as(recoverer, first()).expect("nobody has it");
            let mut got = Got::new();
            step(&next, &mut got).expect("goes on");
            (next, got)
        });
        for _ in 0..2 {
            if looks_free(&writer) {
                try_send(&writer);
            }
        }
        let (next, mut got) = recovering.join().expect("no panic");
        drain(&next, &mut got);
        world.assert_nothing_stuck();
        let late = send(&writer);
        drain(&next, &mut got);
        assert_eq!(got.last(), Some(&(0, late)), "committed after the join");
        world.assert_nothing_stuck();
    });
}

/// Stores of a claim of a slot that somebody who does not count owes a read: that is cleared, the slot is owned.
const CLAIM: i64 = 2;

#[test]
fn a_sole_writer_dies_in_its_claim() {
    let plan = Arc::new(Plan::new(1, 1, 1));
    check_cases("a sole writer dies in its claim", 1, Size::Small, 0..=CLAIM + 1, move |&stores| {
        let world = plan.world();
        let doomed = world.writer("doomed");
        let former = world.reader("former");
        let (joiner, recoverer) = (world.attach("joiner"), world.attach("recoverer"));
        send(&doomed);
        std::mem::forget(former.take().expect("goes on").expect("one is there"));
        drop(former);
        let joining = thread::spawn(move || {
            let reader = Reader::<_>::join_as(joiner, first()).expect("nobody has it");
            let mut got = Got::new();
            // Between the recovery and the next writer the stream has an end.
            assert!(matches!(step(&reader, &mut got), Ok(_) | Err(TakeError::WriterDied)));
            (reader, got)
        });
        let party = doomed.segment().mapping().clone();
        party.die_after(stores);
        if let Ok(mut loan) = doomed.try_loan() {
            if stores >= CLAIM {
                loan.copy_from_slice(&[0xFF; 4]);
            }
            std::mem::forget(loan);
        }
        party.die_after(0);
        drop(doomed);
        let next = Writer::<Attached>::join(recoverer).expect("nobody lives who has it");
        let sent = send(&next);
        let (reader, mut got) = joining.join().expect("no panic");
        drain(&reader, &mut got);
        assert!(got.iter().all(|&sample| sample == (0, sent)) && got.len() <= 1, "{got:?}");
        world.assert_nothing_stuck();
        let late = send(&next);
        drain(&reader, &mut got);
        assert_eq!(got.last(), Some(&(0, late)));
    });
}

#[test]
fn a_sole_reader_dies_in_its_release_and_is_followed() {
    let plan = Arc::new(Plan::new(1, 1, 1).exchanging(&[Unread]));
    check_cases("a sole reader dies in its release and is followed", 2, Size::Small, 0..=1, move |&stores| {
        let world = plan.world();
        let writer = world.writer("writer");
        let doomed = world.reader("doomed");
        let next = world.attach("recoverer");
        send(&writer);
        // The writer has the thread of its own, as in `deaths`: the lost stores of the dead, which are loads here, would hide its looks.
        let writing = thread::spawn(move || {
            for _ in 0..2 {
                if looks_free(&writer) {
                    try_send(&writer);
                }
            }
            writer
        });
        let sample = doomed.take().expect("goes on").expect("one is there");
        let party = doomed.segment().mapping().clone();
        party.die_after(stores);
        drop(sample);
        party.die_after(0);
        drop(doomed);
        let reader = Reader::<_>::join_as(next, first()).expect("its holder is dead");
        let mut got = Got::new();
        step(&reader, &mut got).expect("goes on");
        let writer = writing.join().expect("no panic");
        drain(&reader, &mut got);
        assert!(got.windows(2).all(|pair| pair[0].1 < pair[1].1), "in order: {got:?}");
        let late = send(&writer);
        drain(&reader, &mut got);
        assert_eq!(got.last(), Some(&(0, late)), "the next holder's bit stays until it clears it");
        world.assert_nothing_stuck();
    });
}

#[test]
fn a_sole_reader_lets_go_while_it_is_evicted_and_followed() {
    let plan = Arc::new(Plan::new(1, 1, 1).exchanging(&[Unread]));
    check("a sole reader lets go while it is evicted and followed", 3, Size::Small, move || {
        let world = plan.world();
        let (evictor, joiner) = (world.attach("evictor"), world.attach("joiner"));
        let writer = world.writer("writer");
        let evicted = world.reader("evicted");
        let id = evicted.id();
        send(&writer);
        let going = thread::spawn(move || {
            match evicted.take() {
                // Not looked at: it may be evicted already. What it holds it lets go of all the same.
                Ok(sample) => drop(sample),
                Err(error) => assert_eq!(error, TakeError::Evicted),
            }
            // Then it goes, and who comes next may have its index.
            drop(evicted);
        });
        // SAFETY: nobody looks at a sample of the reader from here on.
        match unsafe { evictor.evict(id) } {
            Ok(()) | Err(EvictError::Gone | EvictError::Busy) => {}
            Err(error) => panic!("{error}"),
        }
        // Its slots are free at once; after it went, or while it may yet let go.
        let _ = looks_free(&writer) && try_send(&writer).is_some();
        let next = Reader::<_>::join_as(joiner, first()).ok();
        let sent = looks_free(&writer).then(|| send(&writer));
        going.join().expect("no panic");
        let mut got = Got::new();
        if let Some(next) = &next {
            drain(next, &mut got);
            assert_eq!(got.last().copied(), sent.map(|sent| (0, sent)), "its bit is its own");
        }
        drop(next);
        world.assert_nothing_stuck();
    });
}
