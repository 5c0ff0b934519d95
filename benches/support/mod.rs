//! What the benches share: places for segments, CPUs, and how long criterion measures.
#![allow(dead_code, reason = "each bench uses its part")]

use std::path::PathBuf;
use std::time::Duration;

use criterion::Criterion;

/// A path for a segment that no other bench, and no other process, uses.
pub fn path(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("seqslot-bench-{name}-{}.flink", std::process::id()))
}

/// Criterion with short runs: the whole of `cargo bench` takes about two minutes.
pub fn criterion() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1000))
        .sample_size(50)
        .configure_from_args()
}

/// True where benches are only run to see that they work (`--test`, as `cargo test --benches` has it).
pub fn is_test() -> bool {
    std::env::args().any(|arg| arg == "--test")
}

/// True where nothing is to be run.
pub fn is_list() -> bool {
    std::env::args().any(|arg| arg == "--list")
}

/// Keeps the calling thread on one CPU, where the system can do that.
#[cfg(target_os = "linux")]
pub fn pin(cpu: usize) {
    // SAFETY: a set of CPUs is a plain bit mask; all zero is the empty one.
    let mut set: libc::cpu_set_t = unsafe { core::mem::zeroed() };
    // SAFETY: `set` is ours; the macro's function checks the number against the set's length.
    unsafe { libc::CPU_SET(cpu, &mut set) };
    // SAFETY: the set is as long as told, and only read. A refusal leaves the thread where it is: the figures get worse, not wrong.
    unsafe { libc::sched_setaffinity(0, size_of_val(&set), &raw const set) };
}

/// Keeps the calling thread on one CPU, where the system can do that.
#[cfg(not(target_os = "linux"))]
pub fn pin(_cpu: usize) {}
