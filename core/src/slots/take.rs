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
use super::parts::Slot;
use super::view::{RingPlace, SlotsView};
use crate::index::{ReaderIndex, WriterIndex};
use crate::memory::MemoryCas;
use crate::os::Os;
use crate::region::Word;

/// Distance at which a position could be taken for one a whole circle older.
const GUARD: u32 = 1 << 31;

/// Where a reader is in the stream of one writer. Private to the reader's process.
#[derive(Debug)]
pub(crate) struct Follow {
    /// The next position to take.
    pub(crate) cursor: Cell<u32>,
    /// The writer's ring.
    ring: RingPlace,
    /// The slot it is expected in.
    predicted: Cell<u32>,
    /// The slots of the last sample, and of the one before.
    last: Cell<u32>,
    before: Cell<u32>,
    /// The writer goes between two slots, as it does while slots are scarce or large; else in ring order.
    alternates: Cell<bool>,
    /// Nothing held is older than this, as far as was looked.
    guard: Cell<u32>,
    /// Slot and position of a sample held for half a circle: until it is let go of, predictions are not believed, and sweeps leave it
    /// out. (The oldest one only: a second one held as long, at the very position that burnt positions lead to, would be taken again.)
    old: Cell<Option<(u32, u32)>>,
    /// Positions that recovery burnt, as far as was looked.
    burnt: Cell<u32>,
}

impl Follow {
    /// Starts at `cursor` of the writer with this ring, which has seen `burnt` positions burnt.
    pub(crate) fn new(ring: RingPlace, cursor: u32, burnt: u32) -> Self {
        Self {
            ring,
            cursor: Cell::new(cursor),
            predicted: Cell::new(0),
            last: Cell::new(u32::MAX),
            before: Cell::new(u32::MAX),
            alternates: Cell::new(false),
            guard: Cell::new(cursor),
            old: Cell::new(None),
            burnt: Cell::new(burnt),
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
    /// A sample; `missed` samples before it were overwritten.
    Got { found: Found, position: u32, missed: u32 },
    /// Nothing was committed at the cursor.
    Nothing,
    /// The cursor moved over positions that hold nothing for this reader: look again before parking.
    Moved { missed: u32 },
}

impl<M: MemoryCas, O: Os> Protocol<'_, M, O> {
    /// Whether the slot where the next sample is expected seems to have it: the fastest thing to poll.
    #[inline(always)]
    pub(crate) fn seems_there(self, follow: &Follow) -> bool {
        // ORDERING: Relaxed; a hint, `hold` decides.
        self.view.slot(follow.predicted.get()).is_some_and(|slot| slot.sequence().load(Relaxed) == follow.cursor.get())
    }

    /// Takes the next sample of `writer` from the slot it is expected in: one look, everything inlined. With `ahead` it asks for the cache
    /// lines of the slot so many behind that one.
    #[inline(always)]
    pub(crate) fn take_predicted(self, reader: ReaderIndex, writer: WriterIndex, follow: &Follow, ahead: u32) -> Option<(Found, u32)> {
        let cursor = follow.cursor.get();
        let view = self.view;
        let slot = view.slot(follow.predicted.get())?;
        if cursor.wrapping_sub(follow.guard.get()) >= GUARD {
            return None;
        }
        let found = self.hold(view, reader, &slot, writer.get(), cursor)?;
        if ahead != 0 {
            slot.ask_ahead(ahead, false);
        }
        follow.advance(found.index, view.geometry().slots, cursor);
        Some((found, cursor))
    }

    /// Whether the writer that `follow` follows certainly has not committed the position at the cursor yet. (Where overwriting is
    /// allowed the ring alone cannot tell.)
    #[inline(always)]
    pub(crate) fn is_nothing_there(self, follow: &Follow) -> bool {
        let cursor = follow.cursor.get();
        // ORDERING: Relaxed; nothing is read on account of it: unless it says "nothing", `take_by_ring` loads the tag again.
        let says_nothing = |tag: Word<'_, M>| ring_says(tag.load(Relaxed), cursor) == RingSays::Nothing;
        self.view.tag_in(follow.ring, cursor).is_some_and(says_nothing)
    }

    /// Takes the next sample of `writer`, wherever it is.
    #[inline]
    pub(crate) fn take(self, reader: ReaderIndex, writer: WriterIndex, follow: &Follow) -> Took {
        let cursor = follow.cursor.get();
        let believe_prediction = cursor.wrapping_sub(follow.guard.get()) < GUARD || self.nothing_old_is_held(reader, writer, follow);
        if believe_prediction && let Some((found, position)) = self.take_predicted(reader, writer, follow, 0) {
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
            RingSays::Nothing => return self.take_when_deaf(reader, writer, follow, cursor),
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
        self.sweep(reader, writer, follow, sweep_end(self.head(writer), tag))
    }

    /// The ring says "nothing yet". Where overwriting is allowed it says so, too, to a reader that was overtaken by half a circle
    /// and more: the head tells the two apart. (It may be one behind a reader that was faster than the commit.)
    #[inline]
    fn take_when_deaf(self, reader: ReaderIndex, writer: WriterIndex, follow: &Follow, cursor: u32) -> Took {
        if !self.view.geometry().overwrite {
            return Took::Nothing;
        }
        let head = self.head(writer);
        if matches!(head.wrapping_sub(cursor), 0 | u32::MAX) { Took::Nothing } else { self.sweep(reader, writer, follow, head) }
    }

    /// The next position of `writer`.
    fn head(self, writer: WriterIndex) -> u32 {
        // ORDERING: Acquire, edge "head"; pairs with the Release of the head at commit. Carries every publication before it.
        let head = self.view.writer_entry(writer).map_or(0, |entry| entry.head().load(Acquire));
        head.wrapping_add(self.view.geometry().ring_len)
    }

    /// Looks over all slots for the earliest sample of `writer` from the cursor up to `end`.
    #[cold]
    fn sweep(self, reader: ReaderIndex, writer: WriterIndex, follow: &Follow, end: u32) -> Took {
        let cursor = follow.cursor.get();
        if let Some(mine) = self.view.reader_entry(reader) {
            mine.retries().fetch_add(1, Relaxed);
        }
        let overwrite = self.view.geometry().overwrite;
        let mut first: Option<(u32, u32)> = None;
        for slot in self.view.slots() {
            // ORDERING: Acquire, edge "publish"; my bit seen, the header counts. Where overwriting is allowed it stays a hint until the pin.
            let mine = overwrite || slot.unread().load(Acquire) & reader.bit() != 0;
            // ORDERING: Relaxed; carried by the Acquire above, or by the head's.
            if mine && slot.writer().load(Relaxed) == owner_field(writer.get()) {
                let position = slot.sequence().load(Relaxed);
                if follow.old.get() != Some((slot.index(), position)) && in_range(position, cursor, first.map_or(end, |(earliest, _)| earliest)) {
                    first = Some((position, slot.index()));
                }
            }
        }
        let Some((position, index)) = first else {
            let missed = self.overwritten(writer, follow, end.wrapping_sub(cursor));
            follow.cursor.set(end);
            return Took::Moved { missed };
        };
        let missed = self.overwritten(writer, follow, position.wrapping_sub(cursor));
        let found = self.view.slot(index).and_then(|slot| self.hold(self.view, reader, &slot, writer.get(), position));
        match found {
            Some(found) => self.got(follow, found, position, missed),
            None => {
                // Taken away between the look and the pin, or by a writer that died before it could say so in the header: gone,
                // as everything before it. Unless the header was that of a slot changing hands, writer of the old sample and
                // position of the new one: then the sample is elsewhere, if it is anywhere.
                for slot in self.view.slots() {
                    // ORDERING: Relaxed; a hint, the pin decides.
                    if slot.index() != index
                        && slot.sequence().load(Relaxed) == position
                        && let Some(found) = self.hold(self.view, reader, &slot, writer.get(), position)
                    {
                        return self.got(follow, found, position, missed);
                    }
                }
                follow.cursor.set(position.wrapping_add(1));
                Took::Moved { missed: missed.wrapping_add(1) }
            }
        }
    }

    /// How many of `gap` positions without a sample were overwritten: none where that is not allowed (they were burnt, or were
    /// committed for an audience without this reader), else all that recovery did not burn since the last look. The gap begins at the cursor.
    fn overwritten(self, writer: WriterIndex, follow: &Follow, gap: u32) -> u32 {
        if !self.view.geometry().overwrite {
            return 0;
        }
        let Some(entry) = self.view.writer_entry(writer) else { return gap };
        // ORDERING: Acquire; pairs with the Release of the count by a recovery. Then Relaxed: the position of that count, or a later one.
        let burnt = entry.burnt().load(Acquire);
        let last = entry.burning().load(Relaxed);
        if (last.wrapping_sub(follow.cursor.get()) as i32) < 0 {
            // All are behind the cursor: in gaps that were looked at, or a sample that was taken before its writer died, from a slot that
            // was used again before the recovery.
            follow.burnt.set(burnt);
            return gap;
        }
        // Those beyond the gap lie ahead, and are for the gaps to come.
        let here = gap.min(burnt.wrapping_sub(follow.burnt.get()));
        follow.burnt.set(follow.burnt.get().wrapping_add(here));
        gap - here
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
    /// O(slots) once every half circle; one look while an old one is held.
    #[cold]
    fn nothing_old_is_held(self, reader: ReaderIndex, writer: WriterIndex, follow: &Follow) -> bool {
        let cursor = follow.cursor.get();
        // Far enough to be called again at the next take, whatever comes of this one.
        follow.guard.set(cursor.wrapping_sub(GUARD));
        if let Some((index, position)) = follow.old.get()
            && self.view.slot(index).is_some_and(|slot| self.is_held(reader, writer, &slot) && slot.sequence().load(Relaxed) == position)
        {
            return false;
        }
        // What is from the cursor to the head is not held, it waits.
        let waiting_end = self.head(writer).wrapping_add(1);
        let mut oldest = None;
        let mut behind = 0;
        for slot in self.view.slots().filter(|slot| self.is_held(reader, writer, slot)) {
            // ORDERING: Relaxed; the header of a slot that this reader holds does not change.
            let position = slot.sequence().load(Relaxed);
            if !in_range(position, cursor, waiting_end) && cursor.wrapping_sub(position) > behind {
                behind = cursor.wrapping_sub(position);
                oldest = Some((slot.index(), position));
            }
        }
        if behind < GUARD {
            follow.guard.set(cursor.wrapping_sub(behind));
            follow.old.set(None);
            return true;
        }
        follow.old.set(oldest);
        false
    }

    /// Whether this reader's bit (or pin) is set in a slot with a sample of `writer`.
    fn is_held(self, reader: ReaderIndex, writer: WriterIndex, slot: &Slot<'_, M>) -> bool {
        // ORDERING: Relaxed, all; my own bit, which nobody else clears while I live.
        let bits = if self.view.geometry().overwrite { slot.pins().load(Relaxed) } else { slot.unread().load(Relaxed) };
        bits & reader.bit() != 0 && slot.writer().load(Relaxed) == owner_field(writer.get())
    }
}
