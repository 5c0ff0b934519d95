//! ClockBound's shared memory, layouts 2 and 3: a clock's time, and by how much it may be wrong.
//!
//! The formats, with their 16-bit generation and their single buffer, are ClockBound's (crates `clock-bound-shm` 2.x and `clock-bound` 3.0);
//! the fences and the checks are ours. [`ClockBoundView`] is the reader over any mapped memory; what opens the daemon's file by its path is
//! in the platform crates. [`ClockErrorBound::at`] and [`ClockErrorBound::at_counter`] are the arithmetic of `now()`, with the readings of
//! clock or counter passed in.
//!
//! | module | what it does |
//! |---|---|
//! | [`layout`] | offsets and magic numbers, as byte tables |
//! | `parse` | bytes to a checked header and a checked bound, and back; pure |
//! | `time`, `fraction` | points of time; periods and ratios below 1; pure |
//! | `rules` | the clock's status, and how it decays; pure |
//! | `bound` | the bound, its accessors, its arithmetic; pure |
//! | `builder` | makes one; pure |
//! | `error` | why there is none |
//! | `view` | the reader's steps over shared memory |
//! | `pen` | the writer's steps |
//! | `vmclock` | the hypervisor's page, which tells of disruptions: bytes to checked values; pure |
//!
//! # Edges
//!
//! | edge | release side | acquire side | what it carries |
//! |---|---|---|---|
//! | payload | pen: the even generation | view: fence after the generation's load | the payload of that generation, and the header |
//! | torn | pen: fence behind the odd generation, also that of a wipe | view: fence after the copy | a word of a newer payload, or of an empty one, implies that the view's second look sees that the generation has moved |

mod bound;
mod builder;
mod error;
mod fraction;
pub mod layout;
mod parse;
#[allow(unsafe_code, reason = "words of the segment, whose length was checked")]
mod pen;
mod rules;
mod time;
#[allow(unsafe_code, reason = "words of the segment, whose length was checked")]
mod view;
mod vmclock;

pub use bound::ClockErrorBound;
pub use builder::ClockErrorBoundBuilder;
pub use error::ShmError;
pub use fraction::Fraction;
pub use layout::Layout;
pub use parse::SegmentHeader;
pub use pen::ClockBoundPen;
pub use rules::{ClockStatus, Rules};
pub use time::TimeSpec;
pub use view::{CLOCKBOUND_TRIES_MAX, ClockBoundView, SnapshotStatus};
pub use vmclock::{VMCLOCK_LEN, VMCLOCK_MAGIC, VmClock, VmClockError, VmClockStatus};
