//! Readers and writers that come and go, recovery beside them, and one of each that stays: who stays gets everything, who comes gets
//! everything from there on, and nobody's going costs a slot.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use seqslot_core::{Reader, Segment, SlotsOs, TakeError, Writer, WriterIndex};

use super::stream::{check, send};
use super::{AT_LEAST, PATIENCE, Span, StopAtEnd, Tally};

/// Samples of a writer, or taken by a reader, before it goes again.
const VISIT: u32 = 5;

/// One writer and one reader that stay; one writer and two readers that come and go; one thread that recovers all the time. At least
/// two writers, three readers, and eight slots.
///
/// # Panics
/// If a sample is lost or wrong, or a slot is.
pub fn churn<'s, O>(segment: &'s Segment<O>) -> Tally
where
    O: SlotsOs,
    Segment<O>: Sync,
    Writer<&'s Segment<O>>: Send,
    Reader<&'s Segment<O>>: Send,
{
    let (span, stop) = (Span::begin(), AtomicBool::new(false));
    let (stays, writer) = (segment.reader().expect("a free entry"), segment.writer().expect("a free entry"));
    let tally = thread::scope(|scope| {
        let stop = &stop;
        let steady = scope.spawn(move || stay(&stays));
        let sending = scope.spawn(move || {
            while !stop.load(Relaxed) {
                send(&writer);
            }
            u64::from(writer.position())
        });
        let _stop = StopAtEnd(stop);
        scope.spawn(move || {
            while !stop.load(Relaxed) {
                segment.recover().expect("no system call fails");
                thread::yield_now();
            }
        });
        let visits = [0, 1].map(|number| scope.spawn(move || visits(segment, number, span)));
        let (mut sent, mut came) = (0, 0);
        while span.goes_on(came * 20) {
            let writer = segment.writer().expect("a free entry");
            (0..VISIT).for_each(|_| send(&writer));
            sent += u64::from(VISIT);
            came += 1;
        }
        let visited = visits.map(|thread| thread.join().expect("a reader that ended well"));
        stop.store(true, Relaxed);
        sent += sending.join().expect("a writer that ended well");
        let taken = steady.join().expect("a reader that ended well");
        assert_eq!(taken, sent, "who stays gets every sample");
        Tally {
            sent,
            taken: taken + visited.iter().map(|(taken, _)| taken).sum::<u64>(),
            came: u64::from(came) + visited.iter().map(|(_, came)| came).sum::<u64>(),
        }
    });
    no_slot_is_lost(segment);
    tally
}

/// Takes until all writers have closed.
fn stay<O: SlotsOs>(reader: &Reader<&Segment<O>>) -> u64 {
    let (mut expected, mut taken) = ([0_u32; 32], 0);
    loop {
        match reader.take_timeout(PATIENCE) {
            Ok(sample) => {
                let next = &mut expected[sample.writer().get() as usize];
                assert_eq!(sample.sequence(), *next, "an index that is used again goes on where it was");
                *next += 1;
                check(&sample, reader);
                taken += 1;
            }
            Err(TakeError::TimedOut) => {}
            Err(error) => {
                assert_eq!(error, TakeError::Closed);
                return taken;
            }
        }
    }
}

/// Joins, takes a few, goes; again and again. Samples taken, and visits.
fn visits<O: SlotsOs>(segment: &Segment<O>, number: usize, span: Span) -> (u64, u64) {
    let (mut taken, mut came) = (0, 0);
    while span.goes_on(came as u32 * (AT_LEAST / 10)) {
        let reader = segment.reader().expect("a free entry");
        // Of what was being committed while it joined, some comes and some does not: up to these sequence numbers, the ones next or under way.
        let head =
            |writer| segment.view().writer_entry(WriterIndex::new(writer)?).map(|entry| entry.head().load(seqslot_core::Ordering::Relaxed));
        let heads: Vec<u32> = (0..32).map(|writer| head(writer).unwrap_or(0)).collect();
        let mut expected = [None; 32];
        for nth in 0..VISIT {
            let Ok(sample) = reader.take_timeout(PATIENCE) else { break };
            let next = &mut expected[sample.writer().get() as usize];
            let was_joining = sample.sequence() <= heads[sample.writer().get() as usize] + 1;
            let in_order = next.is_none_or(|next| next == sample.sequence() || next < sample.sequence() && was_joining);
            assert!(in_order, "{next:?} was to come, and not {}", sample.sequence());
            *next = Some(sample.sequence() + 1);
            check(&sample, &reader);
            taken += 1;
            if nth == VISIT - 1 && number == 0 {
                // Its slot is free all the same when the reader goes.
                core::mem::forget(sample);
            }
        }
        came += 1;
    }
    (taken, came)
}

/// With nobody there any more every slot can be loaned.
pub(super) fn no_slot_is_lost<O: SlotsOs>(segment: &Segment<O>) {
    assert_eq!(segment.active_readers(), 0, "all readers have gone");
    let writer = segment.writer().expect("a free entry");
    let all: Vec<_> = (0..segment.geometry().slots).map_while(|_| writer.loan().ok()).collect();
    assert_eq!(all.len(), segment.geometry().slots as usize, "a slot is lost");
}
