//! Waits in virtual time and in real time.

use core::time::Duration;
use std::cell::Cell;
use std::rc::Rc;

use seqslot_core::{AtomicU32, Ordering, Os, Woken};
use seqslot_os_mock::{Fault, Plan, World};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_wait_nobody_ends_takes_all_its_virtual_time() {
    let world = World::new(1);
    let before = world.now();
    assert_eq!(world.process().wait(&AtomicU32::new(0), 0, 1, 3600 * SECOND), Woken::TimedOut);
    assert!(world.now() - before >= 3600 * SECOND);
}

#[test]
fn the_hook_runs_others_and_a_wake_ends_the_wait() {
    let world = World::new(1);
    let (waiter, waker) = (world.process(), world.process());
    let word = Rc::new(AtomicU32::new(0));
    let calls = Rc::new(Cell::new(0));
    let (seen, counted) = (Rc::clone(&word), Rc::clone(&calls));
    let hook = world.on_wait(move |waiting| {
        assert_eq!(waiting.mask, 0b10);
        counted.set(counted.get() + 1);
        seen.store(counted.get(), Ordering::Release);
        // The first two wakes have another mask, or none to it.
        waker.wake(&seen, if counted.get() == 3 { 0b11 } else { 0b01 });
        true
    });
    let before = world.now();
    assert_eq!(waiter.wait(&word, 0, 0b10, 3600 * SECOND), Woken::Perhaps);
    assert_eq!(calls.get(), 3);
    assert!(world.now() - before < SECOND, "woken, not timed out");
    drop(hook);
    assert_eq!(waiter.wait(&word, 3, 0b10, SECOND), Woken::TimedOut, "the hook is gone");
    assert_eq!(calls.get(), 3);
}

#[test]
fn a_change_without_a_wake_is_a_lost_wake_up() {
    let world = World::new(1);
    let word = Rc::new(AtomicU32::new(0));
    let seen = Rc::clone(&word);
    let _hook = world.on_wait(move |_| seen.swap(1, Ordering::Release) == 0);
    assert_eq!(world.process().wait(&word, 0, 1, SECOND), Woken::TimedOut);
    assert_eq!(word.load(Ordering::Acquire), 1);
}

#[test]
fn a_waiter_killed_by_another_is_unwound() {
    let world = World::new(1);
    let waiter = world.process();
    let victim = waiter.clone();
    let _hook = world.on_wait(move |_| {
        victim.kill();
        true
    });
    waiter.run(|| waiter.wait(&AtomicU32::new(0), 0, 1, SECOND)).expect_err("killed while it waited");
}

#[test]
fn spurious_returns_and_late_wakes_come_as_planned() {
    let world = World::new(1);
    let (waiter, waker) = (world.process(), world.process());
    let word = Rc::new(AtomicU32::new(0));
    world.plan(Fault::Spurious, Plan::Nth(2));
    assert_eq!(waiter.wait(&word, 0, 1, SECOND), Woken::TimedOut);
    assert_eq!(waiter.wait(&word, 0, 1, SECOND), Woken::Perhaps);
    world.plan(Fault::LateWake, Plan::Next(2));
    let seen = Rc::clone(&word);
    let _hook = world.on_wait(move |_| {
        waker.wake(&seen, 1);
        false
    });
    let before = world.now();
    assert_eq!(waiter.wait(&word, 0, 1, SECOND), Woken::Perhaps);
    assert!(world.now() - before >= Duration::from_millis(1), "the wake was late");
    assert_eq!(waiter.wait(&word, 0, 1, Duration::from_micros(500)), Woken::TimedOut, "too late for this one");
}

#[test]
fn a_threaded_wait_blocks_until_the_wake() {
    let world = World::threaded(1);
    let (waiter, waker) = (world.process(), world.process());
    let word = AtomicU32::new(0);
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| {
            while word.load(Ordering::Acquire) == 0 {
                assert_eq!(waiter.wait(&word, 0, 1, 600 * SECOND), Woken::Perhaps);
            }
        });
        while waiter.events() == 0 {
            std::thread::yield_now();
        }
        word.store(1, Ordering::Release);
        waker.wake(&word, 1);
        waits.join().expect("the waiter ends");
    });
}

#[test]
fn a_threaded_wait_ends_with_its_time_and_with_its_process() {
    let world = World::threaded(1);
    let waiter = world.process();
    let word = AtomicU32::new(0);
    let before = world.now();
    assert_eq!(waiter.wait(&word, 0, 1, Duration::from_millis(20)), Woken::TimedOut);
    assert!(world.now() - before >= Duration::from_millis(20));
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| waiter.run(|| waiter.wait(&word, 0, 1, 600 * SECOND)));
        while waiter.events() < 2 {
            std::thread::yield_now();
        }
        waiter.kill();
        waits.join().expect("no other panic").expect_err("killed while it waited");
    });
}
