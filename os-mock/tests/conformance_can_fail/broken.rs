//! The mock with one flaw.
#![allow(clippy::result_large_err, reason = "the errors are those of seqslot-core")]

use core::time::Duration;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use seqslot_core::{
    Access, AtomicU32, Claim, CreateFault, Created, Lock, Mapping, Memory, ObjectSpec, OpenFault, Os, OsError, Process, Woken,
};
use seqslot_os_mock::conformance::{Ending, Harness, MockHarness, Other, Signals};
use seqslot_os_mock::{MockClaim, MockMapping, MockMemory, MockOs, World};

/// What is wrong; `main.rs` says which clause each breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    None,
    TooLong,
    NotZero,
    OwnerFree,
    LeavesBehind,
    OverLiving,
    NeverOver,
    InPlace,
    UnlinksByName,
    OtherError,
    NoUnlink,
    OwnMapping,
    BlindWait,
    NoWake,
    EqualMasks,
    WakesOne,
    EarlyTimeout,
    NoTimeout,
    RestartedTimeout,
    ClockBack,
    ClockStands,
    OwnClock,
    TwoClaims,
    OneLock,
    RacyClaim,
    DropKeeps,
    UnmapFrees,
    DeathKeeps,
    ForkKeeps,
    OrphanKeeps,
    NeverClaimed,
    AlwaysClaimed,
    BlindToItself,
    TestFrees,
    MineInChild,
    ChildFrees,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A claim that others can take away.
type Cell = Arc<Mutex<Option<MockClaim>>>;

/// What all processes of one broken platform share.
struct Shared {
    flaw: Flaw,
    /// A process that lives on, for claims that do.
    keeper: MockOs,
    claims: Mutex<Vec<(u32, Lock, Cell)>>,
    waiting: Mutex<BTreeSet<u32>>,
    looks: AtomicU64,
    another_lives: AtomicBool,
    orphaning: AtomicBool,
    child_let_go: AtomicBool,
}

#[derive(Clone)]
pub struct Broken {
    os: MockOs,
    shared: Arc<Shared>,
}

pub struct BrokenMapping {
    inner: MockMapping,
    name: String,
    os: Broken,
    /// Claims made by this mapping.
    made: Mutex<Vec<Cell>>,
}

pub struct BrokenClaim {
    cell: Cell,
    os: Broken,
    is_copy: bool,
}

impl Broken {
    fn is(&self, flaw: Flaw) -> bool {
        self.shared.flaw == flaw
    }

    fn mapping(&self, name: &str, inner: MockMapping) -> BrokenMapping {
        BrokenMapping { inner, name: name.into(), os: self.clone(), made: Mutex::default() }
    }

    fn claim(&self, claim: Option<MockClaim>) -> BrokenClaim {
        BrokenClaim { cell: Arc::new(Mutex::new(claim)), os: self.clone(), is_copy: false }
    }
}

// SAFETY: 1. is broken on purpose by some flaws; the suite lays no segment out in what it gets, and lends out nothing.
unsafe impl Os for Broken {
    type Name = str;
    type Mapping = BrokenMapping;

    fn create(&self, name: &str, mut spec: ObjectSpec) -> Result<Created<BrokenMapping, BrokenClaim>, CreateFault> {
        let existing = self.os.open(name, Access::ReadWrite).ok();
        match (self.shared.flaw, &existing) {
            (Flaw::TooLong, _) => spec.len *= 2,
            (Flaw::OverLiving, Some(mapping)) => mapping.unlink().map_err(CreateFault::Os)?,
            (Flaw::NeverOver, Some(_)) => return Err(CreateFault::AlreadyExists { pid: self.os.process().pid }),
            _ => {}
        }
        if let (Flaw::InPlace, Some(mapping)) = (self.shared.flaw, existing)
            && let Some(owner) = mapping.claim(Lock::OWNER, &AtomicU32::new(0)).map_err(CreateFault::Os)?
        {
            return Ok(Created { mapping: self.mapping(name, mapping), owner: self.claim(Some(owner)) });
        }
        let made = self.os.create(name, spec);
        if self.is(Flaw::LeavesBehind) && matches!(made, Err(CreateFault::Os(_))) {
            drop(self.os.create(name, ObjectSpec { len: 64, ..spec }));
        }
        let made = made?;
        if self.is(Flaw::NotZero) {
            let memory = made.mapping.memory();
            // SAFETY: offset 60 is an aligned word of every object of the suite; the mapping is writable.
            unsafe { memory.store(60, 1, Ordering::Release) };
        }
        let owner = Some(made.owner).filter(|_| !self.is(Flaw::OwnerFree));
        Ok(Created { mapping: self.mapping(name, made.mapping), owner: self.claim(owner) })
    }

    fn open(&self, name: &str, access: Access) -> Result<BrokenMapping, OpenFault> {
        let inner = match (self.shared.flaw, self.os.open(name, access)) {
            (Flaw::OtherError, Err(OpenFault::NotFound)) => Err(OpenFault::Os(OsError::new("open", 2, name))),
            (Flaw::OwnMapping, Ok(mapping)) if access == Access::ReadOnly => {
                let spec = ObjectSpec { len: mapping.memory().len(), reserve: false, group: false };
                Ok(self.os.create("its own", spec).expect("the name is free").mapping)
            }
            (_, opened) => opened,
        };
        inner.map(|inner| self.mapping(name, inner))
    }

    fn wait(&self, word: &AtomicU32, expected: u32, mask: u32, timeout: Duration) -> Woken {
        let pid = self.os.process().pid;
        match self.shared.flaw {
            Flaw::BlindWait => self.os.wait(word, word.load(Ordering::Acquire), mask, timeout),
            Flaw::EqualMasks => self.os.wait(word, expected, 1 << (mask % 31), timeout),
            Flaw::WakesOne => {
                locked(&self.shared.waiting).insert(pid);
                self.os.wait(word, expected, 1 << (pid % 32), timeout)
            }
            Flaw::EarlyTimeout => self.os.wait(word, expected, mask, timeout / 2),
            Flaw::NoTimeout => {
                self.os.wait(word, expected, mask, timeout);
                Woken::Perhaps
            }
            Flaw::RestartedTimeout => loop {
                if self.os.wait(word, expected, u32::MAX, timeout) == Woken::TimedOut {
                    break Woken::TimedOut;
                }
                if word.load(Ordering::Acquire) != expected {
                    break Woken::Perhaps;
                }
            },
            _ => self.os.wait(word, expected, mask, timeout),
        }
    }

    fn wake(&self, word: &AtomicU32, mask: u32) {
        let mask = match self.shared.flaw {
            Flaw::NoWake => return,
            Flaw::EqualMasks => 1 << (mask % 31),
            Flaw::WakesOne => locked(&self.shared.waiting).pop_first().map_or(0, |pid| 1 << (pid % 32)),
            _ => mask,
        };
        self.os.wake(word, mask);
    }

    fn sleep(&self, time: Duration) {
        self.os.sleep(time);
    }

    fn now(&self) -> Duration {
        match self.shared.flaw {
            Flaw::ClockBack => Duration::from_secs(9) - Duration::from_nanos(self.shared.looks.fetch_add(1, Ordering::Relaxed)),
            Flaw::ClockStands => Duration::from_secs(9),
            Flaw::OwnClock => self.os.now() + Duration::from_secs(self.os.process().start_time),
            _ => self.os.now(),
        }
    }

    fn process(&self) -> Process {
        self.os.process()
    }
}

// SAFETY: the memory is the inner mapping's; locks that are broken on purpose guard nothing here but the suite's own words.
unsafe impl Mapping for BrokenMapping {
    type Memory = MockMemory;
    type Claim = BrokenClaim;

    fn memory(&self) -> MockMemory {
        self.inner.memory()
    }

    fn claim(&self, lock: Lock, word: &AtomicU32) -> Result<Option<BrokenClaim>, OsError> {
        let shared = &self.os.shared;
        let lock = if shared.flaw == Flaw::OneLock && lock != Lock::OWNER { Lock::EVICTION } else { lock };
        if shared.flaw == Flaw::RacyClaim {
            if self.inner.is_claimed(lock, word)? {
                return Ok(None);
            }
            std::thread::sleep(Duration::from_micros(100));
        }
        let orphaned = shared.flaw == Flaw::OrphanKeeps && shared.orphaning.load(Ordering::Relaxed);
        let taken = if shared.flaw == Flaw::DeathKeeps || orphaned {
            shared.keeper.open(&self.name, Access::ReadWrite).expect("it exists").claim(lock, word)?
        } else {
            self.inner.claim(lock, word)?
        };
        if taken.is_none() && !matches!(shared.flaw, Flaw::RacyClaim | Flaw::TwoClaims) {
            return Ok(None);
        }
        let claim = self.os.claim(taken);
        locked(&self.made).push(Arc::clone(&claim.cell));
        locked(&shared.claims).push((self.os.process().pid, lock, Arc::clone(&claim.cell)));
        Ok(Some(claim))
    }

    fn is_claimed(&self, lock: Lock, word: &AtomicU32) -> Result<bool, OsError> {
        let claimed = self.inner.is_claimed(lock, word)?;
        let shared = &self.os.shared;
        let here = |entry: &&(u32, Lock, Cell)| entry.0 == self.os.process().pid && entry.1 == lock && locked(&entry.2).is_some();
        let claims = locked(&shared.claims);
        Ok(match shared.flaw {
            Flaw::NeverClaimed => false,
            Flaw::AlwaysClaimed => true,
            Flaw::BlindToItself => claimed && !claims.iter().any(|entry| here(&entry)),
            Flaw::TestFrees => {
                claims.iter().filter(here).for_each(|entry| drop(locked(&entry.2).take()));
                claimed
            }
            _ => claimed,
        })
    }

    fn unlink(&self) -> Result<(), OsError> {
        match self.os.shared.flaw {
            Flaw::NoUnlink => Ok(()),
            Flaw::UnlinksByName => self.os.os.open(&self.name, Access::ReadWrite).map_or(Ok(()), |named| named.unlink()),
            _ => self.inner.unlink(),
        }
    }

    fn is_mine(&self) -> bool {
        self.inner.is_mine()
    }
}

impl Drop for BrokenMapping {
    fn drop(&mut self) {
        if self.os.is(Flaw::UnmapFrees) {
            locked(&self.made).drain(..).for_each(|cell| drop(locked(&cell).take()));
        }
    }
}

impl Claim for BrokenClaim {
    fn is_mine(&self) -> bool {
        self.os.is(Flaw::MineInChild) || locked(&self.cell).as_ref().is_none_or(Claim::is_mine)
    }
}

impl Drop for BrokenClaim {
    fn drop(&mut self) {
        let shared = &self.os.shared;
        let stays = match shared.flaw {
            Flaw::DropKeeps => true,
            Flaw::ForkKeeps => shared.another_lives.load(Ordering::Relaxed),
            Flaw::DeathKeeps => self.os.os.is_dead(),
            _ => false,
        };
        if self.is_copy {
            shared.child_let_go.store(true, Ordering::Relaxed);
        }
        let claim = locked(&self.cell).take();
        if stays {
            core::mem::forget(claim);
        }
    }
}

pub struct BrokenHarness {
    inner: MockHarness,
    shared: Arc<Shared>,
}

impl BrokenHarness {
    pub fn new(flaw: Flaw, world: World) -> Self {
        let shared = Shared {
            flaw,
            keeper: world.process(),
            claims: Mutex::default(),
            waiting: Mutex::default(),
            looks: AtomicU64::new(0),
            another_lives: AtomicBool::new(false),
            orphaning: AtomicBool::new(false),
            child_let_go: AtomicBool::new(false),
        };
        Self { inner: MockHarness::new(world), shared: Arc::new(shared) }
    }

    fn with(&self, os: &MockOs) -> Broken {
        Broken { os: os.clone(), shared: Arc::clone(&self.shared) }
    }
}

impl Harness for BrokenHarness {
    type Os = Broken;
    type Fresh = String;

    fn os(&self) -> Broken {
        self.with(&self.inner.os())
    }

    fn fresh_name(&self) -> String {
        self.inner.fresh_name()
    }

    fn patience(&self) -> Duration {
        if self.shared.flaw == Flaw::None { self.inner.patience() } else { Duration::from_millis(500) }
    }

    fn beside(&self, ending: Ending, other: &mut Other<'_, Broken>, meanwhile: &mut dyn FnMut()) -> bool {
        let lives = &self.shared.another_lives;
        let mut meanwhile = || {
            lives.store(true, Ordering::Relaxed);
            meanwhile();
            lives.store(false, Ordering::Relaxed);
        };
        self.inner.beside(ending, &mut |os, pause| other(&self.with(os), pause), &mut meanwhile)
    }

    fn orphan(&self, holder: &mut dyn FnMut(&Broken), meanwhile: &mut dyn FnMut()) -> bool {
        let mut holder = |os: &MockOs| {
            self.shared.orphaning.store(true, Ordering::Relaxed);
            holder(&self.with(os));
            self.shared.orphaning.store(false, Ordering::Relaxed);
        };
        self.inner.orphan(&mut holder, meanwhile)
    }

    fn concurrently(
        &self,
        signals: Signals,
        others: usize,
        other: &(dyn Fn(&Broken, usize) + Sync),
        here: &mut dyn FnMut(&Broken),
    ) -> bool {
        self.inner.concurrently(signals, others, &|os, number| other(&self.with(os), number), &mut |os| here(&self.with(os)))
    }

    fn fork(&self, claim: BrokenClaim, child: &mut dyn FnMut(BrokenClaim) -> bool) -> (Option<bool>, BrokenClaim) {
        let inner = locked(&claim.cell).take().expect("held by the parent");
        let mut child = |copy| {
            let mut copy = self.os().claim(Some(copy));
            copy.is_copy = true;
            child(copy)
        };
        let (answer, inner) = self.inner.fork(inner, &mut child);
        if self.shared.flaw == Flaw::ChildFrees && self.shared.child_let_go.load(Ordering::Relaxed) {
            drop(inner);
        } else {
            *locked(&claim.cell) = Some(inner);
        }
        (answer, claim)
    }
}
