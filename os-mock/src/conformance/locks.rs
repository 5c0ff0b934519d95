//! Clauses 9 to 12: locks, and what becomes of them.

use seqslot_core::{Claim, ClaimOf, Lock, Mapping, Ordering, Os};

use super::harness::{Ending, Harness, Signals};
use super::{FREE_AT, Fresh, NameOf, check, claim, create, is_claimed, must, open, word};

/// Claims of each process in the race of clause 9.
const ROUNDS: u32 = 200;

/// The lock, taken; a panic of clause `$clause` if it cannot be.
macro_rules! take {
    ($clause:literal, $mapping:expr, $lock:expr, $($detail:tt)+) => {{
        let claimed = must!($clause, claim($mapping, $lock), "a claim of lock {} failed", $lock.number());
        check!($clause, claimed.is_some(), $($detail)+);
        claimed
    }};
}

macro_rules! held {
    ($clause:literal, $mapping:expr, $lock:expr) => {
        must!($clause, is_claimed($mapping, $lock), "a test of lock {} failed", $lock.number())
    };
}

/// Every lock but the owner's, which is held from the beginning.
fn locks() -> impl Iterator<Item = Lock> {
    (0..32).map(Lock::reader).chain((0..32).map(Lock::writer)).chain([Lock::EVICTION])
}

/// Clause 9: one claim at a time.
///
/// # Panics
/// If the clause is broken.
pub fn clause_09<H: Harness>(harness: &H) {
    let (os, name) = (harness.os(), Fresh::new(harness));
    let made = create(&os, name.get());
    let second = open(&os, name.get());
    let mut out = Vec::new();
    for lock in locks() {
        let number = lock.number();
        out.push(take!(9, &made.mapping, lock, "lock {number} is held with another one"));
        for mapping in [&made.mapping, &second] {
            let again = must!(9, claim(mapping, lock), "a claim of a held lock failed");
            check!(9, again.is_none(), "lock {number} was given out twice in one process");
        }
    }
    let mut other = |os: &H::Os, pause: &mut dyn FnMut()| {
        let mapping = open(os, name.get());
        for lock in locks().chain([Lock::OWNER]) {
            let again = must!(9, claim(&mapping, lock), "a claim of a held lock failed");
            check!(9, again.is_none(), "lock {} was given to another process too", lock.number());
        }
        pause();
    };
    harness.beside(Ending::Leaves, &mut other, &mut || {});
    drop(out);
    race(harness, name.get());
}

/// Several processes fight for one lock; whoever has it is alone.
fn race<H: Harness>(harness: &H, name: &NameOf<H>) {
    let lock = Lock::EVICTION;
    let fights = |os: &H::Os, number: u32| {
        let mapping = open(os, name);
        let memory = mapping.memory();
        let (inside, count) = (word(&memory, FREE_AT), word(&memory, FREE_AT + 64));
        let mut left = ROUNDS;
        while left > 0 {
            if let Some(claimed) = must!(9, claim(&mapping, lock), "a claim failed") {
                let before = inside.swap(number, Ordering::AcqRel);
                count.store(count.load(Ordering::Acquire) + 1, Ordering::Release);
                std::thread::yield_now();
                let after = inside.swap(0, Ordering::AcqRel);
                check!(9, before == 0 && after == number, "{before} and {after} were inside with {number}");
                left -= 1;
                drop(claimed);
            }
            std::thread::yield_now();
        }
    };
    let others = 2;
    let mut here = |os: &H::Os| fights(os, 100);
    if harness.concurrently(Signals::Many, others, &|os, number| fights(os, number as u32 + 1), &mut here) {
        let mapping = open(&harness.os(), name);
        let count = word(&mapping.memory(), FREE_AT + 64).load(Ordering::Acquire);
        check!(9, count == (others as u32 + 1) * ROUNDS, "{count} claims were counted inside: two were out at once");
    }
}

/// Clause 10: the lock is free again.
///
/// # Panics
/// If the clause is broken.
pub fn clause_10<H: Harness>(harness: &H) {
    let (os, name) = (harness.os(), Fresh::new(harness));
    let made = create(&os, name.get());
    let lock = Lock::writer(1);
    for round in 0..3 {
        drop(take!(10, &made.mapping, lock, "the lock is still held after {round} claims were dropped"));
    }
    // Its mapping goes first, the claim keeps the lock all the same.
    let mapping = open(&os, name.get());
    let outlives = take!(10, &mapping, lock, "the lock is not free");
    drop(mapping);
    check!(10, held!(10, &made.mapping, lock), "the lock went with the mapping it was claimed by, not with the claim");
    drop(outlives);
    check!(10, !held!(10, &made.mapping, lock), "the lock outlived its claim");

    for ending in [Ending::Killed, Ending::Leaves] {
        let mut dies = |os: &H::Os, pause: &mut dyn FnMut()| {
            let mapping = open(os, name.get());
            let claimed = take!(10, &mapping, lock, "the lock is not free for another process");
            pause();
            // Where it only leaves: no destructor lets go.
            core::mem::forget((claimed, mapping));
        };
        let mut meanwhile = || check!(10, held!(10, &made.mapping, lock), "the lock is not held while its holder lives");
        if harness.beside(ending, &mut dies, &mut meanwhile) {
            let again = must!(10, claim(&made.mapping, lock), "a claim of the dead one's lock failed");
            check!(10, again.is_some(), "the lock is not free after its holder's end ({ending:?})");
        }
    }
    no_fork_keeps_it(harness, &made.mapping);
    let mut holds = |os: &H::Os| {
        let mapping = open(os, name.get());
        core::mem::forget((take!(10, &mapping, lock, "the lock is not free for another process"), mapping));
    };
    let mut meanwhile = || {
        let again = must!(10, claim(&made.mapping, lock), "a claim of the dead one's lock failed");
        check!(10, again.is_some(), "a living fork of the dead process keeps its lock");
    };
    harness.orphan(&mut holds, &mut meanwhile);
}

/// The other process, a fork where the platform can, inherits the claim and lives on when the parent lets go.
fn no_fork_keeps_it<H: Harness>(harness: &H, mapping: &<H::Os as Os>::Mapping) {
    let lock = Lock::reader(31);
    let mut claimed = take!(10, mapping, lock, "the lock is not free");
    let mut lives = |_: &H::Os, pause: &mut dyn FnMut()| pause();
    let mut lets_go = || {
        drop(claimed.take());
        check!(10, !held!(10, mapping, lock), "a living fork of the process that let go of the lock keeps it");
    };
    harness.beside(Ending::Leaves, &mut lives, &mut lets_go);
}

/// Clause 11: the test of a lock.
///
/// # Panics
/// If the clause is broken.
pub fn clause_11<H: Harness>(harness: &H) {
    let (os, name) = (harness.os(), Fresh::new(harness));
    let made = create(&os, name.get());
    let second = open(&os, name.get());
    for lock in locks() {
        let number = lock.number();
        check!(11, !held!(11, &made.mapping, lock), "lock {number} is held by nobody");
        let claimed = take!(11, &made.mapping, lock, "lock {number} is not free");
        check!(11, held!(11, &made.mapping, lock), "a claim of lock {number} by this mapping is not seen");
        check!(11, held!(11, &second, lock), "a claim of lock {number} by another mapping of this process is not seen");
        // The test itself must not have let go of it.
        check!(11, must!(11, claim(&second, lock), "a claim failed").is_none(), "the test of lock {number} has freed it");
        drop(claimed);
        check!(11, !held!(11, &second, lock), "lock {number} is seen held after its claim is gone");
    }
    let lock = Lock::reader(5);
    let ours = take!(11, &made.mapping, Lock::reader(6), "lock 6 is not free");
    let mut other = |os: &H::Os, pause: &mut dyn FnMut()| {
        let mapping = open(os, name.get());
        check!(11, held!(11, &mapping, Lock::reader(6)), "another process does not see this one's claim");
        let claimed = take!(11, &mapping, lock, "another process cannot claim a free lock");
        pause();
        drop(claimed);
    };
    let mut meanwhile = || check!(11, held!(11, &made.mapping, lock), "another process's claim is not seen");
    if harness.beside(Ending::Leaves, &mut other, &mut meanwhile) {
        check!(11, !held!(11, &made.mapping, lock), "another process's claim is seen after it was dropped");
    }
    drop(ours);
}

/// Clause 12: what a forked child inherits.
///
/// # Panics
/// If the clause is broken.
pub fn clause_12<H: Harness>(harness: &H) {
    let (os, name) = (harness.os(), Fresh::new(harness));
    let made = create(&os, name.get());
    let lock = Lock::writer(31);
    let Some(ours) = take!(12, &made.mapping, lock, "the lock is not free") else { return };
    check!(12, ours.is_mine() && made.mapping.is_mine(), "is_mine() is false where the claim was made");
    // The first child drops its copy, the second leaves with it.
    let mut drops = |copy: ClaimOf<H::Os>| {
        let foreign = !copy.is_mine() && !made.mapping.is_mine();
        drop(copy);
        foreign
    };
    let (first, ours) = harness.fork(ours, &mut drops);
    check!(12, first != Some(false), "is_mine() is true in a forked child");
    check!(12, held!(12, &made.mapping, lock), "the child dropped its copy, and the parent's lock is gone");
    let mut leaves = |copy: ClaimOf<H::Os>| {
        let foreign = !copy.is_mine();
        core::mem::forget(copy);
        foreign
    };
    let (second, ours) = harness.fork(ours, &mut leaves);
    check!(12, second != Some(false), "is_mine() is true in a forked child");
    check!(12, held!(12, &made.mapping, lock), "the child left, and the parent's lock is gone");
    check!(12, ours.is_mine(), "is_mine() is false in the parent after a fork");
    drop(ours);
    check!(12, !held!(12, &made.mapping, lock), "the parent let go, and the lock is still held");
}
