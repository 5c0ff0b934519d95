//! Same-host shared memory: zero-copy slots and seqlock snapshots between processes, with recovery from the death of any of them.
//!
//! This crate is `seqslot-core` joined with the shim of the host it is built for. Embedded users link `seqslot-core` alone.
//!
//! ```
//! use seqslot::Config;
//! let path = std::env::temp_dir().join(format!("seqslot-doc-{}.flink", std::process::id()));
//! let segment = seqslot::create(&path, &Config::slots(64, 1024))?;
//! let writer = segment.writer()?;
//!
//! // In another process: let segment = seqslot::attach(&path)?;
//! let reader = segment.reader()?;
//!
//! let mut loan = writer.loan()?;
//! loan[..5].copy_from_slice(b"hello");
//! loan.commit_len(5)?;
//!
//! let sample = reader.take()?.expect("committed after the join");
//! assert_eq!(&*sample, b"hello");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![deny(unsafe_code)]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use seqslot_core::clockbound::{
    ClockErrorBoundBuilder, ClockStatus, Fraction, Layout as ClockBoundLayout, Rules, ShmError, SnapshotStatus, TimeSpec, VmClock,
    VmClockError, VmClockStatus,
};
pub use seqslot_core::{
    AttachError, Batch, Cause, CommitError, Config, CreateError, EvictError, FlatReader, FlatSampleRef, FlatSlot, FlatStruct, FlatWriter,
    GeometryError, HeadError, JoinError, Lag, LagWatch, LoanError, LocatorError, Lock, OsError, PID_SHM_LOCATOR, Payload, ReaderId,
    ReaderIndex, ReaderMask, Recovered, Reliability, SLOT_HEADER_SIZE, STRAGGLER_TIMEOUT, SendError, ShmLocator, SlotBackend, SlotError,
    SlotHandle, SlotHeader, SlotIndex, Snapshot, SnapshotConfig, SnapshotError, SnapshotValue, Stats, TakeError, WriteOutcome, WriterIndex,
    fnv1a_32, is_same_host, layout,
};
#[cfg(target_os = "linux")]
pub use seqslot_os_linux::{
    ClientError, ClockBoundClient, ClockErrorBound, ShmReader, ShmSnapshot, ShmWrite, ShmWriter, TimeWindow, VmClockReader, monotonic,
};
#[cfg(target_os = "linux")]
pub use seqslot_os_linux::{PosixSlotAllocator, PosixSlotError, ShmFault, is_local, locator_of};
#[cfg(target_os = "macos")]
pub use seqslot_os_macos::{
    ClientError, ClockBoundClient, ClockErrorBound, ShmReader, ShmSnapshot, ShmWrite, ShmWriter, TimeWindow, VmClockReader, monotonic,
};
#[cfg(target_os = "macos")]
pub use seqslot_os_macos::{PosixSlotAllocator, PosixSlotError, ShmFault, is_local, locator_of};

/// The platform of this host.
#[cfg(target_os = "linux")]
pub type Platform = seqslot_os_linux::Linux;
/// The platform of this host.
#[cfg(target_os = "macos")]
pub type Platform = seqslot_os_macos::MacOs;

/// A segment of slots on this host.
pub type Segment = seqslot_core::Segment<Platform>;
/// A writer that borrows its segment.
pub type Writer<'s, T = [u8]> = seqslot_core::Writer<&'s Segment, T>;
/// A reader that borrows its segment.
pub type Reader<'s, T = [u8]> = seqslot_core::Reader<&'s Segment, T>;
/// A writer that lives on its own.
pub type OwnedWriter<T = [u8]> = seqslot_core::Writer<Arc<Segment>, T>;
/// A reader that lives on its own.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
/// use seqslot::{Config, OwnedReader, OwnedWriter};
/// # let path = std::env::temp_dir().join(format!("seqslot-owned-{}.flink", std::process::id()));
/// let segment = Arc::new(seqslot::create(&path, &Config::slots(4, 64))?);
/// let (reader, writer): (OwnedReader, OwnedWriter) = (OwnedReader::join(segment.clone())?, OwnedWriter::join(segment)?);
/// let received = std::thread::spawn(move || reader.take_timeout(Duration::from_secs(60)).map(|sample| sample.to_vec()));
/// writer.send(b"hello")?;
/// assert_eq!(received.join().expect("no panic")?, b"hello");
/// drop(writer); // the last handle to the segment: it and its file go
/// assert!(!path.exists());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub type OwnedReader<T = [u8]> = seqslot_core::Reader<Arc<Segment>, T>;

/// A loaned slot of a [`Writer`].
pub type Loan<'w, 's, T = [u8]> = seqslot_core::Loan<'w, &'s Segment, T>;
/// A sample of a [`Reader`], in place.
pub type Sample<'r, 's, T = [u8]> = seqslot_core::Sample<'r, &'s Segment, T>;

/// The one writer of a snapshot on this host; its `create` and `attach` take [`platform()`] and the path.
///
/// ```
/// use seqslot::{SnapshotConfig, SnapshotReader, SnapshotWriter, platform};
/// let path = std::env::temp_dir().join(format!("seqslot-doc-snapshot-{}.flink", std::process::id()));
/// let mut writer = SnapshotWriter::<[u64; 4]>::create(platform(), &path, SnapshotConfig::of::<[u64; 4]>())?;
/// writer.publish(&[1, 2, 3, 4])?;
///
/// // In another process, mapped read-only:
/// let mut reader = SnapshotReader::<[u64; 4]>::attach(platform(), &path)?;
/// let newest = reader.snapshot()?;
/// assert_eq!((*newest, newest.is_fresh()), ([1, 2, 3, 4], true));
/// assert!(!reader.snapshot()?.is_fresh());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub type SnapshotWriter<T = [u8]> = seqslot_core::SnapshotWriter<Platform, T>;
/// A reader of a snapshot on this host; see [`SnapshotWriter`] for an example.
pub type SnapshotReader<T = [u8]> = seqslot_core::SnapshotReader<Platform, T>;

/// The handle to this host's platform.
///
/// ```
/// use seqslot_core::Os;
/// assert_eq!(seqslot::platform().process().pid, std::process::id());
/// ```
#[must_use]
pub fn platform() -> Platform {
    Platform::new()
}

/// Makes a segment; `path` is the file by which others find it. The segment and the file go when the value is dropped.
///
/// # Errors
/// [`CreateError`]: the configuration cannot be, a living owner has the path, or the system refused. Nothing is left behind.
///
/// ```
/// use seqslot::{Config, CreateError};
/// # let path = std::env::temp_dir().join(format!("seqslot-create-{}.flink", std::process::id()));
/// let segment = seqslot::create(&path, &Config::slots(4, 64))?;
/// let again = seqslot::create(&path, &Config::slots(4, 64));
/// assert_eq!(again.err(), Some(CreateError::AlreadyExists { pid: std::process::id() }));
/// drop(segment);
/// assert!(!path.exists());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn create(path: impl AsRef<Path>, config: &Config) -> Result<Segment, CreateError> {
    Segment::create(platform(), path.as_ref(), config)
}

/// Attaches to the segment that `path` names, and recovers what the dead left in it.
///
/// # Errors
/// [`AttachError`]: no such segment (yet), not a segment, not ready, another version, kind or byte order, cut short, or the system refused.
///
/// ```
/// use seqslot::{AttachError, Config};
/// # let path = std::env::temp_dir().join(format!("seqslot-attach-{}.flink", std::process::id()));
/// assert_eq!(seqslot::attach(&path).err(), Some(AttachError::NotFound));
/// let owner = seqslot::create(&path, &Config::slots(4, 64))?;
/// let attached = seqslot::attach(&path)?;
/// assert!(attached.owner_lives()? && !attached.is_owner());
/// drop(owner);
/// assert!(!attached.owner_lives()?, "the segment works on, without a name");
/// assert_eq!(attached.writer()?.send(b"hello")?, 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn attach(path: impl AsRef<Path>) -> Result<Segment, AttachError> {
    Segment::attach(platform(), path.as_ref())
}

/// Makes a segment without a name, in a sealed memory file: nobody can cut it short under those who map it. Others get it as a
/// descriptor ([`AsFd`](std::os::fd::AsFd) of [`Segment::mapping`]), by inheritance or over a socket, and call [`adopt`].
///
/// # Errors
/// As [`create`].
///
/// ```
/// use std::os::fd::AsFd;
/// let segment = seqslot::create_memfd("frames", &seqslot::Config::slots(4, 64))?;
/// let writer = segment.writer()?;
/// // Elsewhere, with the descriptor:
/// let descriptor = segment.mapping().as_fd().try_clone_to_owned()?;
/// let theirs = seqslot::adopt(descriptor)?;
/// let reader = theirs.reader()?;
/// writer.send(b"hello")?;
/// assert_eq!(&*reader.take()?.expect("committed after the join"), b"hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[cfg(target_os = "linux")]
#[allow(unsafe_code, reason = "lays out an object made in the same breath")]
pub fn create_memfd(label: &str, config: &Config) -> Result<Segment, CreateError> {
    let spec = seqslot_core::ObjectSpec { len: config.len()?, reserve: !config.is_sparse(), group: false };
    let created = platform().memfd(label, spec).map_err(CreateError::Os)?;
    // SAFETY: the memory file was made in the line before, is all zero, known to nobody else, and laid out this once.
    unsafe { Segment::format(platform(), created, config) }
}

/// Attaches to a segment in a memory file that was passed as a descriptor, and recovers what the dead left in it. The file must be
/// sealed against shrinking and growing.
///
/// # Errors
/// As [`attach`]; missing seals are told.
#[cfg(target_os = "linux")]
pub fn adopt(descriptor: std::os::fd::OwnedFd) -> Result<Segment, AttachError> {
    Segment::adopt(platform(), platform().adopt(descriptor)?)
}

/// As [`attach`], trying again for at most `timeout` while the segment is not there or not ready.
///
/// # Errors
/// As [`attach`].
///
/// ```
/// use std::time::Duration;
/// use seqslot::{AttachError, Config};
/// # let path = std::env::temp_dir().join(format!("seqslot-timeout-{}.flink", std::process::id()));
/// assert_eq!(seqslot::attach_timeout(&path, Duration::ZERO).err(), Some(AttachError::NotFound));
/// let (to, done) = std::sync::mpsc::channel::<()>();
/// let late = path.clone();
/// let owner = std::thread::spawn(move || {
///     let segment = seqslot::create(&late, &Config::slots(4, 64));
///     let _ = done.recv(); // keeps the segment until the other side is done
///     segment.map(drop)
/// });
/// let attached = seqslot::attach_timeout(&path, Duration::from_secs(60))?;
/// assert_eq!(attached.geometry().slots, 4);
/// drop(to);
/// owner.join().expect("no panic")?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn attach_timeout(path: impl AsRef<Path>, timeout: Duration) -> Result<Segment, AttachError> {
    let start = Instant::now();
    let mut pause = Duration::from_millis(1);
    loop {
        match attach(path.as_ref()) {
            Err(error) if error.cause() == Cause::Contention && start.elapsed() < timeout => {
                std::thread::sleep(pause.min(timeout.saturating_sub(start.elapsed())));
                pause = (pause * 2).min(Duration::from_millis(50));
            }
            answer => return answer,
        }
    }
}
