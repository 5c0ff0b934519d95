//! Systems that take turns in one row.

use std::time::Instant;

use crate::figure::{Figure, Unit};
use crate::plan::{Outcome, Plan};

/// A batch of operations: how many; what they did is checked inside.
type Work<'a> = Box<dyn FnMut(u64) -> Outcome + 'a>;

/// A row in the making: each round every system runs its batches, then the next system, so that what the machine does besides hits all.
pub struct Contest<'a> {
    row: &'a str,
    /// Operations timed together.
    batch: u64,
    /// Batches a round.
    batches: usize,
    systems: Vec<(String, Work<'a>)>,
}

impl<'a> Contest<'a> {
    /// A row whose samples are the mean times of `batch` operations, `batches` samples a round.
    pub fn new(row: &'a str, batch: u64, batches: usize) -> Self {
        Self { row, batch, batches, systems: Vec::new() }
    }

    /// Adds a system. `work` does as many operations as it is told, and fails if they did not do what they should.
    pub fn system(&mut self, name: &str, work: impl FnMut(u64) -> Outcome + 'a) {
        self.systems.push((name.into(), Box::new(work)));
    }

    /// Runs all rounds.
    ///
    /// # Errors
    /// The first failure of a system.
    pub fn run(mut self, plan: &Plan, out: &mut Vec<Figure>) -> Outcome {
        let batches = plan.scaled(self.batches);
        let mut rounds = vec![Vec::with_capacity(plan.rounds); self.systems.len()];
        for _ in 0..plan.rounds {
            for ((name, work), rounds) in self.systems.iter_mut().zip(&mut rounds) {
                let failed = |error| format!("{name}: {error}");
                // What the others have displaced from the caches is not this system's cost.
                for _ in 0..batches.div_ceil(20) {
                    work(self.batch).map_err(failed)?;
                }
                let mut samples = Vec::with_capacity(batches);
                for _ in 0..batches {
                    let start = Instant::now();
                    work(self.batch).map_err(failed)?;
                    samples.push(start.elapsed().as_nanos() as f64 / self.batch as f64);
                }
                rounds.push(samples);
            }
        }
        for ((name, _), mut rounds) in self.systems.into_iter().zip(rounds) {
            out.push(Figure::of_rounds(self.row, &name, Unit::Nanoseconds, &mut rounds));
        }
        Ok(())
    }
}
