//! The wraps: positions go round the circle, and samples held meanwhile are not taken for new ones. (Generations of slots: in `late`.)

use std::sync::Arc;

use loom::thread;
use seqslot_core::Ordering::{Acquire, Relaxed as Plainly};
use seqslot_core::TakeError;

use super::{Got, Size, check, drain, looks_free, send, step, try_send};
use crate::mutation::Effect::{Answers, Relaxed};
use crate::mutation::Expect::CaughtSoon;
use crate::mutation::Kind::{Head, RingTag, Unread};
use crate::mutation::Op::{Load, Store};
use crate::mutation::{Mutation, rule};
use crate::world::Plan;

pub const MUTATIONS: &[Mutation] = &[
    Mutation { model: POSITIONS, name: "release Relaxed", rules: &[rule(Unread, Store, Relaxed).by("reader")], expect: CaughtSoon },
    Mutation { model: POSITIONS, name: "tag stored Relaxed", rules: &[rule(RingTag, Store, Relaxed)], expect: CaughtSoon },
    Mutation { model: POSITIONS, name: "tag loaded Relaxed", rules: &[rule(RingTag, Load, Relaxed)], expect: CaughtSoon },
    // Its own look at what it holds finds nothing.
    Mutation { model: HELD, name: "no guard", rules: &[rule(Unread, Load, Answers(0)).by("reader").when(Plainly)], expect: CaughtSoon },
    Mutation {
        model: HELD,
        name: "looks at unread and tag Relaxed",
        rules: &[rule(Unread, Load, Relaxed).by("reader").when(Acquire), rule(RingTag, Load, Relaxed)],
        expect: CaughtSoon,
    },
    Mutation {
        model: HELD,
        name: "head stored Relaxed",
        rules: &[rule(Head, Store, Relaxed), rule(RingTag, Store, Relaxed)],
        expect: CaughtSoon,
    },
];

const POSITIONS: &str = "models::wrap::positions_wrap_while_somebody_takes";
const HELD: &str = "models::wrap::a_sample_held_for_a_whole_circle";

/// The samples of writer 0 from sequence number `first` on.
fn in_order_from(first: u32, count: u32) -> Got {
    (0..count).map(|number| (0, first.wrapping_add(number))).collect()
}

#[test]
fn positions_wrap_while_somebody_takes() {
    let plan = Arc::new(Plan::new(3, 1, 1));
    check("positions wrap while somebody takes", 3, Size::Small, move || {
        let world = plan.world();
        world.set_position(0, u32::MAX - 1);
        let writer = world.writer("writer");
        let reader = world.reader("reader");
        let first = writer.position();
        let mut loans: Vec<_> = (0..2).map(|_| writer.try_loan().expect("free")).collect();
        let reading = thread::spawn(move || {
            let mut got = Got::new();
            for _ in 0..3 {
                step(&reader, &mut got).expect("goes on");
            }
            (reader, got)
        });
        // Slot 1, then slot 0, then slot 2, at the last two positions and the first.
        for number in 0..2 {
            let mut loan = loans.pop().expect("two");
            loan.copy_from_slice(&super::value(0, first.wrapping_add(number)));
            assert_eq!(loan.commit_len(4), Ok(first.wrapping_add(number)));
        }
        send(&writer);
        let sent = if looks_free(&writer) && try_send(&writer).is_some() { 4 } else { 3 };
        let (reader, mut got) = reading.join().expect("no panic");
        drain(&reader, &mut got);
        assert_eq!(got, in_order_from(first, sent));
        drop(loans);
        world.assert_nothing_stuck();
    });
}

#[test]
fn a_sample_held_for_a_whole_circle() {
    let plan = Arc::new(Plan::new(2, 1, 1));
    check("a sample held for a whole circle", 3, Size::Small, move || {
        let world = plan.world();
        let reader = world.reader("reader");
        let position = {
            let writer = world.writer("writer");
            let position = writer.position().wrapping_add(world.view().geometry().ring_len);
            send(&writer);
            send(&writer);
            position
        };
        // As after many deaths: positions are burnt all the way round, while the reader holds what it has.
        let held = reader.take().expect("goes on").expect("one is there");
        // Behind the second one it expects the next where the first is.
        assert_eq!(step(&reader, &mut Got::new()), Ok(true));
        for quarter in 1..=4_u32 {
            world.set_position(0, position.wrapping_add(quarter << 30));
            for _ in 0..2 {
                assert!(matches!(reader.take(), Ok(None) | Err(TakeError::Closed)), "nothing but burnt positions");
            }
        }
        let writer = world.writer("writer");
        let reading = {
            // The slot that the reader holds has the very position that comes next.
            let (index, sequence) = (held.slot(), held.sequence());
            std::mem::forget(held);
            thread::spawn(move || {
                let mut got = Got::new();
                step(&reader, &mut got).expect("goes on");
                (reader, got, index, sequence)
            })
        };
        let sent = send(&writer);
        let (reader, mut got, index, sequence) = reading.join().expect("no panic");
        assert_eq!(sent, sequence, "a whole circle");
        drain(&reader, &mut got);
        assert_eq!(got, [(0, sent)]);
        let held = world.view().slot(index).expect("a slot").words().unread;
        assert_eq!(held, 1, "what it holds is still its own");
    });
}
