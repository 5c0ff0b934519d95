//! seqslot beside clock-bound-shm 2.0.3 and clock-bound 3.0.0-rc.0.
//!
//! What cannot be had: a writer of layout 3 by ClockBound itself, which is private there; what ours writes is read by its public client.

pub mod command;
mod flaws;
pub mod roles;
mod streams;
mod together;
mod value;
pub mod vmclock;

use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use crate::outcome::Outcome;
use crate::random::Random;
use crate::report::Report;
pub use flaws::truncated;
use roles::{Seen, Side};

/// What was exchanged.
#[derive(Debug, Default, Serialize)]
pub struct Tally {
    /// Bounds written by theirs and read by ours, layout 2.
    pub v2_from_theirs: u64,
    /// Bounds written by ours and read by theirs, layout 2.
    pub v2_from_ours: u64,
    /// Bounds written by ours and read by their client, layout 3.
    pub v3_from_ours: u64,
    /// Looks of all readers: none torn, none going back.
    pub looks: u64,
    /// Looks at which our reader said that the bound is not the newest.
    pub told_old: u64,
    /// Writers killed.
    pub killed: u64,
    /// Of those, in the midst of an update.
    pub killed_in_an_update: u64,
    /// Looks that a reader of theirs gave up, after a million tries, as a writer died in an update.
    pub gave_up_in_theirs: u64,
    /// Segments damaged and made anew under a reader.
    pub wipes: u64,
    /// Lines of `seqslot clock` beside a writer of theirs, where the command was given.
    pub told: u64,
    /// Times that `now()` of ours lay between two of theirs.
    pub together: u64,
    /// VMClock pages written by theirs and read by ours.
    pub pages: vmclock::Seen,
    /// Under a writer that does not rest: who, updates, and what the reader saw.
    pub full_speed: Vec<(String, u64, Seen)>,
}

impl Tally {
    fn add(&mut self, writes: Side, seen: &Seen) {
        self.looks += seen.looks;
        self.told_old += seen.told_old;
        *match writes {
            Side::Theirs2 => &mut self.v2_from_theirs,
            Side::Ours2 => &mut self.v2_from_ours,
            Side::Theirs3 | Side::Ours3 => &mut self.v3_from_ours,
        } += seen.fresh;
    }

    /// Bounds read by the other library than wrote them.
    pub fn exchanged(&self) -> u64 {
        self.v2_from_theirs + self.v2_from_ours + self.v3_from_ours
    }
}

/// Runs all of it for about so long.
pub fn run(folder: &Path, seed: u64, time: Duration, seqslot: Option<&Path>, report: &mut Report) -> Outcome<()> {
    eprintln!("clockbound: what it gets wrong, beside ours");
    report.faults.extend(flaws::all(folder)?);
    let tally = &mut report.clock;
    eprintln!("clockbound: now() of ours between two of theirs");
    tally.together = together::run(folder)?;
    if let Some(seqslot) = seqslot {
        eprintln!("clockbound: the command seqslot clock beside their writer");
        tally.told = command::run(folder, seqslot)?;
    }
    eprintln!("clockbound: bounds between processes, for {} s", time.as_secs());
    streams::run(folder, &mut Random::new(seed), time * 5 / 6, tally)?;
    tally.pages = vmclock::run(folder, time / 6)?;
    Ok(())
}
