//! The reader's handle.

use core::cell::Cell;
use core::marker::PhantomData;
use core::time::Duration;

use portable_atomic::Ordering::{Acquire, Relaxed, Release};

use crate::config::READER_SLICE;
use crate::deadline::Deadline;
use crate::error::{JoinError, TakeError};
use crate::index::{ReaderIndex, WRITERS_MAX, WriterIndex};
use crate::layout::control::{STATE_IN_USE, STATE_MASK};
use crate::os::{Claim, Lock, Woken};
use crate::registry::{Claimed, clean};
use crate::sample::Sample;
use crate::segment::{Segment, SegmentHandle};
use crate::slots::notify::Wait;
use crate::slots::take::{Follow, Found, Took};
use crate::typed::{Payload, fits};

/// After so many samples a busy reader looks whether there are new writers.
const NEWS: u32 = 64;
/// Looks at the slots before a reader parks.
const SPINS: u32 = 256;

/// Receives every sample committed after its join, in each writer's order, in place.
///
/// `Send`, not `Sync`: one thread at a time takes. Several [`Sample`]s may be out at once, also on other threads; none outlives the
/// reader. Dropping the reader gives back everything it still owes.
///
/// `H` is how it holds the segment: `&Segment`, or `Arc<Segment>` (feature `alloc`) for a reader that lives on its own.
pub struct Reader<H: SegmentHandle, T: ?Sized = [u8]> {
    pub(crate) shared: ReaderShared<H>,
    follow: [Follow; WRITERS_MAX as usize],
    /// Writers known to have been used.
    known: Cell<u32>,
    /// The writer served last.
    last: Cell<u32>,
    taken: Cell<u32>,
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

/// What one look at all writers came to.
enum Look {
    Got(Got),
    Nothing,
    /// Only a cursor moved: there may be something behind it.
    Moved,
}

/// A sample that was found and is protected: where, and whose.
struct Got {
    found: Found,
    writer: WriterIndex,
    position: u32,
    missed: u32,
}

impl<H: SegmentHandle, T: Payload + ?Sized> Reader<H, T> {
    /// Claims the first free reader entry of the segment and joins: everything committed after this returns is delivered.
    /// Does not wait. O(slots).
    ///
    /// # Errors
    /// [`JoinError`]: every entry is taken by somebody alive, `T` does not fit, or the system refused.
    pub fn join(handle: H) -> Result<Self, JoinError> {
        Self::join_wanted(handle, None)
    }

    /// As [`join`](Self::join), with this very index.
    ///
    /// # Errors
    /// [`JoinError::Taken`], [`JoinError::OutOfBounds`], and as [`join`](Self::join).
    pub fn join_as(handle: H, index: ReaderIndex) -> Result<Self, JoinError> {
        Self::join_wanted(handle, Some(index))
    }

    fn join_wanted(handle: H, wanted: Option<ReaderIndex>) -> Result<Self, JoinError> {
        if !fits::<T>(handle.geometry().capacity, handle.geometry().align) {
            return Err(JoinError::TypeMismatch);
        }
        let claimed = handle.claim_reader(wanted, STATE_IN_USE)?;
        let mut follow = [const { None }; WRITERS_MAX as usize];
        handle.view().disconnected().fetch_and(!claimed.index.bit(), Relaxed);
        handle.protocol().join(claimed.index, |writer, start| follow[writer.get() as usize] = Some(start));
        // ORDERING: Acquire, edge "close"; a hint of whom to poll, completed by every empty take.
        let known = ever(&handle);
        Ok(Self {
            shared: ReaderShared { handle, claimed },
            follow: follow.map(|start| start.unwrap_or(Follow::new(0, 0))),
            known: Cell::new(known),
            last: Cell::new(0),
            taken: Cell::new(0),
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
    #[inline(always)]
    pub fn take(&self) -> Result<Option<Sample<'_, H, T>>, TakeError> {
        let got = match self.take_next() {
            Some(got) => got,
            // Its answer is made a sample here, not there: a sample that came from either side would go through memory.
            None => match self.take_slowly()? {
                Some(got) => got,
                None => return Ok(None),
            },
        };
        self.sample(got).map(Some)
    }

    /// Takes the next sample from where it is expected, if there is but one writer: everything inlined.
    #[inline(always)]
    fn take_next(&self) -> Option<Got> {
        let writer = WriterIndex::new(self.last.get())?;
        if !self.may_take() || self.known.get() != writer.bit() || self.taken.get().is_multiple_of(NEWS) {
            return None;
        }
        let follow = &self.follow[(writer.get() % WRITERS_MAX) as usize];
        let (found, position) = self.shared.handle.protocol().take_predicted(self.index(), writer, follow)?;
        Some(Got { found, writer, position, missed: 0 })
    }

    /// Takes the next sample of any writer, or finds out why there is none.
    #[inline(never)]
    fn take_slowly(&self) -> Result<Option<Got>, TakeError> {
        self.moved.set(false);
        if self.taken.get().is_multiple_of(NEWS) {
            self.known.set(ever(&self.shared.handle));
        }
        if self.is_plainly_empty() {
            return Ok(None);
        }
        match self.look()? {
            Look::Got(got) => Ok(Some(got)),
            Look::Nothing => self.take_when_empty(),
            Look::Moved => {
                self.moved.set(true);
                Ok(None)
            }
        }
    }

    /// Takes the next sample; waits for one at most `timeout` in all. Sleeps in slices of a second, after each of which it looks
    /// for dead peers, so that it never waits for somebody who is gone.
    ///
    /// # Errors
    /// [`TakeError::TimedOut`], and as [`take`](Self::take).
    pub fn take_timeout(&self, timeout: Duration) -> Result<Sample<'_, H, T>, TakeError> {
        for _ in 0..SPINS {
            if let Some(sample) = self.take()? {
                return Ok(sample);
            }
            core::hint::spin_loop();
        }
        let segment = &*self.shared.handle;
        let mut deadline = Deadline::new(segment.os(), timeout);
        loop {
            let view = segment.view();
            let wait = Wait::begin(segment.protocol(), view.reader_waiters(), view.reader_generation(), self.index().bit());
            // The look after the registration: what was committed before it told nobody.
            if let Some(sample) = self.take()? {
                return Ok(sample);
            }
            if self.moved.get() {
                continue;
            }
            let Some(slice) = deadline.next(READER_SLICE) else { return Err(TakeError::TimedOut) };
            let woken = wait.sleep(slice);
            deadline.account(segment.os(), slice, woken);
            if woken == Woken::TimedOut {
                self.look_for_the_dead()?;
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

    /// Neither forked nor evicted.
    #[inline(always)]
    fn may_take(&self) -> bool {
        // ORDERING: Relaxed; an eviction is noticed soon, there is no moment it could be exact at.
        self.shared.claimed.claim.is_mine() && self.shared.handle.view().quarantined().load(Relaxed) & self.index().bit() == 0
    }

    /// What nearly every poll that finds nothing comes to, in few steps: the only writer has committed nothing more, goes on, and is
    /// still the only one. False says nothing.
    #[inline(always)]
    fn is_plainly_empty(&self) -> bool {
        let known = self.known.get();
        let Some(writer) = WriterIndex::new(known.trailing_zeros()) else { return false };
        let segment = &*self.shared.handle;
        known == writer.bit()
            && self.may_take()
            && segment.protocol().is_nothing_there(writer, &self.follow[(writer.get() % WRITERS_MAX) as usize])
            && ever(&self.shared.handle) == known
            // ORDERING: Acquire, both, edge "close"; as in `take_when_empty`, which follows if either bit is set.
            && (segment.view().closed().load(Acquire) | segment.view().died().load(Acquire)) & known == 0
    }

    /// One look at every known writer, beginning behind the one served last.
    #[inline]
    fn look(&self) -> Result<Look, TakeError> {
        if !self.may_take() {
            return Err(if self.shared.claimed.claim.is_mine() { TakeError::Evicted } else { TakeError::Forked });
        }
        let segment = &*self.shared.handle;
        let protocol = segment.protocol();
        let first = self.last.get() + 1;
        let mut moved = false;
        let mut waiting = self.known.get().rotate_right(first);
        while waiting != 0 {
            let number = (waiting.trailing_zeros() + first) % WRITERS_MAX;
            waiting &= waiting - 1;
            let Some(writer) = WriterIndex::new(number) else { continue };
            let follow = &self.follow[(number % WRITERS_MAX) as usize];
            // Twice: a take that only moved its cursor is not "nothing". No more: each such take looks over all slots.
            for tries_left in [1, 0] {
                match protocol.take(self.index(), writer, follow) {
                    Took::Got { found, position, missed } => {
                        self.last.set(number);
                        return Ok(Look::Got(Got { found, writer, position, missed }));
                    }
                    Took::Nothing => break,
                    Took::Moved { missed } => {
                        self.count_missed(missed);
                        moved |= tries_left == 0;
                    }
                }
            }
        }
        Ok(if moved { Look::Moved } else { Look::Nothing })
    }

    /// Nothing from the writers known: are there others, and will there be more?
    #[inline]
    fn take_when_empty(&self) -> Result<Option<Got>, TakeError> {
        let view = self.shared.handle.view();
        // ORDERING: Acquire, all, edge "close"; pairs with the Release of a close or recovery. What was committed before is seen below.
        let ever = ever(&self.shared.handle);
        let (closed, died) = (view.closed().load(Acquire), view.died().load(Acquire));
        let is_over = ever != 0 && (closed | died) & ever == ever;
        if ever == self.known.get() && !is_over {
            return Ok(None);
        }
        self.known.set(ever);
        // The look behind the bits: a last commit is visible now.
        match self.look()? {
            Look::Got(got) => return Ok(Some(got)),
            Look::Moved => {
                self.moved.set(true);
                return Ok(None);
            }
            Look::Nothing => {}
        }
        if !is_over {
            return Ok(None);
        }
        Err(if died & ever != 0 { TakeError::WriterDied } else { TakeError::Closed })
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

/// Mask of the writers ever used.
fn ever<H: SegmentHandle>(handle: &H) -> u32 {
    let view = handle.view();
    // ORDERING: Acquire, edge "close"; pairs with the Release of a writer's claim: it is neither closed nor dead when it is seen here.
    view.ever().load(Acquire) & crate::index::first_bits(view.geometry().writers)
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

/// One reader among all that had or will have its index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ReaderId {
    pub(crate) index: ReaderIndex,
    pub(crate) state: u32,
}

impl ReaderId {
    /// Its index.
    #[must_use]
    pub fn index(self) -> ReaderIndex {
        self.index
    }

    /// Which holder of the index it is.
    #[must_use]
    pub fn generation(self) -> u32 {
        self.state / (STATE_MASK + 1)
    }

    /// Its lock.
    #[must_use]
    pub fn lock(self) -> Lock {
        Lock::reader(self.index.get() as u8)
    }
}
