//! One side of a segment that another core made: attaches, and writes.
#![no_std]
#![no_main]

use seqslot_core::{Bare, Segment};
use seqslot_size::{device, region};

#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    let done = run();
    loop {
        device(done.is_some() as u32);
    }
}

fn run() -> Option<()> {
    let segment = Segment::attach(Bare::new(region()?), &()).ok()?;
    let writer = segment.writer().ok()?;
    while device(1) != 0 {
        let mut loan = writer.loan().ok()?;
        loan.first_chunk_mut::<4>()?.copy_from_slice(&device(2).to_ne_bytes());
        loan.commit_len(4).ok()?;
    }
    Some(())
}
