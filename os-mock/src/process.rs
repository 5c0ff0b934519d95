//! The control block of a simulated process: its events, its death, and which process a thread acts for.

use core::cell::{Cell, RefCell};
use core::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex};

use portable_atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use seqslot_core::Process;

use crate::heap::Heap;
use crate::trace::{Event, EventKind};
use crate::world::{World, locked};

/// No death is planned.
const NEVER: u64 = u64::MAX;

/// One process. Its counters are Relaxed: they carry nothing else.
pub(crate) struct Control {
    /// Never used again, unlike a pid.
    pub(crate) id: u64,
    pub(crate) identity: Process,
    /// The processes this one was forked from, eldest first.
    pub(crate) ancestors: Vec<u64>,
    events: AtomicU64,
    die_at: AtomicU64,
    dead: AtomicBool,
    /// Its locks are free.
    buried: AtomicBool,
    /// How many threads are between the question whether the process lives and the end of what they then do.
    acts: AtomicU32,
    death: Mutex<Option<Died>>,
    /// Memory for payload grants after death.
    scratch: Mutex<Vec<Heap>>,
}

/// A simulated process died: before which of its events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Died {
    pid: u32,
    number: u64,
    event: Option<Event>,
}

impl Died {
    /// Which of its counted events the process did not live to do: 1 is the first since it began.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The event it did not live to do; `None` if it was killed from outside.
    #[must_use]
    pub fn event(&self) -> Option<Event> {
        self.event
    }

    /// Offset of that event (see [`Event::at`]); 0 if it was killed from outside.
    #[must_use]
    pub fn at(&self) -> usize {
        self.event.map_or(0, |event| event.at)
    }
}

impl fmt::Display for Died {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.event {
            Some(event) => write!(f, "process {} died before its event {}: {event}", self.pid, self.number),
            None => write!(f, "process {} was killed before its event {}", self.pid, self.number),
        }
    }
}

impl core::error::Error for Died {}

/// What a death unwinds with.
struct ProcessDied(u64);

thread_local! {
    /// The processes this thread runs, innermost last; `None` where a wait's hook runs for others.
    static RUNNING: RefCell<Vec<Option<Arc<Control>>>> = const { RefCell::new(Vec::new()) };
    /// Whether this thread unwinds for a simulated death.
    static DYING: Cell<bool> = const { Cell::new(false) };
}

/// The process that acts when `handle`'s process is asked to: the one this thread runs if it was forked from `handle`'s
/// (a forked child uses what it inherited), else `handle`'s own.
pub(crate) fn acting(handle: &Arc<Control>) -> Arc<Control> {
    // `try_with`: handles may be dropped while the thread's locals are torn down.
    RUNNING
        .try_with(|running| running.borrow().last().cloned().flatten())
        .ok()
        .flatten()
        .filter(|top| top.ancestors.contains(&handle.id))
        .unwrap_or_else(|| Arc::clone(handle))
}

/// As [`acting`], for `look` only: without a new handle.
pub(crate) fn with_acting<R>(handle: &Arc<Control>, look: impl FnOnce(&Arc<Control>) -> R) -> R {
    let forked = RUNNING
        .try_with(|running| running.borrow().last().is_some_and(|top| top.as_ref().is_some_and(|top| top.ancestors.contains(&handle.id))));
    if forked.unwrap_or(false) { look(&acting(handle)) } else { look(handle) }
}

/// True if this thread unwinds for a simulated death, and not for a failure.
pub(crate) fn is_dying() -> bool {
    DYING.try_with(Cell::get).unwrap_or(false)
}

impl Control {
    pub(crate) fn new(id: u64, identity: Process, ancestors: Vec<u64>) -> Self {
        Self {
            id,
            identity,
            ancestors,
            events: AtomicU64::new(0),
            die_at: AtomicU64::new(NEVER),
            dead: AtomicBool::new(false),
            buried: AtomicBool::new(false),
            acts: AtomicU32::new(0),
            death: Mutex::new(None),
            scratch: Mutex::new(Vec::new()),
        }
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Relaxed)
    }

    pub(crate) fn events(&self) -> u64 {
        self.events.load(Ordering::Relaxed)
    }

    /// Plans the death before the `n`-th counted event from now.
    pub(crate) fn die_before(&self, n: u64) {
        self.die_at.store(self.events().saturating_add(n), Ordering::Relaxed);
    }

    /// No death is planned any more.
    pub(crate) fn live_on(&self) {
        self.die_at.store(NEVER, Ordering::Relaxed);
    }

    /// Counts an event of this process. `Some`: go on and do it, and drop the value after. `None`: the process is dead, do nothing.
    ///
    /// Unwinds if the process dies here, or is dead already and still runs on this thread, unless the thread unwinds anyway.
    pub(crate) fn event(self: &Arc<Self>, world: &World, kind: EventKind, at: usize, value: u32) -> Option<Act> {
        let event = Event { pid: self.identity.pid, kind, at, value };
        world.before_event(event);
        let act = Act::begin(self);
        if act.is_none() {
            self.let_go(world);
            self.unwind();
            return None;
        }
        if kind.is_crash_point() {
            let number = self.events.fetch_add(1, Ordering::Relaxed) + 1;
            if number >= self.die_at.load(Ordering::Relaxed) {
                drop(act);
                self.bury(world, Some(event), number);
                self.unwind();
                return None;
            }
            world.record(event);
        }
        act
    }

    /// An event of this process that nobody could see: not counted, and nothing to be dropped after it. Unwinds as [`event`](Self::event).
    pub(crate) fn look(&self, world: &World, kind: EventKind, at: usize, value: u32) {
        world.before_event(Event { pid: self.identity.pid, kind, at, value });
        if self.is_dead() {
            self.let_go(world);
            self.unwind();
        }
    }

    /// Marks the process dead, waits until what its other threads are just doing is done, and lets go of its locks: nothing of the
    /// process happens after its locks are free. Who calls it second only waits for that.
    pub(crate) fn bury(&self, world: &World, event: Option<Event>, number: u64) {
        locked(&self.death).get_or_insert(Died { pid: self.identity.pid, number, event });
        // ORDERING: SeqCst, with `Act::begin`: of a thread that counts itself and then looks whether the process is dead, and this one, which
        // marks it dead and then looks at the count, at least one sees the other.
        self.dead.store(true, Ordering::SeqCst);
        self.let_go(world);
    }

    /// Frees the locks of the dead process, unless that is done.
    fn let_go(&self, world: &World) {
        // ORDERING: Acquire; pairs with the Release below, for a thread that goes on as if the locks were free.
        if self.buried.load(Ordering::Acquire) {
            return;
        }
        // ORDERING: SeqCst as in `bury`; it also acquires what the acts have done (`Act::drop`'s Release).
        while self.acts.load(Ordering::SeqCst) != 0 {
            std::thread::yield_now();
        }
        world.free_locks_of(self.id);
        // ORDERING: Release; see above.
        self.buried.store(true, Ordering::Release);
    }

    /// Leaves the code of this process if it is dead and this thread is inside [`run`] for it.
    pub(crate) fn unwind_if_dead(&self, world: &World) {
        if self.is_dead() {
            self.let_go(world);
            self.unwind();
        }
    }

    fn unwind(&self) {
        if std::thread::panicking() {
            return;
        }
        let runs = RUNNING.with(|running| running.borrow().iter().flatten().any(|control| control.id == self.id));
        if runs {
            DYING.set(true);
            // Not `panic_any`: the hook has nothing to tell about a planned death.
            resume_unwind(Box::new(ProcessDied(self.id)));
        }
    }

    /// How it died.
    fn death(&self) -> Option<Died> {
        locked(&self.death).clone()
    }

    /// Memory of `len` bytes that nobody looks at, aligned to a page, valid as long as the process's control block.
    pub(crate) fn scratch(&self, len: usize) -> *mut u8 {
        let heap = Heap::new(len).expect("memory for a payload after death");
        let base = heap.base();
        locked(&self.scratch).push(heap);
        base
    }
}

/// Something that a living process is just doing; the process is not buried before this is dropped. Nothing under it may call the
/// test's code, or kill.
pub(crate) struct Act(Arc<Control>);

impl Act {
    /// `None` if the process is dead.
    fn begin(control: &Arc<Control>) -> Option<Self> {
        // ORDERING: SeqCst, both: see `Control::bury`.
        control.acts.fetch_add(1, Ordering::SeqCst);
        let act = Self(Arc::clone(control));
        if control.dead.load(Ordering::SeqCst) { None } else { Some(act) }
    }
}

impl Drop for Act {
    fn drop(&mut self) {
        // ORDERING: Release; pairs with the load in `Control::bury`, so that the locks are free after what was done.
        self.0.acts.fetch_sub(1, Ordering::Release);
    }
}

/// Exchanges what this thread runs for `other`: a scheduler puts one coroutine's processes away and another's in their place.
#[cfg(feature = "interleave")]
pub(crate) fn exchange_running(other: &mut Vec<Option<Arc<Control>>>) {
    RUNNING.with(|running| core::mem::swap(&mut *running.borrow_mut(), other));
}

/// Takes the innermost process off the thread's list, also by unwinding.
pub(crate) struct Running;

impl Running {
    /// Until the value is dropped, the thread runs `control`, or, for `None`, nobody in particular.
    pub(crate) fn enter(control: Option<&Arc<Control>>) -> Self {
        RUNNING.with(|running| running.borrow_mut().push(control.cloned()));
        Self
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        RUNNING.with(|running| running.borrow_mut().pop());
    }
}

/// Runs `body` as `control`, up to its end or the process's death.
pub(crate) fn run<R>(control: &Arc<Control>, body: impl FnOnce() -> R) -> Result<R, Died> {
    let running = Running::enter(Some(control));
    let ended = catch_unwind(AssertUnwindSafe(body));
    // Set again where the death is not this process's and goes on unwinding.
    let was_dying = DYING.replace(false);
    drop(running);
    match ended {
        Ok(result) => match control.death() {
            None => Ok(result),
            Some(died) => Err(died),
        },
        Err(payload) => match (payload.downcast_ref::<ProcessDied>(), control.death()) {
            (Some(ProcessDied(id)), Some(died)) if *id == control.id => Err(died),
            _ => {
                DYING.set(was_dying);
                resume_unwind(payload)
            }
        },
    }
}
