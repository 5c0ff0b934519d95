//! Writers that never wait for readers: what a reader holds stays as it is, what it gets is whole, and what it lost is counted.

use std::thread;

use seqslot_core::{Reader, Segment, SlotsOs, TakeError, Writer};

use super::stream::{check, send};
use super::{PATIENCE, Span, Tally};

/// `writers` and two readers, one of which dawdles with a sample in hand. Several writers go at full speed; a single one gives way after each
/// sample, so that a reader is where it predicts the next one. A segment that allows overwriting.
///
/// # Panics
/// If a sample is wrong, comes twice, or is neither taken nor counted as missed.
pub fn overwrite<'s, O>(segment: &'s Segment<O>, writers: u32) -> Tally
where
    O: SlotsOs,
    Writer<&'s Segment<O>>: Send,
    Reader<&'s Segment<O>>: Send,
{
    let span = Span::begin();
    let readers = [false, true].map(|dawdles| (dawdles, segment.reader().expect("a free entry")));
    let gives_way = writers == 1;
    let writers: Vec<_> = (0..writers).map(|_| segment.writer().expect("a free entry")).collect();
    thread::scope(|scope| {
        let reading = readers.map(|(dawdles, reader)| scope.spawn(move || drain(&reader, dawdles)));
        let start = |writer: Writer<&'s Segment<O>>| {
            scope.spawn(move || {
                while span.goes_on(writer.position()) {
                    send(&writer);
                    if gives_way {
                        thread::yield_now();
                    }
                }
                u64::from(writer.position())
            })
        };
        let writing: Vec<_> = writers.into_iter().map(start).collect();
        let sent: u64 = writing.into_iter().map(|thread| thread.join().expect("a writer that ended well")).sum();
        let mut all = 0;
        for (taken, missed) in reading.map(|thread| thread.join().expect("a reader that ended well")) {
            assert_eq!(taken + missed, sent, "{taken} taken and {missed} missed");
            all += taken;
        }
        Tally { sent, taken: all, came: 0 }
    })
}

/// Takes until all writers have closed; samples taken, and missed.
fn drain<O: SlotsOs>(reader: &Reader<&Segment<O>>, dawdles: bool) -> (u64, u64) {
    let (mut expected, mut taken) = ([0_u32; 32], 0);
    loop {
        match reader.take_timeout(PATIENCE) {
            Ok(sample) => {
                let next = &mut expected[sample.writer().get() as usize];
                // A look that found nothing left counts with the reader, not with a sample.
                let gap = sample.sequence().wrapping_sub(*next);
                assert!(sample.missed() <= gap, "{} after {next} was to come, {} missed", sample.sequence(), sample.missed());
                *next = sample.sequence() + 1;
                check(&sample, reader);
                if dawdles {
                    for _ in 0..3 {
                        thread::yield_now();
                        check(&sample, reader);
                    }
                }
                taken += 1;
            }
            Err(TakeError::TimedOut) => {}
            Err(error) => {
                assert_eq!(error, TakeError::Closed);
                return (taken, u64::from(reader.missed()));
            }
        }
    }
}
