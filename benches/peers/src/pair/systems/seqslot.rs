//! seqslot: slots in a segment, read in place.

use std::hint::spin_loop;
use std::path::Path;
use std::time::Duration;

use seqslot::{Config, LoanError, Segment};

use crate::pair::lane::{Lane, Receiver, Sender, Shape, fill};
use crate::pair::other::Place;

/// Samples that one fence publishes in a batch: with more, the reader waits for the batch, and with fewer the fence counts.
const BATCH: u64 = 8;

/// How long a reader sleeps at most.
const PATIENCE: Duration = Duration::from_secs(20);

/// A segment for one direction. With `BATCHED` the writer of a stream publishes several samples
/// with one call. (The reader takes them one by one: a batch of samples goes through memory, and was slower.)
pub struct Slots<const BATCHED: bool> {
    segment: Segment,
    len: usize,
}

impl<const BATCHED: bool> Lane for Slots<BATCHED> {
    fn create(name: &Path, shape: Shape) -> Self {
        let config = Config::slots(shape.slots as u64, shape.len as u64).writers(1).readers(1);
        Self { segment: seqslot::create(name, &config).expect("a segment"), len: shape.len }
    }

    fn attach(place: &Place, shape: Shape) -> Self {
        Self { segment: seqslot::attach(&place.name).expect("the segment"), len: shape.len }
    }

    fn sender(&self) -> impl Sender + '_ {
        Writer::<BATCHED> { writer: self.segment.writer().expect("a writer"), len: self.len }
    }

    fn receiver(&self) -> impl Receiver + '_ {
        Reader(self.segment.reader().expect("a reader"))
    }
}

struct Writer<'s, const BATCHED: bool> {
    writer: seqslot::Writer<'s>,
    len: usize,
}

impl<const BATCHED: bool> Sender for Writer<'_, BATCHED> {
    #[inline(always)]
    fn send(&mut self, number: u64) {
        let mut loan = loop {
            match self.writer.try_loan() {
                Ok(loan) => break loan,
                Err(LoanError::NoFreeSlot) => spin_loop(),
                Err(error) => panic!("{error}"),
            }
        };
        fill(&mut loan[..self.len], number);
        loan.commit_len(self.len).expect("our loan");
    }

    fn send_all(&mut self, first: u64, count: u64) {
        let end = first + count;
        if !BATCHED {
            (first..end).for_each(|number| self.send(number));
            return;
        }
        let mut next = first;
        while next < end {
            let last = end.min(next + BATCH);
            // Loans one as long as slots are free; what was filled is published at once, with one fence for all.
            let loans = (next..last).map_while(|number| {
                let mut loan = self.writer.try_loan().ok()?;
                fill(&mut loan[..self.len], number);
                Some(loan)
            });
            next += u64::from(self.writer.commit_batch(loans, |_| self.len).expect("our loans"));
        }
    }
}

struct Reader<'s>(seqslot::Reader<'s>);

impl Receiver for Reader<'_> {
    #[inline(always)]
    fn receive(&mut self, look: &mut impl FnMut(&[u8])) {
        if let Some(sample) = self.0.take().expect("a living writer") {
            look(&sample);
        }
    }

    fn sleep(&mut self, look: &mut impl FnMut(&[u8])) {
        look(&self.0.take_timeout(PATIENCE).expect("a living writer"));
    }
}
