//! ClockBound segments, spelled out as bytes: what is read, and what is refused.

use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

use seqslot_core::Region;
use seqslot_core::clockbound::{
    ClockBoundView, ClockErrorBound, ClockErrorBoundBuilder, ClockStatus, Fraction, Layout, ShmError, SnapshotStatus, TimeSpec,
};

#[repr(align(64))]
struct Bank([AtomicU8; 4096]);

struct Segment {
    bank: &'static Bank,
}

/// A segment as clock-bound-shm 2.0 writes it on a little-endian machine; the fields are turned where the machine is the other way.
fn golden() -> Vec<u8> {
    let fields: [&[u8]; 15] = [
        &[0x4E, 0x5A, 0x4D, 0x41],
        &[0x00, 0x02, 0x42, 0x43],
        &[80, 0, 0, 0],
        &[2, 0],
        &[10, 0],
        &[0xE8, 3, 0, 0, 0, 0, 0, 0],       // as_of 1000 s
        &[0x15, 0xCD, 0x5B, 7, 0, 0, 0, 0], // 123,456,789 ns
        &[0xD0, 7, 0, 0, 0, 0, 0, 0],       // void_after 2000 s
        &[0, 0, 0, 0, 0, 0, 0, 0],
        &[0x40, 0xE2, 1, 0, 0, 0, 0, 0],                   // bound 123,456 ns
        &[0xEF, 0xCD, 0xAB, 0x89, 0x67, 0x45, 0x23, 0x01], // disruption marker
        &[0xE8, 3, 0, 0],                                  // drift 1,000 ppb
        &[1, 0, 0, 0],                                     // synchronized
        &[1],
        &[0; 7],
    ];
    native(&fields)
}

/// A segment as clock-bound 3.0 writes it to shm1.
fn golden_3() -> Vec<u8> {
    native(&[
        &[0x4E, 0x5A, 0x4D, 0x41],
        &[0x00, 0x02, 0x42, 0x43],
        &[104, 0, 0, 0],
        &[3, 3],
        &[10, 0],
        &[0xF0, 0xDE, 0xBC, 0x9A, 0x78, 0x56, 0x34, 0x12], // the counter
        &[0xE8, 3, 0, 0, 0, 0, 0, 0],                      // as_of 1000 s
        &[0x15, 0xCD, 0x5B, 7, 0, 0, 0, 0],                // 123,456,789 ns
        &[0xD0, 7, 0, 0, 0, 0, 0, 0],                      // void_after 2000 s
        &[0, 0, 0, 0, 0, 0, 0, 0],
        &[1, 0, 0, 0, 0, 0, 0, 0x80],                      // period: fraction
        &[2, 0, 0, 0, 0, 0, 0, 0x80],                      // its error
        &[0x40, 0xE2, 1, 0, 0, 0, 0, 0],                   // bound 123,456 ns
        &[0xEF, 0xCD, 0xAB, 0x89, 0x67, 0x45, 0x23, 0x01], // disruption marker
        &[0xE8, 3, 0, 0],                                  // drift 1,000 ppb
        &[1, 0, 0, 0],                                     // synchronized
        &[1],
        &[31], // shifts
        &[20],
        &[0; 5],
    ])
}

/// The fields as this machine has them.
fn native(fields: &[&[u8]]) -> Vec<u8> {
    let turned = |field: &&[u8]| if cfg!(target_endian = "big") { field.iter().rev().copied().collect() } else { field.to_vec() };
    fields.iter().flat_map(turned).collect()
}

impl Segment {
    fn new(bytes: &[u8]) -> Self {
        let segment = Self { bank: Box::leak(Box::new(Bank([const { AtomicU8::new(0) }; 4096]))) };
        segment.put(0, bytes);
        segment
    }

    fn put(&self, at: usize, bytes: &[u8]) {
        for (byte, value) in self.bank.0[at..].iter().zip(bytes) {
            byte.store(*value, Relaxed);
        }
    }

    fn generation(&self, generation: u16) {
        self.put(14, &generation.to_ne_bytes());
    }

    fn view(&self, len: usize) -> Result<ClockBoundView<seqslot_core::Raw>, ShmError> {
        // SAFETY: 1. and 2. the bank is this value's, and holds one segment.
        let region = unsafe { Region::new(&self.bank.0[..len]) }.expect("aligned");
        // SAFETY: 1. the bank lives for ever. 2. it is aligned to 64.
        unsafe { ClockBoundView::attach(region.raw()) }
    }
}

#[test]
fn the_golden_bytes_are_read_field_by_field() {
    let bytes = golden();
    assert_eq!(bytes.len(), 80);
    let segment = Segment::new(&bytes);
    let mut view = segment.view(80).unwrap();
    let bound = *view.snapshot().unwrap();
    assert_eq!((bound.as_of(), bound.void_after()), (TimeSpec::new(1000, 123_456_789).unwrap(), TimeSpec::new(2000, 0).unwrap()));
    assert_eq!((bound.bound_nsec(), bound.max_drift_ppb()), (123_456, 1_000));
    assert_eq!(bound.disruption_marker(), 0x0123_4567_89AB_CDEF);
    assert_eq!(bound.clock_status(), ClockStatus::Synchronized);
    assert!(bound.clock_disruption_support_enabled() && view.is_current());
}

#[test]
fn the_golden_bytes_of_layout_3_are_read_field_by_field_and_made_again() {
    let bytes = golden_3();
    assert_eq!(bytes.len(), 104);
    let bound = *Segment::new(&bytes).view(104).unwrap().snapshot().unwrap();
    let expected = ClockErrorBoundBuilder::new()
        .as_of_tsc(0x1234_5678_9ABC_DEF0)
        .as_of(TimeSpec::new(1000, 123_456_789).unwrap())
        .void_after(TimeSpec::new(2000, 0).unwrap())
        .period(Fraction::new(0x8000_0000_0000_0001, 31))
        .period_err(Fraction::new(0x8000_0000_0000_0002, 20))
        .bound_nsec(123_456)
        .disruption_marker(0x0123_4567_89AB_CDEF)
        .max_drift_ppb(1_000)
        .clock_status(ClockStatus::Synchronized)
        .clock_disruption_support_enabled(true);
    assert_eq!(bound, expected.build(Layout::V3));
    assert_eq!(bound.to_payload()[..], bytes[16..]);
    let older = expected.build(Layout::V2);
    assert_eq!((&older.to_payload()[..64], &older.to_payload()[64..]), (&golden()[16..], &[0; 24][..]));
    assert_eq!(ClockErrorBound::of_payload(Layout::V2, &golden()[16..]), Ok(older));
}

#[test]
fn every_outcome_has_its_status() {
    for (layout, bytes) in [(Layout::V2, golden()), (Layout::V3, golden_3())] {
        let segment = Segment::new(&bytes);
        let mut view = segment.view(bytes.len()).unwrap();
        let mut status = || view.snapshot_status().map(|(bound, status)| (bound.bound_nsec(), status));
        assert_eq!(status(), Ok((123_456, SnapshotStatus::Fresh)), "{layout:?}");
        assert_eq!(status(), Ok((123_456, SnapshotStatus::Unchanged)));
        segment.generation(11);
        assert_eq!(status(), Ok((123_456, SnapshotStatus::WriterBusy)));
        segment.generation(12);
        assert_eq!(status(), Ok((123_456, SnapshotStatus::Fresh)));
        segment.generation(0);
        assert_eq!(status(), Ok((123_456, SnapshotStatus::Wiped)));
        segment.generation(2);
        segment.put(12, &[0, 0]);
        assert_eq!(status(), Ok((123_456, SnapshotStatus::Wiped)));
        assert!(!view.is_current());
        segment.put(12, &bytes[12..14]);
        assert_eq!(view.snapshot_status().map(|told| told.1), Ok(SnapshotStatus::Fresh));
    }
}

#[test]
fn a_segment_that_is_made_anew_with_the_other_layout_is_followed() {
    let segment = Segment::new(&golden());
    let mut view = segment.view(4096).unwrap();
    assert_eq!(view.snapshot().unwrap().layout(), Layout::V2);
    segment.put(0, &golden_3());
    assert_eq!(view.snapshot().unwrap().layout(), Layout::V3);
    segment.put(0, &golden());
    assert_eq!(view.snapshot().unwrap().layout(), Layout::V2);

    // Where there is no room for it, it is no segment.
    let segment = Segment::new(&golden());
    let mut view = segment.view(80).unwrap();
    view.snapshot().unwrap();
    segment.put(12, &0x0303_u16.to_ne_bytes());
    assert_eq!(view.snapshot(), Err(ShmError::SegmentMalformed));
    segment.put(12, &0x0404_u16.to_ne_bytes());
    assert_eq!(view.snapshot(), Err(ShmError::SegmentVersionNotSupported));
}

#[test]
fn a_first_look_at_an_odd_generation_is_an_error_and_never_zeros() {
    let segment = Segment::new(&golden());
    segment.generation(11);
    let mut view = segment.view(80).unwrap();
    assert_eq!(view.snapshot(), Err(ShmError::SegmentNotInitialized));
    segment.generation(12);
    assert!(view.snapshot().is_ok());
}

#[test]
fn a_daemon_that_died_while_writing_leaves_the_last_good_bound() {
    let segment = Segment::new(&golden());
    let mut view = segment.view(80).unwrap();
    let before = *view.snapshot().unwrap();
    segment.generation(13);
    segment.put(48, &[0xFF; 8]);
    assert_eq!(view.snapshot().copied(), Ok(before));
    assert!(!view.is_current(), "it is told");
}

#[test]
fn a_wiped_segment_is_an_error_also_for_those_who_read_it_before() {
    let segment = Segment::new(&golden());
    let mut view = segment.view(80).unwrap();
    view.snapshot().unwrap();
    segment.generation(0);
    assert_eq!(view.snapshot(), Err(ShmError::SegmentNotInitialized));
    segment.put(12, &[0, 0]);
    assert_eq!(view.snapshot().map_err(|error| error.errno()), Err(71));
}

#[test]
fn exactly_32767_updates_between_two_looks_are_seen() {
    let segment = Segment::new(&golden());
    let mut view = segment.view(80).unwrap();
    view.snapshot().unwrap();
    // The generation has come round to the same; the update has another date, as every update has.
    segment.put(16, &3000_i64.to_ne_bytes());
    assert_eq!(view.snapshot().unwrap().as_of().tv_sec(), 3000);

    segment.put(24, &5_i64.to_ne_bytes());
    assert_eq!(view.snapshot().unwrap().as_of().tv_nsec(), 5, "the nanoseconds count");

    // In layout 3 by the counter alone, too, and by the date.
    let segment = Segment::new(&golden_3());
    let mut view = segment.view(104).unwrap();
    view.snapshot().unwrap();
    segment.put(16, &7_u64.to_ne_bytes());
    assert_eq!(view.snapshot().unwrap().as_of_tsc(), Some(7));
    segment.put(32, &9_i64.to_ne_bytes());
    assert_eq!(view.snapshot().unwrap().as_of().tv_nsec(), 9);
}

#[test]
fn an_update_is_seen_and_one_with_values_that_cannot_be_is_refused() {
    let segment = Segment::new(&golden());
    let mut view = segment.view(80).unwrap();
    view.snapshot().unwrap();
    segment.put(68, &2_i32.to_ne_bytes());
    segment.generation(14);
    assert_eq!(view.snapshot().unwrap().clock_status(), ClockStatus::FreeRunning);
    assert!(view.is_current());
    segment.put(68, &9_i32.to_ne_bytes());
    segment.generation(16);
    assert_eq!(view.snapshot(), Err(ShmError::SegmentMalformed));
    assert!(!view.is_current(), "an error is not the newest bound");
    assert_eq!(view.cached().map(|bound| bound.clock_status()), Some(ClockStatus::FreeRunning));
}

#[test]
fn files_that_are_no_segment_are_refused() {
    let refused = |bytes: &[u8], len: usize| Segment::new(bytes).view(len).expect_err("not a segment");
    let with = |at: usize, change: &[u8]| {
        let mut bytes = golden();
        bytes[at..at + change.len()].copy_from_slice(change);
        bytes
    };
    assert_eq!(refused(&golden(), 8), ShmError::SegmentMalformed, "no room for a header");
    assert_eq!(refused(&golden(), 16), ShmError::SegmentMalformed, "16 bytes that allege 80");
    assert_eq!(refused(&golden(), 76), ShmError::SegmentMalformed);
    assert_eq!(refused(&with(8, &(1_u32 << 30).to_ne_bytes()), 4096), ShmError::SegmentMalformed, "1 GiB");
    assert_eq!(refused(&with(0, &[1, 2, 3, 4]), 80), ShmError::SegmentMalformed);
    assert_eq!(refused(&[0; 80], 80), ShmError::SegmentNotInitialized);
    assert_eq!(refused(&with(12, &3_u16.to_ne_bytes()), 80), ShmError::SegmentVersionNotSupported);
}
