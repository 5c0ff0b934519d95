use std::collections::HashSet;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::outcome::{Outcome, ensure};
use crate::zerodds::exchange::sample::{self, CAPACITY};
use crate::zerodds::exchange::{PROGRESS, Progress, READER, Sent, Taken};

/// Longest time without a change while there is something to wait for: a wake-up was lost.
const PATIENCE: Duration = Duration::from_secs(30);
/// A wait between looks at whether all is over.
const SLICE: Duration = Duration::from_millis(50);
/// Every so many samples a side pauses, so that the other comes to wait for it.
const PAUSE_EVERY: u64 = 20_000;
const PAUSE: Duration = Duration::from_millis(2);

/// Waits until the generation moves on; an error when it does not.
fn wait(slots: &PosixSlotAllocator, generation: u64, stop: &Path) -> Outcome<bool> {
    let begin = Instant::now();
    while slots.notify_generation() == generation {
        if stop.exists() {
            return Ok(false);
        }
        ensure(begin.elapsed() < PATIENCE, || "nothing moved: a wake-up was lost, or the other side hangs".into())?;
        slots.wait_for_change(generation, SLICE);
    }
    Ok(true)
}

/// Writes samples as fast as they are taken, for so long, and one that says that it is the last.
pub fn send(slots: &PosixSlotAllocator, time: Duration, stop: &Path) -> Outcome<Sent> {
    let (mut sent, begin, mut bytes) = (Sent::default(), Instant::now(), [0; CAPACITY]);
    loop {
        let generation = slots.notify_generation();
        let handle = match slots.reserve_slot(1 << READER) {
            Err(SlotError::NoFreeSlot) => {
                sent.waits += 1;
                wait(slots, generation, stop)?;
                continue;
            }
            answer => answer?,
        };
        let is_last = begin.elapsed() >= time;
        let len = sample::write(sent.count, is_last, &mut bytes);
        if sent.count % 2 == 0 {
            slots.commit_slot(handle, &bytes[..len])?;
        } else {
            let (data, capacity) = slots.slot_data_ptr(handle)?;
            ensure(capacity >= len, || "the slot is too small".into())?;
            // SAFETY: the loan is out, and its capacity was just looked at.
            unsafe { data.copy_from_nonoverlapping(bytes.as_ptr(), len) };
            slots.commit_in_place(handle, len)?;
        }
        sent.count += 1;
        if is_last {
            return Ok(sent);
        }
        if sent.count.is_multiple_of(PAUSE_EVERY) {
            std::thread::sleep(PAUSE);
        }
    }
}

/// Takes samples until the last one, or until `stop` is there and nothing is left.
pub fn take(slots: &PosixSlotAllocator, stop: &Path, progress: &Progress) -> Outcome<Taken> {
    let (mut taken, mut seen) = (Taken::default(), HashSet::new());
    loop {
        let generation = slots.notify_generation();
        let Some(handle) = slots.next_unread_slot(READER)? else {
            if taken.is_ended || !wait(slots, generation, stop)? && slots.next_unread_slot(READER)?.is_none() {
                taken.is_whole = taken.last.is_some_and(|last| last + 1 - taken.first == taken.count);
                return Ok(taken);
            }
            taken.waits += 1;
            continue;
        };
        let said = if taken.count % 2 == 0 {
            sample::read(&slots.read_slot(handle)?.1)
        } else {
            let (data, len) = slots.slot_read_ptr(handle)?;
            // SAFETY: this reader counts and has not marked the sample yet.
            sample::read(unsafe { std::slice::from_raw_parts(data, len) })
        };
        let said = said.ok_or_else(|| format!("a torn sample after {}", taken.count))?;
        ensure(seen.insert(said.number), || format!("sample {} twice", said.number))?;
        taken.note(said);
        slots.mark_read(handle, READER).map_err(|error| format!("marking {handle:?}, the sample after {taken:?}: {error}"))?;
        if taken.count.is_multiple_of(PROGRESS) {
            progress.tell(taken.count)?;
        }
        if taken.count.is_multiple_of(PAUSE_EVERY + 7) {
            std::thread::sleep(PAUSE);
        }
    }
}
