//! Random sequences of every call of the trait, on theirs and on ours side by side.
//!
//! Each side is checked against its rules, answer by answer, so nothing it does goes unexplained; and where the two answers differ,
//! the rules name the difference. See [`super::difference`].

mod generate;
mod remote;
mod scenarios;
mod shrink;
mod world;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use super::difference::Difference;
use crate::outcome::Outcome;
pub use remote::serve;
pub use scenarios::all as scenarios;
pub use world::{Compared, World};

/// What was done and seen.
#[derive(Debug, Default, Clone, serde::Serialize)]
pub struct Tally {
    /// Sequences.
    pub sequences: u64,
    /// Steps, each on both sides.
    pub steps: u64,
    /// Steps whose answers were the same.
    pub same: u64,
    /// Steps that differed because of what differed before.
    pub follows: u64,
    /// Steps that differed, by cause.
    pub differs: BTreeMap<Difference, u64>,
}

/// Runs sequences from `seed` on for so long. A failure prints its seed and the shortest sequence that fails.
pub fn run(folder: &Path, seed: u64, time: Duration) -> Outcome<Tally> {
    let (mut world, mut tally, begin) = (World::new(folder)?, Tally::default(), Instant::now());
    let mut said = begin;
    while begin.elapsed() < time {
        one(&mut world, seed.wrapping_add(tally.sequences), &mut tally)?;
        if said.elapsed() >= Duration::from_secs(10) {
            said = Instant::now();
            eprintln!("differential: {} sequences, {} steps", tally.sequences, tally.steps);
        }
    }
    Ok(tally)
}

/// Runs the one sequence of `seed`, and says what every step showed.
pub fn replay(folder: &Path, seed: u64) -> Outcome<()> {
    let steps = generate::sequence(seed);
    let mut world = World::new(folder)?;
    let (compared, outcome) = world.run(&steps);
    for (step, compared) in steps.iter().zip(&compared) {
        println!("party {}: {:?}: {compared:?}", step.party, step.call);
    }
    if outcome.is_err() {
        println!("party {}: {:?}: fails", steps[compared.len()].party, steps[compared.len()].call);
    }
    Ok(outcome?)
}

fn one(world: &mut World, seed: u64, tally: &mut Tally) -> Result<(), String> {
    let steps = generate::sequence(seed);
    let (compared, outcome) = world.run(&steps);
    tally.sequences += 1;
    tally.steps += compared.len() as u64;
    for what in &compared {
        match what {
            Compared::Same => tally.same += 1,
            Compared::Follows => tally.follows += 1,
            Compared::Differs(causes) => causes.iter().for_each(|cause| *tally.differs.entry(*cause).or_default() += 1),
        }
    }
    let Err(error) = outcome else { return Ok(()) };
    let mut last = error;
    let least = shrink::shrink(&steps, |steps| match world.run(steps).1 {
        Ok(()) => false,
        Err(error) => {
            last = error;
            true
        }
    });
    let listed: String = least.iter().map(|step| format!("\n  party {}: {:?}", step.party, step.call)).collect();
    Err(format!("seed {seed} (`--replay {seed}` runs all of it): {last}\nthe shortest sequence that fails:{listed}"))
}
