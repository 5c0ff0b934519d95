//! `ShmReader` on golden bytes, beside an emulation of the daemon, and on files that are cut, wiped and replaced under it.

use std::ffi::CString;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use seqslot::{ClockBoundLayout, ClockErrorBoundBuilder, ClockStatus, Fraction, Rules, ShmError, ShmReader, SnapshotStatus, TimeSpec};

const GENERATION_AT: u64 = 14;

/// A segment as clock-bound-shm 2.0 writes it: every field, in the machine's byte order.
fn golden() -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(0x414D_5A4E_u32.to_ne_bytes());
    bytes.extend(0x4342_0200_u32.to_ne_bytes());
    bytes.extend(80_u32.to_ne_bytes());
    bytes.extend(2_u16.to_ne_bytes());
    bytes.extend(10_u16.to_ne_bytes());
    bytes.extend(payload(1));
    bytes
}

/// A payload in which every field tells `number`.
fn payload(number: u32) -> Vec<u8> {
    let wide = i64::from(number);
    let mut bytes = Vec::new();
    for field in [wide, wide + 1, wide + 2, wide + 3, wide + 4, wide + 5] {
        bytes.extend(field.to_ne_bytes());
    }
    bytes.extend((number + 6).to_ne_bytes());
    bytes.extend((number % 4).to_ne_bytes());
    bytes.extend([(number % 2) as u8, 0, 0, 0, 0, 0, 0, 0]);
    bytes
}

/// A segment as clock-bound 3.0 writes it to shm1.
fn golden_3() -> Vec<u8> {
    let bound = ClockErrorBoundBuilder::new()
        .as_of_tsc(5)
        .as_of(TimeSpec::new(1, 2).unwrap())
        .void_after(TimeSpec::new(1_001, 2).unwrap())
        .period(Fraction::from_f64(1e-9).unwrap())
        .bound_nsec(77)
        .clock_status(ClockStatus::Synchronized)
        .build(ClockBoundLayout::V3);
    let mut bytes = golden()[..16].to_vec();
    bytes[8..12].copy_from_slice(&104_u32.to_ne_bytes());
    bytes[12..14].copy_from_slice(&0x0303_u16.to_ne_bytes());
    bytes.extend(bound.to_payload());
    bytes
}

/// A file of those bytes, and its path as the seed wants it.
struct Segment {
    _folder: tempfile::TempDir,
    path: PathBuf,
    file: File,
}

impl Segment {
    fn new(bytes: &[u8]) -> Self {
        let folder = tempfile::tempdir_in("/dev/shm").unwrap();
        let path = folder.path().join("shm0");
        std::fs::write(&path, bytes).unwrap();
        let file = File::options().read(true).write(true).open(&path).unwrap();
        Self { _folder: folder, path, file }
    }

    fn put(&self, at: u64, bytes: &[u8]) {
        self.file.write_all_at(bytes, at).unwrap();
    }

    fn open(&self) -> Result<ShmReader, ShmError> {
        ShmReader::new(&c_path(&self.path))
    }
}

fn c_path(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).unwrap()
}

/// The number that all fields tell, or the torn fields.
fn told(reader: &mut ShmReader) -> Result<u32, ShmError> {
    let bound = *reader.snapshot()?;
    let number = bound.as_of().tv_sec() as u32;
    let wide = i64::from(number);
    assert_eq!(bound.as_of(), TimeSpec::new(wide, wide + 1).unwrap());
    assert_eq!(bound.void_after(), TimeSpec::new(wide + 2, wide + 3).unwrap());
    assert_eq!((bound.bound_nsec(), bound.disruption_marker()), (wide + 4, number as u64 + 5));
    assert_eq!((bound.max_drift_ppb(), bound.clock_status()), (number + 6, ClockStatus::from_number(number as i32 % 4).unwrap()));
    assert_eq!(bound.clock_disruption_support_enabled(), number % 2 == 1);
    Ok(number)
}

#[test]
fn the_golden_bytes_are_read_field_by_field_and_again_when_nothing_changed() {
    let segment = Segment::new(&golden());
    let mut reader = segment.open().unwrap();
    for _ in 0..3 {
        assert_eq!(told(&mut reader), Ok(1));
        assert!(reader.is_current());
    }
    segment.put(16, &payload(7));
    segment.put(GENERATION_AT, &12_u16.to_ne_bytes());
    assert_eq!(told(&mut reader), Ok(7));
}

#[test]
fn a_segment_of_layout_3_is_read_and_one_made_anew_in_its_place_is_followed() {
    let segment = Segment::new(&golden_3());
    let mut reader = segment.open().unwrap();
    for status in [SnapshotStatus::Fresh, SnapshotStatus::Unchanged] {
        let snapshot = reader.snapshot_status().unwrap();
        let bound = snapshot.bound();
        assert_eq!((bound.layout(), bound.as_of_tsc(), bound.bound_nsec()), (ClockBoundLayout::V3, Some(5), 77));
        assert_eq!(snapshot.status(), status);
    }
    segment.put(0, &golden());
    assert_eq!(told(&mut reader), Ok(1));
    segment.put(0, &golden_3());
    assert_eq!(reader.snapshot().map(|bound| bound.layout()), Ok(ClockBoundLayout::V3));
    assert!(reader.is_current());
}

#[test]
fn every_outcome_of_a_snapshot_has_its_status() {
    let segment = Segment::new(&golden());
    let mut reader = segment.open().unwrap();
    let mut status = || reader.snapshot_status().map(|snapshot| (snapshot.bound().bound_nsec(), snapshot.status()));
    assert_eq!(status(), Ok((5, SnapshotStatus::Fresh)));
    assert_eq!(status(), Ok((5, SnapshotStatus::Unchanged)));
    segment.put(GENERATION_AT, &11_u16.to_ne_bytes());
    assert_eq!(status(), Ok((5, SnapshotStatus::WriterBusy)));
    segment.put(GENERATION_AT, &0_u16.to_ne_bytes());
    assert_eq!(status(), Ok((5, SnapshotStatus::Wiped)));
    // The daemon of 2.x and 3.0 wipes by cutting the file, and writes the header piece by piece.
    for len in [0, 4, 8, 12, 14] {
        segment.file.set_len(len).unwrap();
        segment.put(0, &golden()[..len as usize]);
        assert_eq!(status(), Ok((5, SnapshotStatus::Wiped)), "{len} bytes are there again");
    }
    assert_eq!(reader.snapshot(), Err(ShmError::SegmentNotInitialized));
    segment.put(0, &golden());
    assert_eq!(reader.snapshot_status().map(|snapshot| snapshot.status()), Ok(SnapshotStatus::Unchanged), "the very bytes again");
    segment.file.set_len(40).unwrap();
    assert_eq!(reader.snapshot_status().map(|snapshot| snapshot.status()), Err(ShmError::SegmentMalformed));
}

#[test]
fn the_age_and_the_interval_are_told_by_the_clocks_of_the_machine() {
    let segment = Segment::new(&golden());
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a clock that Linux has, and a value to write to.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC_COARSE, &raw mut now) };
    let as_of = now.tv_sec - 3;
    segment.put(16, &as_of.to_ne_bytes());
    segment.put(24, &now.tv_nsec.to_ne_bytes());
    segment.put(32, &(as_of + 1_000).to_ne_bytes());
    let mut reader = segment.open().unwrap();
    let snapshot = reader.snapshot_status().unwrap();
    let age = snapshot.age().unwrap();
    assert!(age >= std::time::Duration::from_secs(3), "{age:?}");
    let real =
        || TimeSpec::from_nanos(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as i128).unwrap();
    let before = real();
    let (earliest, latest, status) = snapshot.bound().now().unwrap();
    assert!(latest >= before && earliest <= real(), "the time of CLOCK_REALTIME: {earliest:?} to {latest:?}, from {before:?}");
    // 5 ns, and 7 in 10^9 since: 21 ns after three seconds, if this test was not held up for a seventh of a second.
    let width = latest.as_nanos() - earliest.as_nanos();
    assert!(width >= 2 * (5 + 21), "{width} ns");
    assert_ne!(status, ClockStatus::Unknown);
    let at_once = Rules::V2.with_grace(std::time::Duration::ZERO);
    assert_eq!(snapshot.bound().now_with(at_once).unwrap().2, ClockStatus::FreeRunning);
}

#[test]
fn an_update_that_comes_round_to_the_same_generation_is_seen() {
    let segment = Segment::new(&golden());
    let mut reader = segment.open().unwrap();
    assert_eq!(told(&mut reader), Ok(1));
    segment.put(16, &payload(32_768));
    assert_eq!(told(&mut reader), Ok(32_768));
}

#[test]
fn a_daemon_that_died_at_an_update_gives_no_zeros_and_the_last_good_bound() {
    let segment = Segment::new(&golden());
    segment.put(GENERATION_AT, &11_u16.to_ne_bytes());
    let mut fresh = segment.open().unwrap();
    assert_eq!(told(&mut fresh), Err(ShmError::SegmentNotInitialized));

    segment.put(GENERATION_AT, &10_u16.to_ne_bytes());
    let mut reader = segment.open().unwrap();
    assert_eq!(told(&mut reader), Ok(1));
    segment.put(GENERATION_AT, &11_u16.to_ne_bytes());
    segment.put(16, &payload(9)[..20]);
    assert_eq!(told(&mut reader), Ok(1));
    assert!(!reader.is_current());
    segment.put(16, &payload(9));
    segment.put(GENERATION_AT, &12_u16.to_ne_bytes());
    assert_eq!(told(&mut reader), Ok(9));
    assert!(reader.is_current());
}

#[test]
fn content_that_is_not_a_segment_is_told_apart() {
    let with = |at: usize, bytes: &[u8]| {
        let mut changed = golden();
        changed[at..at + bytes.len()].copy_from_slice(bytes);
        changed
    };
    let cases = [
        (Vec::new(), ShmError::SegmentNotInitialized),
        (vec![0; 80], ShmError::SegmentNotInitialized),
        (with(12, &[0, 0]), ShmError::SegmentNotInitialized),
        (with(14, &[0, 0]), ShmError::SegmentNotInitialized),
        (with(0, &[1]), ShmError::SegmentMalformed),
        (with(8, &79_u32.to_ne_bytes()), ShmError::SegmentMalformed),
        (with(8, &(1_u32 << 30).to_ne_bytes()), ShmError::SegmentMalformed),
        (golden()[..16].to_vec(), ShmError::SegmentMalformed),
        (golden()[..79].to_vec(), ShmError::SegmentMalformed),
        (golden()[..10].to_vec(), ShmError::SegmentNotInitialized),
        (b"foobarbaz".to_vec(), ShmError::SegmentMalformed),
        (with(12, &0x0303_u16.to_ne_bytes()), ShmError::SegmentMalformed),
        (with(12, &0x0404_u16.to_ne_bytes()), ShmError::SegmentVersionNotSupported),
        (with(12, &3_u16.to_ne_bytes()), ShmError::SegmentVersionNotSupported),
        (golden_3()[..103].to_vec(), ShmError::SegmentMalformed),
    ];
    for (number, (bytes, expected)) in cases.into_iter().enumerate() {
        let error = Segment::new(&bytes).open().unwrap_err();
        assert_eq!((error.errno(), error), (libc::EPROTO, expected), "case {number}");
    }
    let mut bad = Segment::new(&with(68, &4_i32.to_ne_bytes())).open().unwrap();
    assert_eq!(bad.snapshot(), Err(ShmError::SegmentMalformed));
    let mut longer = golden();
    longer[8..12].copy_from_slice(&96_u32.to_ne_bytes());
    longer.extend([0; 16]);
    assert_eq!(told(&mut Segment::new(&longer).open().unwrap()), Ok(1));
}

#[test]
fn system_calls_that_fail_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let missing = ShmReader::new(&c_path(&folder.path().join("none"))).unwrap_err();
    assert_eq!((missing.errno(), &missing), (libc::ENOENT, &ShmError::SyscallError(libc::ENOENT, c"open")));
    assert_eq!(ShmReader::new(&c_path(folder.path())).unwrap_err(), ShmError::SegmentMalformed);
    // Nobody waits for a pipe's writer.
    let pipe = c_path(&folder.path().join("pipe"));
    // SAFETY: a string that ends with NUL.
    assert_eq!(unsafe { libc::mkfifo(pipe.as_ptr(), 0o600) }, 0);
    assert_eq!(ShmReader::new(&pipe).unwrap_err(), ShmError::SegmentMalformed);
}

#[test]
fn a_file_cut_wiped_or_spoilt_under_the_reader_is_an_error_and_kills_nobody() {
    let segment = Segment::new(&golden());
    let mut reader = segment.open().unwrap();
    assert_eq!(told(&mut reader), Ok(1));
    for (len, expected) in [(79, ShmError::SegmentMalformed), (16, ShmError::SegmentMalformed), (0, ShmError::SegmentNotInitialized)] {
        segment.file.set_len(len).unwrap();
        assert_eq!(told(&mut reader), Err(expected), "{len} bytes left");
    }
    // The daemon starts on it anew: header and zeros, then the version.
    segment.put(0, &golden());
    segment.put(12, &[0, 0]);
    assert_eq!(told(&mut reader), Err(ShmError::SegmentNotInitialized), "wiped");
    segment.put(12, &2_u16.to_ne_bytes());
    assert_eq!(told(&mut reader), Ok(1));
    assert!(reader.is_current());
    segment.put(4, &[0xFF; 4]);
    assert_eq!(told(&mut reader), Err(ShmError::SegmentMalformed));
    assert!(!reader.is_current(), "an error is not the newest bound");
}

#[test]
fn what_lies_behind_the_segment_in_its_file_is_no_update() {
    let mut longer = golden();
    longer.extend([0x5A; 40]);
    let segment = Segment::new(&longer);
    let mut reader = segment.open().unwrap();
    for status in [SnapshotStatus::Fresh, SnapshotStatus::Unchanged] {
        assert_eq!(reader.snapshot_status().map(|snapshot| snapshot.status()), Ok(status));
        segment.put(90, &[7]);
    }
}

#[test]
fn layout_3_is_told_by_the_counter_and_by_the_rules_of_3_unless_others_are_asked_for() {
    // What the counter has counted, of a bound whose ticks are 2^-30 s: 2^-64 s is the unit of a fraction.
    let ticks_30 = |as_of_tsc: u64, seconds_ago: u64| {
        let date = TimeSpec::new(1_700_000_000, 0).unwrap();
        let bound = ClockErrorBoundBuilder::new()
            .as_of(date)
            .void_after(TimeSpec::new(1_700_000_000 + (1 << 40), 0).unwrap())
            .as_of_tsc(as_of_tsc - (seconds_ago << 30))
            .period(Fraction::new(1 << 63, 29))
            .clock_status(ClockStatus::Synchronized);
        seqslot::ClockErrorBound::from(bound.build(ClockBoundLayout::V3))
    };
    let counted = match ticks_30(0, 0).age() {
        Err(ShmError::NoCounter) => return println!("skipped: no counter of this processor is known"),
        age => age.unwrap(),
    };
    assert_ne!(counted, std::time::Duration::ZERO);
    let counter = (counted.as_nanos() * (1 << 30) / 1_000_000_000) as u64;
    // Of a machine that has just started there may be less than that to count back.
    if counted < std::time::Duration::from_secs(30) {
        return println!("skipped: the counter is at {counted:?} only");
    }
    let bound = ticks_30(counter, 20);
    let age = bound.age().unwrap();
    assert!(age >= std::time::Duration::from_secs(20), "{age:?}");
    let (earliest, latest, status) = bound.now().unwrap();
    assert!(earliest.tv_sec() >= 1_700_000_019 && latest > earliest, "{earliest:?} {latest:?}");
    assert_eq!(status, ClockStatus::Synchronized, "20 s are less than the 60 of ClockBound 3.0, and more than the 5 of 2.x");
    assert_eq!(bound.now_with(Rules::V3).unwrap().2, ClockStatus::Synchronized);
    assert_eq!(bound.now_with(Rules::V2).unwrap().2, ClockStatus::FreeRunning);
    assert_eq!(ticks_30(u64::MAX, 0).age(), Err(ShmError::CausalityBreach));
}

/// Ends the other thread also when this one panics.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn no_torn_bound_is_read_beside_a_daemon_at_full_speed() {
    // The emulation writes as the daemon does, by pieces of the file: no less torn than its stores.
    let segment = Segment::new(&golden());
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut generation = 10_u16;
            for number in 2.. {
                segment.put(GENERATION_AT, &(generation + 1).to_ne_bytes());
                for (at, piece) in payload(number).chunks(8).enumerate() {
                    segment.put(16 + 8 * at as u64, piece);
                }
                generation = if generation >= 65_534 { 2 } else { generation + 2 };
                segment.put(GENERATION_AT, &generation.to_ne_bytes());
                if is_over.load(Ordering::Relaxed) {
                    return;
                }
                // As if there were a second in between: else hardly a read finds it at rest.
                for _ in 0..if number % 8 == 0 { 20_000 } else { 0 } {
                    std::hint::spin_loop();
                }
            }
        });
        let _over = Over(&is_over);
        let mut reader = segment.open().unwrap();
        let (mut last, mut news) = (0, 0);
        while news < 200 {
            match told(&mut reader) {
                Ok(number) => {
                    assert!(number >= last, "an older one came after a newer");
                    news += u32::from(number != last);
                    last = number;
                }
                Err(ShmError::Contended { .. } | ShmError::SegmentNotInitialized) => {}
                Err(error) => panic!("{error}"),
            }
        }
    });
}

#[test]
fn a_reader_that_has_a_bound_is_told_of_a_daemon_that_makes_the_segment_anew_and_of_no_error() {
    // As 2.x and 3.0 do (3.0 at each start, of shm0): cut, header piece by piece, zeros; the version; an update.
    let segment = Segment::new(&golden());
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                segment.file.set_len(0).unwrap();
                let mut fresh = golden();
                fresh[12..].fill(0);
                for (at, len) in [(0, 4), (4, 4), (8, 4), (12, 2), (14, 2), (16, 64)] {
                    segment.put(at as u64, &fresh[at..at + len]);
                }
                segment.put(12, &2_u16.to_ne_bytes());
                segment.put(GENERATION_AT, &1_u16.to_ne_bytes());
                segment.put(16, &payload(1));
                segment.put(GENERATION_AT, &2_u16.to_ne_bytes());
            }
        });
        let _over = Over(&is_over);
        let mut reader = loop {
            if let Ok(mut reader) = segment.open()
                && reader.snapshot().is_ok()
            {
                break reader;
            }
        };
        let end = std::time::Instant::now() + std::time::Duration::from_secs(2);
        for call in 0.. {
            assert!(reader.snapshot_status().is_ok(), "call {call}: {:?}", reader.snapshot_status().err());
            if std::time::Instant::now() >= end {
                break;
            }
        }
    });
}
