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

pub use seqslot_core::clockbound::{ClockErrorBound, ClockStatus, ShmError, TimeSpec};
pub use seqslot_core::{
    AttachError, Batch, Cause, CommitError, Config, CreateError, EvictError, GeometryError, HeadError, JoinError, Lag, LagWatch, LoanError,
    Lock, OsError, Payload, ReaderId, ReaderIndex, ReaderMask, Recovered, SendError, SlotBackend, SlotError, SlotHandle, SlotHeader,
    SlotIndex, SnapshotError, Stats, TakeError, WriterIndex, layout,
};
#[cfg(target_os = "linux")]
pub use seqslot_os_linux::{PosixSlotAllocator, PosixSlotError, ShmFault, ShmReader};
#[cfg(target_os = "macos")]
pub use seqslot_os_macos::{PosixSlotAllocator, PosixSlotError, ShmFault, ShmReader};

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
pub type OwnedReader<T = [u8]> = seqslot_core::Reader<Arc<Segment>, T>;

/// The handle to this host's platform.
#[must_use]
pub fn platform() -> Platform {
    Platform::new()
}

/// Makes a segment; `path` is the file by which others find it. The segment and the file go when the value is dropped.
///
/// # Errors
/// [`CreateError`]: the configuration cannot be, a living owner has the path, or the system refused. Nothing is left behind.
pub fn create(path: impl AsRef<Path>, config: &Config) -> Result<Segment, CreateError> {
    Segment::create(platform(), path.as_ref(), config)
}

/// Attaches to the segment that `path` names, and recovers what the dead left in it.
///
/// # Errors
/// [`AttachError`]: no such segment (yet), not a segment, not ready, another version, kind or byte order, cut short, or the system refused.
pub fn attach(path: impl AsRef<Path>) -> Result<Segment, AttachError> {
    Segment::attach(platform(), path.as_ref())
}

/// As [`attach`], trying again for at most `timeout` while the segment is not there or not ready.
///
/// # Errors
/// As [`attach`].
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
