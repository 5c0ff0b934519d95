//! "ZDS2" segments over a plain region: the face's promises, and what hostile words may do to it.
#![cfg(feature = "alloc")]
#![allow(missing_docs, clippy::result_large_err)]

mod seeds_support;

use core::time::Duration;

use seeds_support::{Mutexes, region};
use seqslot_core::zerodds::layout::{HEAD_LEN, MAGIC, PAYLOAD_AT};
use seqslot_core::zerodds::{Zds2Face, Zds2Geometry};
use seqslot_core::{
    AttachError, Bare, Cause, CreateError, GeometryError, HeadError, Memory, Ordering, Region, SlotBackend, SlotError, SlotHandle,
};

type Face = Zds2Face<Bare<'static>, Mutexes>;

const CAPACITY: usize = 100;
const STRIDE: usize = 128;
const NEXT_AT: usize = 0x0C;
const GENERATION_AT: usize = 0x10;
const WAITERS_AT: usize = 0x14;

fn len(slots: usize) -> usize {
    HEAD_LEN + slots * STRIDE
}

/// A segment made here, one attached to it, and the memory.
fn pair(slots: usize) -> (Face, Face, Region<'static>) {
    let region = region(len(slots));
    let owner = Face::create(Bare::new(region), &(), slots as u64, CAPACITY as u64).unwrap();
    (owner, Face::attach(Bare::new(region), &()).unwrap(), region)
}

fn get(region: &Region<'_>, at: usize) -> u32 {
    // SAFETY: a word of the region.
    unsafe { region.raw().load(at, Ordering::SeqCst) }
}

fn put(region: &Region<'_>, at: usize, value: u32) {
    // SAFETY: a word of the region, which is writable.
    unsafe { region.raw().store(at, value, Ordering::SeqCst) }
}

fn slot_at(index: usize) -> usize {
    HEAD_LEN + index * STRIDE
}

/// What the crate's writer does: the bytes, then the header. It withdraws nothing first.
fn crate_commits(region: &Region<'_>, index: usize, bytes: &[u8]) -> u32 {
    let sequence = get(region, NEXT_AT);
    put(region, NEXT_AT, sequence.wrapping_add(1));
    // SAFETY: the payload is inside the region, at a multiple of 4.
    unsafe { region.raw().copy_in(slot_at(index) + PAYLOAD_AT, bytes) };
    for (field, value) in [sequence, bytes.len() as u32, 0, 0].into_iter().enumerate() {
        put(region, slot_at(index) + 4 * field, value);
    }
    put(region, GENERATION_AT, get(region, GENERATION_AT).wrapping_add(1));
    sequence
}

/// A segment that the crate made.
fn crate_makes(slots: usize) -> Region<'static> {
    let region = region(len(slots));
    for (at, value) in [(0, MAGIC), (4, slots as u32), (8, STRIDE as u32)] {
        put(&region, at, value);
    }
    region
}

fn send(face: &Face, mask: u32, bytes: &[u8]) -> SlotHandle {
    let handle = face.reserve_slot(mask).unwrap();
    face.commit_slot(handle, bytes).unwrap();
    handle
}

#[test]
fn the_bytes_are_those_of_the_layout() {
    let (owner, _, region) = pair(2);
    send(&owner, 1, b"first");
    send(&owner, 1, b"second");
    assert_eq!([get(&region, 0), get(&region, 4), get(&region, 8), get(&region, NEXT_AT)], [0x5A44_5332, 2, 128, 2]);
    assert_eq!((get(&region, GENERATION_AT), get(&region, WAITERS_AT)), (2, 0));
    for (index, bytes) in [b"first".as_slice(), b"second"].into_iter().enumerate() {
        let at = 0x20 + 128 * index;
        assert_eq!(
            [get(&region, at), get(&region, at + 4), get(&region, at + 8), get(&region, at + 12)],
            [index as u32, bytes.len() as u32, 0, 0]
        );
        let mut found = vec![0; bytes.len()];
        // SAFETY: inside the region, at a multiple of 4.
        unsafe { region.raw().copy_out(at + 16, &mut found) };
        assert_eq!(found, bytes);
    }
}

#[test]
fn what_is_committed_is_found_read_and_marked() {
    let (owner, reader, _) = pair(4);
    assert_eq!((owner.slot_capacity(), reader.slot_capacity(), reader.slot_total_size()), (CAPACITY, STRIDE - 16, STRIDE));
    assert_eq!(reader.slot_count(), Ok(4));
    let loan = owner.reserve_slot(0b11).unwrap();
    assert_eq!(reader.next_unread_slot(0), Ok(None), "not committed");
    let (data, capacity) = owner.slot_data_ptr(loan).unwrap();
    assert_eq!(capacity, CAPACITY);
    // SAFETY: the loan is out.
    unsafe { data.copy_from_nonoverlapping(b"in place".as_ptr(), 8) };
    assert_eq!(owner.commit_in_place(loan, 8), Ok(0));

    let found = reader.next_unread_slot(1).unwrap().expect("committed");
    let (header, bytes) = reader.read_slot(found).unwrap();
    assert_eq!((header.sequence_number, header.sample_size, header.reader_mask, &bytes[..]), (0, 8, 0, &b"in place"[..]));
    let (data, size) = reader.slot_read_ptr(found).unwrap();
    // SAFETY: nothing is reserved while it is looked at.
    assert_eq!(unsafe { core::slice::from_raw_parts(data, size) }, b"in place");
    reader.mark_read(found, 1).unwrap();
    assert_eq!((reader.next_unread_slot(1), reader.next_unread_slot(0)), (Ok(None), Ok(Some(found))));
    assert_eq!(reader.mark_read(found, 1), Ok(()), "again changes nothing");
    // The handle of a loan names the sample that it became.
    assert_eq!(owner.read_slot(loan).unwrap().0.reader_mask, 0b10);
    owner.mark_read(loan, 0).unwrap();
    assert_eq!(reader.next_unread_slot(0), Ok(None));
    assert_eq!(reader.type_hash(), None);
}

#[test]
fn a_slot_is_free_when_those_who_count_have_read() {
    let (owner, reader, _) = pair(2);
    let first = send(&owner, 0b11, b"a");
    send(&owner, 0b11, b"b");
    assert_eq!(owner.reserve_slot(0b11), Err(SlotError::NoFreeSlot));
    owner.mark_read(first, 0).unwrap();
    assert_eq!(owner.reserve_slot(0b11), Err(SlotError::NoFreeSlot), "reader 1 has not read");
    let loan = owner.reserve_slot(0b01).expect("reader 1 does not count for this one");
    assert_eq!(loan.slot_index, first.slot_index);
    assert_eq!(owner.read_slot(first).err(), Some(SlotError::StaleHandle));
    owner.discard_slot(loan).unwrap();
    // Empty now, whoever counts.
    let loan = owner.reserve_slot(u32::MAX).unwrap();
    owner.commit_slot(loan, b"c").unwrap();
    reader.mark_reader_disconnected(0).unwrap();
    reader.mark_reader_disconnected(1).unwrap();
    assert!(owner.reserve_slot(0b11).is_ok() && owner.reserve_slot(0b11).is_ok());
}

#[test]
fn samples_come_oldest_first_whatever_their_slots_and_across_the_wrap() {
    let region = crate_makes(4);
    for start in [0, u32::MAX - 1, 1 << 31, (1 << 31) - 2] {
        put(&region, NEXT_AT, start);
        let reader = Face::attach(Bare::new(region), &()).unwrap();
        let order = [2, 0, 3, 1];
        for index in order {
            crate_commits(&region, index, &[index as u8]);
        }
        for (age, index) in order.into_iter().enumerate() {
            let found = reader.next_unread_slot(5).unwrap().expect("unread");
            assert_eq!(
                (found.slot_index, reader.read_slot(found).unwrap().0.sequence_number),
                (index as u32, start.wrapping_add(age as u32))
            );
            reader.mark_read(found, 5).unwrap();
        }
        assert_eq!(reader.next_unread_slot(5), Ok(None));
    }
    // One that nobody read for more than half the circle is still the oldest.
    let reader = Face::attach(Bare::new(region), &()).unwrap();
    put(&region, NEXT_AT, 7);
    crate_commits(&region, 3, b"old");
    put(&region, NEXT_AT, 0xF000_0000);
    crate_commits(&region, 0, b"new");
    assert_eq!(reader.next_unread_slot(9).unwrap().map(|found| found.slot_index), Some(3));
}

#[test]
fn a_handle_serves_its_own_sample_only() {
    let (owner, reader, region) = pair(1);
    let first = send(&owner, 0, b"first");
    let found = reader.next_unread_slot(0).unwrap().unwrap();
    send(&owner, 0, b"second");
    for (face, handle) in [(&reader, found), (&owner, first), (&owner, found)] {
        assert_eq!(face.read_slot(handle).err(), Some(SlotError::StaleHandle));
        assert_eq!(face.slot_read_ptr(handle).err(), Some(SlotError::StaleHandle));
        let before = face.notify_generation();
        assert_eq!(face.mark_read(handle, 0), Err(SlotError::StaleHandle));
        assert_eq!(face.notify_generation(), before, "nothing was changed");
    }
    assert_eq!(get(&region, slot_at(0) + 8), 0, "the second sample is not marked");
    assert_eq!(reader.read_slot(reader.next_unread_slot(0).unwrap().unwrap()).unwrap().1, b"second");
    // Of another segment, and out of bounds.
    let (other, _, _) = pair(1);
    send(&other, 0, b"other");
    assert_eq!(other.read_slot(found).err(), Some(SlotError::StaleHandle));
    let mut beyond = found;
    beyond.slot_index = 1;
    assert_eq!(reader.read_slot(beyond).err(), Some(SlotError::OutOfBounds));
    assert_eq!(reader.mark_read(beyond, 0), Err(SlotError::OutOfBounds));
}

#[test]
fn two_segments_of_the_crate_do_not_take_each_others_handles() {
    let (one, other) = (crate_makes(1), crate_makes(1));
    crate_commits(&one, 0, b"one");
    crate_commits(&other, 0, b"other");
    let (one, other) = (Face::attach(Bare::new(one), &()).unwrap(), Face::attach(Bare::new(other), &()).unwrap());
    let found = one.next_unread_slot(0).unwrap().unwrap();
    assert_eq!(other.read_slot(found).err(), Some(SlotError::StaleHandle));
    assert_eq!((one.owner_lives(), one.is_owner()), (Ok(None), false), "nobody can tell");
}

#[test]
fn only_live_loans_are_written_through() {
    let (owner, reader, _) = pair(2);
    let loan = owner.reserve_slot(0).unwrap();
    let too_large = SlotError::SampleTooLarge { sample: CAPACITY + 1, slot_capacity: CAPACITY };
    assert_eq!(owner.commit_slot(loan, &[0; CAPACITY + 1]), Err(too_large.clone()));
    assert_eq!(owner.commit_in_place(loan, CAPACITY + 1), Err(too_large));
    assert_eq!(owner.commit_slot(loan, b""), Err(SlotError::EmptySample));
    assert_eq!(owner.commit_in_place(loan, 0), Err(SlotError::EmptySample));
    assert_eq!(SlotError::EmptySample.cause(), Cause::Misuse);
    assert_eq!(owner.commit_slot(loan, &[7; CAPACITY]), Ok(0), "the loan was still out");
    let sample = reader.next_unread_slot(0).unwrap().unwrap();
    for handle in [loan, sample] {
        assert_eq!(owner.commit_slot(handle, b"x"), Err(SlotError::StaleHandle));
        assert_eq!(owner.discard_slot(handle), Err(SlotError::StaleHandle));
        assert_eq!(owner.slot_data_ptr(handle).err(), Some(SlotError::StaleHandle));
    }
    let dropped = owner.reserve_slot(0).unwrap();
    owner.discard_slot(dropped).unwrap();
    assert_eq!(owner.commit_slot(dropped, b"x"), Err(SlotError::StaleHandle));
    assert_eq!(owner.read_slot(dropped).err(), Some(SlotError::StaleHandle));
    // Whoever attached writes nothing.
    assert_eq!(reader.reserve_slot(0), Err(SlotError::NotOwner));
    assert_eq!(reader.commit_slot(sample, b"x"), Err(SlotError::NotOwner));
    assert_eq!(reader.discard_slot(sample), Err(SlotError::NotOwner));
    assert_eq!(reader.slot_data_ptr(sample).err(), Some(SlotError::NotOwner));
    assert_eq!(SlotError::NotOwner.cause(), Cause::Misuse);
}

#[test]
fn an_index_of_32_is_out_of_bounds() {
    let (owner, reader, region) = pair(1);
    send(&owner, 0, b"x");
    let found = reader.next_unread_slot(31).unwrap().unwrap();
    for index in [32, 33, 64, 255] {
        assert_eq!(reader.mark_read(found, index), Err(SlotError::OutOfBounds));
        assert_eq!(reader.mark_reader_disconnected(index), Err(SlotError::OutOfBounds));
        assert_eq!(reader.next_unread_slot(index), Err(SlotError::OutOfBounds));
    }
    assert_eq!(get(&region, slot_at(0) + 8), 0);
    reader.mark_read(found, 31).unwrap();
    assert_eq!(get(&region, slot_at(0) + 8), 1 << 31);
}

#[test]
fn slots_are_used_in_turn_and_sequence_numbers_rise_by_one_a_commit() {
    let (owner, reader, _) = pair(3);
    let mut used = Vec::new();
    for round in 0..9_u32 {
        let loan = owner.reserve_slot(1).unwrap();
        if round % 3 == 1 {
            owner.discard_slot(loan).unwrap();
            continue;
        }
        used.push((loan.slot_index, owner.commit_slot(loan, b"x").unwrap()));
        let found = reader.next_unread_slot(0).unwrap().unwrap();
        reader.mark_read(found, 0).unwrap();
    }
    assert_eq!(used, [(0, 0), (2, 1), (0, 2), (2, 3), (0, 4), (2, 5)]);
}

#[test]
fn everything_that_changes_something_moves_the_generation_and_a_wait_ends_at_once_then() {
    let (owner, reader, region) = pair(2);
    let mut last = reader.notify_generation();
    let mut moved = |what: &str| {
        let now = reader.notify_generation();
        assert_ne!(now, last, "{what}");
        reader.wait_for_change(last, Duration::MAX);
        last = now;
    };
    let loan = owner.reserve_slot(0).unwrap();
    owner.discard_slot(loan).unwrap();
    moved("discard");
    send(&owner, 0, b"x");
    moved("commit");
    reader.mark_read(reader.next_unread_slot(0).unwrap().unwrap(), 0).unwrap();
    moved("mark");
    reader.mark_reader_disconnected(3).unwrap();
    moved("disconnect");
    assert_eq!(get(&region, WAITERS_AT), 0);
    // Whatever the count of waiters is, a wait ends and puts back what it added.
    for waiters in [0, 1, 1000, u32::MAX] {
        put(&region, WAITERS_AT, waiters);
        reader.wait_for_change(reader.notify_generation(), Duration::from_millis(2));
        reader.wait_for_change(reader.notify_generation(), Duration::ZERO);
        assert_eq!(get(&region, WAITERS_AT), waiters);
        send(&owner, 0, b"x");
    }
    // A generation that was never given is not waited for.
    reader.wait_for_change(u64::MAX, Duration::MAX);
    reader.wait_for_change(reader.notify_generation() | 1 << 32, Duration::MAX);
}

#[test]
fn a_head_that_cannot_be_is_refused() {
    let attach = |region: Region<'static>| Face::attach(Bare::new(region), &()).err();
    let head = |error| Some(AttachError::Head(error));
    let region = crate_makes(4);
    assert_eq!(attach(region), None);
    // A larger count than the memory has slots for.
    for (count, stride) in [(5, STRIDE as u32), (1_000_000, STRIDE as u32), (u32::MAX, u32::MAX - 63), (4, 192), (1, 0x8000_0000)] {
        put(&region, 4, count);
        put(&region, 8, stride);
        let needed = 0x20 + u64::from(count) * u64::from(stride);
        assert_eq!(attach(region), head(HeadError::TooShort { len: region.len() as u64, needed }));
    }
    for stride in [1, 16, 63, 100, 129, u32::MAX] {
        put(&region, 4, 1);
        put(&region, 8, stride);
        assert_eq!(attach(region), head(HeadError::Field { name: "slot_total_size", value: u64::from(stride) }));
    }
    for (at, value) in [(4, 0), (8, 0), (0, 0)] {
        let region = crate_makes(4);
        put(&region, at, value);
        assert_eq!(attach(region), head(HeadError::NotReady), "the crate may still be at it");
    }
    put(&region, 0, 0x5A44_5353);
    assert_eq!(attach(region), head(HeadError::Magic { found: 0x5A44_5353 }), "of the crate's older layout");
    let short = seeds_support::region(64);
    put(&short, 0, MAGIC);
    put(&short, 4, 1);
    put(&short, 8, 64);
    assert_eq!(attach(short), head(HeadError::TooShort { len: 64, needed: 96 }));
}

#[test]
fn a_size_beyond_the_slot_is_an_error_and_nothing_outside_is_read() {
    let region = crate_makes(2);
    crate_commits(&region, 0, b"x");
    let reader = Face::attach(Bare::new(region), &()).unwrap();
    let found = reader.next_unread_slot(0).unwrap().unwrap();
    let mut bytes = [0; STRIDE];
    for size in [113, STRIDE as u32, u32::MAX] {
        put(&region, slot_at(0) + 4, size);
        let error = SlotError::SampleTooLarge { sample: size as usize, slot_capacity: 112 };
        assert_eq!(reader.read_slot_into(found, &mut bytes).err(), Some(error.clone()));
        assert_eq!(reader.read_slot(found).err(), Some(error.clone()));
        assert_eq!(reader.slot_read_ptr(found).err(), Some(error));
        // It can still be got rid of.
        assert_eq!(reader.mark_read(found, 0), Ok(()));
    }
    put(&region, slot_at(0) + 4, 112);
    assert_eq!(reader.read_slot(found).map(|(_, bytes)| bytes.len()), Ok(112));
    assert_eq!(reader.read_slot_into(found, &mut bytes[..3]).map(|header| header.sample_size), Ok(112), "as much as fits");
}

#[test]
fn what_peers_write_into_slots_does_not_make_the_owner_lend_one_twice() {
    let (owner, _, region) = pair(2);
    let loan = owner.reserve_slot(0).unwrap();
    for word in 0..4 {
        for value in [0, 1, u32::MAX] {
            put(&region, slot_at(loan.slot_index as usize) + 4 * word, value);
        }
    }
    put(&region, NEXT_AT, 77);
    let other = owner.reserve_slot(u32::MAX).unwrap();
    assert_ne!(loan.slot_index, other.slot_index);
    assert_eq!(owner.reserve_slot(0), Err(SlotError::NoFreeSlot));
    assert_eq!((owner.commit_slot(loan, b"x"), owner.commit_slot(other, b"y")), (Ok(0), Ok(1)));
    assert_eq!(get(&region, NEXT_AT), 2);
}

#[test]
fn what_the_layout_cannot_say_is_not_made() {
    let create = |slots, capacity| Face::create(Bare::new(region(4096)), &(), slots, capacity).err();
    assert_eq!(create(0, 1), Some(CreateError::Geometry(GeometryError::ZeroSlots)));
    assert_eq!(create(1, 0), Some(CreateError::Geometry(GeometryError::ZeroCapacity)));
    assert!(matches!(create(1, 1 << 32), Some(CreateError::Geometry(GeometryError::CapacityOverflow { .. }))));
    assert!(matches!(create(1 << 20, 1), Some(CreateError::BadName { .. })), "the region is too short");
    assert_eq!(Zds2Geometry::new(4, 100).map(|geometry| geometry.len()), Ok(len(4)));
}
