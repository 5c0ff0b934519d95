//! Take: how a reader finds the next sample of a writer.
//!
//! The slot it predicts is polled first: one cache line between "committed" and "read". The ring is an index for when the
//! prediction fails, and the slots are the truth: when the ring has been lapped (by positions burnt in recovery, or by
//! overwriting), one sweep over the slots finds what is still there.
//!
//! | the reader sees | it concludes |
//! |---|---|
//! | predicted slot: my position, my writer, my bit | take it |
//! | ring tag older than the cursor | nothing yet |
//! | ring tag = cursor, index < n, that slot has it | take it |
//! | ring tag newer, or equal without a match | sweep: the smallest position in [cursor, h) that has my bit; none: cursor := h |

use core::cell::Cell;

use portable_atomic::Ordering::{Acquire, Relaxed};

use super::Protocol;
use super::decide::{RingSays, in_range, owner_field, ring_says, sweep_end};
use super::view::{Slot, SlotsView};
use crate::index::{ReaderIndex, WriterIndex};
use crate::memory::MemoryCas;
use crate::os::Os;
use crate::region::Word;

/// Distance at which a position could be taken for one a whole circle older.
const GUARD: u32 = 1 << 31;
/// While a sample is held that long, the look for it is repeated only after so many positions.
const GUARD_STEP: u32 = 1 << 16;

/// Where a reader is in the stream of one writer. Private to the reader's process.
#[derive(Debug)]
pub(crate) struct Follow {
    /// The next position to take.
    pub(crate) cursor: Cell<u32>,
    /// The slot it is expected in.
    predicted: Cell<u32>,
    /// The slots of the last sample, and of the one before.
    last: Cell<u32>,
    before: Cell<u32>,
    /// The writer goes between two slots, as it does while slots are scarce or large; else in ring order.
    alternates: Cell<bool>,
    /// Nothing held is older than this, as far as was looked.
    guard: Cell<u32>,
}

impl Follow {
    /// Starts at `cursor`.
    pub(crate) fn new(cursor: u32) -> Self {
        Self {
            cursor: Cell::new(cursor),
            predicted: Cell::new(0),
            last: Cell::new(u32::MAX),
            before: Cell::new(u32::MAX),
            alternates: Cell::new(false),
            guard: Cell::new(cursor),
        }
    }

    /// The next sample is expected at the next position, in the next of `slots` slots, or in the one before this one's.
    #[inline(always)]
    fn advance(&self, slot: u32, slots: u32, position: u32) {
        self.cursor.set(position.wrapping_add(1));
        let before = self.last.replace(slot);
        self.before.set(before);
        let next = if slot + 1 == slots { 0 } else { slot + 1 };
        self.predicted.set(if self.alternates.get() { before } else { next });
    }

    /// The sample was found in `slot`: if the prediction was wrong, would the other one have been right?
    fn learn(&self, slot: u32) {
        if slot != self.predicted.get() {
            self.alternates.set(slot == self.before.get());
        }
    }
}

/// A sample that the reader's bit (or pin) now protects.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found {
    /// Its slot.
    pub(crate) index: u32,
    /// Its size, alleged.
    pub(crate) size: u32,
}

/// What a take came to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Took {
    /// A sample; `missed` positions before it are gone.
    Got { found: Found, position: u32, missed: u32 },
    /// Nothing was committed at the cursor.
    Nothing,
    /// The cursor moved over positions that hold nothing for this reader: look again before parking.
    Moved { missed: u32 },
}

impl<M: MemoryCas, O: Os> Protocol<'_, M, O> {
    /// Takes the next sample of `writer` from the slot it is expected in: one look, everything inlined.
    #[inline(always)]
    pub(crate) fn take_predicted(self, reader: ReaderIndex, writer: WriterIndex, follow: &Follow) -> Option<(Found, u32)> {
        let cursor = follow.cursor.get();
        let view = self.view.local();
        let slot = view.slot(follow.predicted.get())?;
        // ORDERING: Relaxed, both; a hint, and the fastest thing to poll. `hold` decides.
        if slot.sequence().load(Relaxed) != cursor
            || slot.writer().load(Relaxed) != owner_field(writer.get())
            || cursor.wrapping_sub(follow.guard.get()) >= GUARD
        {
            return None;
        }
        let found = self.hold(&view, reader, &slot, writer.get(), cursor)?;
        follow.advance(found.index, view.geometry().slots, cursor);
        Some((found, cursor))
    }

    /// Whether `writer` certainly has not committed the position at the cursor yet. (Where overwriting is allowed the ring alone
    /// cannot tell.)
    #[inline(always)]
    pub(crate) fn is_nothing_there(self, writer: WriterIndex, follow: &Follow) -> bool {
        let view = self.view.local();
        let cursor = follow.cursor.get();
        // ORDERING: Acquire, edge "ring"; as in `take_by_ring`.
        let says_nothing = |tag: Word<'_, M>| ring_says(tag.load(Acquire), cursor) == RingSays::Nothing;
        !view.geometry().overwrite && view.ring(writer).is_some_and(|ring| says_nothing(ring.tag(cursor)))
    }

    /// Takes the next sample of `writer`, wherever it is.
    #[inline]
    pub(crate) fn take(self, reader: ReaderIndex, writer: WriterIndex, follow: &Follow) -> Took {
        let cursor = follow.cursor.get();
        let believe_prediction = cursor.wrapping_sub(follow.guard.get()) < GUARD || self.nothing_old_is_held(reader, writer, follow);
        if believe_prediction && let Some((found, position)) = self.take_predicted(reader, writer, follow) {
            return Took::Got { found, position, missed: 0 };
        }
        self.take_by_ring(reader, writer, follow, cursor)
    }

    #[inline]
    fn take_by_ring(self, reader: ReaderIndex, writer: WriterIndex, follow: &Follow, cursor: u32) -> Took {
        let Some(ring) = self.view.ring(writer) else { return Took::Nothing };
        // ORDERING: Acquire, edge "ring"; pairs with the Release of the tag at commit. Carries the index.
        let tag = ring.tag(cursor).load(Acquire);
        match ring_says(tag, cursor) {
            RingSays::Nothing => return Took::Nothing,
            RingSays::Here => {
                // ORDERING: Relaxed; carried by the tag.
                if let Some(slot) = self.view.slot(ring.index(cursor).load(Relaxed))
                    && let Some(found) = self.hold(self.view, reader, &slot, writer.get(), cursor)
                {
                    return self.got(follow, found, cursor, 0);
                }
            }
            RingSays::Passed => {}
        }
        self.sweep(reader, writer, follow, cursor, tag)
    }

    /// Looks over all slots for the earliest sample of `writer` from `cursor` on.
    #[cold]
    fn sweep(self, reader: ReaderIndex, writer: WriterIndex, follow: &Follow, cursor: u32, tag: u32) -> Took {
        let Some(entry) = self.view.writer_entry(writer) else { return Took::Nothing };
        if let Some(mine) = self.view.reader_entry(reader) {
            mine.retries().fetch_add(1, Relaxed);
        }
        // ORDERING: Acquire, edge "head"; pairs with the Release of the head at commit. Carries every publication before it.
        let head = entry.head().load(Acquire).wrapping_add(self.view.geometry().ring_len);
        let end = sweep_end(head, tag);
        let overwrite = self.view.geometry().overwrite;
        let mut first: Option<(u32, u32)> = None;
        for slot in self.view.slots() {
            // ORDERING: Acquire, edge "publish"; my bit seen, the header counts. Where overwriting is allowed it stays a hint until the pin.
            let mine = overwrite || slot.unread().load(Acquire) & reader.bit() != 0;
            // ORDERING: Relaxed; carried by the Acquire above, or by the head's.
            if mine && slot.writer().load(Relaxed) == owner_field(writer.get()) {
                let position = slot.sequence().load(Relaxed);
                if in_range(position, cursor, first.map_or(end, |(earliest, _)| earliest)) {
                    first = Some((position, slot.index()));
                }
            }
        }
        let Some((position, index)) = first else {
            follow.cursor.set(end);
            return Took::Moved { missed: end.wrapping_sub(cursor) };
        };
        let missed = position.wrapping_sub(cursor);
        let found = self.view.slot(index).and_then(|slot| self.hold(self.view, reader, &slot, writer.get(), position));
        match found {
            Some(found) => self.got(follow, found, position, missed),
            None => {
                // Overwritten between the look and the pin: everything before it was looked for as well.
                follow.cursor.set(position);
                Took::Moved { missed }
            }
        }
    }

    /// Makes sure that the slot holds `position` of `writer` for this reader, and protects it. `view` is the protocol's, or a copy.
    #[inline(always)]
    fn hold(self, view: &SlotsView<M>, reader: ReaderIndex, slot: &Slot<'_, M>, writer: u32, position: u32) -> Option<Found> {
        if view.geometry().overwrite {
            return self.pin(reader, slot.index(), writer, position);
        }
        // ORDERING: Acquire, edge "publish"; pairs with the Release of `unread` at commit. With my bit set the slot cannot be
        // loaned anew, so the header and the payload are this sample's until I clear it.
        let mine = slot.unread().load(Acquire) & reader.bit() != 0;
        // ORDERING: Relaxed, all; carried by the Acquire above.
        (mine && slot.sequence().load(Relaxed) == position && slot.writer().load(Relaxed) == owner_field(writer))
            .then(|| Found { index: slot.index(), size: slot.size().load(Relaxed) })
    }

    #[inline(always)]
    fn got(self, follow: &Follow, found: Found, position: u32, missed: u32) -> Took {
        follow.learn(found.index);
        follow.advance(found.index, self.view.geometry().slots, position);
        Took::Got { found, position, missed }
    }

    /// Once the cursor has run half a circle: whether every sample of `writer` that this reader still holds is younger than that.
    #[cold]
    fn nothing_old_is_held(self, reader: ReaderIndex, writer: WriterIndex, follow: &Follow) -> bool {
        let cursor = follow.cursor.get();
        let mut oldest = 0;
        for slot in self.view.slots() {
            // ORDERING: Relaxed, all; my own bits, which nobody else clears while I live.
            let bits = if self.view.geometry().overwrite { slot.pins().load(Relaxed) } else { slot.unread().load(Relaxed) };
            if bits & reader.bit() != 0 && slot.writer().load(Relaxed) == owner_field(writer.get()) {
                let behind = cursor.wrapping_sub(slot.sequence().load(Relaxed));
                // Positions ahead of the cursor are not held, they wait.
                if behind < u32::MAX / 4 * 3 {
                    oldest = oldest.max(behind);
                }
            }
        }
        if oldest < GUARD - GUARD_STEP {
            follow.guard.set(cursor.wrapping_sub(oldest));
            return true;
        }
        // Believe the ring for a while, then look again.
        follow.guard.set(cursor.wrapping_sub(GUARD - GUARD_STEP));
        false
    }
}
