//! How long samples have been waiting for their readers, as one writer has seen it, and what becomes of those that waited too long.
//!
//! A writer notes when it committed a sample, or first saw another writer's (one that died, perhaps). That is its own account, by its own
//! platform's clock; what it does about it, [`evict_sample`](SlotBackend::evict_sample), every process sees.

use alloc::boxed::Box;
use core::cell::Cell;
use core::time::Duration;

use crate::seeds::{ReaderMask, SlotBackend, SlotError, SlotHandle, SlotHeader};

/// How long a sample waits for a reader that is alive and does not read, unless the writer is told otherwise.
pub const STRAGGLER_TIMEOUT: Duration = Duration::from_secs(60);

/// Looks in the time of one timeout, at least: so much later than its timeout may a sample be found that another writer committed.
const LOOKS: u32 = 8;
/// Time between two looks at least: a writer that waits does not poll, however short its timeout is.
const PAUSE: Duration = Duration::from_millis(1);

/// The ages of samples, a slot each.
pub(super) struct Stragglers {
    pub(super) timeout: Duration,
    ages: Box<[Cell<Option<Age>>]>,
    /// Nothing can be too old before.
    next_look: Cell<Duration>,
}

/// A sample, and when it was committed or first seen.
#[derive(Clone, Copy)]
struct Age {
    handle: SlotHandle,
    sequence: u32,
    since: Duration,
}

impl Stragglers {
    pub(super) fn new(slots: usize) -> Self {
        Self { timeout: STRAGGLER_TIMEOUT, ages: (0..slots).map(|_| Cell::new(None)).collect(), next_look: Cell::new(Duration::ZERO) }
    }

    /// Notes that this writer has just committed the sample of `handle`.
    #[inline]
    pub(super) fn committed<B: SlotBackend + ?Sized>(&self, backend: &B, handle: SlotHandle, sequence: u32) {
        if self.timeout == Duration::MAX {
            return;
        }
        if let (Some(place), Some(since)) = (self.ages.get(handle.slot_index as usize), backend.now()) {
            place.set(Some(Age { handle, sequence, since }));
        }
    }

    /// Evicts the samples that readers in `active` have not read for the timeout; whether there were any. O(slots), and not before
    /// something can be too old.
    #[cold]
    pub(super) fn evict<B: SlotBackend + ?Sized>(&self, backend: &B, active: ReaderMask) -> Result<bool, SlotError> {
        let Some(now) = backend.now().filter(|now| *now >= self.next_look.get() && self.timeout != Duration::MAX) else { return Ok(false) };
        let mut evicted = 0;
        let mut next_look = now.saturating_add(self.timeout / LOOKS);
        for (slot, place) in (0..).zip(&self.ages) {
            let Some((age, header)) = look(backend, slot, place.get(), now)? else { continue };
            place.set(Some(age));
            let owing = active & !header.reader_mask;
            if owing == 0 {
                continue;
            }
            if now.saturating_sub(age.since) >= self.timeout {
                match backend.evict_sample(age.handle, owing) {
                    // Nobody of whom it could be taken back, it may be: registered readers of the safe face are waited for.
                    Ok(readers) => evicted |= readers,
                    // Just claimed by another writer.
                    Err(SlotError::SlotBusy) => next_look = now,
                    // It has moved on by itself.
                    Err(SlotError::StaleHandle) => {}
                    Err(error) => return Err(error),
                }
            } else {
                next_look = next_look.min(age.since.saturating_add(self.timeout));
            }
        }
        self.next_look.set(next_look.max(now.saturating_add(PAUSE)));
        Ok(evicted != 0)
    }

    /// How long a writer that found no slot may sleep before it looks again.
    pub(super) fn until_next_look<B: SlotBackend + ?Sized>(&self, backend: &B) -> Duration {
        match backend.now() {
            Some(now) if self.timeout != Duration::MAX => self.next_look.get().saturating_sub(now),
            _ => Duration::MAX,
        }
    }
}

/// The sample in `slot` and its age: as noted, if it is still that one.
fn look<B: SlotBackend + ?Sized>(backend: &B, slot: u32, noted: Option<Age>, now: Duration) -> Result<Option<(Age, SlotHeader)>, SlotError> {
    if let Some(age) = noted
        && let Ok(header) = backend.read_slot_into(age.handle, &mut [])
        && header.sequence_number == age.sequence
    {
        return Ok(Some((age, header)));
    }
    let seen = backend.sample_at(slot)?;
    Ok(seen.map(|(handle, header)| (Age { handle, sequence: header.sequence_number, since: now }, header)))
}
