//! Writes a ClockBound segment at its path, for ClockBound's readers, of 2.x and 3.0, and ours.
//!
//! | step of `new` | why |
//! |---|---|
//! | look at what is at the path | a file that is something else is left as it is, and gets no lock file beside it |
//! | open the lock file, or make it; lock it | one writer; the kernel lets go when the process dies |
//! | open the file, or make it | a missing directory is an error |
//! | reserve the segment's bytes | a full disk is an error here, not a fault at a store later |
//! | map it | the file is only ever made longer: mapped readers are not killed |
//! | [`ClockBoundPen::start`] | keeps a usable segment, wipes anything else in place |
//!
//! The lock is that of a file beside the segment, for its owner only. Everybody may read the segment, and whoever may read a file can lock
//! it so that nobody else gets a lock for writing. The lock file stays: removed while somebody opens it, it would be two.

use core::marker::PhantomData;
use std::ffi::{CStr, OsString};
use std::fs::{File, Metadata, OpenOptions};
use std::io::{Error, ErrorKind};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use seqslot_core::clockbound::{ClockBoundPen, Layout, SegmentHeader, ShmError};
use seqslot_core::{Access, OsError, Raw};

use super::bound::ClockErrorBound;
use super::file::{failed, read};
use crate::call;
use crate::fork::Claim;
use crate::locking::Locking;
use crate::map::Map;

/// Of a file that is longer than its layout so much is looked at, and may be alleged.
const MAPPED_MAX: u64 = 4096;
/// How often a file that comes and goes at the path is opened or made.
const TRIES: u32 = 100;

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
    file: File,
    /// Where it is, without links on the way.
    path: PathBuf,
    claim: Claim,
    lock: PhantomData<fn() -> L>,
}

impl<L: Locking> ShmWriter<L> {
    /// The writer of the segment of layout 2 at `path`, which is made if it is not there: readable by everybody whom the process's mask does
    /// not exclude, writable by its owner. A file `.NAME.lock` beside it, for its owner only, keeps a second writer away, and stays.
    ///
    /// A usable segment goes on to be read; another one (shorter, of another layout, spoilt) is wiped, in place, and not initialised until the
    /// first [`write`](ShmWrite::write). A file that does not begin as a segment does, nor with zeros, is left as it is.
    ///
    /// Its directory should be writable by the writer's user only, as `/var/run/clockbound` is: who may make files there can be first with
    /// either of the two. Hard links of one file are two segments to the lock.
    ///
    /// # Errors
    /// [`ShmError::WriterExists`]: another writer of this library, in any process, has it (ClockBound's own take no lock);
    /// [`ShmError::NotASegment`]: the file is something else; [`ShmError::SegmentMalformed`]: it is not a plain file;
    /// [`ShmError::SyscallError`]: the system refused (`open`: ENOENT, the directory is missing; `open of the lock file`: EACCES, another
    /// user has written the segment, or the directory is not ours to make files in; `fallocate`: ENOSPC, the disk is full). A file that
    /// was made is gone again then.
    pub fn new(path: &Path) -> Result<Self, ShmError> {
        Self::with_layout(path, Layout::V2)
    }

    /// As [`new`](Self::new), of either layout.
    ///
    /// A path should keep its layout as long as clients of ClockBound 3.0 are attached: those read on by the layout that they came for.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_layout(path: &Path, layout: Layout) -> Result<Self, ShmError> {
        existing(path)?;
        let path = resolved(path)?;
        let claim = lock::<L>(&path)?;
        let (file, is_made) = open(&path)?;
        let answer = Self::over(&file, &claim, layout, &path.to_string_lossy());
        match answer {
            Ok((pen, map)) => Ok(Self { pen, map, file, path, claim, lock: PhantomData }),
            Err(error) => {
                if is_made && !is_elsewhere(&status(&file)?, &path) {
                    // The first error is the one to tell.
                    let _ = std::fs::remove_file(&path);
                }
                Err(error)
            }
        }
    }

    /// The pen over a file, with the mapping that it writes to. `_claim` is the right to write it.
    fn over(file: &File, _claim: &Claim, layout: Layout, label: &str) -> Result<(ClockBoundPen<Raw>, Map), ShmError> {
        let least = layout.segment_len() as u64;
        reserve(file, least, label)?;
        let len = status(file)?.len().clamp(least, MAPPED_MAX);
        let map = Map::shared(file.as_fd(), len as usize, Access::ReadWrite, label).map_err(|error| told(&error))?;
        // SAFETY: 1. the mapping lives as long as the value that both end in, whose pen goes first. 2. a mapping starts at a page. 3. other
        // accesses are those of the segment's readers, and atomic or the kernel's. 4. nothing here makes a `&mut` of it.
        let memory = unsafe { Raw::new(map.base(), map.len()) };
        // SAFETY: 1. mapped as above. That nobody cuts the file is looked at before each write, which finds mistakes; who may write the file
        // and cuts it between look and store ends this process (SIGBUS), as the document of `write` says, and reaches nothing else. 2. as
        // above. 3. the lock, which the kernel gave after the writer before had let go of it, or had died.
        let pen = unsafe { ClockBoundPen::start(memory, layout) }?;
        Ok((pen, map))
    }

    /// The segment's layout.
    #[must_use]
    pub fn layout(&self) -> Layout {
        self.pen.layout()
    }
}

impl<L: Locking> ShmWrite for ShmWriter<L> {
    /// Makes `ceb` the bound that readers find. Two system calls (is the file as long as it was, and at its path?); never waits.
    ///
    /// Whoever may write the file is trusted not to cut it at the very moment of the write: the process would be killed (SIGBUS).
    ///
    /// # Errors
    /// [`ShmError::OtherLayout`]: not the segment's layout; [`ShmError::SegmentMalformed`]: a negative bound, a drift of a second in a second, a
    /// period of zero; [`ShmError::SegmentLost`]: somebody has cut the file, removed it, or put another in its place, so that a new writer is
    /// needed; [`ShmError::WriterExists`]: this is a forked child, and the parent is the writer.
    fn write(&mut self, ceb: &ClockErrorBound) -> Result<(), ShmError> {
        if !self.claim.is_mine() {
            return Err(ShmError::WriterExists);
        }
        let status = status(&self.file)?;
        if status.len() < self.map.len() as u64 || status.nlink() == 0 || is_elsewhere(&status, &self.path) {
            return Err(ShmError::SegmentLost);
        }
        self.pen.write(ceb)
    }
}

fn status(file: &File) -> Result<Metadata, ShmError> {
    file.metadata().map_err(|error| failed(&error, c"fstat"))
}

/// Whether another file is at the path. If nothing is to be found there, it is not: a process that has given up rights, or its root
/// directory, goes on to write.
fn is_elsewhere(status: &Metadata, path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|there| (there.dev(), there.ino()) != (status.dev(), status.ino()))
}

/// How the segment is opened. Should it be a pipe, nobody waits for its reader.
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).custom_flags(libc::O_NONBLOCK);
    options
}

/// The file at the path, if there is one, and it is or may become a segment.
fn existing(path: &Path) -> Result<Option<File>, ShmError> {
    let file = match options().open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        file => file.map_err(|error| failed(&error, c"open"))?,
    };
    if !status(&file)?.is_file() {
        return Err(ShmError::SegmentMalformed);
    }
    let mut begin = [0; 8];
    let len = read(&file, &mut begin)?;
    if SegmentHeader::is_begun(&begin[..len]) { Ok(Some(file)) } else { Err(ShmError::NotASegment) }
}

/// The file at the path, which is made if there is none, and whether it was.
fn open(path: &Path) -> Result<(File, bool), ShmError> {
    for _ in 0..TRIES {
        if let Some(file) = existing(path)? {
            return Ok((file, false));
        }
        match options().create_new(true).mode(0o644).open(path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            made => return made.map(|file| (file, true)).map_err(|error| failed(&error, c"open")),
        }
    }
    // It comes and goes, or is a link that leads nowhere.
    Err(failed(&Error::from_raw_os_error(libc::EEXIST), c"open"))
}

/// The path without links on the way, so that there is one lock file whatever the file is called.
fn resolved(path: &Path) -> Result<PathBuf, ShmError> {
    let told = |error: Error| failed(&error, c"open");
    match (path.canonicalize(), path.parent(), path.file_name()) {
        (Err(error), Some(parent), Some(name)) if error.kind() == ErrorKind::NotFound => {
            let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
            Ok(parent.canonicalize().map_err(told)?.join(name))
        }
        (answer, ..) => answer.map_err(told),
    }
}

/// The right to write the segment at a path: a lock on the file beside it.
fn lock<L: Locking>(path: &Path) -> Result<Claim, ShmError> {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".lock");
    let path = path.with_file_name(name);
    let label = path.to_string_lossy();
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    let open = || options.open(&path).map(Into::into).map_err(|error| call::failed("open of the lock file", &error, &label));
    let claim = Claim::open(open, L::unlock, &label).map_err(|error| told(&error))?;
    let is_ours = L::try_lock_file(claim.as_fd(), &label).map_err(|error| told(&error))?;
    if is_ours { Ok(claim) } else { Err(ShmError::WriterExists) }
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
        "open of the lock file" => c"open of the lock file",
        "mmap" => c"mmap",
        "fallocate" => c"fallocate",
        "flock" => c"flock",
        "fcntl(F_OFD_SETLK)" => c"fcntl(F_OFD_SETLK)",
        "table of claims" => c"table of claims",
        _ => c"a system call",
    };
    ShmError::SyscallError(error.errno(), call)
}
