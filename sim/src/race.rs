//! One name, and several processes that create it, attach to it, own it, die of it, and take it over.

use seqslot_core::{AttachError, CreateError, HeadError, Segment};
use seqslot_os_mock::{MockOs, bounded};

use crate::env::{Env, SHORT};
use crate::plan::{Plan, RACE};

/// Who owns the name.
#[derive(Debug, Default)]
pub(crate) struct RaceModel {
    owner: Option<u32>,
}

impl RaceModel {
    pub(crate) fn died(&mut self, pid: u32) {
        if self.owner == Some(pid) {
            self.owner = None;
        }
    }
}

/// The whole life of a racer's process.
pub(crate) fn live(env: &Env) {
    while !env.stops() {
        if env.chance(40) { create(env) } else { attach(env) }
    }
}

fn create(env: &Env) {
    match bounded("create", SHORT, || Segment::create(env.os.clone(), RACE, &Plan::race_config())) {
        Ok(segment) => {
            let other = env.shared.race.borrow_mut().owner.replace(env.pid);
            assert!(other.is_none(), "{} owns the name, and so does {other:?}", env.pid);
            env.model().tally.creations += 1;
            for _ in 0..env.below(4) {
                converse(env, &segment);
            }
            env.shared.race.borrow_mut().owner = None;
            bounded("take the name away", SHORT, || drop(segment));
        }
        Err(CreateError::AlreadyExists { .. } | CreateError::BeingCreated) => env.idle(),
        Err(CreateError::Os(error)) => env.refused(&error),
        Err(error) => panic!("create: {error}"),
    }
}

fn attach(env: &Env) {
    match bounded("attach", SHORT, || Segment::attach(env.os.clone(), RACE)) {
        Ok(segment) => {
            let geometry = segment.geometry();
            assert_eq!(
                (geometry.slots, geometry.capacity, geometry.writers, geometry.readers),
                (3, 16, 3, 3),
                "a segment that is not whole"
            );
            converse(env, &segment);
        }
        Err(AttachError::NotFound | AttachError::Head(HeadError::NotReady)) => env.idle(),
        Err(AttachError::Os(error)) => env.refused(&error),
        Err(error) => panic!("attach: {error}"),
    }
}

/// Whoever joins and sends gets at least its own sample, if there was a slot.
fn converse(env: &Env, segment: &Segment<MockOs>) {
    let reader = match bounded("join", SHORT, || segment.reader()) {
        Ok(reader) => reader,
        Err(error) => return env.not_joined(error),
    };
    let writer = match bounded("writer", SHORT, || segment.writer()) {
        Ok(writer) => writer,
        Err(error) => return env.not_joined(error),
    };
    let word = u64::from(env.pid) << 32 | env.below(1 << 32);
    if bounded("send", SHORT, || writer.send(&word.to_ne_bytes())).is_err() {
        return;
    }
    for _ in 0..1000 {
        match bounded("take", SHORT, || reader.take()) {
            Ok(Some(sample)) if *sample == word.to_ne_bytes() => return,
            Ok(_) => {}
            Err(error) => panic!("take: {error}"),
        }
    }
    panic!("its own sample is not delivered");
}
