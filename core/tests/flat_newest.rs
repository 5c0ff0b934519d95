//! Which sample is the newest: of a writer's its last one, whatever the others' numbers are and whatever became of the reader meanwhile.
#![allow(missing_docs)]

mod poke;
mod seeds_support;

use poke::Poke as _;
use portable_atomic::Ordering::Relaxed;
use seeds_support::{Face, attach, face};
use seqslot_core::{FlatReader, FlatStruct, FlatWriter, ReaderIndex, SlotBackend, SlotError};

#[derive(Debug, Clone, Copy, PartialEq, Eq, zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout)]
#[repr(C)]
struct N(u64);

impl FlatStruct for N {
    const TYPE_HASH: [u8; 16] = [9; 16];
}

fn writer(face: &Face) -> FlatWriter<N, &Face> {
    FlatWriter::new(face, 1).unwrap()
}

fn reader(face: &Face) -> FlatReader<N, &Face> {
    FlatReader::new(face, 0).unwrap()
}

fn write_all(writer: &FlatWriter<N, &Face>, numbers: impl IntoIterator<Item = u64>) {
    for number in numbers {
        writer.write(&N(number)).unwrap();
    }
}

fn unread(face: &Face) -> usize {
    (0..face.slot_count().unwrap())
        .filter(|&slot| face.sample_at(slot as u32).unwrap().is_some_and(|(_, header)| !header.all_read(1)))
        .count()
}

/// Stops reader 0 in the midst of a mark, takes its oldest sample back, and lets it go on: it is gone now, and does not know.
fn be_caught_in_a_mark(evictor: &Face, reader: &Face) {
    let held = reader.next_unread_slot(0).unwrap().unwrap();
    let entry = evictor.segment().view().reader_entry(ReaderIndex::new(0).unwrap()).unwrap();
    entry.marks_begun().store(1 + entry.marks_begun().load(Relaxed), Relaxed);
    assert_eq!(evictor.evict_sample(held, 1), Ok(1));
    entry.marks_ended().store(1 + entry.marks_ended().load(Relaxed), Relaxed);
}

#[test]
fn a_reader_that_was_declared_gone_reads_the_newest_there_is() {
    let slots = face(4, 8);
    let peer = attach(&slots);
    let (writer, mut reader) = (writer(&slots), reader(&peer));
    for round in 0..3 {
        write_all(&writer, [10 * round]);
        be_caught_in_a_mark(&slots, &peer);
        write_all(&writer, 10 * round + 1..10 * round + 5);
        let newest = Ok(Some(N(10 * round + 4)));
        if round == 1 {
            assert_eq!(reader.read_ref().map(|held| held.map(|held| *held)), newest);
        } else {
            assert_eq!(reader.read(), newest);
        }
        assert_eq!((reader.read(), unread(&slots)), (Ok(None), 0), "it counts again, and owes nothing from before");
    }
    write_all(&writer, [40, 41, 42, 43]);
    assert_eq!(writer.write(&N(44)), Err(SlotError::NoFreeSlot));
    assert_eq!(reader.read(), Ok(Some(N(43))));
}

#[test]
fn numbers_of_different_writers_are_not_compared() {
    let slots = face(4, 8);
    let (second, third) = (attach(&slots), attach(&slots));
    let (old, new) = (writer(&slots), writer(&second));
    let mut reader = reader(&third);
    for number in 0..10 {
        write_all(&old, [number]);
        assert_eq!(reader.read(), Ok(Some(N(number))));
    }
    // Another process has just begun to count.
    write_all(&old, [10, 11]);
    write_all(&new, [20, 21]);
    let mut got = [reader.read().unwrap().unwrap().0, reader.read().unwrap().unwrap().0];
    got.sort_unstable();
    assert_eq!((got, reader.read(), unread(&slots)), ([11, 21], Ok(None), 0), "the newest of each");

    write_all(&old, [12, 13]);
    write_all(&new, [22]);
    let held = reader.read_ref().unwrap().unwrap();
    let (first, left) = (held.0, unread(&slots));
    assert!((first, left) == (13, 2) || (first, left) == (22, 3), "{first} {left}: it and the other writer's are unread");
    drop(held);
    let mut got = [first, reader.read_ref().unwrap().unwrap().0];
    got.sort_unstable();
    assert_eq!((got, unread(&slots)), ([13, 22], 0));
}

#[test]
fn the_newest_is_found_behind_what_was_marked_or_taken_back() {
    let slots = face(8, 8);
    let peer = attach(&slots);
    let (writer, mut reader) = (writer(&slots), reader(&peer));
    write_all(&writer, 0..7);
    let handles: Vec<_> =
        (0..8).filter_map(|slot| slots.sample_at(slot).unwrap()).map(|(handle, header)| (header.sequence_number, handle)).collect();
    let of = |number: u32| handles.iter().find(|(sequence, _)| *sequence == number).unwrap().1;
    peer.mark_read(of(1), 0).unwrap();
    peer.mark_read(of(2), 0).unwrap();
    slots.evict_sample(of(4), 1).unwrap();
    slots.evict_sample(of(6), 1).unwrap();
    let held = reader.read_ref().unwrap().unwrap();
    assert_eq!((*held, unread(&slots)), (N(5), 1));
    // What came meanwhile is owed, however the older ones were left.
    write_all(&writer, [7]);
    drop(held);
    assert_eq!((reader.read(), unread(&slots)), (Ok(Some(N(7))), 0));
    assert_eq!(peer.next_of_writer(of(5), 0), Ok(None));
    write_all(&writer, 8..15);
    assert_eq!(peer.next_of_writer(of(5), 0), Err(SlotError::StaleHandle), "its slot holds another");
    assert_eq!(reader.read(), Ok(Some(N(14))));
}

#[test]
fn what_is_no_value_is_passed_over_by_a_look_at_the_newest() {
    let slots = face(4, 16);
    let writer = writer(&slots);
    let mut reader = reader(&slots);
    let bad = |len: usize| {
        let handle = slots.reserve_slot(1).unwrap();
        slots.commit_slot(handle, &[1; 16][..len]).unwrap();
    };
    bad(3);
    write_all(&writer, [1]);
    bad(9);
    bad(0);
    assert_eq!((reader.read(), unread(&slots)), (Ok(Some(N(1))), 0));
    bad(5);
    assert_eq!((reader.read(), reader.read()), (Err(SlotError::SampleSize { sample: 5, expected: 8 }), Ok(None)));
}
