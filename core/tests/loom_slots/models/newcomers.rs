//! Writers that come while somebody reads: who is seen at all is seen alive.

use std::sync::Arc;

use loom::thread;
use seqslot_core::Writer;

use super::{Got, Size, check, drain, send, step};
use crate::world::Plan;

/// The stores of a join that mark the entry as somebody's: from then on a death is recovered.
const CLAIMED: i64 = 1;

#[test]
fn a_writer_that_comes_after_one_that_died_in_its_join() {
    let plan = Arc::new(Plan::new(1, 1, 1));
    check("a writer that comes after one that died in its join", 3, Size::Small, move || {
        let world = plan.world();
        let reader = world.reader("reader");
        let (doomed, next) = (world.attach("doomed"), world.attach("next"));
        doomed.mapping().die_after(CLAIMED);
        drop(Writer::<_>::join(doomed).expect("it does not know that it is dead"));
        // Recovered: it is said to have died, though no reader ever saw it.
        next.recover().expect("no system");
        let coming = thread::spawn(move || Writer::<_>::join(next).expect("a free entry"));
        let mut got = Got::new();
        // No end of the stream: either nobody was ever there, or somebody is.
        step(&reader, &mut got).expect("goes on");
        step(&reader, &mut got).expect("goes on");
        let writer = coming.join().expect("no panic");
        let sent = send(&writer);
        drain(&reader, &mut got);
        assert_eq!(got, [(0, sent)]);
        drop(writer);
        world.assert_nothing_stuck();
    });
}
