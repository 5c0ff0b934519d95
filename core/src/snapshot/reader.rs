//! The reader over an operating system, and what a snapshot tells about itself.

use core::fmt;
use core::ops::Deref;
use core::time::Duration;

use portable_atomic::Ordering;

use super::pen::{Lens, check_type};
use super::value::{SnapshotCache, SnapshotValue};
use super::view::SnapshotView;
use crate::deadline::Deadline;
use crate::error::{AttachError, SnapshotError};
use crate::layout::control::ENTRY_PID;
use crate::os::{Access, Lock, Mapping, MemoryOf, Os, Woken};

/// The first sleep of a wait that can only look; each one after it is twice as long, up to [`SLEEP_MAX`].
const SLEEP_MIN: Duration = Duration::from_micros(20);
/// The longest sleep of a wait that can only look.
const SLEEP_MAX: Duration = Duration::from_millis(10);
/// The longest sleep on the futex word, so that nothing depends on the writer's life.
const SLICE: Duration = Duration::from_secs(1);

/// A consistent copy of the newest value; derefs to it.
#[derive(Debug)]
pub struct Snapshot<'a, T: ?Sized> {
    value: &'a T,
    generation: u64,
    fresh: bool,
}

impl<'a, T: ?Sized> Snapshot<'a, T> {
    pub(super) fn new(value: &'a T, generation: u64, fresh: bool) -> Self {
        Self { value, generation, fresh }
    }

    /// True if the value was published after the one of the reader's call before; false if nothing new was there.
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        self.fresh
    }

    /// The value's generation: rises with each publication (by one, except when the low 32 bits wrap); never 0.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The value, for as long as the reader is borrowed.
    #[must_use]
    pub fn value(&self) -> &'a T {
        self.value
    }
}

impl<T: ?Sized> Deref for Snapshot<'_, T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        self.value
    }
}

/// What is known about a segment's writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum WriterLife {
    /// It holds its lock.
    Alive,
    /// It dropped its handle: nothing comes until another writer attaches.
    Left,
    /// It is gone without a word. The last published value is whole.
    Dead,
    /// The platform cannot tell from a read-only mapping.
    Unknown,
}

/// What [`SnapshotReader::freshness`] tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct Freshness {
    /// Whether the writer lives.
    pub writer: WriterLife,
    /// Process number of the writer in its own namespace; 0 if there is none.
    pub writer_pid: u32,
    /// The newest generation, 0 if nothing was published.
    pub generation: u64,
    /// For how long, by this reader's clock, calls of `freshness` have seen no other generation: the value is at least as old.
    /// Zero at the first call and after each change.
    pub unchanged_for: Duration,
}

/// A reader of a snapshot segment, which it maps read-only: it never writes a byte to it.
///
/// ```
/// use seqslot_core::{Bare, SnapshotConfig, SnapshotError, SnapshotReader, SnapshotWriter};
/// # #[repr(align(64))] struct Bank([core::sync::atomic::AtomicU8; 16384]);
/// # static BANK: Bank = Bank([const { core::sync::atomic::AtomicU8::new(0) }; 16384]);
/// # // SAFETY: nobody else uses the bank, and one segment is made in it.
/// # let region = unsafe { seqslot_core::Region::new(&BANK.0) }?;
/// let os = Bare::new(region);
/// let mut writer = SnapshotWriter::<_, u32>::create(os, &(), SnapshotConfig::of::<u32>())?;
/// let mut reader = SnapshotReader::<_, u32>::attach(os, &())?;
/// assert_eq!((reader.value_len(), reader.latest()), (4, 0));
/// assert_eq!(reader.snapshot().err(), Some(SnapshotError::Empty));
///
/// let generation = writer.publish(&7)?;
/// assert_eq!((*reader.snapshot()?, reader.latest()), (7, generation));
/// writer.publish(&8)?;
/// assert_eq!(*reader.cached().expect("seen before"), 7, "no look at the segment");
/// let mut bytes = [0; 4];
/// assert!(reader.read_into(&mut bytes)? > generation);
/// assert_eq!(u32::from_ne_bytes(bytes), 8);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct SnapshotReader<O: Os, T: SnapshotValue + ?Sized = [u8]> {
    lens: Lens<MemoryOf<O>, T>,
    /// The generation that the last `freshness` saw, and when it saw it first.
    noted: Option<(u64, Duration)>,
    // Last, because the view above is of no use without it.
    mapping: O::Mapping,
    os: O,
}

impl<O: Os, T: SnapshotValue + ?Sized> SnapshotReader<O, T> {
    /// Attaches to the segment `name`, whether its writer lives or not ([`freshness`](Self::freshness) tells).
    ///
    /// # Errors
    /// [`AttachError`]: no such name, not a snapshot of `T`'s size, or a system call.
    pub fn attach(os: O, name: &O::Name) -> Result<Self, AttachError> {
        Self::attach_as(os, name, None)
    }

    /// Attaches to the segment `name`, if it was made with this type hash.
    ///
    /// # Errors
    /// [`AttachError`], as for [`attach`](Self::attach); `Head(TypeMismatch)` if the hash differs.
    ///
    /// ```
    /// use seqslot_core::{AttachError, Bare, HeadError, SnapshotConfig, SnapshotReader, SnapshotWriter};
    /// # #[repr(align(64))] struct Bank([core::sync::atomic::AtomicU8; 16384]);
    /// # static BANK: Bank = Bank([const { core::sync::atomic::AtomicU8::new(0) }; 16384]);
    /// # // SAFETY: nobody else uses the bank, and one segment is made in it.
    /// # let region = unsafe { seqslot_core::Region::new(&BANK.0) }?;
    /// let os = Bare::new(region);
    /// let config = SnapshotConfig::of::<u32>().type_hash([1; 16]);
    /// let writer = SnapshotWriter::<_, u32>::create(os, &(), config)?;
    /// assert!(SnapshotReader::<_, u32>::attach_checked(os, &(), [1; 16]).is_ok());
    /// let other = SnapshotReader::<_, u32>::attach_checked(os, &(), [2; 16]);
    /// assert_eq!(other.err(), Some(AttachError::Head(HeadError::TypeMismatch)));
    /// # drop(writer);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn attach_checked(os: O, name: &O::Name, type_hash: [u8; 16]) -> Result<Self, AttachError> {
        Self::attach_as(os, name, Some(type_hash))
    }

    fn attach_as(os: O, name: &O::Name, type_hash: Option<[u8; 16]>) -> Result<Self, AttachError> {
        let mapping = os.open(name, Access::ReadOnly)?;
        let (view, head) = SnapshotView::of_mapping(&mapping)?;
        check_type::<T>(&head, type_hash)?;
        Ok(Self { lens: Lens::new(view), noted: None, mapping, os })
    }

    /// Copies the newest value into `into`, which must be as long as a value, and returns its generation. Never waits.
    ///
    /// # Errors
    /// [`SnapshotError`]: nothing published yet, overtaken on every try, damaged, or `into` of another length.
    pub fn read_into(&self, into: &mut [u8]) -> Result<u64, SnapshotError> {
        self.lens.read_into(into)
    }

    /// Bytes of a value.
    #[must_use]
    pub fn value_len(&self) -> usize {
        self.lens.view.geometry().capacity as usize
    }

    /// The newest generation, without its value; 0 if there is none.
    #[must_use]
    pub fn latest(&self) -> u64 {
        self.lens.view.latest()
    }

    /// Whether the writer lives, and for how long nothing has changed. May make a system call; never waits.
    ///
    /// ```
    /// use seqslot_core::{Bare, SnapshotConfig, SnapshotReader, SnapshotWriter, WriterLife};
    /// # #[repr(align(64))] struct Bank([core::sync::atomic::AtomicU8; 16384]);
    /// # static BANK: Bank = Bank([const { core::sync::atomic::AtomicU8::new(0) }; 16384]);
    /// # // SAFETY: nobody else uses the bank, and one segment is made in it.
    /// # let region = unsafe { seqslot_core::Region::new(&BANK.0) }?;
    /// let os = Bare::new(region);
    /// let mut writer = SnapshotWriter::<_, u32>::create(os, &(), SnapshotConfig::of::<u32>())?;
    /// let mut reader = SnapshotReader::<_, u32>::attach(os, &())?;
    /// let generation = writer.publish(&7)?;
    /// let seen = reader.freshness();
    /// assert_eq!((seen.writer, seen.generation), (WriterLife::Alive, generation));
    /// writer.leave();
    /// assert_eq!(reader.freshness().writer, WriterLife::Left);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn freshness(&mut self) -> Freshness {
        let view = &self.lens.view;
        let lock = view.writer_lock();
        let claimed = self.mapping.is_claimed(Lock::writer(0), lock.futex());
        let left = view.has_left();
        let writer = match claimed {
            Ok(true) => WriterLife::Alive,
            _ if left => WriterLife::Left,
            Ok(false) => WriterLife::Dead,
            Err(_) => WriterLife::Unknown,
        };
        let (generation, now) = (view.latest(), self.os.now());
        let since = match self.noted {
            Some((noted, since)) if noted == generation => since,
            _ => now,
        };
        self.noted = Some((generation, since));
        Freshness {
            writer,
            writer_pid: view.entry(ENTRY_PID).load(Ordering::Relaxed),
            generation,
            unchanged_for: now.saturating_sub(since),
        }
    }

    /// Waits until something newer than the last [`snapshot`](Self::snapshot) is published (anything at all, if there was none);
    /// false if `timeout` passes first. Zero only looks.
    ///
    /// Sleeps on the segment where it was made to wake always, else looks in growing steps of 20 us to 10 ms.
    ///
    /// ```
    /// use core::time::Duration;
    /// use seqslot_core::{Bare, SnapshotConfig, SnapshotReader, SnapshotWriter};
    /// # #[repr(align(64))] struct Bank([core::sync::atomic::AtomicU8; 16384]);
    /// # static BANK: Bank = Bank([const { core::sync::atomic::AtomicU8::new(0) }; 16384]);
    /// # // SAFETY: nobody else uses the bank, and one segment is made in it.
    /// # let region = unsafe { seqslot_core::Region::new(&BANK.0) }?;
    /// let os = Bare::new(region);
    /// let mut writer = SnapshotWriter::<_, u32>::create(os, &(), SnapshotConfig::of::<u32>())?;
    /// let mut reader = SnapshotReader::<_, u32>::attach(os, &())?;
    /// assert!(!reader.wait_newer(Duration::from_millis(1)));
    /// writer.publish(&7)?;
    /// assert!(reader.wait_newer(Duration::from_millis(1)));
    /// assert_eq!(*reader.snapshot()?, 7);
    /// assert!(!reader.wait_newer(Duration::ZERO), "seen already");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn wait_newer(&self, timeout: Duration) -> bool {
        let mut deadline = Deadline::new(&self.os, timeout);
        let mut step = SLEEP_MIN;
        loop {
            let latest = self.lens.view.latest();
            if latest != self.lens.seen {
                return true;
            }
            let always_wake = self.lens.view.geometry().always_wake;
            let Some(slice) = deadline.next(if always_wake { SLICE } else { step }) else { return false };
            let woken = if always_wake {
                self.os.wait(self.lens.view.latest_low().futex(), latest as u32, u32::MAX, slice)
            } else {
                self.os.sleep(slice);
                step = (step * 2).min(SLEEP_MAX);
                Woken::TimedOut
            };
            // Every return counts, also where no clock runs: whoever wakes in vain does not keep it here.
            deadline.account(&self.os, slice, woken);
        }
    }
}

impl<O: Os, T: SnapshotValue + ?Sized> SnapshotReader<O, T>
where
    T::Cache: SnapshotCache<T>,
{
    /// The newest value. Never waits; looks at one cache line if nothing has changed since the last call.
    ///
    /// # Errors
    /// [`SnapshotError`]: nothing published yet, overtaken on every try (at most [`SNAPSHOT_TRIES_MAX`](super::SNAPSHOT_TRIES_MAX)), or
    /// damaged. The last good value stays in [`cached`](Self::cached).
    #[inline]
    pub fn snapshot(&mut self) -> Result<Snapshot<'_, T>, SnapshotError> {
        self.lens.snapshot()
    }

    /// The value of the last successful [`snapshot`](Self::snapshot), without a look at the segment.
    #[must_use]
    pub fn cached(&self) -> Option<Snapshot<'_, T>> {
        self.lens.cached()
    }
}

impl<O: Os, T: SnapshotValue + ?Sized> fmt::Debug for SnapshotReader<O, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SnapshotReader").field("seen", &self.lens.seen).finish_non_exhaustive()
    }
}
