//! The snapshot's writer and reader over an operating system: claims, takeover, the duty to unlink, who lives, waiting.

mod snapshot_support;

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use seqslot_core::layout::snapshot::LATEST_LOW_AT;
use seqslot_core::{
    Access, AtomicU32, AttachError, Claim, ClaimOf, CreateError, CreateFault, Created, HeadError, Lock, Mapping, ObjectSpec, OpenFault, Os,
    OsError, Process, Raw, Region, SnapshotConfig, SnapshotError, SnapshotReader, SnapshotWriter, Woken, WriterLife,
};
use snapshot_support::{load, region};

/// What happens while somebody sleeps.
type Event = Box<dyn FnMut()>;

/// One machine, as small as it can be: named regions, locks, and a clock that only sleeping moves.
#[derive(Clone, Default)]
struct Machine {
    objects: Rc<std::cell::RefCell<HashMap<String, Object>>>,
    now: Rc<Cell<Duration>>,
    wakes: Rc<Cell<u32>>,
    pid: u32,
    on_sleep: Rc<std::cell::RefCell<Option<Event>>>,
}

#[derive(Clone)]
struct Object {
    region: Region<'static>,
    locks: Arc<Mutex<HashSet<u8>>>,
}

struct Mapped {
    object: Object,
    name: String,
    machine: Machine,
}

struct Held {
    object: Object,
    lock: u8,
    is_child: Rc<Cell<bool>>,
}

thread_local! {
    /// Whether this "process" is a forked child, as its claims see it.
    static CHILD: Rc<Cell<bool>> = Rc::default();
}

impl Claim for Held {
    fn is_mine(&self) -> bool {
        !self.is_child.get()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.is_mine() {
            self.object.locks.lock().unwrap().remove(&self.lock);
        }
    }
}

impl Object {
    fn claim(&self, lock: Lock) -> Option<Held> {
        let free = self.locks.lock().unwrap().insert(lock.number());
        free.then(|| Held { object: self.clone(), lock: lock.number(), is_child: CHILD.with(Rc::clone) })
    }
}

// SAFETY: 4. the region lives for ever. 9, 10. one process, a table of locks.
unsafe impl Mapping for Mapped {
    type Memory = Raw;
    type Claim = Held;

    fn memory(&self) -> Raw {
        self.object.region.raw()
    }

    fn claim(&self, lock: Lock, _word: &AtomicU32) -> Result<Option<Held>, OsError> {
        Ok(self.object.claim(lock))
    }

    fn is_claimed(&self, lock: Lock, _word: &AtomicU32) -> Result<bool, OsError> {
        Ok(self.object.locks.lock().unwrap().contains(&lock.number()))
    }

    fn unlink(&self) -> Result<(), OsError> {
        self.machine.objects.borrow_mut().remove(&self.name);
        Ok(())
    }
}

// SAFETY: 1. each object is allocated, zeroed, for its call.
unsafe impl Os for Machine {
    type Name = str;
    type Mapping = Mapped;

    fn create(&self, name: &str, spec: ObjectSpec) -> Result<Created<Mapped, ClaimOf<Self>>, CreateFault> {
        if let Some(old) = self.objects.borrow().get(name)
            && old.locks.lock().unwrap().contains(&Lock::OWNER.number())
        {
            return Err(CreateFault::AlreadyExists { pid: 1 });
        }
        assert!(spec.len <= 4096);
        let object = Object { region: region::<4096>(), locks: Arc::default() };
        let owner = object.claim(Lock::OWNER).expect("a new object");
        self.objects.borrow_mut().insert(name.into(), object.clone());
        Ok(Created { mapping: Mapped { object, name: name.into(), machine: self.clone() }, owner })
    }

    fn open(&self, name: &str, _access: Access) -> Result<Mapped, OpenFault> {
        let object = self.objects.borrow().get(name).cloned().ok_or(OpenFault::NotFound)?;
        Ok(Mapped { object, name: name.into(), machine: self.clone() })
    }

    fn wait(&self, word: &AtomicU32, expected: u32, _mask: u32, timeout: Duration) -> Woken {
        self.sleep(timeout);
        if word.load(seqslot_core::Ordering::Acquire) == expected { Woken::TimedOut } else { Woken::Perhaps }
    }

    fn wake(&self, _word: &AtomicU32, _mask: u32) {
        self.wakes.set(self.wakes.get() + 1);
    }

    fn sleep(&self, time: Duration) {
        self.now.set(self.now.get() + time);
        if let Some(event) = self.on_sleep.borrow_mut().as_mut() {
            event();
        }
    }

    fn now(&self) -> Duration {
        self.now.get()
    }

    fn process(&self) -> Process {
        Process { pid: self.pid, start_time: 0x1_0000_0002, pid_namespace: 9 }
    }
}

fn machine() -> Machine {
    Machine { pid: 41, ..Machine::default() }
}

fn config() -> SnapshotConfig {
    SnapshotConfig::of::<[u32; 4]>()
}

type Writer = SnapshotWriter<Machine, [u32; 4]>;
type Reader = SnapshotReader<Machine, [u32; 4]>;

/// The process of this writer dies: its locks are free, and nothing else happens.
fn kill(machine: &Machine, name: &str, writer: Writer) {
    machine.objects.borrow()[name].locks.lock().unwrap().clear();
    std::mem::forget(writer);
}

#[test]
fn a_value_travels_and_the_second_look_is_unchanged() {
    let os = machine();
    let mut writer = Writer::create(os.clone(), "pose", config()).unwrap();
    let mut reader = Reader::attach(os, "pose").unwrap();
    assert_eq!(reader.snapshot().map(|seen| *seen), Err(SnapshotError::Empty));
    assert_eq!(writer.publish(&[1, 2, 3, 4]), Ok(1));
    let seen = reader.snapshot().unwrap();
    assert_eq!((*seen, seen.is_fresh(), seen.generation()), ([1, 2, 3, 4], true, 1));
    assert!(!reader.snapshot().unwrap().is_fresh());
}

#[cfg(feature = "alloc")]
#[test]
fn bytes_travel_too() {
    let os = machine();
    let mut writer = SnapshotWriter::<_, [u8]>::create(os.clone(), "text", SnapshotConfig::bytes(5)).unwrap();
    let mut reader = SnapshotReader::<_, [u8]>::attach(os, "text").unwrap();
    writer.publish(b"hello").unwrap();
    assert_eq!(&*reader.snapshot().unwrap(), b"hello");
    assert!(writer.publish(b"hell").is_err());
    assert_eq!(reader.value_len(), 5);
}

#[test]
fn there_is_one_writer_at_a_time_and_its_entry_says_who() {
    let os = machine();
    let writer = Writer::create(os.clone(), "pose", config()).unwrap();
    assert!(matches!(Writer::attach(os.clone(), "pose"), Err(AttachError::Taken { pid: 41 })));
    assert!(matches!(Writer::create(os.clone(), "pose", config()), Err(CreateError::AlreadyExists { .. })));
    let region = os.objects.borrow()["pose"].region;
    for entry in [512, 576] {
        assert_ne!(load(region, entry + 4), 0, "token");
        assert_eq!([8, 12, 16, 20].map(|field| load(region, entry + field)), [41, 2, 1, 9]);
        assert_eq!(load(region, entry + 24), 5, "in use, first generation");
    }
    drop(writer);
}

#[test]
fn the_owners_drop_takes_the_name_away_and_tells_readers() {
    let os = machine();
    let mut writer = Writer::create(os.clone(), "pose", config()).unwrap();
    writer.publish(&[7; 4]).unwrap();
    let mut reader = Reader::attach(os.clone(), "pose").unwrap();
    assert_eq!(reader.freshness().writer, WriterLife::Alive);
    drop(writer);
    assert_eq!(reader.freshness().writer, WriterLife::Left);
    assert_eq!(*reader.snapshot().unwrap(), [7; 4]);
    assert!(matches!(Reader::attach(os, "pose"), Err(AttachError::NotFound)));
}

#[test]
fn a_writer_that_leaves_keeps_the_segment_for_the_next() {
    let os = machine();
    let mut first = Writer::create(os.clone(), "pose", config()).unwrap();
    first.publish(&[1; 4]).unwrap();
    first.leave();
    let mut second = Writer::attach(os.clone(), "pose").unwrap();
    assert!(second.is_owner(), "nobody else is left to unlink");
    assert_eq!(second.generation(), 1);
    assert_eq!(second.publish(&[2; 4]), Ok(2));
    drop(second);
    assert!(matches!(Writer::attach(os, "pose"), Err(AttachError::NotFound)));
}

#[test]
fn after_a_death_readers_are_told_and_the_next_writer_goes_on() {
    let os = machine();
    let mut writer = Writer::create(os.clone(), "pose", config()).unwrap();
    writer.publish(&[1; 4]).unwrap();
    let mut reader = Reader::attach(os.clone(), "pose").unwrap();
    kill(&os, "pose", writer);
    let fresh = reader.freshness();
    assert_eq!((fresh.writer, fresh.writer_pid, fresh.generation), (WriterLife::Dead, 41, 1));
    assert_eq!(*reader.snapshot().unwrap(), [1; 4], "the last good value stays");
    let mut next = Writer::attach(Machine { pid: 42, ..os.clone() }, "pose").unwrap();
    next.publish(&[2; 4]).unwrap();
    assert_eq!(*reader.snapshot().unwrap(), [2; 4]);
    let fresh = reader.freshness();
    assert_eq!((fresh.writer, fresh.writer_pid), (WriterLife::Alive, 42));
}

#[test]
fn how_long_nothing_has_changed_is_told_by_the_readers_clock() {
    let os = machine();
    let mut writer = Writer::create(os.clone(), "pose", config()).unwrap();
    writer.publish(&[1; 4]).unwrap();
    let mut reader = Reader::attach(os.clone(), "pose").unwrap();
    assert_eq!(reader.freshness().unchanged_for, Duration::ZERO);
    os.sleep(Duration::from_secs(3));
    assert_eq!(reader.freshness().unchanged_for, Duration::from_secs(3));
    writer.publish(&[2; 4]).unwrap();
    assert_eq!(reader.freshness().unchanged_for, Duration::ZERO);
}

#[test]
fn a_forked_child_may_not_publish_and_its_drop_leaves_the_parents_segment_alone() {
    let os = machine();
    let mut writer = Writer::create(os.clone(), "pose", config()).unwrap();
    CHILD.with(|child| child.set(true));
    assert_eq!(writer.publish(&[1; 4]), Err(seqslot_core::PublishError::Forked));
    drop(writer);
    CHILD.with(|child| child.set(false));
    let mut reader = Reader::attach(os, "pose").unwrap();
    assert_eq!(reader.freshness().writer, WriterLife::Alive);
}

#[test]
fn another_type_or_kind_of_hash_is_refused() {
    let os = machine();
    let _writer = Writer::create(os.clone(), "pose", config().type_hash([3; 16])).unwrap();
    assert!(matches!(SnapshotReader::<_, [u32; 5]>::attach(os.clone(), "pose"), Err(AttachError::Head(HeadError::TypeMismatch))));
    assert!(matches!(Reader::attach_checked(os.clone(), "pose", [4; 16]), Err(AttachError::Head(HeadError::TypeMismatch))));
    assert!(Reader::attach_checked(os, "pose", [3; 16]).is_ok());
}

#[test]
fn a_wait_ends_with_the_next_publication_or_with_its_time() {
    for always_wake in [false, true] {
        let os = machine();
        let mut writer = Writer::create(os.clone(), "pose", config().always_wake(always_wake)).unwrap();
        let mut reader = Reader::attach(os.clone(), "pose").unwrap();
        assert!(!reader.wait_newer(Duration::ZERO));
        assert_eq!(os.now.get(), Duration::ZERO, "a wait of zero only looks");
        assert!(!reader.wait_newer(Duration::from_secs(5)));
        assert_eq!(os.now.get(), Duration::from_secs(5), "all of its time, and no more");
        writer.publish(&[1; 4]).unwrap();
        assert_eq!(os.wakes.get(), u32::from(always_wake), "a wake for each publication only where it was asked for");
        assert!(reader.wait_newer(Duration::ZERO));
        assert_eq!(*reader.snapshot().unwrap(), [1; 4]);
        // The next one comes while the reader sleeps.
        let mut naps = 0;
        *os.on_sleep.borrow_mut() = Some(Box::new(move || {
            naps += 1;
            if naps == 3 {
                writer.publish(&[2; 4]).unwrap();
            }
        }));
        assert!(reader.wait_newer(Duration::from_secs(60)));
        assert_eq!(*reader.snapshot().unwrap(), [2; 4]);
        assert!(os.now.get() < Duration::from_secs(9), "it did not sleep on");
    }
}

#[test]
fn a_failed_create_leaves_nothing_behind() {
    let os = machine();
    assert!(matches!(Writer::create(os.clone(), "pose", SnapshotConfig::bytes(15)), Err(CreateError::TypeMismatch)));
    assert!(matches!(Writer::create(os.clone(), "pose", config().buffers(3)), Err(CreateError::Geometry(_))));
    assert!(os.objects.borrow().is_empty());
    let _writer = Writer::create(os.clone(), "pose", config()).unwrap();
    assert_eq!(load(os.objects.borrow()["pose"].region, LATEST_LOW_AT), 0);
}
