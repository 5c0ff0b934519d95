//! Rows of one thread.

mod contest;
mod cycle;
mod fan;
mod object;
mod poll;
mod setup;
mod shared;
mod snapshot;

use crate::figure::Figure;
use crate::plan::{CPU, Outcome, Plan, Progress, pin};

/// How a row is measured.
type Measure = fn(&Plan, &str, &mut Vec<Figure>) -> Outcome;

/// The rows by their keys.
const ROWS: [(&str, Measure); 17] = [
    ("cycle-64", cycle::best_case),
    ("held-1024", cycle::held::<1024>),
    ("held-16384", cycle::held::<16_384>),
    ("poll-4", poll::of_slots::<4>),
    ("poll-1024", poll::of_slots::<1024>),
    ("fan-16", fan::out),
    ("snap-unchanged", snapshot::unchanged),
    ("snap-read-64", snapshot::read::<8>),
    ("snap-read-1k", snapshot::read::<128>),
    ("snap-read-4k", snapshot::read::<512>),
    ("snap-write-64", snapshot::write::<8>),
    ("snap-write-1k", snapshot::write::<128>),
    ("create-64", setup::create::<64>),
    ("create-16384", setup::create::<16_384>),
    ("create-sparse", setup::create_sparse),
    ("attach", setup::attach),
    ("overhead", setup::overhead),
];

/// Measures the wanted rows of one thread, on one CPU.
///
/// # Errors
/// What went wrong, with the row and the system.
pub fn measure(plan: &Plan, out: &mut Vec<Figure>, progress: Progress<'_>) -> Outcome {
    pin(CPU)?;
    for (row, measure) in ROWS {
        if plan.wants(row) {
            progress(row);
            measure(plan, row, out).map_err(|error| format!("{row}: {error}"))?;
        }
    }
    Ok(())
}
