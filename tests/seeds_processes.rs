//! The seeds' allocator between real processes and threads.
#![allow(clippy::result_large_err)]

#[path = "support/allocators.rs"]
mod allocators;
mod support;

use std::panic::{RefUnwindSafe, UnwindSafe};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use allocators::{late_reader_reads_nothing_torn, one_of_two_threads_commits, send};
use seqslot::{
    AttachError, CreateError, GeometryError, PosixSlotAllocator, PosixSlotError, ShmFault, SlotBackend, SlotError, SlotHandle, WriterIndex,
};
use support::{Peer, pause, place, role, say};

const R0: u32 = 1;

const _: () = {
    const fn is<T: Send + Sync + Unpin + UnwindSafe + RefUnwindSafe>() {}
    const fn is_backend<T: SlotBackend>() {}
    is::<PosixSlotAllocator>();
    is::<SlotError>();
    is::<PosixSlotError>();
    is_backend::<PosixSlotAllocator>();
};

/// Longer than anything here takes: a test that hangs fails.
const LONG: Duration = Duration::from_secs(60);

/// Waits until there is something for `reader`: the loop that no wake-up is lost in.
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

/// Waits until a slot is free for `mask`.
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

/// The next sample that `reader` has not read and that comes from `from`: its sequence number and what it says. Others are marked.
fn hear(slots: &dyn SlotBackend, reader: u8, from: u32) -> (u32, u32) {
    loop {
        let handle = wait_for_next(slots, reader);
        let (header, bytes) = slots.read_slot(handle).unwrap();
        slots.mark_read(handle, reader).unwrap();
        let said = u64::from_ne_bytes(bytes.try_into().unwrap());
        if (said >> 32) as u32 == from {
            return (header.sequence_number, said as u32);
        }
    }
}

fn tell(slots: &dyn SlotBackend, from: u32, what: u32) {
    let handle = wait_for_slot(slots, 3);
    slots.commit_slot(handle, &(u64::from(from) << 32 | u64::from(what)).to_ne_bytes()).unwrap();
}

/// What is in the folder of `path`, and the names of objects that its flink named.
fn left_behind(path: &Path) -> Vec<String> {
    std::fs::read_dir(path.parent().unwrap()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn samples_go_to_another_process_and_back_and_both_park() {
    const ROUNDS: u32 = 2000;
    if let Some((_, path)) = role() {
        let slots = PosixSlotAllocator::attach(path).unwrap();
        for round in 0..ROUNDS {
            assert_eq!(hear(&slots, 0, 1), (round, round));
            tell(&slots, 0, round + 1);
        }
        return;
    }
    let (_folder, path) = place();
    let slots = PosixSlotAllocator::create(&path, 4, 8).unwrap();
    assert_eq!((slots.flink_path(), slots.segment_path()), (path.to_str().unwrap(), path.to_str().unwrap().to_owned()));
    let peer = Peer::start("samples_go_to_another_process_and_back_and_both_park", "echo", &path);
    for round in 0..ROUNDS {
        tell(&slots, 1, round);
        assert_eq!(hear(&slots, 1, 0), (round, round + 1));
    }
    assert_eq!(slots.segment().expect("native").stats().published, 2 * ROUNDS);
    peer.join();
    drop(slots);
    assert!(left_behind(&path).is_empty());
}

#[test]
fn create_over_a_living_owner_names_it_and_over_a_dead_one_takes_over() {
    if let Some((_, path)) = role() {
        let slots = PosixSlotAllocator::create(path, 2, 8).unwrap();
        send(&slots, R0, b"old");
        say("created");
        return pause();
    }
    let (_folder, path) = place();
    let mut owner = Peer::start("create_over_a_living_owner_names_it_and_over_a_dead_one_takes_over", "owner", &path);
    owner.expect("created");
    let attached = PosixSlotAllocator::attach(&path).unwrap();
    assert_eq!(attached.owner_lives(), Ok(Some(true)));
    let refused = PosixSlotAllocator::create(&path, 2, 8).unwrap_err();
    assert_eq!(refused, PosixSlotError::Shm(ShmFault::Create(CreateError::AlreadyExists { pid: owner.pid() })));
    assert_eq!(refused.owner_pid(), Some(owner.pid()));
    owner.kill();

    let new = PosixSlotAllocator::create(&path, 3, 16).unwrap();
    assert_eq!(new.slot_count(), Ok(3));
    assert_eq!(attached.owner_lives(), Ok(Some(false)), "those who are attached are told");
    let kept = attached.next_unread_slot(0).unwrap().unwrap();
    assert_eq!(attached.read_slot(kept).unwrap().1, b"old", "and keep the old one");
    assert_eq!(new.mark_read(kept, 0), Err(SlotError::StaleHandle));
    assert_eq!(PosixSlotAllocator::attach(&path).unwrap().slot_count(), Ok(3));
    drop(attached);
    drop(new);
    assert!(left_behind(&path).is_empty());
}

#[test]
fn a_killed_reader_gives_its_slots_back() {
    if let Some((_, path)) = role() {
        let slots = PosixSlotAllocator::attach(path).unwrap();
        let handle = wait_for_next(&slots, 0);
        assert_eq!(slots.read_slot(handle).unwrap().1, b"a");
        say("holding");
        return pause();
    }
    let (_folder, path) = place();
    let slots = PosixSlotAllocator::create(&path, 2, 8).unwrap();
    send(&slots, R0, b"a");
    send(&slots, R0, b"b");
    let mut peer = Peer::start("a_killed_reader_gives_its_slots_back", "reader", &path);
    peer.expect("holding");
    assert_eq!(slots.reserve_slot(R0), Err(SlotError::NoFreeSlot), "the living keep what they owe");
    peer.kill();
    // Its death moves nothing by itself: the end of a slice finds it.
    let first = wait_for_slot(&slots, R0);
    slots.commit_slot(first, b"c").unwrap();
    for _ in 0..4 {
        send(&slots, R0, b"d");
    }
    assert_eq!(slots.segment().expect("native").stats().recovered_readers, 1);
    // A successor counts again.
    let successor = PosixSlotAllocator::attach(&path).unwrap();
    assert_eq!(successor.next_unread_slot(0), Ok(None));
    let next = send(&slots, R0, b"e");
    assert_eq!(successor.next_unread_slot(0), Ok(Some(next)));
    send(&slots, R0, b"f");
    assert_eq!(slots.reserve_slot(R0), Err(SlotError::NoFreeSlot));
}

#[test]
fn a_writer_killed_with_loans_out_loses_no_slot_and_no_sample() {
    if let Some((_, path)) = role() {
        let slots = PosixSlotAllocator::attach(path).unwrap();
        send(&slots, R0, b"kept");
        slots.reserve_slot(R0).unwrap();
        let half = slots.reserve_slot(R0).unwrap();
        let (data, _) = slots.slot_data_ptr(half).unwrap();
        // SAFETY: a live loan's data; nobody else has the handle.
        unsafe { data.write(1) };
        say("filling");
        return pause();
    }
    let (_folder, path) = place();
    let slots = PosixSlotAllocator::create(&path, 3, 8).unwrap();
    let mut peer = Peer::start("a_writer_killed_with_loans_out_loses_no_slot_and_no_sample", "writer", &path);
    peer.expect("filling");
    assert_eq!(slots.reserve_slot(R0), Err(SlotError::NoFreeSlot));
    peer.kill();
    let loans = [(); 2].map(|()| wait_for_slot(&slots, R0));
    assert_ne!(loans[0].slot_index, loans[1].slot_index);
    let kept = slots.next_unread_slot(0).unwrap().unwrap();
    assert_eq!(slots.read_slot(kept).unwrap().1, b"kept");
    assert_eq!(slots.segment().expect("native").stats().recovered_slots, 2);
}

#[test]
fn two_threads_commit_through_one_allocator_each_in_its_order() {
    const EACH: u32 = 20_000;
    let (_folder, path) = place();
    let slots = PosixSlotAllocator::create(&path, 8, 8).unwrap();
    let reader = PosixSlotAllocator::attach(&path).unwrap();
    assert_eq!(reader.next_unread_slot(0), Ok(None));
    std::thread::scope(|scope| {
        for thread in 0..2_u32 {
            let slots = &slots;
            scope.spawn(move || {
                let mut last = None;
                for number in 0..EACH {
                    let handle = wait_for_slot(slots, R0);
                    let bytes = (u64::from(thread) << 32 | u64::from(number)).to_ne_bytes();
                    let sequence = slots.commit_slot(handle, &bytes).unwrap();
                    assert!(last.is_none_or(|last| last < sequence));
                    last = Some(sequence);
                }
            });
        }
        let mut next = [0; 2];
        for sequence in 0..2 * EACH {
            let handle = wait_for_next(&reader, 0);
            let (header, bytes) = reader.read_slot(handle).unwrap();
            reader.mark_read(handle, 0).unwrap();
            let what = u64::from_ne_bytes(bytes.try_into().unwrap());
            assert_eq!(header.sequence_number, sequence);
            assert_eq!(what as u32, next[(what >> 32) as usize]);
            next[(what >> 32) as usize] += 1;
        }
        assert_eq!(next, [EACH; 2]);
    });
}

#[test]
fn of_two_threads_with_copies_of_a_handle_one_commits() {
    let (_folder, path) = place();
    one_of_two_threads_commits(&PosixSlotAllocator::create(&path, 2, 64).unwrap());
}

#[test]
fn a_late_reader_of_a_slot_reused_at_full_speed_never_reads_torn_bytes() {
    let (_folder, path) = place();
    let slots = PosixSlotAllocator::create(&path, 2, 512).unwrap();
    late_reader_reads_nothing_torn(&slots, &PosixSlotAllocator::attach(&path).unwrap());
}

#[test]
fn a_wait_that_ends_leaves_the_other_threads_registered() {
    let (_folder, path) = place();
    let slots = PosixSlotAllocator::create(&path, 2, 8).unwrap();
    let waiters = || slots.segment().expect("native").view().change_waiters().load(Ordering::SeqCst);
    let seen = slots.notify_generation();
    std::thread::scope(|scope| {
        let long = scope.spawn(|| slots.wait_for_change(seen, LONG));
        while waiters() == 0 {
            std::thread::yield_now();
        }
        slots.wait_for_change(seen, Duration::from_millis(1));
        let registered = waiters();
        send(&slots, 0, b"x");
        long.join().unwrap();
        assert_eq!(registered, 1);
    });
    assert_eq!(waiters(), 0);
}

#[test]
fn a_forked_child_is_told_and_its_parent_untouched() {
    let (_folder, path) = place();
    let slots = PosixSlotAllocator::create(&path, 2, 8).unwrap();
    let loan = slots.reserve_slot(R0).unwrap();
    assert_eq!(slots.next_unread_slot(0), Ok(None));
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
    assert_eq!(slots.next_unread_slot(0), Ok(Some(loan)));
    assert!(path.exists());
    let other = PosixSlotAllocator::attach(&path).unwrap();
    let segment = other.segment().expect("native");
    assert_eq!(segment.writer_lives(WriterIndex::new(0).unwrap()), Ok(true));
}

#[test]
fn a_forged_slot_count_and_other_lies_are_refused_at_attach() {
    let (_folder, path) = place();
    let slots = PosixSlotAllocator::create(&path, 4, 64).unwrap();
    let object = format!("/dev/shm{}", std::fs::read_to_string(&path).unwrap());
    let good = std::fs::read(&object).unwrap();
    let forge = |at: u64, value: u32| {
        let file = std::fs::OpenOptions::new().write(true).open(&object).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, &value.to_ne_bytes(), at).unwrap();
    };
    let at = |at: usize| u32::from_ne_bytes(good[at..at + 4].try_into().unwrap());
    // Magic, version, kind, total length, count, capacity, stride, ring length.
    for field in [0, 12, 20, 24, 32, 36, 40, 56] {
        for lie in [1_000_000, u32::MAX] {
            forge(field as u64, lie);
            assert_eq!(PosixSlotAllocator::attach(&path).unwrap_err(), PosixSlotError::InvalidHeader, "{field}: {lie}");
        }
        forge(field as u64, at(field));
    }
    assert!(PosixSlotAllocator::attach(&path).is_ok());
    send(&slots, 0, b"the attached are not touched by it");
}

#[test]
fn what_cannot_be_is_an_error_and_leaves_nothing_behind() {
    let (_folder, path) = place();
    let create = |slots, capacity| PosixSlotAllocator::create(&path, slots, capacity).unwrap_err();
    assert_eq!(create(0, 8), PosixSlotError::Shm(ShmFault::Create(CreateError::Geometry(GeometryError::ZeroSlots))));
    assert_eq!(create(1, u32::MAX as usize + 1), PosixSlotError::CapacityOverflow);
    assert_eq!(create(1, usize::MAX), PosixSlotError::CapacityOverflow);
    assert!(matches!(
        create(usize::MAX, 8),
        PosixSlotError::Shm(ShmFault::Create(CreateError::Geometry(GeometryError::TooManySlots { .. })))
    ));
    let bad_name = std::os::unix::ffi::OsStringExt::from_vec(b"/tmp/\xFF.flink".to_vec());
    let bad_name: std::ffi::OsString = bad_name;
    assert!(matches!(PosixSlotAllocator::create(bad_name, 1, 8), Err(PosixSlotError::Shm(ShmFault::Create(CreateError::BadName { .. })))));
    let nowhere = path.parent().unwrap().join("no").join("folder.flink");
    let refused = PosixSlotAllocator::create(nowhere, 1, 8).unwrap_err();
    assert!(
        matches!(&refused, PosixSlotError::Shm(ShmFault::Create(CreateError::Os(error))) if error.errno() == libc::ENOENT),
        "{refused}"
    );
    assert!(left_behind(&path).is_empty());

    assert_eq!(PosixSlotAllocator::attach(&path).unwrap_err(), PosixSlotError::Shm(ShmFault::Attach(AttachError::NotFound)));
    std::fs::write(&path, "not a flink at all").unwrap();
    assert_eq!(PosixSlotAllocator::attach(&path).unwrap_err(), PosixSlotError::InvalidHeader);
}
