//! Loom models of "ZDS2" segments with this library on both sides, over the code that ships.
//!
//! `RUSTFLAGS="--cfg loom" cargo test --release -p seqslot-core --features alloc --test loom_zds2 -- --nocapture`
#![cfg(all(loom, feature = "alloc"))]
#![allow(missing_docs)]

#[path = "../loom_memory/mod.rs"]
mod loom_memory;
mod owners_threads;
mod world;

use std::time::Duration;

use loom::thread;
use loom_memory::explore;
use seqslot_core::{AttachError, HeadError, SlotBackend, SlotError, SlotHandle};
use world::{CAPACITY, Face, World};

/// A reader's bit.
const COUNTED: u32 = 1;

fn check(name: &str, preemption_bound: usize, model: impl Fn() + Sync + Send + 'static) {
    let executions = explore(preemption_bound, model);
    println!("{name}: {executions} executions");
    assert!(executions > 1, "a concurrent model that explored one execution shows nothing");
}

/// The bytes of sample `sequence`; their number tells the size, too.
fn value(sequence: u32) -> Vec<u8> {
    vec![10 + sequence as u8; 1 + sequence as usize]
}

/// The sequence number that a handle found by a reader carries, as it tells people.
fn number_of(found: SlotHandle) -> u32 {
    let text = format!("{found:?}");
    let (_, number) = text.trim_end_matches(" }").rsplit_once("generation: ").expect("its last field");
    number.parse().expect("a number")
}

fn send(owner: &impl SlotBackend, mask: u32, sequence: u32) {
    let loan = owner.reserve_slot(mask).expect("free");
    assert_eq!(owner.commit_slot(loan, &value(sequence)), Ok(sequence));
}

/// Takes what there is for reader 0, in order; `next` is the sequence number that comes next.
fn take(reader: &Face, next: &mut u32) -> bool {
    let Some(found) = reader.next_unread_slot(0).expect("an index") else { return false };
    let mut bytes = [0; CAPACITY as usize];
    let header = reader.read_slot_into(found, &mut bytes).expect("it counts, and has not marked it");
    assert_eq!(header.sequence_number, *next, "out of order, or twice");
    assert_eq!(bytes[..header.sample_size as usize], value(*next), "another sample's bytes or size");
    reader.mark_read(found, 0).expect("it counts");
    *next += 1;
    true
}

#[test]
fn a_reader_that_counts_gets_everything_in_order_from_one_slot() {
    check("one slot, used again when it was read", 3, || {
        let world = World::new(1);
        let (owner, reader) = (world.owner(1), world.attach());
        let reading = thread::spawn(move || {
            let mut next = 0;
            take(&reader, &mut next);
            take(&reader, &mut next);
            (reader, next)
        });
        send(&owner, COUNTED, 0);
        let mut sent = 1;
        if let Ok(loan) = owner.reserve_slot(COUNTED) {
            owner.commit_slot(loan, &value(1)).expect("on loan");
            sent += 1;
        }
        let (reader, mut next) = reading.join().expect("no panic");
        while take(&reader, &mut next) {}
        assert_eq!(next, sent, "something was lost");
    });
}

#[test]
fn two_samples_that_come_during_a_look_come_in_order() {
    check("two slots, filled during a look", 2, || {
        let world = World::new(2);
        let (owner, reader) = (world.owner(2), world.attach());
        let reading = thread::spawn(move || {
            let mut next = 0;
            take(&reader, &mut next);
            (reader, next)
        });
        send(&owner, COUNTED, 0);
        send(&owner, COUNTED, 1);
        let (reader, mut next) = reading.join().expect("no panic");
        while take(&reader, &mut next) {}
        assert_eq!(next, 2, "something was lost");
    });
}

#[test]
fn bytes_in_place_are_written_after_they_were_read_and_read_after_they_were_written() {
    check("in place", 3, || in_place(|reader, found| reader.mark_read(found, 0)));
}

#[test]
fn bytes_in_place_are_written_after_their_reader_gave_up() {
    check("in place, given up", 3, || in_place(|reader, _| reader.mark_reader_disconnected(0)));
}

fn in_place(done: fn(&Face, SlotHandle) -> Result<(), SlotError>) {
    let world = World::new(1);
    let (owner, reader) = (world.owner(1), world.attach());
    // The payload's access is a read or a write of it, as the model's memory takes it.
    let write = |owner: &Face| {
        let loan = owner.reserve_slot(COUNTED).ok()?;
        owner.slot_data_ptr(loan).expect("on loan");
        owner.commit_in_place(loan, 1).ok()
    };
    let reading = thread::spawn(move || {
        if let Some(found) = reader.next_unread_slot(0).expect("an index") {
            reader.slot_read_ptr(found).expect("it counts");
            done(&reader, found).expect("it counts");
        }
        reader
    });
    write(&owner);
    write(&owner);
    drop(reading.join().expect("no panic"));
}

#[test]
fn a_late_read_never_gets_another_samples_bytes() {
    check("a late read", 3, || {
        let world = World::new(1);
        let (owner, late) = (world.owner(1), world.attach());
        send(&owner, 0, 0);
        let found = late.next_unread_slot(0).expect("an index").expect("committed");
        let reading = thread::spawn(move || {
            let mut bytes = [0; CAPACITY as usize];
            match late.read_slot_into(found, &mut bytes) {
                Ok(header) => assert_eq!((header.sequence_number, bytes[0]), (0, value(0)[0]), "another sample's bytes"),
                Err(error) => assert_eq!(error, SlotError::StaleHandle),
            }
            late
        });
        // Of the same size, so that only its number and its withdrawal tell it apart.
        let loan = owner.reserve_slot(0).expect("nobody counts");
        owner.commit_slot(loan, &[99]).expect("on loan");
        drop(reading.join().expect("no panic"));
    });
}

#[test]
fn what_is_found_while_slots_are_used_again_is_one_samples() {
    check("found late", 3, || {
        let world = World::new(1);
        let (owner, late) = (world.owner(1), world.attach());
        send(&owner, 0, 0);
        let reading = thread::spawn(move || {
            let mut bytes = [0; CAPACITY as usize];
            if let Some(found) = late.next_unread_slot(0).expect("an index") {
                if let Ok((_, size)) = late.slot_read_ptr(found) {
                    assert_eq!(size, value(number_of(found)).len(), "another sample's size");
                }
                match late.read_slot_into(found, &mut bytes) {
                    Ok(header) => assert_eq!(bytes[..header.sample_size as usize], value(header.sequence_number), "a mix of two samples"),
                    Err(error) => assert_eq!(error, SlotError::StaleHandle),
                }
            }
            late
        });
        send(&owner, 0, 1);
        drop(reading.join().expect("no panic"));
    });
}

#[test]
fn a_late_mark_hides_no_other_sample() {
    check("a late mark", 3, || {
        let world = World::new(1);
        let (owner, late) = (world.owner(1), world.attach());
        send(&owner, 0, 0);
        let found = late.next_unread_slot(0).expect("an index").expect("committed");
        let marking = thread::spawn(move || {
            let marked = late.mark_read(found, 0);
            assert!(matches!(marked, Ok(()) | Err(SlotError::StaleHandle)));
            late
        });
        send(&owner, 0, 1);
        let late = marking.join().expect("no panic");
        let found = late.next_unread_slot(0).expect("an index").expect("sample 1 was never marked");
        assert_eq!(late.read_slot(found).map(|(header, _)| header.sequence_number), Ok(1));
    });
}

#[test]
fn a_commit_ends_the_wait_of_a_reader() {
    check("a reader waits", 3, || {
        let world = World::new(1);
        let (owner, reader) = (world.owner(1), world.attach());
        let reading = thread::spawn(move || {
            let mut next = 0;
            loop {
                let before = reader.notify_generation();
                if take(&reader, &mut next) {
                    break reader;
                }
                reader.wait_for_change(before, Duration::MAX);
            }
        });
        send(&owner, COUNTED, 0);
        drop(reading.join().expect("no panic"));
    });
}

#[test]
fn a_mark_ends_the_wait_of_the_owner() {
    check("the owner waits", 3, || {
        let world = World::new(1);
        let (owner, reader) = (world.owner(1), world.attach());
        send(&owner, COUNTED, 0);
        let found = reader.next_unread_slot(0).expect("an index").expect("committed");
        let reading = thread::spawn(move || {
            reader.mark_read(found, 0).expect("it counts");
            reader
        });
        loop {
            let before = owner.notify_generation();
            if owner.reserve_slot(COUNTED).is_ok() {
                break;
            }
            owner.wait_for_change(before, Duration::MAX);
        }
        drop(reading.join().expect("no panic"));
    });
}

#[test]
fn who_attaches_while_the_segment_is_made_finds_it_whole_or_not_at_all() {
    check("being made", 3, || {
        let world = World::seeing(1, [0x00, 0x04, 0x08, 0x18]);
        let other = world.clone();
        let attaching = thread::spawn(move || match Face::attach(other, &()) {
            Ok(face) => assert_eq!((face.slot_count(), face.owner_lives()), (Ok(1), Ok(Some(true)))),
            Err(error) => assert_eq!(error, AttachError::Head(HeadError::NotReady)),
        });
        drop(world.owner(1));
        attaching.join().expect("no panic");
        assert!(Face::attach(world, &()).is_ok());
    });
}
