use std::path::PathBuf;
use std::time::Duration;

use crate::zerodds::call::{Answer, Call, FAR, KEPT, Outcome, PLACES, Party, Refusal, Shown};

/// Allocators at places, and handles kept, over one library.
#[derive(Default)]
pub struct Hands {
    path: PathBuf,
    places: [Option<PosixSlotAllocator>; PLACES],
    kept: [Option<SlotHandle>; KEPT],
}

/// The variant's name; for a sample that is too large, its numbers.
fn named(error: SlotError) -> Refusal {
    match error {
        SlotError::SampleTooLarge { sample, slot_capacity } => format!("SampleTooLarge({sample}, {slot_capacity})"),
        error => variant(&error),
    }
}

/// The name of an enum's variant, as `Debug` prints it.
fn variant(error: &dyn std::fmt::Debug) -> Refusal {
    let text = format!("{error:?}");
    text.split(['(', ' ']).next().unwrap_or_default().to_owned()
}

fn made(error: PosixSlotError) -> Refusal {
    match error {
        PosixSlotError::Slot(error) => named(error),
        error => variant(&error),
    }
}

impl Hands {
    fn allocator(&self, place: usize) -> Option<&PosixSlotAllocator> {
        self.places.get(place)?.as_ref()
    }

    /// Makes the call; `None` if there is nobody to make it, or nothing to make it with.
    fn make(&mut self, call: Call) -> Option<Outcome> {
        match call {
            Call::Create { .. } | Call::Attach { .. } | Call::Drop { .. } | Call::Spoil { .. } | Call::Copy { .. } => self.arrange(call),
            Call::Reserve { .. } | Call::Commit { .. } | Call::CommitInPlace { .. } | Call::DataPtr { .. } | Call::Discard { .. } => {
                self.write(call)
            }
            Call::Read { .. } | Call::ReadPtr { .. } | Call::Next { .. } | Call::Mark { .. } | Call::Disconnect { .. } => self.read(call),
            Call::Wait { place, is_stale, micros } => {
                let slots = self.allocator(place)?;
                let last = slots.notify_generation();
                slots.wait_for_change(if is_stale { last.wrapping_sub(1) } else { last }, Duration::from_micros(micros));
                Some(Outcome::Done(Ok(())))
            }
            Call::Numbers { place } => {
                let slots = self.allocator(place)?;
                let path = self.path.to_str().unwrap_or_default();
                Some(Outcome::Numbers {
                    slots: slots.slot_count().map_err(named),
                    capacity: slots.slot_capacity(),
                    total: slots.slot_total_size(),
                    has_hash: slots.type_hash().is_some(),
                    is_path_kept: slots.flink_path() == path && slots.segment_path() == path,
                })
            }
        }
    }

    fn arrange(&mut self, call: Call) -> Option<Outcome> {
        let done = match call {
            Call::Create { place, slots, capacity } if self.places[place].is_none() => {
                let made = PosixSlotAllocator::create(self.path.clone(), slots, capacity).map_err(made);
                made.map(|allocator| self.places[place] = Some(allocator))
            }
            Call::Attach { place } if self.places[place].is_none() => {
                let made = PosixSlotAllocator::attach(self.path.clone()).map_err(made);
                made.map(|allocator| self.places[place] = Some(allocator))
            }
            Call::Drop { place } => self.places[place].take().map(drop).map(Ok)?,
            Call::Spoil { kept } => self.kept[kept].as_mut().map(|handle| handle.slot_index = FAR).map(Ok)?,
            Call::Copy { from, to } => self.kept[from].map(|handle| self.kept[to] = Some(handle)).map(Ok)?,
            _ => return None,
        };
        Some(Outcome::Done(done))
    }

    fn write(&mut self, call: Call) -> Option<Outcome> {
        Some(match call {
            Call::Reserve { place, active, kept } => {
                let got = self.allocator(place)?.reserve_slot(active).map_err(named);
                if let Ok(handle) = &got {
                    self.kept[kept] = Some(*handle);
                }
                Outcome::Slot(got.map(|handle| handle.slot_index))
            }
            Call::Commit { place, kept, len, fill } => {
                let handle = self.kept[kept]?;
                Outcome::Number(self.allocator(place)?.commit_slot(handle, &vec![fill; len]).map_err(named))
            }
            Call::CommitInPlace { place, kept, len, fill } => {
                let handle = self.kept[kept]?;
                let slots = self.allocator(place)?;
                let pointer = slots.slot_data_ptr(handle).map_err(named).map(|(data, capacity)| {
                    // SAFETY: whoever gives the pointer says that it may be written through, so far, until the commit below.
                    unsafe { data.write_bytes(fill, len.min(capacity)) };
                    capacity
                });
                Outcome::InPlace { pointer, number: slots.commit_in_place(handle, len).map_err(named) }
            }
            Call::DataPtr { place, kept } => {
                let handle = self.kept[kept]?;
                Outcome::Capacity(self.allocator(place)?.slot_data_ptr(handle).map_err(named).map(|(_, capacity)| capacity))
            }
            Call::Discard { place, kept } => {
                let handle = self.kept[kept]?;
                Outcome::Done(self.allocator(place)?.discard_slot(handle).map_err(named))
            }
            _ => return None,
        })
    }

    fn read(&mut self, call: Call) -> Option<Outcome> {
        Some(match call {
            Call::Read { place, kept } => {
                let handle = self.kept[kept]?;
                let read = self.allocator(place)?.read_slot(handle).map_err(named);
                Outcome::Sample(read.map(|(header, bytes)| Shown {
                    number: header.sequence_number,
                    size: header.sample_size,
                    read_by: header.reader_mask,
                    bytes,
                }))
            }
            Call::ReadPtr { place, kept } => {
                let handle = self.kept[kept]?;
                let read = self.allocator(place)?.slot_read_ptr(handle).map_err(named);
                Outcome::Bytes(read.map(|(data, len)| {
                    // SAFETY: whoever gives the pointer says that so many bytes can be read; nobody writes meanwhile, as one call is
                    // made at a time, and the allocator lives.
                    unsafe { std::slice::from_raw_parts(data, len) }.to_vec()
                }))
            }
            Call::Next { place, reader, kept } => {
                let next = self.allocator(place)?.next_unread_slot(reader).map_err(named);
                if let Ok(Some(handle)) = &next {
                    self.kept[kept] = Some(*handle);
                }
                Outcome::Next(next.map(|found| found.map(|handle| handle.slot_index)))
            }
            Call::Mark { place, kept, reader } => {
                let handle = self.kept[kept]?;
                Outcome::Done(self.allocator(place)?.mark_read(handle, reader).map_err(named))
            }
            Call::Disconnect { place, reader } => Outcome::Done(self.allocator(place)?.mark_reader_disconnected(reader).map_err(named)),
            _ => return None,
        })
    }
}

impl Party for Hands {
    fn call(&mut self, call: Call) -> Answer {
        let place = call.place().unwrap_or(PLACES);
        let before = self.allocator(place).map(|slots| slots.notify_generation());
        let outcome = self.make(call).unwrap_or(Outcome::Absent);
        let after = self.allocator(place).map(|slots| slots.notify_generation());
        Answer { outcome, moved: before.zip(after).map(|(before, after)| before != after) }
    }

    fn reset(&mut self, path: PathBuf) {
        *self = Self { path, ..Self::default() };
    }
}
