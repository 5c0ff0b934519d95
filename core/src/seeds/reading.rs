//! The reader's side of a face: which reader indices it uses, and where each is in each writer's stream.
//!
//! A cursor stands at the oldest position that may still be owed, and moves over what this reader marked one position at a time, by the
//! writer's ring. Where the ring does not lead to an owed sample the slots are looked over: they are the truth. So it is O(1) amortised
//! when marks come in order.
//!
//! | at the cursor | it concludes |
//! |---|---|
//! | the slot is known and holds it with my bit | this is the one, again |
//! | the slot is known and does not | marked or recycled: next position |
//! | ring tag = position, and its slot holds it with my bit | this is the one |
//! | tag differs, head not beyond the position | nothing yet |
//! | else (burnt, marked by another, lapped) | the oldest owed in the slots; none before the head: on to it |

use portable_atomic::Ordering::{Acquire, Relaxed, Release};

use super::error::SlotError;
use crate::error::JoinError;
use crate::index::{ReaderIndex, WRITERS_MAX, WriterIndex, first_bits};
use crate::layout::control::{STATE_CLEAN, STATE_MASK, STATE_SEEDS};
use crate::memory::Memory;
use crate::registry::{Claimed, clean};
use crate::segment::{Segment, SlotsOs};
use crate::slots::decide::{owner_field, sweep_end};
use crate::slots::parts::Slot;
use crate::slots::straggler::Marking;
use crate::slots::view::SlotsView;

/// How often an index that is just changing hands is tried again.
const TRIES: u32 = 8;
/// How often one call looks on after a cursor has moved.
const LOOKS: u32 = 4;
/// The slot of a position that was not looked up.
const UNKNOWN: u32 = u32::MAX;

/// The reader indices that a face uses.
pub(crate) struct Reading<O: SlotsOs> {
    uses: [Option<Use<O>>; 32],
}

/// One reader index in use.
struct Use<O: SlotsOs> {
    /// Its lock; `None` if another holder of the seeds' face has it, and the index is shared.
    claimed: Option<Claimed<O, ReaderIndex>>,
    cursors: [Cursor; WRITERS_MAX as usize],
    /// The writer served last.
    last: u32,
    /// The position shown last.
    shown: Option<u32>,
}

#[derive(Clone, Copy)]
struct Cursor {
    position: u32,
    slot: u32,
}

/// An owed sample: its slot and generation.
type Owed = (u32, u32);

impl<O: SlotsOs> Reading<O> {
    pub(super) const fn new() -> Self {
        Self { uses: [const { None }; 32] }
    }

    /// The use of `reader`, begun at the first call: takes its lock, and the cursors stand at the oldest it owes.
    fn take_up(&mut self, segment: &Segment<O>, reader: ReaderIndex) -> Result<&mut Use<O>, SlotError> {
        let entry = segment.view().reader_entry(reader).ok_or(SlotError::OutOfBounds)?;
        let place = &mut self.uses[reader.get() as usize];
        let is_good = place.as_ref().is_some_and(|held| {
            // ORDERING: Relaxed; an eviction, or the end of the one it is shared with, is noticed soon.
            let state = entry.state().load(Relaxed);
            held.claimed.as_ref().map_or(state & STATE_MASK == STATE_SEEDS, |claimed| claimed.state == state)
        });
        if !is_good {
            // Evicted: its lock goes, and it joins anew. Shared with one that is gone: it takes the lock itself and goes on where it was.
            let shared = place.take().filter(|held| held.claimed.is_none());
            let claimed = claim(segment, reader)?;
            if claimed.is_some() && segment.protocol().is_disconnected(reader) {
                segment.protocol().reconnect(reader);
            }
            if claimed.is_none() {
                // Edge "shared": from now on no reader of the safe face joins with this index, for this party marks under no lock.
                // ORDERING: Relaxed; the fence orders it before the look at the holder.
                segment.view().shared().fetch_or(reader.bit(), Relaxed);
                segment.view().memory().fence_full();
                // ORDERING: Relaxed; the fence.
                if entry.state().load(Relaxed) & STATE_MASK != STATE_SEEDS {
                    return Err(SlotError::ReaderTaken);
                }
            }
            *place = Some(match shared {
                Some(shared) => Use { claimed, ..shared },
                None => Use { claimed, cursors: oldest_of_each(segment.view(), reader), last: 0, shown: None },
            });
        }
        place.as_mut().ok_or(SlotError::OutOfBounds)
    }

    /// The oldest sample that `reader` has not marked.
    pub(super) fn next(&mut self, segment: &Segment<O>, reader: ReaderIndex) -> Result<Option<Owed>, SlotError> {
        let using = self.take_up(segment, reader)?;
        let view = segment.view();
        if let (Some(shown), Some(writer)) = (using.shown, WriterIndex::new(using.last)) {
            let cursor = using.cursors[using.last as usize];
            if cursor.position == shown
                && let Some(generation) = owed_at(view, reader, writer, cursor)
            {
                return Ok(Some((cursor.slot, generation)));
            }
        }
        // ORDERING: Acquire; who published has entered itself before.
        let used = view.ever().load(Acquire) & first_bits(view.geometry().writers);
        let first = (using.last + 1) % WRITERS_MAX;
        for number in crate::index::bits(used.rotate_right(first)).map(|bit| (bit + first) % WRITERS_MAX) {
            let Some(writer) = WriterIndex::new(number) else { continue };
            let cursor = &mut using.cursors[number as usize];
            if let Some(owed) = peek(view, reader, writer, cursor) {
                using.shown = Some(cursor.position);
                using.last = number;
                return Ok(Some(owed));
            }
        }
        using.shown = None;
        Ok(None)
    }

    /// Marks the sample of `generation` in slot `index` read. The caller has seen it there, or seen that it was marked.
    pub(super) fn mark(&mut self, segment: &Segment<O>, reader: ReaderIndex, index: u32, generation: u32) -> Result<(), SlotError> {
        let slot = segment.view().slot(index).ok_or(SlotError::OutOfBounds)?;
        // Nothing is claimed for a handle that is stale.
        super::payload::holds(&slot, generation).ok_or(SlotError::StaleHandle)?;
        let using = self.take_up(segment, reader)?;
        let protocol = segment.protocol();
        let entry = segment.view().reader_entry(reader).ok_or(SlotError::OutOfBounds)?;
        let _marking = using.claimed.is_some().then(|| Marking::begin(entry));
        // Looked at again: nobody of this process marks meanwhile, and who takes the sample back waits for a mark that is under way. So a bit
        // that is set stays, and with it the sample, if this reader counts.
        let unread = super::payload::holds(&slot, generation).ok_or(SlotError::StaleHandle)?;
        if protocol.is_disconnected(reader) {
            using.shown = None;
            protocol.reconnect(reader);
        } else if unread & reader.bit() != 0 {
            protocol.release(reader, index);
        }
        Ok(())
    }

    /// Lets go of every index. What was owed stays owed: the next holder goes on there, a writer leaves it out of its mask, or disconnects it.
    pub(super) fn leave(&mut self, segment: &Segment<O>) {
        for claimed in self.uses.iter_mut().filter_map(|place| place.take().and_then(|held| held.claimed)) {
            if let Some(entry) = segment.view().reader_entry(claimed.index) {
                // ORDERING: Release, last: a death before this is recovered. Failure: evicted meanwhile; the next join puts it right.
                let _ = entry.state().compare_exchange(claimed.state, clean(claimed.state), Release, Relaxed);
            }
        }
    }
}

/// Takes the lock of `reader`; `None` if another holder of the seeds' face has it.
fn claim<O: SlotsOs>(segment: &Segment<O>, reader: ReaderIndex) -> Result<Option<Claimed<O, ReaderIndex>>, SlotError> {
    let entry = segment.view().reader_entry(reader).ok_or(SlotError::OutOfBounds)?;
    for _ in 0..TRIES {
        match segment.claim_reader(Some(reader), STATE_SEEDS) {
            Ok(claimed) => return Ok(Some(claimed)),
            Err(JoinError::Taken { .. }) => {}
            Err(JoinError::Os(error)) => return Err(SlotError::Os(error)),
            Err(JoinError::Forked) => return Err(SlotError::Forked),
            Err(_) => return Err(SlotError::OutOfBounds),
        }
        // ORDERING: Relaxed; what the holder is changes only with the lock.
        match entry.state().load(Relaxed) & STATE_MASK {
            STATE_SEEDS => return Ok(None),
            // Just taken or just given back, or recovered by somebody: try again.
            STATE_CLEAN => core::hint::spin_loop(),
            _ => break,
        }
    }
    Err(SlotError::ReaderTaken)
}

/// Cursors at the oldest owed position of each writer, or at its head. O(slots).
fn oldest_of_each<M: Memory>(view: &SlotsView<M>, reader: ReaderIndex) -> [Cursor; WRITERS_MAX as usize] {
    let mut cursors = [Cursor { position: 0, slot: UNKNOWN }; WRITERS_MAX as usize];
    for writer in (0..view.geometry().writers).filter_map(WriterIndex::new) {
        cursors[writer.get() as usize].position = head_of(view, writer);
    }
    for slot in view.slots() {
        // ORDERING: Acquire, edge "publish"; my bit seen, the header counts.
        if slot.unread().load(Acquire) & reader.bit() == 0 {
            continue;
        }
        // ORDERING: Relaxed, both; carried by the Acquire above.
        let (position, of) = (slot.sequence().load(Relaxed), slot.writer().load(Relaxed));
        let Some(writer) = of.checked_sub(1).and_then(WriterIndex::new).filter(|writer| writer.get() < view.geometry().writers) else {
            continue;
        };
        let cursor = &mut cursors[writer.get() as usize];
        if is_older(position, cursor.position, head_of(view, writer)) {
            *cursor = Cursor { position, slot: slot.index() };
        }
    }
    cursors
}

/// The next position of a writer: what is before it is published.
fn head_of<M: Memory>(view: &SlotsView<M>, writer: WriterIndex) -> u32 {
    // ORDERING: Acquire, edge "head"; pairs with the Release at commit. Carries every publication before it.
    view.writer_entry(writer).map_or(0, |entry| entry.head().load(Acquire)).wrapping_add(view.geometry().ring_len)
}

/// Whether position `one` was given out before `other`, both at or before `head`, which was loaded after either was seen.
const fn is_older(one: u32, other: u32, head: u32) -> bool {
    head.wrapping_sub(one) > head.wrapping_sub(other)
}

/// The generation of the sample at the cursor, if the cursor's slot holds it with the reader's bit.
fn owed_at<M: Memory>(view: &SlotsView<M>, reader: ReaderIndex, writer: WriterIndex, cursor: Cursor) -> Option<u32> {
    let slot = view.slot(cursor.slot)?;
    // ORDERING: Acquire, edge "publish"; pairs with the Release of `unread` at commit. My bit seen, the header counts.
    let mine = slot.unread().load(Acquire) & reader.bit() != 0;
    // ORDERING: Relaxed, all; carried by the Acquire above.
    (mine && slot.sequence().load(Relaxed) == cursor.position && slot.writer().load(Relaxed) == owner_field(writer.get()))
        .then(|| slot.generation().load(Relaxed))
}

/// Where the ring says a position is.
enum Place {
    /// Not committed yet.
    Nowhere,
    /// In this slot, unless it was recycled (or the position was burnt).
    In(u32),
    /// The ring has been lapped; the writer's next position.
    Lapped(u32),
}

fn locate<M: Memory>(view: &SlotsView<M>, writer: WriterIndex, position: u32) -> Place {
    let Some(ring) = view.ring(writer) else { return Place::Nowhere };
    // ORDERING: Acquire, edge "ring"; pairs with the Release of the tag at commit. Carries the index and the publication.
    if ring.tag(position).load(Acquire) == position {
        return Place::In(ring.index(position).load(Relaxed));
    }
    let head = head_of(view, writer);
    // One ahead of the head is where a cursor may stand whose last tag was stored just before that head.
    if head == position || head.wrapping_add(1) == position {
        return Place::Nowhere;
    }
    // The tag again: it was stored before the head that is beyond it.
    // ORDERING: Acquire, edge "ring", as above.
    if ring.tag(position).load(Acquire) == position { Place::In(ring.index(position).load(Relaxed)) } else { Place::Lapped(head) }
}

/// The oldest owed sample of `writer`, at the cursor or after it.
///
/// Only a slot that was seen owed is passed over by what it holds now. What an entry of the ring leads to is not enough: the entry may
/// have been written anew between its tag and its index.
fn peek<M: Memory>(view: &SlotsView<M>, reader: ReaderIndex, writer: WriterIndex, cursor: &mut Cursor) -> Option<Owed> {
    // Bounded: each look but the last means that something was marked, committed or burnt during this call, and that moves the generation.
    for _ in 0..LOOKS {
        if cursor.slot != UNKNOWN {
            if let Some(generation) = owed_at(view, reader, writer, *cursor) {
                return Some((cursor.slot, generation));
            }
            *cursor = Cursor { position: cursor.position.wrapping_add(1), slot: UNKNOWN };
        }
        let end = match locate(view, writer, cursor.position) {
            Place::Nowhere => return None,
            Place::In(slot) => {
                let here = Cursor { slot, ..*cursor };
                if let Some(generation) = owed_at(view, reader, writer, here) {
                    *cursor = here;
                    return Some((slot, generation));
                }
                sweep_end(head_of(view, writer), cursor.position)
            }
            Place::Lapped(head) => head,
        };
        *cursor = oldest(view, reader, writer, end);
    }
    None
}

/// The oldest sample behind that of `generation` in `slot`, of the same writer, that `reader` owes. Moves no cursor.
pub(super) fn behind<M: Memory>(view: &SlotsView<M>, reader: ReaderIndex, slot: &Slot<'_, M>, generation: u32) -> Result<Option<Owed>, SlotError> {
    super::payload::holds(slot, generation).ok_or(SlotError::StaleHandle)?;
    // ORDERING: Relaxed, both; carried by the Acquire in `holds`.
    let (position, of) = (slot.sequence().load(Relaxed), slot.writer().load(Relaxed));
    if !super::payload::still_holds(view, slot, generation) {
        return Err(SlotError::StaleHandle);
    }
    let Some(writer) = of.checked_sub(1).and_then(WriterIndex::new).filter(|writer| writer.get() < view.geometry().writers) else {
        return Ok(None);
    };
    let next = position.wrapping_add(1);
    match locate(view, writer, next) {
        Place::Nowhere => return Ok(None),
        Place::In(slot) => {
            if let Some(generation) = owed_at(view, reader, writer, Cursor { position: next, slot }) {
                return Ok(Some((slot, generation)));
            }
        }
        Place::Lapped(_) => {}
    }
    // Beyond every position that can be seen below; the next one is not there, so this is none's.
    let mut found = Cursor { position, slot: UNKNOWN };
    for slot in view.slots() {
        let Some(here) = owed_position(reader, writer, &slot) else { continue };
        let head = sweep_end(head_of(view, writer), position);
        if is_older(position, here, head) && (found.slot == UNKNOWN || is_older(here, found.position, head)) {
            found = Cursor { position: here, slot: slot.index() };
        }
    }
    Ok(owed_at(view, reader, writer, found).map(|generation| (found.slot, generation)))
}

/// The position of the sample of `writer` in this slot, if `reader` owes it.
fn owed_position<M: Memory>(reader: ReaderIndex, writer: WriterIndex, slot: &Slot<'_, M>) -> Option<u32> {
    // ORDERING: Acquire, edge "publish"; my bit seen, the header counts.
    let mine = slot.unread().load(Acquire) & reader.bit() != 0;
    // ORDERING: Relaxed, both; carried by the Acquire above.
    (mine && slot.writer().load(Relaxed) == owner_field(writer.get())).then(|| slot.sequence().load(Relaxed))
}

/// The oldest owed position of `writer` in the slots, or `end` if none before it is owed: what was published behind it may be in a slot
/// that was looked at before. O(slots).
#[cold]
fn oldest<M: Memory>(view: &SlotsView<M>, reader: ReaderIndex, writer: WriterIndex, end: u32) -> Cursor {
    let mut oldest = Cursor { position: end, slot: UNKNOWN };
    for slot in view.slots() {
        if let Some(position) = owed_position(reader, writer, &slot) {
            // Loaded behind the header, so that nothing is ahead of it: neither the position nor the end.
            let head = sweep_end(head_of(view, writer), end.wrapping_sub(1));
            if is_older(position, oldest.position, head) {
                oldest = Cursor { position, slot: slot.index() };
            }
        }
    }
    oldest
}

#[cfg(test)]
mod tests {
    use super::is_older;

    #[test]
    fn age_is_told_by_the_head_whatever_the_distance() {
        assert!(is_older(4, 5, 9));
        assert!(!is_older(5, 5, 9));
        assert!(is_older(u32::MAX, 2, 9));
        assert!(is_older(10, 9, 9), "a whole circle ago");
        assert!(!is_older(9, 8, 9), "in flight");
    }
}
