//! Clocks: nanoseconds that both sides share, and ticks for what is too short for a call.

use std::time::{Duration, Instant};

/// Nanoseconds of the monotonic clock, the same for every process of the machine.
pub fn now_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is ours to write.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// A tick of the counter, taken when everything before it has been done.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub fn tick() -> u64 {
    // SAFETY: no operand; every x86-64 has it.
    unsafe { core::arch::x86_64::_mm_lfence() };
    // SAFETY: the same.
    let ticks = unsafe { core::arch::x86_64::_rdtsc() };
    // SAFETY: the same. Nothing after it starts before the tick.
    unsafe { core::arch::x86_64::_mm_lfence() };
    ticks
}

/// A tick of the counter: nanoseconds, where there is no better one.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
pub fn tick() -> u64 {
    now_ns()
}

/// What ticks are worth.
#[derive(Clone, Copy)]
pub struct Ticks {
    ns_each: f64,
    /// What two ticks in a row are apart.
    own: f64,
}

impl Ticks {
    /// Compares ticks with the monotonic clock for a while, and with each other.
    pub fn calibrate() -> Self {
        let (first, start) = (tick(), Instant::now());
        while start.elapsed() < Duration::from_millis(20) {}
        let (last, elapsed) = (tick(), start.elapsed());
        let ns_each = elapsed.as_nanos() as f64 / (last - first) as f64;
        let mut gaps: Vec<u64> = (0..2001)
            .map(|_| {
                let start = tick();
                tick() - start
            })
            .collect();
        gaps.sort_unstable();
        Self { ns_each, own: gaps[gaps.len() / 2] as f64 }
    }

    /// Nanoseconds between two ticks, less what the ticks themselves take.
    pub fn between(self, start: u64, end: u64) -> f64 {
        (end.wrapping_sub(start) as f64 - self.own).max(0.0) * self.ns_each
    }
}
