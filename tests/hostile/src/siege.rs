//! An adversary that writes over every word of a segment while other threads use it.
//!
//! Over three memories: an exact allocation whose every access is checked, the mock's with real waits, and real memory files, each party
//! with a mapping of its own, where the adversary writes over payloads and whole regions, too. (Within one mapping it does not: two threads
//! of one process that write payload bytes at once would be a race of the test's own making.)

use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::party::Guards;
use crate::spoil::Value;
use crate::world::{HostileOs, World};
use seqslot_core::{
    Config, Inspection, LagWatch, Mapping, Memory, Segment, SlotBackend, SlotFace, SlotsOs, SnapshotConfig, SnapshotReader, SnapshotWriter,
};

/// What came of a siege.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// Words that the adversary wrote.
    pub writes: u64,
    /// Slots lent, and samples or values given.
    pub operations: u64,
}

/// A siege of so long.
pub type Besiege = fn(Duration) -> Told;

/// The sieges, by name.
pub const SIEGES: [(&str, Besiege); 6] = [
    ("allocation", |length| allocation(length, config())),
    ("allocation, overwriting", |length| allocation(length, config().overwrite())),
    ("mock", mock),
    ("memory file", |length| memory_file(length, config())),
    ("memory file, overwriting", |length| memory_file(length, config().overwrite())),
    ("snapshot", snapshot),
];

/// Longest wait of the calls that wait.
const BRIEF: Duration = Duration::from_micros(500);
/// A thread that ends no call for so long hangs. Calls take microseconds; this is for machines that stand still.
const HANGS: Duration = Duration::from_secs(120);

/// Knuth's MMIX generator; the high bits count.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound.max(1)
    }
}

/// What goes on, and how far it is.
struct Siege {
    is_over: AtomicBool,
    writes: AtomicU64,
    /// Rounds that ended, by thread.
    calls: [AtomicU64; 8],
    /// How long it lasts.
    length: Duration,
    /// Slots lent, and samples (or values) given: that there are some shows that the siege is not over before it begins.
    lent: AtomicU64,
    given: AtomicU64,
}

impl Siege {
    fn new(length: Duration) -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            length,
            is_over: AtomicBool::new(false),
            writes: zero(),
            calls: [const { AtomicU64::new(0) }; 8],
            lent: zero(),
            given: zero(),
        }
    }

    /// Runs `body` again and again until the siege is over; each run is a call.
    fn keep(&self, thread: usize, mut body: impl FnMut(u64)) {
        let mut turn = 0;
        while !self.is_over.load(Relaxed) {
            body(turn);
            turn += 1;
            self.calls[thread].fetch_add(1, Relaxed);
        }
    }

    /// Waits until the time is up; a thread that makes no progress is told of.
    fn watch(&self, threads: usize) {
        let start = Instant::now();
        let mut seen = [(0, start); 8];
        while start.elapsed() < self.length || self.calls[..threads].iter().any(|calls| calls.load(Relaxed) < 3) {
            std::thread::sleep(Duration::from_millis(20));
            for (thread, (calls, since)) in seen.iter_mut().enumerate().take(threads) {
                let now = self.calls[thread].load(Relaxed);
                if now != *calls {
                    (*calls, *since) = (now, Instant::now());
                }
                if since.elapsed() > HANGS {
                    eprintln!("thread {thread} hangs in its call {now}");
                    std::process::abort();
                }
            }
        }
        self.is_over.store(true, Relaxed);
    }
}

/// Writes over single words, and now and then over all of them; the head, once in a while, and then puts it right again.
fn scribble<M: Memory>(siege: &Siege, memory: &M, words: &[usize], seed: u64) {
    let mut dice = Dice(seed);
    // SAFETY: a word of the memory, which the caller keeps mapped writable.
    let load = |at| unsafe { memory.load(at, Relaxed) };
    // SAFETY: as above.
    let store = |at, value| unsafe { memory.store(at, value, Relaxed) };
    let head: Vec<u32> = (0..32).map(|word| load(word * 4)).collect();
    while !siege.is_over.load(Relaxed) {
        for _ in 0..64 {
            let at = words[dice.roll(words.len())];
            let number = dice.roll(256);
            let value = match dice.roll(6) {
                0 => Value::Zero,
                1 => Value::Ones,
                2 => Value::Small(number as u8),
                3 => Value::Bit(number as u8),
                4 => Value::Add(number as u8 as i8),
                _ => Value::Raw(dice.roll(usize::MAX) as u32),
            };
            store(at, value.of(load(at)));
            siege.writes.fetch_add(1, Relaxed);
        }
        if dice.roll(64) == 0 {
            let value = [0, u32::MAX, 1, 0x0400_0001][dice.roll(4)];
            words.iter().for_each(|at| store(*at, value));
            siege.writes.fetch_add(words.len() as u64, Relaxed);
        }
        match dice.roll(32) {
            0 => store(dice.roll(32) * 4, dice.roll(usize::MAX) as u32),
            1..4 => head.iter().enumerate().for_each(|(word, value)| store(word * 4, *value)),
            _ => {}
        }
        if dice.roll(4) == 0 {
            std::thread::yield_now();
        }
    }
}

/// A writer and a reader that come and go, and use everything in between.
fn traffic<O: SlotsOs>(siege: &Siege, attach: &dyn Fn() -> Option<Segment<O>>, turn: u64, touches_payloads: bool) {
    let Some(segment) = attach() else { return };
    let (writer, reader) = (segment.writer(), segment.reader());
    let mut into = [0; 48];
    for round in 0..20 {
        if let Ok(writer) = &writer {
            let loan = if round % 5 == 4 { writer.loan_timeout(BRIEF) } else { writer.loan() };
            if let Ok(mut loan) = loan {
                if touches_payloads {
                    loan[..].fill(round);
                }
                siege.lent.fetch_add(1, Relaxed);
                let _ = if turn.is_multiple_of(3) { loan.commit() } else { loan.commit_len(usize::from(round)) };
            }
            if let Ok(batch) = writer.loan_batch::<3>() {
                let _ = writer.commit_batch(batch, |index| index);
            }
        }
        if let Ok(reader) = &reader {
            let sample = if round % 5 == 4 { reader.take_timeout(BRIEF).ok() } else { reader.take().ok().flatten() };
            if let Some(sample) = sample {
                siege.given.fetch_add(1, Relaxed);
                assert!(sample.len() <= segment.geometry().capacity as usize, "a sample of {} bytes", sample.len());
                std::hint::black_box(sample.copy_to(&mut into));
                if touches_payloads {
                    std::hint::black_box(sample.iter().map(|byte| u64::from(*byte)).sum::<u64>());
                }
            }
            let _ = reader.take_batch::<3>();
        }
    }
    if turn.is_multiple_of(2)
        && let Ok(reader) = reader
    {
        // SAFETY: none of its samples is out.
        let _ = unsafe { segment.evict(reader.id()) };
    }
}

fn seeds<O: SlotsOs>(siege: &Siege, attach: &dyn Fn() -> Option<Segment<O>>)
where
    SlotFace<O, Guards>: SlotBackend,
{
    let Some(face) = attach().and_then(|segment| SlotFace::<O, Guards>::new(segment).ok()) else { return };
    let mut into = [0; 16];
    for round in 0..20_u8 {
        if let Ok(loan) = face.reserve_slot(u32::from(round)) {
            siege.lent.fetch_add(1, Relaxed);
            let _ = if round % 4 == 3 { face.discard_slot(loan).map(|()| 0) } else { face.commit_slot(loan, &[round; 8]) };
        }
        let index = round % 4;
        if let Ok(Some(seen)) = face.next_unread_slot(index) {
            siege.given.fetch_add(1, Relaxed);
            let _ = (face.read_slot(seen), face.read_slot_into(seen, &mut into), face.slot_read_ptr(seen));
            let _ = face.mark_read(seen, index);
        }
        if round % 7 == 6 {
            let _ = face.mark_reader_disconnected(index);
            face.wait_for_change(face.notify_generation(), BRIEF);
        }
    }
}

fn upkeep<O: SlotsOs>(segment: &Segment<O>, watch: &mut LagWatch) {
    let _ = segment.recover();
    watch.look(segment, |lag, idle| drop(format!("{lag:?} {idle:?}")));
    std::hint::black_box(segment.stats());
    if let Ok(inspection) = Inspection::of(segment.mapping()) {
        std::hint::black_box(inspection.slots().fold(0, |all, slot| all | slot.words().unread) | inspection.active().load(Relaxed));
    }
}

/// Besieges a slots segment that `attach` attaches to. Each thread attaches anew; `touches_payloads` where each has a mapping of its own.
fn besiege<O>(length: Duration, attach: &(dyn Fn() -> Option<Segment<O>> + Sync), touches_payloads: bool) -> Told
where
    O: SlotsOs,
    SlotFace<O, Guards>: SlotBackend,
{
    let first = attach().expect("laid out just now");
    let siege = Siege::new(length);
    let mut words = Vec::new();
    first.view().for_each_word(|at| words.push(at));
    if touches_payloads {
        words.extend((first.geometry().slots_at..first.geometry().total_len).step_by(4));
    }
    drop(first);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let own = attach().expect("nobody has touched the head");
            // The worst that peers do is timed against calls that are under way: wait for the first.
            while siege.calls.iter().take(4).any(|calls| calls.load(Relaxed) == 0) {
                std::thread::yield_now();
            }
            scribble(&siege, &own.mapping().memory(), &words, 7);
            // The owner's handles end here, before the memory does.
            drop(own);
        });
        for thread in 0..2 {
            let siege = &siege;
            scope.spawn(move || siege.keep(thread, |turn| traffic(siege, attach, turn, touches_payloads)));
        }
        scope.spawn(|| siege.keep(2, |_| seeds(&siege, attach)));
        scope.spawn(|| {
            let segment = attach().expect("laid out just now");
            let mut watch = LagWatch::default();
            siege.keep(3, |_| upkeep(&segment, &mut watch));
        });
        siege.watch(4);
    });
    told(&siege)
}

fn told(siege: &Siege) -> Told {
    let (writes, lent, given) = (siege.writes.load(Relaxed), siege.lent.load(Relaxed), siege.given.load(Relaxed));
    assert!(writes > 0 && lent > 0 && given > 0, "{writes} writes, {lent} lent, {given} given: the siege showed nothing");
    Told { writes, operations: lent + given }
}

fn config() -> Config {
    Config::slots(6, 40).writers(4).readers(4)
}

fn allocation(length: Duration, config: Config) -> Told {
    let world = World::new(config.len().expect("a shape inside its limits"));
    let made = Segment::create(HostileOs::new(&world), &(), &config).expect("a fresh region");
    let told = besiege(length, &|| Segment::attach(HostileOs::new(&world), &()).ok(), false);
    drop(made);
    told
}

fn mock(length: Duration) -> Told {
    let mock = seqslot_os_mock::World::threaded(3);
    let made = Segment::create(mock.process(), "besieged", &config()).expect("a fresh name");
    let told = besiege(length, &|| Segment::attach(mock.process(), "besieged").ok(), false);
    drop(made);
    told
}

fn memory_file(length: Duration, config: Config) -> Told {
    let made = seqslot::create_memfd("besieged", &config).expect("memory");
    let attach = || seqslot::adopt(made.mapping().as_fd().try_clone_to_owned().ok()?).ok();
    besiege(length, &attach, true)
}

fn snapshot(length: Duration) -> Told {
    let world = World::new(4096);
    let os = HostileOs::new(&world);
    let made = SnapshotWriter::<_, [u8]>::create(os.clone(), &(), SnapshotConfig::bytes(100).buffers(4).always_wake(true))
        .expect("a fresh region");
    made.leave();
    let siege = Siege::new(length);
    let words: Vec<usize> = (128..world.len()).step_by(4).collect();
    let os = &os;
    std::thread::scope(|scope| {
        scope.spawn(|| scribble(&siege, &os.mapping().memory(), &words, 11));
        scope.spawn(|| {
            let mut into = [0; 100];
            siege.keep(0, |_| {
                let Ok(mut reader) = SnapshotReader::<_, [u8]>::attach(os.clone(), &()) else { return };
                for _ in 0..50 {
                    siege.given.fetch_add(u64::from(reader.snapshot().is_ok()), Relaxed);
                    let _ = (reader.read_into(&mut into), reader.freshness());
                    reader.wait_newer(BRIEF);
                }
            });
        });
        scope.spawn(|| {
            siege.keep(1, |turn| {
                let Ok(mut writer) = SnapshotWriter::<_, [u8]>::attach(os.clone(), &()) else { return };
                for _ in 0..50 {
                    siege.lent.fetch_add(u64::from(writer.publish_bytes(&[turn as u8; 100]).is_ok()), Relaxed);
                }
            });
        });
        siege.watch(2);
    });
    told(&siege)
}
