//! Reserve, fill 64 bytes, commit, take, sum, release: one writer and one reader, by the same thread.

use std::hint::black_box;

use iceoryx2::port::{publisher::Publisher, subscriber::Subscriber};
use iceoryx2::prelude::ipc;
use seqslot::{Config, Reader, Sample, Writer};
use zerodds_flatdata::{PosixSlotAllocator, SlotBackend};

use super::contest::Contest;
use crate::figure::Figure;
use crate::peers::{Made, iceoryx2_node};
use crate::plan::{Outcome, Plan};

/// A payload of 64 bytes.
pub type Line = [u64; 8];

/// Slots of the best case of those that look through all of them.
const FEW: usize = 4;
/// Cycles timed together, and samples a round.
const BATCH: u64 = 256;
const BATCHES: usize = 400;

/// What was put in, and what came out, of a batch.
#[derive(Default)]
pub struct Ledger {
    number: u64,
    filled: u64,
    read: u64,
}

impl Ledger {
    /// A value that no other cycle has.
    #[inline(always)]
    pub fn fill(&mut self) -> Line {
        self.number += 1;
        self.filled = self.filled.wrapping_add(self.number * 8);
        [black_box(self.number); 8]
    }

    /// Sums what was read.
    #[inline(always)]
    pub fn read(&mut self, line: &Line) {
        self.read = line.iter().fold(self.read, |sum, word| sum.wrapping_add(*word));
    }

    /// Fails if something else came out than was put in, for each of `readers`.
    ///
    /// # Errors
    /// The two sums.
    pub fn check(&self, readers: u64) -> Outcome {
        let filled = self.filled.wrapping_mul(readers);
        if self.read == filled { Ok(()) } else { Err(format!("wrong sum: {} where {filled} was written", self.read).into()) }
    }
}

/// The best case of each: few slots, all free; typed and in place where there is such a way.
///
/// # Errors
/// If a system fails, or a sum is wrong.
pub fn best_case(plan: &Plan, row: &str, out: &mut Vec<Figure>) -> Outcome {
    let segment = seqslot::create(plan.scratch().join("cycle"), &Config::typed::<Line>(64).writers(1))?;
    let (writer, reader) = (segment.writer_of::<Line>()?, segment.reader_of::<Line>()?);
    let zerodds = PosixSlotAllocator::create(plan.scratch().join("cycle-zerodds"), FEW, size_of::<Line>())?;
    let node = iceoryx2_node(plan.scratch())?;
    let service = node.service_builder(&"cycle".try_into()?).publish_subscribe::<Line>().create()?;
    let (subscriber, publisher) = (service.subscriber_builder().create()?, service.publisher_builder().create()?);
    let (mut producer, mut consumer) = rtrb::RingBuffer::<Line>::new(64);

    let mut contest = Contest::new(row, BATCH, BATCHES);
    contest.system("seqslot", |count| ours(&writer, &reader, count));
    contest.system("zerodds, in place", |count| zerodds_with_one_reader(&zerodds, count, zerodds_in_place));
    contest.system("zerodds, by copy", |count| zerodds_with_one_reader(&zerodds, count, zerodds_publish));
    contest.system("iceoryx2", |count| iceoryx2_typed(&publisher, &subscriber, count));
    contest.system("rtrb, one process only", |count| {
        let mut ledger = Ledger::default();
        for _ in 0..count {
            let mut chunk = producer.write_chunk_uninit(1)?;
            chunk.as_mut_slices().0[0].write(ledger.fill());
            // SAFETY: the one element of the chunk was written in the line before.
            unsafe { chunk.commit_all() };
            let chunk = consumer.read_chunk(1)?;
            ledger.read(&chunk.as_slices().0[0]);
            chunk.commit_all();
        }
        ledger.check(1)
    });
    contest.run(plan, out)
}

/// The same with all but one slot held: by the reader itself where a reader may hold several samples, else by a second reader.
///
/// # Errors
/// If a system fails, or a sum is wrong.
pub fn held<const SLOTS: usize>(plan: &Plan, row: &str, out: &mut Vec<Figure>) -> Outcome {
    let segment = seqslot::create(plan.scratch().join("held"), &Config::typed::<Line>(SLOTS as u64).writers(1))?;
    let (writer, reader) = (segment.writer_of::<Line>()?, segment.reader_of::<Line>()?);
    let held: Vec<Sample<'_, '_, Line>> = (1..SLOTS as u64)
        .map(|number| -> Made<_> {
            writer.send(&[number; 8])?;
            Ok(reader.take()?.ok_or("no sample to hold")?)
        })
        .collect::<Made<_>>()?;

    let zerodds = PosixSlotAllocator::create(plan.scratch().join("held-zerodds"), SLOTS, size_of::<Line>())?;
    for _ in 1..SLOTS {
        let handle = zerodds.reserve_slot(BOTH)?;
        zerodds.commit_slot(handle, &[7; size_of::<Line>()])?;
        zerodds.mark_read(handle, 0)?;
    }

    let mut contest = Contest::new(row, 64, if SLOTS > 10_000 { 5 } else { 100 });
    contest.system("seqslot", |count| ours(&writer, &reader, count));
    contest.system("zerodds", |count| zerodds_with_two_readers(&zerodds, count));
    contest.run(plan, out)?;
    let left = held.iter().zip(1..).filter(|(sample, number)| ***sample == [*number; 8]).count();
    if left == SLOTS - 1 { Ok(()) } else { Err(format!("of {} held samples only {left} are as they were", SLOTS - 1).into()) }
}

/// The masks of zerodds' readers: the one that cycles, and it with the one that holds.
const ONE: u32 = 0b01;
const BOTH: u32 = 0b11;

fn ours(writer: &Writer<'_, Line>, reader: &Reader<'_, Line>, count: u64) -> Outcome {
    let mut ledger = Ledger::default();
    for _ in 0..count {
        let mut loan = writer.try_loan()?;
        *loan = ledger.fill();
        loan.commit()?;
        ledger.read(&*reader.take()?.ok_or("no sample")?);
    }
    ledger.check(1)
}

#[inline(always)]
fn zerodds_with_one_reader(
    zerodds: &PosixSlotAllocator,
    count: u64,
    publish: impl Fn(&PosixSlotAllocator, u32, Line) -> Outcome,
) -> Outcome {
    let mut ledger = Ledger::default();
    for _ in 0..count {
        publish(zerodds, ONE, ledger.fill())?;
        zerodds_take(zerodds, 0, &mut ledger)?;
    }
    ledger.check(1)
}

/// Both readers mark what goes through; the second has held all other slots since before.
fn zerodds_with_two_readers(zerodds: &PosixSlotAllocator, count: u64) -> Outcome {
    let mut ledger = Ledger::default();
    for _ in 0..count {
        zerodds_publish(zerodds, BOTH, ledger.fill())?;
        let handle = zerodds_take(zerodds, 0, &mut ledger)?;
        zerodds.mark_read(handle, 1)?;
    }
    ledger.check(1)
}

/// Reserves for the readers in the mask, fills in place, commits.
#[inline(always)]
fn zerodds_in_place(zerodds: &PosixSlotAllocator, readers: u32, line: Line) -> Outcome {
    let handle = zerodds.reserve_slot(readers)?;
    let (payload, capacity) = zerodds.slot_data_ptr(handle)?;
    assert!(capacity >= size_of::<Line>());
    // SAFETY: a loaned slot of at least that capacity, which nobody else writes; payloads are at multiples of 16.
    unsafe { payload.cast::<Line>().write(line) };
    zerodds.commit_in_place(handle, size_of::<Line>())?;
    Ok(())
}

/// Reserves for the readers in the mask and commits a copy: that asks the pool for its lock once less than filling in place.
#[inline(always)]
pub fn zerodds_publish(zerodds: &PosixSlotAllocator, readers: u32, line: Line) -> Outcome {
    let handle = zerodds.reserve_slot(readers)?;
    zerodds.commit_slot(handle, line.map(u64::to_ne_bytes).as_flattened())?;
    Ok(())
}

/// Takes the next sample of a reader, sums it in place, marks it.
#[inline(always)]
pub fn zerodds_take(zerodds: &PosixSlotAllocator, reader: u8, ledger: &mut Ledger) -> Made<zerodds_flatdata::SlotHandle> {
    let handle = zerodds.next_unread_slot(reader)?.ok_or("no sample")?;
    let (payload, len) = zerodds.slot_read_ptr(handle)?;
    assert_eq!(len, size_of::<Line>());
    // SAFETY: a committed slot of this length that is not reserved anew before it is marked, by this very thread.
    ledger.read(unsafe { &*payload.cast::<Line>() });
    zerodds.mark_read(handle, reader)?;
    Ok(handle)
}

fn iceoryx2_typed(publisher: &Publisher<ipc::Service, Line, ()>, subscriber: &Subscriber<ipc::Service, Line, ()>, count: u64) -> Outcome {
    let mut ledger = Ledger::default();
    for _ in 0..count {
        publisher.loan_uninit()?.write_payload(ledger.fill()).send()?;
        ledger.read(&*subscriber.receive()?.ok_or("no sample")?);
    }
    ledger.check(1)
}
