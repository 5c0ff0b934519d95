//! What the POSIX platforms of seqslot share: named objects and their flink files, mappings, claims that do not outlive
//! their process, and the knowledge of having been forked.
//!
//! | module | what it does |
//! |---|---|
//! | `call` | failed system calls as [`OsError`](seqslot_core::OsError)s, users and groups |
//! | [`name`] | the path of a flink, the name of an object |
//! | `flink` | the flink file: written whole or not at all, locked, checked |
//! | [`object`] | the object: made, opened, sized, trusted or not |
//! | [`map`] | mappings of it |
//! | [`fork`] | who has been forked, and [`Claim`], the descriptor that a forked child does not keep |
//! | [`mapping`] | [`Mapping`](seqslot_core::Mapping) for any [`Locking`] |
//! | [`named`] | `create`, `open`, `inspect` of named objects |
//! | [`remove`](mod@remove) | removal by hand, for operators |
//! | [`locking`] | the one thing platforms do differently: how a lock is held |
//! | [`allocator`] | the seeds' slot allocator |
//! | `typed` | the same for values of one type |
//! | [`locator`] | what discovery tells of its segment |
//! | [`clockbound`] | ClockBound segments: the seeds' reader, a writer, the clocks |
//!
//! # The flink
//!
//! A segment's path names a small file, the flink, that holds the name of the shared memory object (`/seqslot-` and 16
//! hexadecimal digits) and nothing else. It appears by `link(2)`, of a file that had no name before where the system has such files, and is replaced by `rename(2)`, so that it is whole or not
//! there, and its creator holds a lock on it until the object is made. The flink is there before the object is and goes
//! after it, so whatever process is killed at whatever instruction, no object is left that no flink names.
#![deny(unsafe_code)]
#![allow(clippy::result_large_err, reason = "errors carry their path inline: core has no heap, and none of this is on the data path")]

pub mod allocator;
#[allow(unsafe_code, reason = "identity of the user and the host, from libc")]
mod call;
pub mod clockbound;
mod flink;
#[allow(unsafe_code, reason = "pthread_atfork, the wiped page, descriptors in a table")]
pub mod fork;
pub mod locator;
#[allow(unsafe_code, reason = "declares the unsafe trait Locking")]
pub mod locking;
#[allow(unsafe_code, reason = "mmap and munmap")]
pub mod map;
#[allow(unsafe_code, reason = "makes the memory handle of a mapping")]
pub mod mapping;
pub mod name;
pub mod named;
#[allow(unsafe_code, reason = "shm_open, fallocate")]
pub mod object;
pub mod remove;
mod typed;
#[cfg(target_os = "linux")]
#[allow(unsafe_code, reason = "linkat of a descriptor")]
mod unnamed;

pub use allocator::{PosixSlotError, ShmFault, SlotAllocator};
pub use call::{failed, last_failure};
pub use clockbound::{
    ClientError, ClockBoundClient, ClockErrorBound, ShmReader, ShmSnapshot, ShmWrite, TimeWindow, VmClockReader, monotonic,
};
pub use fork::{Claim, Token};
pub use locator::{is_local, locator_of};
pub use locking::Locking;
pub use map::Map;
pub use mapping::PosixMapping;
pub use name::{ObjectName, Place};
pub use object::Object;
pub use remove::{RemoveError, remove};
