//! How a snapshot begins and ends: its head is read while it is written, and its writer leaves while somebody asks.

use std::sync::Arc;
use std::time::Duration;

use loom::sync::atomic::AtomicU32 as LockWord;
use seqslot_core::layout::control::CLOSED_AT;
use seqslot_core::layout::head::{HEAD_LEN, READY_AT};
use seqslot_core::layout::snapshot::{BUFFER_HIGH, BUFFER_LOW, LATEST_HIGH_AT, LATEST_LOW_AT, SNAPSHOT_CONTROL_END, SnapshotGeometry};
use seqslot_core::{
    Access, AtomicU32, Claim, CreateFault, Created, HeadError, Lock, Mapping, ObjectSpec, OpenFault, Ordering, Os, OsError, Process,
    SnapshotConfig, SnapshotReader, SnapshotView, SnapshotWriter, Woken, WriterLife,
};

use crate::loom_memory::{Builder, LoomMemory, explore};
use crate::{PREEMPTIONS, SHAPE, shown};

/// Offset of the head's capacity.
const CAPACITY_AT: usize = 36;

/// A platform with one object, which cannot tell whether a lock is held: then only the writer's own word says that it left.
#[derive(Clone)]
struct Plain {
    memory: LoomMemory,
    writer: Arc<LockWord>,
}

struct Held(Option<Arc<LockWord>>);

impl Claim for Held {
    fn is_mine(&self) -> bool {
        true
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(word) = &self.0 {
            word.store(0, Ordering::Release);
        }
    }
}

// SAFETY: what create gives is all zero, and there is one object.
unsafe impl Os for Plain {
    type Name = ();
    type Mapping = Self;

    fn create(&self, (): &(), _spec: ObjectSpec) -> Result<Created<Self, Held>, CreateFault> {
        Ok(Created { mapping: self.clone(), owner: Held(None) })
    }

    fn open(&self, (): &(), _access: Access) -> Result<Self, OpenFault> {
        Ok(self.clone())
    }

    fn wait(&self, _word: &AtomicU32, _expected: u32, _mask: u32, _timeout: Duration) -> Woken {
        panic!("nobody waits here")
    }

    fn wake(&self, _word: &AtomicU32, _mask: u32) {}

    fn sleep(&self, _time: Duration) {}

    fn now(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn process(&self) -> Process {
        Process { pid: 1, start_time: 1, pid_namespace: 1 }
    }
}

// SAFETY: 4. the memory is reference-counted. 9, 10. the one lock that is asked for is a word of the world.
unsafe impl Mapping for Plain {
    type Memory = LoomMemory;
    type Claim = Held;

    fn memory(&self) -> LoomMemory {
        self.memory.clone()
    }

    fn claim(&self, _lock: Lock, _word: &AtomicU32) -> Result<Option<Held>, OsError> {
        let taken = self.writer.compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed);
        Ok(taken.is_ok().then(|| Held(Some(self.writer.clone()))))
    }

    fn is_claimed(&self, _lock: Lock, _word: &AtomicU32) -> Result<bool, OsError> {
        Err(OsError::new("fcntl", 5, ""))
    }

    fn unlink(&self) -> Result<(), OsError> {
        Ok(())
    }
}

/// A memory with these words modelled, besides those of the buffers.
fn memory(words: impl IntoIterator<Item = usize>) -> LoomMemory {
    let geometry = SnapshotGeometry::new(SHAPE).expect("a shape");
    let buffers = (0..2).flat_map(|buffer| [BUFFER_LOW, BUFFER_HIGH, 16].map(|word| geometry.buffer_at(buffer) + word));
    Builder::new(geometry.total_len).plain((0..SNAPSHOT_CONTROL_END).step_by(4)).words(words).words(buffers.collect::<Vec<_>>()).build()
}

#[test]
fn a_head_is_read_whole_or_not_at_all() {
    assert!(CAPACITY_AT < HEAD_LEN);
    shown(
        "a head",
        explore(PREEMPTIONS, || {
            let memory = memory([READY_AT, CAPACITY_AT]);
            let other = memory.clone();
            let making = loom::thread::spawn(move || {
                // SAFETY: 1. the model's memory lives as long as its handles. 2. who attaches sees no segment before it is ready.
                unsafe { SnapshotView::format(memory, SHAPE, [0; 16], [0; 16]) }.expect("it fits");
            });
            // SAFETY: 1. to 3. the model's memory lives as long as its handles, and may be stored to.
            match unsafe { SnapshotView::attach(other) } {
                Ok((_, head)) => assert_eq!(head.capacity, SHAPE.capacity),
                Err(error) => assert_eq!(error, HeadError::NotReady),
            }
            making.join().expect("no panic");
        }),
    );
}

#[test]
fn who_hears_that_the_writer_left_sees_its_last_publication() {
    shown(
        "left",
        explore(PREEMPTIONS, || {
            let os = Plain { memory: memory([LATEST_HIGH_AT, LATEST_LOW_AT, CLOSED_AT]), writer: Arc::new(LockWord::new(0)) };
            let config = SnapshotConfig::of::<u32>().buffers(2);
            let mut writer = SnapshotWriter::<_, u32>::create(os.clone(), &(), config).expect("creates");
            let mut reader = SnapshotReader::<_, u32>::attach(os, &()).expect("attaches");
            let leaving = loom::thread::spawn(move || {
                let last = writer.publish(&7).expect("publishes");
                writer.leave();
                last
            });
            let seen = reader.freshness();
            let last = leaving.join().expect("no panic");
            if seen.writer == WriterLife::Left {
                assert_eq!(seen.generation, last, "it left, and its last publication is not there");
            }
        }),
    );
}
