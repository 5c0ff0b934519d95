//! How a reader looks for its next sample: where it is expected, then at every writer, then whether there are other writers, and whether
//! there will be more.

use portable_atomic::Ordering::{Acquire, Relaxed};

use super::Reader;
use crate::error::TakeError;
use crate::index::{WRITERS_MAX, WriterIndex};
use crate::os::Claim;
use crate::segment::SegmentHandle;
use crate::slots::take::{Follow, Found, Took};
use crate::typed::Payload;

/// After so many samples a busy reader looks whether there are new writers.
const NEWS: u32 = 64;
/// After so many samples without a look in vain a reader is behind, and asks for cache lines ahead. One that keeps up does not: it
/// would take them from the writer.
const BUSY: u32 = 4;
/// How far ahead.
const AHEAD: u32 = 8;

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

/// What the first, short look comes to.
pub(super) enum Next {
    Got(Got),
    /// Certainly nothing, and there may be more.
    Nothing,
    /// Not to be said so shortly.
    Unsure,
}

impl<H: SegmentHandle, T: Payload + ?Sized> Reader<H, T> {
    /// What nearly every take comes to, in few steps, everything inlined: of a single writer the next sample, where it is expected, or
    /// nothing.
    #[inline(always)]
    pub(super) fn take_next(&self) -> Next {
        let Some(writer) = WriterIndex::new(self.sole.get()) else { return Next::Unsure };
        if !self.shared.claimed.claim.is_mine() {
            return Next::Unsure;
        }
        let segment = &*self.shared.handle;
        let follow = &self.follow[(writer.get() % WRITERS_MAX) as usize];
        if !segment.protocol().seems_there(follow) {
            self.dry_at.set(self.taken.get());
            return if self.is_plainly_empty(follow) { Next::Nothing } else { Next::Unsure };
        }
        // ORDERING: Relaxed; an eviction is noticed soon, there is no moment it could be exact at.
        let evicted = segment.view().quarantined().load(Relaxed) & self.index().bit();
        if evicted != 0 || self.taken.get().is_multiple_of(NEWS) {
            return Next::Unsure;
        }
        let ahead = if self.taken.get().wrapping_sub(self.dry_at.get()) >= BUSY { AHEAD } else { 0 };
        match segment.protocol().take_predicted(self.index(), writer, follow, ahead) {
            Some((found, position)) => Next::Got(Got { found, writer, position, missed: 0 }),
            None => Next::Unsure,
        }
    }

    /// Takes the next sample of any writer, or finds out why there is none.
    #[inline(never)]
    pub(super) fn take_slowly(&self) -> Result<Option<Got>, TakeError> {
        self.moved.set(false);
        if self.taken.get().is_multiple_of(NEWS) {
            self.know(ever(&self.shared.handle));
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

    /// From now on these writers are looked at.
    fn know(&self, writers: u32) {
        self.known.set(writers);
        self.sole.set(sole(writers));
    }

    /// Neither forked nor evicted.
    #[inline(always)]
    pub(super) fn may_take(&self) -> bool {
        // ORDERING: Relaxed; an eviction is noticed soon, there is no moment it could be exact at.
        self.shared.claimed.claim.is_mine() && self.shared.handle.view().quarantined().load(Relaxed) & self.index().bit() == 0
    }

    /// Whether the only writer has committed nothing more, goes on, and is still the only one. False says nothing.
    #[inline(always)]
    fn is_plainly_empty(&self, follow: &Follow) -> bool {
        let segment = &*self.shared.handle;
        let view = segment.view();
        // ORDERING: Relaxed, all; nothing is read on account of them: unless they say "nothing", the looks that follow load them again.
        let sole = self.known.get();
        let over = (view.closed().load(Relaxed) | view.died().load(Relaxed)) & sole;
        let evicted = view.quarantined().load(Relaxed) & self.index().bit();
        over | evicted == 0 && view.ever().load(Relaxed) == sole && segment.protocol().is_nothing_there(follow)
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
        self.know(ever);
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

/// The only writer of `writers`; no writer's number if there are several, or none.
pub(super) const fn sole(writers: u32) -> u32 {
    if writers.is_power_of_two() { writers.trailing_zeros() } else { WRITERS_MAX }
}

/// Mask of the writers ever used.
pub(super) fn ever<H: SegmentHandle>(handle: &H) -> u32 {
    let view = handle.view();
    // ORDERING: Acquire, edge "close"; pairs with the Release of a writer's claim: it is neither closed nor dead when it is seen here.
    view.ever().load(Acquire) & crate::index::first_bits(view.geometry().writers)
}
