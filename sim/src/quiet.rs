//! What is to hold when nobody can run before the clock goes on, and when all have gone.

use seqslot_core::layout::slots::EVICT;
use seqslot_core::{Ordering, ReaderIndex, Segment, SlotBackend, WriterIndex};

use crate::drive::Drive;
use crate::face;
use crate::model::Parked;
use crate::plan::SLOTS;

impl Drive<'_> {
    /// Everybody is asleep, and nobody in the midst of anything: then there is nothing that anybody who is parked waits for. If there were, its
    /// wake-up would be lost: only the end of its slice would help.
    pub(crate) fn look_around(&mut self) -> Result<(), String> {
        let asleep = self.all.asleep();
        self.shared.model.borrow_mut().tally.quiet += 1;
        if asleep.iter().any(|party| party.is_paused) {
            return Ok(());
        }
        for party in asleep.iter().filter(|party| party.mask != 0 && !party.is_woken && !party.saw_death) {
            let name = self.all.name(party.party);
            let Some(parked) = self.parked(party.party) else {
                return Err(format!("{name} is parked, and not in a call that waits"));
            };
            if let Some(what) = self.is_there(parked) {
                return Err(format!("{name} sleeps and was not woken: {what}"));
            }
            self.shared.model.borrow_mut().tally.parks += 1;
        }
        Ok(())
    }

    /// What there is for somebody parked.
    fn is_there(&self, parked: Parked) -> Option<String> {
        match parked {
            Parked::Sample(key) if self.shared.plan.overwrites() => self.is_ahead(key),
            Parked::Sample(key) => {
                let mut model = self.shared.model.borrow_mut();
                let now = model.tick();
                model.left_for(key, now)
            }
            Parked::Slot => self.free_slots().first().map(|slot| format!("slot {slot} is free")),
            Parked::Change(last) => {
                let now = self.generation();
                (now != last).then(|| format!("the generation went from {last} to {now}"))
            }
            Parked::Newer(seen) => self.shared.cell.borrow().has_newer(seen).then(|| format!("there is a newer value than {seen}")),
        }
    }

    fn is_ahead(&self, key: usize) -> Option<String> {
        let ring_len = self.monitor.geometry().ring_len;
        let model = self.shared.model.borrow();
        self.monitor.view().slots().map(|slot| slot.words()).find_map(|words| {
            let (writer, sequence) = (words.writer.checked_sub(1)?, words.sequence.wrapping_sub(ring_len));
            let is_there = words.pins & EVICT == 0 && model.is_ahead(key, writer, sequence);
            is_there.then(|| format!("sample {sequence} of writer {writer} is there for reader {key}"))
        })
    }

    /// The slots that nobody owns and nobody who counts owes a read.
    fn free_slots(&self) -> Vec<u32> {
        let view = self.monitor.view();
        let active = view.active().load(Ordering::Relaxed);
        let asked =
            if self.shared.plan.by_face { face::mask(self.shared.plan.readers) & !view.disconnected().load(Ordering::Relaxed) } else { 0 };
        let overwrites = self.shared.plan.overwrites();
        let is_free = |words: &seqslot_core::HeaderWords| {
            words.state >> 26 == 0 && if overwrites { words.pins == 0 } else { words.unread & (active | asked) == 0 }
        };
        view.slots().filter(|slot| is_free(&slot.words())).map(|slot| slot.index()).collect()
    }

    /// The sum of what moves with every change, as `notify_generation` has it.
    fn generation(&self) -> u64 {
        let view = self.monitor.view();
        let writers = (0..32).filter_map(WriterIndex::new).filter_map(|index| view.writer_entry(index));
        let readers = (0..32).filter_map(ReaderIndex::new).filter_map(|index| view.reader_entry(index));
        let words = writers.flat_map(|entry| [entry.head(), entry.changes()]).chain(readers.map(|entry| entry.changes()));
        words.chain([view.changes()]).map(|word| u64::from(word.load(Ordering::Relaxed))).sum()
    }

    fn face(&self) -> Result<face::Face, String> {
        let segment = Segment::attach(self.monitor.os().clone(), SLOTS).map_err(|error| format!("at the end: attach: {error}"))?;
        Ok(face::over(segment))
    }

    /// Some died and nobody came in their place: a reader that had not used its index yet left nothing to recover, and is owed its samples.
    fn disconnect_all(&self) -> Result<(), String> {
        let face = self.face()?;
        for reader in 0..self.shared.plan.readers {
            face.mark_reader_disconnected(reader as u8).map_err(|error| format!("at the end: disconnect: {error}"))?;
        }
        Ok(())
    }

    /// All have gone. After one recovery nothing is left of them, and every slot can be loaned at once.
    pub(crate) fn settle(&mut self) -> Result<(), String> {
        let failed = |what: &str, error: &dyn core::fmt::Display| format!("at the end: {what}: {error}");
        let found = self.monitor.recover().map_err(|error| failed("recover", &error))?;
        self.shared.model.borrow_mut().tally.recovered += u64::from(found.writers.count_ones() + found.readers.count_ones());
        let again = self.monitor.recover().map_err(|error| failed("recover", &error))?;
        if !again.is_empty() {
            return Err(format!("at the end: a second recovery found something after the first: {again:?} after {found:?}"));
        }
        if self.shared.plan.by_face && self.shared.model.borrow().tally.deaths != 0 {
            self.disconnect_all()?;
        }
        let view = self.monitor.view();
        let left =
            [view.active(), view.reader_waiters(), view.writer_waiters(), view.change_waiters()].map(|word| word.load(Ordering::Relaxed));
        if left != [0; 4] {
            return Err(format!("at the end: active, and waiters: {left:x?}"));
        }
        let slots = self.shared.plan.slots as usize;
        let free = self.free_slots();
        if free.len() != slots {
            return Err(format!("at the end: of {slots} slots only {free:?} are free"));
        }
        if self.shared.plan.by_face {
            let face = self.face()?;
            for _ in 0..slots {
                face.reserve_slot(face::mask(self.shared.plan.readers)).map_err(|error| failed("reserve_slot", &error))?;
            }
            return Ok(());
        }
        let (reader, writer) = (
            self.monitor.reader().map_err(|error| failed("join", &error))?,
            self.monitor.writer().map_err(|error| failed("join", &error))?,
        );
        let mut loans = Vec::new();
        for _ in 0..slots {
            loans.push(writer.loan().map_err(|error| failed("loan", &error))?);
        }
        loans.truncate(1);
        let sequence = loans.remove(0).commit_len(1).map_err(|error| failed("commit", &error))?;
        let sample = reader.take().map_err(|error| failed("take", &error))?;
        if sample.map(|sample| sample.sequence()) == Some(sequence) { Ok(()) } else { Err("at the end: a sample is not delivered".into()) }
    }
}
