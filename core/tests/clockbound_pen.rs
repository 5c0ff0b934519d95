//! The writer of ClockBound segments: what it makes, what it keeps, what it refuses.

use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

use seqslot_core::clockbound::{
    ClockBoundPen, ClockBoundView, ClockErrorBound, ClockErrorBoundBuilder, ClockStatus, Fraction, Layout, ShmError, SnapshotStatus,
};
use seqslot_core::{Raw, Region};

#[repr(align(64))]
struct Bank([AtomicU8; 128]);

impl Bank {
    /// Filled with `byte`, for ever.
    fn of(byte: u8) -> &'static Self {
        let bank = Box::leak(Box::new(Self([const { AtomicU8::new(0) }; 128])));
        bank.put(0, &[byte; 128]);
        bank
    }

    fn put(&self, at: usize, bytes: &[u8]) {
        self.0[at..].iter().zip(bytes).for_each(|(to, byte)| to.store(*byte, Relaxed));
    }

    fn bytes(&self, range: std::ops::Range<usize>) -> Vec<u8> {
        self.0[range].iter().map(|byte| byte.load(Relaxed)).collect()
    }

    fn generation(&self) -> u16 {
        u16::from_ne_bytes(self.bytes(14..16).try_into().unwrap())
    }

    fn memory(&'static self, len: usize) -> Raw {
        // SAFETY: 1. and 2. reached as a segment only, and by this test's thread alone.
        unsafe { Region::new(&self.0[..len]) }.unwrap().raw()
    }

    fn pen(&'static self, layout: Layout) -> ClockBoundPen<Raw> {
        // SAFETY: 1. it lives for ever. 2. it is aligned to 64. 3. one thread.
        unsafe { ClockBoundPen::start(self.memory(128), layout) }.unwrap()
    }

    fn view(&'static self) -> Result<ClockBoundView<Raw>, ShmError> {
        // SAFETY: 1. and 2. as above.
        unsafe { ClockBoundView::attach(self.memory(128)) }
    }
}

const LAYOUTS: [Layout; 2] = [Layout::V2, Layout::V3];

fn bound(layout: Layout, number: i64) -> ClockErrorBound {
    let builder = ClockErrorBoundBuilder::new().bound_nsec(number).as_of_tsc(number as u64).period(Fraction::new(1, 63));
    builder.clock_status(ClockStatus::Synchronized).build(layout)
}

#[test]
fn whatever_is_no_segment_is_wiped_and_is_none_until_the_first_write() {
    for layout in LAYOUTS {
        for byte in [0, 0xFF, 0x5A] {
            let bank = Bank::of(byte);
            let mut pen = bank.pen(layout);
            assert_eq!(bank.view().err(), Some(ShmError::SegmentNotInitialized), "{layout:?} over {byte:#x}");
            let header = [0x414D_5A4E_u32, 0x4342_0200, layout.segment_len() as u32].map(u32::to_ne_bytes).concat();
            assert_eq!(bank.bytes(0..12), header);
            // Never written: as ClockBound leaves it. Else its generation goes on.
            let (version, generation) = match byte {
                0 => (layout.version(), 0),
                0x5A => (0, 0x5A5B),
                _ => (0, 0xFFFF),
            };
            assert_eq!((bank.bytes(12..14), bank.generation()), (version.to_ne_bytes().to_vec(), generation));
            assert_eq!(bank.bytes(16..104), vec![0; 88], "also where the longest layout would have its status");
            assert_eq!(bank.bytes(104..128), vec![byte; 24], "what lies behind is not touched");
            pen.write(&bound(layout, 7)).unwrap();
            assert_eq!(bank.view().unwrap().snapshot(), Ok(&bound(layout, 7)));
            let from_old = bank.generation();
            assert_eq!(from_old, if byte == 0x5A { 0x5A5C } else { 2 });
        }
    }
}

#[test]
fn a_usable_segment_is_kept_and_read_on_while_its_writer_changes() {
    for layout in LAYOUTS {
        let bank = Bank::of(0);
        bank.pen(layout).write(&bound(layout, 1)).unwrap();
        let (before, mut view) = (bank.bytes(0..128), bank.view().unwrap());
        view.snapshot().unwrap();
        let mut next = bank.pen(layout);
        assert_eq!(bank.bytes(0..128), before);
        assert_eq!(view.snapshot_status(), Ok((&bound(layout, 1), SnapshotStatus::Unchanged)));
        next.write(&bound(layout, 2)).unwrap();
        assert_eq!(view.snapshot_status(), Ok((&bound(layout, 2), SnapshotStatus::Fresh)));
        assert_eq!(next.generation(), 4);

        // One that says it is longer, and is, stays as long.
        bank.put(8, &120_u32.to_ne_bytes());
        bank.pen(layout).write(&bound(layout, 3)).unwrap();
        assert_eq!(bank.bytes(8..12), 120_u32.to_ne_bytes());
        // One that says it is longer than it is is made anew.
        bank.put(8, &129_u32.to_ne_bytes());
        bank.pen(layout);
        assert_eq!(bank.bytes(8..12), (layout.segment_len() as u32).to_ne_bytes());
    }
}

#[test]
fn a_writer_that_died_in_an_update_is_followed_from_its_odd_generation() {
    let bank = Bank::of(0);
    bank.pen(Layout::V2).write(&bound(Layout::V2, 1)).unwrap();
    let mut view = bank.view().unwrap();
    view.snapshot().unwrap();
    for (odd, even) in [(3_u16, 4), (65_535, 2)] {
        bank.put(14, &odd.to_ne_bytes());
        bank.put(48, &[0xFF; 8]);
        let mut next = bank.pen(Layout::V2);
        assert_eq!(bank.generation(), odd, "not touched before there is something to write");
        assert_eq!(view.snapshot_status().map(|told| told.1), Ok(SnapshotStatus::WriterBusy));
        next.write(&bound(Layout::V2, i64::from(even))).unwrap();
        assert_eq!(bank.generation(), even);
        assert_eq!(view.snapshot().map(|bound| bound.bound_nsec()), Ok(i64::from(even)));
    }
}

#[test]
fn the_generation_goes_from_65535_to_2() {
    let bank = Bank::of(0);
    let mut pen = bank.pen(Layout::V3);
    for number in 1..=32_767 {
        pen.write(&bound(Layout::V3, number)).unwrap();
    }
    assert_eq!(bank.generation(), 65_534);
    pen.write(&bound(Layout::V3, 5)).unwrap();
    assert_eq!(bank.generation(), 2);
}

#[test]
fn the_other_layout_is_made_anew_in_place_and_its_generation_goes_on() {
    let bank = Bank::of(0);
    let mut pen = bank.pen(Layout::V2);
    pen.write(&bound(Layout::V2, 1)).unwrap();
    let mut view = bank.view().unwrap();
    view.snapshot().unwrap();
    let mut pen = bank.pen(Layout::V3);
    assert_eq!(view.snapshot_status().map(|told| told.1), Ok(SnapshotStatus::Wiped));
    pen.write(&bound(Layout::V3, 2)).unwrap();
    assert_eq!(view.snapshot(), Ok(&bound(Layout::V3, 2)));
    let mut pen = bank.pen(Layout::V2);
    pen.write(&bound(Layout::V2, 3)).unwrap();
    assert_eq!(view.snapshot(), Ok(&bound(Layout::V2, 3)));
    assert_eq!(pen.generation(), 6, "a reader that has slept since generation 2 of layout 2 does not meet it again");
}

#[test]
fn what_readers_would_refuse_is_not_written() {
    let bank = Bank::of(0);
    let mut pen = bank.pen(Layout::V2);
    pen.write(&bound(Layout::V2, 1)).unwrap();
    let before = bank.bytes(0..128);
    let v2 = ClockErrorBoundBuilder::new();
    assert_eq!(pen.write(&bound(Layout::V3, 1)), Err(ShmError::OtherLayout { found: Layout::V3 }));
    assert_eq!(pen.write(&v2.bound_nsec(-1).build(Layout::V2)), Err(ShmError::SegmentMalformed));
    assert_eq!(pen.write(&v2.max_drift_ppb(1_000_000_000).build(Layout::V2)), Err(ShmError::SegmentMalformed));
    assert_eq!(bank.bytes(0..128), before);
    let mut pen = Bank::of(0).pen(Layout::V3);
    assert_eq!(pen.write(&bound(Layout::V3, 1)), Ok(()));
    let still = ClockErrorBoundBuilder::new().clock_status(ClockStatus::FreeRunning).build(Layout::V3);
    assert_eq!(pen.write(&still), Err(ShmError::SegmentMalformed), "a period of zero");
    for (layout, len) in [(Layout::V2, 79), (Layout::V3, 103), (Layout::V2, 0)] {
        // SAFETY: 1. it lives for ever. 2. it is aligned to 64. 3. one thread.
        let short = unsafe { ClockBoundPen::start(bank.memory(len), layout) };
        assert_eq!(short.err(), Some(ShmError::SegmentMalformed));
    }
}

#[test]
fn a_reader_of_layout_3_that_does_not_notice_layout_2_in_its_place_finds_no_status_of_before() {
    // ClockBound 3.0's attached reader takes version 2 for its own layout (it asks `3 < 0 || 3 < 2`) and reads on at the old offsets.
    let bank = Bank::of(0);
    bank.pen(Layout::V3).write(&bound(Layout::V3, 1)).unwrap();
    let mut pen = bank.pen(Layout::V2);
    pen.write(&bound(Layout::V2, 2)).unwrap();
    assert_eq!(bank.bytes(80..104), vec![0; 24], "the rest of layout 3, with its status: Synchronized");
}

#[test]
fn a_writer_that_died_after_a_wipe_leaves_the_generation_to_the_next() {
    let bank = Bank::of(0);
    let mut pen = bank.pen(Layout::V2);
    for number in 1..=5 {
        pen.write(&bound(Layout::V2, number)).unwrap();
    }
    // Wipes it, and dies before its first write.
    bank.pen(Layout::V3);
    bank.pen(Layout::V2).write(&bound(Layout::V2, 9)).unwrap();
    assert!(bank.generation() > 10, "{}: readers that slept meet a generation again", bank.generation());
}
