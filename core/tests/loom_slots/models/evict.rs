//! Evicting a living reader: beside its own calls, its going, and whoever has its index next.

use std::sync::Arc;
use std::time::Duration;

use loom::thread;
use seqslot_core::{EvictError, Reader, ReaderId, ReaderIndex, TakeError};

use super::{Got, Size, check, check_cases, drain, in_order, send, step};
use crate::mutation::Effect::{Left, NoFence, Torn};
use crate::mutation::Expect::CaughtSoon;
use crate::mutation::Kind::{self, Active, Quarantined, ReaderGeneration, Unread};
use crate::mutation::Op::{Add, And, Claim, FenceAll, FullFence, Or, Wake};
use crate::mutation::{Mutation, rule};
use crate::world::{Attached, Plan};

pub const MUTATIONS: &[Mutation] = &[
    Mutation { model: WAITS, name: "not quarantined", rules: &[rule(Quarantined, Or, Left)], expect: CaughtSoon },
    Mutation {
        model: WAITS,
        name: "eviction without its fences",
        rules: &[rule(Kind::None, FullFence, NoFence).by("evictor")],
        expect: CaughtSoon,
    },
    Mutation {
        model: WAITS,
        name: "waiter without its fence",
        rules: &[rule(Kind::None, FullFence, NoFence).by("reader"), rule(Kind::None, FenceAll, NoFence).by("reader")],
        expect: CaughtSoon,
    },
    Mutation { model: WAITS, name: "no bump", rules: &[rule(ReaderGeneration, Add, Left)], expect: CaughtSoon },
    Mutation { model: WAITS, name: "no wake", rules: &[rule(ReaderGeneration, Wake, Left)], expect: CaughtSoon },
    Mutation { model: RELEASES, name: "the evicted goes on counting", rules: &[rule(Active, And, Left).by("evictor")], expect: CaughtSoon },
    Mutation { model: RELEASES, name: "a release is no single step", rules: &[rule(Unread, And, Torn).by("evicted")], expect: CaughtSoon },
    Mutation {
        model: NEXT,
        name: "join without the lock of evictions",
        rules: &[rule(Kind::None, Claim, Left).by("joiner")],
        expect: CaughtSoon,
    },
    Mutation { model: DYING, name: "the index stays quarantined", rules: &[rule(Quarantined, And, Left)], expect: CaughtSoon },
];

const WAITS: &str = "models::evict::an_eviction_wakes_a_reader";
const RELEASES: &str = "models::evict::an_evicted_reader_lets_go_while_its_slot_is_used_again";
const NEXT: &str = "models::evict::an_eviction_while_the_index_changes_hands";
const DYING: &str = "models::evict::an_evictor_dies_at_any_store";

/// Longer than any model.
const LONG: Duration = Duration::from_secs(1000);
/// At least the stores of an eviction.
const STORES: i64 = 9;

fn first() -> ReaderIndex {
    ReaderIndex::new(0).expect("in bounds")
}

/// Evicts; true if the reader was still that one.
fn evict(segment: Attached, reader: ReaderId) -> bool {
    // SAFETY: the models look at no sample of the reader from here on.
    match unsafe { segment.evict(reader) } {
        Ok(()) => true,
        Err(EvictError::Gone | EvictError::Busy) => false,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn an_eviction_wakes_a_reader() {
    let plan = Arc::new(Plan::new(1, 1, 1));
    check("an eviction wakes a reader", 3, Size::Small, move || {
        let world = plan.world();
        let evictor = world.attach("evictor");
        let reader = world.reader("reader");
        let id = reader.id();
        reader.segment().mapping().look_too_early();
        let waiting = thread::spawn(move || {
            assert_eq!(reader.take_timeout(LONG).err(), Some(TakeError::Evicted));
            reader
        });
        assert!(evict(evictor, id));
        drop(waiting.join().expect("no panic"));
        world.assert_nothing_stuck();
    });
}

#[test]
fn an_evicted_reader_lets_go_while_its_slot_is_used_again() {
    let plan = Arc::new(Plan::new(1, 1, 2).exchanging(&[Unread]));
    check("an evicted reader lets go while its slot is used again", 2, Size::Small, move || {
        let world = plan.world();
        let evictor = world.attach("evictor");
        let writer = world.writer("writer");
        let (evicted, other) = (world.reader("evicted"), world.reader("other"));
        let id = evicted.id();
        send(&writer);
        let mut got = Got::new();
        assert_eq!(step(&other, &mut got), Ok(true));
        let releasing = thread::spawn(move || {
            match evicted.take() {
                // Not looked at: it may be evicted already.
                Ok(sample) => drop(sample),
                Err(error) => assert_eq!(error, TakeError::Evicted),
            }
            evicted
        });
        assert!(evict(evictor, id));
        // Its slots are free at once.
        send(&writer);
        assert_eq!(step(&other, &mut got), Ok(true));
        assert_eq!(got, in_order(2));
        drop(releasing.join().expect("no panic"));
        send(&writer);
        drain(&other, &mut got);
        assert_eq!(got, in_order(3));
        world.assert_nothing_stuck();
    });
}

#[test]
fn an_eviction_while_the_index_changes_hands() {
    let plan = Arc::new(Plan::new(1, 1, 1).watching(&[Kind::EntryState]));
    check("an eviction while the index changes hands", 3, Size::Small, move || {
        let world = plan.world();
        let (evictor, joiner) = (world.attach("evictor"), world.attach("joiner"));
        let writer = world.writer("writer");
        let former = world.reader("former");
        let id = former.id();
        let joining = thread::spawn(move || {
            drop(former);
            Reader::<_>::join_as(joiner, first()).ok()
        });
        evict(evictor, id);
        let next = joining.join().expect("no panic").unwrap_or_else(|| Reader::<_>::join_as(joiner, first()).expect("nobody has it"));
        let mut got = Got::new();
        let sent = send(&writer);
        assert_eq!(step(&next, &mut got), Ok(true), "the eviction was of the former holder");
        assert_eq!(got, [(0, sent)]);
        world.assert_nothing_stuck();
    });
}

#[test]
fn an_evictor_dies_at_any_store() {
    let plan = Arc::new(Plan::new(1, 1, 1));
    check_cases("an evictor dies at any store", 2, Size::Small, 0..=STORES, move |&stores| {
        let world = plan.world();
        let (evictor, joiner) = (world.attach("evictor"), world.attach("joiner"));
        let writer = world.writer("writer");
        let former = world.reader("former");
        let id = former.id();
        send(&writer);
        evictor.mapping().die_after(stores);
        let leaving = thread::spawn(move || drop(former));
        // Its lock is free again when it is dead.
        evict(evictor, id);
        let recovered = joiner.recover().expect("no system");
        assert_eq!(recovered.writers, 0);
        leaving.join().expect("no panic");
        let next = Reader::<_>::join_as(joiner, first()).expect("nobody has it");
        let sent = send(&writer);
        let mut got = Got::new();
        assert_eq!(step(&next, &mut got), Ok(true));
        assert_eq!(got, [(0, sent)]);
        world.assert_nothing_stuck();
    });
}
