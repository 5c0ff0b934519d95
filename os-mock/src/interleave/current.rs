//! A party as its coroutine sees it: where its turn may end, how it waits, and how long an operation of its may take.

use core::cell::{Cell, RefCell};
use core::time::Duration;
use std::rc::Rc;

use corosensei::Yielder;

use super::{Access, Pace};
use crate::fault::Random;
use crate::process::is_dying;
use crate::trace::{Event, EventKind};
use crate::wait::Waiting;

/// How many of the last accesses are kept.
pub(super) const HISTORY: usize = 128;
/// Chances are so manieths.
const WHOLE: u64 = 1 << 16;

/// What a party that waits waits for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Blocked {
    pub(super) waiter: u64,
    pub(super) mask: u32,
    pub(super) until: Duration,
}

/// What the scheduler and its parties share.
pub(super) struct Shared {
    pub(super) random: RefCell<Random>,
    pub(super) pace: Cell<Pace>,
    pub(super) steps: Cell<u64>,
    /// The step before which `run` is to come back.
    pub(super) limit: Cell<u64>,
    /// The running party is to get the lowest priority.
    pub(super) demote: Cell<bool>,
    pub(super) deaths: Cell<u64>,
    pub(super) history: RefCell<heapless::HistoryBuf<Access, HISTORY>>,
}

/// A party as its coroutine sees it.
pub(super) struct Current {
    pub(super) party: usize,
    pub(super) shared: Rc<Shared>,
    /// The coroutine's, while it runs or is suspended.
    pub(super) yielder: Cell<*const Yielder<(), ()>>,
    pub(super) blocked: Cell<Option<Blocked>>,
    pub(super) operation: Cell<(&'static str, u64)>,
    /// Killed: it unwinds as soon as it does anything, and is not interrupted any more.
    pub(super) killed: Cell<bool>,
    /// How many had died when it last began an operation, or woke up: what it looked at since then, it may have looked at before.
    pub(super) deaths: Cell<u64>,
}

thread_local! {
    /// The party that runs on this thread.
    pub(super) static CURRENT: RefCell<Option<Rc<Current>>> = const { RefCell::new(None) };
}

impl Current {
    /// Counts the access; true if the turn ends before it.
    fn count(&self, event: &Event) -> bool {
        let shared = &*self.shared;
        let step = shared.steps.get() + 1;
        shared.steps.set(step);
        shared.history.borrow_mut().write(Access { step, party: self.party, event: *event });
        let (operation, left) = self.operation.get();
        assert!(left != 0, "{operation} does not end: it took more steps than it may");
        self.operation.set((operation, left - 1));
        let mut random = shared.random.borrow_mut();
        let ends = match shared.pace.get() {
            Pace::Random { loads, others } => random.below(WHOLE) < u64::from(if event.kind == EventKind::Load { loads } else { others }),
            Pace::Priorities { change_every } => {
                let changes = random.below(u64::from(change_every.max(1))) == 0;
                shared.demote.set(changes);
                // Whoever is woken, or gets what was let go of, may have a higher priority.
                changes || matches!(event.kind, EventKind::Wake | EventKind::Claim)
            }
        };
        ends || step > shared.limit.get()
    }

    fn suspend(&self) {
        // SAFETY: set at the coroutine's start to its own yielder, which lives until its end; the coroutine is running, since only
        // the thread's current party comes here, and that is the one just resumed.
        let yielder = unsafe { &*self.yielder.get() };
        yielder.suspend(());
    }
}

/// The party that runs, unless it is unwinding: then it is not interrupted.
fn current() -> Option<Rc<Current>> {
    if std::thread::panicking() || is_dying() {
        return None;
    }
    CURRENT.with_borrow(Clone::clone).filter(|current| !current.killed.get())
}

/// Before each access of anybody.
pub(crate) fn point(event: &Event) {
    let ends_turn = CURRENT.with_borrow(|current| match current {
        Some(current) if !current.killed.get() && !std::thread::panicking() && !is_dying() => current.count(event),
        _ => false,
    });
    if ends_turn && let Some(current) = current() {
        current.suspend();
    }
}

/// Whether this thread runs a party.
pub(crate) fn is_party() -> bool {
    current().is_some()
}

/// The running party waits; comes back when it can go on, or for no reason.
pub(crate) fn block(waiter: u64, waiting: &Waiting) {
    if let Some(current) = current() {
        current.blocked.set(Some(Blocked { waiter, mask: waiting.mask, until: waiting.until }));
        current.suspend();
        current.blocked.set(None);
        current.deaths.set(current.shared.deaths.get());
    }
}

/// Runs `body`; if the running party takes more than `steps_max` steps within it, that is a panic that names `operation`. Not nested.
pub fn bounded<R>(operation: &'static str, steps_max: u64, body: impl FnOnce() -> R) -> R {
    let set = |value| {
        if let Some(current) = current() {
            current.operation.set(value);
            current.deaths.set(current.shared.deaths.get());
        }
    };
    set((operation, steps_max));
    let result = body();
    set(("the party", u64::MAX));
    result
}
