//! What an operator's process does: recovers at random times, looks at who lags, evicts.

use seqslot_core::{EvictError, Segment};
use seqslot_os_mock::{MockOs, bounded};

use crate::env::{Env, SHORT};
use crate::plan::SLOTS;

/// The whole life of a carer's process.
pub(crate) fn live(env: &Env) {
    while let Some(segment) = env.attach(SLOTS) {
        for _ in 0..env.session() {
            if env.stops() {
                break;
            }
            match env.below(10) {
                0..4 => recover(env, &segment),
                4 if env.plan().evictions => evict(env, &segment),
                5 => {
                    bounded("stats", SHORT, || segment.stats());
                }
                _ => {
                    for _ in 0..1 + env.below(8) {
                        env.idle();
                    }
                }
            }
        }
    }
}

/// Recovers; nobody who was alive all the while may be taken for dead.
pub(crate) fn recover(env: &Env, segment: &Segment<MockOs>) {
    let began = env.model().tick();
    match bounded("recover", SHORT, || segment.recover()) {
        Ok(found) => {
            let (writers, readers) = env.model().well_since(began);
            assert_eq!((found.writers & writers, found.readers & readers), (0, 0), "the living were declared dead: {found:?}");
            env.model().tally.recovered += u64::from(found.writers.count_ones() + found.readers.count_ones());
        }
        Err(error) => env.refused(&error),
    }
}

fn evict(env: &Env, segment: &Segment<MockOs>) {
    let mut readers = Vec::new();
    bounded("lag", SHORT, || segment.lag(|lag| readers.push(lag.reader)));
    if readers.is_empty() {
        return;
    }
    let reader = readers[env.below(readers.len() as u64) as usize];
    env.model().evicts(reader);
    // The model knows that nothing is promised to it from here on; what it holds is not looked at any more.
    match crate::poke::evict(segment, reader) {
        Ok(()) => env.model().tally.evicted += 1,
        Err(EvictError::Gone | EvictError::Busy) => {}
        Err(EvictError::Os(error)) => env.refused(&error),
        Err(error) => panic!("evict: {error}"),
    }
}
