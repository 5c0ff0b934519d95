//! Operations over slots. What they move is checked.

use std::hint::black_box;

use seqslot::{Config, PosixSlotAllocator, Reader, Segment, SlotBackend, Writer};

use crate::{Outcome, Run, expect, path};

/// Bytes of a sample, where nothing else is said.
const LEN: usize = 64;
/// Slots, where nothing else is said.
pub const SLOTS: u64 = 64;

fn segment(config: &Config) -> Result<Segment, seqslot::CreateError> {
    seqslot::create(path("slots"), config)
}

/// A loan whose first bytes are written in place, a commit, a take whose first bytes are read in place, a release.
#[inline(always)]
fn in_place(writer: &Writer<'_>, reader: &Reader<'_>, len: usize, number: u64) -> Outcome {
    let mut loan = writer.loan()?;
    loan[..8].copy_from_slice(&number.to_ne_bytes());
    loan.commit_len(len)?;
    let sample = reader.take()?.ok_or("no sample")?;
    expect(sample.len() == len && black_box(&sample[..])[..8] == number.to_ne_bytes(), "another sample than the one sent")
}

/// Gives `cycle` to `run`, its calls numbered.
#[inline(always)]
fn repeat(run: Run<'_>, mut cycle: impl FnMut(u64) -> Outcome) -> Outcome {
    let mut number = 0;
    run(&mut |count| {
        for _ in 0..count {
            number += 1;
            cycle(number)?;
        }
        Ok(())
    })
}

/// One writer, one reader, which holds `held` other samples all the time.
pub fn cycle(slots: u64, held: u64, run: Run<'_>) -> Outcome {
    let segment = segment(&Config::slots(slots, LEN as u64).writers(1).readers(1))?;
    let (writer, reader) = (segment.writer()?, segment.reader()?);
    let mut samples = Vec::new();
    for _ in 0..held {
        writer.send(b"held")?;
        samples.push(reader.take()?.ok_or("no sample")?);
    }
    repeat(run, |number| in_place(&writer, &reader, LEN, number))?;
    expect(samples.iter().all(|sample| sample[..] == *b"held"), "a held sample has changed")
}

/// Payloads of `len` bytes, made and read in place: only the first eight are touched.
pub fn payload(len: usize, run: Run<'_>) -> Outcome {
    let segment = segment(&Config::slots(4, len as u64).writers(1).readers(1))?;
    let (writer, reader) = (segment.writer()?, segment.reader()?);
    repeat(run, |number| in_place(&writer, &reader, len, number))
}

/// One writer, which never waits for readers, and one reader.
pub fn overwriting(slots: u64, run: Run<'_>) -> Outcome {
    let segment = segment(&Config::slots(slots, LEN as u64).writers(1).readers(1).overwrite())?;
    let (writer, reader) = (segment.writer()?, segment.reader()?);
    repeat(run, |number| in_place(&writer, &reader, LEN, number))
}

/// Payloads of `len` bytes, copied in and copied out.
pub fn copied(len: usize, run: Run<'_>) -> Outcome {
    let segment = segment(&Config::slots(4, len as u64).writers(1).readers(1))?;
    let (writer, reader) = (segment.writer()?, segment.reader()?);
    let from: Vec<u8> = (0..len).map(|at| at as u8).collect();
    let mut into = vec![0; len];
    repeat(run, |_| {
        writer.send(black_box(&from[..]))?;
        let sample = reader.take()?.ok_or("no sample")?;
        expect(sample.copy_to(black_box(&mut into)) == len, "a sample of another length")
    })?;
    expect(into == from, "other bytes than those sent")
}

/// One publication, which every reader takes.
pub fn fan(readers: u32, run: Run<'_>) -> Outcome {
    let segment = segment(&Config::slots(SLOTS, LEN as u64).writers(1).readers(readers))?;
    let writer = segment.writer()?;
    let readers = (0..readers).map(|_| segment.reader()).collect::<Result<Vec<_>, _>>()?;
    repeat(run, |number| {
        let mut loan = writer.loan()?;
        loan[..8].copy_from_slice(&number.to_ne_bytes());
        loan.commit_len(LEN)?;
        for reader in &readers {
            let sample = reader.take()?.ok_or("no sample")?;
            expect(black_box(&sample[..])[..8] == number.to_ne_bytes(), "another sample than the one sent")?;
        }
        Ok(())
    })
}

/// Writers take turns; one reader takes each sample at once.
pub fn turns(writers: u32, run: Run<'_>) -> Outcome {
    let segment = segment(&Config::slots(SLOTS, LEN as u64).writers(writers).readers(1))?;
    let writers = (0..writers).map(|_| segment.writer()).collect::<Result<Vec<_>, _>>()?;
    let reader = segment.reader()?;
    let mut turn = 0;
    repeat(run, |number| {
        turn = if turn + 1 == writers.len() { 0 } else { turn + 1 };
        in_place(&writers[turn], &reader, LEN, number)
    })
}

/// A look when nothing is there.
pub fn poll(slots: u64, run: Run<'_>) -> Outcome {
    let segment = segment(&Config::slots(slots, LEN as u64).writers(1).readers(1))?;
    let (writer, reader) = (segment.writer()?, segment.reader()?);
    in_place(&writer, &reader, LEN, 0)?;
    repeat(run, |_| expect(black_box(&reader).take()?.is_none(), "a sample that nobody sent"))
}

/// As many writers have joined, and one of them writes.
pub fn one_of(writers: u32, run: Run<'_>) -> Outcome {
    let segment = segment(&Config::slots(SLOTS, LEN as u64).writers(writers).readers(1))?;
    let writers = (0..writers).map(|_| segment.writer()).collect::<Result<Vec<_>, _>>()?;
    let reader = segment.reader()?;
    repeat(run, |number| in_place(&writers[0], &reader, LEN, number))
}

/// A loan that is given back.
pub fn loan_and_drop(slots: u64, run: Run<'_>) -> Outcome {
    let segment = segment(&Config::slots(slots, LEN as u64).writers(1).readers(1))?;
    let (writer, reader) = (segment.writer()?, segment.reader()?);
    repeat(run, |_| {
        drop(black_box(writer.loan()?));
        Ok(())
    })?;
    expect(reader.take()?.is_none(), "a loan that was given back was published")
}

/// `N` loans, their commits and their takes as batches.
pub fn batch<const N: usize>(run: Run<'_>) -> Outcome {
    let segment = segment(&Config::slots(SLOTS, LEN as u64).writers(1).readers(1))?;
    let (writer, reader) = (segment.writer()?, segment.reader()?);
    repeat(run, |number| {
        let mut loans = writer.loan_batch::<N>()?;
        for loan in &mut *loans {
            loan[..8].copy_from_slice(&number.to_ne_bytes());
        }
        expect(writer.commit_batch(loans, |_| LEN)? as usize == N, "not all of a batch was published")?;
        let samples = reader.take_batch::<N>()?;
        let are_ours = samples.iter().all(|sample| black_box(&sample[..])[..8] == number.to_ne_bytes());
        expect(samples.len() == N && are_ours, "another batch than the one sent")
    })
}

/// A cycle by the published slot face: reserve, fill in place, commit, find, read in place, mark.
pub fn face(slots: u64, run: Run<'_>) -> Outcome {
    let slots = PosixSlotAllocator::create(path("face"), slots as usize, LEN)?;
    repeat(run, |number| {
        let loan = slots.reserve_slot(0b1)?;
        let (data, capacity) = slots.slot_data_ptr(loan)?;
        expect(capacity >= LEN, "a slot that is too small")?;
        // SAFETY: the loan is out, and eight bytes are within its capacity; the payload is aligned to 32.
        unsafe { data.cast::<u64>().write(number) };
        slots.commit_in_place(loan, LEN)?;
        let found = slots.next_unread_slot(0)?.ok_or("no sample")?;
        let (data, len) = slots.slot_read_ptr(found)?;
        // SAFETY: reader 0 has not marked the sample yet, which has 64 bytes, aligned to 32.
        let is_ours = len == LEN && unsafe { data.cast::<u64>().read() } == number;
        slots.mark_read(found, 0)?;
        expect(is_ours, "another sample than the one sent")
    })
}

/// A writer and a reader join and leave.
pub fn join_and_leave(run: Run<'_>) -> Outcome {
    let segment = segment(&Config::slots(SLOTS, LEN as u64).writers(1).readers(1))?;
    repeat(run, |_| {
        let (writer, reader) = (segment.writer()?, segment.reader()?);
        expect(segment.active_readers() == reader.index().bit() && writer.index().get() == 0, "not the entries that are free")
    })
}

/// A segment is made, and goes.
pub fn create(run: Run<'_>) -> Outcome {
    let (path, config) = (path("slots"), Config::slots(SLOTS, LEN as u64));
    repeat(run, |_| expect(seqslot::create(&path, &config)?.is_owner(), "the maker does not own the segment"))
}

/// A segment is attached to, and left.
pub fn attach(run: Run<'_>) -> Outcome {
    let (path, made) = (path("slots"), segment(&Config::slots(SLOTS, LEN as u64))?);
    repeat(run, |_| expect(seqslot::attach(&path)?.head() == made.head(), "another segment than the one made"))
}
