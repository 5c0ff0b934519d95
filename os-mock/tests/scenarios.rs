//! Crash points, schedules and faults, on a toy protocol: a lock, and a value with its copy.
#![allow(clippy::result_large_err, reason = "the errors are those of seqslot-core")]

use std::cell::RefCell;

use seqslot_core::{Access, AtomicU32, Cause, CreateFault, Created, Lock, Mapping, Memory, ObjectSpec, OpenFault, Ordering, Os};
use seqslot_os_mock::{CrashPoint, EventKind, Fault, MockClaim, MockMapping, MockOs, Plan, Schedule, Step, World, crash_points, seeds};

const SPEC: ObjectSpec = ObjectSpec { len: 64, reserve: true, group: false };
const VALUE: usize = 0;
const COPY: usize = 4;

type Pair = Created<MockMapping, MockClaim>;

fn load(mapping: &MockMapping, at: usize) -> u32 {
    assert!(at == VALUE || at == COPY);
    // SAFETY: an aligned word of an object of 64 bytes, mapped by the caller.
    unsafe { mapping.memory().load(at, Ordering::Acquire) }
}

fn store(mapping: &MockMapping, at: usize, value: u32) {
    assert!(at == VALUE || at == COPY);
    // SAFETY: an aligned word of an object of 64 bytes, mapped writable by the caller.
    unsafe { mapping.memory().store(at, value, Ordering::Release) }
}

/// One more, under the lock, the value first.
fn increment(mapping: &MockMapping) -> bool {
    let Some(_claim) = mapping.claim(Lock::EVICTION, &AtomicU32::new(0)).expect("no fault is planned") else {
        return false;
    };
    // What a dead process has left half done.
    store(mapping, COPY, load(mapping, VALUE));
    let next = load(mapping, VALUE) + 1;
    store(mapping, VALUE, next);
    store(mapping, COPY, next);
    true
}

fn each_point(mut check: impl FnMut(&CrashPoint<Pair, bool>)) -> Option<u64> {
    let mut points =
        crash_points(5, |_, process| process.create("pair", SPEC).expect("a fresh name"), |_, pair: &mut Pair| increment(&pair.mapping));
    points.by_ref().for_each(|after| check(&after));
    points.found()
}

#[test]
fn every_point_comes_once_and_in_order() {
    let mut seen = Vec::new();
    let found = each_point(|after| {
        let left = (load(&after.state.mapping, VALUE), load(&after.state.mapping, COPY));
        seen.push((after.outcome.as_ref().err().and_then(|died| died.event()).map(|event| event.kind), left));
        assert_eq!(after.process.is_dead(), after.outcome.is_err());
    });
    let (claim, store) = (Some(EventKind::Claim), Some(EventKind::Store));
    assert_eq!(seen, [(claim, (0, 0)), (store, (0, 0)), (store, (0, 0)), (store, (1, 0)), (None, (1, 1))]);
    assert_eq!(found, Some(4));
}

#[test]
fn a_successor_repairs_what_is_left_at_any_point() {
    each_point(|after| {
        let successor = after.world.process();
        let mapping = successor.open("pair", Access::ReadWrite).expect("it exists");
        let before = load(&mapping, VALUE);
        assert!(increment(&mapping), "the dead process's lock is free");
        assert_eq!((load(&mapping, VALUE), load(&mapping, COPY)), (before + 1, before + 1));
    });
}

#[test]
#[should_panic(expected = "left a pair apart")]
fn a_check_sees_the_bad_points() {
    each_point(|after| assert_eq!(load(&after.state.mapping, VALUE), load(&after.state.mapping, COPY), "left a pair apart"));
}

/// Three mortal processes and an immortal one increment; returns the order of events, the value, and the deaths.
fn play(seed: u64) -> (Vec<(u32, EventKind)>, u32, usize) {
    let world = World::new(seed);
    let keeper = world.process();
    let pair = keeper.create("pair", SPEC).expect("a fresh name");
    let done = RefCell::new(0);
    let mut schedule = Schedule::new(seed);
    schedule.deaths(100);
    let party = |os: &MockOs, times: u32| {
        let mapping = os.open("pair", Access::ReadWrite).expect("it exists");
        let (mut left, done) = (times, &done);
        move |_: &MockOs| {
            if !increment(&mapping) {
                return Step::Idle;
            }
            *done.borrow_mut() += 1;
            left -= 1;
            if left == 0 { Step::Done } else { Step::Progress }
        }
    };
    for name in ["first", "second", "third"] {
        let process = world.process();
        let step = party(&process, 20);
        schedule.add_mortal(name, &process, step);
    }
    schedule.add("keeper", &keeper, party(&keeper, 20));
    let ended = schedule.run(10_000);
    assert!(ended.left.is_empty(), "the dead hold no lock, so that everybody gets through: {ended:?}");
    let value = load(&pair.mapping, VALUE);
    // A process that died between its stores has incremented without knowing it.
    let known = *done.borrow();
    assert!((known..=known + ended.died.len() as u32).contains(&value), "{value} from {known}, {ended:?}");
    let trace = world.trace().into_iter().map(|event| (event.pid, event.kind)).collect();
    (trace, value, ended.died.len())
}

#[test]
fn the_same_seed_plays_the_same_game() {
    let games: Vec<_> = seeds(20).map(|seed| (seed, play(seed))).collect();
    for (seed, game) in &games {
        assert_eq!(play(*seed), *game, "seed {seed}");
    }
    if games.len() > 1 {
        assert!(games.iter().any(|(_, game)| game.2 > 0), "in some game somebody dies");
        assert!(games.windows(2).any(|two| two[0].1.0 != two[1].1.0), "the seed matters");
    }
}

#[test]
fn parties_with_nothing_to_do_are_told() {
    let world = World::new(1);
    let mut schedule = Schedule::new(1);
    schedule.add("idler", &world.process(), |_| Step::Idle);
    schedule.add("worker", &world.process(), |_| Step::Done);
    let ended = schedule.run(1000);
    assert_eq!(ended.left, ["idler"]);
    assert!(ended.steps < 1000, "it stopped by itself");
}

#[test]
fn a_planned_fault_is_an_error_and_leaves_nothing() {
    let world = World::new(1);
    let os = world.process();
    for (fault, errno) in [(Fault::Allocate, 28), (Fault::Map, 12)] {
        world.plan(fault, Plan::Next(1));
        let failed = os.create("pair", SPEC).map(drop).expect_err("the fault strikes");
        assert_eq!(failed.cause(), Cause::Os);
        assert!(matches!(&failed, CreateFault::Os(error) if error.errno() == errno && error.object() == "pair"), "{failed}");
        assert!(!world.exists("pair"));
        assert_eq!(world.locks_held(), 0);
    }
    let pair = os.create("pair", SPEC).expect("no fault is planned any more");
    world.plan(Fault::Map, Plan::Next(1));
    assert!(matches!(os.open("pair", Access::ReadOnly), Err(OpenFault::Os(error)) if error.errno() == 12));
    world.plan(Fault::Claim, Plan::Next(2));
    let word = AtomicU32::new(0);
    assert_eq!(pair.mapping.claim(Lock::reader(0), &word).map(drop).expect_err("the fault strikes").errno(), 24);
    assert_eq!(pair.mapping.is_claimed(Lock::reader(0), &word).expect_err("the fault strikes").errno(), 24);
    assert_eq!(pair.mapping.is_claimed(Lock::reader(0), &word), Ok(false), "the failed claim has taken nothing");
}
