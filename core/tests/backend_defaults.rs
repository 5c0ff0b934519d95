//! A slot backend of somebody else's that has only what it must: the rest answers that it is not there, and nothing waits for ever.
#![allow(missing_docs)]

use core::time::Duration;
use std::sync::Mutex;

use seqslot_core::{Config, SlotBackend, SlotError, SlotHandle, SlotHeader};

mod seeds_support;

/// One slot, kept in a heap, that hands out a handle it was given.
struct Minimal {
    handle: SlotHandle,
    sample: Mutex<Vec<u8>>,
}

impl SlotBackend for Minimal {
    fn reserve_slot(&self, _active: u32) -> Result<SlotHandle, SlotError> {
        Ok(self.handle)
    }

    fn commit_slot(&self, _handle: SlotHandle, bytes: &[u8]) -> Result<u32, SlotError> {
        *self.sample.lock().unwrap() = bytes.to_vec();
        Ok(0)
    }

    fn discard_slot(&self, _handle: SlotHandle) -> Result<(), SlotError> {
        Ok(())
    }

    fn mark_read(&self, _handle: SlotHandle, _reader: u8) -> Result<(), SlotError> {
        Ok(())
    }

    fn mark_reader_disconnected(&self, _reader: u8) -> Result<(), SlotError> {
        Ok(())
    }

    fn slot_count(&self) -> Result<usize, SlotError> {
        Ok(1)
    }

    fn slot_total_size(&self) -> usize {
        64
    }

    fn slot_capacity(&self) -> usize {
        32
    }
}

/// The same, with a way to read.
struct Readable(Minimal);

impl SlotBackend for Readable {
    fn reserve_slot(&self, active: u32) -> Result<SlotHandle, SlotError> {
        self.0.reserve_slot(active)
    }

    fn commit_slot(&self, handle: SlotHandle, bytes: &[u8]) -> Result<u32, SlotError> {
        self.0.commit_slot(handle, bytes)
    }

    fn discard_slot(&self, handle: SlotHandle) -> Result<(), SlotError> {
        self.0.discard_slot(handle)
    }

    fn read_slot_into(&self, _handle: SlotHandle, into: &mut [u8]) -> Result<SlotHeader, SlotError> {
        let sample = self.0.sample.lock().unwrap();
        let len = into.len().min(sample.len());
        into[..len].copy_from_slice(&sample[..len]);
        Ok(SlotHeader { sequence_number: 0, sample_size: sample.len() as u32, reader_mask: 0, _reserved: 0 })
    }

    fn mark_read(&self, handle: SlotHandle, reader: u8) -> Result<(), SlotError> {
        self.0.mark_read(handle, reader)
    }

    fn mark_reader_disconnected(&self, reader: u8) -> Result<(), SlotError> {
        self.0.mark_reader_disconnected(reader)
    }

    fn slot_count(&self) -> Result<usize, SlotError> {
        self.0.slot_count()
    }

    fn slot_total_size(&self) -> usize {
        self.0.slot_total_size()
    }

    fn slot_capacity(&self) -> usize {
        self.0.slot_capacity()
    }
}

fn minimal() -> Minimal {
    let handle = seeds_support::face(1, 8).reserve_slot(0).unwrap();
    Minimal { handle, sample: Mutex::default() }
}

#[test]
fn what_a_backend_does_not_have_it_refuses() {
    let backend = minimal();
    let handle = backend.reserve_slot(1).unwrap();
    assert_eq!(backend.slot_data_ptr(handle).err(), Some(SlotError::InPlaceUnsupported));
    assert_eq!(backend.commit_in_place(handle, 1), Err(SlotError::InPlaceUnsupported));
    assert_eq!(backend.slot_read_ptr(handle).err(), Some(SlotError::InPlaceUnsupported));
    assert_eq!(backend.read_slot_into(handle, &mut []).err(), Some(SlotError::InPlaceUnsupported));
    assert_eq!(backend.next_of_writer(handle, 0), Err(SlotError::InPlaceUnsupported));
    assert_eq!((backend.next_unread_slot(0), backend.sample_at(0)), (Ok(None), Ok(None)));
    assert_eq!((backend.type_hash(), backend.notify_generation()), (None, 0));
    // Nobody would ever wake it.
    backend.wait_for_change(0, Duration::MAX);
    #[cfg(feature = "alloc")]
    assert_eq!(backend.read_slot(handle).err(), Some(SlotError::InPlaceUnsupported));
}

#[test]
fn a_backend_that_can_copy_out_gives_whole_samples_too() {
    let backend = Readable(minimal());
    let handle = backend.reserve_slot(1).unwrap();
    backend.commit_slot(handle, b"seven b").unwrap();
    let mut first = [0; 5];
    assert_eq!(backend.read_slot_into(handle, &mut first).unwrap().sample_size, 7);
    assert_eq!(&first, b"seven");
    #[cfg(feature = "alloc")]
    assert_eq!(backend.read_slot(handle).unwrap().1, b"seven b", "cut to the sample, not the capacity");
}

#[test]
fn a_segment_made_for_a_type_says_so_through_the_trait() {
    let segment = seeds_support::segment(&Config::slots(2, 64).type_hash(*b"sensor reading 1"));
    let face: seeds_support::Face = seqslot_core::SlotFace::new(segment).unwrap();
    assert_eq!(face.type_hash(), Some(*b"sensor reading 1"));
    assert_eq!(seeds_support::face(2, 64).type_hash(), None);
}
