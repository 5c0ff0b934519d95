//! Simulated processes: what they share, how they die, what is left of them.

use seqslot_core::{Access, AtomicU32, Claim, Created, Lock, Mapping, Memory, MemoryCas, ObjectSpec, Ordering, Os, Woken};
use seqslot_os_mock::{EventKind, MockClaim, MockMapping, MockOs, World};

const SPEC: ObjectSpec = ObjectSpec { len: 256, reserve: true, group: false };

fn create(os: &MockOs) -> Created<MockMapping, MockClaim> {
    os.create("object", SPEC).expect("a fresh name")
}

fn claim(mapping: &MockMapping, lock: Lock) -> Option<MockClaim> {
    mapping.claim(lock, &AtomicU32::new(0)).expect("no fault is planned")
}

fn is_claimed(mapping: &MockMapping, lock: Lock) -> bool {
    mapping.is_claimed(lock, &AtomicU32::new(0)).expect("no fault is planned")
}

fn load(memory: &impl Memory, at: usize) -> u32 {
    assert!(at.is_multiple_of(4) && at + 4 <= memory.len());
    // SAFETY: an aligned word inside the memory, whose mapping the caller holds.
    unsafe { memory.load(at, Ordering::Acquire) }
}

fn store(memory: &impl Memory, at: usize, value: u32) {
    assert!(at.is_multiple_of(4) && at + 4 <= memory.len());
    // SAFETY: an aligned word inside the memory, whose mapping the caller holds, writable.
    unsafe { memory.store(at, value, Ordering::Release) }
}

/// Stores a value when it is dropped, as destructors of the library do.
struct Repairs<'m, M: MemoryCas>(&'m M);

impl<M: MemoryCas> Drop for Repairs<'_, M> {
    fn drop(&mut self) {
        store(self.0, 0, 99);
        // SAFETY: offset 4 is an aligned word of a mapped, writable object.
        unsafe { self.0.fetch_add(4, 99, Ordering::Relaxed) };
        // A retry loop, as in destructors: it must end.
        loop {
            let found = load(self.0, 8);
            // SAFETY: offset 8 is an aligned word of a mapped, writable object.
            if unsafe { self.0.compare_exchange(8, found, 99, Ordering::AcqRel, Ordering::Acquire) }.is_ok() {
                break;
            }
        }
        // SAFETY: offset 12, 16 bytes: inside a mapped, writable object.
        unsafe { self.0.copy_in(12, &[99; 16]) };
        // SAFETY: offset 64, 64 bytes: inside a mapped, writable object that nobody else uses.
        let payload = unsafe { self.0.payload_mut(64, 64) };
        // SAFETY: valid for 64 bytes, as the method promises.
        unsafe { payload.write_bytes(99, 64) };
    }
}

#[test]
fn destructors_of_the_dead_repair_nothing() {
    let world = World::new(1);
    let (process, witness) = (world.process(), world.process());
    let made = create(&process);
    let seen = witness.open("object", Access::ReadWrite).expect("it exists");
    let memory = made.mapping.memory();
    process.die_before(2);
    let died = process.run(|| {
        let _repairs = Repairs(&memory);
        store(&memory, 0, 1);
        store(&memory, 0, 2);
        unreachable!("dead before the second store");
    });
    let died = died.expect_err("it dies");
    assert_eq!(died.event().map(|event| (event.kind, event.at, event.value)), Some((EventKind::Store, 0, 2)));
    let left: Vec<u32> = (0..SPEC.len / 4).map(|word| load(&seen.memory(), word * 4)).collect();
    assert_eq!(left[0], 1, "the store before its death is there");
    assert!(left[1..].iter().all(|&word| word == 0), "nothing after it: {left:?}");
    assert_eq!(witness.create("object", SPEC).map(drop), Ok(()), "its owner's lock is free");
}

#[test]
fn a_copy_can_be_cut_in_its_middle() {
    let world = World::new(1);
    let process = world.process();
    let made = create(&process);
    let memory = made.mapping.memory();
    process.die_before(2);
    // SAFETY: 16 bytes at offset 0 of a mapped, writable object.
    process.run(|| unsafe { memory.copy_in(0, &[7; 16]) }).expect_err("dead in the middle");
    assert_eq!([load(&memory, 0), load(&memory, 4), load(&memory, 8), load(&memory, 12)], [0x0707_0707, 0x0707_0707, 0, 0]);
}

#[test]
fn the_dead_free_no_lock_twice() {
    let world = World::new(1);
    let (process, heir) = (world.process(), world.process());
    let made = create(&process);
    let lock = Lock::writer(2);
    let seen = heir.open("object", Access::ReadWrite).expect("it exists");
    let late = claim(&made.mapping, lock).expect("free");
    process.kill();
    let inherited = claim(&seen, lock).expect("the kernel has let go");
    drop(late);
    assert!(is_claimed(&seen, lock), "the dead one's destructor has no part in the heir's lock");
    drop(inherited);
    assert!(!is_claimed(&seen, lock));
}

#[test]
fn a_killed_process_is_unwound_at_its_next_event() {
    let world = World::new(1);
    let process = world.process();
    let memory = create(&process);
    let memory = memory.mapping.memory();
    let died = process.run(|| {
        process.kill();
        store(&memory, 0, 1);
        unreachable!("it is dead");
    });
    assert_eq!(died.expect_err("it was killed").event(), None);
}

#[test]
fn every_kind_of_call_is_a_crash_point() {
    let world = World::new(1);
    let word = AtomicU32::new(0);
    type Act<'a> = &'a dyn Fn(&MockOs, &MockMapping);
    let acts: [(EventKind, Act); 7] = [
        (EventKind::Create, &|os, _| drop(os.create("another", SPEC))),
        (EventKind::Open, &|os, _| drop(os.open("object", Access::ReadOnly))),
        (EventKind::Claim, &|_, mapping| drop(claim(mapping, Lock::EVICTION))),
        (EventKind::Unlink, &|_, mapping| mapping.unlink().expect("nothing to fail")),
        (EventKind::Wait, &|os, _| assert_eq!(os.wait(&word, 0, 1, core::time::Duration::ZERO), Woken::TimedOut)),
        (EventKind::Wake, &|os, _| os.wake(&word, 1)),
        (EventKind::Sleep, &|os, _| os.sleep(core::time::Duration::ZERO)),
    ];
    let keeper = world.process();
    let _made = create(&keeper);
    for (kind, act) in acts {
        let process = world.process();
        let mapping = process.open("object", Access::ReadWrite).expect("it exists");
        process.die_before(1);
        let died = process.run(|| act(&process, &mapping)).expect_err("dead before its first event");
        assert_eq!(died.event().map(|event| event.kind), Some(kind));
        assert_eq!(died.number(), 2, "the open was the first");
    }
    assert!(world.exists("object") && !world.exists("another"));
}

#[test]
fn a_fork_holds_nothing_of_its_parents() {
    let world = World::new(1);
    let parent = world.process();
    let made = create(&parent);
    let held = claim(&made.mapping, Lock::reader(0)).expect("free");
    let child = parent.fork();
    assert_ne!(child.process().pid, parent.process().pid);
    let copy = held.inherited_by(&child);
    assert!(held.is_mine() && !copy.is_mine());
    drop(copy);
    assert!(is_claimed(&made.mapping, Lock::reader(0)), "the child's copy lets go of nothing");
    child
        .run(|| {
            assert!(!held.is_mine() && !made.mapping.is_mine());
            assert_eq!(parent.process(), child.process(), "the inherited handle is the child's");
            drop(held);
        })
        .expect("the child lives");
    assert!(is_claimed(&made.mapping, Lock::reader(0)), "nor does what the child drops");
    child.kill();
    assert!(is_claimed(&made.mapping, Lock::reader(0)));
    parent.kill();
    assert!(!is_claimed(&made.mapping, Lock::reader(0)));
}

#[test]
fn a_death_passes_the_runs_of_other_processes() {
    let world = World::new(1);
    let (outer, inner) = (world.process(), world.process());
    let made = create(&outer);
    let memory = made.mapping.memory();
    outer.die_before(1);
    let died = outer.run(|| inner.run(|| store(&memory, 0, 1)).expect("inner lives"));
    assert_eq!(died.expect_err("outer dies").at(), 0);
    assert!(outer.is_dead() && !inner.is_dead());
}

#[test]
#[should_panic(expected = "a failure of the test's own")]
fn other_panics_go_on() {
    let _ = World::new(1).process().run(|| panic!("a failure of the test's own"));
}

#[test]
#[should_panic(expected = "read-only")]
fn a_store_to_a_read_only_mapping_is_a_fault() {
    let world = World::new(1);
    let _made = create(&world.process());
    let mapping = world.process().open("object", Access::ReadOnly).expect("it exists");
    store(&mapping.memory(), 0, 1);
}

#[test]
#[should_panic(expected = "after its mapping was dropped")]
fn a_use_after_unmapping_is_a_fault() {
    let made = create(&World::new(1).process());
    let memory = made.mapping.memory();
    drop(made);
    load(&memory, 0);
}

#[test]
fn the_trace_has_what_was_done() {
    let world = World::new(1);
    let made = create(&world.process());
    (0..100).for_each(|n| store(&made.mapping.memory(), 8, n));
    let trace = world.trace();
    assert_eq!(trace.len(), 64);
    assert_eq!(trace.last().map(|event| (event.kind, event.at, event.value)), Some((EventKind::Store, 8, 99)));
}

#[test]
fn nothing_of_the_killed_arrives_after_its_lock_is_free() {
    // Large, so that the kill is likely to come in the middle of a copy.
    const LEN: usize = 1 << 18;
    let all = |mapping: &MockMapping| {
        let mut bytes = vec![0; LEN];
        // SAFETY: the whole of a mapped object.
        unsafe { mapping.memory().copy_out(0, &mut bytes) };
        bytes
    };
    for round in 0..50 {
        let world = World::threaded(round);
        let (victim, heir) = (world.process(), world.process());
        let made = heir.create("object", ObjectSpec { len: LEN, ..SPEC }).expect("a fresh name");
        let lock = Lock::writer(0);
        std::thread::scope(|scope| {
            let dies = scope.spawn(|| {
                victim.run(|| {
                    let mapping = victim.open("object", Access::ReadWrite).expect("it exists");
                    let _claim = claim(&mapping, lock).expect("free");
                    for number in (1..=u8::MAX).cycle() {
                        // SAFETY: the whole of a mapped, writable object.
                        unsafe { mapping.memory().copy_in(0, &[number; LEN]) };
                    }
                })
            });
            while load(&made.mapping.memory(), LEN - 4) == 0 {
                std::thread::yield_now();
            }
            victim.kill();
            let _ours = claim(&made.mapping, lock).expect("the dead hold nothing");
            let found = all(&made.mapping);
            dies.join().expect("no panic").expect_err("it was killed");
            assert!(all(&made.mapping) == found, "a store of the dead");
        });
    }
}
