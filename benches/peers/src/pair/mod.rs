//! Rows of two processes.

mod calls;
mod cell;
mod clock;
mod contended;
mod lane;
mod one_way;
mod other;
mod shared;
mod stream;
mod systems;
mod wake;

use self::other::{Part, Start};
use self::shared::Desk;
use crate::figure::{Figure, Unit};
use crate::plan::{CPU, Outcome, Plan, Progress, pin};

/// What this program is when it runs itself as the other side of a row.
#[derive(clap::Subcommand)]
pub enum Role {
    /// The other side of a row
    #[command(hide = true)]
    OtherSide {
        /// What it is to do
        start: String,
    },
    /// Both sides of trips between processes, to count their system calls
    #[command(hide = true)]
    Trips {
        /// The system
        kind: String,
        /// How many samples
        samples: usize,
        /// Where files may be left
        scratch: std::path::PathBuf,
    },
}

/// Plays the other side.
///
/// # Errors
/// What went wrong on this side.
pub fn play(role: &Role) -> Outcome {
    match role {
        Role::OtherSide { start } => other::play(start),
        Role::Trips { kind, samples, scratch } => calls::trips(kind, *samples, scratch),
    }
}

fn play_part(start: &Start, desk: &Desk) {
    match start.part {
        Part::Echo(kind) => kind.visit(start.len, one_way::Echo(start, desk)),
        Part::Drain(kind) => kind.visit(start.len, stream::Drain(start, desk)),
        Part::Sleep(kind) => kind.visit(start.len, wake::Sleep(start, desk)),
        Part::Write(kind) => kind.visit(contended::Write(start, desk)),
        Part::Lines => one_way::answer_lines(start, desk),
    }
}

/// Measures the wanted rows of two processes.
///
/// # Errors
/// What went wrong on either side.
pub fn measure(plan: &Plan, out: &mut Vec<Figure>, progress: Progress<'_>) -> Outcome {
    pin(CPU)?;
    for (row, len) in [("one-way-32", 32), ("one-way-64", 64)] {
        if plan.wants(row) {
            progress(row);
            one_way::measure(plan, row, len, out)?;
        }
    }
    let few = &[2, 8, 64];
    for row in [
        stream::Row { key: "stream-64", len: 64, slots: &[64], count: 400_000, unit: Unit::MillionPerSecond },
        stream::Row { key: "stream-64k", len: 64 << 10, slots: few, count: 8000, unit: Unit::GigabytesPerSecond },
        stream::Row { key: "stream-1m", len: 1 << 20, slots: few, count: 600, unit: Unit::GigabytesPerSecond },
    ] {
        if plan.wants(row.key) {
            progress(row.key);
            stream::measure(plan, &row, out)?;
        }
    }
    if plan.wants("snap-contended") {
        progress("snap-contended");
        contended::measure(plan, out)?;
    }
    if plan.wants("wake") {
        progress("wake");
        wake::measure(plan, out)?;
        calls::measure(plan, "wake", out, progress)?;
    }
    Ok(())
}
