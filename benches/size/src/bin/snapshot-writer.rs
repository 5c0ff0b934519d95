//! Publishes the newest state to another core.
#![no_std]
#![no_main]

use seqslot_core::{Publisher, SnapshotConfig};
use seqslot_size::{device, region};

#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    let done = run();
    loop {
        device(done.is_some() as u32);
    }
}

fn run() -> Option<()> {
    let mut publisher = Publisher::<[u32; 4]>::format(region()?, SnapshotConfig::of::<[u32; 4]>()).ok()?;
    while device(1) != 0 {
        publisher.publish(&[device(2), device(3), device(4), device(5)]).ok()?;
    }
    Some(())
}
