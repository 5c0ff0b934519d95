//! Real processes, killed with SIGKILL where it hurts: nothing is lost, nothing stays held, nobody hangs.

mod support;

use std::time::Duration;

use seqslot::{Config, LoanError, TakeError};
use support::{Peer, pause, place, role, say};

const LONG: Duration = Duration::from_secs(30);

#[test]
fn a_writer_killed_in_the_midst_of_a_fill_loses_no_slot_and_nothing_is_seen_of_it() {
    if let Some((_, path)) = role() {
        let segment = seqslot::attach(path).unwrap();
        let writer = segment.writer().unwrap();
        writer.send(b"whole").unwrap();
        let mut first = writer.loan().unwrap();
        let _second = writer.loan().unwrap();
        first[..3].copy_from_slice(b"hal");
        say("filling");
        return pause();
    }
    let (_folder, path) = place();
    let segment = seqslot::create(&path, &Config::slots(3, 8)).unwrap();
    let reader = segment.reader().unwrap();
    let mut peer = Peer::start("a_writer_killed_in_the_midst_of_a_fill_loses_no_slot_and_nothing_is_seen_of_it", "writer", &path);
    peer.expect("filling");
    let writer = segment.writer().unwrap();
    assert_eq!(writer.loan().err(), Some(LoanError::NoFreeSlot), "the living keep what they hold");
    peer.kill();
    assert_eq!(&*reader.take().unwrap().unwrap(), b"whole");
    assert!(reader.take().unwrap().is_none(), "half a fill is nothing");
    // With patience: looks for the dead are at least 10 ms apart.
    let loans: Vec<_> = (0..3).map(|_| writer.loan_timeout(LONG).unwrap()).collect();
    assert_eq!(loans.len(), 3);
    assert_eq!(segment.stats().recovered_slots, 2);
}

#[test]
fn a_reader_killed_inside_a_sample_gives_it_back_and_a_blocked_writer_goes_on() {
    if let Some((_, path)) = role() {
        let segment = seqslot::attach(path).unwrap();
        let reader = segment.reader().unwrap();
        say("joined");
        let _held = reader.take_timeout(LONG).unwrap();
        say("holding");
        return pause();
    }
    let (_folder, path) = place();
    let segment = seqslot::create(&path, &Config::slots(1, 8)).unwrap();
    let writer = segment.writer().unwrap();
    let mut peer = Peer::start("a_reader_killed_inside_a_sample_gives_it_back_and_a_blocked_writer_goes_on", "reader", &path);
    peer.expect("joined");
    writer.send(b"held").unwrap();
    peer.expect("holding");
    assert_eq!(writer.loan_timeout(Duration::from_millis(150)).err(), Some(LoanError::TimedOut), "alive: it keeps its sample");
    // The kill comes while the writer is parked: the end of a slice finds the dead.
    let killer = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(30));
        peer.kill();
    });
    writer.send_timeout(b"next", LONG).unwrap();
    killer.join().unwrap();
    assert_eq!(segment.stats().recovered_readers, 1);
}

#[test]
fn a_waiter_killed_in_its_sleep_is_forgotten_and_the_others_are_woken() {
    if let Some((_, path)) = role() {
        let segment = seqslot::attach(path).unwrap();
        let reader = segment.reader().unwrap();
        say("waiting");
        assert_eq!(&*reader.take_timeout(LONG).unwrap(), b"wake");
        return say("woken");
    }
    let test = "a_waiter_killed_in_its_sleep_is_forgotten_and_the_others_are_woken";
    let (_folder, path) = place();
    let segment = seqslot::create(&path, &Config::slots(2, 8)).unwrap();
    let writer = segment.writer().unwrap();
    let (mut doomed, mut other) = (Peer::start(test, "doomed", &path), Peer::start(test, "other", &path));
    doomed.expect("waiting");
    other.expect("waiting");
    let waiters = || segment.view().reader_waiters().load(portable_atomic::Ordering::Relaxed);
    while waiters() != 0b11 {
        std::thread::yield_now();
    }
    doomed.kill();
    segment.recover().unwrap();
    assert_eq!(segment.active_readers().count_ones(), 1);
    writer.send(b"wake").unwrap();
    other.expect("woken");
    other.join();
}

#[test]
fn readers_of_a_killed_writer_drain_and_are_told_and_a_new_writer_goes_on() {
    if let Some((_, path)) = role() {
        let segment = seqslot::attach(path).unwrap();
        let writer = segment.writer().unwrap();
        for number in 0..5_u8 {
            writer.send(&[number]).unwrap();
        }
        say("written");
        return pause();
    }
    let (_folder, path) = place();
    let segment = seqslot::create(&path, &Config::slots(8, 8)).unwrap();
    let reader = segment.reader().unwrap();
    let mut peer = Peer::start("readers_of_a_killed_writer_drain_and_are_told_and_a_new_writer_goes_on", "writer", &path);
    peer.expect("written");
    peer.kill();
    for number in 0..5_u8 {
        assert_eq!(&*reader.take_timeout(LONG).unwrap(), [number]);
    }
    assert_eq!(reader.take_timeout(LONG).err(), Some(TakeError::WriterDied), "the wait notices, long before its time is up");
    let writer = segment.writer().unwrap();
    writer.send(b"on").unwrap();
    assert_eq!(&*reader.take().unwrap().unwrap(), b"on");
}

#[test]
fn two_writing_processes_keep_their_orders_and_share_the_slots() {
    const EACH: u32 = 20_000;
    if let Some((_, path)) = role() {
        let segment = seqslot::attach(path).unwrap();
        let writer = segment.writer().unwrap();
        for number in 0..EACH {
            writer.send_timeout(&number.to_ne_bytes(), LONG).unwrap();
        }
        return;
    }
    let test = "two_writing_processes_keep_their_orders_and_share_the_slots";
    let (_folder, path) = place();
    let segment = seqslot::create(&path, &Config::slots(5, 8)).unwrap();
    let reader = segment.reader().unwrap();
    let peers = [Peer::start(test, "one", &path), Peer::start(test, "two", &path)];
    let mut next = [0_u32; 2];
    for _ in 0..2 * EACH {
        // One writer may be through before the other begins: then the stream looks closed for a moment.
        let sample = loop {
            match reader.take_timeout(LONG) {
                Ok(sample) => break sample,
                Err(TakeError::Closed) => std::thread::yield_now(),
                Err(error) => panic!("{error}"),
            }
        };
        // Which payload stream it belongs to: an index is used again if the first writer ends early.
        let number = u32::from_ne_bytes(sample[..].try_into().unwrap());
        let stream = next.iter().position(|due| *due == number).expect("next in one of the two orders");
        next[stream] += 1;
    }
    assert_eq!(next, [EACH, EACH]);
    peers.into_iter().for_each(Peer::join);
}

#[test]
fn a_stopped_reader_is_not_declared_dead_and_loses_nothing() {
    const SAMPLES: u8 = 4;
    if let Some((_, path)) = role() {
        let segment = seqslot::attach(path).unwrap();
        let reader = segment.reader().unwrap();
        say("joined");
        for number in 0..SAMPLES {
            assert_eq!(&*reader.take_timeout(LONG).unwrap(), [number]);
        }
        return say("all");
    }
    let (_folder, path) = place();
    let segment = seqslot::create(&path, &Config::slots(u64::from(SAMPLES), 8)).unwrap();
    let writer = segment.writer().unwrap();
    let mut peer = Peer::start("a_stopped_reader_is_not_declared_dead_and_loses_nothing", "reader", &path);
    peer.expect("joined");
    peer.signal(libc::SIGSTOP);
    for number in 0..SAMPLES {
        writer.send(&[number]).unwrap();
    }
    assert_eq!(writer.loan_timeout(Duration::from_millis(250)).err(), Some(LoanError::TimedOut), "slices end, it is stopped, not dead");
    assert!(segment.recover().unwrap().is_empty());
    peer.signal(libc::SIGCONT);
    peer.expect("all");
    peer.join();
}

#[test]
fn no_torn_sample_from_a_writer_at_full_speed() {
    const SAMPLES: u64 = 60_000;
    if let Some((_, path)) = role() {
        let segment = seqslot::attach(path).unwrap();
        let writer = segment.writer().unwrap();
        for number in 0..SAMPLES {
            let mut loan = writer.loan_timeout(LONG).unwrap();
            for part in loan.chunks_exact_mut(8) {
                part.copy_from_slice(&number.to_ne_bytes());
            }
            loan.commit().unwrap();
        }
        return;
    }
    let (_folder, path) = place();
    let segment = seqslot::create(&path, &Config::slots(3, 512).writers(1)).unwrap();
    let readers = [segment.reader().unwrap(), segment.reader().unwrap()];
    let peer = Peer::start("no_torn_sample_from_a_writer_at_full_speed", "writer", &path);
    std::thread::scope(|scope| {
        for reader in readers {
            scope.spawn(move || {
                for number in 0..SAMPLES {
                    let sample = reader.take_timeout(LONG).unwrap();
                    assert!(sample.chunks_exact(8).all(|part| part == number.to_ne_bytes()), "torn or out of order at {number}");
                }
            });
        }
    });
    peer.join();
}

#[test]
#[allow(unsafe_code, reason = "a fork")]
fn after_a_fork_inherited_handles_say_so_and_the_parent_is_untouched() {
    let (_folder, path) = place();
    let segment = seqslot::create(&path, &Config::slots(2, 8)).unwrap();
    let (writer, reader) = (segment.writer().unwrap(), segment.reader().unwrap());
    writer.send(b"one").unwrap();
    let held = reader.take().unwrap().unwrap();
    // SAFETY: the child only calls into this library and ends with `_exit`; it waits for no lock of another thread.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let forked = writer.try_loan().err() == Some(LoanError::Forked) && reader.take().err() == Some(TakeError::Forked);
        drop(held);
        drop(reader);
        drop(writer);
        drop(segment);
        // SAFETY: ends the child without running the parent's exit handlers.
        unsafe { libc::_exit(i32::from(!forked)) };
    }
    let mut status = -1;
    // SAFETY: `status` is a place for the answer.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    assert_eq!(status, 0, "the child's handles answered Forked");
    assert_eq!(&*held, b"one");
    drop(held);
    writer.send(b"two").unwrap();
    assert_eq!(&*reader.take().unwrap().unwrap(), b"two");
    assert!(seqslot::attach(&path).is_ok(), "the child took no name away");
}
