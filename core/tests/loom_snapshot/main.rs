//! Loom models of the snapshot protocol, over the code that ships, and one with a step left out, which must fail. Every
//! ordering and fence is weakened by `cargo xtask mutants`.
//!
//! `RUSTFLAGS="--cfg loom" cargo test --release -p seqslot-core --test loom_snapshot -- --nocapture`
#![cfg(loom)]

#[path = "../loom_memory/mod.rs"]
mod loom_memory;
mod made;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

use loom_memory::{Builder, LoomMemory, explore};
use seqslot_core::layout::head::HEAD_LEN;
use seqslot_core::layout::snapshot::{BUFFER_LOW, LATEST_HIGH_AT, LATEST_LOW_AT, SNAPSHOT_CONTROL_END, SnapshotGeometry, SnapshotShape};
use seqslot_core::{AtomicU32, Memory, Ordering, SnapshotError, SnapshotRead, SnapshotView};

/// At most this often loom takes the processor away where a thread could go on.
const PREEMPTIONS: usize = 3;
/// Bytes of a value: one word. The generation's high word is protected as the value is, so that there are two to tear.
const CAPACITY: usize = 4;

const SHAPE: SnapshotShape = SnapshotShape { buffers: 2, capacity: CAPACITY as u32, align: 16, flags: 0 };

/// What is taken away. (Orderings and fences: `cargo xtask mutants`.)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mutation {
    None,
    /// W1 left out.
    NoBusy,
}

/// The model's memory, with something taken away, and perhaps with a death: after so many stores the rest are lost.
#[derive(Clone)]
struct Weak {
    inner: LoomMemory,
    mutation: Mutation,
    left: Arc<AtomicI64>,
}

impl Weak {
    /// The same memory for another thread: with its own count of stores until its death.
    fn handle(&self, stores: i64) -> Self {
        Self { left: Arc::new(AtomicI64::new(stores)), ..self.clone() }
    }

    fn is_generation(at: usize) -> bool {
        at >= SNAPSHOT_CONTROL_END && at % 64 == BUFFER_LOW
    }
}

// SAFETY: it is as true to the duties as the model's memory, less what the mutation takes away on purpose.
unsafe impl Memory for Weak {
    fn len(&self) -> usize {
        self.inner.len()
    }

    unsafe fn load(&self, at: usize, order: Ordering) -> u32 {
        // SAFETY: the caller's duties.
        unsafe { self.inner.load(at, order) }
    }

    unsafe fn store(&self, at: usize, value: u32, order: Ordering) {
        if self.mutation == Mutation::NoBusy && Self::is_generation(at) && value == 0 {
            return;
        }
        if self.left.fetch_sub(1, Relaxed) > 0 {
            // SAFETY: the caller's duties.
            unsafe { self.inner.store(at, value, order) }
        }
    }

    fn fence(&self, order: Ordering) {
        self.inner.fence(order);
    }

    fn fence_full(&self) {
        self.inner.fence_full();
    }

    unsafe fn copy_out(&self, at: usize, into: &mut [u8]) {
        // SAFETY: the caller's duties.
        unsafe { self.inner.copy_out(at, into) }
    }

    unsafe fn copy_in(&self, at: usize, from: &[u8]) {
        assert_eq!(from.len(), CAPACITY);
        // SAFETY: the caller's duties.
        unsafe { self.store(at, u32::from_ne_bytes(from.try_into().expect("one word")), Ordering::Relaxed) }
    }

    unsafe fn payload(&self, at: usize, len: usize) -> *const u8 {
        // SAFETY: the caller's duties.
        unsafe { self.inner.payload(at, len) }
    }

    unsafe fn payload_mut(&self, at: usize, len: usize) -> *mut u8 {
        // SAFETY: the caller's duties.
        unsafe { self.inner.payload_mut(at, len) }
    }

    unsafe fn futex(&self, at: usize) -> &AtomicU32 {
        // SAFETY: the caller's duties.
        unsafe { self.inner.futex(at) }
    }
}

/// The value of a generation: another one for each.
fn value(generation: u64) -> [u8; CAPACITY] {
    (generation as u32 ^ (generation >> 32) as u32 * 1000 ^ 0x5000).to_ne_bytes()
}

/// A segment in which `latest` and the generation before it are published.
fn segment(mutation: Mutation, latest: u64) -> Weak {
    let geometry = SnapshotGeometry::new(SHAPE).expect("a shape");
    let buffers = (0..2).flat_map(|buffer| [0, 4, 16].map(|word| geometry.buffer_at(buffer) + word));
    let memory = Builder::new(geometry.total_len)
        .plain((0..SNAPSHOT_CONTROL_END).step_by(4))
        .words([LATEST_HIGH_AT, LATEST_LOW_AT])
        .words(buffers)
        .build();
    let healthy = Weak { inner: memory, mutation: Mutation::None, left: Arc::new(AtomicI64::new(i64::MAX)) };
    // SAFETY: 1. the model's memory lives as long as its handles. 2. no thread runs yet.
    let view = unsafe { SnapshotView::format(healthy.clone(), SHAPE, [0; 16], [0; 16]) }.expect("it fits");
    for generation in [latest - 1, latest] {
        view.publish(generation - 1, &value(generation)).expect("a word");
    }
    assert!(HEAD_LEN < LATEST_HIGH_AT);
    Weak { mutation, ..healthy }
}

fn attach(memory: Weak) -> SnapshotView<Weak> {
    // SAFETY: 1. to 3. the model's memory lives as long as its handles, and may be stored to.
    unsafe { SnapshotView::attach(memory) }.expect("a segment").0
}

/// One read: a whole value of a generation later than `seen`, or unchanged.
fn look(view: &SnapshotView<Weak>, seen: u64) -> u64 {
    let mut found = [0; CAPACITY];
    match view.read(seen, &mut found) {
        Ok(SnapshotRead::Fresh(generation)) => {
            assert_eq!(found, value(generation), "torn, or another generation's value");
            assert!(generation > seen, "went back from {seen} to {generation}");
            generation
        }
        Ok(SnapshotRead::Unchanged) => seen,
        Err(SnapshotError::Damaged) => panic!("a healthy segment was called damaged"),
        Err(error) => panic!("{error}"),
    }
}

/// K = 2: the writer publishes twice, so that it comes back to the buffer that the reader may be in; the reader looks twice.
fn two_writes_during_reads(mutation: Mutation) -> usize {
    explore(PREEMPTIONS, move || {
        let memory = segment(mutation, 8);
        let (reader, writer) = (attach(memory.handle(i64::MAX)), attach(memory.handle(i64::MAX)));
        let writing = loom::thread::spawn(move || {
            let latest = writer.publish(8, &value(9)).expect("a word");
            writer.publish(latest, &value(10)).expect("a word");
        });
        let first = look(&reader, 0);
        let second = look(&reader, first);
        assert!(first >= 8 && second >= first);
        writing.join().expect("the writer");
        assert_eq!(look(&reader, second), 10, "the last publication is there to be seen");
    })
}

/// The low word goes all the way round while a reader is inside one copy.
fn a_lap_during_a_read(mutation: Mutation) -> usize {
    explore(PREEMPTIONS, move || {
        let memory = segment(mutation, 8);
        let (reader, writer) = (attach(memory.handle(i64::MAX)), attach(memory.handle(i64::MAX)));
        let lapped = (1 << 32) + 8;
        let writing = loom::thread::spawn(move || {
            // The one after 8, and then, with the lap between them left out, the one that has the low word of 8 again.
            writer.publish(8, &value(9)).expect("a word");
            writer.publish(lapped - 1, &value(lapped)).expect("a word");
        });
        let seen = look(&reader, 0);
        assert!([8, 9, lapped].contains(&seen));
        writing.join().expect("the writer");
        assert_eq!(look(&reader, seen), lapped, "a lap hides the update");
    })
}

/// The writer dies after each number of stores while a reader looks; the next writer goes on while it looks again.
fn a_death_and_the_next_writer(latest: u64, stores: i64) -> usize {
    explore(PREEMPTIONS, move || {
        let memory = segment(Mutation::None, latest);
        let (reader, writer) = (attach(memory.handle(i64::MAX)), attach(memory.handle(stores)));
        let next = attach(memory.handle(i64::MAX));
        // The reader has the thread of its own: of two accesses to a word loom remembers the last, and a writer that loads `latest`
        // before it stores there would hide that the reader's loads could come in between.
        let reading = loom::thread::spawn(move || {
            let first = look(&reader, 0);
            (look(&reader, first), reader)
        });
        writer.publish(latest, &value(after(latest))).expect("a word");
        // Dead. Whoever lets the next writer in orders it behind.
        let resumed = next.resume();
        assert!(!resumed.damaged);
        let last = next.publish(resumed.latest, &value(after(resumed.latest))).expect("a word");
        let (seen, reader) = reading.join().expect("the reader");
        assert_eq!(look(&reader, seen), last);
    })
}

/// The generation after `generation` where there are two buffers.
fn after(generation: u64) -> u64 {
    if generation as u32 == u32::MAX { generation + 3 } else { generation + 1 }
}

fn shown(name: &str, executions: usize) {
    println!("{name}: {executions} executions, preemption bound {PREEMPTIONS}");
    assert!(executions > 1, "a concurrent model that explores one execution shows nothing");
}

#[test]
fn two_writes_during_reads_are_never_torn() {
    shown("two writes", two_writes_during_reads(Mutation::None));
}

#[test]
fn a_lap_of_the_low_word_during_a_read_is_seen() {
    shown("a lap", a_lap_during_a_read(Mutation::None));
}

#[test]
fn who_saw_the_laps_high_word_finds_nothing_older() {
    let executions = explore(PREEMPTIONS, || {
        let memory = segment(Mutation::None, 8);
        let (reader, writer) = (attach(memory.handle(i64::MAX)), attach(memory.handle(i64::MAX)));
        let lapped = (1 << 32) + 8;
        // The low word comes back to what it was: only the high word says that something was published.
        let writing = loom::thread::spawn(move || {
            writer.publish(8, &value(9)).expect("a word");
            writer.publish(lapped - 1, &value(lapped)).expect("a word");
        });
        let named = reader.latest();
        let found = look(&reader, 0);
        // (The low word beside it may still be that of the generation before the lap.)
        assert!(named >> 32 == 0 || found >= 9, "{found} found after {named} was named");
        writing.join().expect("the writer");
    });
    shown("the lap's high word", executions);
}

#[test]
fn a_death_at_any_store_hurts_no_reader_and_no_next_writer() {
    // BUSY, data, high, low, latest high, latest low.
    for stores in 0..=6 {
        shown("a death", a_death_and_the_next_writer(8, stores));
    }
}

#[test]
fn a_death_at_the_wrap_hurts_no_reader_and_no_next_writer() {
    for stores in 0..=6 {
        shown("a death at the wrap", a_death_and_the_next_writer(u64::from(u32::MAX), stores));
    }
}

/// What must fail.
mod mutants {
    use super::{Mutation, two_writes_during_reads};

    #[test]
    #[should_panic(expected = "torn")]
    fn without_busy_a_read_is_torn() {
        two_writes_during_reads(Mutation::NoBusy);
    }
}
