//! One-way latency: half of a trip there and back, both sides polling.
//!
//! A sample is the mean of a few trips in a row, so that reading the clock does not count. The whole payload is filled and summed on
//! either side: the answer to a number is the sum that the other side made of it. Either side answers from within the sample, before it
//! lets go of it: what is told is the way from one side to the other, and letting go is not on it.

use std::hint::spin_loop;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use super::lane::{Lane, Receiver, Sender, Shape, sum};
use super::other::{Other, Part, Place, Start};
use super::shared::{Desk, Word};
use super::systems::{LaneKind, Visit};
use crate::figure::{Figure, Unit};
use crate::plan::{Outcome, Plan};

/// Trips that are timed together.
pub const TRIPS: u64 = 16;
/// Samples a round.
const SAMPLES: usize = 1500;
/// Trips before the first that is timed.
const WARM: u64 = 2000;
/// The systems, with the slots that each does best with.
const SYSTEMS: [(LaneKind, usize); 7] = [
    (LaneKind::SeqslotSingly, 64),
    (LaneKind::Ring, 64),
    (LaneKind::Zerodds, 4),
    (LaneKind::Iceoryx, 4),
    (LaneKind::Rtrb, 64),
    (LaneKind::PollingPipe, 1),
    (LaneKind::PollingSocket, 1),
];

/// Measures one row.
pub fn measure(plan: &Plan, row: &str, len: usize, out: &mut Vec<Figure>) -> Outcome {
    let samples = plan.scaled(SAMPLES);
    let mut limit = Vec::new();
    let mut rounds = vec![Vec::new(); SYSTEMS.len()];
    for round in 0..plan.rounds {
        limit.push(lines(samples));
        for ((kind, slots), rounds) in SYSTEMS.iter().zip(&mut rounds) {
            let places = ["there", "back"].map(|way| plan.scratch().join(format!("{row}-{}-{round}-{way}", *kind as u32)));
            let samples = if kind.is_kernel() { samples / 8 } else { samples };
            rounds.push(kind.visit(len, Trips { kind: *kind, places, shape: Shape { len, slots: *slots }, samples }));
        }
    }
    out.push(Figure::of_rounds(row, "limit, two lines", Unit::Nanoseconds, &mut limit));
    for ((kind, _), mut rounds) in SYSTEMS.iter().zip(rounds) {
        let name = if *kind == LaneKind::SeqslotSingly { "seqslot".into() } else { kind.name_with("") };
        out.push(Figure::of_rounds(row, &name, Unit::Nanoseconds, &mut rounds));
    }
    Ok(())
}

/// Trips of 64 bytes that are not timed.
pub fn trips(kind: LaneKind, samples: usize, scratch: &Path) {
    let places = ["there", "back"].map(|way| scratch.join(format!("trips-{}-{samples}-{way}", kind as u32)));
    kind.visit(64, Trips { kind, places, shape: Shape { len: 64, slots: 4 }, samples });
}

struct Trips {
    kind: LaneKind,
    places: [PathBuf; 2],
    shape: Shape,
    samples: usize,
}

impl Visit for Trips {
    type Out = Vec<f64>;

    fn visit<L: Lane>(self) -> Vec<f64> {
        let desk = Arc::new(Desk::create());
        let [there, back] = [0, 1].map(|way| L::create(&self.places[way], self.shape));
        let mut receiver = back.receiver();
        let [first, second] = [&there, &back].map(Lane::descriptors);
        let [there_name, back_name] = self.places;
        let places = [Place { name: there_name, descriptors: first }, Place { name: back_name, descriptors: second }];
        let start = Start {
            part: Part::Echo(self.kind),
            places,
            desk: desk.descriptor(),
            len: self.shape.len,
            slots: self.shape.slots,
            warm: WARM,
            count: self.samples as u64 * TRIPS,
        };
        let other = Other::start(self.kind.is_threaded(), start, &desk);
        desk.wait_for(Word::Ready, 1);
        let mut sender = there.sender();
        let words = self.shape.len as u64 / 8;
        let last = WARM + self.samples as u64 * TRIPS;
        let mut samples = Vec::with_capacity(self.samples);
        let mut start = Instant::now();
        let mut number = 0;
        sender.send(number);
        while number < last {
            receiver.receive(&mut |payload| {
                assert_eq!(sum(payload), number.wrapping_mul(words * words), "another sample than was sent");
                number += 1;
                if number >= WARM && (number - WARM).is_multiple_of(TRIPS) {
                    let now = Instant::now();
                    if number > WARM {
                        samples.push((now - start).as_nanos() as f64 / TRIPS as f64 / 2.0);
                    }
                    start = now;
                }
                if number < last {
                    sender.send(number);
                }
            });
        }
        desk.tell(Word::Stop, 1);
        drop(other);
        samples
    }
}

/// The other side: sends the sum of each sample back.
pub struct Echo<'s>(pub &'s Start, pub &'s Desk);

impl Visit for Echo<'_> {
    type Out = ();

    fn visit<L: Lane>(self) {
        let Self(start, desk) = self;
        let shape = Shape { len: start.len, slots: start.slots };
        let [there, back] = start.places.each_ref().map(|place| L::attach(place, shape));
        let (mut receiver, mut sender) = (there.receiver(), back.sender());
        desk.tell(Word::Ready, 1);
        let mut left = start.warm + start.count;
        while left > 0 {
            receiver.receive(&mut |payload| {
                sender.send(sum(payload));
                left -= 1;
            });
        }
        desk.wait_for(Word::Stop, 1);
    }
}

/// Two bare lines there and back: what nothing can be quicker than.
fn lines(samples: usize) -> Vec<f64> {
    let desk = Arc::new(Desk::create());
    let count = samples as u64 * TRIPS;
    let start = Start {
        part: Part::Lines,
        places: [Place::default(), Place::default()],
        desk: desk.descriptor(),
        len: 8,
        slots: 1,
        warm: WARM,
        count,
    };
    let other = Other::start(false, start, &desk);
    desk.wait_for(Word::Ready, 1);
    let trip = |number: u64| {
        desk.tell(Word::There, number);
        while desk.read(Word::Back) != number {
            spin_loop();
        }
    };
    (1..=WARM).for_each(trip);
    let first = WARM + 1;
    let times = (0..samples as u64).map(|sample| {
        let start = Instant::now();
        (first + sample * TRIPS..first + (sample + 1) * TRIPS).for_each(trip);
        start.elapsed().as_nanos() as f64 / TRIPS as f64 / 2.0
    });
    let times = times.collect();
    drop(other);
    times
}

/// The other side of bare lines.
pub fn answer_lines(start: &Start, desk: &Desk) {
    desk.tell(Word::Ready, 1);
    for number in 1..=start.warm + start.count {
        while desk.read(Word::There) != number {
            spin_loop();
        }
        desk.tell(Word::Back, number);
    }
}
