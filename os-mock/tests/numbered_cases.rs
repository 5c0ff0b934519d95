//! Hard cases of the design that are neither a model nor a story of their own elsewhere, each staged to the very access: another
//! process acts just before it. The numbers are those of `SAFETY.md`.

use std::sync::{Arc, Mutex};

use seqslot_core::layout::control::ACTIVE_AT;
use seqslot_core::{Config, LoanError, Ordering, Os, Segment};
use seqslot_os_mock::{EventKind, MockOs, World};

const NAME: &str = "frames";
const SLOTS: u64 = 4;

fn attached(world: &World) -> (MockOs, Segment<MockOs>) {
    let os = world.process();
    let segment = Segment::attach(os.clone(), NAME).expect("it exists");
    (os, segment)
}

/// Runs `act` once, before the next event of `process` of that kind at that place.
fn before(world: &World, process: &MockOs, kind: EventKind, at: usize, act: impl FnOnce() + Send + 'static) {
    let (pid, act) = (Os::process(process).pid, Mutex::new(Some(act)));
    world.on_event(Some(Arc::new(move |event| {
        if (event.pid, event.kind, event.at) == (pid, kind, at) {
            // Taken out before it runs: it makes events of its own.
            let now = act.lock().expect("no panic").take();
            if let Some(now) = now {
                now();
            }
        }
    })));
}

/// A joiner has read the heads and does not count yet; meanwhile `sent` samples go to another reader, who reads all but the last.
fn join_while(sent: u32) {
    let world = World::new(1);
    let os = world.process();
    let segment = Arc::new(Segment::create(os, NAME, &Config::slots(SLOTS, 16).writers(1)).expect("a fresh name"));
    segment.writer().expect("a free entry").send(b"of old").expect("a free slot");
    let (joiner, theirs) = attached(&world);
    let other = Arc::clone(&segment);
    before(&world, &joiner, EventKind::Or, ACTIVE_AT, move || {
        let reader = other.reader().expect("a free entry");
        let writer = other.writer().expect("a free entry");
        for _ in 0..sent {
            // What the reader before it left is read only now: the last stays owed to a reader that is not the joiner.
            drop(reader.take().expect("a living writer"));
            writer.send(b"not yours").expect("a free slot");
        }
        // Never let go of.
        core::mem::forget(reader);
    });
    let reader = theirs.reader().expect("a free entry");
    world.on_event(None);
    let writer = segment.writer().expect("the entry is free again");
    assert!(reader.take().expect("a living writer").is_none(), "what was committed to others is not for the joiner");
    for number in 0..SLOTS as u8 - 1 {
        writer.send(&[number]).expect("a free slot");
        let sample = reader.take().expect("a living writer").expect("committed after the join");
        assert_eq!(*sample, [number]);
    }
    assert!(reader.take().expect("a living writer").is_none());
}

#[test]
fn case_3_samples_between_the_cursor_and_the_join_are_not_the_joiners() {
    join_while(1);
}

#[test]
fn case_18_a_ring_lapped_before_the_joiner_counts_hides_nothing_from_it() {
    join_while(3 * SLOTS as u32);
}

#[test]
fn case_10_a_claim_made_from_a_state_word_that_came_round_is_put_back() {
    let world = World::new(1);
    let os = world.process();
    let segment = Segment::create(os, NAME, &Config::slots(1, 16)).expect("a fresh name");
    let reader = segment.reader().expect("a free entry");
    let (stopped, theirs) = attached(&world);
    let slow = theirs.writer().expect("a free entry");
    let state_at = segment.geometry().slots_at + seqslot_core::layout::slots::SLOT_STATE;
    let (_, others) = attached(&world);
    before(&world, &stopped, EventKind::Exchange, state_at, move || {
        let slot = others.view().slot(0).expect("there is one");
        let seen = slot.state().load(Ordering::Relaxed);
        others.writer().expect("a free entry").send(b"owed").expect("a free slot");
        assert_ne!(slot.state().load(Ordering::Relaxed), seen);
        // What 2^26 more claims would do.
        // SAFETY: 1. the word lies in a mapped, writable object. 2. the store is one the protocol could make; nobody looks at a payload.
        unsafe { slot.state().atomic() }.store(seen, Ordering::Relaxed);
    });
    assert!(matches!(slow.try_loan(), Err(LoanError::NoFreeSlot)), "the slot is owed to a reader");
    world.on_event(None);
    assert_eq!(*reader.take().expect("a living writer").expect("it was committed"), *b"owed");
    let mut loan = slow.loan().expect("read, the slot is free");
    loan[0] = 1;
    loan.commit_len(1).expect("its own loan");
}

#[test]
fn case_26_deaths_alone_do_not_lap_a_slow_reader() {
    let world = World::new(1);
    let segment = Segment::create(world.process(), NAME, &Config::slots(SLOTS, 16).writers(1)).expect("a fresh name");
    let reader = segment.reader().expect("a free entry");
    segment.writer().expect("a free entry").send(b"first").expect("a free slot");
    for _ in 0..3 * SLOTS {
        let (doomed, theirs) = attached(&world);
        let writer = theirs.writer().expect("a free entry");
        let loan = writer.loan().expect("a free slot");
        doomed.kill();
        // Burns a position, and the entry of the ring that belongs to it.
        assert_eq!(segment.recover().expect("no fault is planned").writers, 1);
        drop(loan);
    }
    let writer = segment.writer().expect("a free entry");
    assert_eq!(*reader.take().expect("a living writer").expect("it was committed"), *b"first");
    writer.send(b"second").expect("a free slot");
    assert_eq!(*reader.take().expect("a living writer").expect("it was committed"), *b"second");
    assert!(reader.take().expect("a living writer").is_none());
}
