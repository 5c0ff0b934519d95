//! What the words of a segment say after a recovery: about the living, and nothing about the dead.

use seqslot_core::layout::control::{SCARCE, STATE_CLEAN, STATE_MASK};
use seqslot_core::layout::slots::{EVICT, OWNER_SHIFT};
use seqslot_core::{Memory, Ordering::Relaxed, ReaderIndex, Word, WriterIndex};

use crate::scene::{Scene, Shared};

/// Masks of the readers and writers that live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Living {
    pub readers: u32,
    pub writers: u32,
    /// Readers that live, but were evicted.
    pub evicted: u32,
}

impl Living {
    pub fn of(scene: &Scene) -> Self {
        let pen = scene.other.pen.borrow();
        let pen = pen.iter().filter(|_| !scene.other.os.is_dead()).map(|pen| pen.writer.index().bit());
        let keeper = scene.keeper.pen.borrow().as_ref().map_or(0, |pen| pen.writer.index().bit());
        let (mut readers, mut evicted) = (0, 0);
        scene.for_each_ear(|ear| *if ear.is_excused.get() { &mut evicted } else { &mut readers } |= ear.reader.index().bit());
        Self { readers, writers: keeper | pen.fold(0, |mask, bit| mask | bit), evicted }
    }
}

/// Every shared word, by offset.
pub fn dump(segment: &Shared) -> Vec<(usize, u32)> {
    let mut words = Vec::new();
    segment.view().for_each_word(|at| {
        // SAFETY: an offset of a word of the segment, which is mapped.
        words.push((at, unsafe { segment.view().memory().load(at, Relaxed) }));
    });
    words
}

fn get<M: Memory>(word: Word<'_, M>) -> u32 {
    word.load(Relaxed)
}

/// Nobody dead is left in any word, and nobody alive is missing.
pub fn tell_of_the_living(segment: &Shared, living: Living, pinned: &[u32], loaned: u32) {
    let view = segment.view();
    let active = get(view.active());
    assert_eq!(active, living.readers, "readers that count");
    assert_eq!(get(view.reader_waiters()) | get(view.writer_waiters()) | get(view.change_waiters()), 0, "nobody waits");
    assert_eq!(get(view.quarantined()) & !living.evicted, 0, "quarantined are living readers");
    for index in (0..segment.geometry().readers).filter_map(ReaderIndex::new) {
        let state = view.reader_entry(index).map_or(0, |entry| get(entry.state())) & STATE_MASK;
        let lives = (living.readers | living.evicted) & index.bit() != 0;
        assert_eq!(state != STATE_CLEAN, lives, "reader {} is in state {state}", index.get());
    }
    for index in (0..segment.geometry().writers).filter_map(WriterIndex::new) {
        let state = view.writer_entry(index).map_or(0, |entry| get(entry.state())) & STATE_MASK;
        assert_eq!(state != STATE_CLEAN, living.writers & index.bit() != 0, "writer {} is in state {state}", index.get());
    }
    for slot in view.slots() {
        let owner = get(slot.state()) >> OWNER_SHIFT;
        assert!(owner == 0 || living.writers & 1 << (owner - 1) != 0, "slot {} is owned by dead writer {}", slot.index(), owner - 1);
        assert!(owner == 0 || loaned != 0, "slot {} is owned, and nobody has a loan", slot.index());
        let pins = get(slot.pins());
        assert!(pins & EVICT == 0 || owner != 0, "slot {} is being taken away by nobody", slot.index());
        assert!(pins & !EVICT == 0 || pinned.contains(&slot.index()), "slot {} is pinned: {pins:#x}", slot.index());
        assert_eq!(pins & !EVICT & !(living.readers | living.evicted), 0, "slot {} is pinned by the dead", slot.index());
    }
}

/// The ring finds what the slots hold, as far as it reaches back; and says nothing of positions to come.
pub fn ring_agrees_with_slots(segment: &Shared) {
    let (view, geometry) = (segment.view(), segment.geometry());
    let active = get(view.active());
    for writer in (0..geometry.writers).filter_map(WriterIndex::new) {
        let (Some(entry), Some(ring)) = (view.writer_entry(writer), view.ring(writer)) else { continue };
        let head = get(entry.head()).wrapping_add(geometry.ring_len);
        for slot in view.slots() {
            let is_live = if geometry.overwrite { get(slot.pins()) & EVICT == 0 } else { get(slot.unread()) & active != 0 };
            if !is_live || get(slot.writer()) != writer.get() + 1 {
                continue;
            }
            let position = get(slot.sequence());
            let back = head.wrapping_sub(position);
            assert!(back as i32 > 0, "slot {} holds position {position} of writer {}, whose head is {head}", slot.index(), writer.get());
            if back <= geometry.ring_len {
                let found = (get(ring.tag(position)), get(ring.index(position)));
                assert_eq!(found, (position, slot.index()), "what the ring says of position {position} of writer {}", writer.get());
            }
        }
        let tag = get(ring.tag(head));
        assert!((tag.wrapping_sub(head) as i32) < 0, "the ring has position {head} of writer {} already: {tag}", writer.get());
    }
}

/// While slots are scarce the free map shows every slot that is free, from the top down.
pub fn free_map_shows_the_free(segment: &Shared) {
    let (view, geometry) = (segment.view(), segment.geometry());
    if get(view.flags()) & SCARCE == 0 {
        return;
    }
    for slot in view.slots() {
        if get(slot.state()) >> OWNER_SHIFT != 0 || get(slot.unread()) & get(view.active()) != 0 {
            continue;
        }
        let mut at = slot.index();
        for level in 0..geometry.free_levels {
            let word = view.free_word(level, at / 32).map_or(0, get);
            assert_ne!(word & 1 << (at % 32), 0, "slot {} is free, and level {level} of the free map does not show it", slot.index());
            at /= 32;
        }
    }
}
