//! Both sides of a segment of slots: made if it is not there, else attached to; a writer and a reader join, samples go through, both leave.
#![no_std]
#![no_main]

use seqslot_core::{Bare, Config, Reader, Segment, Writer};
use seqslot_size::{device, region};

#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    let done = run();
    loop {
        device(done.is_some() as u32);
    }
}

fn run() -> Option<()> {
    let os = Bare::new(region()?);
    let segment = match Segment::attach(os, &()) {
        Ok(segment) => segment,
        Err(_) => Segment::create(os, &(), &Config::slots(8, 64).writers(1).readers(2)).ok()?,
    };
    let (writer, reader) = (segment.writer().ok()?, segment.reader().ok()?);
    while device(1) != 0 {
        publish(&writer)?;
        take(&reader)?;
    }
    Some(())
}

fn publish(writer: &Writer<&Segment<Bare<'static>>>) -> Option<()> {
    let mut loan = writer.loan().ok()?;
    loan.first_chunk_mut::<4>()?.copy_from_slice(&device(2).to_ne_bytes());
    loan.commit_len(4).ok()?;
    Some(())
}

fn take(reader: &Reader<&Segment<Bare<'static>>>) -> Option<()> {
    if let Some(sample) = reader.take().ok()? {
        device(u32::from_ne_bytes(*sample.first_chunk::<4>()?));
    }
    Some(())
}
