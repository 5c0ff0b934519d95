//! Threads on one segment for a while, every byte they read checked: for any platform, and for sanitizers, which see a race only between
//! threads that share one mapping.
//!
//! Each scenario takes a segment that the caller has made, runs for [`time`], and panics at the first sample that is torn, lost, doubled,
//! out of order or of somebody else. How long anything takes is never judged.
//!
//! ```
//! use seqslot_core::{Config, Segment};
//! use seqslot_os_mock::{World, stress};
//!
//! let segment = Segment::create(World::threaded(1).process(), "stream", &Config::slots(8, 64))?;
//! let tally = stress::streams(&segment, 2, 2);
//! assert_eq!(tally.taken, 2 * tally.sent);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod churn;
mod contend;
mod deaths;
mod leaving;
mod overwrite;
mod seeds;
mod snapshots;
mod stream;
mod text;

use core::time::Duration;
use std::time::Instant;

pub use churn::churn;
pub use contend::contend;
pub use deaths::deaths;
pub use leaving::leaving;
pub use overwrite::overwrite;
pub use seeds::seeds;
pub use snapshots::snapshots;
pub use stream::streams;

/// Milliseconds that each scenario runs, in place of [`USUALLY`].
pub const VARIABLE: &str = "SEQSLOT_STRESS_MS";
/// How long a scenario runs where nobody says otherwise.
pub const USUALLY: Duration = Duration::from_millis(800);
/// How long anybody parks before it looks again.
const PATIENCE: Duration = Duration::from_millis(400);
/// What each party does at least, however slow the machine is: a scenario in which nothing happens shows nothing.
const AT_LEAST: u32 = 200;

/// What a scenario did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Samples committed, or snapshots published.
    pub sent: u64,
    /// Samples taken and checked, by all readers together, or snapshots read.
    pub taken: u64,
    /// Parties that came while others were at it: readers and writers that joined, or died.
    pub came: u64,
}

/// How long a scenario runs: [`USUALLY`], or as many milliseconds as the variable [`VARIABLE`] says.
///
/// # Panics
/// If the variable is set and is not a number.
#[must_use]
pub fn time() -> Duration {
    std::env::var(VARIABLE).map_or(USUALLY, |text| Duration::from_millis(text.parse().expect("SEQSLOT_STRESS_MS is a number")))
}

/// The time of one scenario.
#[derive(Clone, Copy)]
struct Span {
    start: Instant,
    time: Duration,
}

impl Span {
    fn begin() -> Self {
        Self { start: Instant::now(), time: time() }
    }

    /// Whether to go on: the time is not over, or not enough was done.
    fn goes_on(self, done: u32) -> bool {
        done < AT_LEAST || self.start.elapsed() < self.time
    }
}

/// Tells the others to stop when the scenario ends, also by a failed assertion.
struct StopAtEnd<'a>(&'a std::sync::atomic::AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, std::sync::atomic::Ordering::Relaxed);
    }
}
