//! ClockBound's segments by their paths: the formats and the arithmetic are in [`seqslot_core::clockbound`], files and clocks here.
//!
//! | module | what it does |
//! |---|---|
//! | `clocks` | CLOCK_REALTIME, CLOCK_MONOTONIC_COARSE, the processor's counter |
//! | `bound` | the bound, with `now()` |
//! | `file` | reading by `pread` |
//! | `reader` | the seed's `ShmReader` |
//! | `writer` | `ShmWriter`, over a mapping |
//! | `vmclock` | reads the hypervisor's page |
//! | `client` | segment and page together, as ClockBound 3.0's client |

mod bound;
mod client;
#[allow(unsafe_code, reason = "clock_gettime, the counter's instruction")]
mod clocks;
mod file;
mod reader;
mod vmclock;
#[allow(unsafe_code, reason = "a memory handle to the mapping")]
mod writer;

pub use bound::ClockErrorBound;
pub use client::{CLOCKBOUND_SHM_DEFAULT_PATH_V0, CLOCKBOUND_SHM_DEFAULT_PATH_V1, ClientError, ClockBoundClient, TimeWindow};
pub use clocks::monotonic;
pub use reader::{ShmReader, ShmSnapshot};
pub use vmclock::{VMCLOCK_DEFAULT_PATH, VmClockReader};
pub use writer::{ShmWrite, ShmWriter};
