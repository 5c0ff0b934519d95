//! Models of an owner with threads.

use std::sync::Arc;

use loom::thread;
use seqslot_core::{SlotBackend, SlotError, SlotHandle};

use crate::world::World;
use crate::{COUNTED, check, number_of, send, value};

/// Reader 0 marks what it finds; whether that was there, and that it is newer than `last`.
fn mark_next(reader: &impl SlotBackend, last: &mut Option<u32>) -> bool {
    let Some(found) = reader.next_unread_slot(0).expect("an index") else { return false };
    let number = number_of(found);
    assert!(last.is_none_or(|last| last < number), "sample {number} twice, or behind a later one");
    match reader.mark_read(found, 0) {
        Ok(()) => *last = Some(number),
        // It was evicted, and its slot is in use again.
        Err(error) => assert_eq!(error, SlotError::StaleHandle),
    }
    true
}

#[test]
fn samples_of_two_threads_of_the_owner_come_in_order() {
    check("two threads commit", 2, || {
        let world = World::new(2);
        let (owner, reader) = (world.shared_owner(2), world.attach());
        let [first, second] = [(); 2].map(|()| owner.reserve_slot(COUNTED).expect("free"));
        let commit = |owner: &Arc<_>, loan: SlotHandle| {
            let owner = Arc::clone(owner);
            thread::spawn(move || crate::world::Shared::commit_slot(&owner, loan, &value(0)).expect("on loan"))
        };
        let (first, second) = (commit(&owner, first), commit(&owner, second));
        if let Some(found) = reader.next_unread_slot(0).expect("an index") {
            assert_eq!(number_of(found), 0, "whoever sees one of them finds the older one");
        }
        let numbers = [first, second].map(|thread| thread.join().expect("no panic"));
        assert!(numbers == [0, 1] || numbers == [1, 0]);
    });
}

#[test]
fn an_eviction_while_the_reader_marks_in_time_concerns_one_sample() {
    check("an eviction", 2, || {
        let world = World::new(1);
        let (owner, reader) = (world.shared_owner(1), world.attach());
        send(&*owner, COUNTED, 0);
        let old = reader.next_unread_slot(0).expect("an index").expect("committed");
        let evictor = Arc::clone(&owner);
        let evicting = thread::spawn(move || match evictor.evict_sample(old, COUNTED) {
            Ok(evicted) => assert_eq!(evicted & !COUNTED, 0),
            Err(error) => assert_eq!(error, SlotError::StaleHandle),
        });
        let reading = thread::spawn(move || {
            let mut last = None;
            mark_next(&reader, &mut last);
            mark_next(&reader, &mut last);
            (reader, last)
        });
        let is_sent = owner.reserve_slot(COUNTED).map(|loan| owner.commit_slot(loan, &value(1)));
        evicting.join().expect("no panic");
        let (reader, mut last) = reading.join().expect("no panic");
        while mark_next(&reader, &mut last) {}
        if is_sent.is_ok() {
            assert_eq!(last, Some(1), "the next sample was evicted with it");
        }
    });
}
