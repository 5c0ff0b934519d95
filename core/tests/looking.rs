//! Looking without touching: inspection, the list of shared words, who lags and for how long, and what handles print of themselves.
#![allow(missing_docs)]

mod seeds_support;

use core::time::Duration;

use seeds_support::{face, region, segment};
use seqslot_core::layout::control::OWNER_AT;
use seqslot_core::{
    Bare, Config, HeadError, Inspection, LagWatch, Lock, Memory, Observer, Ordering, Publisher, ReaderIndex, Segment, SnapshotConfig,
    SnapshotReader, SnapshotWriter, WriterIndex,
};

/// Every word of the segment.
fn words(segment: &Segment<Bare<'static>>) -> Vec<u32> {
    let memory = segment.view().memory();
    // SAFETY: multiples of 4 below the length; the region is leaked.
    (0..memory.len() / 4).map(|word| unsafe { memory.load(word * 4, Ordering::Relaxed) }).collect()
}

#[test]
fn an_inspection_sees_what_is_there_and_changes_nothing() {
    let segment = segment(&Config::slots(4, 64).type_hash([3; 16]));
    let (writer, reader) = (segment.writer().unwrap(), segment.reader().unwrap());
    writer.send(b"hello").unwrap();
    let held = writer.loan().unwrap();
    let before = words(&segment);
    let seen = Inspection::of(segment.mapping()).unwrap();
    assert_eq!((seen.head(), seen.geometry()), (segment.head(), segment.geometry()));
    assert!(seen.is_claimed(Lock::reader(0)).unwrap() && seen.is_claimed(Lock::writer(0)).unwrap());
    assert!(!seen.is_claimed(Lock::reader(1)).unwrap());
    let slot = seen.slot(0).unwrap().words();
    assert_eq!((slot.size, slot.unread, slot.writer, slot.pins), (5, reader.index().bit(), 1, 0));
    assert_eq!(slot.sequence, segment.geometry().ring_len);
    assert_eq!((slot.state >> 26, slot.generation), (0, slot.state));
    assert_eq!(seen.slot(held.slot()).unwrap().words().state >> 26, 1, "on loan to writer 0");
    assert!(seen.slot(4).is_none());
    assert_eq!(words(&segment), before);
    drop(held);
}

#[test]
fn an_empty_region_and_a_snapshot_are_no_slots() {
    let empty = region(4096);
    assert_eq!(Inspection::of(&empty).err(), Some(HeadError::NotReady));
    let snapshot = region(4096);
    assert!(Publisher::<u32>::format(snapshot, SnapshotConfig::of::<u32>()).is_ok());
    assert_eq!(Inspection::of(&snapshot).err(), Some(HeadError::Kind { found: 2, expected: 1 }));
}

#[test]
fn the_list_of_shared_words_has_each_once_and_none_of_a_payload() {
    let segment = segment(&Config::slots(70, 100).writers(3).readers(5));
    let mut listed = Vec::new();
    segment.view().for_each_word(|at| listed.push(at));
    let count = listed.len();
    listed.sort_unstable();
    listed.dedup();
    assert_eq!(listed.len(), count, "one is there twice");
    let geometry = segment.geometry();
    assert!(listed.iter().all(|at| at.is_multiple_of(4) && *at >= 128 && at + 4 <= geometry.total_len));
    for slot in segment.view().slots() {
        let payload = slot.payload_at()..slot.payload_at() + geometry.capacity as usize;
        assert!(!listed.iter().any(|at| payload.contains(at)), "payload of slot {}", slot.index());
        let state = slot.state().at();
        assert!(listed.binary_search(&state).is_ok() && listed.binary_search(&slot.unread().at()).is_ok());
    }
    let view = segment.view();
    let writer = view.writer_entry(WriterIndex::new(2).unwrap()).unwrap();
    let ring = view.ring(WriterIndex::new(2).unwrap()).unwrap();
    let last = geometry.ring_len - 1;
    for word in [view.active(), view.change_generation(), writer.head(), writer.lock(), ring.tag(last), ring.index(0)] {
        assert!(listed.binary_search(&word.at()).is_ok(), "{:#x}", word.at());
    }
    assert!(listed.binary_search(&OWNER_AT).is_ok());
}

#[test]
fn whoever_stands_still_with_something_owed_is_told_for_how_long() {
    let made = clocked::segment(&Config::slots(8, 8));
    let (writer, hangs, reads) = (made.writer().unwrap(), made.reader().unwrap(), made.reader().unwrap());
    let mut watch = LagWatch::default();
    let mut look = || {
        let mut since = [None; 32];
        watch.look(&made, |lag, time| since[lag.reader.index().get() as usize] = Some(time));
        since
    };
    writer.send(b"a").unwrap();
    assert_eq!(look()[..2], [Some(Duration::ZERO); 2]);
    made.os().tick(Duration::from_secs(5));
    drop(reads.take().unwrap());
    let hung = look();
    assert_eq!((hung[0], hung[1]), (Some(Duration::from_secs(5)), Some(Duration::ZERO)));
    // It goes on: the time starts anew. Who owes nothing does not hang, however long.
    drop(hangs.take().unwrap());
    made.os().tick(Duration::from_secs(5));
    assert_eq!(look()[..2], [Some(Duration::ZERO); 2]);
    made.os().tick(Duration::from_secs(5));
    assert_eq!(look()[..2], [Some(Duration::ZERO); 2]);
    // Who has gone is forgotten, and its successor is not blamed.
    writer.send(b"b").unwrap();
    assert_eq!(look()[0], Some(Duration::ZERO));
    drop(hangs);
    assert_eq!(look()[0], None);
    made.os().tick(Duration::from_secs(5));
    let successor = made.reader().unwrap();
    assert_eq!(successor.index(), ReaderIndex::new(0).unwrap());
    assert_eq!(look()[0], Some(Duration::ZERO));
}

#[test]
fn a_readers_identity_names_its_index_its_generation_and_its_lock() {
    let segment = segment(&Config::slots(2, 8));
    let first = segment.reader().unwrap().id();
    let again = segment.reader().unwrap();
    assert_eq!((again.id().index(), again.id().lock()), (first.index(), Lock::reader(0)));
    assert_eq!(again.id().generation(), first.generation() + 1);
    assert!(segment.reader_lives(again.index()).unwrap() && !segment.reader_lives(ReaderIndex::new(1).unwrap()).unwrap());
}

#[test]
fn handles_print_who_they_are_and_no_payload() {
    let made = segment(&Config::slots(2, 16));
    let (writer, reader) = (made.writer().unwrap(), made.reader().unwrap());
    assert!(core::ptr::eq(writer.segment(), &made) && core::ptr::eq(reader.segment(), &made));
    let mut loan = writer.loan().unwrap();
    loan[..6].copy_from_slice(b"secret");
    assert_eq!(format!("{loan:?}"), "Loan { slot: 0, .. }");
    loan.commit_len(6).unwrap();
    let sample = reader.take().unwrap().unwrap();
    assert_eq!(sample.len_bytes(), 6);
    assert_eq!(format!("{sample:?}"), "Sample { writer: WriterIndex(0), sequence: 0, len: 6, slot: 0, .. }");
    assert!(format!("{made:?}").contains("owner: true"));
    assert!(format!("{:?}", face(2, 16)).starts_with("SlotFace { segment: Segment { head: Head {"));
    assert_eq!(format!("{} {}", writer.index(), reader.index()), "0 0");
}

#[test]
fn snapshot_handles_print_generations_and_no_value() {
    let own = region(4096);
    let mut publisher = Publisher::<u32>::format(own, SnapshotConfig::of::<u32>()).unwrap();
    let mut observer = Observer::<u32>::attach(own).unwrap();
    let generation = publisher.publish_bytes(&0xABCD_u32.to_ne_bytes()).unwrap();
    assert_eq!((observer.latest(), *observer.snapshot().unwrap().value()), (generation, 0xABCD));
    assert_eq!(format!("{publisher:?} {observer:?}"), "Publisher { generation: 1, .. } Observer { seen: 1, .. }");
    let os = Bare::new(region(4096));
    let mut writer = SnapshotWriter::<_, u32>::create(os, &(), SnapshotConfig::of::<u32>()).unwrap();
    let mut reader = SnapshotReader::<_, u32>::attach(os, &()).unwrap();
    assert!(reader.cached().is_none());
    let generation = writer.publish(&7).unwrap();
    assert_eq!((reader.latest(), *reader.snapshot().unwrap()), (generation, 7));
    writer.publish(&8).unwrap();
    assert_eq!(reader.cached().map(|seen| *seen), Some(7));
    assert!(format!("{writer:?}").ends_with("is_owner: true, .. }"));
    assert_eq!(format!("{reader:?}"), format!("SnapshotReader {{ seen: {generation}, .. }}"));
}

/// A region with a clock that the test moves.
mod clocked {
    use core::time::Duration;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

    use seqslot_core::{
        Access, AtomicU32, Bare, ClaimOf, Config, CreateFault, Created, ObjectSpec, OpenFault, Os, Process, Region, Segment, Woken,
    };

    #[derive(Clone)]
    pub struct Clocked(Bare<'static>, Arc<AtomicU64>);

    pub fn segment(config: &Config) -> Segment<Clocked> {
        let bare = Bare::new(super::region(config.len().unwrap()));
        Segment::create(Clocked(bare, Arc::default()), &(), config).unwrap()
    }

    impl Clocked {
        pub fn tick(&self, time: Duration) {
            self.1.fetch_add(time.as_millis() as u64, Relaxed);
        }
    }

    // SAFETY: 1. objects are made by `Bare`, whose answer this is.
    unsafe impl Os for Clocked {
        type Name = ();
        type Mapping = Region<'static>;

        fn create(&self, (): &(), spec: ObjectSpec) -> Result<Created<Region<'static>, ClaimOf<Self>>, CreateFault> {
            self.0.create(&(), spec)
        }

        fn open(&self, (): &(), access: Access) -> Result<Region<'static>, OpenFault> {
            self.0.open(&(), access)
        }

        fn wait(&self, word: &AtomicU32, expected: u32, mask: u32, timeout: Duration) -> Woken {
            self.0.wait(word, expected, mask, timeout)
        }

        fn wake(&self, _word: &AtomicU32, _mask: u32) {}

        fn sleep(&self, _time: Duration) {}

        fn now(&self) -> Duration {
            Duration::from_millis(self.1.load(Relaxed))
        }

        fn process(&self) -> Process {
            Process::default()
        }
    }
}
