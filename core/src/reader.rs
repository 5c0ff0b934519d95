//! The reader's handle.

mod id;
mod look;

use core::cell::Cell;
use core::marker::PhantomData;
use core::time::Duration;

use portable_atomic::Ordering::{Relaxed, Release};

use crate::config::READER_SLICE;
use crate::deadline::Deadline;
use crate::error::{JoinError, TakeError};
use crate::index::{ReaderIndex, WRITERS_MAX, WriterIndex};
use crate::layout::control::{SEEDS, STATE_IN_USE, STATE_MASK};
use crate::memory::Memory as _;
use crate::os::{Claim, Woken};
use crate::registry::{Claimed, clean, is_first};
use crate::sample::Sample;
use crate::segment::{Segment, SegmentHandle};
use crate::slots::notify::Wait;
use crate::slots::take::{Follow, Found};
use crate::slots::view::RingPlace;
use crate::typed::{Payload, fits};
pub use id::ReaderId;
use look::{Got, Next, ever, sole};

/// What a look that only moved a cursor counts for where no clock runs.
const TICK: Duration = Duration::from_micros(1);
/// Looks at the slots before a reader parks. (A model checker, which knows no time, would see nothing new after two.)
const SPINS: u32 = if cfg!(loom) { 2 } else { 256 };

/// Receives every sample committed after its join, in each writer's order, in place.
///
/// `Send`, not `Sync`: one thread at a time takes. Several [`Sample`]s may be out at once, also on other threads; none outlives the
/// reader. Dropping the reader gives back everything it still owes.
///
/// `H` is how it holds the segment: `&Segment`, or `Arc<Segment>` (feature `alloc`) for a reader that lives on its own.
///
/// ```
/// # #[repr(align(64))] struct Bank([core::sync::atomic::AtomicU8; 16384]);
/// # static BANK: Bank = Bank([const { core::sync::atomic::AtomicU8::new(0) }; 16384]);
/// # // SAFETY: nobody else uses the bank, and one segment is made in it.
/// # let region = unsafe { seqslot_core::Region::new(&BANK.0) }?;
/// # let segment = seqslot_core::Segment::create(seqslot_core::Bare::new(region), &(), &seqslot_core::Config::slots(4, 64))?;
/// let writer = segment.writer()?;
/// writer.send(b"before the join")?;
/// let reader = segment.reader()?;
/// assert!(reader.take()?.is_none());
/// writer.send(b"one")?;
/// writer.send(b"two")?;
/// let (one, two) = (reader.take()?.expect("committed"), reader.take()?.expect("committed"));
/// assert_eq!((&*one, &*two), (&b"one"[..], &b"two"[..]));
/// drop(two); // in any order
/// drop(one);
/// assert_eq!((reader.taken(), reader.missed()), (2, 0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Reader<H: SegmentHandle, T: ?Sized = [u8]> {
    pub(crate) shared: ReaderShared<H>,
    follow: [Follow; WRITERS_MAX as usize],
    /// Writers known to have been used.
    known: Cell<u32>,
    /// The only one of them, if there is but one; else 32.
    sole: Cell<u32>,
    /// The writer served last.
    last: Cell<u32>,
    taken: Cell<u32>,
    /// Samples taken before the last look in vain.
    dry_at: Cell<u32>,
    missed: Cell<u32>,
    /// The last take only moved a cursor: no reason to park.
    moved: Cell<bool>,
    payload: PhantomData<fn(&T)>,
}

/// What a reader shares with its samples: enough to let go of one, from any thread.
pub(crate) struct ReaderShared<H: SegmentHandle> {
    // Let go of before the handle, which may be the last one to the mapping.
    claimed: Claimed<H::Platform, ReaderIndex>,
    pub(crate) handle: H,
}

impl<H: SegmentHandle, T: Payload + ?Sized> Reader<H, T> {
    /// Claims the first free reader entry of the segment and joins: everything committed after this returns is delivered. What is being
    /// committed meanwhile may be delivered or not, each sample for itself; what was committed before is not.
    /// O(slots). Where every entry seems taken it looks again a few times, a millisecond apart: one may be being put right just now.
    ///
    /// # Errors
    /// [`JoinError`]: every entry is taken by somebody alive, `T` does not fit, or the system refused.
    ///
    /// ```
    /// # #[cfg(feature = "alloc")] {
    /// use seqslot_core::Reader;
    /// use std::sync::Arc;
    /// # #[repr(align(64))] struct Bank([core::sync::atomic::AtomicU8; 16384]);
    /// # static BANK: Bank = Bank([const { core::sync::atomic::AtomicU8::new(0) }; 16384]);
    /// # // SAFETY: nobody else uses the bank, and one segment is made in it.
    /// # let region = unsafe { seqslot_core::Region::new(&BANK.0) }?;
    /// # let segment = seqslot_core::Segment::create(seqslot_core::Bare::new(region), &(), &seqslot_core::Config::slots(4, 64))?;
    /// let segment = Arc::new(segment);
    /// let reader: Reader<_> = Reader::join(Arc::clone(&segment))?; // lives on its own: may go to a thread
    /// let first = std::thread::spawn(move || loop {
    ///     if let Some(sample) = reader.take()? {
    ///         return Ok::<_, seqslot_core::TakeError>(sample.to_vec());
    ///     }
    ///     std::thread::yield_now();
    /// });
    /// let writer = segment.writer()?;
    /// writer.send(b"to a thread")?;
    /// assert_eq!(first.join().expect("no panic")?, b"to a thread");
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn join(handle: H) -> Result<Self, JoinError> {
        Self::join_wanted(handle, None)
    }

    /// As [`join`](Self::join), with this very index.
    ///
    /// # Errors
    /// [`JoinError::Taken`], [`JoinError::OutOfBounds`], and as [`join`](Self::join).
    ///
    /// ```
    /// use seqslot_core::{JoinError, Reader, ReaderIndex};
    /// # #[repr(align(64))] struct Bank([core::sync::atomic::AtomicU8; 16384]);
    /// # static BANK: Bank = Bank([const { core::sync::atomic::AtomicU8::new(0) }; 16384]);
    /// # // SAFETY: nobody else uses the bank, and one segment is made in it.
    /// # let region = unsafe { seqslot_core::Region::new(&BANK.0) }?;
    /// # let segment = seqslot_core::Segment::create(seqslot_core::Bare::new(region), &(), &seqslot_core::Config::slots(4, 64))?;
    /// let index = ReaderIndex::new(5).expect("below 32");
    /// let reader: Reader<_> = Reader::join_as(&segment, index)?;
    /// assert_eq!((reader.index(), segment.active_readers()), (index, 1 << 5));
    /// assert_eq!(Reader::<_, [u8]>::join_as(&segment, index).err(), Some(JoinError::Taken { index: 5 }));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn join_as(handle: H, index: ReaderIndex) -> Result<Self, JoinError> {
        Self::join_wanted(handle, Some(index))
    }

    fn join_wanted(handle: H, wanted: Option<ReaderIndex>) -> Result<Self, JoinError> {
        if !fits::<T>(handle.geometry().capacity, handle.geometry().align) {
            return Err(JoinError::TypeMismatch);
        }
        let claimed = handle.claim_reader(wanted, STATE_IN_USE)?;
        let mut follow = [const { None }; WRITERS_MAX as usize];
        let is_first = is_first(claimed.state);
        handle.protocol().join(claimed.index, is_first, |writer, start| follow[writer.get() as usize] = Some(start));
        // ORDERING: Relaxed; behind the sweep, who sees the bit cleared meets a reader that counts anyway.
        handle.view().disconnected().fetch_and(!claimed.index.bit(), Relaxed);
        // Full fence, edge "notify": the sweep comes before the look at the flag. Whoever sets it fences before it looks at the slots.
        handle.view().memory().fence_full();
        // ORDERING: Relaxed; the fence.
        if handle.view().flags().load(Relaxed) & SEEDS != 0 {
            // The sweep may have freed slots that a writer of the seeds' face waits for.
            handle.protocol().tell_of_freed_slots();
        }
        // ORDERING: Relaxed; the join's AcqRel is before it, an eviction's exchange before its leave: one of the two comes last.
        let state = handle.view().reader_entry(claimed.index).map_or(0, |entry| entry.state().load(Relaxed));
        if state != claimed.state {
            // Evicted within the join: what that took away was given back by the join, and goes again.
            handle.protocol().leave(claimed.index);
            return Err(JoinError::Taken { index: claimed.index.get() });
        }
        // ORDERING: Acquire, edge "close"; a hint of whom to poll, completed by every empty take.
        let known = ever(&handle);
        Ok(Self {
            shared: ReaderShared { handle, claimed },
            follow: follow.map(|start| start.unwrap_or(Follow::new(RingPlace::NOWHERE, 0, 0))),
            known: Cell::new(known),
            sole: Cell::new(sole(known)),
            last: Cell::new(0),
            taken: Cell::new(0),
            dry_at: Cell::new(0),
            missed: Cell::new(0),
            moved: Cell::new(false),
            payload: PhantomData,
        })
    }

    /// Takes the next sample, if there is one. Never waits and never recovers: may run in a signal or interrupt handler. Who only
    /// polls learns of a writer's death when somebody else recovers it ([`Segment::recover`], or any wait).
    ///
    /// # Errors
    /// [`TakeError::Closed`] or [`TakeError::WriterDied`] once everything was read and no writer is left that could bring more;
    /// [`TakeError::Evicted`], [`TakeError::Forked`]; [`TakeError::BadSize`] for a sample that a peer spoilt.
    ///
    /// ```
    /// use seqslot_core::TakeError;
    /// # #[repr(align(64))] struct Bank([core::sync::atomic::AtomicU8; 16384]);
    /// # static BANK: Bank = Bank([const { core::sync::atomic::AtomicU8::new(0) }; 16384]);
    /// # // SAFETY: nobody else uses the bank, and one segment is made in it.
    /// # let region = unsafe { seqslot_core::Region::new(&BANK.0) }?;
    /// # let segment = seqslot_core::Segment::create(seqslot_core::Bare::new(region), &(), &seqslot_core::Config::slots(4, 64))?;
    /// let (reader, writer) = (segment.reader()?, segment.writer()?);
    /// assert!(reader.take()?.is_none()); // nothing yet, and a writer that may bring more
    /// writer.send(b"hello")?;
    /// drop(writer);
    /// assert_eq!(reader.take()?.as_deref(), Some(&b"hello"[..]));
    /// assert_eq!(reader.take().err(), Some(TakeError::Closed));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline(always)]
    pub fn take(&self) -> Result<Option<Sample<'_, H, T>>, TakeError> {
        let got = match self.take_next() {
            Next::Got(got) => got,
            Next::Nothing => {
                self.moved.set(false);
                return Ok(None);
            }
            // Its answer is made a sample here, not there: a sample that came from either side would go through memory.
            Next::Unsure => match self.take_slowly()? {
                Some(got) => got,
                None => return Ok(None),
            },
        };
        self.sample(got).map(Some)
    }

    /// Takes the next sample; waits for one at most `timeout` in all. Sleeps in slices of a second, after each of which it looks
    /// for dead peers, so that it never waits for somebody who is gone.
    ///
    /// # Errors
    /// [`TakeError::TimedOut`], and as [`take`](Self::take).
    ///
    /// ```
    /// use core::time::Duration;
    /// use seqslot_core::TakeError;
    /// # #[repr(align(64))] struct Bank([core::sync::atomic::AtomicU8; 16384]);
    /// # static BANK: Bank = Bank([const { core::sync::atomic::AtomicU8::new(0) }; 16384]);
    /// # // SAFETY: nobody else uses the bank, and one segment is made in it.
    /// # let region = unsafe { seqslot_core::Region::new(&BANK.0) }?;
    /// # let segment = seqslot_core::Segment::create(seqslot_core::Bare::new(region), &(), &seqslot_core::Config::slots(4, 64))?;
    /// let (reader, writer) = (segment.reader()?, segment.writer()?);
    /// assert_eq!(reader.take_timeout(Duration::from_millis(1)).err(), Some(TakeError::TimedOut));
    /// writer.send(b"hello")?;
    /// assert_eq!(&*reader.take_timeout(Duration::from_millis(1))?, b"hello");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn take_timeout(&self, timeout: Duration) -> Result<Sample<'_, H, T>, TakeError> {
        for _ in 0..SPINS {
            if let Some(sample) = self.take()? {
                return Ok(sample);
            }
            core::hint::spin_loop();
        }
        let segment = &*self.shared.handle;
        let mut deadline = Deadline::new(segment.os(), timeout);
        let mut moves = 0_u32;
        // Slept since the dead were looked for.
        let mut unlooked = Duration::ZERO;
        loop {
            let view = segment.view();
            let wait = Wait::begin(segment.protocol(), view.reader_waiters(), view.reader_generation(), self.index().bit());
            // The look after the registration: what was committed before it told nobody.
            if let Some(sample) = self.take()? {
                return Ok(sample);
            }
            if self.moved.get() {
                // Not a reason to park; the time runs on all the same, but for a first look behind the cursor.
                drop(wait);
                deadline.account(segment.os(), TICK, Woken::TimedOut);
                moves += 1;
                if moves > 1 && deadline.next(READER_SLICE).is_none() {
                    return Err(TakeError::TimedOut);
                }
                continue;
            }
            let Some(slice) = deadline.next(READER_SLICE) else { return Err(TakeError::TimedOut) };
            let slice = wait.at_most(slice);
            let woken = wait.sleep(slice);
            deadline.account(segment.os(), slice, woken);
            if woken == Woken::TimedOut {
                unlooked += slice;
                if unlooked >= READER_SLICE || deadline.next(READER_SLICE).is_none() {
                    self.look_for_the_dead()?;
                    unlooked = Duration::ZERO;
                }
            }
            // Before it registers again, which costs a fence on every processor.
            if let Some(sample) = self.take()? {
                return Ok(sample);
            }
        }
    }

    /// Its index: its bit in every reader mask.
    pub fn index(&self) -> ReaderIndex {
        self.shared.claimed.index
    }

    /// Who this reader is among all that had or will have its index: what an eviction names.
    pub fn id(&self) -> ReaderId {
        ReaderId { index: self.index(), state: self.shared.claimed.state }
    }

    /// The segment.
    pub fn segment(&self) -> &Segment<H::Platform> {
        &self.shared.handle
    }

    /// Samples taken.
    pub fn taken(&self) -> u32 {
        self.taken.get()
    }

    /// Samples that were overwritten before this reader came to them: 0 where overwriting is not allowed.
    pub fn missed(&self) -> u32 {
        self.missed.get()
    }

    /// Turns a found slot into a sample, or marks it read at once if its size cannot be.
    #[inline(always)]
    fn sample(&self, got: Got) -> Result<Sample<'_, H, T>, TakeError> {
        let Got { found, writer, position, missed } = got;
        let segment = &*self.shared.handle;
        let geometry = segment.geometry();
        if missed != 0 {
            self.count_missed(missed);
        }
        let is_good = T::SIZE.map_or(found.size <= geometry.capacity, |size| found.size as usize == size);
        if !is_good {
            return Err(self.skip(found));
        }
        let taken = self.taken.get().wrapping_add(1);
        self.taken.set(taken);
        if let Some(entry) = segment.view().reader_entry(self.index()) {
            // ORDERING: Relaxed; for people, on a line of our own.
            entry.head().store(taken, Relaxed);
        }
        Ok(Sample::new(&self.shared, found, writer, position.wrapping_sub(geometry.ring_len), missed))
    }

    #[cold]
    fn skip(&self, found: Found) -> TakeError {
        let segment = &*self.shared.handle;
        segment.protocol().release(self.index(), found.index);
        if let Some(entry) = segment.view().reader_entry(self.index()) {
            entry.lapses().fetch_add(1, Relaxed);
        }
        TakeError::BadSize { size: found.size, capacity: segment.geometry().capacity }
    }

    #[cold]
    fn count_missed(&self, missed: u32) {
        if missed == 0 {
            return;
        }
        let total = self.missed.get().wrapping_add(missed);
        self.missed.set(total);
        if let Some(entry) = self.shared.handle.view().reader_entry(self.index()) {
            // ORDERING: Relaxed; for people, on a line of our own.
            entry.burnt().store(total, Relaxed);
        }
    }

    /// At the end of a slice: recovers the dead, and says so if nobody is left to wait for.
    fn look_for_the_dead(&self) -> Result<(), TakeError> {
        let segment = &*self.shared.handle;
        // What cannot be looked at now (descriptors ran out) is looked at after the next slice.
        let _ = segment.recover();
        // ORDERING: Relaxed; a look in passing.
        if segment.view().ever().load(Relaxed) == 0 && !segment.is_owner() && segment.owner_lives() == Ok(false) {
            let writers = (0..segment.geometry().writers).filter_map(WriterIndex::new);
            if !writers.into_iter().any(|writer| segment.writer_lives(writer) != Ok(false)) {
                return Err(TakeError::PeersGone);
            }
        }
        Ok(())
    }
}

impl<H: SegmentHandle> ReaderShared<H> {
    /// Lets go of a sample.
    #[inline(always)]
    pub(crate) fn release(&self, slot: u32) {
        if self.claimed.claim.is_mine() {
            self.handle.protocol().release(self.claimed.index, slot);
        }
    }
}

impl<H: SegmentHandle> Drop for ReaderShared<H> {
    fn drop(&mut self) {
        if !self.claimed.claim.is_mine() {
            return;
        }
        let Some(entry) = self.handle.view().reader_entry(self.claimed.index) else { return };
        // ORDERING: Relaxed; only an eviction, or a declaration of death, changes the state of an entry that is held.
        let state = entry.state().load(Relaxed);
        if state & !STATE_MASK != self.claimed.state & !STATE_MASK {
            // Declared dead, and the entry is another's by now.
            return;
        }
        self.handle.protocol().leave(self.claimed.index);
        // ORDERING: Release, last: a death before this is recovered. Failure: evicted meanwhile; the next join puts it right.
        let _ = entry.state().compare_exchange(self.claimed.state, clean(self.claimed.state), Release, Relaxed);
    }
}
