//! Streams: samples one way, none lost, each filled and summed.

use std::sync::Arc;

use super::clock::now_ns;
use super::lane::{Lane, Receiver, Sender, Shape, first, sum};
use super::other::{Other, Part, Place, Start};
use super::shared::{Desk, Word};
use super::systems::{LaneKind, Visit};
use crate::figure::{Figure, Unit};
use crate::plan::{Outcome, Plan};

/// The systems.
const SYSTEMS: [LaneKind; 8] = [
    LaneKind::Seqslot,
    LaneKind::SeqslotSingly,
    LaneKind::Ring,
    LaneKind::Zerodds,
    LaneKind::Iceoryx,
    LaneKind::Rtrb,
    LaneKind::Pipe,
    LaneKind::Socket,
];

/// A row of streams.
pub struct Row {
    /// Its key.
    pub key: &'static str,
    /// Bytes of a sample.
    pub len: usize,
    /// Slots, each tried by every system that has slots.
    pub slots: &'static [usize],
    /// Samples of a round.
    pub count: usize,
    /// What is counted.
    pub unit: Unit,
}

/// Measures one row.
pub fn measure(plan: &Plan, row: &Row, out: &mut Vec<Figure>) -> Outcome {
    let ways: Vec<(LaneKind, usize)> = SYSTEMS
        .iter()
        .flat_map(|kind| row.slots.iter().take(if kind.is_kernel() { 1 } else { row.slots.len() }).map(|slots| (*kind, *slots)))
        .collect();
    let mut rounds = vec![Vec::new(); ways.len()];
    let mut disorder = vec![Vec::new(); ways.len()];
    for round in 0..plan.rounds {
        for (way, (kind, slots)) in ways.iter().enumerate() {
            let name = plan.scratch().join(format!("{}-{way}-{round}", row.key));
            let count = plan.scaled(if kind.is_kernel() { row.count / 8 } else { row.count }) as u64;
            let shape = Shape { len: row.len, slots: *slots };
            let (ns, out_of_order) = kind.visit(row.len, Stream { kind: *kind, name, shape, count });
            rounds[way].push(vec![match row.unit {
                Unit::MillionPerSecond => count as f64 / ns * 1e3,
                _ => count as f64 * row.len as f64 / ns,
            }]);
            disorder[way].push(vec![out_of_order as f64 / count as f64 * 100.0]);
        }
    }
    for (way, (kind, slots)) in ways.iter().enumerate() {
        let slots = if row.slots.len() > 1 && !kind.is_kernel() { format!(", {slots} slots") } else { String::new() };
        // One sample a round: the percentiles are those of the rounds.
        let mut all = [rounds[way].concat()];
        out.push(Figure { rounds: plan.rounds, ..Figure::of_rounds(row.key, &kind.name_with(&slots), row.unit, &mut all) });
        if disorder[way].concat().iter().any(|share| *share > 0.0) {
            let name = format!("parts, {}{slots}: out of order", kind.name());
            out.push(Figure::of_rounds(row.key, &name, Unit::Percent, &mut disorder[way]));
        }
    }
    Ok(())
}

struct Stream {
    kind: LaneKind,
    name: std::path::PathBuf,
    shape: Shape,
    count: u64,
}

impl Visit for Stream {
    /// Nanoseconds, and samples that came out of order.
    type Out = (f64, u64);

    fn visit<L: Lane>(self) -> (f64, u64) {
        let desk = Arc::new(Desk::create());
        let lane = L::create(&self.name, self.shape);
        // Every slot is touched by both sides before the clock runs.
        let warm = (self.shape.slots as u64 * 4).max(64);
        let start = Start {
            part: Part::Drain(self.kind),
            places: [Place { name: self.name, descriptors: lane.descriptors() }, Place::default()],
            desk: desk.descriptor(),
            len: self.shape.len,
            slots: self.shape.slots,
            warm,
            count: self.count,
        };
        let other = Other::start(self.kind.is_threaded(), start, &desk);
        desk.wait_for(Word::Ready, 1);
        let mut sender = lane.sender();
        // The first alone: until it has arrived, iceoryx2's receiver is not connected, and a full buffer's samples would be dropped.
        sender.send_all(0, 1);
        desk.wait_for(Word::Ready, 2);
        sender.send_all(1, warm - 1);
        desk.wait_for(Word::Ready, 3);
        let start = now_ns();
        sender.send_all(warm, self.count);
        desk.wait_for(Word::Done, 1);
        let ns = desk.read(Word::Finished) - start;
        let disorder = desk.read(Word::Disorder);
        desk.tell(Word::Stop, 1);
        drop(other);
        (ns as f64, disorder)
    }
}

/// The other side: takes all, and fails unless all of it arrived.
pub struct Drain<'s>(pub &'s Start, pub &'s Desk);

impl Visit for Drain<'_> {
    type Out = ();

    fn visit<L: Lane>(self) {
        let Self(start, desk) = self;
        let lane = L::attach(&start.places[0], Shape { len: start.len, slots: start.slots });
        let mut receiver = lane.receiver();
        desk.tell(Word::Ready, 1);
        take(&mut receiver, 0, 1, start.len);
        desk.tell(Word::Ready, 2);
        take(&mut receiver, 1, start.warm - 1, start.len);
        desk.tell(Word::Ready, 3);
        let disorder = take(&mut receiver, start.warm, start.count, start.len);
        desk.tell(Word::Finished, now_ns());
        let kind = match start.part {
            Part::Drain(kind) => kind,
            _ => LaneKind::Seqslot,
        };
        assert!(disorder == 0 || kind == LaneKind::Zerodds, "{kind:?}: {disorder} samples out of order");
        desk.tell(Word::Disorder, disorder);
        desk.tell(Word::Done, 1);
        desk.wait_for(Word::Stop, 1);
    }
}

/// Takes the samples of the numbers from `from`, `count` in all; how many came out of order.
fn take(receiver: &mut impl Receiver, from: u64, count: u64, len: usize) -> u64 {
    let (mut got, mut total, mut disorder) = (0, 0_u64, 0);
    while got < count {
        receiver.receive(&mut |payload| {
            total = total.wrapping_add(sum(payload));
            disorder += u64::from(first(payload) != from + got);
            got += 1;
        });
    }
    let numbers = (from..from + count).fold(0, u64::wrapping_add);
    assert_eq!(total, numbers.wrapping_mul(len as u64 / 8), "samples were lost, doubled, or torn");
    disorder
}
