//! One side of a segment that another core made: attaches, and reads.
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
    let reader = segment.reader().ok()?;
    while device(1) != 0 {
        if let Some(sample) = reader.take().ok()? {
            device(u32::from_ne_bytes(*sample.first_chunk::<4>()?));
        }
    }
    Some(())
}
