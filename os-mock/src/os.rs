//! The platform as one simulated process sees it.

use core::fmt;
use core::time::Duration;
use std::sync::Arc;

use portable_atomic::AtomicU32;
use seqslot_core::{Access, CreateFault, Created, Lock, ObjectSpec, OpenFault, Os, OsError, Process, Woken};

use crate::fault::Fault;
use crate::heap::Heap;
use crate::liveness::MockClaim;
use crate::object::{MockMapping, Object};
use crate::process::{Control, Died, acting, run};
use crate::trace::EventKind;
use crate::wait;
use crate::world::{Holder, World};

/// Linux's error numbers, whatever the host: a mock's errors are the same everywhere.
pub(crate) mod errno {
    pub(crate) const ESRCH: i32 = 3;
    pub(crate) const EBADF: i32 = 9;
    pub(crate) const ENOMEM: i32 = 12;
    pub(crate) const EINVAL: i32 = 22;
    pub(crate) const EMFILE: i32 = 24;
    pub(crate) const ENOSPC: i32 = 28;
}

/// One simulated process of a [`World`], and the platform as it sees it. A value is a cheap handle; clones are the same process.
///
/// A process dies when it comes to the event set by [`die_before`](Self::die_before), or at [`kill`](Self::kill). Its locks are
/// free from then on. Code that runs inside [`run`](Self::run) is unwound out of it; its destructors run, as they would not in a
/// real death, but nothing they store arrives and they free no lock. Calls from a dead process outside `run` do nothing, answer
/// an error where they can, and never wait.
#[derive(Clone)]
pub struct MockOs {
    pub(crate) world: World,
    pub(crate) control: Arc<Control>,
}

impl fmt::Debug for MockOs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MockOs")
            .field("pid", &self.control.identity.pid)
            .field("events", &self.control.events())
            .field("dead", &self.control.is_dead())
            .finish_non_exhaustive()
    }
}

impl MockOs {
    pub(crate) fn new(world: World, control: Arc<Control>) -> Self {
        Self { world, control }
    }

    /// The machine the process runs on.
    #[must_use]
    pub fn world(&self) -> &World {
        &self.world
    }

    /// Runs `body` as this process, to its end or the process's death. Panics of other kinds go on unwinding.
    ///
    /// Inside the `run` of a forked child, values of its parent answer as the copies the child has inherited.
    ///
    /// # Errors
    /// [`Died`], if the process died meanwhile, or was dead already when `body` did something.
    ///
    /// ```
    /// use seqslot_core::{Config, Segment};
    /// use seqslot_os_mock::World;
    ///
    /// let world = World::new(1);
    /// let (keeper, doomed) = (world.process(), world.process());
    /// let segment = Segment::create(keeper, "frames", &Config::slots(2, 16))?;
    /// let theirs = Segment::attach(doomed.clone(), "frames")?;
    /// let writer = theirs.writer()?;
    /// doomed.die_before(3);
    /// let died = doomed.run(|| writer.send(b"sample")).unwrap_err();
    /// assert!(doomed.is_dead() && died.event().is_some());
    /// assert_eq!(segment.recover()?.writers, writer.index().bit());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn run<R>(&self, body: impl FnOnce() -> R) -> Result<R, Died> {
        run(&self.control, body)
    }

    /// Makes the process die before its `n`-th counted event from now; 1 is the next one. Events are stores, read-modify-writes,
    /// copies in, payload grants and system calls ([`EventKind::is_crash_point`]).
    ///
    /// Where that event is not inside [`run`](Self::run), nothing unwinds: the process is dead and its calls do nothing.
    pub fn die_before(&self, n: u64) {
        self.control.die_before(n);
    }

    /// Calls off what [`die_before`](Self::die_before) has planned.
    pub fn live_on(&self) {
        self.control.live_on();
    }

    /// Kills the process now. If it runs on a thread, it is unwound at its next event there.
    ///
    /// ```
    /// use seqslot_core::{Config, Segment};
    /// let world = seqslot_os_mock::World::new(1);
    /// let (keeper, doomed) = (world.process(), world.process());
    /// let segment = Segment::create(keeper, "frames", &Config::slots(2, 16))?;
    /// let theirs = Segment::attach(doomed.clone(), "frames")?;
    /// let reader = theirs.reader()?;
    /// doomed.kill();
    /// assert!(doomed.is_dead() && !segment.reader_lives(reader.index())?);
    /// drop(reader); // repairs nothing: what the dead do has no effect
    /// assert_eq!(segment.recover()?.readers, 0b1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn kill(&self) {
        self.control.bury(&self.world, None, self.control.events() + 1);
    }

    /// Whether the process is dead.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        self.control.is_dead()
    }

    /// How many events of the process were counted.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.control.events()
    }

    /// Forks the process: the child has a pid of its own and holds no lock. What the parent has made answers
    /// `is_mine() == false` in the child, that is inside the child's [`run`](Self::run), or as a copy made by
    /// [`MockClaim::inherited_by`] or [`MockMapping::inherited_by`].
    ///
    /// ```
    /// use seqslot_core::{Config, LoanError, Segment};
    /// use seqslot_os_mock::World;
    ///
    /// let parent = World::new(1).process();
    /// let segment = Segment::create(parent.clone(), "frames", &Config::slots(2, 16))?;
    /// let writer = segment.writer()?;
    /// let child = parent.fork();
    /// let inherited = child.run(|| writer.loan().err())?;
    /// assert_eq!(inherited, Some(LoanError::Forked));
    /// assert!(writer.loan().is_ok(), "the parent's is as it was");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn fork(&self) -> Self {
        self.world.fork_of(&self.control)
    }
}

// SAFETY: 1. `create` allocates zeroed memory for each call.
unsafe impl Os for MockOs {
    type Name = str;
    type Mapping = MockMapping;

    fn create(&self, name: &str, spec: ObjectSpec) -> Result<Created<MockMapping, MockClaim>, CreateFault> {
        let control = acting(&self.control);
        let failed = |call, errno| Err(CreateFault::Os(OsError::new(call, errno, name)));
        let Some(_act) = control.event(&self.world, EventKind::Create, 0, spec.len as u32) else {
            return failed("shm_open", errno::ESRCH);
        };
        if name.is_empty() {
            return Err(CreateFault::BadName { reason: "it is empty" });
        }
        if spec.len == 0 {
            return failed("mmap", errno::EINVAL);
        }
        let mut state = self.world.state();
        if let Some(existing) = state.names.get(name)
            && let Some(owner) = state.locks.get(&(existing.id, Lock::OWNER.number()))
        {
            return Err(CreateFault::AlreadyExists { pid: owner.pid });
        }
        if state.strikes(Fault::Allocate) {
            return failed("posix_fallocate", errno::ENOSPC);
        }
        if state.strikes(Fault::Map) {
            return failed("mmap", errno::ENOMEM);
        }
        let Some(heap) = Heap::new(spec.len) else {
            return failed("mmap", errno::ENOMEM);
        };
        let object = Arc::new(Object { id: state.fresh_id(), name: name.into(), heap });
        let claim = state.fresh_id();
        state.names.insert(name.into(), Arc::clone(&object));
        let holder = Holder { process: control.id, pid: control.identity.pid, claim };
        state.locks.insert((object.id, Lock::OWNER.number()), holder);
        drop(state);
        let owner = MockClaim::new(&self.world, control, object.id, Lock::OWNER, claim);
        Ok(Created { mapping: MockMapping::new(self, object, Access::ReadWrite), owner })
    }

    fn open(&self, name: &str, access: Access) -> Result<MockMapping, OpenFault> {
        let failed = |call, errno| Err(OpenFault::Os(OsError::new(call, errno, name)));
        let Some(_act) = acting(&self.control).event(&self.world, EventKind::Open, 0, 0) else {
            return failed("shm_open", errno::ESRCH);
        };
        let mut state = self.world.state();
        let object = state.names.get(name).cloned().ok_or(OpenFault::NotFound)?;
        if state.strikes(Fault::Map) {
            return failed("mmap", errno::ENOMEM);
        }
        drop(state);
        Ok(MockMapping::new(self, object, access))
    }

    fn wait(&self, word: &AtomicU32, expected: u32, mask: u32, timeout: Duration) -> Woken {
        wait::wait(self, word, expected, mask, timeout)
    }

    fn wake(&self, word: &AtomicU32, mask: u32) {
        wait::wake(self, word, mask);
    }

    fn sleep(&self, time: Duration) {
        wait::sleep(self, time);
    }

    fn now(&self) -> Duration {
        self.world.now()
    }

    fn process(&self) -> Process {
        acting(&self.control).identity
    }

    /// Where one process acts at a time a fence in all of them is nothing to do. Threads that run at once make full fences.
    fn enroll(&self) -> bool {
        !self.world.is_threaded()
    }

    fn fence_all(&self) -> bool {
        if acting(&self.control).event(&self.world, EventKind::FenceAll, 0, 0).is_none() {
            return false;
        }
        !self.world.is_threaded() && !self.world.state().strikes(Fault::FenceAll)
    }
}
