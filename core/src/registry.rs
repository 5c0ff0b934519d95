//! The registry: who holds which entry, and recovery of the entries of the dead.

use core::time::Duration;

use portable_atomic::Ordering::{Relaxed, Release};

use crate::error::{JoinError, OsError};
use crate::index::{ReaderIndex, WriterIndex};
use crate::layout::control::{SEEDS, STATE_CLEAN, STATE_EVICTED, STATE_IN_USE, STATE_MASK};
use crate::memory::Memory;
use crate::os::{ClaimOf, Lock, Os};
use crate::segment::{Segment, SlotsOs};
use crate::slots::parts::Entry;

/// A token from a count, the clock, and the process: never 0.
pub(crate) fn token<O: Os>(os: &O, count: u32) -> u32 {
    let process = os.process();
    let mixed = mix(os.now().as_nanos() as u64 ^ process.start_time.rotate_left(17) ^ u64::from(process.pid) << 32 ^ u64::from(count));
    (mixed as u32).max(1)
}

/// Instances drawn by this program.
static DRAWN: portable_atomic::AtomicU32 = portable_atomic::AtomicU32::new(0);

/// The identity of a new segment: different for each, as far as clock, process and address tell.
pub(crate) fn draw_instance<O: Os>(os: &O) -> [u8; 16] {
    let process = os.process();
    let here = core::ptr::from_ref(os).addr() as u64;
    // Where there is no clock, what tells two segments of one program apart. Relaxed: only uniqueness matters.
    let count = u64::from(DRAWN.fetch_add(1, Relaxed));
    let first = mix(os.now().as_nanos() as u64 ^ u64::from(process.pid) << 40 ^ here ^ mix(count));
    let second = mix(first ^ process.start_time ^ u64::from(process.pid_namespace) << 20);
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&first.to_ne_bytes());
    bytes[8..].copy_from_slice(&second.to_ne_bytes());
    bytes
}

/// SplitMix64's finaliser (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014).
fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ z >> 31
}

/// Writes who holds an entry, for people.
pub(crate) fn fill<M: Memory, O: Os>(entry: &Entry<'_, M>, os: &O, token: u32) {
    let process = os.process();
    // ORDERING: Relaxed, all; for people. The state word that follows is what recovery looks at.
    entry.token().store(token, Relaxed);
    entry.pid().store(process.pid, Relaxed);
    let [low, high] = entry.start();
    low.store(process.start_time as u32, Relaxed);
    high.store((process.start_time >> 32) as u32, Relaxed);
    entry.namespace().store(process.pid_namespace, Relaxed);
}

/// How often a claim looks at all entries before it says that they are taken.
pub(crate) const TRIES: u32 = 4;
/// What it waits in between: a recovery is over by then.
const PAUSE: Duration = Duration::from_millis(1);

/// How often the lock of evictions is tried by somebody who joins, and the pause in between.
const EVICTION_TRIES: u32 = 20;
const EVICTION_PAUSE: Duration = Duration::from_micros(100);

/// An entry that this process holds.
pub(crate) struct Claimed<O: SlotsOs, I> {
    pub(crate) index: I,
    pub(crate) claim: ClaimOf<O>,
    /// The entry's state word, as this process stored it.
    pub(crate) state: u32,
}

impl From<OsError> for JoinError {
    fn from(error: OsError) -> Self {
        Self::Os(error)
    }
}

impl<O: SlotsOs> Segment<O> {
    /// Claims the first free reader entry, or the one wanted, recovers what its last holder left, and marks it in use with `state`.
    pub(crate) fn claim_reader(&self, wanted: Option<ReaderIndex>, state: u32) -> Result<Claimed<O, ReaderIndex>, JoinError> {
        let entries = self.geometry().readers;
        let candidates = candidates(wanted.map(ReaderIndex::get), entries)?;
        for tries_left in (0..TRIES).rev() {
            for index in candidates.clone().filter_map(ReaderIndex::new) {
                let Some(claim) = self.claim(Lock::reader(index.get() as u8))? else { continue };
                if let Some(state) = self.enter_reader(index, state)? {
                    return Ok(Claimed { index, claim, state });
                }
            }
            self.pause_for_recoverers(tries_left);
        }
        Err(refusal(wanted.map(ReaderIndex::get), entries))
    }

    /// Makes the entry of a reader, whose lock is ours, our own; its new state word. `None` while an eviction is under way.
    fn enter_reader(&self, index: ReaderIndex, state: u32) -> Result<Option<u32>, OsError> {
        let Some(entry) = self.view().reader_entry(index) else { return Ok(None) };
        // ORDERING: Relaxed, both; a hint, looked at again below.
        if state == STATE_IN_USE && self.view().shared().load(Relaxed) & index.bit() != 0 {
            return Ok(None);
        }
        // ORDERING: Relaxed; the lock is ours, and came with what its last holder stored.
        let before = entry.state().load(Relaxed);
        // Held until the entry is ours in every word, so that no eviction or disconnection of the former holder is under way. There is
        // none of a clean entry's, but for disconnections by the seeds' face.
        let is_undisturbed = before & STATE_MASK == STATE_CLEAN && self.view().flags().load(Relaxed) & SEEDS == 0;
        let _eviction = match is_undisturbed {
            true => None,
            false => match self.claim_eviction()? {
                Some(held) => Some(held),
                None => return Ok(None),
            },
        };
        // ORDERING: Relaxed; read again, under both locks.
        let before = if is_undisturbed { before } else { entry.state().load(Relaxed) };
        if before & STATE_MASK != STATE_CLEAN {
            self.protocol().recover_reader_in(index, before);
        }
        fill(&entry, self.os(), self.draw_token());
        for counter in [entry.head(), entry.burnt(), entry.retries(), entry.lapses()] {
            counter.store(0, Relaxed);
        }
        // ORDERING: Relaxed, all; a hint where the index is shared, and else nobody's but ours: the mark that a death cut short is over.
        if self.view().shared().load(Relaxed) & index.bit() == 0 {
            entry.marks_ended().store(entry.marks_begun().load(Relaxed), Relaxed);
        }
        // ORDERING: Relaxed; carried by the state. Before it, so that an eviction of the new holder is not undone.
        self.view().quarantined().fetch_and(!index.bit(), Relaxed);
        let mine = next_state(before, state);
        // ORDERING: Release, before anything of the entry is used: a death from here on is recovered. Failure: Relaxed; somebody wrote
        // the entry of a party whose lock we hold: not ours to take.
        if entry.state().compare_exchange(before, mine, Release, Relaxed).is_err() {
            return Ok(None);
        }
        // Full fence, edge "shared": the state is visible before the mask is looked at.
        self.view().memory().fence_full();
        // ORDERING: Relaxed; the fence.
        if state == STATE_IN_USE && self.view().shared().load(Relaxed) & index.bit() != 0 {
            // Somebody of the seeds' face may still mark with this index, under no lock of its own.
            let _ = entry.state().compare_exchange(mine, clean(mine), Release, Relaxed);
            return Ok(None);
        }
        Ok(Some(mine))
    }

    /// The lock of evictions; looked for a while, since others hold it for moments only.
    pub(crate) fn claim_eviction(&self) -> Result<Option<ClaimOf<O>>, OsError> {
        for _ in 0..EVICTION_TRIES {
            if let Some(held) = self.claim(Lock::EVICTION)? {
                return Ok(Some(held));
            }
            self.os().sleep(EVICTION_PAUSE);
        }
        Ok(None)
    }

    /// Claims the first free writer entry, recovers what its last holder left, and marks it in use with `state`.
    pub(crate) fn claim_writer(&self, state: u32) -> Result<Claimed<O, WriterIndex>, JoinError> {
        // Before anything is claimed or recovered; looked at again below.
        if state == STATE_IN_USE && self.is_of_the_seeds_face() {
            return Err(JoinError::SlotFace);
        }
        let entries = self.geometry().writers;
        for tries_left in (0..TRIES).rev() {
            for index in (0..entries).filter_map(WriterIndex::new) {
                let Some(entry) = self.view().writer_entry(index) else { continue };
                let Some(claim) = self.claim(Lock::writer(index.get() as u8))? else { continue };
                // ORDERING: Relaxed; the lock is ours, and came with what its last holder stored.
                let before = entry.state().load(Relaxed);
                if before & STATE_MASK != STATE_CLEAN {
                    self.protocol().recover_writer(index);
                }
                fill(&entry, self.os(), self.draw_token());
                let state = next_state(before, state);
                // ORDERING: Release, before anything of the entry is used: a death from here on is recovered.
                entry.state().store(state, Release);
                if state & STATE_MASK == STATE_IN_USE {
                    // Full fence, edge "one kind of writer": the state is visible before the flag is looked at.
                    self.view().memory().fence_full();
                    if self.is_of_the_seeds_face() {
                        // ORDERING: Release, as above.
                        entry.state().store(clean(state), Release);
                        return Err(JoinError::SlotFace);
                    }
                }
                // ORDERING: Relaxed, both, then Release: who sees the writer in `ever` (Acquire) sees it neither closed nor dead.
                self.view().closed().fetch_and(!index.bit(), Relaxed);
                self.view().died().fetch_and(!index.bit(), Relaxed);
                self.view().ever().fetch_or(index.bit(), Release);
                return Ok(Claimed { index, claim, state });
            }
            self.pause_for_recoverers(tries_left);
        }
        Err(refusal(None, entries))
    }

    /// Whether the seeds' face was ever opened on the segment.
    fn is_of_the_seeds_face(&self) -> bool {
        // ORDERING: Relaxed; at a writer's claim behind the fence of edge "one kind of writer".
        self.view().flags().load(Relaxed) & SEEDS != 0
    }

    /// An entry whose lock is held may be one that somebody is recovering just now: a moment later it is free.
    pub(crate) fn pause_for_recoverers(&self, tries_left: u32) {
        if tries_left != 0 {
            self.os().sleep(PAUSE);
        }
    }

    /// Looks for entries whose holders are dead, and recovers them. Does nothing to the living, whatever it costs them to answer.
    ///
    /// Runs by itself on attach, when nothing is free, and at the end of each slice of a wait. O(slots) for each dead party.
    ///
    /// # Errors
    /// The system call that failed; what was recovered before stays recovered.
    ///
    /// ```
    /// # #[repr(align(64))] struct Bank([core::sync::atomic::AtomicU8; 16384]);
    /// # static BANK: Bank = Bank([const { core::sync::atomic::AtomicU8::new(0) }; 16384]);
    /// # // SAFETY: nobody else uses the bank, and one segment is made in it.
    /// # let region = unsafe { seqslot_core::Region::new(&BANK.0) }?;
    /// # let segment = seqslot_core::Segment::create(seqslot_core::Bare::new(region), &(), &seqslot_core::Config::slots(4, 64))?;
    /// let (reader, writer) = (segment.reader()?, segment.writer()?);
    /// let loan = writer.loan()?;
    /// assert!(segment.recover()?.is_empty(), "everybody lives");
    /// loan.commit_len(1)?;
    /// assert!(reader.take()?.is_some());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn recover(&self) -> Result<Recovered, OsError> {
        let mut recovered = Recovered::default();
        for index in (0..self.geometry().writers).filter_map(WriterIndex::new) {
            let Some(entry) = self.view().writer_entry(index) else { continue };
            // ORDERING: Relaxed; a hint, read again under the lock.
            if entry.state().load(Relaxed) & STATE_MASK == STATE_CLEAN {
                continue;
            }
            let Some(held) = self.claim(Lock::writer(index.get() as u8))? else { continue };
            let state = entry.state().load(Relaxed);
            if state & STATE_MASK != STATE_CLEAN {
                recovered.slots += self.protocol().recover_writer(index);
                recovered.writers |= index.bit();
                // ORDERING: Release, last: a recoverer that dies before this is followed by another.
                entry.state().store(clean(state), Release);
            }
            drop(held);
        }
        for index in (0..self.geometry().readers).filter_map(ReaderIndex::new) {
            let Some(entry) = self.view().reader_entry(index) else { continue };
            // ORDERING: Relaxed; a hint, read again under the lock.
            if entry.state().load(Relaxed) & STATE_MASK == STATE_CLEAN {
                continue;
            }
            let Some(held) = self.claim(Lock::reader(index.get() as u8))? else { continue };
            if self.recover_entry_of_reader(index)? {
                recovered.readers |= index.bit();
            }
            drop(held);
        }
        Ok(recovered)
    }

    /// Recovers the entry of a reader whose lock is ours; whether there was something to recover, and no eviction in its way.
    fn recover_entry_of_reader(&self, index: ReaderIndex) -> Result<bool, OsError> {
        let Some(entry) = self.view().reader_entry(index) else { return Ok(false) };
        let state = entry.state().load(Relaxed);
        // An eviction may have died half done, or be under way: then whoever evicts sees to it.
        let _eviction = match state & STATE_MASK {
            STATE_CLEAN => return Ok(false),
            STATE_EVICTED => match self.claim(Lock::EVICTION)? {
                Some(held) => Some(held),
                None => return Ok(false),
            },
            _ => None,
        };
        self.protocol().recover_reader_in(index, state);
        // ORDERING: Relaxed; the next join is what others see.
        self.view().quarantined().fetch_and(!index.bit(), Relaxed);
        // ORDERING: Release, last: a recoverer that dies before this is followed by another. Failure: an eviction came between; the
        // next recovery, or join, puts that right.
        Ok(entry.state().compare_exchange(state, clean(state), Release, Relaxed).is_ok())
    }

    /// Says that whoever held `lock` is gone, on a platform that cannot know ([`Bare`](crate::Bare): a core was reset), and recovers.
    /// On platforms with locks of their own this only recovers.
    ///
    /// A party that was reset in the midst of a join or an eviction may have held [`Lock::EVICTION`], too: declare that as well.
    ///
    /// # Errors
    /// The system call that failed.
    ///
    /// # Safety
    ///
    /// The holder is gone: it uses no loan and no sample from now on, and drops none while this runs. What it had may be loaned anew at
    /// once. (Dropping its handles afterwards is harmless.)
    ///
    /// ```
    /// use seqslot_core::Lock;
    /// # #[repr(align(64))] struct Bank([core::sync::atomic::AtomicU8; 16384]);
    /// # static BANK: Bank = Bank([const { core::sync::atomic::AtomicU8::new(0) }; 16384]);
    /// # // SAFETY: nobody else uses the bank, and one segment is made in it.
    /// # let region = unsafe { seqslot_core::Region::new(&BANK.0) }?;
    /// # let segment = seqslot_core::Segment::create(seqslot_core::Bare::new(region), &(), &seqslot_core::Config::slots(4, 64))?;
    /// let writer = segment.writer()?;
    /// let index = writer.index();
    /// core::mem::forget(writer.loan()?);
    /// core::mem::forget(writer); // its core was reset
    /// // SAFETY: neither the writer nor its loan is used again.
    /// let found = unsafe { segment.declare_dead(Lock::writer(index.get() as u8)) }?;
    /// assert_eq!((found.writers, found.readers, found.slots), (index.bit(), 0, 1));
    /// assert_eq!(segment.writer()?.index(), index);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub unsafe fn declare_dead(&self, lock: Lock) -> Result<Recovered, OsError> {
        if let Some(word) = self.view().lock_word(lock) {
            crate::bare::free_lock(word);
        }
        self.recover()
    }
}

/// What a recovery found and put right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Recovered {
    /// Mask of the writers that were dead.
    pub writers: u32,
    /// Mask of the readers that were dead.
    pub readers: u32,
    /// Loans taken back.
    pub slots: u32,
}

impl Recovered {
    /// True if nobody was dead.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The indices to try.
fn candidates(wanted: Option<u32>, entries: u32) -> Result<core::ops::Range<u32>, JoinError> {
    match wanted {
        None => Ok(0..entries),
        Some(index) if index < entries => Ok(index..index + 1),
        Some(index) => Err(JoinError::OutOfBounds { index, entries }),
    }
}

fn refusal(wanted: Option<u32>, entries: u32) -> JoinError {
    wanted.map_or(JoinError::Full { entries }, |index| JoinError::Taken { index })
}

/// The state word of a new holder: the next generation.
const fn next_state(before: u32, state: u32) -> u32 {
    (before & !STATE_MASK).wrapping_add(STATE_MASK + 1) | state
}

/// Whether this is the state word of an entry's first holder. (Or of the one a whole circle of 2^30 later.)
pub(crate) const fn is_first(state: u32) -> bool {
    state & !STATE_MASK == STATE_MASK + 1
}

/// The state word of an entry that is put right.
pub(crate) const fn clean(state: u32) -> u32 {
    state & !STATE_MASK | STATE_CLEAN
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::control::STATE_IN_USE;

    #[test]
    fn a_state_word_counts_holders_and_survives_the_wrap() {
        let first = next_state(0, STATE_IN_USE);
        assert_eq!((first & STATE_MASK, first >> 2), (STATE_IN_USE, 1));
        assert_eq!(next_state(clean(first), STATE_EVICTED) >> 2, 2);
        assert_eq!(next_state(u32::MAX, STATE_IN_USE), STATE_IN_USE);
    }

    #[test]
    fn an_index_beyond_the_entries_is_out_of_bounds() {
        assert_eq!(candidates(Some(8), 8), Err(JoinError::OutOfBounds { index: 8, entries: 8 }));
        assert_eq!(candidates(Some(7), 8), Ok(7..8));
    }
}
