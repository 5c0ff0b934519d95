//! When a typed writer asks for a sample back, and what it makes of the answers: over a backend whose clock and answers are the test's.
#![cfg(feature = "alloc")]
#![allow(missing_docs)]

mod seeds_support;

use core::time::Duration;
use std::sync::Mutex;

use seqslot_core::{FlatStruct, FlatWriter, Reliability, SlotBackend, SlotError, SlotHandle, SlotHeader, WriteOutcome};

#[derive(Debug, Clone, Copy, PartialEq, Eq, zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout)]
#[repr(C)]
struct N(u64);

impl FlatStruct for N {
    const TYPE_HASH: [u8; 16] = [9; 16];
}

type Answer = Result<u32, SlotError>;

/// One slot with a sample that reader 0 does not read.
struct Full {
    handle: SlotHandle,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    clock: Duration,
    answers: Vec<Answer>,
    /// When it was asked for the sample back, in milliseconds.
    asked: Vec<u64>,
    looks: u32,
    is_free: bool,
}

impl SlotBackend for Full {
    fn reserve_slot(&self, _active: u32) -> Result<SlotHandle, SlotError> {
        if self.state.lock().unwrap().is_free { Ok(self.handle) } else { Err(SlotError::NoFreeSlot) }
    }

    fn commit_slot(&self, _handle: SlotHandle, _bytes: &[u8]) -> Result<u32, SlotError> {
        Ok(1)
    }

    fn discard_slot(&self, _handle: SlotHandle) -> Result<(), SlotError> {
        Ok(())
    }

    fn read_slot_into(&self, _handle: SlotHandle, _into: &mut [u8]) -> Result<SlotHeader, SlotError> {
        self.state.lock().unwrap().looks += 1;
        Ok(SlotHeader::new(0, 8))
    }

    fn mark_read(&self, _handle: SlotHandle, _reader: u8) -> Result<(), SlotError> {
        Ok(())
    }

    fn mark_reader_disconnected(&self, _reader: u8) -> Result<(), SlotError> {
        Ok(())
    }

    fn slot_count(&self) -> Result<usize, SlotError> {
        Ok(1)
    }

    fn slot_total_size(&self) -> usize {
        64
    }

    fn slot_capacity(&self) -> usize {
        8
    }

    fn sample_at(&self, _slot: u32) -> Result<Option<(SlotHandle, SlotHeader)>, SlotError> {
        Ok(Some((self.handle, SlotHeader::new(0, 8))))
    }

    fn evict_sample(&self, _handle: SlotHandle, readers: u32) -> Answer {
        assert_eq!(readers, 1, "who counts and has not read it");
        let mut state = self.state.lock().unwrap();
        let now = state.clock.as_millis() as u64;
        state.asked.push(now);
        let answer = state.answers.remove(0);
        state.is_free = answer == Ok(1);
        answer
    }

    fn now(&self) -> Option<Duration> {
        Some(self.state.lock().unwrap().clock)
    }

    fn wait_for_change(&self, _last: u64, timeout: Duration) {
        self.state.lock().unwrap().clock += timeout;
    }
}

/// Waits for a slot with this straggler timeout, in milliseconds, until the answers are used up: the outcome, when it asked, and how often it
/// looked.
fn insist(timeout: u64, answers: &[Answer]) -> (Result<WriteOutcome, SlotError>, Vec<u64>, u32) {
    let handle = seeds_support::face(1, 8).reserve_slot(0).unwrap();
    let full = Full { handle, state: Mutex::new(State { clock: Duration::from_secs(9), answers: answers.to_vec(), ..State::default() }) };
    let writer = FlatWriter::<N, _>::new(&full, 1).unwrap().with_straggler_timeout(Duration::from_millis(timeout));
    let outcome = writer.write_bp(&N(1), Reliability::Reliable, Duration::MAX);
    let state = full.state.lock().unwrap();
    (outcome, state.asked.iter().map(|at| at - 9000).collect(), state.looks)
}

const WRITTEN: Result<WriteOutcome, SlotError> = Ok(WriteOutcome::Written(1));

#[test]
fn a_busy_slot_is_asked_for_again_soon_and_one_without_stragglers_later() {
    let (outcome, asked, looks) = insist(80, &[Ok(1)]);
    assert_eq!((outcome, asked), (WRITTEN, vec![80]));
    assert!((1..=8).contains(&looks), "{looks} in the time of one timeout");
    let busy = || Err(SlotError::SlotBusy);
    assert_eq!(insist(80, &[busy(), busy(), Ok(1)]).1, [80, 81, 82]);
    assert_eq!(insist(80, &[Ok(0), Ok(0), Ok(1)]).1, [80, 90, 100]);
    let (outcome, asked, _) = insist(80, &[Err(SlotError::StaleHandle), Ok(1)]);
    assert_eq!((outcome, asked), (WRITTEN, vec![80, 90]), "it has moved on by itself");
    assert_eq!(insist(80, &[Err(SlotError::LockPoisoned)]).0, Err(SlotError::LockPoisoned));
    // However short the timeout is, it sleeps in between.
    assert_eq!(insist(0, &[Ok(0), busy(), Ok(1)]).1, [0, 1, 2]);
}

#[test]
fn a_write_that_does_not_wait_takes_back_what_is_too_old() {
    let handle = seeds_support::face(1, 8).reserve_slot(0).unwrap();
    let full = Full { handle, state: Mutex::new(State { answers: vec![Ok(1)], ..State::default() }) };
    let writer = FlatWriter::<N, _>::new(&full, 0b1).unwrap().with_straggler_timeout(Duration::from_millis(80));
    for at in [0, 40, 79] {
        full.state.lock().unwrap().clock = Duration::from_millis(at);
        assert_eq!(writer.write(&N(1)), Err(SlotError::NoFreeSlot));
    }
    full.state.lock().unwrap().clock = Duration::from_millis(80);
    assert_eq!(writer.write(&N(1)), Ok(1));
}
