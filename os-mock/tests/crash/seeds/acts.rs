//! What the victim does through its face.

use std::rc::Rc;
use std::time::Duration;

use seqslot_core::{Segment, SlotBackend, SlotFace};

use super::{EVERYBODY, Face, NAME, OTHER, Scene, VICTIM};
use crate::ledger::bytes;
use crate::script::Cue;

pub fn attach(scene: &Rc<Scene>, cue: &Cue<'_>) {
    let os = &scene.victim.os;
    cue.go();
    let face: Face = SlotFace::new(Segment::attach(os.clone(), NAME).expect("it exists")).expect("no overwriting");
    let _ = face.reserve_slot(EVERYBODY);
    cue.end();
    drop(face);
}

pub fn reserve(scene: &Rc<Scene>, cue: &Cue<'_>) {
    scene.victim.with(|face| {
        cue.go();
        while face.reserve_slot(EVERYBODY).is_ok() {}
        cue.end();
    });
}

pub fn commit(scene: &Rc<Scene>, cue: &Cue<'_>) {
    scene.victim.with(|face| {
        let loan = face.reserve_slot(EVERYBODY);
        cue.go();
        if let Ok(loan) = loan {
            scene.commit(&scene.victim, face, loan);
        }
        cue.end();
    });
}

pub fn commit_in_place(scene: &Rc<Scene>, cue: &Cue<'_>) {
    scene.victim.with(|face| {
        cue.go();
        let Ok(loan) = face.reserve_slot(EVERYBODY) else { return };
        let id = scene.ledger.tries(scene.victim.session);
        let (data, capacity) = face.slot_data_ptr(loan).expect("its own loan");
        let bytes = bytes(id);
        assert!(bytes.len() <= capacity);
        // SAFETY: the loan is out, and the bytes fit.
        unsafe { data.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        face.commit_in_place(loan, bytes.len()).expect("its own loan");
        scene.ledger.acknowledge(id);
        cue.end();
    });
}

pub fn discard(scene: &Rc<Scene>, cue: &Cue<'_>) {
    scene.victim.with(|face| {
        let loan = face.reserve_slot(EVERYBODY);
        cue.go();
        if let Ok(loan) = loan {
            face.discard_slot(loan).expect("its own loan");
        }
        cue.end();
    });
}

/// Another face of the victim's, which has used no index yet, takes one up.
pub fn next(scene: &Rc<Scene>, cue: &Cue<'_>) {
    let os = &scene.victim.os;
    let face: Face = SlotFace::new(Segment::attach(os.clone(), NAME).expect("it exists")).expect("no overwriting");
    cue.go();
    let _ = face.next_unread_slot(3).expect("nobody has that index");
    cue.end();
}

pub fn mark(scene: &Rc<Scene>, cue: &Cue<'_>) {
    cue.go();
    scene.read(&scene.victim, VICTIM);
    cue.end();
}

pub fn mark_all(scene: &Rc<Scene>, cue: &Cue<'_>) {
    cue.go();
    scene.read_all(&scene.victim, VICTIM);
    cue.end();
}

pub fn disconnect(scene: &Rc<Scene>, cue: &Cue<'_>) {
    scene.victim.with(|face| {
        cue.go();
        face.mark_reader_disconnected(VICTIM).expect("its own index");
        let _ = face.next_unread_slot(VICTIM);
        cue.end();
    });
}

pub fn disconnect_other(scene: &Rc<Scene>, cue: &Cue<'_>) {
    scene.is_other_excused.set(true);
    scene.victim.with(|face| {
        cue.go();
        face.mark_reader_disconnected(OTHER).expect("of this face");
        cue.end();
    });
}

pub fn wait(scene: &Rc<Scene>, cue: &Cue<'_>) {
    scene.victim.with(|face| {
        cue.go();
        face.wait_for_change(face.notify_generation(), Duration::from_millis(150));
        cue.end();
    });
}

pub fn drop_face(scene: &Rc<Scene>, cue: &Cue<'_>) {
    let face = scene.victim.face.borrow_mut().take();
    let _ = face.as_ref().map(|face| face.reserve_slot(EVERYBODY));
    cue.go();
    drop(face);
    cue.end();
}
