//! One thread, at random, many loans and samples out at once, slots of every size: a loan is refused only if nothing is free, and what was
//! committed comes in order.

use core::sync::atomic::AtomicU8;
use std::collections::VecDeque;

use seqslot_core::{Bare, Config, LoanError, Region, Segment};

const ROUNDS: u32 = 120;
const STEPS: u32 = 500;

/// Marsaglia's xorshift: the same in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }
}

#[repr(align(64))]
struct Line(#[allow(dead_code, reason = "reached through the slice")] [AtomicU8; 64]);

/// Slots that nobody owns, and that no active reader owes a read.
fn free(segment: &Segment<Bare<'_>>) -> usize {
    let owed_by_nobody = |unread: u32| unread & segment.active_readers() == 0;
    segment.view().slots().map(|slot| slot.words()).filter(|words| words.state >> 26 == 0 && owed_by_nobody(words.unread)).count()
}

fn round(random: &mut Random) {
    let (slots, capacity) = match random.below(4) {
        0 => (1 + random.below(130), 8),
        // Around a window of 4 MiB, and around twice as many.
        1 => ([1, 2, 3, 103, 104, 105, 110, 150, 209][random.below(9)], 40_000),
        2 => (1 + random.below(9), 1_000_000),
        // A window of two, and more beyond it.
        _ => (1 + random.below(12), 2_000_000),
    };
    let config = Config::slots(slots as u64, capacity).writers(1 + random.below(3) as u32).readers(1 + random.below(3) as u32);
    let lines: Vec<Line> = (0..config.len().expect("it can be").div_ceil(64)).map(|_| Line([const { AtomicU8::new(0) }; 64])).collect();
    // SAFETY: lines are arrays of atomics without padding, one behind the other, and outlive the region.
    let bytes = unsafe { core::slice::from_raw_parts(lines.as_ptr().cast::<AtomicU8>(), lines.len() * 64) };
    // SAFETY: nobody else uses them, and one segment is made in them.
    let region = unsafe { Region::new(bytes) }.expect("aligned");
    let segment = Segment::create(Bare::new(region), &(), &config).expect("it fits");
    let writers: Vec<_> = (0..segment.geometry().writers).map(|_| segment.writer().expect("an entry")).collect();
    let readers: Vec<_> = (0..segment.geometry().readers).map(|_| segment.reader().expect("an entry")).collect();
    let mut loans: Vec<Vec<_>> = writers.iter().map(|_| Vec::new()).collect();
    let mut held: Vec<Vec<_>> = readers.iter().map(|_| Vec::new()).collect();
    // By reader and writer: the sequence numbers to come.
    let mut due = vec![vec![VecDeque::new(); writers.len()]; readers.len()];
    let releases = 1 + random.below(4);
    for _ in 0..STEPS {
        let (w, r) = (random.below(writers.len()), random.below(readers.len()));
        match random.below(9 + releases) {
            0..=2 => {
                let free = free(&segment);
                let loan = writers[w].try_loan();
                assert_eq!(loan.as_ref().err(), (free == 0).then_some(&LoanError::NoFreeSlot), "{free} of {slots} of {capacity} free");
                loans[w].extend(loan);
            }
            3 => drop(loans[w].pop()),
            4..=6 if !loans[w].is_empty() => {
                let loan = random.below(loans[w].len());
                let sequence = loans[w].swap_remove(loan).commit_len(0).expect("on loan");
                due.iter_mut().for_each(|of_reader| of_reader[w].push_back(sequence));
            }
            7 | 8 => {
                if let Some(sample) = readers[r].take().expect("its writers live") {
                    assert_eq!(due[r][sample.writer().get() as usize].pop_front(), Some(sample.sequence()));
                    held[r].push(sample);
                } else {
                    assert!(due[r].iter().all(VecDeque::is_empty), "committed, and not found");
                }
            }
            _ if !held[r].is_empty() => {
                let sample = random.below(held[r].len());
                drop(held[r].swap_remove(sample));
            }
            _ => {}
        }
    }
}

#[test]
fn a_loan_is_refused_only_if_nothing_is_free() {
    let mut random = Random(0x5EED);
    for _ in 0..ROUNDS {
        round(&mut random);
    }
}
