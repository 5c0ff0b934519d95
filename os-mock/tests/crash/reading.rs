//! What readers do.

use std::sync::Arc;
use std::time::Duration;

use seqslot_core::{Reader, ReaderIndex};

use crate::play::{Operation, READER, SEGMENT, table};
use crate::scene::{Ear, Scene};
use crate::script::{Case, Cue};
use crate::states;

const OPERATIONS: [Operation; 12] = [
    Operation { name: "join", needs: SEGMENT, act: join },
    Operation { name: "join-as", needs: SEGMENT, act: join_as },
    Operation { name: "join-take-leave", needs: SEGMENT, act: join_take_leave },
    Operation { name: "take", needs: READER, act: take },
    Operation { name: "take-release", needs: READER, act: take_release },
    Operation { name: "release", needs: READER, act: release },
    Operation { name: "release-all", needs: READER, act: release_all },
    Operation { name: "take-batch", needs: READER, act: batch },
    Operation { name: "copy", needs: READER, act: copy },
    Operation { name: "take-timeout", needs: READER, act: take_timeout },
    Operation { name: "leave", needs: READER, act: leave },
    Operation { name: "leave-forgotten", needs: READER, act: leave_forgotten },
];

pub fn cases() -> Vec<Case> {
    table(&OPERATIONS, states::PLAIN.iter().chain([&&states::OWED]).chain(&states::OVERWRITING))
        .into_iter()
        // A sample that only the victim owes is not there for who joins.
        .filter(|case| case.state != states::OWED.name || !case.operation.starts_with("join"))
        .collect()
}

/// What the victim's reader does.
fn with_ear(scene: &Scene, act: impl FnOnce(&Ear)) {
    act(scene.victim.ear.borrow().as_ref().expect("the victim reads"));
}

fn join(scene: &Scene, cue: &Cue<'_>) {
    let segment = scene.victim.segment();
    cue.go();
    let ear = scene.ear(&segment);
    cue.end();
    drop(ear);
}

fn join_as(scene: &Scene, cue: &Cue<'_>) {
    let segment = scene.victim.segment();
    let free = (0..segment.geometry().readers).filter_map(ReaderIndex::new);
    let free = free.into_iter().rfind(|index| segment.reader_lives(*index) == Ok(false)).expect("an entry is free");
    cue.go();
    let reader: Reader<_> = Reader::join_as(Arc::clone(&segment), free).expect("it is free");
    cue.end();
    drop(reader);
}

fn join_take_leave(scene: &Scene, cue: &Cue<'_>) {
    let segment = scene.victim.segment();
    cue.go();
    let ear = scene.ear(&segment);
    let keeper = scene.keeper.pen.borrow();
    keeper.iter().for_each(|pen| _ = scene.send(pen));
    scene.drain(&ear);
    drop(ear);
    cue.end();
}

fn take(scene: &Scene, cue: &Cue<'_>) {
    with_ear(scene, |ear| {
        cue.go();
        let taken = scene.take(ear);
        cue.end();
        drop(taken);
    });
}

fn take_release(scene: &Scene, cue: &Cue<'_>) {
    with_ear(scene, |ear| {
        cue.go();
        drop(scene.take(ear));
        cue.end();
    });
}

fn release(scene: &Scene, cue: &Cue<'_>) {
    with_ear(scene, |ear| {
        let taken = scene.take(ear);
        cue.go();
        drop(taken);
        cue.end();
    });
}

fn release_all(scene: &Scene, cue: &Cue<'_>) {
    with_ear(scene, |ear| {
        let mut taken: Vec<_> = std::iter::from_fn(|| scene.take(ear)).collect();
        cue.go();
        while taken.pop().is_some() {}
        cue.end();
    });
}

fn batch(scene: &Scene, cue: &Cue<'_>) {
    with_ear(scene, |ear| {
        cue.go();
        let samples = ear.reader.take_batch::<3>().expect("writers live");
        for sample in samples {
            ear.log.receives(&sample, sample.writer().get(), sample.sequence());
        }
        cue.end();
    });
}

fn copy(scene: &Scene, cue: &Cue<'_>) {
    with_ear(scene, |ear| {
        let taken = scene.take(ear);
        cue.go();
        if let Some((sample, _)) = &taken {
            let mut bytes = vec![0; sample.len_bytes()];
            assert_eq!(sample.copy_to(&mut bytes), bytes.len());
            assert_eq!(bytes, **sample);
        }
        drop(taken);
        cue.end();
    });
}

/// All that is there, and then to the end of a slice.
fn take_timeout(scene: &Scene, cue: &Cue<'_>) {
    with_ear(scene, |ear| {
        scene.drain(ear);
        cue.go();
        let nothing = ear.reader.take_timeout(Duration::from_millis(1500)).map(drop);
        assert!(nothing.is_err() || scene.state.dead, "what a recovery found");
        cue.end();
    });
}

fn leave(scene: &Scene, cue: &Cue<'_>) {
    let ear = scene.victim.ear.borrow_mut().take();
    cue.go();
    drop(ear);
    cue.end();
}

/// With samples that were forgotten, and are given back with the reader.
fn leave_forgotten(scene: &Scene, cue: &Cue<'_>) {
    let ear = scene.victim.ear.borrow_mut().take().expect("the victim reads");
    while let Some(taken) = scene.take(&ear) {
        std::mem::forget(taken);
    }
    cue.go();
    drop(ear);
    cue.end();
}
