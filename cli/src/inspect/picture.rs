//! A picture of a slots segment: its words, read once each, as plain values.

use seqslot::layout::control::{SCARCE, SEEDS, STATE_CLEAN, STATE_EVICTED, STATE_MASK, STATE_SEEDS};
use seqslot::layout::slots::{EVICT, GENERATION_MASK, OWNER_SHIFT};
use seqslot_core::{Entry, HeadError, HeaderWords, Inspection, Lock, Memory, Ordering, ReaderIndex, SlotsView, Word, WriterIndex};
use serde::Serialize;

use super::look::Mapping;
use super::parties::{Counters, EntryState, Masks, Party, Reader, Writer};

/// A slots segment.
#[derive(Debug, Serialize)]
pub struct Picture {
    pub slots: u32,
    pub capacity: u32,
    pub stride: u32,
    pub payload_offset: u32,
    pub align: u32,
    pub ring_len: u32,
    pub writer_entries: u32,
    pub reader_entries: u32,
    pub overwrite: bool,
    pub total_bytes: usize,
    pub owner: Party,
    pub writers: Vec<Writer>,
    pub readers: Vec<Reader>,
    pub masks: Masks,
    pub counters: Counters,
    pub states: States,
    /// Every slot, if asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub slot_list: Vec<SlotLine>,
    #[serde(skip)]
    pub marks: Vec<Mark>,
}

/// How many slots are in which state.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct States {
    pub free: u32,
    pub samples: u32,
    pub owed: u32,
    pub on_loan: u32,
    pub owed_to_the_dead: u32,
    pub loans_of_the_dead: u32,
    pub damaged: u32,
}

/// What one slot is, least urgent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mark {
    Free,
    /// Holds a sample that may be overwritten.
    Sample,
    /// So many living readers owe a read, or are inside.
    Owed(u32),
    OnLoan,
    OwedToTheDead,
    LoanOfTheDead,
    Damaged,
}

/// One slot in full.
#[derive(Debug, Serialize)]
pub struct SlotLine {
    pub index: u32,
    pub state: Mark,
    /// Its sample's place in its writer's order.
    pub sequence: u32,
    pub size: u32,
    /// Writer of the sample.
    pub writer: Option<u32>,
    /// Writer that has it on loan.
    pub owner: Option<u32>,
    pub generation: u32,
    pub unread: Vec<u32>,
    pub pins: Vec<u32>,
}

/// Who counts and who lives, by index.
#[derive(Debug, Clone, Copy)]
struct Living {
    active: u32,
    readers: u32,
    writers: u32,
    writer_entries: u32,
    overwrite: bool,
}

impl Picture {
    /// Reads it.
    ///
    /// # Errors
    /// The head's geometry cannot be.
    pub fn take(mapping: &Mapping, list: bool) -> Result<Self, HeadError> {
        let view = Inspection::of(mapping)?;
        let g = *view.geometry();
        let mut writers = writers(&view);
        let mut readers = readers(&view);
        let living = Living {
            active: load(view.active()),
            readers: mask(readers.iter().filter(|reader| !reader.party.is_dead()).map(|reader| reader.index)),
            writers: mask(writers.iter().filter(|writer| !writer.party.is_dead()).map(|writer| writer.index)),
            writer_entries: g.writers,
            overwrite: g.overwrite,
        };
        let (mut states, mut marks, mut slot_list) = (States::default(), Vec::new(), Vec::new());
        for slot in view.slots() {
            let words = slot.words();
            let mark = classify(&words, living);
            states.count(mark);
            marks.push(mark);
            let bits = if g.overwrite { words.pins & !EVICT } else { words.unread } & living.active;
            readers.iter_mut().filter(|reader| bits >> reader.index & 1 != 0).for_each(|reader| reader.owed += 1);
            let owner = (words.state >> OWNER_SHIFT).checked_sub(1);
            writers.iter_mut().filter(|writer| Some(writer.index) == owner).for_each(|writer| writer.on_loan += 1);
            if list {
                slot_list.push(SlotLine {
                    index: slot.index(),
                    state: mark,
                    sequence: words.sequence.wrapping_sub(g.ring_len),
                    size: words.size,
                    writer: words.writer.checked_sub(1),
                    owner,
                    generation: words.state & GENERATION_MASK,
                    unread: indices(words.unread),
                    pins: indices(words.pins & !EVICT),
                });
            }
        }
        let owner = party(&view, &view.owner_entry(), Lock::OWNER);
        let counters = counters(&view);
        Ok(Self {
            slots: g.slots,
            capacity: g.capacity,
            stride: g.stride,
            payload_offset: g.payload_offset,
            align: g.align,
            ring_len: g.ring_len,
            writer_entries: g.writers,
            reader_entries: g.readers,
            overwrite: g.overwrite,
            total_bytes: g.total_len,
            owner,
            writers,
            readers,
            masks: masks(&view),
            counters,
            states,
            slot_list,
            marks,
        })
    }
}

impl States {
    fn count(&mut self, mark: Mark) {
        let counter = match mark {
            Mark::Free => &mut self.free,
            Mark::Sample => &mut self.samples,
            Mark::Owed(_) => &mut self.owed,
            Mark::OnLoan => &mut self.on_loan,
            Mark::OwedToTheDead => &mut self.owed_to_the_dead,
            Mark::LoanOfTheDead => &mut self.loans_of_the_dead,
            Mark::Damaged => &mut self.damaged,
        };
        *counter += 1;
    }
}

/// What a slot is, by its words.
fn classify(words: &HeaderWords, living: Living) -> Mark {
    if let Some(owner) = (words.state >> OWNER_SHIFT).checked_sub(1) {
        return match owner {
            _ if owner >= living.writer_entries => Mark::Damaged,
            _ if living.writers >> owner & 1 != 0 => Mark::OnLoan,
            _ => Mark::LoanOfTheDead,
        };
    }
    let bits = if living.overwrite { words.pins & !EVICT } else { words.unread } & living.active;
    match (bits & living.readers).count_ones() {
        0 if bits != 0 => Mark::OwedToTheDead,
        0 if living.overwrite && words.writer != 0 => Mark::Sample,
        0 => Mark::Free,
        count => Mark::Owed(count),
    }
}

fn load<M: Memory>(word: Word<'_, M>) -> u32 {
    // ORDERING: Relaxed; a picture, nothing is concluded from it.
    word.load(Ordering::Relaxed)
}

fn indices(mask: u32) -> Vec<u32> {
    (0..32).filter(|index| mask >> index & 1 != 0).collect()
}

fn mask(indices: impl Iterator<Item = u32>) -> u32 {
    indices.fold(0, |mask, index| mask | 1 << (index & 31))
}

fn party<M: Memory>(view: &Inspection<'_, Mapping>, entry: &Entry<'_, M>, lock: Lock) -> Party {
    let state = load(entry.state());
    let [low, high] = entry.start();
    Party {
        pid: load(entry.pid()),
        alive: view.is_claimed(lock).ok(),
        state: match state & STATE_MASK {
            STATE_CLEAN => EntryState::Clean,
            STATE_SEEDS => EntryState::SeedsFace,
            STATE_EVICTED => EntryState::Evicted,
            _ => EntryState::InUse,
        },
        generation: state / (STATE_MASK + 1),
        start_time: u64::from(load(high)) << 32 | u64::from(load(low)),
        pid_namespace: load(entry.namespace()),
    }
}

/// Writer entries that anybody has or ever had.
fn writers(view: &Inspection<'_, Mapping>) -> Vec<Writer> {
    let (closed, died, ever) = (load(view.closed()), load(view.died()), load(view.ever()));
    let indices = (0..view.geometry().writers).filter_map(WriterIndex::new);
    let entries = indices.filter_map(|index| Some((index, view.writer_entry(index)?)));
    let writers = entries.map(|(index, entry)| Writer {
        index: index.get(),
        party: party(view, &entry, Lock::writer(index.get() as u8)),
        published: entry.published(view.geometry().ring_len),
        positions_burnt: load(entry.burnt()),
        retries: load(entry.retries()),
        overwritten: load(entry.overwritten()),
        on_loan: 0,
        closed: closed & index.bit() != 0,
        died: died & index.bit() != 0,
    });
    writers.filter(|writer| !writer.party.is_vacant() || ever >> writer.index & 1 != 0).collect()
}

/// Reader entries that somebody has, or left without cleaning up.
fn readers(view: &Inspection<'_, Mapping>) -> Vec<Reader> {
    let active = load(view.active());
    let indices = (0..view.geometry().readers).filter_map(ReaderIndex::new);
    let entries = indices.filter_map(|index| Some((index, view.reader_entry(index)?)));
    let readers = entries.map(|(index, entry)| Reader {
        index: index.get(),
        party: party(view, &entry, Lock::reader(index.get() as u8)),
        active: active & index.bit() != 0,
        taken: load(entry.head()),
        missed: load(entry.burnt()),
        sweeps: load(entry.retries()),
        bad_sizes: load(entry.lapses()),
        owed: 0,
    });
    readers.filter(|reader| !reader.party.is_vacant() || reader.active).collect()
}

fn masks<M: Memory>(view: &SlotsView<M>) -> Masks {
    let flags = load(view.flags());
    Masks {
        active: indices(load(view.active())),
        reader_waiters: indices(load(view.reader_waiters())),
        writer_waiters: indices(load(view.writer_waiters())),
        change_waiters: indices(load(view.change_waiters())),
        disconnected: indices(load(view.disconnected())),
        quarantined: indices(load(view.quarantined())),
        scarce: flags & SCARCE != 0,
        seeds_face: flags & SEEDS != 0,
    }
}

/// The totals.
fn counters<M: Memory>(view: &SlotsView<M>) -> Counters {
    let [recovered_writers, recovered_readers, recovered_slots, evicted_readers] = view.totals().map(load);
    Counters { recovered_writers, recovered_readers, recovered_slots, evicted_readers }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIVING: Living = Living { active: 0b0111, readers: 0b0011, writers: 0b01, writer_entries: 2, overwrite: false };

    fn words(owner: u32, unread: u32, pins: u32, writer: u32) -> HeaderWords {
        HeaderWords { sequence: 9, size: 4, unread, pins, state: owner << OWNER_SHIFT | 7, writer, generation: 7 }
    }

    #[test]
    fn a_slot_is_what_its_owner_and_its_living_readers_say() {
        assert_eq!(classify(&words(0, 0, 0, 1), LIVING), Mark::Free);
        assert_eq!(classify(&words(0, 0b1000, 0, 1), LIVING), Mark::Free, "a bit of one who left");
        assert_eq!(classify(&words(0, 0b0111, 0, 1), LIVING), Mark::Owed(2));
        assert_eq!(classify(&words(0, 0b0100, 0, 1), LIVING), Mark::OwedToTheDead);
        assert_eq!(classify(&words(1, 0b0111, 0, 1), LIVING), Mark::OnLoan);
        assert_eq!(classify(&words(2, 0, 0, 1), LIVING), Mark::LoanOfTheDead);
        assert_eq!(classify(&words(3, 0, 0, 1), LIVING), Mark::Damaged);
    }

    #[test]
    fn where_overwriting_is_allowed_pins_count() {
        let living = Living { overwrite: true, ..LIVING };
        assert_eq!(classify(&words(0, 0b0111, 0, 1), living), Mark::Sample);
        assert_eq!(classify(&words(0, 0, 0b0001, 1), living), Mark::Owed(1));
        assert_eq!(classify(&words(0, 0, EVICT, 0), living), Mark::Free);
    }

    #[test]
    fn masks_and_indices_are_each_other() {
        assert_eq!(indices(0b1000_0001), [0, 7]);
        assert_eq!(mask([0, 7].into_iter()), 0b1000_0001);
    }
}
