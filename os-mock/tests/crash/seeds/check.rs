//! What is to hold behind the deaths.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;

use seqslot_core::layout::control::{STATE_CLEAN, STATE_MASK};
use seqslot_core::{Ordering::Relaxed, ReaderIndex, Segment, SlotBackend, SlotFace, SlotHandle, WriterIndex};

use super::{EVERYBODY, NAME, OTHER, Party, SURVIVOR, Scene, State, VICTIM};
use crate::ledger::Log;
use crate::words;

pub fn check(scene: &Rc<Scene>, state: &State) {
    let segment = Segment::attach(scene.world.process(), NAME).expect("it exists");
    let segment = Arc::new(segment);
    let before = words::dump(&segment);
    assert!(segment.recover().expect("no fault is planned").is_empty(), "the second recovery finds nothing");
    assert_eq!(before, words::dump(&segment), "nor does it change anything");
    nothing_is_left_of_the_dead(scene, &segment);
    words::ring_agrees_with_slots(&segment);
    let fresh = Party {
        os: segment.os().clone(),
        face: RefCell::new(Some(SlotFace::new(Arc::into_inner(segment).expect("ours alone")).expect("no overwriting"))),
        session: scene.ledger.session(),
        log: Log::new(&scene.ledger),
    };
    scene.drain();
    // Who left in order owes on: the next holder of the index goes on there, or somebody disconnects it.
    for (party, reader) in scene.readers() {
        if party.face.borrow().is_none() {
            fresh.with(|face| face.mark_reader_disconnected(reader)).expect("nobody has it");
        }
    }
    all_slots_can_be_reserved(&fresh, state);
    // The dead one's index is taken up anew: it owes nothing from before, and gets what comes.
    assert_eq!(fresh.with(|face| face.next_unread_slot(VICTIM)), Ok(None), "nothing is owed to the dead");
    let mut writers = vec![&fresh, &scene.survivor];
    if !scene.other.os.is_dead() {
        writers.push(&scene.other);
    }
    for round in 0..6 {
        for party in &writers {
            assert!(scene.send(party), "round {round}: everything is read");
        }
        if round % 2 == 0 || state.slots < 6 {
            scene.drain();
            scene.read_all(&fresh, VICTIM);
        }
    }
    scene.drain();
    scene.read_all(&fresh, VICTIM);
    fresh.log.check(&scene.ledger, None);
    all_slots_can_be_reserved(&fresh, state);
    let held = 1 + 2 + 2 + if scene.other.os.is_dead() { 0 } else { 2 };
    assert_eq!(scene.world.locks_held(), held, "the owner's, and an index and a writer's entry of each");
}

/// Every slot at once, each once.
fn all_slots_can_be_reserved(party: &Party, state: &State) {
    party.with(|face| {
        let handles: Vec<SlotHandle> = std::iter::from_fn(|| face.reserve_slot(EVERYBODY).ok()).collect();
        let slots: BTreeSet<u32> = handles.iter().map(|handle| handle.slot_index).collect();
        assert_eq!((handles.len(), slots.len()), (state.slots as usize, state.slots as usize), "slots that can be reserved: {slots:?}");
        for handle in handles {
            face.discard_slot(handle).expect("its own");
        }
    });
}

fn nothing_is_left_of_the_dead(scene: &Scene, segment: &crate::scene::Shared) {
    let view = segment.view();
    let other_lives = !scene.other.os.is_dead();
    assert_eq!(view.change_waiters().load(Relaxed) | view.writer_waiters().load(Relaxed) | view.reader_waiters().load(Relaxed), 0);
    assert_eq!((view.active().load(Relaxed), view.quarantined().load(Relaxed)), (0, 0), "nobody of the safe face");
    for index in (0..4).filter_map(ReaderIndex::new) {
        let lives = index.get() == u32::from(SURVIVOR) || other_lives && index.get() == u32::from(OTHER);
        let state = view.reader_entry(index).expect("there are four").state().load(Relaxed) & STATE_MASK;
        assert_eq!(state != STATE_CLEAN, lives, "reader {} is in state {state}", index.get());
        assert_eq!(segment.reader_lives(index), Ok(lives));
    }
    for slot in view.slots() {
        let words = slot.words();
        assert_eq!(words.state >> 26, 0, "slot {} is owned by {}", slot.index(), words.state >> 26);
    }
    for index in (0..4).filter_map(WriterIndex::new) {
        let state = view.writer_entry(index).expect("there are four").state().load(Relaxed) & STATE_MASK;
        assert_eq!(state != STATE_CLEAN, segment.writer_lives(index) == Ok(true), "writer {} is in state {state}", index.get());
    }
}
