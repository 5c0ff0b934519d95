//! Reads the newest state that another core publishes.
#![no_std]
#![no_main]

use seqslot_core::Observer;
use seqslot_size::{device, region};

#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    let done = run();
    loop {
        device(done.is_some() as u32);
    }
}

fn run() -> Option<()> {
    let mut observer = Observer::<[u32; 4]>::attach(region()?).ok()?;
    while device(1) != 0 {
        if let Ok(state) = observer.snapshot() {
            device(state[0] ^ state[1] ^ state[2] ^ state[3]);
        }
    }
    Some(())
}
