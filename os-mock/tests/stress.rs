//! Threads on one mapping: over a plain region, where nothing but the protocol orders them, and on the mock with its faults.
#![allow(missing_docs)]

use core::sync::atomic::AtomicU8;
use core::time::Duration;
use std::sync::mpsc;
use std::time::Instant;

use seqslot_core::{
    Access, AtomicU32, Bare, ClaimOf, Config, CreateFault, Created, Exclusion, Exclusive, ObjectSpec, OpenFault, Ordering, Os, Process,
    Region, Sample, Segment, SlotFace, SlotsOs, SnapshotConfig, SnapshotReader, SnapshotWriter, TakeError, Woken,
};
use seqslot_os_mock::{Fault, MockOs, Plan, World, stress};

#[repr(align(64))]
struct Line(#[allow(dead_code, reason = "reached through the slice")] [AtomicU8; 64]);

/// A region shared by threads: [`Bare`], with a clock, and with waits that give the processor away instead of spinning. Nothing in it
/// orders one thread before another.
#[derive(Clone, Copy)]
struct Threads {
    bare: Bare<'static>,
    start: Instant,
}

/// A fresh zeroed region, leaked.
fn threads(len: usize) -> Threads {
    let lines: Vec<Line> = (0..len.div_ceil(64)).map(|_| Line([const { AtomicU8::new(0) }; 64])).collect();
    let lines: &'static [Line] = lines.leak();
    // SAFETY: lines are arrays of atomics without padding, one behind the other, for ever.
    let bytes = unsafe { core::slice::from_raw_parts(lines.as_ptr().cast::<AtomicU8>(), lines.len() * 64) };
    // SAFETY: 1. and 2. each test has a region of its own, with one segment in it.
    let region = unsafe { Region::new(bytes) }.expect("aligned");
    Threads { bare: Bare::new(region), start: Instant::now() }
}

// SAFETY: 1. objects are made by `Bare`, whose answer this is.
unsafe impl Os for Threads {
    type Name = ();
    type Mapping = Region<'static>;

    fn create(&self, (): &(), spec: ObjectSpec) -> Result<Created<Region<'static>, ClaimOf<Self>>, CreateFault> {
        self.bare.create(&(), spec)
    }

    fn open(&self, (): &(), access: Access) -> Result<Region<'static>, OpenFault> {
        self.bare.open(&(), access)
    }

    fn wait(&self, word: &AtomicU32, expected: u32, _mask: u32, timeout: Duration) -> Woken {
        let start = Instant::now();
        // ORDERING: Relaxed; whoever is woken looks again with an ordering of its own.
        while word.load(Ordering::Relaxed) == expected {
            if start.elapsed() >= timeout {
                return Woken::TimedOut;
            }
            std::thread::yield_now();
        }
        Woken::Perhaps
    }

    fn wake(&self, _word: &AtomicU32, _mask: u32) {}

    fn sleep(&self, time: Duration) {
        std::thread::sleep(time);
    }

    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn process(&self) -> Process {
        Process::default()
    }
}

fn segment(config: Config) -> Segment<Threads> {
    Segment::create(threads(config.len().expect("it can be")), &(), &config).expect("fresh")
}

/// A machine whose waits end for no reason now and then, and whose wakes come late.
fn mocked(config: Config) -> Segment<MockOs> {
    let world = World::threaded(11);
    world.plan(Fault::Spurious, Plan::PerMille(50));
    world.plan(Fault::LateWake, Plan::PerMille(50));
    Segment::create(world.process(), "stress", &config).expect("a fresh name")
}

/// Enough for three writers and three readers.
fn roomy() -> Config {
    Config::slots(16, 96).writers(4).readers(6)
}

#[test]
fn every_reader_gets_every_sample_of_every_writer() {
    println!("{:?}", stress::streams(&segment(roomy()), 3, 3));
}

#[test]
fn every_reader_gets_every_sample_while_slots_are_scarce() {
    println!("{:?}", stress::streams(&segment(Config::slots(5, 40).writers(2).readers(2)), 1, 2));
}

#[test]
fn a_slot_is_never_on_loan_to_two() {
    println!("{:?}", stress::contend(&segment(Config::slots(3, 64).writers(3)), 3));
}

#[test]
fn the_only_slot_is_free_again_when_its_reader_has_left() {
    println!("{:?}", stress::leaving(&segment(Config::slots(1, 200).writers(1).readers(2))));
}

#[test]
fn who_stays_gets_everything_while_others_come_and_go() {
    println!("{:?}", stress::churn(&segment(roomy())));
}

#[test]
fn nothing_acknowledged_is_lost_when_threads_vanish() {
    let segment = segment(roomy());
    let bury = |lock| {
        // SAFETY: the suite has forgotten the handles before it says so, and looks at nothing that was theirs.
        unsafe { segment.declare_dead(lock) }.expect("no system call");
    };
    println!("{:?}", stress::deaths(&segment, bury));
}

#[test]
fn what_is_not_taken_by_a_reader_that_overwriting_left_behind_is_counted() {
    let config = Config::slots(8, 64).writers(2).readers(2).overwrite();
    println!("{:?}", stress::overwrite(&segment(config.clone()), 2));
    println!("{:?}", stress::overwrite(&segment(config), 1));
}

#[test]
fn a_sample_may_be_read_and_dropped_on_another_thread() {
    const SAMPLES: u32 = 2000;
    let segment = segment(Config::slots(8, 64));
    let (writer, reader) = (segment.writer().expect("a free entry"), segment.reader().expect("a free entry"));
    std::thread::scope(|scope| {
        let (send, receive) = mpsc::sync_channel::<Sample<'_, &Segment<Threads>>>(2);
        scope.spawn(move || {
            for number in 0..SAMPLES {
                let mut loan = loop {
                    if let Ok(loan) = writer.loan_timeout(Duration::from_secs(1)) {
                        break loan;
                    }
                };
                loan.fill(number as u8);
                loan[..4].copy_from_slice(&number.to_ne_bytes());
                assert_eq!(loan.commit(), Ok(number));
            }
        });
        scope.spawn(move || {
            for (number, sample) in receive.into_iter().enumerate() {
                assert_eq!(sample[..4], (number as u32).to_ne_bytes());
                assert!(sample[4..].iter().all(|&byte| byte == number as u8), "sample {number}");
            }
        });
        let taken = loop {
            match reader.take_timeout(Duration::from_secs(1)) {
                Ok(sample) => send.send(sample).expect("the other thread lives"),
                Err(TakeError::TimedOut) => {}
                Err(error) => break error,
            }
        };
        drop(send);
        assert_eq!((taken, reader.taken()), (TakeError::Closed, SAMPLES));
    });
}

struct Mutexed<T>(std::sync::Mutex<T>);

impl<T> Exclusive<T> for Mutexed<T> {
    fn new(value: T) -> Self {
        Self(std::sync::Mutex::new(value))
    }

    fn with<R>(&self, act: impl FnOnce(&mut T) -> R) -> R {
        act(&mut self.0.lock().expect("nobody panics inside"))
    }
}

struct Mutexes;

impl Exclusion for Mutexes {
    type Of<T> = Mutexed<T>;
}

/// Two allocators on one segment, as two processes have them, and here over one mapping.
fn faces<O: SlotsOs>(first: Segment<O>, second: Segment<O>) -> [SlotFace<O, Mutexes>; 2] {
    [first, second].map(|segment| SlotFace::new(segment).expect("not one that overwrites"))
}

#[test]
fn the_seeds_readers_get_everything_that_two_allocators_write() {
    let first = segment(Config::slots(12, 64));
    let second = Segment::adopt(*first.os(), *first.mapping()).expect("a segment");
    let [first, second] = faces(first, second);
    println!("{:?}", stress::seeds(&[&first, &second]));
}

fn observed<O: Os<Name: Sync>>(os: O, name: &O::Name, buffers: u32)
where
    SnapshotReader<O>: Send,
{
    let config = SnapshotConfig::bytes(200).buffers(buffers).always_wake(true);
    let mut writer = SnapshotWriter::create(os.clone(), name, config).expect("fresh");
    let readers = (0..3).map(|_| SnapshotReader::attach(os.clone(), name).expect("a snapshot")).collect();
    println!("{:?}", stress::snapshots(&mut writer, readers));
}

#[test]
fn three_readers_of_a_snapshot_see_whole_values_only() {
    observed(threads(4096), &(), 2);
    observed(threads(8192), &(), 8);
}

#[test]
fn the_same_on_the_mock_whose_waits_end_for_no_reason() {
    println!("{:?}", stress::streams(&mocked(roomy()), 2, 3));
    println!("{:?}", stress::churn(&mocked(roomy())));
    println!("{:?}", stress::overwrite(&mocked(Config::slots(8, 64).writers(2).readers(2).overwrite()), 2));
    let world = World::threaded(12);
    observed(world.process(), "state", 2);
    let first = Segment::create(world.process(), "seeds", &Config::slots(12, 64)).expect("a fresh name");
    let second = Segment::attach(world.process(), "seeds").expect("it exists");
    let [first, second] = faces(first, second);
    println!("{:?}", stress::seeds(&[&first, &second]));
}
