//! Reads the ClockBound daemon's segment by its path, as the seed's `ShmReader` does.
//!
//! The file is never mapped: a mapping of a file that its daemon cuts short, as it does when it starts on a damaged one, kills the
//! reader (SIGBUS), and a look at the length before each access cannot exclude it. So the 80 bytes are read by `pread`, which answers
//! with fewer bytes instead. That costs one system call where nothing has changed (a few hundred nanoseconds, for data that changes
//! once a second), a few where something has; the parse and its checks are those of [`ClockBoundView`], over a private copy.
//!
//! | step | what | why |
//! |---|---|---|
//! | 1 | read all 80 bytes: the same as last time | unchanged: one call |
//! | 2 | read again, check the header: an even generation? | else the daemon is at it: again |
//! | 3 | fence; read; fence | the payload, between two looks at the generation |
//! | 4 | read: the generation of steps 2 and 3? | the payload is that generation's; else again |

use std::ffi::{CStr, OsStr};
use std::fs::{File, OpenOptions};
use std::io::{Error, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::ptr::NonNull;
use std::sync::Arc;

use portable_atomic::{AtomicU32, Ordering, fence};
use seqslot_core::Raw;
use seqslot_core::clockbound::layout::{HEADER_LEN, MAGIC_0, MAGIC_1, SEGMENT_LEN, SEGMENT_SIZE_AT, VERSION, VERSION_GENERATION_AT};
use seqslot_core::clockbound::{ClockBoundView, ClockErrorBound, ShmError};

const WORDS: usize = SEGMENT_LEN / 4;
/// The word that holds version and generation.
const GENERATION: usize = VERSION_GENERATION_AT / 4;
/// Looks before a daemon that keeps writing is given up: an update takes it well below a microsecond, once a second.
const TRIES: u32 = 100;
/// A generation that reads as none is looked at so often: its two bytes may have been read one by one, in the midst of an update.
const NONE_TRIES: u32 = 3;

/// Reads a ClockBound segment, layout version 2, by its path. It keeps the file open, and the last good bound.
///
/// ```no_run
/// use seqslot_os_posix::ShmReader;
/// let mut reader = ShmReader::new(c"/var/run/clockbound/shm0")?;
/// let bound = reader.snapshot()?;
/// println!("within {} ns at {} s", bound.bound_nsec(), bound.as_of().tv_sec());
/// # Ok::<(), seqslot_core::clockbound::ShmError>(())
/// ```
#[derive(Debug)]
pub struct ShmReader {
    view: ClockBoundView<Raw>,
    /// What the view looks at.
    copy: Arc<[AtomicU32; WORDS]>,
    /// The last finished update, as it was read.
    last: Option<Image>,
    file: File,
}

/// The bytes of a segment, as read.
type Image = [u8; SEGMENT_LEN];

impl ShmReader {
    /// Opens the segment at `path` for reading.
    ///
    /// Later updates of the same file are seen; a file put in its place is not: open it anew.
    ///
    /// # Errors
    /// [`ShmError::SyscallError`]: the call and its number. Else by content, [`errno`](ShmError::errno) EPROTO: it is not initialised, of
    /// another version, not a ClockBound segment, or shorter than it says.
    pub fn new(path: &CStr) -> Result<Self, ShmError> {
        let mut options = OpenOptions::new();
        // Not blocking: should it be a pipe, nobody waits for its writer.
        options.read(true).custom_flags(libc::O_NONBLOCK);
        let file = options.open(OsStr::from_bytes(path.to_bytes())).map_err(|error| failed(&error, c"open"))?;
        if !file.metadata().map_err(|error| failed(&error, c"fstat"))?.is_file() {
            return Err(ShmError::SegmentMalformed);
        }
        let image = read_checked(&file)?;
        let copy = Arc::new([const { AtomicU32::new(0) }; WORDS]);
        put(&copy, &image);
        let base = NonNull::from(&*copy).cast::<u8>();
        // SAFETY: 1. valid for the words of `copy`, which stays at its place as long as the `Arc` in this value, beside the view. 2. it is
        // an array of words. 3. only atomic accesses of words are made to it. 4. a shared value of atomics allows no `&mut`.
        let memory = unsafe { Raw::new(base, SEGMENT_LEN) };
        // SAFETY: 1. as above: the view is dropped with the `Arc`. 2. as above.
        let view = unsafe { ClockBoundView::attach(memory) }?;
        Ok(Self { view, copy, last: None, file })
    }

    /// The newest bound: a reference to the reader's own copy. Never waits for the daemon; at most 100 tries.
    ///
    /// If the daemon seems to have died in the midst of an update, the answer is the last good bound, which carries its own date
    /// ([`is_current`](Self::is_current) tells); without one it is an error. Zeros never pass for a bound.
    ///
    /// # Errors
    /// [`ShmError`]: the segment was wiped, cut short or became something else; the daemon wrote during every try; a system call failed.
    pub fn snapshot(&mut self) -> Result<&ClockErrorBound, ShmError> {
        let mut found = [0; SEGMENT_LEN];
        let len = read(&self.file, &mut found)?;
        match self.last {
            // The very bytes: whatever happened in between, they are a finished update.
            Some(last) if len == SEGMENT_LEN && last == found => self.copy[GENERATION].store(word(&last), Ordering::Relaxed),
            _ => self.renew()?,
        }
        self.view.snapshot()
    }

    /// Puts a finished update into the copy; or the word of an unfinished one, if the daemon stays at it: the view knows what to answer.
    fn renew(&mut self) -> Result<(), ShmError> {
        let mut is_odd = false;
        for _ in 0..TRIES {
            let before = word(&read_checked(&self.file)?);
            is_odd = !halves(before)[1].is_multiple_of(2);
            if is_odd {
                // Relaxed, here and below: the copy is private.
                self.copy[GENERATION].store(before, Ordering::Relaxed);
            } else if let Some(image) = confirm(&self.file, before)? {
                put(&self.copy, &image);
                self.last = (halves(before)[1] != 0).then_some(image);
                return Ok(());
            }
            std::hint::spin_loop();
        }
        if is_odd { Ok(()) } else { Err(ShmError::Contended { tries: TRIES }) }
    }

    /// Whether the last [`snapshot`](Self::snapshot) found a finished update: false if it answered an older bound.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.view.is_current()
    }
}

/// The segment once more, if it was of generation word `before` then and is so still.
fn confirm(file: &File, before: u32) -> Result<Option<Image>, ShmError> {
    // ORDERING: SeqCst fence, edge "payload": the payload is read after the generation (by this processor, in the kernel); pairs with
    // the daemon's store of the even generation.
    fence(Ordering::SeqCst);
    let image = read_checked(file)?;
    // ORDERING: SeqCst fence, edge "torn": the generation is read after the payload; pairs with what orders the daemon's odd
    // generation before its payload.
    fence(Ordering::SeqCst);
    let after = word(&read_checked(file)?);
    Ok(is_whole(before, word(&image), after).then_some(image))
}

/// Whether what was read along with the word `during`, between looks that found `before` and `after`, is one update's.
fn is_whole(before: u32, during: u32, after: u32) -> bool {
    halves(before)[1].is_multiple_of(2) && before == during && before == after
}

/// All bytes, after a check of what the view checks only once: magic, version, size, and that there are as many.
fn read_checked(file: &File) -> Result<Image, ShmError> {
    let mut answer = Err(ShmError::SegmentNotInitialized);
    for _ in 0..NONE_TRIES {
        let mut image = [0; SEGMENT_LEN];
        let len = read(file, &mut image)?;
        let size = file.metadata().map_err(|error| failed(&error, c"fstat"))?.len();
        answer = check(image, len, size);
        if answer != Err(ShmError::SegmentNotInitialized) {
            break;
        }
    }
    answer
}

/// Checks the first `len` bytes of a file of `size` bytes; the size it alleges is cut to what is read here.
fn check(mut image: Image, len: usize, size: u64) -> Result<Image, ShmError> {
    let field = |at: usize| u32::from_ne_bytes([image[at], image[at + 1], image[at + 2], image[at + 3]]);
    let [version, generation] = halves(field(VERSION_GENERATION_AT));
    let magic = (field(0), field(4));
    // Empty or zeroed: the daemon is still at it. It writes the version last.
    if len == 0 || magic == (0, 0) {
        return Err(ShmError::SegmentNotInitialized);
    }
    if len < HEADER_LEN || magic != (MAGIC_0, MAGIC_1) {
        return Err(ShmError::SegmentMalformed);
    }
    if version == 0 || generation == 0 {
        return Err(ShmError::SegmentNotInitialized);
    }
    if version != VERSION {
        return Err(ShmError::SegmentVersionNotSupported);
    }
    let alleged = field(SEGMENT_SIZE_AT);
    if len < SEGMENT_LEN || (alleged as usize) < SEGMENT_LEN || u64::from(alleged) > size {
        return Err(ShmError::SegmentMalformed);
    }
    image[SEGMENT_SIZE_AT..][..4].copy_from_slice(&(SEGMENT_LEN as u32).to_ne_bytes());
    Ok(image)
}

/// As many of the file's first bytes as there are.
fn read(file: &File, into: &mut [u8]) -> Result<usize, ShmError> {
    let mut done = 0;
    while done < into.len() {
        match file.read_at(&mut into[done..], done as u64) {
            Ok(0) => break,
            Ok(more) => done += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(&error, c"pread")),
        }
    }
    Ok(done)
}

fn failed(error: &Error, call: &'static CStr) -> ShmError {
    ShmError::SyscallError(error.raw_os_error().unwrap_or(0), call)
}

/// Puts an image into the private words.
fn put(copy: &[AtomicU32; WORDS], image: &Image) {
    for (word, bytes) in copy.iter().zip(image.as_chunks::<4>().0) {
        word.store(u32::from_ne_bytes(*bytes), Ordering::Relaxed);
    }
}

/// The word that holds version and generation.
fn word(image: &Image) -> u32 {
    u32::from_ne_bytes(image.as_chunks::<4>().0[GENERATION])
}

/// Version and generation out of their word.
fn halves(word: u32) -> [u16; 2] {
    let [a, b, c, d] = word.to_ne_bytes();
    [u16::from_ne_bytes([a, b]), u16::from_ne_bytes([c, d])]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generation(generation: u16) -> u32 {
        let ([a, b], [c, d]) = (VERSION.to_ne_bytes(), generation.to_ne_bytes());
        u32::from_ne_bytes([a, b, c, d])
    }

    #[test]
    fn only_what_lies_between_two_looks_at_one_even_generation_is_whole() {
        assert!(is_whole(generation(4), generation(4), generation(4)));
        assert!(!is_whole(generation(5), generation(5), generation(5)), "being written");
        assert!(!is_whole(generation(4), generation(4), generation(5)), "written since");
        assert!(!is_whole(generation(4), generation(6), generation(6)), "written before");
        assert!(!is_whole(generation(4), generation(5), generation(4)));
    }

    #[test]
    fn a_read_that_was_cut_short_is_refused_although_the_file_is_whole_again() {
        let mut image = [0; SEGMENT_LEN];
        for (at, word) in [(0, MAGIC_0), (4, MAGIC_1), (SEGMENT_SIZE_AT, 80), (VERSION_GENERATION_AT, generation(4))] {
            image[at..at + 4].copy_from_slice(&word.to_ne_bytes());
        }
        assert_eq!(check(image, SEGMENT_LEN, 80), Ok(image));
        assert_eq!(check(image, SEGMENT_LEN - 1, 80), Err(ShmError::SegmentMalformed));
        assert_eq!(check(image, SEGMENT_LEN, 79), Err(ShmError::SegmentMalformed));
        assert_eq!(check(image, 0, 80), Err(ShmError::SegmentNotInitialized));
    }
}
