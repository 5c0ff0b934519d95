//! Memory that both sides map, and the desk on which they meet.

use std::hint::spin_loop;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicU64, Ordering};

/// Two lines: neighbours of a pair of lines are fetched together by some machines.
pub const LINE: usize = 128;

/// A memory file, mapped whole. The other side inherits its descriptor.
pub struct Shared {
    base: *mut u8,
    len: usize,
    file: OwnedFd,
}

// SAFETY: an address and a descriptor, which belong to no thread. What the words hold is read and written atomically; who uses other
// bytes answers for that.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    /// Makes a file of `len` bytes, all zero.
    pub fn create(len: usize) -> Self {
        // SAFETY: a name that ends with a nul; no flag, so that the other side inherits the descriptor.
        let file = unsafe { libc::memfd_create(c"seqslot-peers".as_ptr(), 0) };
        assert!(file >= 0, "no memory file: {}", std::io::Error::last_os_error());
        // SAFETY: a descriptor that was opened above and is nobody else's.
        let file = unsafe { OwnedFd::from_raw_fd(file) };
        // SAFETY: our descriptor and a plain number.
        let cut = unsafe { libc::ftruncate(file.as_raw_fd(), len as libc::off_t) };
        assert_eq!(cut, 0, "no {len} bytes: {}", std::io::Error::last_os_error());
        Self::map(file, len)
    }

    /// Maps the file that the other side made, of `len` bytes.
    pub fn inherited(file: RawFd, len: usize) -> Self {
        // SAFETY: the descriptor number was told by the process that started this one, which left it open for us alone.
        Self::map(unsafe { OwnedFd::from_raw_fd(file) }, len)
    }

    fn map(file: OwnedFd, len: usize) -> Self {
        let rights = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping at an address that the kernel picks.
        let base = unsafe { libc::mmap(std::ptr::null_mut(), len, rights, libc::MAP_SHARED, file.as_raw_fd(), 0) };
        assert_ne!(base, libc::MAP_FAILED, "no mapping: {}", std::io::Error::last_os_error());
        Self { base: base.cast(), len, file }
    }

    /// Its descriptor, for the other side.
    pub fn descriptor(&self) -> RawFd {
        self.file.as_raw_fd()
    }

    /// The word at a byte offset.
    pub fn word(&self, at: usize) -> &AtomicU64 {
        assert!(at.is_multiple_of(8), "a word at {at}");
        // SAFETY: `at` found the word inside the mapping, which lives as long as `self`; aligned, since a mapping starts a page; only
        // ever used as an atomic of this width.
        unsafe { &*self.at(at, 8).cast::<AtomicU64>() }
    }

    /// The address of `len` bytes at an offset.
    pub fn at(&self, at: usize, len: usize) -> *mut u8 {
        assert!(at.checked_add(len).is_some_and(|end| end <= self.len), "{len} bytes at {at} of {}", self.len);
        // SAFETY: inside the mapping.
        unsafe { self.base.add(at) }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: the mapping made in `map`, which nothing borrows any more.
        unsafe { libc::munmap(self.base.cast(), self.len) };
    }
}

/// Where the sides meet, whatever system is measured: a word a line for each thing that one tells the other, a page
/// for a cell, and room for samples.
pub struct Desk(Shared);

/// Words of the desk, each on lines of its own.
#[derive(Clone, Copy)]
pub enum Word {
    /// The other side is ready.
    Ready,
    /// The other side is done; it has told all it had to tell.
    Done,
    /// This side is done: the other one ends.
    Stop,
    /// When the other side finished, in nanoseconds of the monotonic clock.
    Finished,
    /// Samples that the other side has taken.
    Taken,
    /// Sum of all that the other side got.
    Sum,
    /// Samples that came out of order.
    Disorder,
    /// Bare lines, there and back.
    There,
    /// See [`Word::There`].
    Back,
}

impl Desk {
    /// Bytes of a desk.
    const LEN: usize = 64 << 10;
    const CELL: usize = 4096;
    const SAMPLES: usize = 8192;

    /// A new desk.
    pub fn create() -> Self {
        Self(Shared::create(Self::LEN))
    }

    /// The desk that the other side made.
    pub fn inherited(descriptor: RawFd) -> Self {
        Self(Shared::inherited(descriptor, Self::LEN))
    }

    /// Its descriptor, for the other side.
    pub fn descriptor(&self) -> RawFd {
        self.0.descriptor()
    }

    /// One of its words.
    pub fn word(&self, word: Word) -> &AtomicU64 {
        self.0.word(word as usize * LINE)
    }

    /// Tells the other side.
    pub fn tell(&self, word: Word, value: u64) {
        // ORDERING: Release, with `read`: what was told before is seen before.
        self.word(word).store(value, Ordering::Release);
    }

    /// What the other side told last.
    pub fn read(&self, word: Word) -> u64 {
        // ORDERING: Acquire, with `tell`.
        self.word(word).load(Ordering::Acquire)
    }

    /// Waits until the other side has told `value`.
    pub fn wait_for(&self, word: Word, value: u64) {
        while self.read(word) != value {
            spin_loop();
        }
    }

    /// A page for a cell that has no memory of its own.
    pub fn cell(&self) -> *mut u8 {
        self.0.at(Self::CELL, Self::SAMPLES - Self::CELL)
    }

    /// A sample that the other side took.
    pub fn sample(&self, at: usize) -> &AtomicU64 {
        self.0.word(Self::SAMPLES + at * 8)
    }
}
