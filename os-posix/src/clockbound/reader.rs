//! Reads the ClockBound daemon's segment by its path, as the seed's `ShmReader` does.
//!
//! By `pread`, and by the daemon's generation as a mapped reader would. That costs one system call where nothing has changed (a few hundred
//! nanoseconds, for data that changes once a second), a few where something has.
//!
//! | step | what | why |
//! |---|---|---|
//! | 1 | read all bytes: the same as last time | unchanged: one call |
//! | 2 | read again, check the header: an even generation? | else the daemon is at it: again |
//! | 3 | fence; read; fence | the payload, between two looks at the generation |
//! | 4 | read: the generation of steps 2 and 3? | the payload is that generation's; else again |

use core::time::Duration;
use std::ffi::CStr;
use std::fs::File;

use portable_atomic::{Ordering, fence};
use seqslot_core::clockbound::layout::{HEADER_LEN, SEGMENT_LEN_MAX};
use seqslot_core::clockbound::{self as core_bound, SegmentHeader, ShmError, SnapshotStatus};

use super::bound::ClockErrorBound;
use super::file::{failed, open, read};

/// Looks before a daemon that keeps writing is given up: an update takes it well below a microsecond, once a second.
const TRIES: u32 = 100;
/// A generation that reads as none is looked at so often: its two bytes may have been read one by one, in the midst of an update.
const NONE_TRIES: u32 = 3;

/// Reads a ClockBound segment, layout 2 or 3, by its path. It keeps the file open, and the last good bound.
///
/// ```no_run
/// use seqslot_os_posix::ShmReader;
/// let mut reader = ShmReader::new(c"/var/run/clockbound/shm0")?;
/// let bound = reader.snapshot()?;
/// println!("within {} ns at {} s", bound.bound_nsec(), bound.as_of().tv_sec());
/// let (earliest, latest, status) = bound.now()?;
/// println!("between {earliest:?} and {latest:?}: {status:?}");
/// # Ok::<(), seqslot_core::clockbound::ShmError>(())
/// ```
#[derive(Debug)]
pub struct ShmReader {
    file: File,
    last: Option<Last>,
    status: Option<SnapshotStatus>,
    /// The header at which it was given up that a daemon was writing: who finds it again need not look so often.
    stuck: Option<[u8; HEADER_LEN]>,
}

/// The last finished update: as it was read, and what it says.
#[derive(Debug)]
struct Last {
    image: Image,
    /// Length of its layout.
    len: usize,
    bound: ClockErrorBound,
}

/// The bytes of a segment, as read; zero behind its layout.
type Image = [u8; SEGMENT_LEN_MAX];

/// What a snapshot found: the bound, and how fresh it is.
///
/// ```no_run
/// use seqslot_os_posix::ShmReader;
/// let mut reader = ShmReader::new(c"/var/run/clockbound/shm0")?;
/// let snapshot = reader.snapshot_status()?;
/// println!("{:?}, {} s old: within {} ns", snapshot.status(), snapshot.age()?.as_secs(), snapshot.bound().bound_nsec());
/// # Ok::<(), seqslot_core::clockbound::ShmError>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct ShmSnapshot<'r> {
    bound: &'r ClockErrorBound,
    status: SnapshotStatus,
}

impl<'r> ShmSnapshot<'r> {
    /// The bound, in the reader's own copy.
    #[must_use]
    pub fn bound(&self) -> &'r ClockErrorBound {
        self.bound
    }

    /// Whether it is what the segment holds, and if not, why.
    #[must_use]
    pub fn status(&self) -> SnapshotStatus {
        self.status
    }

    /// How long ago the daemon updated it: [`ClockErrorBound::age`].
    ///
    /// # Errors
    /// [`ShmError::CausalityBreach`]: the clock or counter is before the update, so that nobody knows; or it cannot be read.
    pub fn age(&self) -> Result<Duration, ShmError> {
        self.bound.age()
    }
}

impl ShmReader {
    /// Opens the segment at `path` for reading.
    ///
    /// Later updates of the same file are seen, also those of a daemon that makes it anew with the other layout; a file put in its place
    /// is not: open it anew.
    ///
    /// # Errors
    /// [`ShmError::SyscallError`]: the call and its number. Else by content, [`errno`](ShmError::errno) EPROTO: it is not initialised, of
    /// another version, not a ClockBound segment, or shorter than it says.
    pub fn new(path: &CStr) -> Result<Self, ShmError> {
        let file = open(path)?;
        if !file.metadata().map_err(|error| failed(&error, c"fstat"))?.is_file() {
            return Err(ShmError::SegmentMalformed);
        }
        read_checked(&file)?;
        Ok(Self { file, last: None, status: None, stuck: None })
    }

    /// The newest bound: a reference to the reader's own copy. Never waits for the daemon; at most 100 tries, and one if the daemon is found
    /// where the last snapshot gave it up.
    ///
    /// If the daemon writes meanwhile, or seems to have died in the midst of an update, the answer is the last good bound, which carries its
    /// own date ([`is_current`](Self::is_current) and [`snapshot_status`](Self::snapshot_status) tell); without one it is an error. Zeros
    /// never pass for a bound.
    ///
    /// # Errors
    /// [`ShmError`]: the segment was wiped, cut short or became something else; the daemon was writing at the first snapshot; a system call
    /// failed.
    pub fn snapshot(&mut self) -> Result<&ClockErrorBound, ShmError> {
        let snapshot = self.snapshot_status()?;
        if snapshot.status == SnapshotStatus::Wiped { Err(ShmError::SegmentNotInitialized) } else { Ok(snapshot.bound) }
    }

    /// The newest bound, or the last one, and which of them it is.
    ///
    /// # Errors
    /// As [`snapshot`](Self::snapshot), but a segment that was wiped is an error only to a reader that has no bound yet.
    pub fn snapshot_status(&mut self) -> Result<ShmSnapshot<'_>, ShmError> {
        self.status = None;
        let status = match &self.last {
            Some(last) if is_same(&self.file, last)? => SnapshotStatus::Unchanged,
            _ => self.renew()?.0,
        };
        self.status = Some(status);
        let bound = self.last.as_ref().map(|last| &last.bound).ok_or(ShmError::SegmentNotInitialized)?;
        Ok(ShmSnapshot { bound, status })
    }

    /// Reads a finished update, if there is one to be had; and how often it looked.
    fn renew(&mut self) -> Result<(SnapshotStatus, u32), ShmError> {
        let (mut odd, mut tries) = (None, 0);
        while tries < TRIES && (odd.is_none() || odd != self.stuck) {
            tries += 1;
            let (before, header) = match read_checked(&self.file) {
                Err(ShmError::SegmentNotInitialized) if self.last.is_some() => return Ok((SnapshotStatus::Wiped, tries)),
                found => found?,
            };
            odd = header.is_busy().then(|| header_of(&before));
            let confirmed = match if odd.is_some() { Ok(None) } else { confirm(&self.file, &before) } {
                // Wiped since.
                Err(ShmError::SegmentNotInitialized) if self.last.is_some() => return Ok((SnapshotStatus::Wiped, tries)),
                confirmed => confirmed?,
            };
            if let Some(image) = confirmed {
                let len = header.layout.segment_len();
                let bound = core_bound::ClockErrorBound::of_payload(header.layout, &image[HEADER_LEN..len])?.into();
                (self.last, self.stuck) = (Some(Last { image, len, bound }), None);
                return Ok((SnapshotStatus::Fresh, tries));
            }
            std::hint::spin_loop();
        }
        self.stuck = odd;
        match (&self.last, odd) {
            (Some(_), _) => Ok((SnapshotStatus::WriterBusy, tries)),
            (None, Some(_)) => Err(ShmError::SegmentNotInitialized),
            (None, None) => Err(ShmError::Contended { tries }),
        }
    }

    /// Whether the last [`snapshot`](Self::snapshot) found a finished update: false if it answered an older bound.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.status.is_some_and(SnapshotStatus::is_current)
    }
}

/// Whether the file has the very bytes of a finished update: then, whatever happened in between, they are one.
fn is_same(file: &File, last: &Last) -> Result<bool, ShmError> {
    let mut found = [0; SEGMENT_LEN_MAX];
    let len = read(file, &mut found[..last.len])?;
    Ok(len == last.len && found == last.image)
}

/// The segment once more, if it had the header of `before` then and has it still.
fn confirm(file: &File, before: &Image) -> Result<Option<Image>, ShmError> {
    // ORDERING: SeqCst fence, edge "payload": the payload is read after the generation (by this processor, in the kernel); pairs with
    // the daemon's store of the even generation.
    fence(Ordering::SeqCst);
    let (image, _) = read_checked(file)?;
    // ORDERING: SeqCst fence, edge "torn": the generation is read after the payload; pairs with what orders the daemon's odd
    // generation before its payload.
    fence(Ordering::SeqCst);
    let (after, _) = read_checked(file)?;
    Ok(is_whole(before, &image, &after).then_some(image))
}

fn header_of(image: &Image) -> [u8; HEADER_LEN] {
    let mut header = [0; HEADER_LEN];
    header.copy_from_slice(&image[..HEADER_LEN]);
    header
}

/// Whether what was read as `during`, between looks that found `before` and `after`, is one update's. `before` is of an even generation.
fn is_whole(before: &Image, during: &Image, after: &Image) -> bool {
    let headers = [before, during, after].map(|image| &image[..HEADER_LEN]);
    headers[0] == headers[1] && headers[0] == headers[2]
}

/// The segment's bytes, no more than its layout has, and its header, which was checked against the file's length.
fn read_checked(file: &File) -> Result<(Image, SegmentHeader), ShmError> {
    let mut answer = Err(ShmError::SegmentNotInitialized);
    for _ in 0..NONE_TRIES {
        let mut image = [0; SEGMENT_LEN_MAX];
        let len = read(file, &mut image)?;
        let size = file.metadata().map_err(|error| failed(&error, c"fstat"))?.len();
        // What was read was there, although it may have been cut since.
        answer = check(image, len, size.max(len as u64));
        if answer != Err(ShmError::SegmentNotInitialized) {
            break;
        }
    }
    answer
}

/// Checks the first `len` bytes of a file of `size` bytes.
fn check(mut image: Image, len: usize, size: u64) -> Result<(Image, SegmentHeader), ShmError> {
    let header = SegmentHeader::of_bytes(&image[..len], size)?;
    image[header.layout.segment_len()..].fill(0);
    Ok((image, header))
}

#[cfg(test)]
mod tests {
    use seqslot_core::clockbound::Layout;
    use seqslot_core::clockbound::layout::{MAGIC_0, MAGIC_1, SEGMENT_SIZE_AT, VERSION_GENERATION_AT};

    use super::*;

    fn image(layout: Layout, generation: u16) -> Image {
        let mut image = [0; SEGMENT_LEN_MAX];
        for (at, word) in [(0, MAGIC_0), (4, MAGIC_1), (SEGMENT_SIZE_AT, layout.segment_len() as u32)] {
            image[at..at + 4].copy_from_slice(&word.to_ne_bytes());
        }
        image[VERSION_GENERATION_AT..][..2].copy_from_slice(&layout.version().to_ne_bytes());
        image[VERSION_GENERATION_AT + 2..][..2].copy_from_slice(&generation.to_ne_bytes());
        image
    }

    #[test]
    fn only_what_lies_between_two_looks_at_one_generation_is_whole() {
        let [four, five, six] = [4, 5, 6].map(|generation| image(Layout::V2, generation));
        assert!(is_whole(&four, &four, &four));
        assert!(!is_whole(&four, &four, &five), "written since");
        assert!(!is_whole(&four, &six, &six), "written before");
        assert!(!is_whole(&four, &five, &four));
        assert!(!is_whole(&four, &four, &image(Layout::V3, 4)), "made anew");
    }

    #[test]
    fn a_daemon_that_died_at_an_update_is_looked_at_once_where_it_was_given_up() {
        let path = std::env::temp_dir().join(format!("seqslot-stuck-{}", std::process::id()));
        let name = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
        let put = |generation| std::fs::write(&path, &image(Layout::V2, generation)[..80]).unwrap();
        put(4);
        let mut reader = ShmReader::new(&name).unwrap();
        assert_eq!(reader.renew(), Ok((SnapshotStatus::Fresh, 1)));
        for (generation, tries) in [(5, 100), (5, 1), (5, 1), (7, 100), (7, 1)] {
            put(generation);
            assert_eq!(reader.renew(), Ok((SnapshotStatus::WriterBusy, tries)), "{generation}");
        }
        put(8);
        assert_eq!(reader.renew(), Ok((SnapshotStatus::Fresh, 1)));
        put(7);
        assert_eq!(reader.renew(), Ok((SnapshotStatus::WriterBusy, 100)), "come round: it was not given up");
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_read_that_was_cut_short_is_refused_although_the_file_is_whole_again() {
        for layout in [Layout::V2, Layout::V3] {
            let (image, len) = (image(layout, 4), layout.segment_len());
            let checked = |len, size| check(image, len, size).map(|(_, header)| header.generation);
            assert_eq!(checked(len, len as u64), Ok(4));
            assert_eq!(checked(len - 1, len as u64), Err(ShmError::SegmentMalformed));
            assert_eq!(checked(len, len as u64 - 1), Err(ShmError::SegmentMalformed));
            assert_eq!(checked(0, len as u64), Err(ShmError::SegmentNotInitialized));
        }
    }
}
