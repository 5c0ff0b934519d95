//! The models, and what they share.

use std::sync::Arc;
use std::time::Instant;

use seqslot_core::{Ordering, Reader, TakeError, Writer};

use crate::loom_memory::explore;
use crate::mutation::{self, Mutation};
use crate::world::Attached;

mod change;
mod closing;
mod deaths;
mod deliver;
mod evict;
mod fences;
mod lapped;
mod late;
mod membership;
mod newcomers;
mod notify;
mod overwrite;
mod plentiful;
mod recovery;
mod registry;
mod scarce;
mod seeds;
mod sole;
mod straggler;
mod wrap;
mod writers;

/// Every mutation.
pub fn mutations() -> impl Iterator<Item = &'static Mutation> {
    [
        deliver::MUTATIONS,
        membership::MUTATIONS,
        writers::MUTATIONS,
        overwrite::MUTATIONS,
        notify::MUTATIONS,
        fences::MUTATIONS,
        scarce::MUTATIONS,
        recovery::MUTATIONS,
        seeds::MUTATIONS,
        change::MUTATIONS,
        closing::MUTATIONS,
        evict::MUTATIONS,
        late::MUTATIONS,
        plentiful::MUTATIONS,
        registry::MUTATIONS,
        sole::MUTATIONS,
        straggler::MUTATIONS,
        wrap::MUTATIONS,
    ]
    .into_iter()
    .flatten()
}

/// What a thread needs that makes faces.
const STACK_WORDS: usize = 0x8000;

/// Whether a model is part of `LOOM_SMALL`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Size {
    Small,
    Full,
}

/// Whether only the small models and mutations are wanted.
pub fn only_small() -> bool {
    std::env::var_os("LOOM_SMALL").is_some_and(|value| value != "0")
}

/// Explores a model, with at most `bound` preemptions, and says how many executions there were.
fn check(name: &str, bound: usize, size: Size, model: impl Fn() + Sync + Send + 'static) {
    check_cases(name, bound, size, std::iter::once(()), move |()| model());
}

/// As [`check`], for models of the seeds' face, whose making needs more of a stack than loom's first thread has.
fn check_faces(name: &str, bound: usize, size: Size, model: impl Fn() + Sync + Send + 'static) {
    let model = Arc::new(model);
    check(name, bound, size, move || {
        let model = model.clone();
        let first = loom::thread::Builder::new().stack_size(STACK_WORDS).spawn(move || model());
        first.expect("a thread").join().expect("no panic");
    });
}

/// Explores a model once for each case.
fn check_cases<C: Send + Sync + 'static>(
    name: &str,
    bound: usize,
    size: Size,
    cases: impl Iterator<Item = C>,
    model: impl Fn(&C) + Sync + Send + 'static,
) {
    if size == Size::Full && only_small() && mutation::current().is_none() {
        println!("{name}: left out of LOOM_SMALL");
        return;
    }
    let started = Instant::now();
    let model = Arc::new(model);
    let (mut total, mut count) = (0, 0);
    for case in cases {
        let model = model.clone();
        total += explore(bound, move || model(&case));
        count += 1;
    }
    // In some cases of many the parties may have nothing left to meet over.
    assert!(total > count, "{name}: a concurrent model that explored one execution shows nothing");
    let of = if count == 1 { String::new() } else { format!(" of {count} cases") };
    println!("{name}: {total} executions{of} (at most {bound} preemptions), {:.1} s", started.elapsed().as_secs_f32());
}

/// The bytes of a sample.
fn value(writer: u32, sequence: u32) -> [u8; 4] {
    (writer << 16 | sequence | 0x5A00_0000).to_ne_bytes()
}

/// Whether some slot looks free to the writer, by the hints that a reserve begins with. (What a reserve does when nothing is free
/// is modelled where it matters; elsewhere it would only make the models large.)
fn looks_free(writer: &Writer<Attached>) -> bool {
    let view = writer.segment().view();
    view.slots().any(|slot| {
        slot.state().load(Ordering::Relaxed) >> 26 == 0
            && slot.unread().load(Ordering::Relaxed) & view.active().load(Ordering::Relaxed) == 0
    })
}

/// Publishes the next sample if a slot can be had; its sequence number.
fn try_send(writer: &Writer<Attached>) -> Option<u32> {
    let mut loan = writer.try_loan().ok()?;
    let sequence = writer.position();
    loan.copy_from_slice(&value(writer.index().get(), sequence));
    assert_eq!(loan.commit_len(4), Ok(sequence));
    Some(sequence)
}

/// Publishes the next sample; a slot must be free.
fn send(writer: &Writer<Attached>) -> u32 {
    try_send(writer).expect("a slot is free")
}

/// What a reader got: writer and sequence number.
type Got = Vec<(u32, u32)>;

/// Takes a sample if there is one, looks at its bytes, lets go of it.
fn step(reader: &Reader<Attached>, got: &mut Got) -> Result<bool, TakeError> {
    let Some(sample) = reader.take()? else { return Ok(false) };
    let from = (sample.writer().get(), sample.sequence());
    assert_eq!(*sample, value(from.0, from.1), "wrong bytes in sample {from:?}");
    got.push(from);
    Ok(true)
}

/// Takes whatever is there.
fn drain(reader: &Reader<Attached>, got: &mut Got) {
    while let Ok(true) = step(reader, got) {
        assert!(got.len() < 20, "one sample again and again: {got:?}");
    }
}

/// Publishes a sample that the readers take, before the threads start: from then on they look where they expect the next one. What
/// they got.
fn warm_up(writer: &Writer<Attached>, readers: &[&Reader<Attached>]) -> Got {
    let sent = send(writer);
    for reader in readers {
        assert_eq!(step(reader, &mut Got::new()), Ok(true));
    }
    vec![(writer.index().get(), sent)]
}

/// The first `count` samples of writer 0.
fn in_order(count: u32) -> Got {
    (0..count).map(|sequence| (0, sequence)).collect()
}
