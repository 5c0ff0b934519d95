//! Waking: from before a sample is filled until the reader, which slept, has it.

use std::hint::spin_loop;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::clock::now_ns;
use super::lane::{Lane, Receiver, Sender, Shape, first, sum};
use super::other::{Other, Part, Place, Start};
use super::shared::{Desk, Word};
use super::systems::{LaneKind, Visit};
use crate::figure::{Figure, Unit};
use crate::plan::{Outcome, Plan};

/// The systems.
const SYSTEMS: [LaneKind; 6] =
    [LaneKind::Seqslot, LaneKind::Futex, LaneKind::Zerodds, LaneKind::IceoryxEvent, LaneKind::Pipe, LaneKind::Socket];
/// Messages of a round.
const COUNT: usize = 2000;
/// Messages before the first that counts.
const WARM: u64 = 100;
/// Time from when a message was taken until the next.
const PAUSE_NS: u64 = 50_000;
const SHAPE: Shape = Shape { len: 64, slots: 4 };
const ROW: &str = "wake";

/// Measures the row.
pub fn measure(plan: &Plan, out: &mut Vec<Figure>) -> Outcome {
    let count = plan.scaled(COUNT) as u64;
    let mut rounds = SYSTEMS.map(|_| Vec::new());
    for round in 0..plan.rounds {
        for (kind, rounds) in SYSTEMS.iter().zip(&mut rounds) {
            let name = plan.scratch().join(format!("wake-{}-{round}", *kind as u32));
            rounds.push(kind.visit(SHAPE.len, Wake { kind: *kind, name, count }));
        }
    }
    for (kind, mut rounds) in SYSTEMS.iter().zip(rounds) {
        out.push(Figure::of_rounds(ROW, kind.name(), Unit::Nanoseconds, &mut rounds));
    }
    Ok(())
}

struct Wake {
    kind: LaneKind,
    name: std::path::PathBuf,
    count: u64,
}

impl Visit for Wake {
    type Out = Vec<f64>;

    fn visit<L: Lane>(self) -> Vec<f64> {
        let desk = Arc::new(Desk::create());
        let lane = L::create(&self.name, SHAPE);
        let start = Start {
            part: Part::Sleep(self.kind),
            places: [Place { name: self.name, descriptors: lane.descriptors() }, Place::default()],
            desk: desk.descriptor(),
            len: SHAPE.len,
            slots: SHAPE.slots,
            warm: WARM,
            count: self.count,
        };
        let other = Other::start(false, start, &desk);
        desk.wait_for(Word::Ready, 1);
        let mut sender = lane.sender();
        let mut stamps = 0_u64;
        for number in 0..WARM + self.count {
            desk.wait_for(Word::Taken, number);
            // Time to fall asleep in.
            let before = now_ns();
            while now_ns() < before + PAUSE_NS {
                spin_loop();
            }
            let stamp = now_ns();
            sender.send(stamp);
            stamps = stamps.wrapping_add(stamp);
        }
        desk.wait_for(Word::Done, 1);
        assert_eq!(desk.read(Word::Sum), stamps, "{:?}: samples were lost or doubled", self.kind);
        // ORDERING: Relaxed; `Done` brought them.
        let times = (0..self.count as usize).map(|at| desk.sample(at).load(Ordering::Relaxed) as f64).collect();
        desk.tell(Word::Stop, 1);
        drop(other);
        times
    }
}

/// The other side: sleeps until each sample is there. Fails if it did not sleep.
pub struct Sleep<'s>(pub &'s Start, pub &'s Desk);

impl Visit for Sleep<'_> {
    type Out = ();

    fn visit<L: Lane>(self) {
        let Self(start, desk) = self;
        let lane = L::attach(&start.places[0], Shape { len: start.len, slots: start.slots });
        let mut receiver = lane.receiver();
        desk.tell(Word::Ready, 1);
        let (mut got, mut stamps) = (0, 0_u64);
        let slept = sleeps();
        while got < start.warm + start.count {
            receiver.sleep(&mut |payload| {
                let now = now_ns();
                let stamp = first(payload);
                assert_eq!(sum(payload), stamp.wrapping_mul(start.len as u64 / 8), "a torn sample");
                stamps = stamps.wrapping_add(stamp);
                if got >= start.warm {
                    // ORDERING: Relaxed; `Done` carries them.
                    desk.sample((got - start.warm) as usize).store(now - stamp, Ordering::Relaxed);
                }
                got += 1;
                desk.tell(Word::Taken, got);
            });
        }
        let slept = sleeps() - slept;
        assert!(slept * 10 >= got * 9, "the reader slept {slept} times for {got} samples: it was not parked");
        desk.tell(Word::Sum, stamps);
        desk.tell(Word::Done, 1);
        desk.wait_for(Word::Stop, 1);
    }
}

/// How often this process gave its CPU up of itself.
fn sleeps() -> u64 {
    // SAFETY: a plain record; all zero is one.
    let mut usage: libc::rusage = unsafe { core::mem::zeroed() };
    // SAFETY: `usage` is ours to write.
    unsafe { libc::getrusage(libc::RUSAGE_SELF, &raw mut usage) };
    usage.ru_nvcsw as u64
}
