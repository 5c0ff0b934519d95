//! The slots protocol over the mock: a writer dies at every point of a stream, and no slot and no acknowledged sample is lost;
//! and threads that park, wake each other, and lose a reader.

use core::time::Duration;
use std::sync::Arc;

use seqslot_core::{Config, Reader, Segment, Writer};
use seqslot_os_mock::{Fault, MockOs, Plan, World, crash_points};

const SLOTS: usize = 3;
const SAMPLES: u8 = 8;

/// What the reader, which lives, has seen; and what the writer knows to be published.
#[derive(Default)]
struct Seen {
    read: Vec<u8>,
    acknowledged: u8,
    free: usize,
}

#[test]
fn a_writer_that_dies_anywhere_loses_no_slot_and_no_sample() {
    a_writer_dies_anywhere(&Config::slots(SLOTS as u64, 16));
}

/// Claims and releases are plain stores there.
#[test]
fn a_writer_that_dies_anywhere_alone_loses_no_slot_and_no_sample() {
    a_writer_dies_anywhere(&Config::slots(SLOTS as u64, 16).writers(1).readers(1));
}

fn a_writer_dies_anywhere(config: &Config) {
    let mut seen = Vec::new();
    let mut points = crash_points(
        1,
        |world, doomed| (world.process(), doomed.clone()),
        |_, (keeper, doomed): &mut (MockOs, MockOs)| {
            let segment = Segment::create(keeper.clone(), "frames", config).expect("a fresh name");
            let reader = segment.reader().expect("a free entry");
            let mut this = Seen::default();
            // The doomed process has a run of its own inside, so that the reader here outlives it.
            let _death = doomed.run(|| {
                let theirs = Segment::attach(doomed.clone(), "frames").expect("it exists");
                let writer = theirs.writer().expect("a free entry");
                for number in 0..SAMPLES {
                    let mut loan = writer.loan().expect("a free slot");
                    loan[0] = number;
                    loan.commit_len(1).expect("its own loan");
                    this.acknowledged = number + 1;
                    // Every other sample stays unread for a while.
                    if number % 2 == 1 {
                        while let Some(sample) = reader.take().expect("the writer lives") {
                            this.read.push(sample[0]);
                        }
                    }
                }
            });
            // Recovers the dead: a sample that it had published, but not entered in the ring, is found at the latest now.
            let writer = segment.writer().expect("an entry is free, or its dead holder's");
            while let Ok(Some(sample)) = reader.take() {
                this.read.push(sample[0]);
            }
            let loans: Vec<_> = (0..SLOTS).filter_map(|_| writer.loan().ok()).collect();
            this.free = loans.len();
            seen.push(this);
        },
    );
    points.by_ref().for_each(drop);
    let found = points.found().expect("the iterator ended");
    assert!(found > 10 * u64::from(SAMPLES), "{found} points");
    assert_eq!(seen.len() as u64, found + 1);
    for (point, seen) in (1..).zip(seen) {
        let all: Vec<u8> = (0..SAMPLES).collect();
        assert_eq!(seen.read, all[..seen.read.len()], "point {point}: in order, each once");
        assert!(seen.read.len() >= seen.acknowledged.into(), "point {point}: {} of {} came", seen.read.len(), seen.acknowledged);
        assert_eq!(seen.free, SLOTS, "point {point}: slots that can be loaned again");
    }
}

/// How long anybody waits before something is broken.
const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn threads_park_and_wake_each_other_and_a_killed_reader_is_let_go() {
    const STREAM: u32 = 3000;
    let world = World::threaded(3);
    world.plan(Fault::Spurious, Plan::PerMille(50));
    world.plan(Fault::LateWake, Plan::PerMille(50));
    let (os, lives, dies) = (world.process(), world.process(), world.process());
    let segment = Segment::create(os.clone(), "stream", &Config::slots(SLOTS as u64, 16)).expect("a fresh name");
    let seen = [&lives, &dies].map(|os| Segment::attach(os.clone(), "stream").expect("it exists"));
    let reads = |segment: &Segment<MockOs>, joined: &std::sync::Barrier| {
        let reader = segment.reader().expect("a free entry");
        joined.wait();
        for number in 0..STREAM {
            let sample = reader.take_timeout(PATIENCE).expect("it comes");
            assert_eq!(*sample, number.to_ne_bytes());
        }
    };
    let joined = std::sync::Barrier::new(3);
    std::thread::scope(|scope| {
        let reads_on = scope.spawn(|| lives.run(|| reads(&seen[0], &joined)));
        let killed = scope.spawn(|| dies.run(|| reads(&seen[1], &joined)));
        let writer = segment.writer().expect("a free entry");
        joined.wait();
        for number in 0..STREAM {
            if number == STREAM / 2 {
                dies.kill();
            }
            let mut loan = writer.loan_timeout(PATIENCE).expect("the dead reader is recovered");
            loan[..4].copy_from_slice(&number.to_ne_bytes());
            loan.commit_len(4).expect("its own loan");
        }
        killed.join().expect("no panic").expect_err("it was killed");
        reads_on.join().expect("no panic").expect("it lives");
    });
}

/// Somebody claims the first writer entry and dies: one position is burnt.
fn writer_dies(world: &World) {
    let os = world.process();
    let theirs = Segment::attach(os.clone(), "frames").expect("it exists");
    let writer = theirs.writer().expect("a free entry");
    os.kill();
    assert_eq!(writer.index().get(), 0);
}

#[test]
fn burnt_positions_that_lie_ahead_are_not_taken_off_a_gap() {
    let world = World::new(1);
    let segment = Segment::create(world.process(), "frames", &Config::slots(3, 8).overwrite()).expect("a fresh name");
    let reader = segment.reader().expect("a free entry");
    let writer = segment.writer().expect("a free entry");
    writer.send(b"read").expect("a free slot");
    // Not in the slot where the reader expects it.
    drop(writer.loan().expect("a free slot"));
    writer.send(b"first").expect("a free slot");
    drop(writer);
    assert_eq!(reader.take().expect("not read to the end").as_deref(), Some(&b"read"[..]));
    // As many as lap the ring, so that the reader finds the sample in the slots, with everything burnt behind it.
    (0..5).for_each(|_| writer_dies(&world));
    let writer = segment.writer().expect("a free entry");
    writer.send(b"second").expect("a free slot");
    for expected in [&b"first"[..], b"second"] {
        assert_eq!(reader.take().expect("a writer lives").as_deref(), Some(expected));
    }
    assert_eq!(reader.missed(), 0, "nothing was overwritten");
}

#[test]
fn a_position_is_counted_as_burnt_once_wherever_its_recovery_dies() {
    let config = Config::slots(2, 8).overwrite();
    let mut points = crash_points(
        1,
        |world, doomed| {
            let segment = Segment::create(world.process(), "frames", &config).expect("a fresh name");
            let theirs = Segment::attach(doomed.clone(), "frames").expect("it exists");
            writer_dies(world);
            (segment, theirs)
        },
        |_, (_, theirs): &mut (Segment<MockOs>, Segment<MockOs>)| theirs.recover().expect("no fault is planned"),
    );
    for after in &mut points {
        let (segment, _theirs) = &after.state;
        assert_eq!(segment.stats().published, 0, "point {}: whatever was counted, it published nothing", after.point);
        // Joins before the recovery is begun anew: whatever it has counted already lies ahead of this reader, or does not.
        let reader = segment.reader().expect("a free entry");
        let writer = segment.writer().expect("the dead one's entry");
        for number in 0..3 {
            writer.send(&[number]).expect("a free slot");
        }
        assert_eq!(segment.stats().published, 3, "point {}", after.point);
        assert_eq!(reader.take().expect("a writer lives").as_deref(), Some(&[1][..]));
        assert_eq!(reader.missed(), 1, "point {}: one of three in two slots", after.point);
    }
    assert!(points.found() > Some(10));
}

#[test]
fn a_sample_taken_before_its_position_counts_as_burnt_hides_no_miss() {
    let config = Config::slots(2, 8).overwrite();
    let mut points = crash_points(
        1,
        |world, doomed| {
            let segment = Arc::new(Segment::create(world.process(), "frames", &config).expect("a fresh name"));
            let reader: Reader<_> = Reader::join(Arc::clone(&segment)).expect("a free entry");
            let theirs = Arc::new(Segment::attach(doomed.clone(), "frames").expect("it exists"));
            let dying: Writer<_> = Writer::join(theirs).expect("a free entry");
            let other: Writer<_> = Writer::join(Arc::clone(&segment)).expect("a free entry");
            (segment, reader, other, dying)
        },
        |_, (_, _, _, dying)| dying.send(b"dying").expect("a free slot"),
    );
    let mut taken = 0;
    for after in &mut points {
        let (segment, reader, other, dying) = &after.state;
        if segment.writer_lives(dying.index()).expect("no fault is planned") {
            continue;
        }
        taken += u32::from(reader.take().expect("nobody has left").is_some());
        // Another writer uses the dead one's slot before anybody recovers it.
        for number in 0..3 {
            other.send(&[number]).expect("a free slot");
        }
        while reader.take().expect("a writer lives").is_some() {}
        let missed = reader.missed();
        segment.recover().expect("no fault is planned");
        let next = segment.writer().expect("the dead one's entry");
        assert_eq!((other.index().get(), next.index().get()), (1, 0));
        for number in 0..3 {
            next.send(&[number]).expect("a free slot");
        }
        while reader.take().expect("a writer lives").is_some() {}
        assert_eq!(reader.missed() - missed, 1, "point {}: one of three in two slots", after.point);
    }
    assert!(points.found() > Some(10) && taken > 3);
}
