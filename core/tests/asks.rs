//! What a platform is asked for, and that its answers, however odd, do not keep a wait from ending.
#![allow(missing_docs)]

mod seeds_support;

use core::time::Duration;
use std::cell::Cell;
use std::rc::Rc;

use seeds_support::region;
use seqslot_core::layout::head::Head;
use seqslot_core::{
    Access, AtomicU32, Bare, ClaimOf, Config, CreateFault, Created, LoanError, ObjectSpec, OpenFault, Os, Process, Region, Segment,
    SnapshotConfig, SnapshotReader, SnapshotWriter, TakeError, Woken,
};

/// A region whose platform notes what it is asked for, and whose waits return at once, as if somebody had woken them.
#[derive(Clone)]
struct Restless {
    bare: Bare<'static>,
    asked: Rc<Cell<Option<ObjectSpec>>>,
    waits: Rc<Cell<u32>>,
    /// What each wait takes; zero is a platform without a clock.
    each: Duration,
}

fn restless(len: usize, each: Duration) -> Restless {
    Restless { bare: Bare::new(region(len)), asked: Rc::default(), waits: Rc::default(), each }
}

// SAFETY: 1. objects are made by `Bare`, whose answer this is.
unsafe impl Os for Restless {
    type Name = ();
    type Mapping = Region<'static>;

    fn create(&self, (): &(), spec: ObjectSpec) -> Result<Created<Region<'static>, ClaimOf<Self>>, CreateFault> {
        self.asked.set(Some(spec));
        self.bare.create(&(), spec)
    }

    fn open(&self, (): &(), access: Access) -> Result<Region<'static>, OpenFault> {
        self.bare.open(&(), access)
    }

    fn wait(&self, _word: &AtomicU32, _expected: u32, _mask: u32, _timeout: Duration) -> Woken {
        self.waits.set(self.waits.get() + 1);
        Woken::Perhaps
    }

    fn wake(&self, _word: &AtomicU32, _mask: u32) {}

    fn sleep(&self, _time: Duration) {}

    fn now(&self) -> Duration {
        self.each * (1 + self.waits.get())
    }

    fn process(&self) -> Process {
        Process::default()
    }
}

#[test]
fn a_wait_that_is_always_woken_ends_with_and_without_a_clock() {
    for each in [Duration::ZERO, Duration::from_millis(1)] {
        let config = Config::slots(1, 8);
        let made = Segment::create(restless(config.len().unwrap(), each), &(), &config).unwrap();
        let (writer, reader) = (made.writer().unwrap(), made.reader().unwrap());
        assert_eq!(reader.take_timeout(Duration::from_millis(20)).err(), Some(TakeError::TimedOut));
        assert!((20..=22).contains(&made.os().waits.get()), "{} waits of a millisecond each", made.os().waits.get());
        writer.send(b"unread").unwrap();
        made.os().waits.set(0);
        assert_eq!(writer.loan_timeout(Duration::from_millis(20)).err(), Some(LoanError::TimedOut));
        assert!((20..=22).contains(&made.os().waits.get()));
    }
}

#[test]
fn what_a_configuration_says_of_the_object_reaches_the_platform() {
    let asked = |config: Config| {
        let os = restless(config.len().unwrap(), Duration::ZERO);
        let asked = Rc::clone(&os.asked);
        let made = Segment::create(os, &(), &config).unwrap();
        assert_eq!(made.geometry().total_len, config.len().unwrap());
        asked.get().unwrap()
    };
    let plain = Config::slots(4, 64);
    let spec = ObjectSpec { len: plain.len().unwrap(), reserve: true, group: false };
    assert!(!plain.is_sparse() && plain.clone().sparse().is_sparse());
    assert_eq!(asked(plain.clone()), spec);
    assert_eq!(asked(plain.clone().sparse()), ObjectSpec { reserve: false, ..spec });
    assert_eq!(asked(plain.clone().group()), ObjectSpec { group: true, ..spec });
    let wide = plain.align(64);
    assert_eq!(wide.len().unwrap(), asked(wide.clone()).len);
}

#[test]
fn what_a_snapshots_configuration_says_reaches_the_platform_and_the_head() {
    let asked = |config: SnapshotConfig| {
        let os = restless(8192, Duration::ZERO);
        let asked = Rc::clone(&os.asked);
        let mut writer = SnapshotWriter::<_, [u8; 40]>::create(os.clone(), &(), config).unwrap();
        writer.publish(&[7; 40]).unwrap();
        let mut reader = SnapshotReader::<_, [u8; 40]>::attach(os.clone(), &()).unwrap();
        assert_eq!(*reader.snapshot().unwrap(), [7; 40]);
        (asked.get().unwrap(), Head::of(&os.open(&(), Access::ReadOnly).unwrap()).unwrap())
    };
    let plain = SnapshotConfig::of::<[u8; 40]>();
    let (spec, head) = asked(plain);
    assert!(spec.reserve && !spec.group && head.instance != [0; 16]);
    let (spec, _) = asked(plain.sparse(true).group(true));
    assert!(!spec.reserve && spec.group);
    let (_, head) = asked(plain.align(64).instance([9; 16]).buffers(4));
    assert_eq!((head.payload_align, head.instance, head.count), (64, [9; 16], 4));
}
