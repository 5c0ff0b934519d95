//! seqslot on Linux.
//!
//! [`Linux`] implements [`Os`](seqslot_core::Os) over named objects (`shm_open` and a flink file, see `seqslot-os-posix`),
//! and makes sealed ones without a name ([`Linux::memfd`]) that are passed by descriptor.
//!
//! | module | what it does |
//! |---|---|
//! | [`liveness`] | claims: OFD byte-range locks, each through a description of its own |
//! | [`wait`] | wait and wake: shared futexes with bit masks |
//! | [`clock`] | `CLOCK_MONOTONIC` |
//! | [`process`] | pid, start time, pid namespace |
//! | `object` | another open file description of an object |
//! | [`memfd`] | sealed objects without a name |
//!
//! ```
//! use seqslot_core::{Access, Mapping, Memory, ObjectSpec, Os};
//! use seqslot_os_linux::Linux;
//!
//! let os = Linux::new();
//! let path = std::env::temp_dir().join(format!("seqslot-doc-{}.flink", std::process::id()));
//! let made = os.create(&path, ObjectSpec { len: 4096, reserve: true, group: false })?;
//! let seen = os.open(&path, Access::ReadOnly)?;
//! assert_eq!(seen.memory().len(), 4096);
//! made.mapping.unlink()?;
//! assert!(!path.exists());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![cfg(target_os = "linux")]
#![deny(unsafe_code)]
#![allow(clippy::result_large_err, reason = "errors carry their path inline: core has no heap, and none of this is on the data path")]

#[allow(unsafe_code, reason = "clock_gettime")]
pub mod clock;
#[allow(unsafe_code, reason = "the membarrier system call")]
pub mod fence;
#[allow(unsafe_code, reason = "fcntl locks")]
pub mod liveness;
#[allow(unsafe_code, reason = "memfd_create and seals")]
pub mod memfd;
mod object;
#[allow(unsafe_code, reason = "implements the unsafe trait Os")]
mod os;
pub mod process;
#[allow(unsafe_code, reason = "the futex system call")]
pub mod wait;

pub use liveness::OfdLocks;
pub use os::{Linux, Mapping};
pub use seqslot_os_posix::clockbound::{
    ClientError, ClockBoundClient, ClockErrorBound, ShmReader, ShmSnapshot, ShmWrite, TimeWindow, VmClockReader, monotonic,
};
pub use seqslot_os_posix::{Claim, PosixSlotError, RemoveError, ShmFault, is_local, locator_of};

/// The seeds' slot allocator on Linux.
///
/// ```
/// use seqslot_core::{SlotBackend, SlotError};
/// use seqslot_os_linux::PosixSlotAllocator;
///
/// let path = std::env::temp_dir().join(format!("seqslot-slots-{}.flink", std::process::id()));
/// let owner = PosixSlotAllocator::create(&path, 16, 1024)?;
/// let handle = owner.reserve_slot(0b1)?;
/// assert_eq!(owner.commit_slot(handle, b"hello")?, 0);
///
/// // In another process, as reader 0:
/// let consumer = PosixSlotAllocator::attach(&path)?;
/// let next = consumer.next_unread_slot(0)?.expect("committed");
/// let (header, bytes) = consumer.read_slot(next)?;
/// assert_eq!((header.sequence_number, &bytes[..]), (0, &b"hello"[..]));
/// consumer.mark_read(next, 0)?;
///
/// // Who has the path, and whether he lives:
/// let second = PosixSlotAllocator::create(&path, 16, 1024);
/// assert_eq!(second.err().and_then(|error| error.owner_pid()), Some(std::process::id()));
/// assert_eq!(consumer.owner_lives()?, Some(true));
/// assert_eq!(consumer.segment_path(), path.to_str().expect("UTF-8"));
/// drop(owner);
/// assert_eq!(consumer.owner_lives()?, Some(false));
///
/// // In the layout of zerodds-flatdata, for processes that use that crate. Those it made are attached to in the same way.
/// let owner = PosixSlotAllocator::create_zds2(&path, 16, 1024)?;
/// owner.commit_slot(owner.reserve_slot(0b1)?, b"hello")?;
/// let consumer = PosixSlotAllocator::attach(&path)?;
/// assert!(consumer.is_zds2() && consumer.segment().is_none());
/// let next = consumer.next_unread_slot(0)?.expect("committed");
/// assert_eq!(consumer.read_slot(next)?.1, b"hello");
/// assert_eq!(consumer.reserve_slot(0b1), Err(SlotError::NotOwner), "whoever made it writes");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub type PosixSlotAllocator = seqslot_os_posix::SlotAllocator<Linux>;

/// The writer of a ClockBound segment on Linux; its lock is an open-file-description lock on the file `.NAME.lock` beside it.
///
/// ```
/// use seqslot_core::clockbound::{ClockStatus, ShmError, TimeSpec};
/// use seqslot_os_linux::{ClockErrorBound, ShmReader, ShmWrite, ShmWriter};
///
/// # let folder = std::env::temp_dir().join(format!("seqslot-shm0-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// let path = folder.join("shm0");
/// let time = |seconds| TimeSpec::new(seconds, 0).expect("nanoseconds below a second");
/// let mut writer = ShmWriter::new(&path)?;
/// writer.write(&ClockErrorBound::new(time(100), time(1100), 10_000, 0, 1_000, ClockStatus::Synchronized, false))?;
/// assert_eq!(ShmWriter::new(&path).err(), Some(ShmError::WriterExists));
///
/// // In another process:
/// let name = std::ffi::CString::new(path.to_str().expect("UTF-8")).expect("no NUL");
/// let mut reader = ShmReader::new(&name)?;
/// assert_eq!(reader.snapshot()?.bound_nsec(), 10_000);
///
/// drop(writer); // readers read on; the next writer continues
/// ShmWriter::new(&path)?;
/// assert_eq!(reader.snapshot()?.bound_nsec(), 10_000);
/// # std::fs::remove_dir_all(&folder)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub type ShmWriter = seqslot_os_posix::clockbound::ShmWriter<OfdLocks>;
