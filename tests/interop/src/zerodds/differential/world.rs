//! Both libraries side by side: every step is made on each, checked against its rules, and the answers compared.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::super::call::{PARTIES, Party, Step};
use super::super::difference::Difference;
use super::super::model::{Event, Model};
use super::super::twins;
use super::remote::Remote;
use crate::outcome::Outcome;

/// One library: its parties, and the rules it follows.
struct Side {
    name: &'static str,
    parties: [Box<dyn Party>; PARTIES],
    model: Model,
}

impl Side {
    fn make(&mut self, step: Step) -> Result<Event, String> {
        let answer = self.parties[step.party].call(step.call);
        self.model.follow(step, &answer).map_err(|wrong| format!("{} answered {answer:?}: {wrong}", self.name))
    }
}

/// What a step showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Compared {
    /// The same on both.
    Same,
    /// Not the same, for these reasons.
    Differs(Vec<Difference>),
    /// Not the same because of what differed before.
    Follows,
}

/// Both libraries.
pub struct World {
    folder: PathBuf,
    theirs: Side,
    ours: Side,
    /// What has been at work since the beginning.
    before: Vec<Difference>,
}

impl World {
    /// Both libraries, each with a party in this process and one in another.
    pub fn new(folder: &Path) -> Outcome<Self> {
        let theirs: [Box<dyn Party>; PARTIES] = [Box::new(twins::theirs::hands::Hands::default()), Box::new(Remote::start("theirs")?)];
        let ours: [Box<dyn Party>; PARTIES] = [Box::new(twins::ours::hands::Hands::default()), Box::new(Remote::start("ours")?)];
        Ok(Self {
            folder: folder.into(),
            theirs: Side { name: "theirs", parties: theirs, model: Model::new(true) },
            ours: Side { name: "ours", parties: ours, model: Model::new(false) },
            before: Vec::new(),
        })
    }

    /// Begins anew, at a path that was not used before.
    pub fn reset(&mut self) {
        static RESETS: AtomicU64 = AtomicU64::new(0);
        let number = RESETS.fetch_add(1, Ordering::Relaxed);
        for side in [&mut self.theirs, &mut self.ours] {
            side.model = Model::new(side.name == "theirs");
            let path = self.folder.join(format!("{}-{number}.flink", side.name));
            side.parties.iter_mut().for_each(|party| party.reset(path.clone()));
        }
        self.before.clear();
    }

    /// Whether the difference has been at work since the last reset.
    pub fn has_been(&self, difference: Difference) -> bool {
        self.before.contains(&difference)
    }

    /// Makes a step on both.
    pub fn make(&mut self, step: Step) -> Result<Compared, String> {
        let theirs = self.theirs.make(step)?;
        let ours = self.ours.make(step)?;
        let mut causes: Vec<Difference> = theirs.causes.iter().chain(&ours.causes).copied().collect();
        causes.sort_unstable();
        causes.dedup();
        self.before.extend(&causes);
        self.before.sort_unstable();
        self.before.dedup();
        if theirs.meaning == ours.meaning && theirs.moved == ours.moved {
            return Ok(Compared::Same);
        }
        match (causes.is_empty(), self.before.is_empty()) {
            (false, _) => Ok(Compared::Differs(causes)),
            (true, false) => Ok(Compared::Follows),
            (true, true) => Err(format!("a difference without a name: theirs {theirs:?}, ours {ours:?}")),
        }
    }

    /// Makes steps until one fails; the number of those made, and what each showed.
    pub fn run(&mut self, steps: &[Step]) -> (Vec<Compared>, Result<(), String>) {
        self.reset();
        let mut compared = Vec::with_capacity(steps.len());
        for step in steps {
            match self.make(*step) {
                Ok(what) => compared.push(what),
                Err(error) => return (compared, Err(error)),
            }
        }
        (compared, Ok(()))
    }
}
