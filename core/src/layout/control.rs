//! The control lines of a slots segment and the registry's entries: offsets, and the masks of state words.
//!
//! Every line is 64 bytes. Offsets of the control lines are from the start of the segment, those of an entry from its start.
//!
//! | offset | word | who writes | who reads |
//! |---|---|---|---|
//! | 128 | active: reader mask of those that count | reader r its bit; recoverer, evictor of r | every commit and reserve |
//! | 192 | reader waiters: mask by reader index | the bit's owner; its recoverer | every commit |
//! | 196 | writer waiters: mask by writer index | the bit's owner; its recoverer | every release |
//! | 200 | change waiters: mask by writer index (the seeds' face waits with a writer's entry) | the bit's owner; its recoverer | every commit, release |
//! | 204 | disconnected: reader mask (the seeds' face) | marker of r; recoverer of r | seeds' reserve |
//! | 208 | quarantined: reader mask of the evicted | evictor; whoever joins r anew | every take |
//! | 212 | closed: writer mask | writer w; whoever claims w anew | an empty take |
//! | 216 | died: writer mask | recoverer of w; whoever claims w anew | an empty take |
//! | 220 | ever: mask of the writers ever used | writer w at its claim | an empty take |
//! | 224 | flags: bit 0 scarce, bit 1 seeds' face in use | whoever sets or clears | every release, reserve |
//! | 228 | shared: reader mask of the indices that two parties of the seeds' face ever used at once | those parties | a join |
//! | 256 | reader generation (futex word) | notifiers | waiting readers |
//! | 320 | writer generation (futex word) | notifiers | waiting writers |
//! | 384 | change generation (futex word) | notifiers | `wait_for_change` |
//! | 448 | changes: moves with leave, disconnection, eviction, recovery | whoever does that | `notify_generation` |
//! | 452 / 456 / 460 / 464 | recovered writers / readers / slots; evicted readers | recoverer, evictor | statistics |
//! | 512 | owner's entry | the creator | people |
//! | 576 | readers' entries, one line each | reader r; its recoverer | people, lag, recovery |
//! | then | writers' entries, one line each | writer w; its recoverer | readers (head), recovery |
//!
//! An entry (a line):
//!
//! | offset | word | what |
//! |---|---|---|
//! | +0 | lock | for platforms without locks of their own: even is free, odd is held, and it moves by one each time |
//! | +4 | token | what the holder drew at its claim; never 0 while in use |
//! | +8 | pid | process number in its own namespace |
//! | +12, +16 | start time | low word, high word |
//! | +20 | namespace | of the pid |
//! | +24 | state | 0 clean, 1 in use, 2 in use by the seeds' face, 3 evicted; generation << 2 |
//! | +28 | head | writer: next position, less the ring length. Reader: samples taken |
//! | +32 | changes | counter: writer's discards and put-backs; reader's releases while the seeds' face is in use |
//! | +36 | burnt or missed | writer: positions burnt by recovery. Reader: samples overwritten before it came to them |
//! | +40 | retries | writer: claims put back. Reader: sweeps |
//! | +44 | overwritten | writer: samples it took away |
//! | +48 | lapses | reader: bad sizes skipped |
//! | +52 | burning or marks begun | writer: the position that a recovery counts, or counted last, as burnt. Reader: marks of the seeds' face |
//! | +56 | burnt then or marks ended | writer: positions burnt when that one is counted. Reader: marks of the seeds' face that are over |
//! | +60 | reserved | zero |

use crate::layout::LINE;

/// Line of the active mask.
pub const ACTIVE_AT: usize = 128;
/// Line of the waiter masks and the rarely written masks.
pub const WAITERS_AT: usize = 192;
/// Reader waiters.
pub const READER_WAITERS_AT: usize = WAITERS_AT;
/// Writer waiters.
pub const WRITER_WAITERS_AT: usize = WAITERS_AT + 4;
/// Change waiters.
pub const CHANGE_WAITERS_AT: usize = WAITERS_AT + 8;
/// Disconnected readers of the seeds' face.
pub const DISCONNECTED_AT: usize = WAITERS_AT + 12;
/// Evicted readers.
pub const QUARANTINED_AT: usize = WAITERS_AT + 16;
/// Writers that closed.
pub const CLOSED_AT: usize = WAITERS_AT + 20;
/// Writers that died.
pub const DIED_AT: usize = WAITERS_AT + 24;
/// Writers ever used.
pub const EVER_AT: usize = WAITERS_AT + 28;
/// Flags.
pub const FLAGS_AT: usize = WAITERS_AT + 32;
/// Reader indices that were ever shared (the seeds' face).
pub const SHARED_AT: usize = WAITERS_AT + 36;
/// Futex word of readers.
pub const READER_GENERATION_AT: usize = 256;
/// Futex word of writers.
pub const WRITER_GENERATION_AT: usize = 320;
/// Futex word of the seeds' `wait_for_change`.
pub const CHANGE_GENERATION_AT: usize = 384;
/// Change counter and totals.
pub const TOTALS_AT: usize = 448;
/// The owner's entry.
pub const OWNER_AT: usize = 512;
/// The readers' entries.
pub const READERS_AT: usize = 576;

/// Flag: slots are scarce, releasers mark what they free in the free map.
pub const SCARCE: u32 = 1;
/// Flag: the seeds' face is in use, releasers move their change counters.
pub const SEEDS: u32 = 2;

/// Entry: lock word.
pub const ENTRY_LOCK: usize = 0;
/// Entry: token.
pub const ENTRY_TOKEN: usize = 4;
/// Entry: process number.
pub const ENTRY_PID: usize = 8;
/// Entry: start time, low word; the high word follows.
pub const ENTRY_START: usize = 12;
/// Entry: pid namespace.
pub const ENTRY_NAMESPACE: usize = 20;
/// Entry: state and generation.
pub const ENTRY_STATE: usize = 24;
/// Entry: a writer's head, less the ring length; a reader's count of samples taken.
pub const ENTRY_HEAD: usize = 28;
/// Entry: change counter.
pub const ENTRY_CHANGES: usize = 32;
/// Entry: positions burnt, or samples missed.
pub const ENTRY_BURNT: usize = 36;
/// Entry: retries.
pub const ENTRY_RETRIES: usize = 40;
/// Entry: samples evicted by this writer.
pub const ENTRY_OVERWRITTEN: usize = 44;
/// Entry: bad sizes skipped.
pub const ENTRY_LAPSES: usize = 48;
/// Entry: the position that is being counted as burnt.
pub const ENTRY_BURNING: usize = 52;
/// Entry: positions burnt, with that one.
pub const ENTRY_BURNT_THEN: usize = 56;
/// Entry: a reader's marks of the seeds' face, begun.
pub const ENTRY_MARKS_BEGUN: usize = ENTRY_BURNING;
/// Entry: a reader's marks of the seeds' face that are over.
pub const ENTRY_MARKS_ENDED: usize = ENTRY_BURNT_THEN;

/// Entry state: nobody's, nothing to recover.
pub const STATE_CLEAN: u32 = 0;
/// Entry state: claimed by the safe face.
pub const STATE_IN_USE: u32 = 1;
/// Entry state: claimed by the seeds' face.
pub const STATE_SEEDS: u32 = 2;
/// Entry state: a living reader that was evicted.
pub const STATE_EVICTED: u32 = 3;
/// Bits of the state in the state word; the rest is the entry's generation.
pub const STATE_MASK: u32 = 3;

const _: () = assert!(SHARED_AT + 4 <= WAITERS_AT + LINE && ENTRY_BURNT_THEN + 4 <= LINE);
const _: () = assert!(READERS_AT == OWNER_AT + LINE && TOTALS_AT + 20 <= OWNER_AT);
const _: () =
    assert!(ACTIVE_AT.is_multiple_of(LINE) && READER_GENERATION_AT.is_multiple_of(LINE) && WRITER_GENERATION_AT.is_multiple_of(LINE));
