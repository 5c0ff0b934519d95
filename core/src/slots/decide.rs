//! The decisions of the protocol, as pure functions over plain words.

use crate::layout::slots::{GENERATION_MASK, OWNER_SHIFT};

/// Owner field for writer `index`.
#[inline(always)]
pub(crate) const fn owner_field(writer: u32) -> u32 {
    writer + 1
}

/// The owner field of a state word: 0 none, else writer + 1.
#[inline(always)]
pub(crate) const fn owner_of(state: u32) -> u32 {
    state >> OWNER_SHIFT
}

/// The generation of a state word.
#[inline(always)]
pub(crate) const fn generation_of(state: u32) -> u32 {
    state & GENERATION_MASK
}

/// The state word after a claim by `writer` of a slot in `state`: next generation, never 0, so that a zero-filled slot is no handle's.
#[inline(always)]
pub(crate) const fn claimed(state: u32, writer: u32) -> u32 {
    let next = (state & GENERATION_MASK) + 1;
    // The wrap goes to 1 at the cost of one comparison.
    let generation = if next > GENERATION_MASK { 1 } else { next };
    generation | owner_field(writer) << OWNER_SHIFT
}

/// The state word of a slot that `state`'s owner gives up.
#[inline(always)]
pub(crate) const fn unowned(state: u32) -> u32 {
    state & GENERATION_MASK
}

/// Whether a slot that nobody owns is free: nobody who counts owes a read.
#[inline(always)]
pub(crate) const fn is_free(unread: u32, counting: u32) -> bool {
    unread & counting == 0
}

/// What a ring entry's tag says to a reader at `cursor`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RingSays {
    /// The position has not been committed yet.
    Nothing,
    /// The entry is of this very position.
    Here,
    /// The entry is of a later position: the ring has lapped the cursor.
    Passed,
}

/// Compares a tag with a cursor on the circle of positions.
#[inline(always)]
pub(crate) const fn ring_says(tag: u32, cursor: u32) -> RingSays {
    let ahead = tag.wrapping_sub(cursor) as i32;
    if ahead < 0 {
        RingSays::Nothing
    } else if ahead == 0 {
        RingSays::Here
    } else {
        RingSays::Passed
    }
}

/// The later of a head and the position behind a tag.
#[inline]
pub(crate) const fn sweep_end(head: u32, tag: u32) -> u32 {
    let behind_tag = tag.wrapping_add(1);
    if (head.wrapping_sub(behind_tag) as i32) > 0 { head } else { behind_tag }
}

/// Whether `position` is in the half-open range from `cursor` to `end`, on the circle.
#[inline(always)]
pub(crate) const fn in_range(position: u32, cursor: u32, end: u32) -> bool {
    position.wrapping_sub(cursor) < end.wrapping_sub(cursor)
}

/// What recovery of a dead writer does with a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SlotOfTheDead {
    /// Not the dead writer's: leave it alone.
    Untouched,
    /// Take the ownership away; `unread` alone says whether the sample lives.
    Unown,
    /// Overwrite, eviction begun: the header names nobody, the pins are zeroed, then the ownership goes.
    UnownEvicted,
}

/// What recovery of writer `writer` does with a slot whose state and pins are these.
pub(crate) const fn slot_of_the_dead(state: u32, pins: u32, writer: u32, overwrite: bool) -> SlotOfTheDead {
    if owner_of(state) != owner_field(writer) {
        SlotOfTheDead::Untouched
    } else if overwrite && pins & crate::layout::slots::EVICT != 0 {
        SlotOfTheDead::UnownEvicted
    } else {
        SlotOfTheDead::Unown
    }
}

/// Whether a slot holds the sample that `writer` published at `head` before it died: published, but perhaps in no ring.
pub(crate) const fn is_unfinished_commit(sequence: u32, slot_writer: u32, unread: u32, pins: u32, head: u32, writer: u32, overwrite: bool) -> bool {
    let published = if overwrite { pins & crate::layout::slots::EVICT == 0 } else { unread != 0 };
    published && sequence == head && slot_writer == owner_field(writer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::slots::EVICT;

    #[test]
    fn a_claim_records_the_owner_and_the_next_generation() {
        let state = claimed(7, 31);
        assert_eq!((owner_of(state), generation_of(state)), (32, 8));
        assert_eq!(unowned(state), 8);
    }

    #[test]
    fn a_generation_wraps_to_one_and_leaves_the_owner_alone() {
        let state = claimed(GENERATION_MASK, 0);
        assert_eq!((owner_of(state), generation_of(state)), (1, 1));
    }

    #[test]
    fn a_tag_is_compared_on_the_circle() {
        assert_eq!(ring_says(0, 4), RingSays::Nothing);
        assert_eq!(ring_says(4, 4), RingSays::Here);
        assert_eq!(ring_says(8, 4), RingSays::Passed);
        assert_eq!(ring_says(2, u32::MAX - 1), RingSays::Passed);
        assert_eq!(ring_says(u32::MAX - 1, 2), RingSays::Nothing);
    }

    #[test]
    fn a_sweep_ends_at_the_later_of_head_and_tag() {
        assert_eq!(sweep_end(10, 5), 10);
        assert_eq!(sweep_end(5, 9), 10);
        assert_eq!(sweep_end(2, u32::MAX), 2);
        assert!(in_range(u32::MAX, u32::MAX - 1, 3) && in_range(2, u32::MAX, 3) && !in_range(3, u32::MAX, 3));
    }

    #[test]
    fn recovery_touches_the_dead_writers_slots_only() {
        let mine = claimed(3, 2);
        assert_eq!(slot_of_the_dead(mine, EVICT, 1, true), SlotOfTheDead::Untouched);
        assert_eq!(slot_of_the_dead(unowned(mine), EVICT, 2, true), SlotOfTheDead::Untouched);
        assert_eq!(slot_of_the_dead(mine, 0, 2, true), SlotOfTheDead::Unown);
        assert_eq!(slot_of_the_dead(mine, EVICT | 3, 2, true), SlotOfTheDead::UnownEvicted);
        assert_eq!(slot_of_the_dead(mine, EVICT, 2, false), SlotOfTheDead::Unown);
    }

    #[test]
    fn an_unfinished_commit_is_the_published_one_at_head() {
        assert!(is_unfinished_commit(9, 3, 1, 0, 9, 2, false));
        assert!(!is_unfinished_commit(9, 3, 0, 0, 9, 2, false), "not published");
        assert!(!is_unfinished_commit(8, 3, 1, 0, 9, 2, false), "an older one");
        assert!(!is_unfinished_commit(9, 2, 1, 0, 9, 2, false), "another writer's");
        assert!(is_unfinished_commit(9, 3, 0, 5, 9, 2, true));
        assert!(!is_unfinished_commit(9, 3, 0, EVICT, 9, 2, true), "being taken away");
    }
}
