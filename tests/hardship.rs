//! Real processes under hardship: as many as there may be, stopped for longer than anybody waits, forked, and under a storm of signals.

mod support;

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use seqslot::{Config, JoinError, LoanError, Segment, SlotBackend as _, SlotError, SnapshotConfig, SnapshotWriter, TakeError, platform};
use support::{Peer, pause, place, role, say};

const LONG: Duration = Duration::from_secs(60);

/// A sample of stream `of`: whose, and which.
fn sample(of: u32, number: u32) -> [u8; 8] {
    (u64::from(of) << 32 | u64::from(number)).to_ne_bytes()
}

/// Takes until it has `each` samples of each of `streams` streams, all in order.
fn take_all(segment: &Segment, streams: usize, each: u32, joined: impl FnOnce()) {
    let reader = segment.reader().unwrap();
    joined();
    let mut next = vec![0; streams];
    while next.iter().any(|due| *due < each) {
        match reader.take_timeout(LONG) {
            Ok(taken) => {
                let value = u64::from_ne_bytes(taken[..].try_into().unwrap());
                let (of, number) = ((value >> 32) as usize, value as u32);
                assert_eq!(number, next[of], "stream {of}");
                next[of] += 1;
            }
            // One writer may be through before the next begins: then the stream looks over for a moment.
            Err(TakeError::Closed) => std::thread::yield_now(),
            Err(error) => panic!("{error}; {next:?} of {each}"),
        }
    }
    assert_eq!(reader.missed(), 0);
}

#[test]
fn thirty_two_readers_in_as_many_processes_get_everything_of_three_writers() {
    const EACH: u32 = 500;
    if let Some((role, path)) = role() {
        let segment = seqslot::attach(path).unwrap();
        match role.strip_prefix("writer ").map(|of| of.parse().unwrap()) {
            Some(of) => {
                let writer = segment.writer().unwrap();
                for number in 0..EACH {
                    writer.send_timeout(&sample(of, number), LONG).unwrap();
                }
            }
            None => take_all(&segment, 3, EACH, || say("joined")),
        }
        return say("all");
    }
    let test = "thirty_two_readers_in_as_many_processes_get_everything_of_three_writers";
    let (_folder, path) = place();
    let segment = seqslot::create(&path, &Config::slots(6, 8)).unwrap();
    let mut readers: Vec<_> = (0..32).map(|_| Peer::start(test, "reader", &path)).collect();
    for reader in &mut readers {
        reader.expect("joined");
    }
    assert_eq!(segment.active_readers(), u32::MAX);
    assert_eq!(segment.reader().err(), Some(JoinError::Full { entries: 32 }));
    let mut writers: Vec<_> = (0..3).map(|of| Peer::start(test, &format!("writer {of}"), &path)).collect();
    for peer in writers.iter_mut().chain(&mut readers) {
        peer.expect("all");
    }
    writers.into_iter().chain(readers).for_each(Peer::join);
    assert_eq!((segment.active_readers(), segment.stats().recovered_readers), (0, 0));
    let writer = segment.writer().unwrap();
    let loans: Vec<_> = (0..6).map(|_| writer.loan().unwrap()).collect();
    assert_eq!(loans.len(), 6);
}

#[test]
fn a_reader_stopped_for_longer_than_the_slices_of_all_waits_is_not_taken_for_dead() {
    const SAMPLES: u8 = 4;
    if let Some((role, path)) = role() {
        let segment = seqslot::attach(path).unwrap();
        let reader = segment.reader().unwrap();
        say("joined");
        for number in 0..SAMPLES {
            assert_eq!(&*reader.take_timeout(LONG).unwrap(), [number]);
        }
        if role == "waits" {
            // Parked behind all that is there, for two slices of a second and a bit: each end of one looks for the dead.
            assert_eq!(reader.take_timeout(Duration::from_millis(2_300)).err(), Some(TakeError::TimedOut));
        }
        return say("all");
    }
    let test = "a_reader_stopped_for_longer_than_the_slices_of_all_waits_is_not_taken_for_dead";
    let (_folder, path) = place();
    let segment = seqslot::create(&path, &Config::slots(u64::from(SAMPLES), 8)).unwrap();
    let writer = segment.writer().unwrap();
    let (mut stopped, mut waits) = (Peer::start(test, "stopped", &path), Peer::start(test, "waits", &path));
    stopped.expect("joined");
    waits.expect("joined");
    stopped.signal(libc::SIGSTOP);
    for number in 0..SAMPLES {
        writer.send_timeout(&[number], LONG).unwrap();
    }
    assert_eq!(writer.loan_timeout(Duration::from_millis(2_500)).err(), Some(LoanError::TimedOut), "25 slices of a writer's");
    waits.expect("all");
    waits.join();
    assert!(segment.recover().unwrap().is_empty());
    stopped.signal(libc::SIGCONT);
    stopped.expect("all");
    stopped.join();
    assert_eq!(segment.stats().recovered_readers, 0);
}

/// Runs `child` in a forked child; whether it said that all was as it should be.
fn in_a_forked_child(child: impl FnOnce() -> bool) -> bool {
    // SAFETY: the child only calls into this library and ends with `_exit`; it waits for no lock of another thread.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        let code = i32::from(!child());
        // SAFETY: ends the child without running the parent's exit handlers.
        unsafe { libc::_exit(code) };
    }
    let mut status = -1;
    // SAFETY: `status` is a place for the answer.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    status == 0
}

#[test]
fn a_forked_childs_use_and_end_free_nothing_of_its_parent() {
    if let Some((_, path)) = role() {
        // Another process's view: everybody in it lives, and nothing is free.
        let segment = seqslot::attach(path).unwrap();
        assert!(segment.recover().unwrap().is_empty() && segment.owner_lives().unwrap());
        assert_eq!(segment.active_readers().count_ones(), 1);
        assert_eq!(segment.writer().unwrap().loan().err(), Some(LoanError::NoFreeSlot));
        return say("untouched");
    }
    let test = "a_forked_childs_use_and_end_free_nothing_of_its_parent";
    let (_folder, path) = place();
    let segment = seqslot::create(&path, &Config::slots(3, 8)).unwrap();
    let (writer, reader) = (segment.writer().unwrap(), segment.reader().unwrap());
    writer.send(b"held").unwrap();
    writer.send(b"unread").unwrap();
    let held = reader.take().unwrap().unwrap();
    let mut loan = Some(writer.loan().unwrap());
    let mut state = SnapshotWriter::<u64>::create(platform(), &path.with_extension("state"), SnapshotConfig::of::<u64>()).unwrap();
    state.publish(&1).unwrap();
    let refused = in_a_forked_child(|| {
        let commit = loan.take().unwrap().commit_len(1).err();
        let answers = [
            writer.loan().err() == Some(LoanError::Forked),
            writer.loan_timeout(LONG).err() == Some(LoanError::Forked),
            reader.take().err() == Some(TakeError::Forked),
            reader.take_timeout(LONG).err() == Some(TakeError::Forked),
            commit == Some(seqslot::CommitError::Forked),
            state.publish(&2).is_err(),
        ];
        // Everything that could be given up is given up.
        drop(held.to_vec());
        answers.iter().all(|right| *right)
    });
    assert!(refused, "the child's handles answer Forked");
    let mut peer = Peer::start(test, "looks", &path);
    peer.expect("untouched");
    peer.join();
    assert_eq!(&*held, b"held");
    loan.take().unwrap().commit_len(2).unwrap();
    assert_eq!(reader.take().unwrap().as_deref(), Some(&b"unread"[..]));
    state.publish(&3).unwrap();
}

#[test]
fn the_seeds_face_is_refused_in_a_forked_child_too() {
    let (_folder, path) = place();
    let allocator = seqslot::PosixSlotAllocator::create(&path, 2, 8).unwrap();
    let handle = allocator.reserve_slot(1).unwrap();
    let refused = in_a_forked_child(|| {
        let forked = Some(SlotError::Forked);
        allocator.reserve_slot(1).err() == forked && allocator.commit_slot(handle, b"x").err() == forked
    });
    assert!(refused);
    assert_eq!(allocator.commit_slot(handle, b"x").unwrap(), 0);
}

/// Whose parent was killed.
struct Orphan(i32);

impl Orphan {
    /// Kills it; whether it lived.
    fn end(&self) -> bool {
        // SAFETY: a number; it is the child's: it ends by this signal only, or a minute later.
        unsafe { libc::kill(self.0, libc::SIGKILL) == 0 }
    }
}

impl Drop for Orphan {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.end();
        }
    }
}

/// In a forked child: keeps what it inherited, but for the pipes to the test, until it is killed; a minute at most.
fn wait_for_a_signal() -> ! {
    for pipe in 0..3 {
        // SAFETY: nothing in this process uses it any more.
        unsafe { libc::close(pipe) };
    }
    // SAFETY: a number.
    unsafe { libc::alarm(60) };
    loop {
        // SAFETY: sleeps until a signal.
        unsafe { libc::pause() };
    }
}

#[test]
fn a_forked_child_that_lives_on_does_not_keep_its_dead_parent_alive() {
    if let Some((_, path)) = role() {
        let segment = seqslot::attach(path).unwrap();
        let (writer, reader) = (segment.writer().unwrap(), segment.reader().unwrap());
        let _loan = writer.loan().unwrap();
        // SAFETY: the child does nothing but wait for its end.
        let child = unsafe { libc::fork() };
        if child == 0 {
            wait_for_a_signal();
        }
        say(&format!("forked={child}"));
        pause();
        drop(reader);
        return;
    }
    let test = "a_forked_child_that_lives_on_does_not_keep_its_dead_parent_alive";
    let (_folder, path) = place();
    let segment = seqslot::create(&path, &Config::slots(1, 8)).unwrap();
    let mut peer = Peer::start(test, "parent", &path);
    let child = Orphan(peer.expect("forked=").parse().unwrap());
    peer.kill();
    let writer = segment.writer().unwrap();
    // The loan came free with the join. The reader is in the way of the second sample.
    writer.send_timeout(b"on", LONG).unwrap();
    writer.send_timeout(b"and on", LONG).unwrap();
    let stats = segment.stats();
    assert!(child.end(), "the child lived on");
    assert_eq!((stats.recovered_writers, stats.recovered_slots, segment.active_readers()), (1, 1, 0));
}

static SIGNALS: AtomicU32 = AtomicU32::new(0);

extern "C" fn count(_signal: libc::c_int) {
    SIGNALS.fetch_add(1, Ordering::Relaxed);
}

/// Sends SIGUSR1 to the calling thread, every half millisecond, while `body` runs; system calls are interrupted by it.
fn in_a_storm<T>(body: impl FnOnce() -> T) -> T {
    // SAFETY: a plain C struct for which zero is valid: no flags, so that calls are not started anew.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = count as extern "C" fn(libc::c_int) as usize;
    // SAFETY: a handler that touches one atomic, and a value to read from.
    assert_eq!(unsafe { libc::sigaction(libc::SIGUSR1, &raw const action, std::ptr::null_mut()) }, 0);
    // SAFETY: takes nothing, cannot fail.
    let me = unsafe { libc::pthread_self() } as usize;
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                // SAFETY: the thread waits for this one to end before it does.
                unsafe { libc::pthread_kill(me as libc::pthread_t, libc::SIGUSR1) };
                std::thread::sleep(Duration::from_micros(500));
            }
        });
        let answer = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body));
        is_over.store(true, Ordering::Relaxed);
        answer.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

#[test]
fn a_storm_of_signals_neither_cuts_nor_stretches_a_wait_and_loses_nothing() {
    const EACH: u32 = 2_000;
    if let Some((_, path)) = role() {
        let segment = seqslot::attach(path).unwrap();
        let writer = segment.writer().unwrap();
        pause();
        in_a_storm(|| {
            for number in 0..EACH {
                // Now and then the reader has time to park.
                if number % 50 == 0 {
                    std::thread::sleep(Duration::from_millis(3));
                }
                writer.send_timeout(&sample(0, number), LONG).unwrap();
            }
        });
        return;
    }
    let test = "a_storm_of_signals_neither_cuts_nor_stretches_a_wait_and_loses_nothing";
    let (_folder, path) = place();
    let segment = seqslot::create(&path, &Config::slots(2, 8)).unwrap();
    let before = SIGNALS.load(Ordering::Relaxed);
    // Waits that end without anything, the reader's longer than one of its slices: not before their time, and they do end.
    in_a_storm(|| {
        let (writer, reader) = (segment.writer().unwrap(), segment.reader().unwrap());
        let (limit, start) = (Duration::from_millis(1_200), Instant::now());
        assert_eq!(reader.take_timeout(limit).err(), Some(TakeError::TimedOut));
        assert!(start.elapsed() >= limit, "cut after {:?}", start.elapsed());
        let _loans = [writer.loan().unwrap(), writer.loan().unwrap()];
        let (limit, start) = (Duration::from_millis(250), Instant::now());
        assert_eq!(writer.loan_timeout(limit).err(), Some(LoanError::TimedOut));
        assert!(start.elapsed() >= limit, "cut after {:?}", start.elapsed());
    });
    assert!(SIGNALS.load(Ordering::Relaxed) > before + 10, "hardly a storm");
    // Samples under storms on both sides.
    let mut peer = Peer::start(test, "writer", &path);
    in_a_storm(|| take_all(&segment, 1, EACH, || peer.go_on()));
    peer.join();
}
