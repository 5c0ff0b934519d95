//! Waits where the system makes no heavy fences (any more) in a segment whose notifiers rely on them.

use core::sync::atomic::AtomicU8;
use core::time::Duration;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

use seqslot_core::*;

/// A platform that enrolls, refuses every heavy fence, has no clock, and notes how long it was asked to sleep.
#[derive(Clone, Debug)]
struct Refusing {
    bare: Bare<'static>,
    region: Region<'static>,
    slept: Rc<RefCell<Vec<Duration>>>,
    claims: Rc<Cell<u32>>,
}

#[derive(Clone, Debug)]
struct Counting(Region<'static>, Rc<Cell<u32>>);

// SAFETY: passes everything on to the region's own mapping.
unsafe impl Mapping for Counting {
    type Memory = Raw;
    type Claim = BareClaim<'static>;
    fn memory(&self) -> Raw {
        self.0.memory()
    }
    fn claim(&self, lock: Lock, word: &AtomicU32) -> Result<Option<BareClaim<'static>>, OsError> {
        self.1.set(self.1.get() + 1);
        self.0.claim(lock, word)
    }
    fn is_claimed(&self, lock: Lock, word: &AtomicU32) -> Result<bool, OsError> {
        self.0.is_claimed(lock, word)
    }
    fn unlink(&self) -> Result<(), OsError> {
        Ok(())
    }
    fn alignment(&self) -> usize {
        self.0.alignment()
    }
}

// SAFETY: one thread; nobody wakes anybody.
unsafe impl Os for Refusing {
    type Name = ();
    type Mapping = Counting;
    fn create(&self, name: &(), spec: ObjectSpec) -> Result<Created<Counting, BareClaim<'static>>, CreateFault> {
        let created = self.bare.create(name, spec)?;
        Ok(Created { mapping: Counting(created.mapping, Rc::clone(&self.claims)), owner: created.owner })
    }
    fn open(&self, _: &(), _: Access) -> Result<Counting, OpenFault> {
        Ok(Counting(self.region, Rc::clone(&self.claims)))
    }
    fn wait(&self, _: &AtomicU32, _: u32, _: u32, timeout: Duration) -> Woken {
        self.slept.borrow_mut().push(timeout);
        Woken::TimedOut
    }
    fn wake(&self, _: &AtomicU32, _: u32) {}
    fn sleep(&self, _: Duration) {}
    fn now(&self) -> Duration {
        Duration::ZERO
    }
    fn process(&self) -> Process {
        Process::default()
    }
    fn enroll(&self) -> bool {
        true
    }
}

#[repr(align(64))]
struct Bank([AtomicU8; 16384]);

fn refusing() -> Refusing {
    let bank: &'static Bank = Box::leak(Box::new(Bank([const { AtomicU8::new(0) }; 16384])));
    // SAFETY: leaked just now, and one segment is made in it.
    let region = unsafe { Region::new(&bank.0) }.expect("aligned");
    Refusing { bare: Bare::new(region), region, slept: Rc::default(), claims: Rc::default() }
}

/// It sleeps for moments only, and they add up to the timeout: not each moment to a slice.
#[test]
fn a_wait_that_is_not_covered_lasts_as_long_as_it_was_asked_to() {
    let os = refusing();
    let segment = Segment::create(os.clone(), &(), &Config::slots(1, 8)).expect("it fits");
    let (reader, writer) = (segment.reader().expect("an entry"), segment.writer().expect("an entry"));
    let total = Duration::from_secs(2);
    assert_eq!(reader.take_timeout(total).err(), Some(TakeError::TimedOut));
    let slept = os.slept.take();
    assert!(slept.iter().all(|slice| *slice <= Duration::from_millis(1)), "{slept:?}");
    assert_eq!(slept.iter().sum::<Duration>(), total);
    writer.send(b"held").expect("free");
    assert_eq!(writer.loan_timeout(total).err(), Some(LoanError::TimedOut));
    assert_eq!(os.slept.take().iter().sum::<Duration>(), total);
}

/// The dead are looked for once a slice, as by those who are covered: every moment would cost system calls for each entry.
#[test]
fn a_wait_that_is_not_covered_looks_for_the_dead_no_more_often() {
    let os = refusing();
    let segment = Segment::create(os.clone(), &(), &Config::slots(1, 8)).expect("it fits");
    let (reader, _writer) = (segment.reader().expect("an entry"), segment.writer().expect("an entry"));
    let before = os.claims.get();
    assert_eq!(reader.take_timeout(Duration::from_secs(3)).err(), Some(TakeError::TimedOut));
    let tried = os.claims.get() - before;
    assert!((2..=8).contains(&tried), "{tried} claims for 2 entries in 3 slices");
}
