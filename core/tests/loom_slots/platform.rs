//! A process's platform: the kernel's locks and its queue of sleepers, made of loom's parts; no time passes.

use std::sync::Arc;
use std::time::Duration;

use seqslot_core::{
    Access, AtomicU32, Claim, CreateFault, Created, Exclusion, Exclusive, Lock, Mapping, Memory, ObjectSpec, OpenFault, Ordering, Os,
    OsError, Process, Woken,
};

use crate::mutation::{Effect, Kind, Op, effect};
use crate::party::Party;
use crate::world::{Shared, Sleeper};

impl Party {
    /// Takes a lock of the kernel, if nobody has it.
    pub fn claim_lock(&self, lock: Lock) -> Option<PartyClaim> {
        let word = self.shared.lock(lock);
        let found = effect(self.name, Kind::None, Op::Claim, Ordering::Acquire);
        // ORDERING: Acquire, edge "claim", as a kernel's lock; pairs with the Release of the one who lets go.
        let order = if matches!(found, Some(Effect::Relaxed)) { Ordering::Relaxed } else { Ordering::Acquire };
        let taken = word.compare_exchange(0, 1, order, Ordering::Relaxed);
        if taken.is_err() && !matches!(found, Some(Effect::Left)) {
            return None;
        }
        Some(PartyClaim { shared: self.shared.clone(), lock })
    }
}

// SAFETY: 1. a world has one object, given out once: with the lock of its owner, which nothing lets go of.
unsafe impl Os for Party {
    type Name = ();
    type Mapping = Self;

    fn create(&self, (): &(), _spec: ObjectSpec) -> Result<Created<Self, PartyClaim>, CreateFault> {
        let owner = self.claim_lock(Lock::OWNER).ok_or(CreateFault::AlreadyExists { pid: 1 })?;
        Ok(Created { mapping: self.clone(), owner })
    }

    fn open(&self, (): &(), _access: Access) -> Result<Self, OpenFault> {
        Ok(self.clone())
    }

    /// The look at the word and the falling asleep are one step, as the kernel makes them. Nobody comes after a slice: a wake-up
    /// that is lost is a deadlock, which loom reports.
    fn wait(&self, word: &AtomicU32, expected: u32, mask: u32, _timeout: Duration) -> Woken {
        let at = self.shared.memory.offset_of(word);
        let mut sleepers = self.shared.sleepers.lock().expect("no thread panics while it holds this");
        // SAFETY: the word came from this memory.
        if unsafe { self.shared.memory.load(at, Ordering::Relaxed) } != expected {
            return Woken::Perhaps;
        }
        let ticket = sleepers.iter().map(|sleeper| sleeper.ticket + 1).max().unwrap_or(0);
        sleepers.push(Sleeper { at, mask, ticket, woken: false });
        loop {
            sleepers = self.shared.alarm.wait(sleepers).expect("no thread panics while it holds this");
            if let Some(me) = sleepers.iter().position(|sleeper| sleeper.ticket == ticket && sleeper.woken) {
                sleepers.swap_remove(me);
                return Woken::Perhaps;
            }
        }
    }

    fn wake(&self, word: &AtomicU32, mask: u32) {
        let at = self.shared.memory.offset_of(word);
        if self.is_dead() || matches!(self.effect(at, Op::Wake, Ordering::Relaxed), Some(Effect::Left)) {
            return;
        }
        let mut sleepers = self.shared.sleepers.lock().expect("no thread panics while it holds this");
        let mut somebody = false;
        for sleeper in sleepers.iter_mut().filter(|sleeper| sleeper.at == at && sleeper.mask & mask != 0) {
            sleeper.woken = true;
            somebody = true;
        }
        if somebody {
            self.shared.alarm.notify_all();
        }
    }

    fn sleep(&self, _time: Duration) {
        if !self.is_restless() {
            loom::thread::yield_now();
        }
    }

    fn now(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn process(&self) -> Process {
        Process { pid: 1, start_time: 1, pid_namespace: 1 }
    }

    fn enroll(&self) -> bool {
        true
    }

    fn fence_all(&self) -> bool {
        self.fence_others();
        true
    }
}

// SAFETY: 4. the memory is reference-counted. 9, 10. locks are a table of the world.
unsafe impl Mapping for Party {
    type Memory = Self;
    type Claim = PartyClaim;

    fn memory(&self) -> Self {
        self.clone()
    }

    fn claim(&self, lock: Lock, _word: &AtomicU32) -> Result<Option<PartyClaim>, OsError> {
        Ok(self.claim_lock(lock))
    }

    fn is_claimed(&self, lock: Lock, _word: &AtomicU32) -> Result<bool, OsError> {
        Ok(self.shared.lock(lock).load(Ordering::Acquire) != 0)
    }

    fn unlink(&self) -> Result<(), OsError> {
        Ok(())
    }
}

/// A lock that is held.
pub struct PartyClaim {
    shared: Arc<Shared>,
    lock: Lock,
}

impl Claim for PartyClaim {
    fn is_mine(&self) -> bool {
        true
    }
}

impl Drop for PartyClaim {
    fn drop(&mut self) {
        self.shared.lock(self.lock).store(0, Ordering::Release);
    }
}

/// The exclusion of a process with one thread, which loom need not see.
pub struct Alone;

/// (In a box: a thread of the model has a small stack.)
pub struct AloneOf<T>(Box<std::sync::Mutex<T>>);

impl Exclusion for Alone {
    type Of<T> = AloneOf<T>;
}

impl<T> Exclusive<T> for AloneOf<T> {
    fn new(value: T) -> Self {
        Self(Box::new(std::sync::Mutex::new(value)))
    }

    fn with<R>(&self, act: impl FnOnce(&mut T) -> R) -> R {
        act(&mut self.0.try_lock().expect("one thread"))
    }
}
