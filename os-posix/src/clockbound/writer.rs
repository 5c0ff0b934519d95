//! Writes a ClockBound segment at its path, for ClockBound's readers, of 2.x and 3.0, and ours.
//!
//! | step of `new` | why |
//! |---|---|
//! | open the file, or make it | a missing directory is an error |
//! | lock it, whole | one writer; the kernel lets go when the process dies |
//! | reserve the segment's bytes | a full disk is an error here, not a fault at a store later |
//! | map it | the file is only ever made longer: mapped readers are not killed |
//! | [`ClockBoundPen::start`] | keeps a usable segment, wipes anything else in place |

use core::marker::PhantomData;
use core::mem::ManuallyDrop;
use std::ffi::CStr;
use std::fs::{File, OpenOptions};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use seqslot_core::clockbound::{ClockBoundPen, Layout, ShmError};
use seqslot_core::{Access, OsError, Raw};

use super::bound::ClockErrorBound;
use super::file::failed;
use crate::call;
use crate::fork::Claim;
use crate::locking::Locking;
use crate::map::Map;

/// Of a file that is longer than its layout so much is looked at, and may be alleged.
const MAPPED_MAX: u64 = 4096;

/// Something that bounds are written to.
pub trait ShmWrite {
    /// Makes `ceb` the bound that readers find.
    ///
    /// # Errors
    /// [`ShmError`]: why it is not.
    fn write(&mut self, ceb: &ClockErrorBound) -> Result<(), ShmError>;
}

/// The one writer of a ClockBound segment. Dropping it leaves the segment, which the next writer continues.
///
/// Platforms export it for their locks, as `ShmWriter`.
#[derive(Debug)]
pub struct ShmWriter<L> {
    pen: ClockBoundPen<Raw>,
    /// What the pen writes to; dropped after it.
    map: Map,
    claim: Claim,
    lock: PhantomData<fn() -> L>,
}

impl<L: Locking> ShmWriter<L> {
    /// The writer of the segment of layout 2 at `path`, which is made if it is not there: readable by everybody whom the process's mask does
    /// not exclude, writable by its owner.
    ///
    /// A usable segment goes on to be read; anything else at the path is wiped, in place, and not initialised until the first
    /// [`write`](ShmWrite::write).
    ///
    /// # Errors
    /// [`ShmError::WriterExists`]: another writer of this library, in any process, has it (ClockBound's own take no lock);
    /// [`ShmError::SegmentMalformed`]: the path is not a plain file; [`ShmError::SyscallError`]: the system refused (`open`: ENOENT, the
    /// directory is missing; `fallocate`: ENOSPC, the disk is full).
    pub fn new(path: &Path) -> Result<Self, ShmError> {
        Self::with_layout(path, Layout::V2)
    }

    /// As [`new`](Self::new), of either layout.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_layout(path: &Path, layout: Layout) -> Result<Self, ShmError> {
        let label = path.to_string_lossy();
        let mut options = OpenOptions::new();
        // Never cut. Should it be a pipe, nobody waits for its reader.
        options.read(true).write(true).create(true).truncate(false).mode(0o644).custom_flags(libc::O_NONBLOCK);
        let open = || options.open(path).map(Into::into).map_err(|error| call::failed("open", &error, &label));
        let claim = Claim::open(open, L::unlock, &label).map_err(|error| told(&error))?;
        let file = claim.file();
        if !status(&file)?.is_file() {
            return Err(ShmError::SegmentMalformed);
        }
        if !L::try_lock_file(claim.as_fd(), &label).map_err(|error| told(&error))? {
            return Err(ShmError::WriterExists);
        }
        let least = layout.segment_len() as u64;
        reserve(&file, least, &label)?;
        let len = status(&file)?.len().clamp(least, MAPPED_MAX);
        let map = Map::shared(claim.as_fd(), len as usize, Access::ReadWrite, &label).map_err(|error| told(&error))?;
        // SAFETY: 1. the mapping lives as long as the value that this ends in, whose pen goes first. 2. a mapping starts at a page. 3. other
        // accesses are those of the segment's readers, and atomic or the kernel's. 4. nothing here makes a `&mut` of it.
        let memory = unsafe { Raw::new(map.base(), map.len()) };
        // SAFETY: 1. as above; that nobody cuts the file is looked at before each write. 2. as above. 3. the lock, which the kernel gave after
        // the writer before had let go of it, or had died.
        let pen = unsafe { ClockBoundPen::start(memory, layout) }?;
        Ok(Self { pen, map, claim, lock: PhantomData })
    }

    /// The segment's layout.
    #[must_use]
    pub fn layout(&self) -> Layout {
        self.pen.layout()
    }
}

impl<L: Locking> ShmWrite for ShmWriter<L> {
    /// Makes `ceb` the bound that readers find. One system call (is the file as long as it was?); never waits.
    ///
    /// # Errors
    /// [`ShmError::OtherLayout`]: not the segment's layout; [`ShmError::SegmentMalformed`]: a negative bound, a drift of a second in a second, or
    /// somebody has cut the file, so that a new writer is needed; [`ShmError::WriterExists`]: this is a forked child, and the parent is the writer.
    fn write(&mut self, ceb: &ClockErrorBound) -> Result<(), ShmError> {
        if !self.claim.is_mine() {
            return Err(ShmError::WriterExists);
        }
        if status(&self.claim.file())?.len() < self.map.len() as u64 {
            return Err(ShmError::SegmentMalformed);
        }
        self.pen.write(ceb)
    }
}

fn status(file: &ManuallyDrop<File>) -> Result<std::fs::Metadata, ShmError> {
    file.metadata().map_err(|error| failed(&error, c"fstat"))
}

/// Gives the file its first `least` bytes, with room on the disk, if it has not; it gets no shorter.
fn reserve(file: &File, least: u64, label: &str) -> Result<(), ShmError> {
    #[cfg(target_os = "linux")]
    match crate::object::reserve(file, least, label) {
        // The file system has no such call.
        Err(error) if error.errno() == libc::EOPNOTSUPP => {}
        answer => return answer.map_err(|error| told(&error)),
    }
    let _ = label;
    let len = file.metadata().map_err(|error| failed(&error, c"fstat"))?.len();
    let missing = vec![0; least.saturating_sub(len) as usize];
    file.write_all_at(&missing, len).map_err(|error| failed(&error, c"pwrite"))
}

/// A failed call of the lower layers as this face tells it.
fn told(error: &OsError) -> ShmError {
    let call: &'static CStr = match error.call() {
        "open" => c"open",
        "mmap" => c"mmap",
        "fallocate" => c"fallocate",
        "flock" => c"flock",
        "fcntl(F_OFD_SETLK)" => c"fcntl(F_OFD_SETLK)",
        "table of claims" => c"table of claims",
        _ => c"a system call",
    };
    ShmError::SyscallError(error.errno(), call)
}
