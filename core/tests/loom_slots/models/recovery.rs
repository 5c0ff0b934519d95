//! Recovery: a writer died at any store of its commit; whoever recovers it, and dies over it, and whoever goes on meanwhile, nothing
//! acknowledged is lost, nothing comes twice, and every slot comes back.

use std::sync::Arc;

use loom::thread;
use seqslot_core::{Reader, TakeError, Writer};

use super::{Got, Size, check, check_cases, drain, looks_free, only_small, send, step, try_send, value, warm_up};
use crate::mutation::Effect::Left;
use crate::mutation::Expect::CaughtSoon;
use crate::mutation::Kind::{self, Died, Head, RingTag, State};
use crate::mutation::Op::{Claim, Load, Store};
use crate::mutation::{Effect, Mutation, rule};
use crate::world::{Attached, Plan, World};

pub const MUTATIONS: &[Mutation] = &[
    Mutation { model: OWNED, name: "recovery without the lock", rules: &[rule(Kind::None, Claim, Left)], expect: CaughtSoon },
    Mutation { model: OWNED, name: "the dead stay owners", rules: &[rule(State, Store, Left).by("recoverer")], expect: CaughtSoon },
    Mutation { model: OWNED, name: "no position is burnt", rules: &[rule(Head, Store, Left).by("recoverer")], expect: CaughtSoon },
    Mutation { model: NO_RING, name: "recovery without the lock", rules: &[rule(Kind::None, Claim, Left)], expect: CaughtSoon },
    Mutation {
        model: NO_RING,
        name: "the ring does not name the last sample",
        rules: &[rule(RingTag, Store, Left).by("recoverer")],
        expect: CaughtSoon,
    },
    Mutation { model: NO_RING, name: "died loaded Relaxed", rules: &[rule(Died, Load, Effect::Relaxed)], expect: CaughtSoon },
    Mutation { model: RECYCLED, name: "no position is burnt", rules: &[rule(Head, Store, Left).by("recoverer")], expect: CaughtSoon },
    Mutation { model: DYING, name: "the dead stay owners", rules: &[rule(State, Store, Left).by("recoverer")], expect: CaughtSoon },
    Mutation { model: DYING, name: "no position is burnt", rules: &[rule(Head, Store, Left).by("recoverer")], expect: CaughtSoon },
];

const OWNED: &str = "models::recovery::recovered_twice_dead_at_6";
const NO_RING: &str = "models::recovery::recovered_twice_dead_at_7";
const RECYCLED: &str = "models::recovery::a_slot_used_again_before_the_recovery";
const DYING: &str = "models::recovery::a_recoverer_dies_at_any_store";

/// Stores of a loan and its commit: the claim, four of the header, the publication, giving it up, the ring's two, the head.
const STORES: i64 = 10;
/// Of these, those before and with the publication.
const PUBLISHED: i64 = 6;
/// At least the stores of a recovery.
const RECOVERY_STORES: i64 = 13;

/// Writer 0 sends a sample, which the readers take, and dies over the next one, before its store number `point`. That one is where
/// the readers expect it, or elsewhere.
fn die_at(world: &World, readers: &[&Reader<Attached>], expected: bool, point: i64) {
    let doomed = world.writer("doomed");
    warm_up(&doomed, readers);
    if !expected {
        drop(doomed.try_loan().expect("the slot they expect is free"));
    }
    let party = doomed.segment().mapping().clone();
    party.die_after(point);
    let mut loan = doomed.try_loan().expect("it does not know that it is dead");
    loan.copy_from_slice(&value(0, 1));
    // A claim that was lost is an error; what comes after a death does not count.
    assert!(loan.commit_len(4).is_ok() || point == 0);
    party.die_after(0);
}

/// Takes one sample; while the dead writer has no successor, the end of the stream is an answer too, but not before its last sample.
fn step_beside_recovery(reader: &Reader<Attached>, got: &mut Got, dead: i64) {
    match step(reader, got) {
        Ok(_) => {}
        Err(error) => {
            assert_eq!(error, TakeError::WriterDied);
            assert!(dead < PUBLISHED || !got.is_empty(), "the end came before the last sample");
        }
    }
}

/// Everything that was published is there, once, in order.
fn assert_got(got: &Got, dead: i64, sent: &[u32]) {
    let mut expected: Got = if dead >= PUBLISHED { vec![(0, 1)] } else { vec![] };
    expected.extend(sent.iter().map(|&sequence| (0, sequence)));
    assert_eq!(*got, expected, "the writer died at store {dead}");
}

/// A writer that died at `dead` is recovered by two who race, one of whom becomes the next writer; a reader goes on meanwhile.
fn recover_twice(plan: &Arc<Plan>, dead: i64) {
    let world = plan.world();
    let (reader, late) = (world.reader("reader"), world.reader("reader"));
    let (first, second) = (world.attach("recoverer"), world.attach("recoverer"));
    // They go by the ring.
    die_at(&world, &[&reader, &late], false, dead);
    let recovering = thread::spawn(move || first.recover().expect("no system"));
    let reading = thread::spawn(move || {
        let mut got = Got::new();
        step_beside_recovery(&reader, &mut got, dead);
        (reader, got)
    });
    second.recover().expect("no system");
    let mut sent = Vec::new();
    let mut writer = Writer::<Attached>::join(second).ok();
    if let Some(writer) = &writer {
        sent.push(send(writer));
    }
    recovering.join().expect("no panic");
    if writer.is_none() {
        let next = Writer::<Attached>::join(second).expect("nobody has it");
        sent.push(send(&next));
        writer = Some(next);
    }
    let (reader, mut got) = reading.join().expect("no panic");
    drain(&reader, &mut got);
    assert_got(&got, dead, &sent);
    let mut got = Got::new();
    drain(&late, &mut got);
    assert_got(&got, dead, &sent);
    drop(writer);
    world.assert_nothing_stuck();
}

macro_rules! at_each_point {
    ($($name:ident $dead:literal $size:ident;)*) => {
        $(
            #[test]
            fn $name() {
                let plan = Arc::new(Plan::new(2, 1, 2));
                check(concat!("a writer recovered twice, dead before store ", $dead), 2, Size::$size, move || recover_twice(&plan, $dead));
            }
        )*
    };
}

at_each_point! {
    recovered_twice_dead_at_0 0 Full;
    recovered_twice_dead_at_1 1 Full;
    recovered_twice_dead_at_2 2 Full;
    recovered_twice_dead_at_3 3 Full;
    recovered_twice_dead_at_4 4 Full;
    recovered_twice_dead_at_5 5 Small;
    recovered_twice_dead_at_6 6 Small;
    recovered_twice_dead_at_7 7 Full;
    recovered_twice_dead_at_8 8 Full;
    recovered_twice_dead_at_9 9 Full;
    recovered_twice_dead_at_10 10 Full;
}

#[test]
fn a_recoverer_dies_at_any_store() {
    let plan = Arc::new(Plan::new(2, 1, 1));
    let all = (0..=STORES).flat_map(|writer| (0..=RECOVERY_STORES).map(move |recoverer| (writer, recoverer)));
    // Of the small ones: around the publication.
    let cases = all.filter(|(writer, recoverer)| !only_small() || (5..=8).contains(writer) && recoverer % 3 == 0);
    check_cases("a writer dead at any store, its recoverer dead at any store", 2, Size::Small, cases, move |&(dead, recoverer)| {
        let world = plan.world();
        let reader = world.reader("reader");
        let (second, next) = (world.attach("second"), world.attach("recoverer"));
        die_at(&world, &[&reader], true, dead);
        let dying = second.mapping().clone();
        dying.die_after(recoverer);
        second.recover().expect("no system");
        dying.die_after(0);
        let reading = thread::spawn(move || {
            let mut got = Got::new();
            step_beside_recovery(&reader, &mut got, dead);
            (reader, got)
        });
        let writer = Writer::<Attached>::join(next).expect("a free entry");
        let sent = [send(&writer)];
        let (reader, mut got) = reading.join().expect("no panic");
        drain(&reader, &mut got);
        assert_got(&got, dead, &sent);
        world.assert_nothing_stuck();
    });
}

#[test]
fn a_slot_used_again_before_the_recovery() {
    let plan = Arc::new(Plan::new(1, 2, 1));
    check("a slot used again before the recovery", 3, Size::Small, move || {
        let world = plan.world();
        let reader = world.reader("reader");
        let recoverer = world.attach("recoverer");
        let dead = 7;
        die_at(&world, &[&reader], true, dead);
        // The first entry is free to claim; this one recovers it, so the other writer takes the second before.
        let other = {
            let _first = recoverer.mapping().claim_lock(seqslot_core::Lock::writer(0)).expect("its holder is dead");
            world.writer("other")
        };
        let sending = thread::spawn(move || {
            let sent = looks_free(&other) && try_send(&other).is_some();
            (other, sent)
        });
        let mut got = Got::new();
        step(&reader, &mut got).expect("goes on");
        let (_other, sent) = sending.join().expect("no panic");
        let next = Writer::<Attached>::join(recoverer).expect("the first entry");
        assert_eq!(next.index().get(), 0);
        drain(&reader, &mut got);
        let late = send(&next);
        drain(&reader, &mut got);
        let of = |writer| got.iter().filter(|sample| sample.0 == writer).map(|sample| sample.1).collect::<Vec<_>>();
        assert_eq!(of(1).len(), usize::from(sent), "{got:?}");
        assert_eq!(of(0), [1, late], "{got:?}");
        assert_ne!(late, 1, "a position is not used again");
        world.assert_nothing_stuck();
    });
}
