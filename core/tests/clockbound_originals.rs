//! What ClockBound's own mapped readers (2.0.3, 3.0) may accept of what our writer stores, store by store: every interleaving of their look
//! (generation; payload ascending, in two pieces; generation) with the writer's trace, on a machine that keeps the order of stores (x86-64).

use std::cell::RefCell;

use seqslot_core::clockbound::{ClockBoundPen, ClockErrorBound, ClockStatus, Layout, TimeSpec};
use seqslot_core::{AtomicU32, Memory, Ordering};

const WORDS: usize = 26;

/// The states of the memory after each store of a word.
#[derive(Clone)]
struct Traced<'t>(&'t RefCell<Vec<[u32; WORDS]>>);

// SAFETY: words of one thread; no pointer into them is given out.
unsafe impl Memory for Traced<'_> {
    fn len(&self) -> usize {
        80
    }
    unsafe fn load(&self, at: usize, _: Ordering) -> u32 {
        self.0.borrow().last().unwrap()[at / 4]
    }
    unsafe fn store(&self, at: usize, value: u32, _: Ordering) {
        let mut next = *self.0.borrow().last().unwrap();
        next[at / 4] = value;
        self.0.borrow_mut().push(next);
    }
    fn fence(&self, _: Ordering) {}
    fn fence_full(&self) {}
    unsafe fn copy_out(&self, _: usize, _: &mut [u8]) {
        unreachable!()
    }
    unsafe fn copy_in(&self, at: usize, from: &[u8]) {
        for (number, word) in from.chunks_exact(4).enumerate() {
            // SAFETY: as the caller's.
            unsafe { self.store(at + 4 * number, u32::from_ne_bytes(word.try_into().unwrap()), Ordering::Relaxed) };
        }
    }
    unsafe fn payload(&self, _: usize, _: usize) -> *const u8 {
        unreachable!()
    }
    unsafe fn payload_mut(&self, _: usize, _: usize) -> *mut u8 {
        unreachable!()
    }
    unsafe fn futex(&self, _: usize) -> &AtomicU32 {
        unreachable!()
    }
}

fn bound(number: i64) -> ClockErrorBound {
    let time = |seconds| TimeSpec::new(seconds, 5).unwrap();
    ClockErrorBound::new(time(number), time(number + 1_000), number, 9, 1_000, ClockStatus::Synchronized, true)
}

fn payload(bytes: &[u8]) -> Vec<u32> {
    bytes[..64].chunks_exact(4).map(|word| u32::from_ne_bytes(word.try_into().unwrap())).collect()
}

/// What the word at 12 says of the version.
fn version(state: &[u32; WORDS]) -> u16 {
    let [a, b, _, _] = state[3].to_ne_bytes();
    u16::from_ne_bytes([a, b])
}

/// What it says of the generation.
fn generation(state: &[u32; WORDS]) -> u16 {
    let [_, _, a, b] = state[3].to_ne_bytes();
    u16::from_ne_bytes([a, b])
}

/// Every payload that a look may accept that begins at some state: the generation of then, even (0 as well), the payload in two pieces at two
/// later states, the same generation again. (Whoever has seen another one meanwhile begins anew.)
fn accepted(states: &[[u32; WORDS]]) -> Vec<Vec<u32>> {
    let mut found = Vec::new();
    for begin in 0..states.len() {
        for first in begin..states.len() {
            for second in first..states.len() {
                if generation(&states[begin]).is_multiple_of(2) && generation(&states[second]) == generation(&states[begin]) {
                    found.extend((0..=16).map(|split| [&states[first][4..4 + split], &states[second][4 + split..20]].concat()));
                }
            }
        }
    }
    found.sort();
    found.dedup();
    found
}

#[test]
fn a_reader_of_clockbound_in_the_midst_of_its_look_takes_no_mixture_of_a_wipe_for_a_bound_and_no_zeros() {
    let trace = RefCell::new(vec![[0; WORDS]]);
    let memory = Traced(&trace);
    // SAFETY: 1. to 3. words of this thread.
    unsafe { ClockBoundPen::start(memory.clone(), Layout::V2) }.unwrap().write(&bound(100)).unwrap();
    // The next writer finds something wrong with the header.
    trace.borrow_mut().last_mut().unwrap()[2] = 0;
    let from = trace.borrow().len() - 1;
    // SAFETY: as above.
    unsafe { ClockBoundPen::start(memory, Layout::V2) }.unwrap().write(&bound(200)).unwrap();
    // Who opens the segment meanwhile, or after a death, finds version 0: an odd generation alone would be a segment in use, with zeros.
    let states = trace.borrow()[from..].to_vec();
    let [before, meanwhile @ .., after] = &states[..] else { panic!("no stores") };
    assert!(meanwhile.iter().all(|state| version(state) == 0 && generation(state) == 3), "until the last store");
    assert_eq!([before, after].map(|state| (version(state), generation(state))), [(2, 2), (2, 4)]);
    let found = accepted(&states);
    let mut whole = [100, 200].map(|number| payload(&bound(number).to_payload())).to_vec();
    whole.sort();
    assert_eq!(found, whole, "{} payloads are accepted", found.len());
}
