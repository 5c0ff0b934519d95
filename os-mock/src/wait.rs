//! Wait and wake: by the virtual clock in a world of one thread, by a condition variable in a threaded one.

use core::cell::RefCell;
use core::marker::PhantomData;
use core::time::Duration;
use std::sync::Arc;

use portable_atomic::{AtomicU32, Ordering};
use seqslot_core::Woken;

use crate::fault::Fault;
use crate::os::MockOs;
use crate::process::{Control, Running, acting};
use crate::trace::EventKind;
use crate::world::World;

/// How late a late wake is.
const LATE: Duration = Duration::from_millis(1);

/// Somebody who waits.
pub(crate) struct Waiter {
    pub(crate) id: u64,
    address: usize,
    mask: u32,
    /// When the wake reaches it; `None` if nobody has woken it.
    pub(crate) wake_at: Option<Duration>,
}

/// A wait or a sleep under way, as [`World::on_wait`] tells it.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Waiting {
    /// Who waits.
    pub pid: u32,
    /// The mask it waits with; 0 for a sleep.
    pub mask: u32,
    /// When it gives up, by the world's clock.
    pub until: Duration,
}

type Hook = Box<dyn FnMut(&Waiting) -> bool>;

struct Entry {
    world: usize,
    token: u64,
    /// Away while it runs.
    hook: Option<Hook>,
}

thread_local! {
    /// The hooks of this thread; per thread, so that they need not be `Send`.
    static HOOKS: RefCell<Vec<Entry>> = const { RefCell::new(Vec::new()) };
}

/// Keeps a hook of [`World::on_wait`] in place; dropping it takes the hook away.
#[derive(Debug)]
#[must_use = "dropping it takes the hook away"]
pub struct WaitHook {
    token: u64,
    /// Belongs to the thread that set it.
    not_send: PhantomData<*const ()>,
}

impl Drop for WaitHook {
    fn drop(&mut self) {
        // The hook is dropped after the borrow: it may own a world's handles, or another hook.
        let _gone = HOOKS.try_with(|hooks| {
            let mut hooks = hooks.borrow_mut();
            hooks.iter().position(|entry| entry.token == self.token).map(|at| hooks.remove(at))
        });
    }
}

impl World {
    /// Sets what runs while a process waits or sleeps in a world of one thread: typically steps of the other processes.
    ///
    /// It is called again as long as it answers `true` and the waiter is not woken; `false` means that nothing more will happen,
    /// so the clock goes to the end of the wait, which is then timed out. Without a hook every wait ends so at once. The hook set
    /// last counts; while it runs it is not called for waits inside it. Threaded worlds never call it.
    ///
    /// ```
    /// use core::time::Duration;
    /// use std::rc::Rc;
    /// use seqslot_core::{Config, Reader, Segment, Writer};
    ///
    /// let world = seqslot_os_mock::World::new(1);
    /// let ours = std::sync::Arc::new(Segment::create(world.process(), "frames", &Config::slots(2, 16))?);
    /// let theirs = std::sync::Arc::new(Segment::attach(world.process(), "frames")?);
    /// let reader: Reader<_> = Reader::join(ours)?;
    /// let writer: Rc<Writer<_>> = Rc::new(Writer::join(theirs)?);
    /// // While the reader waits, the other process publishes:
    /// let others = Rc::clone(&writer);
    /// let hook = world.on_wait(move |_| others.send(b"sample").is_ok());
    /// assert_eq!(&*reader.take_timeout(Duration::from_secs(3600))?, b"sample");
    /// drop(hook);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn on_wait(&self, hook: impl FnMut(&Waiting) -> bool + 'static) -> WaitHook {
        let token = self.state().fresh_id();
        let entry = Entry { world: self.key(), token, hook: Some(Box::new(hook)) };
        HOOKS.with(|hooks| hooks.borrow_mut().push(entry));
        WaitHook { token, not_send: PhantomData }
    }

    fn key(&self) -> usize {
        Arc::as_ptr(&self.inner).addr()
    }

    /// Calls the hook once; false if there is none, or it has nothing more to do.
    fn let_others_run(&self, waiting: &Waiting) -> bool {
        /// Puts the hook back where it was, also when it unwinds.
        struct Away(u64, Option<Hook>);
        impl Drop for Away {
            fn drop(&mut self) {
                HOOKS.with(|hooks| {
                    if let Some(entry) = hooks.borrow_mut().iter_mut().find(|entry| entry.token == self.0) {
                        entry.hook = self.1.take();
                    }
                });
            }
        }
        let taken = HOOKS.with(|hooks| {
            let mut hooks = hooks.borrow_mut();
            let entry = hooks.iter_mut().rev().find(|entry| entry.world == self.key())?;
            Some(Away(entry.token, Some(entry.hook.take()?)))
        });
        // The hook acts for the processes whose handles it uses, not for the one that waits.
        let _nobody = Running::enter(None);
        taken.is_some_and(|mut away| away.1.as_mut().is_some_and(|hook| hook(waiting)))
    }

    /// When the wake of waiter `id` arrives, if somebody has woken it.
    fn wake_of(&self, id: u64) -> Option<Duration> {
        self.state().waiters.iter().find(|waiter| waiter.id == id)?.wake_at
    }
}

/// Takes the waiter off the list, also when the waiting process dies.
struct Registered<'w> {
    world: &'w World,
    id: u64,
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        self.world.state().waiters.retain(|waiter| waiter.id != self.id);
    }
}

pub(crate) fn wait(os: &MockOs, word: &AtomicU32, expected: u32, mask: u32, timeout: Duration) -> Woken {
    let (world, control) = (&os.world, acting(&os.control));
    if control.event(world, EventKind::Wait, 0, expected).is_none() {
        // Time is over for the dead, so that a destructor's loop ends.
        return Woken::TimedOut;
    }
    let until = world.now().saturating_add(timeout);
    let registered = {
        let mut state = world.state();
        // ORDERING: Relaxed; a waker changes the word before it takes the mutex in `wake`, so either that change is seen
        // here, or the waiter is on the list when the waker looks.
        if word.load(Ordering::Relaxed) != expected {
            return Woken::Perhaps;
        }
        if timeout.is_zero() {
            return Woken::TimedOut;
        }
        if state.strikes(Fault::Spurious) {
            return Woken::Perhaps;
        }
        let id = state.fresh_id();
        state.waiters.push(Waiter { id, address: word.as_ptr().addr(), mask, wake_at: None });
        Registered { world, id }
    };
    let waiting = Waiting { pid: control.identity.pid, mask, until };
    if world.is_threaded() { blocked(&control, &registered, until) } else { simulated(&control, &registered, &waiting) }
}

/// As a party of an interleaving: the scheduler runs others until the wake has arrived or the time is up.
#[cfg(feature = "interleave")]
fn interleaved(control: &Control, registered: &Registered<'_>, waiting: &Waiting) -> Woken {
    let world = registered.world;
    loop {
        crate::interleave::block(registered.id, waiting);
        control.unwind_if_dead(world);
        let mut wake = None;
        let now = world.wakes(core::iter::once(registered.id), |_, at| wake = at);
        if wake.is_some_and(|at| at <= now) {
            return Woken::Perhaps;
        }
        if now >= waiting.until || control.is_dead() {
            return Woken::TimedOut;
        }
    }
}

fn simulated(control: &Control, registered: &Registered<'_>, waiting: &Waiting) -> Woken {
    #[cfg(feature = "interleave")]
    if crate::interleave::is_party() {
        return interleaved(control, registered, waiting);
    }
    let world = registered.world;
    loop {
        // Each look at the clock moves it, so that this ends whatever the hook answers.
        let more = world.now() < waiting.until && world.let_others_run(waiting);
        control.unwind_if_dead(world);
        match world.wake_of(registered.id) {
            Some(at) if at <= waiting.until => {
                world.advance_to(at);
                return Woken::Perhaps;
            }
            None if more && !control.is_dead() => {}
            _ => {
                world.advance_to(waiting.until);
                return Woken::TimedOut;
            }
        }
    }
}

fn blocked(control: &Control, registered: &Registered<'_>, until: Duration) -> Woken {
    let world = registered.world;
    let mut state = world.state();
    let woken = loop {
        let now = world.now();
        let wake_at = state.waiters.iter().find(|waiter| waiter.id == registered.id).and_then(|waiter| waiter.wake_at);
        if wake_at.is_some_and(|at| at <= now) {
            break Woken::Perhaps;
        }
        if now >= until || control.is_dead() {
            break Woken::TimedOut;
        }
        let slice = wake_at.unwrap_or(until).min(until) - now;
        state = world.inner.changed.wait_timeout(state, slice).unwrap_or_else(std::sync::PoisonError::into_inner).0;
    };
    drop(state);
    control.unwind_if_dead(world);
    woken
}

pub(crate) fn wake(os: &MockOs, word: &AtomicU32, mask: u32) {
    let world = &os.world;
    let Some(_act) = acting(&os.control).event(world, EventKind::Wake, 0, mask) else {
        return;
    };
    let now = world.now();
    let mut state = world.state();
    if state.strikes(Fault::LostWake) {
        return;
    }
    let at = if state.strikes(Fault::LateWake) { now + LATE } else { now };
    let address = word.as_ptr().addr();
    for waiter in state.waiters.iter_mut().filter(|waiter| waiter.address == address && waiter.mask & mask != 0) {
        waiter.wake_at.get_or_insert(at);
    }
    drop(state);
    world.inner.changed.notify_all();
}

pub(crate) fn sleep(os: &MockOs, time: Duration) {
    let (world, control) = (&os.world, acting(&os.control));
    if control.event(world, EventKind::Sleep, 0, 0).is_none() {
        return;
    }
    let until = world.now().saturating_add(time);
    if world.is_threaded() {
        // A waiter on no word: only time ends it, or the process's death.
        blocked(&control, &Registered { world, id: 0 }, until);
    } else {
        #[cfg(feature = "interleave")]
        if crate::interleave::is_party() {
            let waiting = Waiting { pid: control.identity.pid, mask: 0, until };
            interleaved(&control, &Registered { world, id: 0 }, &waiting);
            return;
        }
        world.let_others_run(&Waiting { pid: control.identity.pid, mask: 0, until });
        control.unwind_if_dead(world);
        world.advance_to(until);
    }
}
