//! One slot, and readers that leave while they hold it: nothing but their leave gives it back.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use seqslot_core::{Segment, SlotsOs, Writer};

use super::stream::{check, send};
use super::{PATIENCE, Span, StopAtEnd, Tally};

/// A writer, and readers one after the other, each of which takes one sample, reads it, and goes without letting go of it. A segment of one
/// slot.
///
/// # Panics
/// If a sample is wrong while it is held.
pub fn leaving<'s, O>(segment: &'s Segment<O>) -> Tally
where
    O: SlotsOs,
    Segment<O>: Sync,
    Writer<&'s Segment<O>>: Send,
{
    let (span, stop) = (Span::begin(), AtomicBool::new(false));
    let writer = segment.writer().expect("a free entry");
    thread::scope(|scope| {
        let sending = scope.spawn(|| {
            let writer = writer;
            while !stop.load(Relaxed) {
                send(&writer);
                // So that a reader that has just come finds the next one.
                thread::yield_now();
            }
            u64::from(writer.position())
        });
        let _stop = StopAtEnd(&stop);
        let (mut came, mut taken) = (0, 0);
        while span.goes_on(taken * 10) {
            let reader = segment.reader().expect("a free entry");
            came += 1;
            if let Ok(sample) = reader.take_timeout(PATIENCE) {
                check(&sample, &reader);
                thread::yield_now();
                check(&sample, &reader);
                taken += 1;
                core::mem::forget(sample);
            }
        }
        stop.store(true, Relaxed);
        Tally { sent: sending.join().expect("a writer that ended well"), taken: u64::from(taken), came }
    })
}
