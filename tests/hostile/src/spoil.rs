//! What is done to a word, where, and when.

use arbitrary::{Arbitrary, Unstructured};
use seqslot_core::layout::LINE;
use seqslot_core::layout::control as at;
use seqslot_core::layout::head::HEAD_LEN;
use seqslot_core::layout::slots as field;
use seqslot_core::layout::slots::SlotsGeometry;

/// A forged word: `after` so many accesses behind the one before it.
#[derive(Debug, Clone, Copy, Arbitrary)]
pub struct Spoil {
    /// Accesses that pass before.
    pub after: u8,
    /// Which word.
    pub place: Place,
    /// What it becomes.
    pub value: Value,
}

/// As many forgeries as `count` says, as far as the bytes go. (`arbitrary`'s own lists are nearly always of one element.)
pub fn script(u: &mut Unstructured<'_>, count: u8) -> Vec<Spoil> {
    (0..count % 64).map_while(|_| if u.is_empty() { None } else { Spoil::arbitrary(u).ok() }).collect()
}

/// A word, by what it is rather than where, so that most forgeries hit something that counts.
#[derive(Debug, Clone, Copy, Arbitrary)]
pub enum Place {
    /// The very word that is about to be accessed.
    Here,
    /// The word that was accessed last: between a check and its use.
    Last,
    /// A word of the head.
    Head(u8),
    /// A control word.
    Control(u8),
    /// A word of an entry, readers' entries first.
    Entry(u8, u8),
    /// A word of a ring.
    Ring(u8, u8),
    /// A word of the free map.
    Free(u8),
    /// A word of a slot's header.
    Slot(u8, u8),
    /// A word of the header of a slot that is on loan, or holds a sample that somebody owes a read: so far on among those.
    Busy(u8, u8),
    /// Any word.
    Any(u16),
}

/// What a word becomes.
#[derive(Debug, Clone, Copy, Arbitrary)]
pub enum Value {
    /// Zero.
    Zero,
    /// All ones.
    Ones,
    /// A small number: an index, a count.
    Small(u8),
    /// One bit turned over.
    Bit(u8),
    /// A little more or less.
    Add(i8),
    /// Half a circle away, and a little.
    Far(i8),
    /// Anything.
    Raw(u32),
}

impl Value {
    /// The word after `before`.
    #[must_use]
    pub fn of(self, before: u32) -> u32 {
        match self {
            Self::Zero => 0,
            Self::Ones => u32::MAX,
            Self::Small(number) => u32::from(number),
            Self::Bit(bit) => before ^ 1 << (bit % 32),
            Self::Add(step) => before.wrapping_add_signed(i32::from(step)),
            Self::Far(step) => before.wrapping_add(1 << 31).wrapping_add_signed(i32::from(step)),
            Self::Raw(word) => word,
        }
    }
}

impl Place {
    /// The slot that is meant where it depends on what is in the slots, of which `is_busy` tells.
    #[must_use]
    pub fn settle(self, geometry: Option<&SlotsGeometry>, is_busy: impl Fn(usize) -> bool) -> Self {
        let (Self::Busy(nth, word), Some(g)) = (self, geometry) else { return self };
        let busy: Vec<u32> = (0..g.slots).filter(|slot| is_busy(g.slots_at + *slot as usize * g.stride as usize)).collect();
        let slot = busy.get(usize::from(nth) % busy.len().max(1)).copied().unwrap_or(u32::from(nth));
        Self::Slot((slot % 256) as u8, word)
    }

    /// The byte offset in a segment of this geometry (any region of `len` bytes where there is none); `here` and `last` are accesses.
    #[must_use]
    pub fn resolve(self, geometry: Option<&SlotsGeometry>, len: usize, here: usize, last: usize) -> usize {
        let any = |number: usize| number % (len / 4).max(1) * 4;
        let Some(g) = geometry else {
            return match self {
                Self::Here => here,
                Self::Last => last,
                Self::Head(word) => usize::from(word) * 4 % HEAD_LEN,
                // What a snapshot keeps in words: its control lines and the first buffers.
                Self::Control(word) | Self::Free(word) => HEAD_LEN + usize::from(word) * 4,
                Self::Entry(line, word) | Self::Ring(line, word) | Self::Slot(line, word) | Self::Busy(line, word) => {
                    any(at::READERS_AT / 4 + usize::from(line) * LINE / 4 + usize::from(word) % 16)
                }
                Self::Any(word) => any(usize::from(word)),
            };
        };
        let wrap = |number: u8, count: usize| usize::from(number) % count.max(1);
        match self {
            Self::Here => here,
            Self::Last => last,
            Self::Head(word) => wrap(word, HEAD_LEN / 4) * 4,
            Self::Control(word) => control(word),
            Self::Entry(entry, word) => at::OWNER_AT + wrap(entry, (g.rings_at - at::OWNER_AT) / LINE) * LINE + wrap(word, 16) * 4,
            Self::Ring(ring, word) => g.rings_at + wrap(ring, g.writers as usize) * g.ring_stride + wrap(word, g.ring_len as usize * 2) * 4,
            Self::Free(word) => g.free[0].at + wrap(word, (g.slots_at - g.free[0].at) / 4) * 4,
            Self::Slot(slot, word) | Self::Busy(slot, word) => {
                let words = field::SLOT_HEADER_LEN / 4;
                g.slots_at + wrap(slot, g.slots as usize) * g.stride as usize + wrap(word, words) * 4
            }
            Self::Any(word) => any(usize::from(word)),
        }
    }
}

/// The control words, each as likely as another.
fn control(number: u8) -> usize {
    let waiters = (at::SHARED_AT - at::WAITERS_AT) / 4 + 1;
    let number = usize::from(number) % (waiters + 9);
    match number.checked_sub(waiters) {
        None => at::WAITERS_AT + number * 4,
        Some(0) => at::ACTIVE_AT,
        Some(1) => at::READER_GENERATION_AT,
        Some(2) => at::WRITER_GENERATION_AT,
        Some(3) => at::CHANGE_GENERATION_AT,
        Some(other) => at::TOTALS_AT + (other - 4) * 4,
    }
}

/// Whether the word at `offset` is a hint, a counter, or for people: no promise may rest on it. Wake-ups do rest on waiters and generations,
/// which matters to nobody here, since nobody sleeps for good.
#[must_use]
pub fn is_hint(geometry: &SlotsGeometry, offset: usize) -> bool {
    let g = geometry;
    let in_line = offset % LINE;
    match offset {
        at::READER_WAITERS_AT | at::WRITER_WAITERS_AT | at::CHANGE_WAITERS_AT => true,
        at::READER_GENERATION_AT | at::WRITER_GENERATION_AT | at::CHANGE_GENERATION_AT => true,
        _ if offset < at::TOTALS_AT => false,
        _ if offset < at::OWNER_AT => true,
        _ if offset < g.rings_at => {
            let is_name = matches!(in_line, at::ENTRY_TOKEN..at::ENTRY_STATE);
            let is_count = matches!(in_line, at::ENTRY_CHANGES..LINE);
            is_name || is_count || offset < g.writers_at && in_line == at::ENTRY_HEAD
        }
        // The index of a ring's entry is a hint, its tag is not.
        _ if offset < g.free[0].at => (offset - g.rings_at) % g.ring_stride % 8 == 4,
        // The free map.
        _ => offset < g.slots_at,
    }
}
