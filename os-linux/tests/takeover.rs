//! A name that changes hands between an attach's steps.
#![allow(
    clippy::undocumented_unsafe_blocks,
    clippy::multiple_unsafe_ops_per_block,
    reason = "resource limits: the calls read and write one plain struct"
)]

use core::time::Duration;
use seqslot_core::*;
use seqslot_os_linux::{Claim as C, Linux, Mapping as M};
use std::cell::RefCell;
use std::path::{Path, PathBuf};

fn dir(tag: &str) -> PathBuf {
    let d = std::env::temp_dir().join(format!("seqslot-names-{tag}-{}", std::process::id()));
    std::fs::create_dir_all(&d).unwrap();
    d
}
/// Rounds of the race that nothing orders.
const ROUNDS: u32 = 3000;

thread_local! { static AFTER_OPEN: RefCell<Option<Box<dyn FnOnce()>>> = const { RefCell::new(None) }; }
#[derive(Clone, Copy)]
struct H(Linux);
unsafe impl Os for H {
    type Name = Path;
    type Mapping = M;
    fn create(&self, n: &Path, s: ObjectSpec) -> Result<Created<M, C>, CreateFault> {
        self.0.create(n, s)
    }
    fn open(&self, n: &Path, a: Access) -> Result<M, OpenFault> {
        let m = self.0.open(n, a);
        let f = AFTER_OPEN.with(|h| h.borrow_mut().take());
        if let Some(f) = f {
            f()
        }
        m
    }
    fn wait(&self, w: &AtomicU32, e: u32, m: u32, t: Duration) -> Woken {
        self.0.wait(w, e, m, t)
    }
    fn wake(&self, w: &AtomicU32, m: u32) {
        self.0.wake(w, m)
    }
    fn sleep(&self, t: Duration) {
        self.0.sleep(t)
    }
    fn now(&self) -> Duration {
        self.0.now()
    }
    fn process(&self) -> Process {
        self.0.process()
    }
}

#[test]
fn an_attach_that_meets_a_takeover_is_not_the_writer_of_an_orphan() {
    let d = dir("orphan");
    let path = d.join("snap");
    let mut first = SnapshotWriter::<H, u64>::create(H(Linux::new()), &path, SnapshotConfig::of::<u64>()).unwrap();
    first.publish(&1).unwrap();
    first.leave();
    let other: &'static RefCell<Option<SnapshotWriter<Linux, u64>>> = Box::leak(Box::new(RefCell::new(None)));
    let p = path.clone();
    AFTER_OPEN.with(|h| {
        *h.borrow_mut() = Some(Box::new(move || {
            let mut w = SnapshotWriter::<Linux, u64>::create(Linux::new(), &p, SnapshotConfig::of::<u64>()).unwrap();
            w.publish(&100).unwrap();
            *other.borrow_mut() = Some(w);
        }))
    });
    let attached = SnapshotWriter::<H, u64>::attach(H(Linux::new()), &path);
    let told = attached.is_err();
    let owner = attached.as_ref().is_ok_and(|w| w.is_owner());
    if let Ok(mut w) = attached {
        w.publish(&2).unwrap();
        let mut r = SnapshotReader::<Linux, u64>::attach(Linux::new(), &path).unwrap();
        eprintln!("reader by name sees {}", *r.snapshot().unwrap());
    }
    drop(other.borrow_mut().take());
    std::fs::remove_dir_all(&d).unwrap();
    assert!(told, "attach answered Ok (is_owner {owner}) for an object whose name is gone");
}

/// Of a creator that takes a dead owner's name over and a writer that attaches meanwhile, at most one is the owner.
#[test]
fn a_takeover_and_an_attach_do_not_both_own_the_name() {
    let d = dir("both");
    let path = &d.join("snap");
    let config = SnapshotConfig::of::<u64>();
    let barrier = &std::sync::Barrier::new(2);
    for round in 0..ROUNDS {
        SnapshotWriter::<Linux, u64>::create(Linux::new(), path, config).unwrap().leave();
        std::thread::scope(|scope| {
            let creator = scope.spawn(|| {
                barrier.wait();
                SnapshotWriter::<Linux, u64>::create(Linux::new(), path, config)
            });
            barrier.wait();
            // The looks of the one fall into all places of the other.
            (0..round % 64 * 40).for_each(|_| core::hint::spin_loop());
            let attached = SnapshotWriter::<Linux, u64>::attach(Linux::new(), path);
            let created = creator.join().unwrap();
            let owners =
                attached.as_ref().is_ok_and(SnapshotWriter::is_owner) as u32 + created.as_ref().is_ok_and(SnapshotWriter::is_owner) as u32;
            assert!(owners <= 1, "two owners of one name in round {round}");
        });
    }
    std::fs::remove_dir_all(&d).unwrap();
}

/// Who removes a name whose owner has left does not remove it from a writer that has become its owner meanwhile.
#[test]
fn a_removal_and_an_attach_do_not_both_get_the_name() {
    let d = dir("removed");
    let path = &d.join("snap");
    let barrier = &std::sync::Barrier::new(2);
    for round in 0..ROUNDS {
        SnapshotWriter::<Linux, u64>::create(Linux::new(), path, SnapshotConfig::of::<u64>()).unwrap().leave();
        std::thread::scope(|scope| {
            let remover = scope.spawn(|| {
                barrier.wait();
                Linux::new().remove(path, false)
            });
            barrier.wait();
            // The looks of the one fall into all places of the other.
            (0..round % 256 * 40).for_each(|_| core::hint::spin_loop());
            let attached = SnapshotWriter::<Linux, u64>::attach(Linux::new(), path);
            let removed = remover.join().unwrap();
            let owns = attached.as_ref().is_ok_and(SnapshotWriter::is_owner);
            assert!(!owns || removed.is_err(), "removed under its owner in round {round}");
            assert_eq!(removed.is_err(), path.exists(), "round {round}: {removed:?}, {:?}", attached.err());
        });
        // What is left belongs to nobody now.
        let _ = Linux::new().remove(path, true);
    }
    std::fs::remove_dir_all(&d).unwrap();
}

/// Who opens a name while it is taken over gets the old object, the new one, or none; the new one for good as soon as there is one.
#[test]
fn a_name_that_is_opened_while_it_is_taken_over_leads_to_the_old_object_and_then_to_the_new() {
    let d = dir("opened");
    let path = &d.join("name");
    let spec = ObjectSpec { len: 4096, reserve: true, group: false };
    // An object is told by its length.
    let make = |len| Linux::new().create(path, ObjectSpec { len, ..spec }).unwrap();
    let barrier = &std::sync::Barrier::new(2);
    for round in 0..ROUNDS / 3 {
        drop(make(4096).owner);
        std::thread::scope(|scope| {
            let creator = scope.spawn(|| {
                barrier.wait();
                (0..round % 64 * 40).for_each(|_| core::hint::spin_loop());
                make(8192)
            });
            barrier.wait();
            let mut before = 0;
            while before != 8192 || !creator.is_finished() {
                let over = creator.is_finished();
                match Linux::new().open(path, Access::ReadWrite) {
                    Ok(mapping) => {
                        let len = mapping.memory().len();
                        assert!(len >= before && [4096, 8192].contains(&len), "{len} after {before} in round {round}");
                        before = len;
                    }
                    Err(error) => assert!(error == OpenFault::NotFound && before != 8192, "{error:?} after {before} in round {round}"),
                }
                assert!(!over || before == 8192, "the old object behind the end of create in round {round}");
            }
            drop(creator.join().unwrap().owner);
        });
        Linux::new().remove(path, false).unwrap();
    }
    std::fs::remove_dir_all(&d).unwrap();
}
