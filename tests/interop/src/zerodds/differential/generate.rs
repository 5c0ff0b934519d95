//! Sequences of steps from a seed.

use super::super::call::{Call, KEPT, PARTIES, PLACES, Step};
use crate::random::Random;

/// Steps of a sequence.
const STEPS: std::ops::Range<u64> = 6..70;
/// Reader indices that are used most.
const READERS: [u8; 4] = [0, 1, 5, 31];

/// What a sequence has beside plain writing and reading. Most have little: then nothing but a fault at work makes a difference.
#[derive(Debug, Clone, Copy)]
struct Flavour {
    /// Others than the owner write.
    has_writers: bool,
    /// The other process takes part.
    has_processes: bool,
    /// Handles are used late, twice, or through another allocator.
    is_careless: bool,
    /// Empty samples.
    has_empty: bool,
    /// Samples that are too large.
    has_large: bool,
    /// Readers are declared gone.
    has_disconnects: bool,
    /// Allocators are dropped, made anew, attached anew.
    has_restarts: bool,
    /// Readers 32 and beyond, handles with an index out of range, odd geometries.
    has_nonsense: bool,
}

impl Flavour {
    fn draw(random: &mut Random) -> Self {
        let mut once_in = |times| random.once_in(times);
        Self {
            has_writers: once_in(3),
            has_processes: once_in(3),
            is_careless: once_in(3),
            has_empty: once_in(3),
            has_large: once_in(3),
            has_disconnects: once_in(3),
            has_restarts: once_in(4),
            has_nonsense: once_in(6),
        }
    }
}

/// The sequence of a seed.
pub fn sequence(seed: u64) -> Vec<Step> {
    let mut random = Random::new(seed);
    let flavour = Flavour::draw(&mut random);
    let slots = random.one(&[1, 2, 3, 4, 4, 5, 8, 17, 64]);
    let capacity = random.one(&[1, 8, 16, 48, 49, 64, 100]);
    let mut steps = vec![Step { party: 0, call: Call::Create { place: 0, slots, capacity } }];
    steps.push(Step { party: 0, call: Call::Attach { place: 1 } });
    if flavour.has_processes {
        steps.push(Step { party: 1, call: Call::Attach { place: 0 } });
    }
    let count = STEPS.start + random.below(STEPS.end - STEPS.start);
    let mut hands =
        Hands { random, flavour, capacity, loans: [const { Vec::new() }; PARTIES], found: [const { Vec::new() }; PARTIES], fill: 0 };
    steps.extend((0..count).map(|_| hands.step()));
    steps
}

/// What the generator remembers, so that most calls make sense.
struct Hands {
    random: Random,
    flavour: Flavour,
    capacity: usize,
    /// Of each party: handles that are loans, with the allocator they are of.
    loans: [Vec<(usize, usize)>; PARTIES],
    /// Handles that were found, with the reader.
    found: [Vec<(usize, u8)>; PARTIES],
    fill: u8,
}

impl Hands {
    fn step(&mut self) -> Step {
        let party = if self.flavour.has_processes { self.random.below(PARTIES as u64) as usize } else { 0 };
        Step { party, call: self.call(party) }
    }

    fn call(&mut self, party: usize) -> Call {
        let place = self.random.below(PLACES as u64) as usize;
        let kept = self.random.below(KEPT as u64) as usize;
        match self.random.below(100) {
            0..=21 => self.reserve(party, kept),
            22..=41 => self.commit(party),
            42..=45 => self.discard(party),
            46..=60 => {
                let reader = self.reader();
                self.found[party].push((kept, reader));
                Call::Next { place, reader, kept }
            }
            61..=76 => self.mark(party, place),
            77..=81 => Call::Read { place, kept: self.kept(party) },
            82..=84 => Call::ReadPtr { place, kept: self.kept(party) },
            85..=86 if self.flavour.is_careless => Call::DataPtr { place, kept },
            87..=89 if self.flavour.has_disconnects => Call::Disconnect { place, reader: self.reader() },
            90 => Call::Numbers { place },
            91 => Call::Wait { place, is_stale: self.random.once_in(2), micros: self.random.one(&[0, 0, 0, 50]) },
            92..=93 if self.flavour.is_careless => Call::Copy { from: kept, to: self.random.below(KEPT as u64) as usize },
            94..=97 if self.flavour.has_restarts => self.restart(place),
            98..=99 if self.flavour.has_nonsense => self.nonsense(place, kept),
            _ => self.reserve(party, kept),
        }
    }

    fn reader(&mut self) -> u8 {
        if self.flavour.has_nonsense && self.random.once_in(12) {
            return self.random.one(&[32, 33, 63, 64, 255]);
        }
        if self.random.once_in(30) { self.random.below(32) as u8 } else { self.random.one(&READERS) }
    }

    fn kept(&mut self, party: usize) -> usize {
        let known = self.found[party].last().map(|(kept, _)| *kept).or(self.loans[party].last().map(|(kept, _)| *kept));
        known.filter(|_| !self.random.once_in(4)).unwrap_or_else(|| self.random.below(KEPT as u64) as usize)
    }

    fn writer(&mut self, party: usize) -> usize {
        if self.flavour.has_writers || party != 0 { self.random.below(PLACES as u64) as usize } else { 0 }
    }

    fn reserve(&mut self, party: usize, kept: usize) -> Call {
        // Without several writers, the other process only reads.
        if party != 0 && !self.flavour.has_writers {
            return Call::Next { place: 0, reader: self.reader(), kept };
        }
        let place = self.writer(party);
        let active = self.random.one(&[0, 1, 1, 0b11, 0b11, 1 << 31, 1 | 1 << 31, 0b10_0010, u32::MAX]);
        self.loans[party].push((kept, place));
        Call::Reserve { place, active, kept }
    }

    /// A loan that is out, or, carelessly, anything.
    fn loan(&mut self, party: usize) -> (usize, usize) {
        let anything = (self.random.below(KEPT as u64) as usize, self.random.below(PLACES as u64) as usize);
        if self.flavour.is_careless && self.random.once_in(6) {
            return anything;
        }
        let count = self.loans[party].len() as u64;
        if count == 0 {
            return anything;
        }
        let index = self.random.below(count) as usize;
        if self.flavour.is_careless && self.random.once_in(4) { self.loans[party][index] } else { self.loans[party].swap_remove(index) }
    }

    fn commit(&mut self, party: usize) -> Call {
        let (kept, place) = self.loan(party);
        self.fill = self.fill.wrapping_add(1);
        let large = if self.flavour.has_large && self.random.once_in(5) { 1 + self.random.below(70) as usize } else { 0 };
        let least = usize::from(!self.flavour.has_empty);
        let len = if self.flavour.has_empty && self.random.once_in(3) {
            0
        } else if large != 0 {
            self.capacity + large
        } else {
            least + self.random.below((self.capacity - least + 1) as u64) as usize
        };
        let fill = self.fill;
        if self.random.once_in(3) { Call::CommitInPlace { place, kept, len, fill } } else { Call::Commit { place, kept, len, fill } }
    }

    fn discard(&mut self, party: usize) -> Call {
        let (kept, place) = self.loan(party);
        Call::Discard { place, kept }
    }

    fn mark(&mut self, party: usize, place: usize) -> Call {
        match self.found[party].pop() {
            Some((kept, reader)) => {
                if self.flavour.is_careless && self.random.once_in(4) {
                    self.found[party].push((kept, reader));
                }
                Call::Mark { place, kept, reader }
            }
            None => Call::Mark { place, kept: self.random.below(KEPT as u64) as usize, reader: self.reader() },
        }
    }

    fn restart(&mut self, place: usize) -> Call {
        match self.random.below(5) {
            0 => Call::Create { place, slots: 1 + self.random.below(6) as usize, capacity: self.capacity },
            1 | 2 => Call::Attach { place },
            _ => Call::Drop { place },
        }
    }

    fn nonsense(&mut self, place: usize, kept: usize) -> Call {
        match self.random.below(4) {
            0 => Call::Create { place, slots: 0, capacity: 8 },
            1 => Call::Create { place, slots: 2, capacity: 0 },
            _ => Call::Spoil { kept },
        }
    }
}
