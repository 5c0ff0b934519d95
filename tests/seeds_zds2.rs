//! Segments of the layout "ZDS2" between real processes and threads, with this library on both sides. (The crate on the other side:
//! `tests/interop`.)
#![allow(clippy::result_large_err)]

#[path = "support/allocators.rs"]
mod allocators;
mod support;

use std::os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use allocators::{late_reader_reads_nothing_torn, one_of_two_threads_commits, send};
use seqslot::{AttachError, CreateError, HeadError, PosixSlotAllocator, PosixSlotError, ShmFault, SlotBackend, SlotError, SlotHandle};
use support::{Peer, pause, place, role, say};

/// Longer than anything here takes: a test that hangs fails.
const LONG: Duration = Duration::from_secs(60);
const WAITERS_AT: u64 = 0x14;

fn wait_for_next(slots: &dyn SlotBackend, reader: u8) -> SlotHandle {
    let start = Instant::now();
    loop {
        let seen = slots.notify_generation();
        if let Some(handle) = slots.next_unread_slot(reader).unwrap() {
            return handle;
        }
        assert!(start.elapsed() < LONG, "nothing came");
        slots.wait_for_change(seen, LONG);
    }
}

fn wait_for_slot(slots: &dyn SlotBackend, mask: u32) -> SlotHandle {
    let start = Instant::now();
    loop {
        let seen = slots.notify_generation();
        match slots.reserve_slot(mask) {
            Err(SlotError::NoFreeSlot) => slots.wait_for_change(seen, LONG),
            answer => return answer.unwrap(),
        }
        assert!(start.elapsed() < LONG, "nothing became free");
    }
}

/// The object that the flink names.
fn object_of(path: &Path) -> PathBuf {
    format!("/dev/shm{}", std::fs::read_to_string(path).unwrap()).into()
}

fn write_word(object: &Path, at: u64, value: u32) {
    std::fs::OpenOptions::new().write(true).open(object).unwrap().write_all_at(&value.to_ne_bytes(), at).unwrap();
}

fn read_word(object: &Path, at: u64) -> u32 {
    let mut word = [0; 4];
    std::fs::File::open(object).unwrap().read_exact_at(&mut word, at).unwrap();
    u32::from_ne_bytes(word)
}

/// What sample `number` says: bytes of one value, of a length that differs from one to the next.
fn value(number: u32) -> Vec<u8> {
    let mut bytes = vec![number as u8; 8 + number as usize % 200];
    bytes[..4].copy_from_slice(&number.to_ne_bytes());
    bytes
}

#[test]
fn two_processes_read_everything_in_order_and_all_three_park() {
    const SAMPLES: u32 = 20_000;
    if let Some((reader, path)) = role() {
        let reader: u8 = reader.parse().unwrap();
        let slots = PosixSlotAllocator::attach(path).unwrap();
        assert!(slots.is_zds2() && slots.segment().is_none());
        for number in 0..SAMPLES {
            let handle = wait_for_next(&slots, reader);
            let (header, bytes) = slots.read_slot(handle).unwrap();
            assert_eq!((header.sequence_number, bytes), (number, value(number)));
            slots.mark_read(handle, reader).unwrap();
        }
        return;
    }
    let (_folder, path) = place();
    let slots = PosixSlotAllocator::create_zds2(&path, 4, 256).unwrap();
    let start = |reader| Peer::start("two_processes_read_everything_in_order_and_all_three_park", reader, &path);
    let peers = [start("0"), start("31")];
    for number in 0..SAMPLES {
        let handle = wait_for_slot(&slots, 1 | 1 << 31);
        assert_eq!(slots.commit_slot(handle, &value(number)), Ok(number));
    }
    peers.into_iter().for_each(Peer::join);
    assert_eq!(read_word(&object_of(&path), WAITERS_AT), 0, "who waited is not counted any more");
    drop(slots);
    assert!(std::fs::read_dir(path.parent().unwrap()).unwrap().next().is_none());
}

#[test]
fn of_a_killed_owner_the_whole_samples_stay_and_the_next_create_takes_over() {
    if let Some((_, path)) = role() {
        let slots = PosixSlotAllocator::create_zds2(path, 2, 8).unwrap();
        send(&slots, 1, b"whole");
        let half = slots.reserve_slot(1).unwrap();
        let (data, _) = slots.slot_data_ptr(half).unwrap();
        // SAFETY: a live loan's data; nobody else has the handle.
        unsafe { data.write(b'h') };
        say("filling");
        return pause();
    }
    let (_folder, path) = place();
    let mut owner = Peer::start("of_a_killed_owner_the_whole_samples_stay_and_the_next_create_takes_over", "owner", &path);
    owner.expect("filling");
    let attached = PosixSlotAllocator::attach(&path).unwrap();
    assert_eq!(attached.owner_lives(), Ok(Some(true)));
    let living = PosixSlotError::Shm(ShmFault::Create(CreateError::AlreadyExists { pid: owner.pid() }));
    assert_eq!(PosixSlotAllocator::create_zds2(&path, 2, 8).unwrap_err(), living);
    assert_eq!(PosixSlotAllocator::create(&path, 2, 8).unwrap_err(), living, "of the other layout, too");
    owner.kill();
    assert_eq!(attached.owner_lives(), Ok(Some(false)));
    let kept = attached.next_unread_slot(0).unwrap().unwrap();
    assert_eq!(attached.read_slot(kept).unwrap().1, b"whole");
    attached.mark_read(kept, 0).unwrap();
    assert_eq!(attached.next_unread_slot(0), Ok(None), "half a sample is none");
    // Nobody moves the generation any more: a wait ends at its timeout.
    let start = Instant::now();
    attached.wait_for_change(attached.notify_generation(), Duration::from_millis(250));
    assert!(start.elapsed() >= Duration::from_millis(250));

    let new = PosixSlotAllocator::create_zds2(&path, 3, 16).unwrap();
    assert_eq!(new.slot_count(), Ok(3));
    let next = send(&new, 1, b"new");
    assert_eq!(attached.read_slot(next).err(), Some(SlotError::StaleHandle), "of another segment");
    assert_eq!(attached.next_unread_slot(0), Ok(None), "those attached keep the old one");
    let again = PosixSlotAllocator::attach(&path).unwrap();
    assert_eq!(again.read_slot(again.next_unread_slot(0).unwrap().unwrap()).unwrap().1, b"new");
    drop((attached, again, new));
    assert!(std::fs::read_dir(path.parent().unwrap()).unwrap().next().is_none());
}

#[test]
fn a_waiter_killed_in_its_sleep_stays_counted_and_hurts_nobody() {
    if let Some((_, path)) = role() {
        let slots = PosixSlotAllocator::attach(path).unwrap();
        let last = slots.notify_generation();
        say("waiting");
        return slots.wait_for_change(last, LONG);
    }
    let (_folder, path) = place();
    let slots = PosixSlotAllocator::create_zds2(&path, 2, 8).unwrap();
    let object = object_of(&path);
    let start = || {
        let mut peer = Peer::start("a_waiter_killed_in_its_sleep_stays_counted_and_hurts_nobody", "waiter", &path);
        peer.expect("waiting");
        peer
    };
    let counted = |count: u32| {
        while read_word(&object, WAITERS_AT) != count {
            std::thread::sleep(Duration::from_millis(1));
        }
    };
    let killed = start();
    counted(1);
    killed.kill();
    assert_eq!(read_word(&object, WAITERS_AT), 1);
    let waiter = start();
    counted(2);
    send(&slots, 0, b"x");
    waiter.join();
    counted(1);
    // Whatever the count is: a peer that takes away another's makes a wake-up late, not lost.
    for count in [0, u32::MAX] {
        let waiter = start();
        counted(2);
        write_word(&object, WAITERS_AT, count);
        send(&slots, 0, b"x");
        waiter.join();
        write_word(&object, WAITERS_AT, 1);
    }
}

#[test]
fn a_late_reader_of_a_slot_reused_at_full_speed_never_reads_torn_bytes() {
    let (_folder, path) = place();
    let slots = PosixSlotAllocator::create_zds2(&path, 2, 512).unwrap();
    late_reader_reads_nothing_torn(&slots, &PosixSlotAllocator::attach(&path).unwrap());
}

#[test]
fn of_two_threads_with_copies_of_a_handle_one_commits() {
    let (_folder, path) = place();
    one_of_two_threads_commits(&PosixSlotAllocator::create_zds2(&path, 2, 64).unwrap());
}

#[test]
fn a_forked_child_is_told_and_its_parent_untouched() {
    let (_folder, path) = place();
    let slots = PosixSlotAllocator::create_zds2(&path, 2, 8).unwrap();
    let loan = slots.reserve_slot(1).unwrap();
    // SAFETY: the child calls what is asynchronous-signal-safe enough for a process of two threads: no lock, no heap in the calls made.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let forked = slots.reserve_slot(0) == Err(SlotError::Forked)
            && slots.commit_slot(loan, b"x") == Err(SlotError::Forked)
            && slots.discard_slot(loan) == Err(SlotError::Forked)
            && slots.next_unread_slot(0) == Err(SlotError::Forked)
            && slots.mark_read(loan, 0) == Err(SlotError::Forked)
            && slots.mark_reader_disconnected(0) == Err(SlotError::Forked);
        slots.wait_for_change(slots.notify_generation(), Duration::from_micros(1));
        drop(slots);
        // SAFETY: ends the child without running what the parent registered.
        unsafe { libc::_exit(if forked { 0 } else { 1 }) };
    }
    let mut status = 0;
    // SAFETY: our child, and a place for its status.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    assert_eq!(status, 0);
    assert_eq!(slots.commit_slot(loan, b"x"), Ok(0));
    assert!(path.exists());
    assert_eq!(PosixSlotAllocator::attach(&path).unwrap().owner_lives(), Ok(Some(true)));
}

#[test]
fn only_its_user_can_open_it_and_lies_are_refused_at_attach() {
    let (_folder, path) = place();
    let slots = PosixSlotAllocator::create_zds2(&path, 4, 64).unwrap();
    let object = object_of(&path);
    for file in [&path, &object] {
        assert_eq!(std::fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600, "{}", file.display());
    }
    let attach = || PosixSlotAllocator::attach(&path).map(|_| ());
    for (at, value, lies) in [(0, 0x5A44_5332, [0x5A44_5353, 1]), (4, 4, [5, 1_000_000]), (8, 128, [192, 100])] {
        for lie in lies {
            write_word(&object, at, lie);
            assert_eq!(attach(), Err(PosixSlotError::InvalidHeader), "{at}: {lie}");
        }
        write_word(&object, at, value);
    }
    assert_eq!(attach(), Ok(()));
    // Zeros are a part that its creator has not written yet.
    write_word(&object, 4, 0);
    assert_eq!(attach(), Err(PosixSlotError::Shm(ShmFault::Attach(AttachError::Head(HeadError::NotReady)))));
    write_word(&object, 4, 4);
    std::fs::set_permissions(&object, PermissionsExt::from_mode(0o602)).unwrap();
    assert!(matches!(attach(), Err(PosixSlotError::Shm(ShmFault::Attach(AttachError::Untrusted { .. })))));
    drop(slots);
    // What is shorter than its head says.
    let slots = PosixSlotAllocator::create_zds2(&path, 4, 64).unwrap();
    std::fs::OpenOptions::new().write(true).open(object_of(&path)).unwrap().set_len(0x20 + 4 * 128 - 1).unwrap();
    assert_eq!(attach(), Err(PosixSlotError::InvalidHeader));
    drop(slots);
}

/// An object as the crate makes it, under such a name as it draws, and its flink.
struct Foreign(PathBuf);

impl Foreign {
    fn make(path: &Path, name: &str, words: &[u32]) -> Self {
        let object = PathBuf::from(format!("/dev/shm{name}"));
        let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&object).unwrap();
        let foreign = Self(object);
        file.set_len(0x20 + 2 * 64).unwrap();
        for (at, word) in words.iter().enumerate() {
            file.write_all_at(&word.to_ne_bytes(), 4 * at as u64).unwrap();
        }
        std::fs::write(path, name).unwrap();
        foreign
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn a_segment_of_the_crates_making_is_attached_to_and_never_taken_over() {
    let (_folder, path) = place();
    let name = format!("/shmem_{:X}", u64::from(std::process::id()) << 32 | 0x5EED);
    let object = Foreign::make(&path, &name, &[0x5A44_5332, 2, 64]);
    let slots = PosixSlotAllocator::attach(&path).unwrap();
    assert_eq!((slots.slot_count(), slots.slot_capacity(), slots.owner_lives()), (Ok(2), 48, Ok(None)));
    assert_eq!(slots.reserve_slot(0), Err(SlotError::NotOwner));
    // A sample, as its writer would write it.
    for (at, word) in [(0x0C, 1), (0x20 + 64 + 16, u32::from_ne_bytes(*b"here")), (0x20 + 64 + 4, 4), (0x10, 1)] {
        write_word(&object.0, at, word);
    }
    let found = slots.next_unread_slot(7).unwrap().unwrap();
    assert_eq!(slots.read_slot(found).unwrap().1, b"here");
    slots.mark_read(found, 7).unwrap();
    assert_eq!((read_word(&object.0, 0x20 + 64 + 8), read_word(&object.0, 0x10)), (1 << 7, 2));
    drop(slots);
    for refused in [PosixSlotAllocator::create_zds2(&path, 2, 8), PosixSlotAllocator::create(&path, 2, 8)] {
        assert_eq!(refused.unwrap_err(), PosixSlotError::Shm(ShmFault::Create(CreateError::NotASegment)));
    }
    assert!(path.exists() && object.0.exists(), "left as they were");
    // One in the making: sized, its head not written.
    for at in [0, 4, 8] {
        write_word(&object.0, at, 0);
    }
    assert_eq!(
        PosixSlotAllocator::attach(&path).unwrap_err(),
        PosixSlotError::Shm(ShmFault::Attach(AttachError::Head(HeadError::NotReady)))
    );
}
