//! What the suite needs from a platform beside its `Os`, and that for the mock.

use core::borrow::Borrow;
use core::time::Duration;
use std::panic::resume_unwind;

use portable_atomic::{AtomicU32, Ordering};
use seqslot_core::{Access, ClaimOf, Mapping, Os};

use crate::liveness::MockClaim;
use crate::os::MockOs;
use crate::process::Running;
use crate::world::World;

/// How another process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// After its code, without running destructors of what it has leaked.
    Leaves,
    /// Killed inside its `pause`, in the middle of everything (SIGKILL).
    Killed,
}

/// Code for another process: it gets a platform handle of that process, and a function that pauses it.
pub type Other<'a, O> = dyn FnMut(&O, &mut dyn FnMut()) + 'a;

/// What comes over processes that run at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signals {
    /// Nothing: whoever sleeps is woken by a wake, or not at all.
    None,
    /// Many signals, to each of the others, where the platform has them.
    Many,
}

/// What a platform gives to the suite. The methods that need another process say by their default that there is none; the parts of
/// clauses that need one are left out then.
pub trait Harness {
    /// The platform.
    type Os: Os<Name: Sync>;
    /// A name, owned.
    type Fresh: Borrow<<Self::Os as Os>::Name> + Sync;

    /// A handle of this process.
    fn os(&self) -> Self::Os;

    /// A name that no object has, another one at each call.
    fn fresh_name(&self) -> Self::Fresh;

    /// Runs `other` in another process up to its `pause`, then `meanwhile` in this one, then the rest of `other` (or its death,
    /// as `ending` says), and returns when that process is gone. Where the platform can fork, the process is a fork of this one.
    /// A panic of `other` is a panic here. False, and nothing is run, if there are no other processes.
    fn beside(&self, ending: Ending, other: &mut Other<'_, Self::Os>, meanwhile: &mut dyn FnMut()) -> bool {
        let _ = (ending, other, meanwhile);
        false
    }

    /// Runs `others` processes (or threads, at least) at the same time as `here`, each with its number from 0, and returns when all
    /// have ended. A panic of one is a panic here. False, and nothing is run, if nothing can run at the same time.
    fn concurrently(
        &self,
        signals: Signals,
        others: usize,
        other: &(dyn Fn(&Self::Os, usize) + Sync),
        here: &mut dyn FnMut(&Self::Os),
    ) -> bool {
        let _ = (signals, others, other, here);
        false
    }

    /// Runs `holder` in another process, which then forks a child and, as soon as that runs, is killed; then `meanwhile` in this process,
    /// while the child lives; then the child ends. False, and nothing is run, if the platform cannot fork.
    fn orphan(&self, holder: &mut dyn FnMut(&Self::Os), meanwhile: &mut dyn FnMut()) -> bool {
        let _ = (holder, meanwhile);
        false
    }

    /// Forks this process, runs `child` in the child with its copy of `claim`, and returns what it answered (`None` if the platform
    /// cannot fork), and this process's `claim`, when the child is gone.
    fn fork(&self, claim: ClaimOf<Self::Os>, child: &mut dyn FnMut(ClaimOf<Self::Os>) -> bool) -> (Option<bool>, ClaimOf<Self::Os>) {
        let _ = child;
        (None, claim)
    }

    /// How long a wait is that something else is to end; where it runs out, the clause is broken.
    fn patience(&self) -> Duration {
        Duration::from_secs(10)
    }

    /// Removes what is left under `name`, if anything.
    fn clean_up(&self, name: &<Self::Os as Os>::Name) {
        if let Ok(mapping) = self.os().open(name, Access::ReadWrite) {
            // Best effort: the test's verdict does not depend on it.
            let _ = mapping.unlink();
        }
    }
}

/// The harness for a [`World`]. Clauses about concurrent processes need a threaded one.
#[derive(Debug)]
pub struct MockHarness {
    os: MockOs,
    names: AtomicU32,
}

impl MockHarness {
    /// A harness with a first process in `world`.
    #[must_use]
    pub fn new(world: World) -> Self {
        Self { os: world.process(), names: AtomicU32::new(0) }
    }
}

impl Harness for MockHarness {
    type Os = MockOs;
    type Fresh = String;

    fn os(&self) -> MockOs {
        self.os.clone()
    }

    fn fresh_name(&self) -> String {
        format!("name {}", self.names.fetch_add(1, Ordering::Relaxed))
    }

    fn beside(&self, ending: Ending, other: &mut Other<'_, MockOs>, meanwhile: &mut dyn FnMut()) -> bool {
        let process = self.os.fork();
        let mut pause = || {
            // This process's own code, in the middle of the other's.
            let nobody = Running::enter(None);
            meanwhile();
            drop(nobody);
            if ending == Ending::Killed {
                process.kill();
            }
        };
        let ended = process.run(|| other(&process, &mut pause));
        assert_eq!(ended.is_err(), ending == Ending::Killed, "the other process's end");
        process.kill();
        true
    }

    fn concurrently(
        &self,
        _signals: Signals,
        others: usize,
        other: &(dyn Fn(&MockOs, usize) + Sync),
        here: &mut dyn FnMut(&MockOs),
    ) -> bool {
        if !self.os.world().is_threaded() {
            return false;
        }
        std::thread::scope(|scope| {
            let start = |number| {
                let process = self.os.fork();
                scope.spawn(move || process.run(|| other(&process, number)).expect("nobody kills it"))
            };
            let started: Vec<_> = (0..others).map(start).collect();
            here(&self.os);
            // Joined one by one, so that a panic comes here with its text.
            started.into_iter().for_each(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)));
        });
        true
    }

    fn orphan(&self, holder: &mut dyn FnMut(&MockOs), meanwhile: &mut dyn FnMut()) -> bool {
        let process = self.os.fork();
        process.run(|| holder(&process)).expect("nobody kills it yet");
        let child = process.fork();
        process.kill();
        meanwhile();
        child.kill();
        true
    }

    fn fork(&self, claim: MockClaim, child: &mut dyn FnMut(MockClaim) -> bool) -> (Option<bool>, MockClaim) {
        let process = self.os.fork();
        let copy = claim.inherited_by(&process);
        let answer = process.run(|| child(copy)).expect("nobody kills it");
        process.kill();
        (Some(answer), claim)
    }
}
