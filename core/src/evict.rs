//! Evicting a living reader that hangs, and seeing which one does.

use core::time::Duration;

use portable_atomic::Ordering::{Acquire, Relaxed, Release};

use crate::error::EvictError;
use crate::index::{ReaderIndex, WriterIndex};
use crate::layout::control::{STATE_CLEAN, STATE_EVICTED, STATE_MASK, STATE_SEEDS};
use crate::reader::ReaderId;
use crate::segment::{Segment, SlotsOs};

/// How far behind a reader is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Lag {
    /// The reader.
    pub reader: ReaderId,
    /// Process number of its holder, 0 if unknown.
    pub pid: u32,
    /// Slots whose samples it owes a read: waiting for it, or held by it. (Overwriting segments: slots it is inside of.)
    pub owed: u32,
    /// Samples it has taken in its life.
    pub taken: u32,
}

/// Remembers readers' progress between two looks, to tell how long one has made none. O(slots) a look.
///
/// ```
/// use seqslot_core::LagWatch;
/// # #[repr(align(64))] struct Bank([core::sync::atomic::AtomicU8; 16384]);
/// # static BANK: Bank = Bank([const { core::sync::atomic::AtomicU8::new(0) }; 16384]);
/// # // SAFETY: nobody else uses the bank, and one segment is made in it.
/// # let region = unsafe { seqslot_core::Region::new(&BANK.0) }?;
/// # let segment = seqslot_core::Segment::create(seqslot_core::Bare::new(region), &(), &seqslot_core::Config::slots(4, 64))?;
/// let (reader, writer) = (segment.reader()?, segment.writer()?);
/// writer.send(b"unread")?;
/// let mut watch = LagWatch::default();
/// let mut slow = None;
/// watch.look(&segment, |lag, idle| slow = Some((lag.reader, lag.owed, idle)));
/// let (who, owed, idle) = slow.expect("one reader");
/// assert_eq!((who, owed), (reader.id(), 1));
/// assert!(idle.is_zero(), "the first look, and the clock of `Bare` stands still");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct LagWatch {
    seen: [Option<(Lag, Duration)>; 32],
}

impl LagWatch {
    /// Looks at the segment now: each reader that owes something, and for how long it has taken nothing and let go of nothing.
    pub fn look<O: SlotsOs>(&mut self, segment: &Segment<O>, mut tell: impl FnMut(Lag, Duration)) {
        let now = segment.os().now();
        let mut present = 0_u32;
        segment.lag(|lag| {
            present |= lag.reader.index.bit();
            let seen = &mut self.seen[lag.reader.index.get() as usize];
            let since = match seen {
                Some((before, since)) if *before == lag && lag.owed != 0 => *since,
                _ => now,
            };
            *seen = Some((lag, since));
            tell(lag, now.saturating_sub(since));
        });
        for (index, seen) in self.seen.iter_mut().enumerate() {
            if present & 1 << index == 0 {
                *seen = None;
            }
        }
    }
}

impl<O: SlotsOs> Segment<O> {
    /// Tells how far behind each reader is. A picture taken while everybody goes on. O(slots).
    ///
    /// ```
    /// # #[repr(align(64))] struct Bank([core::sync::atomic::AtomicU8; 16384]);
    /// # static BANK: Bank = Bank([const { core::sync::atomic::AtomicU8::new(0) }; 16384]);
    /// # // SAFETY: nobody else uses the bank, and one segment is made in it.
    /// # let region = unsafe { seqslot_core::Region::new(&BANK.0) }?;
    /// # let segment = seqslot_core::Segment::create(seqslot_core::Bare::new(region), &(), &seqslot_core::Config::slots(4, 64))?;
    /// let (reader, writer) = (segment.reader()?, segment.writer()?);
    /// writer.send(b"read")?;
    /// writer.send(b"unread")?;
    /// drop(reader.take()?);
    /// let mut seen = Vec::new();
    /// segment.lag(|lag| seen.push((lag.reader, lag.owed, lag.taken)));
    /// assert_eq!(seen, [(reader.id(), 1, 1)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn lag(&self, mut tell: impl FnMut(Lag)) {
        let mut owed = [0_u32; 32];
        for slot in self.view().slots() {
            // ORDERING: Relaxed, both; a picture.
            let bits = if self.geometry().overwrite { slot.pins().load(Relaxed) } else { slot.unread().load(Relaxed) };
            for reader in crate::index::bits(bits & self.view().active().load(Relaxed)) {
                owed[reader as usize] += 1;
            }
        }
        for index in (0..self.geometry().readers).filter_map(ReaderIndex::new) {
            let Some(entry) = self.view().reader_entry(index) else { continue };
            // ORDERING: Acquire; the entry's words are those of this holder.
            let state = entry.state().load(Acquire);
            if state & STATE_MASK != STATE_CLEAN {
                tell(Lag {
                    reader: ReaderId { index, state },
                    pid: entry.pid().load(Relaxed),
                    owed: owed[index.get() as usize],
                    taken: entry.head().load(Relaxed),
                });
            }
        }
    }

    /// Evicts a living reader that hangs: it counts no more, its slots are free, and its next call answers
    /// [`Evicted`](crate::TakeError::Evicted). Its index stays quarantined until it lets go of it.
    ///
    /// A slice it is still reading in place may change under it: that is the price, and why this is never done unasked.
    ///
    /// # Errors
    /// [`EvictError::Gone`] if the index is another's by now: a successor is never hit.
    ///
    /// # Safety
    ///
    /// If the reader is one of this process, none of its samples is looked at from now on (dropping them is harmless). For readers of
    /// other processes the caller makes the same promise as far as their answers matter to anybody.
    ///
    /// ```
    /// use seqslot_core::{EvictError, TakeError};
    /// # #[repr(align(64))] struct Bank([core::sync::atomic::AtomicU8; 16384]);
    /// # static BANK: Bank = Bank([const { core::sync::atomic::AtomicU8::new(0) }; 16384]);
    /// # // SAFETY: nobody else uses the bank, and one segment is made in it.
    /// # let region = unsafe { seqslot_core::Region::new(&BANK.0) }?;
    /// # let segment = seqslot_core::Segment::create(seqslot_core::Bare::new(region), &(), &seqslot_core::Config::slots(4, 64))?;
    /// let (reader, writer) = (segment.reader()?, segment.writer()?);
    /// writer.send(b"unread")?;
    /// let id = reader.id();
    /// // SAFETY: no sample of the reader is out.
    /// unsafe { segment.evict(id) }?;
    /// assert_eq!((segment.active_readers(), segment.stats().evicted_readers), (0, 1));
    /// assert_eq!(reader.take().err(), Some(TakeError::Evicted));
    /// drop(reader);
    /// let successor = segment.reader()?;
    /// assert_eq!(successor.index(), id.index());
    /// // SAFETY: as above.
    /// assert_eq!(unsafe { segment.evict(id) }, Err(EvictError::Gone));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub unsafe fn evict(&self, reader: ReaderId) -> Result<(), EvictError> {
        let index = reader.index;
        let out_of_bounds = EvictError::OutOfBounds { index: index.get(), entries: self.geometry().readers };
        let entry = self.view().reader_entry(index).ok_or(out_of_bounds)?;
        // While this is held nobody joins with the index once it is marked evicted, so what follows cannot hit a successor.
        let _eviction = self.claim_eviction().map_err(EvictError::Os)?.ok_or(EvictError::Busy)?;
        if reader.state & STATE_MASK == STATE_CLEAN {
            return Err(EvictError::Gone);
        }
        let evicted = reader.state | STATE_EVICTED;
        // ORDERING: Release; who finds the entry evicted takes the eviction lock before it goes on. Failure: Relaxed, another holder,
        // or an eviction that died half done: all that follows may be done twice.
        match entry.state().compare_exchange(reader.state, evicted, Release, Relaxed) {
            Ok(_) => {}
            Err(found) if found == evicted => {}
            Err(_) => return Err(EvictError::Gone),
        }
        // ORDERING: Relaxed; noticed soon.
        self.view().quarantined().fetch_or(index.bit(), Relaxed);
        let [_, _, _, evictions] = self.view().totals();
        evictions.fetch_add(1, Relaxed);
        self.protocol().leave(index);
        // One that an eviction left half done may have been of the seeds' face: disconnecting does the other kind no harm.
        if matches!(reader.state & STATE_MASK, STATE_SEEDS | STATE_EVICTED) {
            self.protocol().disconnect(index);
        }
        // Should it be parked, it is to learn of it now.
        self.protocol().notify_all();
        Ok(())
    }

    /// Counters of the segment as a whole and of each writer, as any process may read them.
    ///
    /// ```
    /// # #[repr(align(64))] struct Bank([core::sync::atomic::AtomicU8; 16384]);
    /// # static BANK: Bank = Bank([const { core::sync::atomic::AtomicU8::new(0) }; 16384]);
    /// # // SAFETY: nobody else uses the bank, and one segment is made in it.
    /// # let region = unsafe { seqslot_core::Region::new(&BANK.0) }?;
    /// # let segment = seqslot_core::Segment::create(seqslot_core::Bare::new(region), &(), &seqslot_core::Config::slots(4, 64))?;
    /// let (reader, writer) = (segment.reader()?, segment.writer()?);
    /// writer.send(b"read")?;
    /// writer.send(b"unread")?;
    /// drop(reader.take()?);
    /// let stats = segment.stats();
    /// assert_eq!((stats.published, stats.taken, stats.missed), (2, 1, 0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn stats(&self) -> Stats {
        let [writers, readers, slots, evictions] = self.view().totals().map(|word| word.load(Relaxed));
        let mut stats = Stats {
            recovered_writers: writers,
            recovered_readers: readers,
            recovered_slots: slots,
            evicted_readers: evictions,
            ..Stats::default()
        };
        for entry in (0..self.geometry().writers).filter_map(WriterIndex::new).filter_map(|index| self.view().writer_entry(index)) {
            stats.published = stats.published.wrapping_add(entry.published(self.geometry().ring_len));
            stats.overwritten = stats.overwritten.wrapping_add(entry.overwritten().load(Relaxed));
            stats.retries = stats.retries.wrapping_add(entry.retries().load(Relaxed));
        }
        for entry in (0..self.geometry().readers).filter_map(ReaderIndex::new).filter_map(|index| self.view().reader_entry(index)) {
            stats.taken = stats.taken.wrapping_add(entry.head().load(Relaxed));
            stats.missed = stats.missed.wrapping_add(entry.burnt().load(Relaxed));
            stats.bad_sizes = stats.bad_sizes.wrapping_add(entry.lapses().load(Relaxed));
        }
        stats
    }
}

/// Counters, each wrapping after 2^32. A picture taken while everybody goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Stats {
    /// Samples published by all writers, ever.
    pub published: u32,
    /// Samples taken by the present (or last) holders of the reader entries.
    pub taken: u32,
    /// Positions that were gone when those readers came to them.
    pub missed: u32,
    /// Samples of bad size that those readers skipped.
    pub bad_sizes: u32,
    /// Samples that writers took away (overwriting segments).
    pub overwritten: u32,
    /// Claims put back after the second look.
    pub retries: u32,
    /// Writers recovered.
    pub recovered_writers: u32,
    /// Readers recovered.
    pub recovered_readers: u32,
    /// Loans taken back from dead writers.
    pub recovered_slots: u32,
    /// Readers evicted alive.
    pub evicted_readers: u32,
}
