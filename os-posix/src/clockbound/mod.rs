//! ClockBound's segments by their paths: the formats and the arithmetic are in [`seqslot_core::clockbound`], files and clocks here.
//!
//! | module | what it does |
//! |---|---|
//! | `clocks` | CLOCK_REALTIME, CLOCK_MONOTONIC_COARSE, the processor's counter |
//! | `bound` | the bound, with `now()` |
//! | `file` | reading by `pread` |
//! | `reader` | the seed's `ShmReader` |
//! | `writer` | `ShmWriter`, over a mapping |

mod bound;
#[allow(unsafe_code, reason = "clock_gettime, the counter's instruction")]
mod clocks;
mod file;
mod reader;
#[allow(unsafe_code, reason = "a memory handle to the mapping")]
mod writer;

pub use bound::ClockErrorBound;
pub use reader::{ShmReader, ShmSnapshot};
pub use writer::{ShmWrite, ShmWriter};
