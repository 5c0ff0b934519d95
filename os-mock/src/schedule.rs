//! A cooperative scheduler: whole systems of simulated processes in one thread, a step of one of them at a time.

use core::fmt;

use crate::fault::Random;
use crate::os::MockOs;
use crate::process::{Died, is_dying};

/// How many of the last steps are told when one panics.
const HISTORY: usize = 32;
/// A mortal process that is struck dies before one of so many events.
const DEATH_WITHIN: u64 = 16;

/// What came of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// It did something; there may be more.
    Progress,
    /// There was nothing to do now.
    Idle,
    /// There will never be more to do.
    Done,
}

/// How a schedule ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ended {
    /// How many steps ran.
    pub steps: u64,
    /// Who died, by name, and how.
    pub died: Vec<(String, Died)>,
    /// Who was not done at the end: because nobody had anything to do any more, or because the steps were used up.
    pub left: Vec<String>,
}

struct Party<'a> {
    name: String,
    process: MockOs,
    step: Box<dyn FnMut(&MockOs) -> Step + 'a>,
    mortal: bool,
    idle: bool,
}

/// Simulated processes and the order of their steps, which a seed decides. A step is a closure that does one call of the API
/// under test, as its process; it must not block. Make one for each seed; the same seed, parties and steps give the same run.
///
/// ```
/// use seqslot_os_mock::{Schedule, Step, World, seeds};
/// use std::cell::Cell;
///
/// for seed in seeds(20) {
///     let world = World::new(seed);
///     let queue = Cell::new(0);
///     let (mut made, mut eaten) = (0, 0);
///     let mut schedule = Schedule::new(seed);
///     schedule.add("producer", &world.process(), |_| {
///         queue.set(queue.get() + 1);
///         made += 1;
///         if made == 5 { Step::Done } else { Step::Progress }
///     });
///     schedule.add("consumer", &world.process(), |_| {
///         if queue.get() == 0 {
///             return Step::Idle;
///         }
///         queue.set(queue.get() - 1);
///         eaten += 1;
///         if eaten == 5 { Step::Done } else { Step::Progress }
///     });
///     let ended = schedule.run(1000);
///     assert!(ended.left.is_empty(), "{ended:?}");
/// }
/// ```
pub struct Schedule<'a> {
    seed: u64,
    random: Random,
    parties: Vec<Party<'a>>,
    strikes_per_mille: u32,
    history: heapless::HistoryBuf<(u64, String), HISTORY>,
}

impl fmt::Debug for Schedule<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schedule").field("seed", &self.seed).field("parties", &self.parties.len()).finish_non_exhaustive()
    }
}

impl<'a> Schedule<'a> {
    /// A schedule without parties.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let history = heapless::HistoryBuf::new();
        Self { seed, random: Random::new(seed), parties: Vec::new(), strikes_per_mille: 0, history }
    }

    /// Adds a process and its step.
    pub fn add(&mut self, name: &str, process: &MockOs, step: impl FnMut(&MockOs) -> Step + 'a) {
        self.push(name, process, false, Box::new(step));
    }

    /// Adds a process that may die (see [`deaths`](Self::deaths)).
    pub fn add_mortal(&mut self, name: &str, process: &MockOs, step: impl FnMut(&MockOs) -> Step + 'a) {
        self.push(name, process, true, Box::new(step));
    }

    fn push(&mut self, name: &str, process: &MockOs, mortal: bool, step: Box<dyn FnMut(&MockOs) -> Step + 'a>) {
        self.parties.push(Party { name: name.into(), process: process.clone(), step, mortal, idle: false });
    }

    /// At so many steps of a thousand, the mortal process whose turn it is gets to die before one of its next 16 events, in
    /// this step or a later one.
    pub fn deaths(&mut self, per_mille: u32) {
        self.strikes_per_mille = per_mille;
    }

    /// Runs steps until every process is done or dead, or none has anything to do, or `steps_max` have run.
    ///
    /// # Panics
    /// With the panic of a step, after the seed and the last steps were printed.
    pub fn run(&mut self, steps_max: u64) -> Ended {
        let mut ended = Ended::default();
        let telling = Telling(self);
        let schedule = &mut *telling.0;
        while ended.steps < steps_max && schedule.parties.iter().any(|party| !party.idle) {
            schedule.step(&mut ended);
        }
        ended.left = schedule.parties.iter().map(|party| party.name.clone()).collect();
        ended
    }

    fn step(&mut self, ended: &mut Ended) {
        let turn = self.random.below(self.parties.len() as u64) as usize;
        let struck = self.random.below(1000) < u64::from(self.strikes_per_mille);
        let within = 1 + self.random.below(DEATH_WITHIN);
        let party = &mut self.parties[turn];
        ended.steps += 1;
        self.history.write((ended.steps, party.name.clone()));
        if struck && party.mortal {
            party.process.die_before(within);
        }
        let Party { process, step, .. } = party;
        match process.run(|| step(process)) {
            Ok(Step::Idle) => {
                party.idle = true;
                return;
            }
            Ok(Step::Progress) => {}
            Ok(Step::Done) => drop(self.parties.swap_remove(turn)),
            Err(died) => {
                let party = self.parties.swap_remove(turn);
                ended.died.push((party.name, died));
            }
        }
        // Whatever happened may have given the others something to do.
        self.parties.iter_mut().for_each(|party| party.idle = false);
    }
}

/// Tells the last steps when a panic drops it.
struct Telling<'s, 'a>(&'s mut Schedule<'a>);

impl Drop for Telling<'_, '_> {
    fn drop(&mut self) {
        if std::thread::panicking() && !is_dying() {
            eprintln!("seqslot-os-mock: the schedule's seed is {}; its last steps:", self.0.seed);
            for (number, name) in self.0.history.oldest_ordered() {
                eprintln!("  {number} {name}");
            }
        }
    }
}
