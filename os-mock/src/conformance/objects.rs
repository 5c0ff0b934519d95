//! Clauses 1 to 4: objects, their names, their memory.

use seqslot_core::{Access, CreateFault, Lock, Mapping, Memory, ObjectSpec, OpenFault, Ordering, Os};

use super::harness::{Ending, Harness};
use super::{Fresh, LEN, SPEC, check, create, is_claimed, must, open, word};

fn is_zero(memory: &impl Memory) -> bool {
    (0..memory.len() / 4).all(|index| word(memory, index * 4).load(Ordering::Acquire) == 0)
}

/// Clause 1: what `create` makes, and what it leaves behind.
///
/// # Panics
/// If the clause is broken.
pub fn clause_01(harness: &impl Harness) {
    for (len, reserve) in [(LEN, true), (64, false), (3 * LEN + 64, true)] {
        let (os, name) = (harness.os(), Fresh::new(harness));
        let spec = ObjectSpec { len, reserve, group: false };
        let made = must!(1, os.create(name.get(), spec), "an object of {len} bytes was not made");
        let memory = made.mapping.memory();
        check!(1, memory.len() == len, "{} bytes were mapped in place of {len}", memory.len());
        check!(1, is_zero(&memory), "not all of it is zero");
        let mapping = open(&os, name.get());
        check!(1, mapping.memory().len() == len, "{} bytes were found in place of {len}", mapping.memory().len());
        if len == LEN {
            owner_is_known(harness, &os, &name);
        }
    }
    let (os, name) = (harness.os(), Fresh::new(harness));
    // Not reserved: a platform that reserves step by step would fill the machine before it fails.
    let impossible = ObjectSpec { len: isize::MAX as usize & !(LEN - 1), reserve: false, group: false };
    check!(1, os.create(name.get(), impossible).is_err(), "half the address space was given out");
    let found = os.open(name.get(), Access::ReadOnly).map(drop);
    check!(1, found == Err(OpenFault::NotFound), "a failed create left this behind: {found:?}");
    drop(create(&os, name.get()));
}

/// The owner's lock, as this process and another one see it.
fn owner_is_known<H: Harness>(harness: &H, os: &H::Os, name: &Fresh<'_, H>) {
    let mapping = open(os, name.get());
    let claimed = must!(1, is_claimed(&mapping, Lock::OWNER), "the owner's lock cannot be tested");
    check!(1, claimed, "the owner's lock is not held");
    let mut other = |os: &H::Os, pause: &mut dyn FnMut()| {
        let mapping = open(os, name.get());
        let claimed = must!(1, is_claimed(&mapping, Lock::OWNER), "the owner's lock cannot be tested");
        check!(1, claimed, "the owner's lock is not held, as another process sees it");
        check!(1, is_zero(&mapping.memory()), "not all of it is zero, as another process sees it");
        pause();
    };
    harness.beside(Ending::Leaves, &mut other, &mut || {});
}

/// Clause 2: `create` over an existing object.
///
/// # Panics
/// If the clause is broken.
pub fn clause_02<H: Harness>(harness: &H) {
    let (os, name) = (harness.os(), Fresh::new(harness));
    let made = create(&os, name.get());
    let memory = made.mapping.memory();
    word(&memory, 0).store(7, Ordering::Release);
    let pid = os.process().pid;
    // A platform that knows no pid says 0.
    let is_refused = |again: &Result<(), _>| matches!(again, Err(CreateFault::AlreadyExists { pid: named }) if [0, pid].contains(named));
    let again = os.create(name.get(), SPEC).map(drop);
    check!(2, is_refused(&again), "over a living owner with pid {pid}: {again:?}");
    check!(2, word(&memory, 0).load(Ordering::Acquire) == 7, "the living owner's object was touched");
    let mut other = |os: &H::Os, pause: &mut dyn FnMut()| {
        let again = os.create(name.get(), SPEC).map(drop);
        check!(2, is_refused(&again), "over another process's, with pid {pid}: {again:?}");
        pause();
    };
    harness.beside(Ending::Leaves, &mut other, &mut || {});
    drop(made);

    let name = Fresh::new(harness);
    let mut old = None;
    let mut dies = |os: &H::Os, pause: &mut dyn FnMut()| {
        let made = create(os, name.get());
        word(&made.mapping.memory(), 0).store(7, Ordering::Release);
        pause();
        drop(made);
    };
    if !harness.beside(Ending::Killed, &mut dies, &mut || old = Some(open(&os, name.get()))) {
        let made = create(&os, name.get());
        word(&made.mapping.memory(), 0).store(7, Ordering::Release);
        old = Some(open(&os, name.get()));
        drop(made);
    }
    let old = old.expect("set while the other process paused");
    let made = must!(2, os.create(name.get(), SPEC), "over a dead owner's object");
    let (new_memory, old_memory) = (made.mapping.memory(), old.memory());
    check!(2, word(&new_memory, 0).load(Ordering::Acquire) == 0, "the new object has the old one's bytes");
    word(&new_memory, 0).store(8, Ordering::Release);
    check!(2, word(&old_memory, 0).load(Ordering::Acquire) == 7, "the old object changed under those attached to it");
    must!(2, old.unlink(), "unlinking the old object, which has no name any more");
    let found = must!(2, os.open(name.get(), Access::ReadOnly), "unlinking the old object took the new one's name");
    check!(2, word(&found.memory(), 0).load(Ordering::Acquire) == 8, "the name shows another object than the new one");
}

/// Clause 3: `open` of nothing.
///
/// # Panics
/// If the clause is broken.
pub fn clause_03(harness: &impl Harness) {
    let (os, name) = (harness.os(), Fresh::new(harness));
    for access in [Access::ReadOnly, Access::ReadWrite] {
        let found = os.open(name.get(), access).map(drop);
        check!(3, found == Err(OpenFault::NotFound), "a name never used gave {found:?}");
    }
    let made = create(&os, name.get());
    drop(open(&os, name.get()));
    must!(3, made.mapping.unlink(), "unlinking");
    let found = os.open(name.get(), Access::ReadOnly).map(drop);
    check!(3, found == Err(OpenFault::NotFound), "an unlinked name gave {found:?}");
}

/// Clause 4: one object, several mappings.
///
/// # Panics
/// If the clause is broken.
pub fn clause_04<H: Harness>(harness: &H) {
    let (os, name) = (harness.os(), Fresh::new(harness));
    let made = create(&os, name.get());
    let writable = open(&os, name.get());
    let readable = must!(4, os.open(name.get(), Access::ReadOnly), "a read-only mapping");
    let (first, second, third) = (made.mapping.memory(), writable.memory(), readable.memory());
    check!(4, [second.len(), third.len()] == [LEN; 2], "lengths are {} and {}, not {LEN}", second.len(), third.len());
    for at in (0..LEN).step_by(4) {
        word(&first, at).store(at as u32 + 1, Ordering::Release);
    }
    for at in (0..LEN).step_by(4) {
        let (by_second, by_third) = (word(&second, at).load(Ordering::Acquire), word(&third, at).load(Ordering::Acquire));
        check!(4, [by_second, by_third] == [at as u32 + 1; 2], "word {at} shows {by_second} and {by_third}");
    }
    let mut other = |os: &H::Os, pause: &mut dyn FnMut()| {
        let mapping = open(os, name.get());
        let memory = mapping.memory();
        check!(4, word(&memory, 8).load(Ordering::Acquire) == 9, "another process sees other memory");
        word(&memory, 8).store(99, Ordering::Release);
        pause();
        check!(4, word(&memory, 12).load(Ordering::Acquire) == 100, "a later store does not reach another process");
    };
    let mut meanwhile = || {
        check!(4, word(&first, 8).load(Ordering::Acquire) == 99, "another process's store does not arrive");
        word(&first, 12).store(100, Ordering::Release);
    };
    harness.beside(Ending::Leaves, &mut other, &mut meanwhile);
    must!(4, made.mapping.unlink(), "unlinking");
    drop((first, made));
    word(&second, 0).store(5, Ordering::Release);
    check!(4, word(&third, 0).load(Ordering::Acquire) == 5, "the mappings came apart when the creator's was gone");
}
