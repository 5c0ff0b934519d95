//! Deaths of those who sleep, of those who should wake them, and of others while somebody sleeps.

use std::rc::Rc;
use std::time::Duration;

use seqslot_core::TakeError;

use crate::play::{self, Operation, READER, SECONDS, WRITER};
use crate::scene::Scene;
use crate::script::{Case, Cue, Script};
use crate::states::{self, State};

/// How long anybody waits, and a slice of a reader and of a writer, with some room.
const PATIENCE: Duration = Duration::from_millis(4500);
const READER_SLICE: Duration = Duration::from_millis(1100);
const WRITER_SLICE: Duration = Duration::from_millis(120);

/// While whom the victim acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asleep {
    /// The first so many survivors wait for a sample.
    Readers(usize),
    /// The other process waits for a slot.
    Writer,
}

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let states = [&states::EMPTY, &states::LOANED, &states::CROWD, &states::LAPPED, &states::WRAP, &states::OVER_EMPTY, &states::OVER_DEAD];
    for state in states {
        for operation in WAKE_READERS {
            for (asleep, name) in [(Asleep::Readers(1), "one-reader"), (Asleep::Readers(2), "two-readers")] {
                cases.push(sleeping(operation, state, asleep, name));
            }
        }
    }
    for operation in WAKE_WRITER {
        cases.push(sleeping(operation, &states::OWED, Asleep::Writer, "writer"));
    }
    for operation in SLEEP {
        for state in [&states::EMPTY, &states::FULL, &states::OWED, &states::CROWD, &states::DEAD, &states::OVER_EMPTY] {
            if state.name != states::OWED.name || operation.needs.reader {
                cases.push(play::case(operation, state));
            }
        }
    }
    cases
}

/// What a victim does that readers wait for.
const WAKE_READERS: [Operation; 3] = [
    Operation { name: "send-to-sleeping", needs: WRITER, act: send },
    Operation { name: "batch-to-sleeping", needs: WRITER, act: batch },
    Operation { name: "close-on-sleeping", needs: WRITER, act: close },
];

/// What a victim does that a writer waits for.
const WAKE_WRITER: [Operation; 3] = [
    Operation { name: "release-to-sleeping", needs: READER, act: release },
    Operation { name: "leave-sleeping", needs: READER, act: leave },
    Operation { name: "wait-beside-sleeping", needs: READER, act: wait_for_sample },
];

/// What a victim does that waits itself, and is woken by the keeper.
const SLEEP: [Operation; 2] = [
    Operation { name: "wait-for-sample", needs: READER, act: wait_for_sample },
    Operation { name: "wait-for-slot", needs: WRITER, act: wait_for_slot },
];

fn send(scene: &Scene, cue: &Cue<'_>) {
    let pen = scene.victim.pen.borrow();
    cue.go();
    scene.send(pen.as_ref().expect("the victim writes"));
    cue.end();
}

fn batch(scene: &Scene, cue: &Cue<'_>) {
    let pen = scene.victim.pen.borrow();
    let pen = pen.as_ref().expect("the victim writes");
    let Ok(mut loans) = pen.writer.loan_batch::<2>() else { return };
    let ids: Vec<u32> = loans.iter().map(|_| scene.ledger.tries(pen.session)).collect();
    for (loan, id) in loans.iter_mut().zip(&ids) {
        let bytes = crate::ledger::bytes(*id);
        loan[..bytes.len()].copy_from_slice(&bytes);
    }
    cue.go();
    pen.writer.commit_batch(loans, |index| crate::ledger::bytes(ids[index]).len()).expect("its own loans");
    ids.into_iter().for_each(|id| scene.ledger.acknowledge(id));
    cue.end();
}

fn close(scene: &Scene, cue: &Cue<'_>) {
    let pen = scene.victim.pen.borrow_mut().take();
    cue.go();
    drop(pen);
    cue.end();
}

fn release(scene: &Scene, cue: &Cue<'_>) {
    let ear = scene.victim.ear.borrow();
    let taken = scene.take(ear.as_ref().expect("the victim reads"));
    cue.go();
    drop(taken);
    cue.end();
}

fn leave(scene: &Scene, cue: &Cue<'_>) {
    let ear = scene.victim.ear.borrow_mut().take();
    cue.go();
    drop(ear);
    cue.end();
}

/// Waits one slice and is woken in the second, when a slot can be had.
fn wait_for_sample(scene: &Scene, cue: &Cue<'_>) {
    let ear = scene.victim.ear.borrow();
    let ear = ear.as_ref().expect("the victim reads");
    cue.go();
    while let Ok(sample) = ear.reader.take_timeout(Duration::from_millis(1500)) {
        ear.log.receives(&sample, sample.writer().get(), sample.sequence());
    }
    cue.end();
}

fn wait_for_slot(scene: &Scene, cue: &Cue<'_>) {
    let pen = scene.victim.pen.borrow();
    let pen = pen.as_ref().expect("the victim writes");
    cue.go();
    let loans: Vec<_> = std::iter::from_fn(|| pen.writer.loan_timeout(Duration::from_millis(250)).ok()).take(4).collect();
    cue.end();
    drop(loans);
}

fn sleeping(operation: Operation, state: &'static State, asleep: Asleep, whom: &'static str) -> Case {
    let name = format!("{}-{whom}", operation.name).leak();
    Case { operation: name, state: state.name, seconds: SECONDS, run: Box::new(move |script| run(operation, state, asleep, script)) }
}

fn run(operation: Operation, state: &'static State, asleep: Asleep, script: &Rc<Script>) {
    let scene = Scene::new(state, operation.needs);
    let pen = scene.keeper.pen.borrow();
    let held = scene.hold(&pen);
    match asleep {
        Asleep::Readers(count) => {
            scene.survivors.iter().take(count).for_each(|ear| scene.drain(ear));
            readers_sleep(&scene, script, operation, count);
        }
        Asleep::Writer => writer_sleeps(&scene, script, operation),
    }
    play::aftermath(&scene, script, held);
}

/// `count` readers sleep, one inside the other's wait; while all do, the victim acts.
fn readers_sleep(scene: &Rc<Scene>, script: &Rc<Script>, operation: Operation, count: usize) {
    let Some(ear) = count.checked_sub(1).map(|number| &scene.survivors[number]) else {
        return script.mortal(0, &scene.victim.os, |cue| (operation.act)(scene, cue));
    };
    let (others, deaths, mut is_first) = (Rc::clone(scene), Rc::clone(script), true);
    let hook = scene.world.on_wait(move |_| {
        if std::mem::take(&mut is_first) {
            readers_sleep(&others, &deaths, operation, count - 1);
            return true;
        }
        false
    });
    let before = scene.world.now();
    let outcome = ear.reader.take_timeout(PATIENCE);
    let slept = scene.world.now() - before;
    drop(hook);
    match outcome {
        Ok(sample) => {
            let id = ear.log.receives(&sample, sample.writer().get(), sample.sequence());
            // Acknowledged is told: nobody sleeps on to the end of a slice. What died in between is found at that end.
            let limit = if scene.ledger.is_acknowledged(id) { READER_SLICE / 2 } else { READER_SLICE };
            assert!(slept < limit * count as u32, "sample {id} was there, and the reader slept {slept:?}");
        }
        Err(error) => {
            assert_eq!(error, TakeError::TimedOut, "the keeper may write");
            assert!(slept >= PATIENCE);
        }
    }
}

/// The other process waits for a slot, which nobody but the victim keeps from it: it gets one, at the latest when its slice ends.
fn writer_sleeps(scene: &Rc<Scene>, script: &Rc<Script>, operation: Operation) {
    let pen = scene.other.pen.borrow();
    let pen = pen.as_ref().expect("the other writes");
    let (others, deaths, mut is_first) = (Rc::clone(scene), Rc::clone(script), true);
    let hook = scene.world.on_wait(move |_| {
        if std::mem::take(&mut is_first) {
            deaths.mortal(0, &others.victim.os, |cue| (operation.act)(&others, cue));
            return true;
        }
        false
    });
    let before = scene.world.now();
    let loan = pen.writer.loan_timeout(PATIENCE).expect("the only one that owed it a read is dead");
    let slept = scene.world.now() - before;
    drop(hook);
    // A victim that waits itself spends time of its own.
    let own = if operation.name.starts_with("wait") { READER_SLICE * 2 } else { Duration::ZERO };
    let limit = if script.has_lived(0) && own.is_zero() { WRITER_SLICE / 2 } else { WRITER_SLICE + own };
    assert!(slept < limit, "it slept {slept:?}");
    drop(loan);
}
