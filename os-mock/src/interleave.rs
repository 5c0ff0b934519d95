//! Interleaving inside the operations: a scheduler that may switch between processes before every access to shared memory and every
//! system call.
//!
//! Each party is a coroutine in one thread, so that exactly one runs, a switch costs nanoseconds, and a seed replays exactly. What is
//! explored are sequentially consistent interleavings: a store is seen by everybody at once. What weaker orders allow is loom's to show.

mod current;

use core::cell::{Cell, RefCell};
use core::fmt;
use core::time::Duration;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;

use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult};

use crate::fault::Random;
use crate::os::MockOs;
use crate::process::{Control, Died, exchange_running};
use crate::trace::Event;
use crate::world::World;
pub use current::bounded;
use current::{CURRENT, Current, Shared};
pub(crate) use current::{block, is_party, point};

/// Bytes of a party's stack.
const STACK: usize = 256 * 1024;

/// How the next party is chosen, and how long it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Pace {
    /// Before each access the turn ends with a chance of so many 65536ths, one for loads and one for all others; then any party
    /// that can run is as likely as another.
    Random {
        /// For loads, which a polling party does many of.
        loads: u32,
        /// For what changes something, and system calls.
        others: u32,
    },
    /// The party with the highest priority runs. Priorities are drawn; once in so many accesses, on average, the running party gets
    /// the lowest (after Burckhardt et al., "A randomized scheduler with probabilistic guarantees of finding bugs", ASPLOS 2010).
    Priorities {
        /// Mean distance of two changes.
        change_every: u32,
    },
}

/// One access of one party, as [`Interleave::history`] tells it.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Access {
    /// Which step of the whole run: 1 is the first.
    pub step: u64,
    /// Which party.
    pub party: usize,
    /// What it was about to do.
    pub event: Event,
}

/// How a party ended.
#[non_exhaustive]
pub enum Outcome {
    /// It came to its end.
    Returned,
    /// Its process died.
    Died(Died),
    /// It panicked, with this payload: what the test is there to find.
    Panicked(Box<dyn Any + Send>),
}

impl fmt::Debug for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Returned => f.write_str("Returned"),
            Self::Died(died) => f.debug_tuple("Died").field(died).finish(),
            Self::Panicked(_) => f.write_str("Panicked"),
        }
    }
}

/// Why [`Interleave::run`] came back.
#[derive(Debug)]
#[non_exhaustive]
pub enum Paused {
    /// The steps asked for are done.
    Steps,
    /// Nobody can run until the clock goes on: look around, then call [`Interleave::pass_time`].
    Quiet,
    /// A party ended.
    Ended {
        /// Which.
        party: usize,
        /// How.
        outcome: Outcome,
    },
    /// All parties have ended.
    Over,
}

/// A party that cannot run before the clock goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Asleep {
    /// Which party.
    pub party: usize,
    /// The mask it waits with; 0 for a sleep.
    pub mask: u32,
    /// When it gives up.
    pub until: Duration,
    /// Somebody has woken it, but the wake is late.
    pub is_woken: bool,
    /// It is paused: it may be in the midst of anything.
    pub is_paused: bool,
    /// A process has died since it woke up last, or began its operation ([`bounded`]): perhaps the one that was to wake it.
    pub saw_death: bool,
}

type Body = Coroutine<(), (), Outcome, DefaultStack>;

struct Party {
    name: String,
    process: MockOs,
    current: Rc<Current>,
    /// `None` when it has ended.
    body: Option<Body>,
    /// What the thread runs while this party does.
    running: Vec<Option<Arc<Control>>>,
    priority: u64,
    /// Does not run before this step, or this time.
    paused: Option<(u64, Duration)>,
}

/// Simulated processes whose operations interleave at every access, in an order that a seed decides.
///
/// Bodies run as their process (see [`MockOs::run`]), each on a stack of its own; waits and sleeps let others run, and when all are
/// asleep the clock jumps, at [`pass_time`](Self::pass_time). The world must be one of [`World::new`].
///
/// ```
/// use seqslot_core::{Config, Segment};
/// use seqslot_os_mock::{Interleave, Pace, Paused, World};
/// use std::time::Duration;
///
/// let world = World::new(1);
/// let keeper = Segment::create(world.process(), "frames", &Config::slots(2, 16))?;
/// let mut all = Interleave::new(&world, 7);
/// all.pace(Pace::Random { loads: 1 << 12, others: 1 << 14 });
/// let (one, other) = (world.process(), world.process());
/// all.add("reader", &one, { let os = one.clone(); move || {
///     let segment = Segment::attach(os, "frames").expect("it is there");
///     let reader = segment.reader().expect("a free entry");
///     assert_eq!(&*reader.take_timeout(Duration::from_secs(9)).expect("somebody sends"), b"hello");
/// }});
/// all.add("writer", &other, { let os = other.clone(); move || {
///     let segment = Segment::attach(os, "frames").expect("it is there");
///     while segment.view().active().load(std::sync::atomic::Ordering::Relaxed) == 0 {}
///     segment.writer().expect("a free entry").send(b"hello").expect("a free slot");
/// }});
/// let mut ended = 0;
/// loop {
///     match all.run(1000) {
///         Paused::Over => break,
///         Paused::Quiet => all.pass_time(),
///         Paused::Ended { .. } => ended += 1,
///         _ => {}
///     }
/// }
/// assert_eq!(ended, 2);
/// # drop(keeper);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Interleave {
    world: World,
    shared: Rc<Shared>,
    parties: Vec<Party>,
    stacks: Vec<DefaultStack>,
    /// The lowest priority given yet.
    lowest: u64,
}

impl fmt::Debug for Interleave {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Interleave").field("steps", &self.steps()).field("parties", &self.parties.len()).finish_non_exhaustive()
    }
}

impl Interleave {
    /// A schedule without parties.
    #[must_use]
    pub fn new(world: &World, seed: u64) -> Self {
        let shared = Rc::new(Shared {
            random: RefCell::new(Random::new(seed)),
            pace: Cell::new(Pace::Random { loads: 1 << 13, others: 1 << 13 }),
            steps: Cell::new(0),
            limit: Cell::new(0),
            demote: Cell::new(false),
            deaths: Cell::new(0),
            history: RefCell::new(heapless::HistoryBuf::new()),
        });
        Self { world: world.clone(), shared, parties: Vec::new(), stacks: Vec::new(), lowest: u64::MAX >> 1 }
    }

    /// Sets the pace from now on.
    pub fn pace(&mut self, pace: Pace) {
        self.shared.pace.set(pace);
    }

    /// Adds a process and what it does; the party's number.
    ///
    /// # Panics
    /// If the system has no memory for a stack.
    pub fn add(&mut self, name: impl Into<String>, process: &MockOs, body: impl FnOnce() + 'static) -> usize {
        let party = self.parties.len();
        let current = Rc::new(Current {
            party,
            shared: Rc::clone(&self.shared),
            yielder: Cell::new(core::ptr::null()),
            blocked: Cell::new(None),
            operation: Cell::new(("the party", u64::MAX)),
            killed: Cell::new(false),
            deaths: Cell::new(self.shared.deaths.get()),
        });
        let stack = self.stacks.pop().unwrap_or_else(|| DefaultStack::new(STACK).expect("memory for a stack"));
        let (mine, os) = (Rc::clone(&current), process.clone());
        let body = Coroutine::with_stack(stack, move |yielder, ()| {
            mine.yielder.set(yielder);
            match catch_unwind(AssertUnwindSafe(|| os.run(body))) {
                Ok(Ok(())) => Outcome::Returned,
                Ok(Err(died)) => Outcome::Died(died),
                Err(payload) => Outcome::Panicked(payload),
            }
        });
        // Above every priority that a change gave.
        let priority = (u64::MAX >> 1) + 1 + self.shared.random.borrow_mut().below(1 << 32);
        let (name, process, running) = (name.into(), process.clone(), Vec::new());
        self.parties.push(Party { name, process, current, body: Some(body), running, priority, paused: None });
        party
    }

    /// How many accesses and system calls have been scheduled.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.shared.steps.get()
    }

    /// The name of a party.
    ///
    /// # Panics
    /// If there is no such party.
    #[must_use]
    pub fn name(&self, party: usize) -> &str {
        &self.parties[party].name
    }

    /// The parties that have not ended.
    pub fn alive(&self) -> impl Iterator<Item = usize> {
        self.parties.iter().enumerate().filter(|(_, party)| party.body.is_some()).map(|(at, _)| at)
    }

    /// The last accesses, oldest first.
    #[must_use]
    pub fn history(&self) -> Vec<Access> {
        self.shared.history.borrow().oldest_ordered().copied().collect()
    }

    /// Runs about `steps` more steps, or until something is to be seen to.
    pub fn run(&mut self, steps: u64) -> Paused {
        let limit = self.steps() + steps;
        self.shared.limit.set(limit);
        while self.steps() < limit {
            let Some(next) = self.next() else {
                return if self.alive().next().is_none() { Paused::Over } else { Paused::Quiet };
            };
            if let Some(outcome) = self.resume(next) {
                return Paused::Ended { party: next, outcome };
            }
        }
        Paused::Steps
    }

    /// Kills the process of `party`, wherever it is, and unwinds it. `None` if it has ended already.
    pub fn kill(&mut self, party: usize) -> Option<Outcome> {
        self.parties[party].body.as_ref()?;
        self.parties[party].process.kill();
        self.parties[party].current.killed.set(true);
        self.shared.deaths.set(self.shared.deaths.get() + 1);
        // It unwinds at once, and is not interrupted in that.
        self.resume(party)
    }

    /// Does not let `party` run for so many steps, or, if that comes later, for so long. Others take no notice.
    pub fn pause(&mut self, party: usize, steps: u64, time: Duration) {
        let now = self.world.wakes(core::iter::empty(), |_, _| {});
        self.parties[party].paused = Some((self.steps() + steps, now.saturating_add(time)));
    }

    /// Those that cannot run before the clock goes on.
    #[must_use]
    pub fn asleep(&self) -> Vec<Asleep> {
        let mut asleep = Vec::new();
        let deaths = self.shared.deaths.get();
        self.look(|party, wake, now| {
            let blocked = self.parties[party].current.blocked.get();
            let is_paused = self.is_paused(party, now);
            if let Some(blocked) = blocked {
                asleep.push(Asleep {
                    party,
                    mask: blocked.mask,
                    until: blocked.until,
                    is_woken: wake.is_some(),
                    is_paused,
                    saw_death: self.parties[party].current.deaths.get() != deaths,
                });
            } else if is_paused {
                asleep.push(Asleep { party, mask: 0, until: now, is_woken: false, is_paused, saw_death: false });
            }
        });
        asleep
    }

    /// Moves the clock on to where somebody can run again.
    pub fn pass_time(&mut self) {
        let mut next = None;
        self.look(|party, wake, now| {
            let party = &self.parties[party];
            let mut at = party.current.blocked.get().map_or(now, |blocked| wake.unwrap_or(blocked.until).min(blocked.until));
            if let Some((_, until)) = party.paused {
                at = at.max(until);
            }
            next = Some(next.map_or(at, |earliest: Duration| earliest.min(at)));
        });
        if let Some(next) = next {
            self.world.advance_to(next);
        }
    }

    fn is_paused(&self, party: usize, now: Duration) -> bool {
        self.parties[party].paused.is_some_and(|(step, until)| self.steps() < step || now < until)
    }

    /// Tells of each party that has not ended: when its wake arrives, and the time.
    fn look(&self, mut tell: impl FnMut(usize, Option<Duration>, Duration)) {
        let waiter = |party: usize| self.parties[party].current.blocked.get().map_or(0, |blocked| blocked.waiter);
        let mut wakes = Vec::with_capacity(self.parties.len());
        let now = self.world.wakes(self.alive().map(waiter), |_, wake| wakes.push(wake));
        self.alive().zip(wakes).for_each(|(party, wake)| tell(party, wake, now));
    }

    /// Who runs next.
    fn next(&mut self) -> Option<usize> {
        let mut ready = Vec::with_capacity(self.parties.len());
        let mut stepwise = None;
        self.look(|party, wake, now| {
            let blocked = self.parties[party].current.blocked.get();
            let can_run = blocked.is_none_or(|blocked| blocked.until <= now || wake.is_some_and(|at| at <= now));
            match self.parties[party].paused {
                _ if !can_run => {}
                Some((_, until)) if now < until => {}
                Some((step, _)) if self.shared.steps.get() < step => stepwise = Some(party),
                _ => ready.push(party),
            }
        });
        if ready.is_empty() {
            // A pause of so many steps is over when nobody else makes any.
            ready.extend(stepwise);
        }
        let next = match self.shared.pace.get() {
            _ if ready.is_empty() => return None,
            Pace::Random { .. } => ready[self.shared.random.borrow_mut().below(ready.len() as u64) as usize],
            Pace::Priorities { .. } => ready.into_iter().max_by_key(|&party| self.parties[party].priority)?,
        };
        self.parties[next].paused = None;
        Some(next)
    }

    /// Lets `party` run up to the end of its turn; its outcome if it has ended.
    fn resume(&mut self, at: usize) -> Option<Outcome> {
        let party = &mut self.parties[at];
        let body = party.body.as_mut()?;
        exchange_running(&mut party.running);
        let before = CURRENT.replace(Some(Rc::clone(&party.current)));
        let result = body.resume(());
        CURRENT.set(before);
        exchange_running(&mut party.running);
        if self.shared.demote.replace(false) {
            self.lowest -= 1;
            party.priority = self.lowest;
        }
        let CoroutineResult::Return(outcome) = result else { return None };
        if let Some(body) = party.body.take() {
            self.stacks.push(body.into_stack());
        }
        Some(outcome)
    }
}

impl Drop for Interleave {
    fn drop(&mut self) {
        for at in 0..self.parties.len() {
            if !std::thread::panicking() {
                self.kill(at);
            }
            // While the test unwinds, a death cannot: its stack is left as it is.
            if let Some(body) = self.parties[at].body.take() {
                core::mem::forget(body);
            }
        }
    }
}
