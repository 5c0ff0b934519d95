//! Runs a system: sets it up, lets it run, kills, pauses, moves the clock; looks around when all are asleep, and at the end.

use core::time::Duration;
use std::rc::Rc;

use core::cell::{Cell, RefCell};
use seqslot_core::{Os, Segment};
use seqslot_os_mock::{Fault, Interleave, MockOs, Outcome, Paused, Plan as When, World};

use crate::cell::{self, CellModel};
use crate::env::{Env, Shared};
use crate::failure::{Failure, Keeping};
use crate::model::Model;
use crate::plan::{Plan, SLOTS};
use crate::race::{self, RaceModel};
use crate::tally::Tally;
use crate::{caring, face, reading, writing};

/// How many steps a system may take to come to rest once it was told to.
const REST: u64 = 4_000_000;

/// How a run differs from what its seed says.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct Options {
    /// The n-th wake reaches nobody: shows that a lost wake-up is seen.
    pub lost_wake: Option<u32>,
}

impl Options {
    /// The n-th wake reaches nobody.
    #[must_use]
    pub fn losing_wake(n: u32) -> Self {
        Self { lost_wake: Some(n) }
    }
}

/// Runs the system of `seed` to its end.
///
/// # Errors
/// [`Failure`]: where the system and the model disagree, with what is needed to see it again.
pub fn run(seed: u64, options: &Options) -> Result<Tally, Box<Failure>> {
    let keeping = Keeping::new();
    let world = World::new(seed);
    let plan = Plan::draw(&world);
    let mut all = Interleave::new(&world, seed ^ 0x5eed);
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| Drive::new(&world, plan.clone(), &mut all, options).run()));
    let what = match ended {
        Ok(Ok(tally)) => return Ok(tally),
        Ok(Err(what)) => what,
        Err(_) => Keeping::take().unwrap_or_else(|| "a panic".into()),
    };
    let events = all.history().iter().map(|access| format!("{:>8} {:<10} {}", access.step, all.name(access.party), access.event)).collect();
    let step = all.steps();
    drop(all);
    drop(keeping);
    Err(Box::new(Failure { seed, step, what, plan: format!("{plan:?}"), events }))
}

/// What a process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Write,
    Read(u32),
    Care,
    WriteCell,
    ReadCell,
    Race,
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Self::Write => "writer",
            Self::Read(_) => "reader",
            Self::Care => "carer",
            Self::WriteCell => "cell writer",
            Self::ReadCell => "cell reader",
            Self::Race => "racer",
        }
    }
}

/// A system that runs.
pub(crate) struct Drive<'d> {
    pub(crate) world: &'d World,
    pub(crate) all: &'d mut Interleave,
    pub(crate) shared: Rc<Shared>,
    /// By party: its role and its pid.
    roles: Vec<(Role, u32)>,
    /// Made the segment, and has its name.
    keeper: (MockOs, Option<Segment<MockOs>>),
    /// Looks at it.
    pub(crate) monitor: Segment<MockOs>,
}

impl<'d> Drive<'d> {
    fn new(world: &'d World, plan: Plan, all: &'d mut Interleave, options: &Options) -> Self {
        let keeper = world.process();
        let made = Segment::create(keeper.clone(), SLOTS, &plan.config()).unwrap_or_else(|error| panic!("create: {error}"));
        crate::poke::start_at(&made, plan.start);
        let monitor = Segment::attach(world.process(), SLOTS).unwrap_or_else(|error| panic!("attach: {error}"));
        if plan.cell.is_some() {
            cell::create(world).unwrap_or_else(|error| panic!("create the cell: {error}"));
        }
        for (fault, rate) in plan.faults.into_iter().filter(|(_, rate)| *rate != 0) {
            world.plan(fault, When::PerMille(rate));
        }
        if let Some(n) = options.lost_wake {
            world.plan(Fault::LostWake, When::Nth(n));
        }
        all.pace(plan.pace);
        let shared = Rc::new(Shared {
            model: RefCell::new(Model::new(plan.overwrites())),
            cell: RefCell::new(CellModel::default()),
            race: RefCell::new(RaceModel::default()),
            stop: Cell::new(false),
            writing: Cell::new(0),
            plan,
        });
        Self { world, all, shared, roles: Vec::new(), keeper: (keeper, Some(made)), monitor }
    }

    /// What `party` is parked for, if it is in a call that waits.
    pub(crate) fn parked(&self, party: usize) -> Option<crate::model::Parked> {
        self.shared.model.borrow().parked.get(&self.roles[party].1).copied()
    }

    fn plan(&self) -> &Plan {
        &self.shared.plan
    }

    fn start(&mut self, role: Role) {
        let process = self.world.process();
        let env = Env::new(&self.shared, &process);
        let pid = process.process().pid;
        let by_face = self.plan().by_face;
        let is_first = self.all.steps() == 0;
        let writing = Rc::clone(&self.shared);
        let body: Box<dyn FnOnce()> = match role {
            Role::Write => {
                writing.writing.set(writing.writing.get() + 1);
                Box::new(move || if by_face { face::write(&env) } else { writing::live(&env) })
            }
            Role::Read(index) if by_face => {
                let key = self.shared.model.borrow_mut().joined(pid, index, None, 0);
                if !is_first {
                    // Its predecessor died: of what was disconnected, nothing is promised.
                    self.shared.model.borrow_mut().promises_nothing(key);
                }
                Box::new(move || face::read(&env, index, key))
            }
            Role::Read(_) => Box::new(move || reading::live(&env)),
            Role::Care => Box::new(move || caring::live(&env)),
            Role::WriteCell => Box::new(move || cell::write(&env)),
            Role::ReadCell => Box::new(move || cell::read(&env)),
            Role::Race => Box::new(move || race::live(&env)),
        };
        let party = self.all.add(format!("{} {pid}", role.name()), &process, body);
        debug_assert_eq!(party, self.roles.len());
        self.roles.push((role, pid));
    }

    fn run(mut self) -> Result<Tally, String> {
        let plan = self.plan().clone();
        (0..plan.writers).for_each(|_| self.start(Role::Write));
        (0..plan.readers).for_each(|index| self.start(Role::Read(index)));
        (0..plan.carers).for_each(|_| self.start(Role::Care));
        if let Some(readers) = plan.cell {
            (0..2).for_each(|_| self.start(Role::WriteCell));
            (0..readers).for_each(|_| self.start(Role::ReadCell));
        }
        (0..plan.racers).for_each(|_| self.start(Role::Race));
        loop {
            match self.all.run(1 + self.world.random_below(2 * plan.act_every)) {
                Paused::Steps => self.act()?,
                Paused::Quiet => {
                    self.look_around()?;
                    self.all.pass_time();
                }
                Paused::Ended { party, outcome } => self.ended(party, outcome)?,
                Paused::Over => break,
                _ => {}
            }
            self.watch_the_steps()?;
        }
        // All may have died before the run was told to end.
        self.end_faults();
        self.settle()?;
        let mut tally = self.shared.model.borrow().tally;
        tally.steps = self.all.steps();
        tally.systems = 1;
        tally.faults = plan.faults.iter().map(|&(fault, _)| self.world.struck(fault)).sum();
        Ok(tally)
    }

    /// Ends the run after the steps planned; fails if it does not come to rest then.
    fn watch_the_steps(&mut self) -> Result<(), String> {
        let (steps, plan) = (self.all.steps(), self.plan());
        if steps >= plan.steps && !self.shared.stop.get() {
            self.shared.stop.set(true);
            self.end_faults();
        }
        if steps < plan.steps + REST {
            return Ok(());
        }
        let left: Vec<&str> = self.all.alive().map(|party| self.all.name(party)).collect();
        Err(format!("the system does not come to rest: {}", left.join(", ")))
    }

    fn end_faults(&self) {
        self.plan().faults.iter().for_each(|&(fault, _)| self.world.plan(fault, When::Never));
    }

    /// One of what may happen at any time.
    fn act(&mut self) -> Result<(), String> {
        if self.shared.stop.get() {
            return Ok(());
        }
        let Plan { kills, pauses, jumps, .. } = *self.plan();
        let what = self.world.random_below(100);
        let alive: Vec<usize> = self.all.alive().collect();
        let victim = alive[self.world.random_below(alive.len() as u64) as usize];
        if what < kills {
            if self.world.random_below(20) == 0 && self.keeper.1.is_some() {
                // The segment outlives its owner.
                self.keeper.0.kill();
                self.keeper.1 = None;
            } else if let Some(outcome) = self.all.kill(victim) {
                self.died(victim, &outcome)?;
            }
        } else if what < kills + pauses {
            let time =
                if self.world.random_below(4) == 0 { Duration::from_micros(1 << self.world.random_below(22)) } else { Duration::ZERO };
            self.all.pause(victim, 1 + self.world.random_below(5000), time);
            self.shared.model.borrow_mut().tally.pauses += 1;
        } else if what < kills + pauses + jumps {
            self.world.advance(Duration::from_micros(1 << self.world.random_below(24)));
            self.shared.model.borrow_mut().tally.jumps += 1;
        }
        Ok(())
    }

    /// A party was killed: it unwinds to its end at once, and somebody may come in its place.
    fn died(&mut self, party: usize, outcome: &Outcome) -> Result<(), String> {
        if matches!(outcome, Outcome::Panicked(_)) {
            return Err(self.panicked(party));
        }
        let (role, pid) = self.roles[party];
        self.shared.model.borrow_mut().died(pid);
        self.shared.cell.borrow_mut().died(pid);
        self.shared.race.borrow_mut().died(pid);
        if role == Role::Write {
            self.shared.writing.set(self.shared.writing.get() - 1);
        }
        if self.world.random_below(100) < 90 {
            self.start(role);
        }
        Ok(())
    }

    fn panicked(&self, party: usize) -> String {
        format!("{}: {}", self.all.name(party), Keeping::take().unwrap_or_else(|| "a panic".into()))
    }

    fn ended(&mut self, party: usize, outcome: Outcome) -> Result<(), String> {
        match outcome {
            Outcome::Panicked(_) => return Err(self.panicked(party)),
            Outcome::Died(died) => return Err(format!("nobody killed {}: {died}", self.all.name(party))),
            _ => {}
        }
        if self.roles[party].0 == Role::Write {
            self.shared.writing.set(self.shared.writing.get() - 1);
        }
        if self.shared.stop.get() { Ok(()) } else { Err(format!("{} came to an end before the run", self.all.name(party))) }
    }
}
