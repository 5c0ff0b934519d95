//! No operating system: a writer and a reader share a static region, as two cores would an SRAM bank.
use core::sync::atomic::AtomicU8;

use seqslot_core::{Bare, Config, Region, Segment};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// One reading of a sensor: every bit pattern is valid, there is no padding.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Reading {
    tick: u32,
    millivolts: u32,
}

#[repr(align(64))]
struct Bank([AtomicU8; 4096]);

static BANK: Bank = Bank([const { AtomicU8::new(0) }; 4096]);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config = Config::typed::<Reading>(8).writers(1).readers(1);
    println!("the segment takes {} of {} bytes", config.len()?, BANK.0.len());
    // SAFETY: the bank is reached through this library only, and holds one segment.
    let region = unsafe { Region::new(&BANK.0) }?;
    let segment = Segment::create(Bare::new(region), &(), &config)?;

    // The other core attaches to the same bytes.
    let other = Segment::attach(Bare::new(region), &())?;
    let reader = other.reader_of::<Reading>()?;

    let writer = segment.writer_of::<Reading>()?;
    for tick in 0..20 {
        let mut loan = writer.loan()?;
        *loan = Reading { tick, millivolts: 3300 - tick };
        loan.commit()?;
        while let Some(reading) = reader.take()? {
            println!("{:?}", *reading);
        }
    }
    Ok(())
}
