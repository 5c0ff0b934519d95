//! Parties that vanish with what they hold, told dead one by one, while others go on: every acknowledged sample arrives, no slot is lost.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use seqslot_core::{Lock, Reader, Segment, SlotsOs, TakeError, Writer};

use super::churn::no_slot_is_lost;
use super::stream::{check, send};
use super::{AT_LEAST, PATIENCE, Span, StopAtEnd, Tally};

/// Samples sent, or taken, before a death.
const LIFE: u32 = 3;

/// One writer and one reader that stay; one thread each of writers and readers that die holding slots; one thread that recovers all the
/// time. `bury` says that the holder of a lock is gone; it is called after the holder's handles were forgotten. At least two writers,
/// two readers, and twelve slots.
///
/// # Panics
/// If a sample is lost or wrong, or a slot is.
pub fn deaths<'s, O>(segment: &'s Segment<O>, bury: impl Fn(Lock) + Sync) -> Tally
where
    O: SlotsOs,
    Segment<O>: Sync,
    Writer<&'s Segment<O>>: Send,
    Reader<&'s Segment<O>>: Send,
{
    let (span, stop, bury) = (Span::begin(), AtomicBool::new(false), &bury);
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
        let reading = scope.spawn(move || reader_deaths(segment, bury, span));
        let (mut sent, mut came) = (0, 0);
        while span.goes_on(came * (AT_LEAST / 10)) {
            sent += writer_death(segment, bury);
            came += 1;
        }
        let (seen, died) = reading.join().expect("readers that died well");
        stop.store(true, Relaxed);
        sent += sending.join().expect("a writer that ended well");
        let taken = steady.join().expect("a reader that ended well");
        assert_eq!(taken, sent, "every sample that was acknowledged arrives");
        Tally { sent, taken: taken + seen, came: u64::from(came) + died }
    });
    no_slot_is_lost(segment);
    tally
}

/// A writer that dies with one loan half filled; the samples it had sent.
fn writer_death<O: SlotsOs>(segment: &Segment<O>, bury: impl Fn(Lock)) -> u64 {
    let writer = segment.writer().expect("a free entry");
    let lock = Lock::writer(writer.index().get() as u8);
    (0..LIFE).for_each(|_| send(&writer));
    if let Ok(mut loan) = writer.loan_timeout(PATIENCE) {
        let half = loan.len() / 2;
        loan[..half].fill(0xDD);
        core::mem::forget(loan);
    }
    core::mem::forget(writer);
    bury(lock);
    u64::from(LIFE)
}

/// Readers that die one after the other with a sample in hand; samples taken, and deaths.
fn reader_deaths<O: SlotsOs>(segment: &Segment<O>, bury: impl Fn(Lock), span: Span) -> (u64, u64) {
    let (mut taken, mut died) = (0, 0);
    while span.goes_on(died as u32 * (AT_LEAST / 10)) {
        let reader = segment.reader().expect("a free entry");
        let lock = Lock::reader(reader.index().get() as u8);
        for nth in 0..LIFE {
            let Ok(sample) = reader.take_timeout(PATIENCE) else { break };
            check(&sample, &reader);
            taken += 1;
            if nth == LIFE - 1 {
                core::mem::forget(sample);
            }
        }
        core::mem::forget(reader);
        bury(lock);
        died += 1;
    }
    (taken, died)
}

/// Takes until no writer is left. Positions of the dead are burnt, so there are gaps; nothing comes twice.
fn stay<O: SlotsOs>(reader: &Reader<&Segment<O>>) -> u64 {
    let (mut expected, mut taken) = ([0_u32; 32], 0);
    loop {
        match reader.take_timeout(PATIENCE) {
            Ok(sample) => {
                let next = &mut expected[sample.writer().get() as usize];
                assert!(sample.sequence() >= *next, "{} after {next} was to come", sample.sequence());
                *next = sample.sequence() + 1;
                check(&sample, reader);
                taken += 1;
            }
            Err(TakeError::TimedOut) => {}
            Err(error) => {
                assert!(matches!(error, TakeError::Closed | TakeError::WriterDied), "{error}");
                return taken;
            }
        }
    }
}
