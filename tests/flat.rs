//! The typed layer over named segments, between processes.
#![allow(clippy::result_large_err)]

#[allow(dead_code, reason = "a part of it is used here")]
mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use seqslot::{
    FlatReader, FlatStruct, FlatWriter, PosixSlotAllocator, PosixSlotError, Reliability, ShmLocator, SlotBackend, SlotError, WriteOutcome,
    is_local, locator_of,
};
use support::{Peer, place, role};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(60);

/// Every word says the same: a torn one is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Frame([u64; 32]);

impl FlatStruct for Frame {
    const TYPE_HASH: [u8; 16] = *b"frame of 32 word";
}

#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Other([u64; 32]);

impl FlatStruct for Other {
    const TYPE_HASH: [u8; 16] = *b"another 32 words";
}

const fn frame(number: u64) -> Frame {
    Frame([number; 32])
}

fn number_of(frame: Frame) -> u64 {
    assert_eq!(frame, self::frame(frame.0[0]), "torn");
    frame.0[0]
}

const _: () = {
    const fn is_send<T: Send>() {}
    const fn is_sync<T: Sync>() {}
    is_send::<FlatWriter<Frame, Arc<PosixSlotAllocator>>>();
    is_send::<FlatReader<Frame, Arc<PosixSlotAllocator>>>();
    is_sync::<FlatReader<Frame, Arc<dyn SlotBackend>>>();
};

#[test]
fn a_typed_segment_is_attached_to_as_what_it_is() {
    let (_folder, path) = place();
    let owner = PosixSlotAllocator::create_typed::<Frame>(&path, 2).unwrap();
    assert_eq!((owner.slot_capacity(), owner.type_hash()), (256, Some(Frame::TYPE_HASH)));
    assert!(PosixSlotAllocator::attach_typed::<Frame>(&path).is_ok());
    let mismatch = SlotError::TypeMismatch { expected: Other::TYPE_HASH, found: Some(Frame::TYPE_HASH) };
    let refused = PosixSlotAllocator::attach_typed::<Other>(&path).err();
    assert_eq!(refused, Some(PosixSlotError::Slot(mismatch.clone())));
    let untyped = PosixSlotAllocator::attach(&path).unwrap();
    assert_eq!(FlatWriter::<Other, _>::new(&untyped, 1).err(), Some(mismatch));
    drop(owner);

    let _bytes = PosixSlotAllocator::create(&path, 2, 256).unwrap();
    let refused = PosixSlotAllocator::attach_typed::<Frame>(&path).err();
    assert_eq!(refused, Some(PosixSlotError::Slot(SlotError::TypeMismatch { expected: Frame::TYPE_HASH, found: None })));
}

#[test]
fn a_writer_that_waits_and_a_reader_that_waits_wake_each_other_across_processes() {
    const FRAMES: u64 = 20_000;
    if let Some((_, path)) = role() {
        let slots = Arc::new(PosixSlotAllocator::attach_typed::<Frame>(path).unwrap());
        let mut reader = FlatReader::<Frame, _>::new(slots, 0).unwrap();
        for number in 0..FRAMES {
            let frame = reader.read_next_blocking(LONG).unwrap();
            assert_eq!(frame.map(number_of), Some(number));
        }
        return;
    }
    let (_folder, path) = place();
    let slots = Arc::new(PosixSlotAllocator::create_typed::<Frame>(&path, 2).unwrap());
    let writer = FlatWriter::<Frame, _>::new(Arc::clone(&slots), 1).unwrap();
    let peer = Peer::start("a_writer_that_waits_and_a_reader_that_waits_wake_each_other_across_processes", "reader", &path);
    for number in 0..FRAMES {
        let outcome = writer.write_bp(&frame(number), Reliability::Reliable, Duration::MAX);
        assert_eq!(outcome, Ok(WriteOutcome::Written(number as u32)));
    }
    peer.join();
}

#[test]
fn a_wait_lasts_its_timeout_and_no_less() {
    let (_folder, path) = place();
    let slots = PosixSlotAllocator::create_typed::<Frame>(&path, 1).unwrap();
    let writer = FlatWriter::<Frame, _>::new(&slots, 1).unwrap();
    let mut reader = FlatReader::<Frame, _>::new(&slots, 0).unwrap();
    let (start, timeout) = (Instant::now(), Duration::from_millis(30));
    assert_eq!(reader.read_blocking(timeout), Ok(None));
    assert!(start.elapsed() >= timeout);
    writer.write(&frame(1)).unwrap();
    let start = Instant::now();
    assert_eq!(writer.write_bp(&frame(2), Reliability::Reliable, timeout), Ok(WriteOutcome::TimedOut));
    assert!(start.elapsed() >= timeout);
    assert_eq!(reader.read_blocking(LONG), Ok(Some(frame(1))));
}

#[test]
fn what_others_do_meanwhile_makes_a_wait_neither_shorter_nor_endless() {
    let (_folder, path) = place();
    let slots = PosixSlotAllocator::create_typed::<Frame>(&path, 2).unwrap();
    let full = FlatWriter::<Frame, _>::new(&slots, 1).unwrap();
    full.write(&frame(1)).unwrap();
    let other = FlatWriter::<Frame, _>::new(&slots, 0b10).unwrap();
    let _loan = other.loan_slot().unwrap();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        // The generation moves without an end, and reader 0 reads nothing.
        scope.spawn(|| {
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                slots.mark_reader_disconnected(7).unwrap();
            }
        });
        let (start, timeout) = (Instant::now(), Duration::from_millis(50));
        let outcome = full.write_bp(&frame(2), Reliability::Reliable, timeout);
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(outcome, Ok(WriteOutcome::TimedOut));
        assert!(start.elapsed() >= timeout);
    });
}

#[test]
fn a_fork_of_the_writer_is_told_so_and_discards_nothing_of_its_parents() {
    let (_folder, path) = place();
    let slots = PosixSlotAllocator::create_typed::<Frame>(&path, 1).unwrap();
    let writer = FlatWriter::<Frame, _>::new(&slots, 1).unwrap();
    let loan = writer.loan_slot().unwrap();
    // SAFETY: the child calls what allocates nothing, and ends by `_exit`.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let told = writer.write(&frame(1)) == Err(SlotError::Forked);
        drop(loan);
        // SAFETY: ends the child at once.
        unsafe { libc::_exit(i32::from(!told)) };
    }
    let mut status = 0;
    // SAFETY: `status` is a place for the answer.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    assert_eq!(status, 0);
    assert_eq!(loan.commit(frame(3)), Ok(0));
}

#[test]
fn a_locator_leads_a_reader_on_this_host_to_the_segment() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("poses.flink");
    let owner = PosixSlotAllocator::create(&path, 4, 24).unwrap();
    let told = locator_of(&owner).unwrap().to_bytes_le().unwrap();

    let heard = ShmLocator::from_bytes_le(&told).unwrap();
    assert!(is_local(&heard).unwrap());
    assert_eq!((heard.slot_count, heard.slot_size as usize), (4, owner.slot_total_size()));
    let reader = PosixSlotAllocator::attach(&heard.segment_path).unwrap();
    let handle = owner.reserve_slot(1).unwrap();
    owner.commit_slot(handle, b"hello").unwrap();
    assert_eq!(reader.next_unread_slot(0), Ok(Some(handle)));

    assert!(!is_local(&ShmLocator { uid: !heard.uid, ..heard.clone() }).unwrap());
    assert!(!is_local(&ShmLocator { hostname_hash: !heard.hostname_hash, ..heard }).unwrap());
}

#[test]
fn a_locator_of_a_relative_path_leads_there_from_any_directory() {
    let folder = tempfile::tempdir_in(".").unwrap();
    let path = folder.path().strip_prefix(std::env::current_dir().unwrap()).unwrap().join("poses.flink");
    assert!(path.is_relative());
    let owner = PosixSlotAllocator::create(&path, 4, 24).unwrap();
    let found = locator_of(&owner).unwrap().segment_path;
    assert_eq!(std::path::Path::new(&found), std::env::current_dir().unwrap().join(&path));
}
