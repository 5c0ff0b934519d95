//! Reads of 64 bytes while another process writes back-to-back.
//!
//! Each read is timed for itself. A read is fresh if its value is newer than any that was read before; a system whose reads are quick
//! because they hand out what they had does not gain by it.

use std::sync::Arc;

use super::cell::{Cell, Lens, Pen};
use super::clock::{Ticks, tick};
use super::other::{Other, Part, Place, Start};
use super::shared::{Desk, Word};
use super::systems::{CellKind, VisitCell};
use crate::figure::{Figure, Unit};
use crate::plan::{Outcome, Plan};

/// Reads of a round.
const READS: usize = 200_000;
/// Reads before the first that is timed.
const WARM: usize = 10_000;
const ROW: &str = "snap-contended";

/// Measures the row.
pub fn measure(plan: &Plan, out: &mut Vec<Figure>) -> Outcome {
    let ticks = Ticks::calibrate();
    let reads = plan.scaled(READS);
    let mut rounds = CellKind::ALL.map(|_| [const { Vec::new() }; 4]);
    for round in 0..plan.rounds {
        for (kind, rounds) in CellKind::ALL.iter().zip(&mut rounds) {
            let name = plan.scratch().join(format!("cell-{}-{round}", *kind as u32));
            let read = kind.visit(Watch { kind: *kind, name, reads, ticks });
            rounds[1].push(vec![read.fresh.len() as f64 / read.all.len() as f64 * 100.0]);
            rounds[3].push(vec![read.without as f64 / read.all.len() as f64 * 100.0]);
            // In a short round some hand out nothing but what they had.
            if !read.fresh.is_empty() {
                rounds[0].push(read.fresh);
            }
            rounds[2].push(read.all);
        }
    }
    for (kind, [mut fresh, mut share, mut all, mut without]) in CellKind::ALL.iter().zip(rounds) {
        if !fresh.is_empty() {
            out.push(Figure::of_rounds(ROW, kind.name(), Unit::Nanoseconds, &mut fresh));
        }
        out.push(Figure::of_rounds(ROW, &format!("parts, {}: reads that were fresh", kind.name()), Unit::Percent, &mut share));
        out.push(Figure::of_rounds(ROW, &format!("parts, {}: reads without a value", kind.name()), Unit::Percent, &mut without));
        out.push(Figure::of_rounds(ROW, &format!("parts, {}: any read", kind.name()), Unit::Nanoseconds, &mut all));
    }
    Ok(())
}

struct Watch {
    kind: CellKind,
    name: std::path::PathBuf,
    reads: usize,
    ticks: Ticks,
}

/// Times of reads in nanoseconds.
pub struct Times {
    all: Vec<f64>,
    fresh: Vec<f64>,
    /// Reads that gave up.
    without: usize,
}

impl VisitCell for Watch {
    type Out = Times;

    fn visit<C: Cell>(self) -> Times {
        let desk = Arc::new(Desk::create());
        let start = Start {
            part: Part::Write(self.kind),
            places: [Place { name: self.name.clone(), descriptors: Vec::new() }, Place::default()],
            desk: desk.descriptor(),
            len: size_of::<super::cell::Value>(),
            slots: 1,
            warm: 0,
            count: 0,
        };
        let other = Other::start(false, start, &desk);
        desk.wait_for(Word::Ready, 1);
        let mut lens = C::lens(&self.name, desk.cell());
        let mut times = Times { all: Vec::with_capacity(self.reads), fresh: Vec::with_capacity(self.reads), without: 0 };
        let mut newest = 0;
        for number in 0..WARM + self.reads {
            let start = tick();
            let value = std::hint::black_box(lens.read());
            let end = tick();
            let is_fresh = value.is_some_and(|value| {
                let is_whole = value.iter().all(|word| *word == value[0]);
                assert!(is_whole || !C::IS_WHOLE, "{:?}: a torn value, {value:?}", self.kind);
                let is_fresh = value[0] > newest;
                newest = newest.max(value[0]);
                is_fresh
            });
            if number >= WARM {
                let time = self.ticks.between(start, end);
                times.all.push(time);
                times.without += usize::from(value.is_none());
                if is_fresh {
                    times.fresh.push(time);
                }
            }
        }
        desk.tell(Word::Stop, 1);
        drop(other);
        times
    }
}

/// The other side: writes back-to-back until it is told to stop.
pub struct Write<'s>(pub &'s Start, pub &'s Desk);

impl VisitCell for Write<'_> {
    type Out = ();

    fn visit<C: Cell>(self) {
        let Self(start, desk) = self;
        let mut pen = C::pen(&start.places[0].name, desk.cell());
        desk.tell(Word::Ready, 1);
        let mut number = 0;
        while desk.read(Word::Stop) == 0 {
            for _ in 0..64 {
                number += 1;
                pen.write(number);
            }
        }
    }
}
