//! Several writers, several readers, all there from the start: every reader gets everything, in order, and nothing changes while held.

use std::collections::VecDeque;
use std::thread;

use seqslot_core::{Reader, Sample, Segment, SlotsOs, TakeError, Writer};

use super::{PATIENCE, Span, Tally, text};

/// Samples that a reader holds at a time.
pub(super) const HELD: usize = 2;

/// Writers and readers of one segment, each in a thread of its own. Every other writer commits in batches; every other reader takes in
/// batches; every writer discards loans now and then. Slots: at least two for each reader and three for each writer.
///
/// # Panics
/// If a reader does not get what was sent.
pub fn streams<'s, O>(segment: &'s Segment<O>, writers: u32, readers: u32) -> Tally
where
    O: SlotsOs,
    Writer<&'s Segment<O>>: Send,
    Reader<&'s Segment<O>>: Send,
{
    let span = Span::begin();
    let writers: Vec<_> = (0..writers).map(|_| segment.writer().expect("a free entry")).collect();
    let readers: Vec<_> = (0..readers).map(|_| segment.reader().expect("a free entry")).collect();
    let count = readers.len() as u64;
    thread::scope(|scope| {
        let reading: Vec<_> = readers.into_iter().enumerate().map(|(number, reader)| scope.spawn(move || drain(&reader, number))).collect();
        let writing: Vec<_> =
            writers.into_iter().enumerate().map(|(number, writer)| scope.spawn(move || feed(&writer, number, span))).collect();
        let sent: u64 = writing.into_iter().map(|thread| thread.join().expect("a writer that ended well")).sum();
        let taken: u64 = reading.into_iter().map(|thread| thread.join().expect("a reader that ended well")).sum();
        assert_eq!(taken, sent * count, "every reader gets every sample");
        Tally { sent, taken, came: 0 }
    })
}

/// Sends until the time is over; the number of samples.
fn feed<O: SlotsOs>(writer: &Writer<&Segment<O>>, number: usize, span: Span) -> u64 {
    let (first, mut rounds) = (writer.position(), 0);
    while span.goes_on(rounds) {
        if number % 2 == 1 {
            send_batch(writer)
        } else {
            send(writer)
        }
        if rounds % 7 == 0
            && let Ok(mut loan) = writer.try_loan()
        {
            loan.fill(0xEE);
        }
        rounds += 1;
    }
    u64::from(writer.position().wrapping_sub(first))
}

/// Sends the next sample, as soon as there is a slot.
pub(super) fn send<O: SlotsOs>(writer: &Writer<&Segment<O>>) {
    loop {
        match writer.loan_timeout(PATIENCE) {
            Ok(mut loan) => {
                let sequence = writer.position();
                let len = text::write(&mut loan, writer.index().get(), sequence);
                assert_eq!(loan.commit_len(len), Ok(sequence));
                return;
            }
            Err(error) => assert_eq!(error, seqslot_core::LoanError::TimedOut),
        }
    }
}

fn send_batch<O: SlotsOs>(writer: &Writer<&Segment<O>>) {
    let Ok(mut loans) = writer.loan_batch::<3>() else {
        return send(writer);
    };
    let first = writer.position();
    let mut sizes = [0; 3];
    for (index, loan) in loans.iter_mut().enumerate() {
        sizes[index] = text::write(loan, writer.index().get(), first + index as u32);
    }
    let count = loans.len() as u32;
    assert_eq!(writer.commit_batch(loans, |index| sizes[index]), Ok(count));
}

/// Takes until all writers have closed; the number of samples. They are checked when they come and again when they go.
fn drain<O: SlotsOs>(reader: &Reader<&Segment<O>>, number: usize) -> u64 {
    let mut expected = [0_u32; 32];
    let mut held = VecDeque::new();
    let mut taken = 0;
    loop {
        match take(reader, number % 2 == 1) {
            Ok(samples) => {
                for sample in samples {
                    let next = &mut expected[sample.writer().get() as usize];
                    assert_eq!(sample.sequence(), *next, "in the order of writer {:?}, none left out", sample.writer());
                    *next += 1;
                    check(&sample, reader);
                    held.push_back(sample);
                    taken += 1;
                }
                while held.len() > HELD {
                    check(&held.pop_front().expect("not empty"), reader);
                }
            }
            Err(TakeError::TimedOut) => held.clear(),
            Err(error) => {
                assert_eq!(error, TakeError::Closed);
                return taken;
            }
        }
    }
}

fn take<'r, 's, O: SlotsOs>(reader: &'r Reader<&'s Segment<O>>, batch: bool) -> Result<Vec<Sample<'r, &'s Segment<O>>>, TakeError> {
    if batch {
        let samples: Vec<_> = reader.take_batch::<4>()?.into_iter().collect();
        if !samples.is_empty() {
            return Ok(samples);
        }
    }
    reader.take_timeout(PATIENCE).map(|sample| vec![sample])
}

/// The sample is what its writer wrote, read in place and copied.
pub(super) fn check<O: SlotsOs>(sample: &Sample<'_, &Segment<O>>, reader: &Reader<&Segment<O>>) {
    let capacity = reader.segment().geometry().capacity as usize;
    text::check(sample, sample.writer().get(), sample.sequence(), capacity);
    let mut copy = vec![0; sample.len()];
    assert_eq!(sample.copy_to(&mut copy), copy.len());
    text::check(&copy, sample.writer().get(), sample.sequence(), capacity);
}
