//! A deterministic platform for tests of seqslot and of what is built on it, and the conformance suite for any
//! [`Os`](seqslot_core::Os).
//!
//! A [`World`] is a machine: named objects, locks, a clock, a seed. [`World::process`] gives a [`MockOs`], the platform as one
//! simulated process sees it; a test holds as many as it likes, in one thread or in several. Memory is real memory, accessed by
//! the same atomic operations as on a real platform; but before every store, read-modify-write, payload grant and system call the
//! process's control block is asked whether the process still lives. [`MockOs::die_before`] places its death.
//!
//! ```
//! use core::sync::atomic::Ordering;
//! use seqslot_core::{Access, AtomicU32, Lock, Mapping, Memory, ObjectSpec, Os};
//! use seqslot_os_mock::World;
//!
//! let world = World::new(7);
//! let (creator, other) = (world.process(), world.process());
//! let made = creator.create("frames", ObjectSpec { len: 4096, reserve: true, group: false })?;
//! let seen = other.open("frames", Access::ReadWrite)?;
//! let unused = AtomicU32::new(0);
//!
//! // The second process takes a lock and is to die before its second store.
//! let _claim = seen.claim(Lock::reader(3), &unused)?.expect("the lock is free");
//! assert!(made.mapping.claim(Lock::reader(3), &unused)?.is_none(), "held by the other process");
//! other.die_before(2);
//! let memory = seen.memory();
//! let died = other.run(|| {
//!     // SAFETY: offsets 0 and 4 are words of a mapped, writable object of 4096 bytes.
//!     unsafe { memory.store(0, 1, Ordering::Release) };
//!     // SAFETY: as above.
//!     unsafe { memory.store(4, 2, Ordering::Release) };
//! });
//! assert_eq!(died.unwrap_err().at(), 4);
//!
//! // The first store is there, the second is not, and the lock is free, as the kernel would have it.
//! let memory = made.mapping.memory();
//! // SAFETY: as above.
//! assert_eq!(unsafe { memory.load(0, Ordering::Acquire) }, 1);
//! // SAFETY: as above.
//! assert_eq!(unsafe { memory.load(4, Ordering::Acquire) }, 0);
//! assert!(made.mapping.claim(Lock::reader(3), &unused)?.is_some());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What there is
//!
//! - [`crash_points`] runs a scenario with a death before event 1, 2, 3 … of an operation, until it completes.
//! - [`Schedule`] runs steps of several processes in an order that a seed decides.
//! - `Interleave` (feature `interleave`) switches between processes inside the operations, at every shared access.
//! - [`World::on_wait`] runs others while a process waits; [`World::plan`] plans faults; [`MockOs::fork`] forks.
//! - [`World::on_event`] is called before every shared access: the seam for a scheduler that switches there.
//! - [`conformance`] is the suite for any platform; [`stress`] are threads on one segment, for any platform too.
//!
//! # Determinism
//!
//! With [`World::new`] time is virtual, nothing blocks, and everything drawn at random comes from the seed: one thread of a test
//! replays exactly. With [`World::threaded`] waits block for real time and the operating system interleaves.
#![deny(unsafe_code)]
#![allow(clippy::result_large_err, reason = "the errors are those of seqslot-core: a failed system call carries its object's name")]

#[allow(unsafe_code, reason = "looks at words of mapped memory")]
pub mod conformance;
mod crash;
mod fault;
#[allow(unsafe_code, reason = "owns the objects' memory")]
mod heap;
#[cfg(feature = "interleave")]
#[allow(unsafe_code, reason = "reaches the coroutine it runs in")]
mod interleave;
mod liveness;
#[allow(unsafe_code, reason = "implements the unsafe trait Memory")]
mod memory;
#[allow(unsafe_code, reason = "implements the unsafe trait Mapping")]
mod object;
#[allow(unsafe_code, reason = "implements the unsafe trait Os")]
mod os;
mod process;
mod schedule;
#[allow(unsafe_code, reason = "fills and reads payloads in place")]
pub mod stress;
mod trace;
mod wait;
mod world;

pub use crash::{CrashPoint, CrashPoints, crash_points};
pub use fault::{Fault, Plan};
#[cfg(feature = "interleave")]
pub use interleave::{Access, Asleep, Interleave, Outcome, Pace, Paused, bounded};
pub use liveness::MockClaim;
pub use memory::MockMemory;
pub use object::MockMapping;
pub use os::MockOs;
pub use process::Died;
pub use schedule::{Ended, Schedule, Step};
pub use trace::{Event, EventKind};
pub use wait::{WaitHook, Waiting};
pub use world::{EventHook, World, seeds};
