//! Rows of one thread.

mod contest;
mod poll;

use crate::figure::Figure;
use crate::plan::{CPU, Outcome, Plan, Progress, pin};

/// Measures the wanted rows of one thread, on one CPU.
///
/// # Errors
/// What went wrong, with the row and the system.
pub fn measure(plan: &Plan, out: &mut Vec<Figure>, progress: Progress<'_>) -> Outcome {
    pin(CPU)?;
    for (row, measure) in ROWS {
        if plan.wants(row) {
            progress(row);
            measure(plan, row, out)?;
        }
    }
    Ok(())
}

/// How a row is measured.
type Measure = fn(&Plan, &str, &mut Vec<Figure>) -> Outcome;

/// The rows by their keys.
const ROWS: [(&str, Measure); 2] = [("poll-4", poll::of_slots::<4>), ("poll-1024", poll::of_slots::<1024>)];
