//! The machine: names, locks, clock, faults, and the record of events.

use core::fmt;
use core::time::Duration;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use portable_atomic::{AtomicBool, Ordering};
use seqslot_core::Process;

use crate::fault::{Fault, Faults, Plan, Random};
use crate::object::Object;
use crate::os::MockOs;
use crate::process::{Control, is_dying};
use crate::trace::{Event, TRACE_LEN};
use crate::wait::Waiter;

/// Pid of the first process of a world.
const FIRST_PID: u32 = 1001;
/// Identity of the one pid namespace there is.
const PID_NAMESPACE: u32 = 0xf000_0001;
/// How far the virtual clock goes on at each look at it, so that a loop that only polls the clock ends.
const TICK: Duration = Duration::from_micros(1);

/// Locks whatever a panic of a test left locked: each critical section here leaves the data whole.
pub(crate) fn locked<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Who holds a lock: the process, and which of its claims.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Holder {
    pub(crate) process: u64,
    pub(crate) pid: u32,
    pub(crate) claim: u64,
}

/// What is under the world's mutex.
pub(crate) struct State {
    pub(crate) names: BTreeMap<String, Arc<Object>>,
    /// By object and lock number.
    pub(crate) locks: HashMap<(u64, u8), Holder>,
    pub(crate) waiters: Vec<Waiter>,
    faults: Faults,
    random: Random,
    clock: Duration,
    last_id: u64,
    next_pid: u32,
}

impl State {
    /// A number not used before in this world.
    pub(crate) fn fresh_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// Whether `fault` strikes now.
    pub(crate) fn strikes(&mut self, fault: Fault) -> bool {
        self.faults.strikes(fault, &mut self.random)
    }
}

/// What [`World::on_event`] calls.
pub type EventHook = dyn Fn(&Event) + Send + Sync;

pub(crate) struct Inner {
    pub(crate) state: Mutex<State>,
    /// Told at wakes and deaths; only threads of a threaded world wait on it.
    pub(crate) changed: Condvar,
    trace: Mutex<heapless::HistoryBuf<Event, TRACE_LEN>>,
    /// Whether `hook` is set; so that a load without a hook takes no lock.
    has_hook: AtomicBool,
    hook: Mutex<Option<Arc<EventHook>>>,
    seed: u64,
    start: Option<Instant>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        // A test that unwinds for another reason than a planned death has failed: say how to see the same again.
        if std::thread::panicking() && !is_dying() {
            eprintln!("seqslot-os-mock: the world's seed is {}; its last events:", self.seed);
            for event in locked(&self.trace).oldest_ordered() {
                eprintln!("  {event}");
            }
        }
    }
}

/// A machine, simulated. A value is a cheap handle; clones are the same machine.
#[derive(Clone)]
pub struct World {
    pub(crate) inner: Arc<Inner>,
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").field("seed", &self.inner.seed).field("threaded", &self.is_threaded()).finish_non_exhaustive()
    }
}

impl World {
    /// A machine for tests in one thread: time is virtual, a wait never blocks (see [`on_wait`](Self::on_wait)), and the same
    /// seed gives the same run.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::with(seed, None)
    }

    /// A machine for tests whose processes run in threads of their own: waits and sleeps block, in real time.
    #[must_use]
    pub fn threaded(seed: u64) -> Self {
        Self::with(seed, Some(Instant::now()))
    }

    fn with(seed: u64, start: Option<Instant>) -> Self {
        let state = State {
            names: BTreeMap::new(),
            locks: HashMap::new(),
            waiters: Vec::new(),
            faults: Faults::default(),
            random: Random::new(seed),
            clock: Duration::from_secs(1),
            last_id: 0,
            next_pid: FIRST_PID,
        };
        let inner = Inner {
            state: Mutex::new(state),
            changed: Condvar::new(),
            trace: Mutex::new(heapless::HistoryBuf::new()),
            has_hook: AtomicBool::new(false),
            hook: Mutex::new(None),
            seed,
            start,
        };
        Self { inner: Arc::new(inner) }
    }

    /// The seed the world was made with.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.inner.seed
    }

    /// Whether waits block.
    #[must_use]
    pub fn is_threaded(&self) -> bool {
        self.inner.start.is_some()
    }

    /// Starts a process, with a pid of its own.
    ///
    /// ```
    /// use seqslot_core::{SnapshotConfig, SnapshotReader, SnapshotWriter};
    /// let world = seqslot_os_mock::World::new(1);
    /// let (one, other) = (world.process(), world.process());
    /// let mut writer = SnapshotWriter::<_, u32>::create(one, "pose", SnapshotConfig::of::<u32>())?;
    /// // Maps read-only: a store through it would be a fault, which is a panic here.
    /// let mut reader = SnapshotReader::<_, u32>::attach(other.clone(), "pose")?;
    /// let before = other.events();
    /// writer.publish(&7)?;
    /// assert_eq!(*reader.snapshot()?, 7);
    /// assert!(!reader.snapshot()?.is_fresh());
    /// assert_eq!(other.events(), before, "no store, no system call");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn process(&self) -> MockOs {
        let pid = {
            let mut state = self.state();
            state.next_pid += 1;
            state.next_pid - 1
        };
        self.process_numbered(pid)
    }

    /// Starts a process with the pid of an earlier one, as systems do; only the start time tells them apart.
    #[must_use]
    pub fn process_numbered(&self, pid: u32) -> MockOs {
        self.start_process(pid, Vec::new())
    }

    pub(crate) fn fork_of(&self, parent: &Control) -> MockOs {
        let mut ancestors = parent.ancestors.clone();
        ancestors.push(parent.id);
        let pid = {
            let mut state = self.state();
            state.next_pid += 1;
            state.next_pid - 1
        };
        self.start_process(pid, ancestors)
    }

    fn start_process(&self, pid: u32, ancestors: Vec<u64>) -> MockOs {
        let id = self.state().fresh_id();
        let identity = Process { pid, start_time: id, pid_namespace: PID_NAMESPACE };
        MockOs::new(self.clone(), Arc::new(Control::new(id, identity, ancestors)))
    }

    /// Says when `fault` strikes from now on, in every process.
    ///
    /// ```
    /// use seqslot_core::{Cause, Config, Segment};
    /// use seqslot_os_mock::{Fault, Plan, World};
    ///
    /// let world = World::new(1);
    /// world.plan(Fault::Allocate, Plan::Next(1));
    /// let full = Segment::create(world.process(), "frames", &Config::slots(2, 16));
    /// assert_eq!(full.err().map(|error| error.cause()), Some(Cause::Os));
    /// assert!(!world.exists("frames"), "nothing is left behind");
    /// assert!(Segment::create(world.process(), "frames", &Config::slots(2, 16)).is_ok());
    /// ```
    pub fn plan(&self, fault: Fault, plan: Plan) {
        self.state().faults.set(fault, plan);
    }

    /// A number below `bound`, drawn from the world's seed, for choices of the test's own.
    ///
    /// # Panics
    /// If `bound` is zero.
    ///
    /// ```
    /// use seqslot_os_mock::World;
    /// let draw = |seed| { let world = World::new(seed); [(); 8].map(|()| world.random_below(1000)) };
    /// assert_eq!(draw(7), draw(7));
    /// assert_ne!(draw(7), draw(8));
    /// ```
    #[must_use]
    pub fn random_below(&self, bound: u64) -> u64 {
        self.state().random.below(bound)
    }

    /// The time since some point before the world's beginning. Virtual time goes on by a microsecond at each look.
    #[must_use]
    pub fn now(&self) -> Duration {
        if let Some(start) = self.inner.start {
            return Duration::from_secs(1) + start.elapsed();
        }
        let mut state = self.state();
        state.clock += TICK;
        state.clock
    }

    /// Moves the virtual clock on. In a threaded world nothing happens: its time is real.
    ///
    /// ```
    /// use core::time::Duration;
    /// let world = seqslot_os_mock::World::new(1);
    /// let before = world.now();
    /// world.advance(Duration::from_secs(3600));
    /// assert!(world.now() - before > Duration::from_secs(3600));
    /// ```
    pub fn advance(&self, by: Duration) {
        self.state().clock += by;
    }

    /// Moves the virtual clock to `to`, if that is not in its past.
    pub(crate) fn advance_to(&self, to: Duration) {
        let mut state = self.state();
        state.clock = state.clock.max(to);
    }

    /// The clock as it stands, and when the wake of each of `waiters` arrives, for those that somebody has woken.
    #[cfg(feature = "interleave")]
    pub(crate) fn wakes(&self, waiters: impl Iterator<Item = u64>, mut tell: impl FnMut(usize, Option<Duration>)) -> Duration {
        let state = self.state();
        for (at, id) in waiters.enumerate() {
            tell(at, state.waiters.iter().find(|waiter| waiter.id == id).and_then(|waiter| waiter.wake_at));
        }
        state.clock
    }

    /// How often `fault` has struck.
    #[must_use]
    pub fn struck(&self, fault: Fault) -> u64 {
        self.state().faults.struck(fault)
    }

    /// Whether an object has the name.
    #[must_use]
    pub fn exists(&self, name: &str) -> bool {
        self.state().names.contains_key(name)
    }

    /// How many locks are held, by anybody, on any object.
    #[must_use]
    pub fn locks_held(&self) -> usize {
        self.state().locks.len()
    }

    /// The last 64 counted events of all processes, oldest first. They are printed, with the seed, when a test that holds the
    /// last handle of a world panics.
    ///
    /// ```
    /// use seqslot_core::{Config, Segment};
    /// let world = seqslot_os_mock::World::new(1);
    /// let process = world.process();
    /// let segment = Segment::create(process.clone(), "frames", &Config::slots(2, 16))?;
    /// assert_eq!(world.locks_held(), 1, "the owner's");
    /// let before = process.events();
    /// segment.writer()?.send(b"sample")?;
    /// assert!(process.events() > before && !world.trace().is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn trace(&self) -> Vec<Event> {
        locked(&self.inner.trace).oldest_ordered().copied().collect()
    }

    /// Sets what is called before every access to shared memory, loads included, and before every system call: the seam for
    /// schedulers that switch between processes there. `None` takes the hook away.
    ///
    /// ```
    /// use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
    /// use std::sync::Arc;
    /// use seqslot_core::{Config, Segment};
    ///
    /// let world = seqslot_os_mock::World::new(1);
    /// let seen = Arc::new(AtomicU32::new(0));
    /// let counter = Arc::clone(&seen);
    /// world.on_event(Some(Arc::new(move |_| _ = counter.fetch_add(1, Relaxed))));
    /// let segment = Segment::create(world.process(), "frames", &Config::slots(2, 16))?;
    /// assert_ne!(seen.swap(0, Relaxed), 0);
    /// world.on_event(None);
    /// segment.writer()?.send(b"sample")?;
    /// assert_eq!(seen.load(Relaxed), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn on_event(&self, hook: Option<Arc<EventHook>>) {
        // ORDERING: Relaxed; the mutex carries the hook, and a thread that sees the flag late only misses an early event.
        self.inner.has_hook.store(hook.is_some(), Ordering::Relaxed);
        *locked(&self.inner.hook) = hook;
    }

    /// Called by [`MockMemory`](crate::MockMemory) and [`MockOs`] before each event.
    pub fn before_event(&self, event: Event) {
        #[cfg(feature = "interleave")]
        crate::interleave::point(&event);
        if self.inner.has_hook.load(Ordering::Relaxed) {
            let hook = locked(&self.inner.hook).clone();
            if let Some(hook) = hook {
                hook(&event);
            }
        }
    }

    pub(crate) fn record(&self, event: Event) {
        locked(&self.inner.trace).write(event);
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        locked(&self.inner.state)
    }

    /// What the kernel does when a process is gone.
    pub(crate) fn free_locks_of(&self, process: u64) {
        self.state().locks.retain(|_, holder| holder.process != process);
        self.inner.changed.notify_all();
    }
}

/// `count` seeds for a test to run with: 0, 1, 2 …, or, where the environment variable `SEQSLOT_SEED` is set, that one alone.
pub fn seeds(count: u64) -> impl Iterator<Item = u64> {
    let only = std::env::var("SEQSLOT_SEED").ok().and_then(|seed| seed.parse().ok());
    match only {
        Some(seed) => seed..seed + 1,
        None => 0..count,
    }
}
