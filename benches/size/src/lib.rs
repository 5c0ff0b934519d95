//! What the programs share: a bank of memory, and a panic that stops.
#![no_std]

use core::sync::atomic::AtomicU8;

use seqslot_core::Region;

/// Bytes of the bank.
pub const BANK_LEN: usize = 8192;

/// An SRAM bank.
#[repr(align(64))]
pub struct Bank([AtomicU8; BANK_LEN]);

/// The bank that both cores see.
#[unsafe(no_mangle)]
pub static BANK: Bank = Bank([const { AtomicU8::new(0) }; BANK_LEN]);

/// The bank as a region; its address and its bytes are what the other core sees, so that nothing of them is known when this is compiled.
#[inline(always)]
pub fn region() -> Option<Region<'static>> {
    let bank = core::hint::black_box(&BANK);
    // SAFETY: the programs here reach the bank through the library only, and make one segment in it.
    unsafe { Region::new(&bank.0) }.ok()
}

/// Where the programs take numbers from and give them to: stands for a sensor and an actuator.
#[inline(always)]
pub fn device(number: u32) -> u32 {
    core::hint::black_box(number)
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {
        core::hint::spin_loop();
    }
}
