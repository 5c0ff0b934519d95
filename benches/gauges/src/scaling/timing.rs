//! How long an operation takes.

use std::time::{Duration, Instant};

use crate::Body;

/// Time that one figure is measured for.
const SPAN: Duration = Duration::from_millis(25);
/// Time of a batch, which is timed as a whole.
const BATCH: Duration = Duration::from_micros(25);
/// Batches at least, however long they take.
const BATCHES_MIN: usize = 5;

/// The median time of an operation in nanoseconds, after a warm-up of one `lap` at least (whatever it then comes back to was used before).
pub fn nanoseconds(body: Body<'_>, lap: u64) -> Result<f64, Box<dyn std::error::Error>> {
    let start = Instant::now();
    body(lap.max(1))?;
    let once = start.elapsed().as_secs_f64() / lap.max(1) as f64;
    let warm = (SPAN.as_secs_f64() / 10.0 / once) as u64;
    body(warm)?;
    let start = Instant::now();
    body(warm.max(1))?;
    let once = start.elapsed().as_secs_f64() / warm.max(1) as f64;
    let batch = ((BATCH.as_secs_f64() / once) as u64).max(1);
    let mut times = Vec::new();
    let begun = Instant::now();
    while times.len() < BATCHES_MIN || begun.elapsed() < SPAN {
        let start = Instant::now();
        body(batch)?;
        times.push(start.elapsed().as_nanos() as f64 / batch as f64);
    }
    Ok(median(&mut times))
}

/// The middle one; not a number if there is none.
pub fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Keeps this thread on the first CPU it may run on, where the system can do that.
#[cfg(target_os = "linux")]
pub fn pin() {
    // SAFETY: a set of CPUs is a plain bit mask; all zero is the empty one.
    let mut set: libc::cpu_set_t = unsafe { core::mem::zeroed() };
    // SAFETY: asks for the CPU that runs this thread, and touches nothing.
    let cpu = usize::try_from(unsafe { libc::sched_getcpu() }).unwrap_or(0);
    // SAFETY: `set` is ours; the function checks the number against the set's length.
    unsafe { libc::CPU_SET(cpu, &mut set) };
    // SAFETY: the set is as long as told, and only read. A refusal leaves the thread where it is: the figures get worse, not wrong.
    unsafe { libc::sched_setaffinity(0, size_of_val(&set), &raw const set) };
}

/// Keeps this thread on one CPU, where the system can do that.
#[cfg(not(target_os = "linux"))]
pub fn pin() {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_one() {
        assert_eq!(median(&mut [9.0, 1.0, 5.0]), 5.0);
        assert!(median(&mut []).is_nan());
    }

    #[test]
    fn a_lap_is_done_before_anything_is_timed() {
        let mut calls = Vec::new();
        let time = nanoseconds(
            &mut |count| {
                calls.push(count);
                std::thread::sleep(Duration::from_micros(count));
                Ok(())
            },
            3000,
        );
        assert_eq!(calls[0], 3000);
        assert!(time.expect("no failure") > 0.0 && calls.len() > BATCHES_MIN);
    }
}
