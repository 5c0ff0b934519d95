//! seqslot on macOS.
//!
//! `MacOs` implements [`Os`](seqslot_core::Os) over named objects (`shm_open` and a flink file, see `seqslot-os-posix`).
//! The modules are those of the Linux platform, as far as macOS has what they need; there are no sealed memory files.
//!
//! | module | what it does |
//! |---|---|
//! | `liveness` | claims: `flock` on a file for each lock, beside the flink |
//! | `wait` | `os_sync_wait_on_address` where the system has it (14.4), growing sleeps elsewhere |
//! | `clock` | `CLOCK_MONOTONIC` |
//! | `process` | pid and start time |
//! | `object` | where the lock files of an object are |
//!
//! What differs from Linux: an object's length is rounded up to whole pages by the kernel; memory cannot be reserved ahead; a wake wakes every
//! waiter of the word whatever its mask; a child made by a bare `fork` system call, without the C library, is not told
//! apart from its parent.
#![cfg(target_os = "macos")]
#![deny(unsafe_code)]
#![allow(clippy::result_large_err, reason = "errors carry their path inline: core has no heap, and none of this is on the data path")]

#[allow(unsafe_code, reason = "clock_gettime")]
pub mod clock;
#[allow(unsafe_code, reason = "flock")]
pub mod liveness;
mod object;
#[allow(unsafe_code, reason = "implements the unsafe trait Os")]
mod os;
#[allow(unsafe_code, reason = "proc_pidinfo")]
pub mod process;
#[allow(unsafe_code, reason = "functions found at run time")]
pub mod wait;

pub use liveness::FileLocks;
pub use os::{MacOs, Mapping};
pub use seqslot_os_posix::clockbound::{
    ClientError, ClockBoundClient, ClockErrorBound, ShmReader, ShmSnapshot, ShmWrite, TimeWindow, VmClockReader, monotonic,
};
pub use seqslot_os_posix::{Claim, PosixSlotError, RemoveError, ShmFault, is_local, locator_of};

/// The seeds' slot allocator on macOS.
pub type PosixSlotAllocator = seqslot_os_posix::SlotAllocator<MacOs>;

/// The writer of a ClockBound segment; its lock is a `flock` on the file `.NAME.lock` beside it.
pub type ShmWriter = seqslot_os_posix::clockbound::ShmWriter<FileLocks>;
