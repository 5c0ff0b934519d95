//! Calls that end, whatever peers and platforms do.

use core::time::Duration;
use std::cell::Cell;

use seqslot_core::{
    Access, AtomicU32, Bare, ClaimOf, CreateFault, Created, ObjectSpec, OpenFault, Os, Process, Region, SnapshotConfig, SnapshotReader,
    SnapshotWriter, Woken,
};
use seqslot_hostile::World;

/// A platform without a clock whose every wait ends at once, for nothing: a peer bumps the word and puts it back.
#[derive(Clone)]
struct Restless<'r> {
    bare: Bare<'r>,
    waits: &'r Cell<u32>,
}

// SAFETY: objects are those of the platform within.
unsafe impl<'r> Os for Restless<'r> {
    type Name = ();
    type Mapping = Region<'r>;

    fn create(&self, name: &(), spec: ObjectSpec) -> Result<Created<Region<'r>, ClaimOf<Self>>, CreateFault> {
        self.bare.create(name, spec)
    }
    fn open(&self, name: &(), access: Access) -> Result<Region<'r>, OpenFault> {
        self.bare.open(name, access)
    }
    fn wait(&self, _word: &AtomicU32, _expected: u32, _mask: u32, _timeout: Duration) -> Woken {
        self.waits.set(self.waits.get() + 1);
        assert!(self.waits.get() < 10_000, "woken for nothing, and waits on");
        Woken::Perhaps
    }
    fn wake(&self, word: &AtomicU32, mask: u32) {
        self.bare.wake(word, mask);
    }
    fn sleep(&self, time: Duration) {
        self.bare.sleep(time);
    }
    fn now(&self) -> Duration {
        self.bare.now()
    }
    fn process(&self) -> Process {
        self.bare.process()
    }
}

#[test]
fn a_wait_for_a_newer_snapshot_ends_without_a_clock_however_often_it_is_woken() {
    let world = World::new(4096);
    let waits = Cell::new(0);
    world.as_region(|region| {
        let os = Restless { bare: Bare::new(region), waits: &waits };
        let mut writer = SnapshotWriter::<_, u32>::create(os.clone(), &(), SnapshotConfig::of::<u32>().always_wake(true)).unwrap();
        let mut reader = SnapshotReader::<_, u32>::attach(os, &()).unwrap();
        writer.publish(&7).unwrap();
        assert_eq!(*reader.snapshot().unwrap(), 7);
        assert!(!reader.wait_newer(Duration::from_millis(20)));
    });
    assert!(waits.get() > 1);
}
