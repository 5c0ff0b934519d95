//! Descriptors run out at every step of create, attach, join and recovery: an error that says so, nothing left behind or kept, and
//! all is well when there are some again. Tests of their own, one at a time, for the limit is the whole process's.

mod common;

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use common::*;
use seqslot_core::{
    AttachError, Config, CreateError, JoinError, LoanError, OsError, Segment, SnapshotConfig, SnapshotReader, SnapshotWriter,
};
use seqslot_os_linux::Linux;

/// More than any operation needs at a time.
const ENOUGH: u64 = 12;

fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sets the limit; what it was.
fn set_limit(limit: u64) -> u64 {
    let mut both = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: a value to write to.
    assert_eq!(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut both) }, 0);
    let was = std::mem::replace(&mut both.rlim_cur, limit);
    // SAFETY: a value to read from; only the soft limit is changed.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const both) }, 0);
    was
}

/// Runs `step` with so many descriptors to be had, and no more.
fn with_descriptors<T>(count: u64, step: impl FnOnce() -> T) -> T {
    let lowest = std::os::fd::AsRawFd::as_raw_fd(&std::fs::File::open("/dev/null").unwrap());
    let was = set_limit(u64::try_from(lowest).unwrap() + count);
    let answer = step();
    set_limit(was);
    answer
}

fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Runs `step` with no descriptor, with one, and so on, until it succeeds, which it must; what it gave. Each failure is EMFILE and keeps
/// no descriptor; `check` looks for what else it may have left.
fn until_enough<T>(what: &str, mut step: impl FnMut() -> Result<T, OsError>, check: impl Fn()) -> T {
    drop(step().map_err(|error| panic!("{what}: {error}")));
    let before = open_descriptors();
    for count in 0..ENOUGH {
        match with_descriptors(count, &mut step) {
            Ok(done) => {
                assert!(count > 0, "{what} needs a descriptor: nothing was tested");
                return done;
            }
            Err(error) => {
                assert_eq!(error.errno(), libc::EMFILE, "{what}, {count}: {error}");
                assert!(error.to_string().contains("open files"), "{what}: {error}");
            }
        }
        assert_eq!(open_descriptors(), before, "{what} keeps a descriptor after a failure with {count}");
        check();
        let whole = step().unwrap_or_else(|error| panic!("{what}, after a failure with {count}: {error}"));
        drop(whole);
    }
    panic!("{what} fails with {ENOUGH} descriptors");
}

fn of_create(error: CreateError) -> OsError {
    match error {
        CreateError::Os(error) => error,
        other => panic!("{other}"),
    }
}

fn of_attach(error: AttachError) -> OsError {
    match error {
        AttachError::Os(error) => error,
        other => panic!("{other}"),
    }
}

fn of_join(error: JoinError) -> OsError {
    match error {
        JoinError::Os(error) => error,
        other => panic!("{other}"),
    }
}

const CONFIG: Config = Config::slots(4, 64).writers(2).readers(2);

fn is_empty(dir: &Path) -> bool {
    std::fs::read_dir(dir).unwrap().next().is_none()
}

#[test]
fn a_create_without_descriptors_leaves_nothing() {
    let _alone = alone();
    let (dir, path) = place();
    let clean = || assert!(is_empty(dir.path()), "left behind");
    drop(until_enough("create", || Segment::create(Linux::new(), &path, &CONFIG).map_err(of_create), clean));
    let config = SnapshotConfig::of::<u64>();
    let make = || SnapshotWriter::<Linux, u64>::create(Linux::new(), &path, config).map_err(of_create);
    drop(until_enough("create of a snapshot", make, clean));
    clean();
}

#[test]
fn a_takeover_without_descriptors_leaves_what_can_be_taken_over() {
    if role().is_some() {
        let _segment = Segment::create(Linux::new(), &given_path(), &CONFIG).unwrap();
        tell("owned");
        return wait_for_parent();
    }
    let _alone = alone();
    let (dir, path) = place();
    let one_name = || assert!(std::fs::read_dir(dir.path()).unwrap().count() <= 1, "a draft is left");
    for count in 0..ENOUGH {
        let mut owner = Player::start("a_takeover_without_descriptors_leaves_what_can_be_taken_over", "owner", &path);
        owner.expects("owned");
        let object = Path::new("/dev/shm").join(&std::fs::read_to_string(&path).unwrap()[1..]);
        owner.kill();
        let taken = with_descriptors(count, || Segment::create(Linux::new(), &path, &CONFIG).map_err(of_create));
        one_name();
        let is_enough = taken.as_ref().map_err(|error| assert_eq!(error.errno(), libc::EMFILE, "{error}")).is_ok();
        drop(taken);
        drop(Segment::create(Linux::new(), &path, &CONFIG).unwrap());
        assert!(is_empty(dir.path()) && !object.exists());
        if is_enough {
            return assert!(count > 0);
        }
    }
    panic!("takes over never");
}

#[test]
fn an_attach_without_descriptors_can_be_repeated() {
    let _alone = alone();
    let (_dir, path) = place();
    let segment = Segment::create(Linux::new(), &path, &CONFIG).unwrap();
    let attached = until_enough("attach", || Segment::attach(Linux::new(), &path).map_err(of_attach), || ());
    assert!(attached.owner_lives().unwrap());
    drop((attached, segment));
    let _writer = SnapshotWriter::<Linux, u64>::create(Linux::new(), &path, SnapshotConfig::of::<u64>()).unwrap();
    until_enough("attach to a snapshot", || SnapshotReader::<Linux, u64>::attach(Linux::new(), &path).map_err(of_attach), || ());
}

#[test]
fn a_join_without_descriptors_takes_no_entry() {
    let _alone = alone();
    let (_dir, path) = place();
    let segment = Segment::create(Linux::new(), &path, &CONFIG).unwrap();
    let nobody = || assert_eq!(segment.active_readers(), 0);
    until_enough("join of a reader", || segment.reader().map_err(of_join), nobody);
    until_enough("join of a writer", || segment.writer().map_err(of_join), nobody);
    // All entries can be had.
    let (readers, writers) = ([segment.reader(), segment.reader()], [segment.writer(), segment.writer()]);
    assert!(readers.iter().all(Result::is_ok) && writers.iter().all(Result::is_ok));
}

/// Joins as a writer with a loan out and as a reader, and is killed.
fn die(path: &Path, test: &str) -> Player {
    let mut player = Player::start(test, "dies", path);
    player.expects("joined");
    player
}

fn to_be_killed() {
    let segment = Segment::attach(Linux::new(), &given_path()).unwrap();
    let (writer, _reader) = (segment.writer().unwrap(), segment.reader().unwrap());
    let _loan = writer.loan().unwrap();
    tell("joined");
    wait_for_parent();
}

#[test]
fn a_recovery_without_descriptors_is_done_when_there_are_some() {
    let test = "a_recovery_without_descriptors_is_done_when_there_are_some";
    if role().is_some() {
        return to_be_killed();
    }
    let _alone = alone();
    let (_dir, path) = place();
    let segment = Segment::create(Linux::new(), &path, &CONFIG).unwrap();
    let writer = segment.writer().unwrap();
    die(&path, test).kill();
    let before = open_descriptors();
    let error = with_descriptors(0, || segment.recover()).unwrap_err();
    assert_eq!(error.errno(), libc::EMFILE);
    // Attaching does not fail for it, and a writer that looks for the dead only finds nothing: what they hold is not free.
    assert_eq!(segment.active_readers().count_ones(), 1);
    let loans: Vec<_> = (0..3).map(|_| writer.loan().unwrap()).collect();
    assert_eq!(with_descriptors(0, || writer.loan_timeout(Duration::from_millis(150)).err()), Some(LoanError::TimedOut));
    assert_eq!(open_descriptors(), before);
    // With descriptors the same wait finds it.
    drop(writer.loan_timeout(Duration::from_secs(60)).unwrap());
    segment.recover().unwrap();
    assert_eq!(segment.active_readers(), 0);
    assert_eq!((segment.stats().recovered_writers, segment.stats().recovered_readers, segment.stats().recovered_slots), (1, 1, 1));
    drop(loans);
}

#[test]
fn recovery_of_an_evicted_reader_with_one_descriptor_of_two_is_done_later() {
    let test = "recovery_of_an_evicted_reader_with_one_descriptor_of_two_is_done_later";
    if role().is_some() {
        return to_be_killed();
    }
    let _alone = alone();
    let (_dir, path) = place();
    let segment = Segment::create(Linux::new(), &path, &CONFIG).unwrap();
    let mut player = die(&path, test);
    let mut reader = None;
    segment.lag(|lag| reader = Some(lag.reader));
    let index = reader.unwrap().index();
    // SAFETY: it is the other process's reader, which holds no sample.
    unsafe { segment.evict(reader.unwrap()) }.unwrap();
    player.kill();
    // The dead writer's lock needs one descriptor, the evicted reader's entry two: its own and that of evictions.
    let before = open_descriptors();
    assert_eq!(with_descriptors(1, || segment.recover()).unwrap_err().errno(), libc::EMFILE);
    assert_eq!(open_descriptors(), before);
    assert_eq!(segment.recover().unwrap().readers, index.bit());
    assert_eq!(segment.reader().unwrap().index(), index);
}
