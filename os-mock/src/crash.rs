//! Every point at which a process can die in an operation, one after another.

use crate::os::MockOs;
use crate::process::Died;
use crate::world::World;

/// Most crash points of one operation; one that has more does not end.
const POINTS_MAX: u64 = 1_000_000;

/// One run of a scenario whose process died, or, the last time, lived.
#[derive(Debug)]
#[non_exhaustive]
pub struct CrashPoint<S, R> {
    /// Before which event of the operation the process was to die: 1 is the first.
    pub point: u64,
    /// The machine, as the process has left it.
    pub world: World,
    /// The process that ran the operation.
    pub process: MockOs,
    /// What `setup` made.
    pub state: S,
    /// What the operation returned, or how its process died.
    pub outcome: Result<R, Died>,
    /// Tells about the point if the test fails with it.
    _tell: Tell,
}

/// Iterator over the crash points of an operation; see [`crash_points`].
#[derive(Debug)]
pub struct CrashPoints<F, G> {
    seed: u64,
    setup: F,
    operation: G,
    next: u64,
    found: Option<u64>,
}

/// Runs a scenario again and again, each time in a new world of the same seed: `setup` whole, then `operation` with a process that
/// dies before its first event, its second, its third, and so on, until it lives to the operation's end. The item of that last
/// run is the one whose outcome is `Ok`.
///
/// `setup` gets the world, for other processes, and the process that is going to die, for what it does before. What of the
/// process's should still be there at its death, such as a lock, it keeps in the state, or in the operation.
///
/// ```
/// use core::sync::atomic::Ordering;
/// use seqslot_core::{Created, Mapping, Memory, ObjectSpec, Os};
/// use seqslot_os_mock::{MockClaim, MockMapping, crash_points};
///
/// // A value and its copy, which must never differ by more than the update under way.
/// let spec = ObjectSpec { len: 64, reserve: true, group: false };
/// let mut points = crash_points(
///     1,
///     |_world, process| process.create("pair", spec).expect("a fresh name"),
///     |_process, made: &mut Created<MockMapping, MockClaim>| {
///         let memory = made.mapping.memory();
///         // SAFETY: offsets 0 and 4 are words of a mapped, writable object.
///         unsafe { memory.store(0, 1, Ordering::Release) };
///         // SAFETY: as above.
///         unsafe { memory.store(4, 1, Ordering::Release) };
///     },
/// );
/// for after in &mut points {
///     let memory = after.state.mapping.memory();
///     // SAFETY: as above.
///     let value = unsafe { memory.load(0, Ordering::Acquire) };
///     // SAFETY: as above.
///     let copy = unsafe { memory.load(4, Ordering::Acquire) };
///     assert!(value == copy || (value, copy) == (1, 0));
/// }
/// assert_eq!(points.found(), Some(2));
/// ```
///
/// # Panics
/// The iterator panics if the operation still dies at its millionth event, and with whatever panic `setup` or `operation` end.
pub fn crash_points<S, R, F, G>(seed: u64, setup: F, operation: G) -> CrashPoints<F, G>
where
    F: FnMut(&World, &MockOs) -> S,
    G: FnMut(&MockOs, &mut S) -> R,
{
    CrashPoints { seed, setup, operation, next: 1, found: None }
}

impl<F, G> CrashPoints<F, G> {
    /// How many crash points the operation has; `None` as long as it has not come to its end.
    #[must_use]
    pub fn found(&self) -> Option<u64> {
        self.found
    }
}

impl<S, R, F, G> Iterator for CrashPoints<F, G>
where
    F: FnMut(&World, &MockOs) -> S,
    G: FnMut(&MockOs, &mut S) -> R,
{
    type Item = CrashPoint<S, R>;

    fn next(&mut self) -> Option<CrashPoint<S, R>> {
        if self.found.is_some() {
            return None;
        }
        let point = self.next;
        assert!(point <= POINTS_MAX, "the operation does not end");
        self.next += 1;
        let mut tell = Tell(format!("at crash point {point}, before its operation"));
        let world = World::new(self.seed);
        let process = world.process();
        let mut state = (self.setup)(&world, &process);
        process.die_before(point);
        let outcome = process.run(|| (self.operation)(&process, &mut state));
        match &outcome {
            Ok(_) => {
                process.live_on();
                self.found = Some(point - 1);
                tell.0 = format!("after the operation, which has {} crash points", point - 1);
            }
            Err(died) => tell.0 = format!("at crash point {point}: {died}"),
        }
        Some(CrashPoint { point, world, process, state, outcome, _tell: tell })
    }
}

/// Prints its text when a panic drops it.
#[derive(Debug)]
struct Tell(String);

impl Drop for Tell {
    fn drop(&mut self) {
        if std::thread::panicking() && !crate::process::is_dying() {
            eprintln!("seqslot-os-mock: {}", self.0);
        }
    }
}
