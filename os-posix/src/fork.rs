//! Who has been forked, and claims that a forked child does not keep.
//!
//! A lock belongs to an open file description, and `fork` shares descriptions: a child would keep its parent's locks alive
//! after the parent's death, and unlocking in the child would free the parent's. So
//!
//! - every claim's descriptor stands in a process-wide table, and a `pthread_atfork` handler closes them all in the child;
//! - every claim and mapping remembers the [`Token`] of the process that made it, a word on a page that is zero in a child
//!   (`MADV_WIPEONFORK` on Linux, also for a bare `clone`; the handler sees to it elsewhere).
//!
//! A `fork` in another thread may come between opening a descriptor and entering it in the table. Forks are counted before
//! they start and after they are over; a claim whose descriptor may have been copied in between is made anew.
//!
//! | edge | one side | other side | what it carries |
//! |---|---|---|---|
//! | table | `Claim::open`: entry stored, fence, `STARTED` looked at | `before`: `STARTED` moved, fence, then the kernel copies the memory | the entry, or the news of the fork: at least one side sees the other |
//! | over | `after_in_parent`: `FINISHED` moved (Release) | `settled` (Acquire) | a descriptor opened now is not in that child |
//!
//! A child made by a bare `clone(2)` system call runs no handler: it sees that it is not the owner, but its copy of a claim's
//! descriptor keeps the lock until it execs or ends, should the parent die before. A descriptor is `O_CLOEXEC`, so exec
//! always lets go.

use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use portable_atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU32, Ordering, fence};
use seqslot_core::OsError;

/// Most claims that a process can hold at once; one more is an error (EMFILE).
pub const CLAIMS_MAX: usize = 4096;
/// How long forks in other threads may hold a claim up before it is an error (EAGAIN). One of much memory takes a tenth of a second.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often a claim gives the processor away for a fork under way before it sleeps, and how long each time.
const YIELDS: u32 = 100;
const PAUSE: Duration = Duration::from_micros(100);
/// A table entry without a descriptor.
const VACANT: RawFd = -1;

/// Descriptors of the claims of this process.
static TABLE: [AtomicI32; CLAIMS_MAX] = [const { AtomicI32::new(VACANT) }; CLAIMS_MAX];
/// Table entries from here on were never used, so that the child's handler is short.
static USED: AtomicU32 = AtomicU32::new(0);
/// Forks begun, and forks over, in this process.
static STARTED: AtomicU32 = AtomicU32::new(0);
static FINISHED: AtomicU32 = AtomicU32::new(0);
/// The last token given out by this process or one of its forebears.
static GENERATION: AtomicU32 = AtomicU32::new(0);
/// The word that holds this process's token; null until first used.
static WORD: AtomicPtr<AtomicU32> = AtomicPtr::new(core::ptr::null_mut());
/// Stands in where no page can be had: the handler alone then tells a child.
static SPARE_WORD: AtomicU32 = AtomicU32::new(0);
static HANDLERS: AtomicBool = AtomicBool::new(false);

/// Tells the process that took it from its forked children.
///
/// ```
/// use seqslot_os_posix::Token;
/// let token = Token::current();
/// assert!(token.is_mine());
/// assert_ne!(token.number(), 0);
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Token {
    word: &'static AtomicU32,
    value: u32,
}

impl Token {
    /// The calling process's token.
    #[must_use]
    pub fn current() -> Self {
        let word = word();
        let value = word.load(Ordering::Relaxed);
        if value != 0 {
            return Self { word, value };
        }
        // A child that has not taken one yet, or the very first call. Relaxed throughout: the values are all that counts.
        let fresh = GENERATION.fetch_add(1, Ordering::Relaxed).wrapping_add(1).max(1);
        let value = word.compare_exchange(0, fresh, Ordering::Relaxed, Ordering::Relaxed).map_or_else(|theirs| theirs, |_| fresh);
        Self { word, value }
    }

    /// Whether the calling process is the one that took it. One load and one comparison.
    #[inline]
    #[must_use]
    pub fn is_mine(&self) -> bool {
        // Relaxed: only this process's threads write the word, and a child's copy was wiped before the child ran.
        self.word.load(Ordering::Relaxed) == self.value
    }

    /// A number that differs between a process and its forked children, never 0: for caches that a child must not believe.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.value
    }
}

/// The token's word, made at first use. No lock: a fork in the midst of it must not leave a child waiting for ever.
fn word() -> &'static AtomicU32 {
    // ORDERING: Acquire, pairs with the exchange below: the page's content.
    let known = WORD.load(Ordering::Acquire);
    // SAFETY: null, or what was stored below: a page or a static, neither of which ever goes.
    if let Some(word) = unsafe { known.as_ref() } {
        return word;
    }
    install_handlers();
    let made = wiped_page().unwrap_or((&raw const SPARE_WORD).cast_mut());
    // ORDERING: AcqRel, pairs with the load above and with another thread's exchange; the loser's page stays unused (once at most per thread).
    let word = match WORD.compare_exchange(core::ptr::null_mut(), made, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => made,
        Err(theirs) => theirs,
    };
    // SAFETY: as above; not null.
    unsafe { &*word }
}

/// A page that a forked child finds zeroed.
#[cfg(target_os = "linux")]
fn wiped_page() -> Option<*mut AtomicU32> {
    const LEN: usize = 4096;
    // SAFETY: a new anonymous mapping at an address that the kernel picks touches no memory in use.
    let page = unsafe {
        libc::mmap(core::ptr::null_mut(), LEN, libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0)
    };
    if page == libc::MAP_FAILED {
        return None;
    }
    // SAFETY: the range is the mapping made above. Where the kernel cannot do it (before 4.14), the handler remains.
    unsafe { libc::madvise(page, LEN, libc::MADV_WIPEONFORK) };
    Some(page.cast())
}

/// No such page here: the handler clears the word.
#[cfg(not(target_os = "linux"))]
fn wiped_page() -> Option<*mut AtomicU32> {
    None
}

/// Registers the handlers. Twice, by two threads at once, is harmless: they count in pairs, and closing twice closes once.
fn install_handlers() {
    if HANDLERS.load(Ordering::Relaxed) {
        return;
    }
    // SAFETY: the three functions call only what is safe between fork and exec: atomics and `close`.
    unsafe { libc::pthread_atfork(Some(before), Some(after_in_parent), Some(after_in_child)) };
    HANDLERS.store(true, Ordering::Relaxed);
}

unsafe extern "C" fn before() {
    STARTED.fetch_add(1, Ordering::Relaxed);
    // ORDERING: SeqCst fence, edge "table"; partner: the one in `Claim::open`.
    fence(Ordering::SeqCst);
}

unsafe extern "C" fn after_in_parent() {
    // ORDERING: Release, edge "over"; pairs with `settled`.
    FINISHED.fetch_add(1, Ordering::Release);
}

unsafe extern "C" fn after_in_child() {
    // Relaxed throughout: a child has one thread, and the fork ordered everything before it.
    let used = USED.load(Ordering::Relaxed) as usize;
    for entry in &TABLE[..used.min(CLAIMS_MAX)] {
        let fd = entry.swap(VACANT, Ordering::Relaxed);
        if fd != VACANT {
            // SAFETY: the descriptor is the child's copy of a claim's; the inherited claim knows that it is not the child's
            // and never touches it.
            unsafe { libc::close(fd) };
        }
    }
    FINISHED.store(STARTED.load(Ordering::Relaxed), Ordering::Relaxed);
    // Relaxed: as above. Null if no token was ever taken.
    let word = WORD.load(Ordering::Relaxed);
    // SAFETY: null or a word that never goes.
    if let Some(word) = unsafe { word.as_ref() } {
        word.store(0, Ordering::Relaxed);
    }
}

/// The number of forks begun, if none is under way.
fn settled() -> Option<u32> {
    // ORDERING: Acquire, edge "over"; pairs with `after_in_parent`: descriptors opened from here on are not in that child.
    let finished = FINISHED.load(Ordering::Acquire);
    (STARTED.load(Ordering::Relaxed) == finished).then_some(finished)
}

/// Enters a descriptor; `None` if the table is full.
fn enter(fd: RawFd) -> Option<usize> {
    TABLE.iter().enumerate().find_map(|(at, entry)| {
        // Relaxed: the entry carries nothing but itself; the fence in `Claim::open` orders it against a fork.
        entry.compare_exchange(VACANT, fd, Ordering::Relaxed, Ordering::Relaxed).ok()?;
        USED.fetch_max(at as u32 + 1, Ordering::Relaxed);
        Some(at)
    })
}

/// A lock that is held, or a descriptor that a forked child must not keep. Dropping it lets go.
#[derive(Debug)]
pub struct Claim {
    fd: ManuallyDrop<OwnedFd>,
    place: usize,
    token: Token,
    unlock: fn(BorrowedFd<'_>),
}

impl Claim {
    /// What file the descriptor is of; needs no further descriptor, so that it works when they have run out.
    ///
    /// # Errors
    /// What `fstat` said.
    pub fn metadata(&self) -> std::io::Result<std::fs::Metadata> {
        self.file().metadata()
    }

    /// Its descriptor as a file, which is not closed when the value is dropped.
    pub(crate) fn file(&self) -> ManuallyDrop<std::fs::File> {
        // SAFETY: the descriptor is open as long as `self`, and the file made of it is never dropped, so it is closed once.
        ManuallyDrop::new(unsafe { std::fs::File::from_raw_fd(self.fd.as_raw_fd()) })
    }

    /// Opens a description that no child has and that no child will keep. `unlock` is called on it when the claim is
    /// dropped by the process that made it.
    ///
    /// # Errors
    /// What `open` said; EMFILE if this process has [`CLAIMS_MAX`] claims; EAGAIN if other threads fork without a pause for
    /// seconds.
    pub fn open(mut open: impl FnMut() -> Result<OwnedFd, OsError>, unlock: fn(BorrowedFd<'_>), label: &str) -> Result<Self, OsError> {
        let token = Token::current();
        // The clock is not looked at where no fork is in the way.
        let (mut start, mut waits) = (None, 0);
        while start.is_none_or(|start: Instant| start.elapsed() < PATIENCE) {
            if let Some(forks) = settled() {
                let claim = Self::entered(open()?, token, unlock, label).map_err(|(_, error)| error)?;
                // ORDERING: SeqCst fence, edge "table"; partner: the one in `before`.
                fence(Ordering::SeqCst);
                if STARTED.load(Ordering::Relaxed) == forks {
                    return Ok(claim);
                }
            } else if waits < YIELDS {
                waits += 1;
                std::thread::yield_now();
            } else {
                std::thread::sleep(PAUSE);
            }
            start.get_or_insert_with(Instant::now);
        }
        Err(OsError::new("fork in other threads", libc::EAGAIN, label))
    }

    /// Keeps a descriptor that is open already. A fork by another thread since it was opened is not noticed.
    ///
    /// # Errors
    /// EMFILE if this process has [`CLAIMS_MAX`] claims.
    pub fn keep(fd: OwnedFd, unlock: fn(BorrowedFd<'_>), label: &str) -> Result<Self, OsError> {
        Self::keep_or_return(fd, unlock, label).map_err(|(_, error)| error)
    }

    /// As [`keep`](Self::keep); the descriptor comes back with the error.
    pub(crate) fn keep_or_return(fd: OwnedFd, unlock: fn(BorrowedFd<'_>), label: &str) -> Result<Self, (OwnedFd, OsError)> {
        Self::entered(fd, Token::current(), unlock, label)
    }

    fn entered(fd: OwnedFd, token: Token, unlock: fn(BorrowedFd<'_>), label: &str) -> Result<Self, (OwnedFd, OsError)> {
        match enter(fd.as_raw_fd()) {
            Some(place) => Ok(Self { fd: ManuallyDrop::new(fd), place, token, unlock }),
            None => Err((fd, OsError::new("table of claims", libc::EMFILE, label))),
        }
    }

    /// Whether the calling process is the one that made it.
    #[inline]
    #[must_use]
    pub fn is_mine(&self) -> bool {
        self.token.is_mine()
    }
}

impl AsFd for Claim {
    /// The descriptor; in a forked child it is closed, or somebody else's.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl seqslot_core::Claim for Claim {
    #[inline]
    fn is_mine(&self) -> bool {
        self.token.is_mine()
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if !self.is_mine() {
            // The child's copy is closed; its number may be somebody else's by now.
            return;
        }
        // Unlocked first: a fork by another thread between here and `close` then copies a description that holds nothing.
        // Taken from the table before it is closed, or the handler could close a descriptor that got the number anew.
        (self.unlock)(self.fd.as_fd());
        TABLE[self.place].store(VACANT, Ordering::Relaxed);
        // ORDERING: SeqCst fence: the entry is vacant before the number can be given out anew.
        fence(Ordering::SeqCst);
        // SAFETY: dropped here and nowhere else; not used afterwards.
        unsafe { ManuallyDrop::drop(&mut self.fd) };
    }
}
