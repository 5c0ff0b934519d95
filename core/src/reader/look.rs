//! How a reader looks for its next sample: where it is expected, then at every writer, then whether there are other writers, and whether
//! there will be more.

use portable_atomic::Ordering::{Acquire, Relaxed};

use super::Reader;
use crate::error::TakeError;
use crate::index::{WRITERS_MAX, WriterIndex};
use crate::os::Claim;
use crate::segment::SegmentHandle;
use crate::slots::take::{Found, Took};
use crate::typed::Payload;

/// After so many samples a busy reader looks whether there are new writers.
const NEWS: u32 = 64;

/// What one look at all writers came to.
enum Look {
    Got(Got),
    Nothing,
    /// Only a cursor moved: there may be something behind it.
    Moved,
}

/// A sample that was found and is protected: where, and whose.
pub(super) struct Got {
    pub(super) found: Found,
    pub(super) writer: WriterIndex,
    pub(super) position: u32,
    pub(super) missed: u32,
}

impl<H: SegmentHandle, T: Payload + ?Sized> Reader<H, T> {
    /// Takes the next sample from where it is expected, if there is but one writer: everything inlined.
    #[inline(always)]
    pub(super) fn take_next(&self) -> Option<Got> {
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
    pub(super) fn take_slowly(&self) -> Result<Option<Got>, TakeError> {
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

    /// Neither forked nor evicted.
    #[inline(always)]
    pub(super) fn may_take(&self) -> bool {
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
            // ORDERING: Relaxed, both; nothing is read on account of them: `take_when_empty`, which follows if either bit is set,
            // loads them again.
            && (segment.view().closed().load(Relaxed) | segment.view().died().load(Relaxed)) & known == 0
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
        // ORDERING: Acquire, all three, edge "close"; pairs with the Release of a close or recovery. What was committed before is seen below.
        let ever = ever(&self.shared.handle);
        let (closed, died) = (view.closed().load(Acquire), view.died().load(Acquire));
        // A writer may have come, and the others gone, between the loads: the masks are to be the same behind them.
        let is_over = ever != 0 && (closed | died) & ever == ever && self::ever(&self.shared.handle) == ever
            // ORDERING: Relaxed, both; compared only. Behind the Acquire of `ever` they are not older than the first two.
            && (view.closed().load(Relaxed), view.died().load(Relaxed)) == (closed, died);
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
}

/// Mask of the writers ever used.
pub(super) fn ever<H: SegmentHandle>(handle: &H) -> u32 {
    let view = handle.view();
    // ORDERING: Acquire, edge "close"; pairs with the Release of a writer's claim: it is neither closed nor dead when it is seen here.
    view.ever().load(Acquire) & crate::index::first_bits(view.geometry().writers)
}
