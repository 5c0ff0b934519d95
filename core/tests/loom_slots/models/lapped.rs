//! A reader whose ring was overwritten by positions without a sample looks over the slots themselves.

use std::sync::Arc;

use loom::thread;
use seqslot_core::Writer;

use super::{Size, check, drain, send, step, warm_up};
use crate::world::Plan;

#[test]
fn a_lapped_reader_sweeps_while_somebody_commits() {
    let plan = Arc::new(Plan::new(1, 1, 1));
    check("a lapped reader sweeps while somebody commits", 3, Size::Small, move || {
        let world = plan.world();
        let reader = world.reader("reader");
        let first = world.writer("writer");
        let mut got = warm_up(&first, &[&reader]);
        first.segment().mapping().die_after(0);
        drop(first);
        // Each death burns a position; the ring has one entry.
        for _ in 0..2 {
            let doomed = world.writer("writer");
            doomed.segment().mapping().die_after(0);
            drop(doomed);
        }
        let writer = Writer::<_>::join(world.attach("writer")).expect("a free entry");
        let reading = thread::spawn(move || {
            for _ in 0..2 {
                step(&reader, &mut got).expect("goes on");
            }
            (reader, got)
        });
        let sent = send(&writer);
        let (reader, mut got) = reading.join().expect("no panic");
        drain(&reader, &mut got);
        assert_eq!(got, [(0, 0), (0, sent)]);
        world.assert_nothing_stuck();
    });
}
