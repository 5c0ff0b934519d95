//! Reads the shared memory of the ClockBound daemon, layout version 2: a clock's time, and by how much it may be wrong.
//!
//! The format, with its 16-bit generation and its single buffer, is ClockBound's (crates `clock-bound-shm` 2.x); the fences and the
//! checks are ours. [`ClockBoundView`] is the reader over any mapped memory; what opens the daemon's file by its path is in the
//! platform crates. [`ClockErrorBound::at`] is the arithmetic of `now()`, with the clocks' readings passed in.
//!
//! | module | what it does |
//! |---|---|
//! | [`layout`] | offsets and magic numbers, as a byte table |
//! | `parse` | bytes to a checked header and a checked bound; pure |
//! | `bound` | the bound, its accessors, its arithmetic; pure |
//! | `error` | why there is none |
//! | `view` | the reader's steps over shared memory |

mod bound;
mod error;
pub mod layout;
mod parse;
#[allow(unsafe_code, reason = "words of the segment, whose length was checked")]
mod view;

pub use bound::{ClockErrorBound, ClockStatus, TimeSpec};
pub use error::ShmError;
pub use view::{CLOCKBOUND_TRIES_MAX, ClockBoundView};
