//! Attaching, recovering, evicting.

use std::sync::Arc;

use seqslot_core::{Access, Lock, Os, Segment};

use crate::play::{BOTH, NOTHING, Operation, READER, SEGMENT, table};
use crate::scene::{NAME, Scene, Shared};
use crate::script::{Case, Cue};
use crate::states;

const OPERATIONS: [Operation; 10] = [
    Operation { name: "attach", needs: NOTHING, act: attach },
    Operation { name: "adopt", needs: NOTHING, act: adopt },
    Operation { name: "detach", needs: SEGMENT, act: detach },
    Operation { name: "recover", needs: SEGMENT, act: recover },
    Operation { name: "declare-dead", needs: SEGMENT, act: declare_dead },
    Operation { name: "evict", needs: SEGMENT, act: evict },
    Operation { name: "evict-who-leaves", needs: SEGMENT, act: evict_who_leaves },
    Operation { name: "leave-evicted", needs: READER, act: leave_evicted },
    Operation { name: "rejoin-evicted", needs: READER, act: rejoin_evicted },
    Operation { name: "leave-with-all", needs: BOTH, act: leave_with_all },
];

pub fn cases() -> Vec<Case> {
    table(&OPERATIONS, states::PLAIN.iter().chain(&states::OVERWRITING))
        .into_iter()
        // What an evicted reader holds may change under it, so none is evicted that holds a sample.
        .filter(|case| case.operation != "evict" || !case.state.ends_with("held"))
        .collect()
}

fn attach(scene: &Scene, cue: &Cue<'_>) {
    cue.go();
    let segment = scene.attached(&scene.victim.os);
    cue.end();
    drop(segment);
}

fn adopt(scene: &Scene, cue: &Cue<'_>) {
    let os = &scene.victim.os;
    let mapping = os.open(NAME, Access::ReadWrite).expect("it exists");
    cue.go();
    let segment = Segment::adopt(os.clone(), mapping).expect("a segment");
    cue.end();
    drop(segment);
}

/// Only the owner takes the name away.
fn detach(scene: &Scene, cue: &Cue<'_>) {
    let segment = scene.victim.segment.borrow_mut().take();
    cue.go();
    drop(segment);
    cue.end();
}

fn recover(scene: &Scene, cue: &Cue<'_>) {
    let segment = scene.victim.segment();
    cue.go();
    segment.recover().expect("no fault is planned");
    cue.end();
}

#[allow(unsafe_code, reason = "declares who is dead, or was never there")]
fn declare_dead(scene: &Scene, cue: &Cue<'_>) {
    let segment = scene.victim.segment();
    // The last reader entry: that of the dead where somebody is dead, nobody's elsewhere.
    let last = Lock::reader(segment.geometry().readers as u8 - 1);
    cue.go();
    // SAFETY: nobody alive holds that entry.
    unsafe { segment.declare_dead(last) }.expect("no fault is planned");
    cue.end();
}

#[allow(unsafe_code, reason = "evicts")]
fn evict(scene: &Scene, cue: &Cue<'_>) {
    let segment = scene.victim.segment();
    let evicted = &scene.survivors[0];
    evicted.is_excused.set(true);
    cue.go();
    // SAFETY: no sample of that reader is out.
    unsafe { segment.evict(evicted.reader.id()) }.expect("it lives");
    cue.end();
}

/// Whoever evicts and gets no answer does so again: that finishes what was begun.
#[allow(unsafe_code, reason = "evicts")]
pub fn evict_again(scene: &Scene, segment: &Shared) {
    for ear in scene.survivors.iter().filter(|ear| ear.is_excused.get()) {
        // SAFETY: no sample of that reader is out.
        unsafe { segment.evict(ear.reader.id()) }.expect("it lives");
    }
}

/// As above, of a reader that goes soon after: then nobody need finish what the evictor began.
#[allow(unsafe_code, reason = "evicts")]
fn evict_who_leaves(scene: &Scene, cue: &Cue<'_>) {
    /// Leaves when the evictor is through, or dead.
    struct Leaves<'s>(&'s Scene);
    impl Drop for Leaves<'_> {
        fn drop(&mut self) {
            *self.0.other.ear.borrow_mut() = None;
        }
    }
    let segment = scene.victim.segment();
    let id = scene.other.ear.borrow().as_ref().map(|ear| ear.reader.id()).expect("the other reads");
    let _leaves = Leaves(scene);
    cue.go();
    // SAFETY: no sample of that reader is out.
    unsafe { segment.evict(id) }.expect("it lives");
    cue.end();
}

/// The keeper evicts the victim's reader, which finds out and goes.
fn leave_evicted(scene: &Scene, cue: &Cue<'_>) {
    evict_victim(scene);
    let ear = scene.victim.ear.borrow_mut().take();
    cue.go();
    drop(ear);
    cue.end();
}

fn rejoin_evicted(scene: &Scene, cue: &Cue<'_>) {
    evict_victim(scene);
    let ear = scene.victim.ear.borrow_mut().take();
    cue.go();
    drop(ear);
    let again = scene.ear(&scene.victim.segment());
    cue.end();
    drop(again);
}

#[allow(unsafe_code, reason = "evicts")]
fn evict_victim(scene: &Scene) {
    let id = scene.victim.ear.borrow().as_ref().map(|ear| ear.reader.id()).expect("the victim reads");
    // SAFETY: no sample of that reader is out.
    unsafe { scene.keeper.segment().evict(id) }.expect("it lives");
}

fn leave_with_all(scene: &Scene, cue: &Cue<'_>) {
    let (pen, ear) = (scene.victim.pen.borrow_mut().take(), scene.victim.ear.borrow_mut().take());
    let segment = scene.victim.segment.borrow_mut().take();
    assert!(segment.as_ref().is_some_and(|segment| Arc::strong_count(segment) == 3));
    cue.go();
    drop(pen);
    drop(ear);
    drop(segment);
    cue.end();
}
