//! The scheduler that switches inside operations.
#![cfg(feature = "interleave")]
#![allow(missing_docs)]

use core::time::Duration;
use std::cell::Cell;
use std::rc::Rc;

use seqslot_core::{AtomicU32, Created, Lock, Mapping, Memory, ObjectSpec, Ordering::Relaxed, Os, Woken};
use seqslot_os_mock::{Interleave, MockMapping, MockMemory, MockOs, Outcome, Pace, Paused, World, bounded};

const SPEC: ObjectSpec = ObjectSpec { len: 64, reserve: true, group: false };
const ALWAYS: Pace = Pace::Random { loads: 1 << 16, others: 1 << 16 };

fn load(memory: &MockMemory) -> u32 {
    // SAFETY: offset 0 is a word of a mapped object.
    unsafe { memory.load(0, Relaxed) }
}

fn store(memory: &MockMemory, value: u32) {
    // SAFETY: as above; the object is mapped writable.
    unsafe { memory.store(0, value, Relaxed) };
}

fn opened(os: &MockOs) -> MockMapping {
    os.open("word", seqslot_core::Access::ReadWrite).expect("it is there")
}

/// Two parties that each load a word and store one more; what it holds at the end.
fn add_twice(seed: u64, pace: Pace) -> u32 {
    let world = World::new(seed);
    let Created { mapping, .. } = world.process().create("word", SPEC).expect("a fresh name");
    let mut all = Interleave::new(&world, seed);
    all.pace(pace);
    for _ in 0..2 {
        let os = world.process();
        let memory = opened(&os).memory();
        let kept = opened(&os);
        all.add("adder", &os, move || {
            let memory = {
                drop(memory);
                kept.memory()
            };
            store(&memory, load(&memory) + 1);
        });
    }
    let mut ended = 0;
    loop {
        match all.run(1000) {
            Paused::Over => break,
            Paused::Ended { outcome: Outcome::Returned, .. } => ended += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((ended, all.steps()), (2, 4));
    load(&mapping.memory())
}

#[test]
fn parties_interleave_inside_their_operations() {
    let sums: Vec<u32> = (0..20).map(|seed| add_twice(seed, ALWAYS)).collect();
    assert!(sums.contains(&1) && sums.contains(&2), "{sums:?}");
    let sums: Vec<u32> = (0..20).map(|seed| add_twice(seed, Pace::Priorities { change_every: 2 })).collect();
    assert!(sums.contains(&1) && sums.contains(&2), "{sums:?}");
    let never = Pace::Random { loads: 0, others: 0 };
    assert!((0..20).all(|seed| add_twice(seed, never) == 2));
}

#[test]
fn the_clock_goes_on_when_all_are_asleep_and_a_wake_ends_a_wait() {
    let world = World::new(1);
    let _made = world.process().create("word", SPEC).expect("a fresh name");
    let mut all = Interleave::new(&world, 1);
    let (one, other) = (world.process(), world.process());
    let woken = Rc::new(Cell::new(None));
    let (kept, os, tell) = (opened(&one), one.clone(), Rc::clone(&woken));
    let waiter = all.add("waiter", &one, move || {
        let memory = kept.memory();
        // SAFETY: offset 0 is a word of a mapped object.
        let word: &AtomicU32 = unsafe { memory.futex(0) };
        tell.set(Some(os.wait(word, 0, 0b10, Duration::from_secs(9))));
    });
    let (kept, os) = (opened(&other), other.clone());
    all.add("waker", &other, move || {
        os.sleep(Duration::from_secs(3));
        let memory = kept.memory();
        store(&memory, 1);
        // SAFETY: as above.
        os.wake(unsafe { memory.futex(0) }, u32::MAX);
    });
    let before = world.now();
    assert!(matches!(all.run(1000), Paused::Quiet));
    let asleep = all.asleep();
    assert_eq!(asleep.len(), 2);
    let parked = asleep.iter().find(|party| party.party == waiter).expect("the waiter");
    assert!(parked.mask == 0b10 && !parked.is_woken && !parked.is_paused && !parked.saw_death);
    all.pass_time();
    while !matches!(all.run(1000), Paused::Over) {}
    assert_eq!(woken.get(), Some(Woken::Perhaps));
    let passed = world.now() - before;
    assert!(passed >= Duration::from_secs(3) && passed < Duration::from_secs(9), "{passed:?}");
}

#[test]
fn who_is_killed_in_the_midst_stops_there_and_its_locks_are_free() {
    let world = World::new(1);
    let Created { mapping, .. } = world.process().create("word", SPEC).expect("a fresh name");
    let mut all = Interleave::new(&world, 1);
    let os = world.process();
    let kept = opened(&os);
    let unused = AtomicU32::new(0);
    let party = all.add("doomed", &os, move || {
        let _held = kept.claim(Lock::writer(0), &AtomicU32::new(0)).expect("no fault").expect("free");
        for value in 1.. {
            store(&kept.memory(), value);
        }
    });
    assert!(matches!(all.run(10), Paused::Steps));
    assert!(mapping.claim(Lock::writer(0), &unused).expect("no fault").is_none());
    let reached = load(&mapping.memory());
    assert!(matches!(all.kill(party), Some(Outcome::Died(_))));
    assert!(mapping.claim(Lock::writer(0), &unused).expect("no fault").is_some());
    assert!(reached > 0 && load(&mapping.memory()) == reached, "the dead store nothing");
    assert!(matches!(all.run(10), Paused::Over) && all.kill(party).is_none());
}

#[test]
fn one_that_is_paused_does_not_run_and_lives() {
    let world = World::new(1);
    let Created { mapping, .. } = world.process().create("word", SPEC).expect("a fresh name");
    let mut all = Interleave::new(&world, 1);
    for _ in 0..2 {
        let os = world.process();
        let kept = opened(&os);
        all.add("counter", &os, move || {
            for _ in 0..100 {
                store(&kept.memory(), load(&kept.memory()) + 1);
            }
        });
    }
    all.pause(0, 0, Duration::from_secs(5));
    assert!(matches!(all.run(1000), Paused::Ended { party: 1, outcome: Outcome::Returned }));
    assert!(matches!(all.run(1000), Paused::Quiet), "it cannot run before its time");
    assert!(all.asleep()[0].is_paused);
    all.pass_time();
    assert!(matches!(all.run(1000), Paused::Ended { party: 0, outcome: Outcome::Returned }));
    assert_eq!(load(&mapping.memory()), 200);
}

#[test]
fn an_operation_that_does_not_end_is_a_panic() {
    let world = World::new(1);
    let _made = world.process().create("word", SPEC).expect("a fresh name");
    let mut all = Interleave::new(&world, 1);
    let os = world.process();
    let kept = opened(&os);
    all.add("spinner", &os, move || bounded("spin", 50, || while load(&kept.memory()) == 0 {}));
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let ended = all.run(1000);
    std::panic::set_hook(hook);
    let Paused::Ended { outcome: Outcome::Panicked(payload), .. } = ended else { panic!("{ended:?}") };
    assert!(payload.downcast_ref::<String>().is_some_and(|text| text.contains("spin does not end")));
    assert_eq!(all.steps(), 51);
    assert_eq!(all.history().last().map(|access| access.step), Some(51));
}
