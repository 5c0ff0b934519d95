//! What ClockBound's readers and writers get wrong, fault by fault, and ours do not.
//!
//! | fault of ClockBound | ours |
//! |---|---|
//! | no fence between payload and second look, none behind the odd generation | `core/tests/loom_clockbound.rs`: each fence left out is a torn bound (`core/tests/mutations.toml`) |
//! | enum and bool read as such, whatever the bytes | `values_that_are_none_are_refused` |
//! | a first look at an odd generation is zeros | `a_first_look_in_the_midst_of_an_update_is_an_error` |
//! | a wiped segment is the cached value for ever | `a_wiped_segment_is_told` |
//! | 32,767 updates between two looks go unseen | `an_update_that_comes_round_to_the_same_generation_is_seen` |
//! | 16 bytes that say they are 80 are zeros; 1 GiB is believed; a cut file is SIGBUS | `a_file_is_not_believed_about_its_length` |
//! | under a fast writer stale values pass for new ones, and a call may take milliseconds | `a_bound_that_is_not_the_newest_says_so`, `a_look_at_a_writer_that_never_rests_has_an_end` |
//! | `load(Acquire)` on memory mapped read-only | `a_mapped_reader_makes_relaxed_loads_only` |
//! | VMClock: a disruption goes unseen while the count is 0 | `a_disruption_is_seen_at_count_0` |
//! | VMClock: 4 billion tries | `a_page_that_is_being_written_is_no_answer` |
//! | the writer cuts the file it makes anew, so that mapped readers are killed | `os-linux/tests/clockbound_writer.rs` |
//! | the writer does not notice another one, nor a full disk | `os-linux/tests/clockbound_writer.rs` |

use std::cell::Cell;
use std::ffi::CString;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use seqslot::{
    Cause, ClientError, ClockBoundClient, ClockBoundLayout as Layout, ClockErrorBound, ClockErrorBoundBuilder, ClockStatus, Fraction,
    ShmError, ShmReader, ShmWrite, ShmWriter, SnapshotStatus, TimeSpec, VmClockError, VmClockReader,
};
use seqslot_core::clockbound::{ClockBoundPen, ClockBoundView};
use seqslot_core::{AtomicU32, Memory, Ordering, Raw};

const LAYOUTS: [Layout; 2] = [Layout::V2, Layout::V3];

fn bound(layout: Layout, number: i64) -> ClockErrorBound {
    let date = TimeSpec::new(number, 0).unwrap();
    let builder = ClockErrorBoundBuilder::new().as_of(date).as_of_tsc(number as u64).period(Fraction::new(1, 63));
    builder.bound_nsec(number).clock_status(ClockStatus::Synchronized).build(layout).into()
}

/// A segment that our writer made and that holds bound 1.
struct Segment {
    folder: tempfile::TempDir,
    path: PathBuf,
    file: File,
    layout: Layout,
}

impl Segment {
    fn new(layout: Layout) -> Self {
        let folder = tempfile::tempdir_in("/dev/shm").unwrap();
        let path = folder.path().join("shm");
        ShmWriter::with_layout(&path, layout).unwrap().write(&bound(layout, 1)).unwrap();
        let file = File::options().read(true).write(true).open(&path).unwrap();
        Self { folder, path, file, layout }
    }

    fn put(&self, at: u64, bytes: &[u8]) {
        self.file.write_all_at(bytes, at).unwrap();
    }

    fn generation(&self, generation: u16) {
        self.put(14, &generation.to_ne_bytes());
    }

    fn reader(&self) -> Result<ShmReader, ShmError> {
        reader(&self.path)
    }
}

fn reader(path: &Path) -> Result<ShmReader, ShmError> {
    ShmReader::new(&CString::new(path.as_os_str().as_bytes()).unwrap())
}

#[test]
fn values_that_are_none_are_refused() {
    for (layout, status, support) in [(Layout::V2, 16 + 52, 16 + 56), (Layout::V3, 16 + 76, 16 + 80)] {
        for (at, bytes) in [(status, &4_i32.to_ne_bytes()[..]), (status, &(-1_i32).to_ne_bytes()), (support, &[7]), (support, &[2])] {
            let segment = Segment::new(layout);
            segment.put(at, bytes);
            assert_eq!(segment.reader().unwrap().snapshot(), Err(ShmError::SegmentMalformed), "{layout:?}, {at}: {bytes:?}");
        }
    }
}

#[test]
fn a_first_look_in_the_midst_of_an_update_is_an_error() {
    for segment in LAYOUTS.map(Segment::new) {
        segment.generation(3);
        let mut reader = segment.reader().unwrap();
        assert_eq!(reader.snapshot(), Err(ShmError::SegmentNotInitialized));
        assert_eq!(reader.snapshot_status().err(), Some(ShmError::SegmentNotInitialized));
        // The next writer ends what the dead one began.
        ShmWriter::with_layout(&segment.path, segment.layout).unwrap().write(&bound(segment.layout, 2)).unwrap();
        assert_eq!(reader.snapshot(), Ok(&bound(segment.layout, 2)));
    }
}

#[test]
fn a_wiped_segment_is_told() {
    for segment in LAYOUTS.map(Segment::new) {
        let mut reader = segment.reader().unwrap();
        reader.snapshot().unwrap();
        for wiped in [&[0, 0, 2, 0][..], &[2, 0, 0, 0], &[0; 4]] {
            segment.put(12, wiped);
            assert_eq!(reader.snapshot(), Err(ShmError::SegmentNotInitialized), "{wiped:?}");
            assert_eq!(reader.snapshot_status().map(|snapshot| snapshot.status()), Ok(SnapshotStatus::Wiped));
        }
    }
}

#[test]
fn an_update_that_comes_round_to_the_same_generation_is_seen() {
    for segment in LAYOUTS.map(Segment::new) {
        let mut reader = segment.reader().unwrap();
        reader.snapshot().unwrap();
        let mut writer = ShmWriter::with_layout(&segment.path, segment.layout).unwrap();
        for number in 2..=32_768 {
            writer.write(&bound(segment.layout, number)).unwrap();
        }
        let mut generation = [0; 2];
        segment.file.read_exact_at(&mut generation, 14).unwrap();
        assert_eq!(u16::from_ne_bytes(generation), 2, "as it was");
        assert_eq!(reader.snapshot(), Ok(&bound(segment.layout, 32_768)));
    }
}

#[test]
fn a_file_is_not_believed_about_its_length() {
    for segment in LAYOUTS.map(Segment::new) {
        let mut reader = segment.reader().unwrap();
        reader.snapshot().unwrap();
        segment.put(8, &(1_u32 << 30).to_ne_bytes());
        assert_eq!(segment.reader().err(), Some(ShmError::SegmentMalformed), "1 GiB");
        assert_eq!(reader.snapshot(), Err(ShmError::SegmentMalformed));
        segment.put(8, &(segment.layout.segment_len() as u32).to_ne_bytes());
        segment.file.set_len(16).unwrap();
        assert_eq!(segment.reader().err(), Some(ShmError::SegmentMalformed), "16 bytes");
        assert_eq!(reader.snapshot(), Err(ShmError::SegmentMalformed), "and this process lives");
    }
}

#[test]
fn a_bound_that_is_not_the_newest_says_so() {
    for segment in LAYOUTS.map(Segment::new) {
        let mut reader = segment.reader().unwrap();
        assert_eq!(reader.snapshot_status().map(|snapshot| snapshot.status()), Ok(SnapshotStatus::Fresh));
        segment.generation(3);
        let snapshot = reader.snapshot_status().unwrap();
        assert_eq!((snapshot.bound(), snapshot.status()), (&bound(segment.layout, 1), SnapshotStatus::WriterBusy));
        assert!(!reader.is_current());
    }
}

/// A memory that checks the orderings asked of it, counts the loads of words, and changes the generation at each if it is to.
#[derive(Clone)]
struct Watched<'m> {
    raw: Raw,
    loads: &'m Cell<u32>,
    restless: bool,
}

// SAFETY: each operation is that of `Raw`, which answers for the duties; a load may come after a store of this thread's.
unsafe impl Memory for Watched<'_> {
    fn len(&self) -> usize {
        self.raw.len()
    }

    unsafe fn load(&self, at: usize, order: Ordering) -> u32 {
        assert_eq!(order, Ordering::Relaxed);
        self.loads.set(self.loads.get() + 1);
        if self.restless {
            let [a, b] = (2 * self.loads.get() as u16 + 2).to_ne_bytes();
            // SAFETY: the word of version and generation, in memory of ours.
            unsafe { self.raw.store(12, u32::from_ne_bytes([2_u16.to_ne_bytes()[0], 2_u16.to_ne_bytes()[1], a, b]), Ordering::Relaxed) };
        }
        // SAFETY: the caller's duties.
        unsafe { self.raw.load(at, order) }
    }

    unsafe fn store(&self, at: usize, _: u32, _: Ordering) {
        panic!("a store to {at}");
    }

    fn fence(&self, order: Ordering) {
        self.raw.fence(order);
    }

    fn fence_full(&self) {
        self.raw.fence_full();
    }

    unsafe fn copy_out(&self, at: usize, into: &mut [u8]) {
        // SAFETY: the caller's duties.
        unsafe { self.raw.copy_out(at, into) }
    }

    unsafe fn copy_in(&self, at: usize, _: &[u8]) {
        panic!("a store to {at}");
    }

    unsafe fn payload(&self, at: usize, _: usize) -> *const u8 {
        panic!("a pointer to {at}");
    }

    unsafe fn payload_mut(&self, at: usize, _: usize) -> *mut u8 {
        panic!("a pointer to {at}");
    }

    unsafe fn futex(&self, at: usize) -> &AtomicU32 {
        panic!("a reference to {at}");
    }
}

/// Memory of a segment that holds bound 1.
fn memory(words: &[AtomicU32; 26]) -> Raw {
    // SAFETY: 1. the callers keep the words. 2. they are words. 3. and 4. they are atomics.
    let raw = unsafe { Raw::new(std::ptr::NonNull::from(words).cast(), 104) };
    // SAFETY: 1. and 2. as above. 3. one thread.
    unsafe { ClockBoundPen::start(raw, Layout::V2) }.unwrap().write(&bound(Layout::V2, 1)).unwrap();
    raw
}

#[test]
fn a_mapped_reader_makes_relaxed_loads_only() {
    let (words, loads) = ([const { AtomicU32::new(0) }; 26], Cell::new(0));
    let watched = Watched { raw: memory(&words), loads: &loads, restless: false };
    // SAFETY: 1. the words are kept. 2. they are words.
    let mut view = unsafe { ClockBoundView::attach(watched) }.unwrap();
    assert_eq!(view.snapshot(), Ok(&*bound(Layout::V2, 1)));
    assert_eq!(view.snapshot_status().map(|told| told.1), Ok(SnapshotStatus::Unchanged));
    assert!(loads.get() > 4 + 2, "four words of the header, two looks, and a look again");
}

#[test]
fn a_look_at_a_writer_that_never_rests_has_an_end() {
    let (words, loads) = ([const { AtomicU32::new(0) }; 26], Cell::new(0));
    let watched = Watched { raw: memory(&words), loads: &loads, restless: true };
    // SAFETY: 1. the words are kept. 2. they are words.
    let mut view = unsafe { ClockBoundView::attach(watched) }.unwrap();
    let before = loads.get();
    let tries = seqslot_core::clockbound::CLOCKBOUND_TRIES_MAX;
    assert_eq!(view.snapshot(), Err(ShmError::Contended { tries }));
    assert!(loads.get() - before <= 2 * tries, "two looks a try");
}

/// A VMClock page with this count and this marker.
fn page(count: u32, marker: u64) -> Vec<u8> {
    let mut page = vec![0; 0x68];
    page[0x00..0x04].copy_from_slice(&0x4B4C_4356_u32.to_le_bytes());
    page[0x04..0x08].copy_from_slice(&0x68_u32.to_le_bytes());
    page[0x08..0x0A].copy_from_slice(&1_u16.to_le_bytes());
    page[0x0C..0x10].copy_from_slice(&count.to_le_bytes());
    page[0x10..0x18].copy_from_slice(&marker.to_le_bytes());
    page
}

#[test]
fn a_disruption_is_seen_at_count_0() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vmclock0");
    for marker in [5, 6] {
        fs::write(&path, page(0, marker)).unwrap();
        assert_eq!(VmClockReader::new(&path).unwrap().snapshot().map(|clock| clock.disruption_marker()), Ok(marker));
    }
    let mut reader = VmClockReader::new(&path).unwrap();
    for (count, marker) in [(0, 6), (0, 7), (2, 7), (2, 8), (u32::MAX - 1, 9), (0, 10)] {
        fs::write(&path, page(count, marker)).unwrap();
        assert_eq!(reader.snapshot().map(|clock| clock.disruption_marker()), Ok(marker), "count {count}");
    }
}

#[test]
fn a_page_that_is_being_written_is_no_answer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vmclock0");
    fs::write(&path, page(0, 5)).unwrap();
    let mut reader = VmClockReader::new(&path).unwrap();
    reader.snapshot().unwrap();
    fs::write(&path, page(1, 5)).unwrap();
    for tries in [1_000, 1, 1] {
        assert_eq!(reader.snapshot(), Err(VmClockError::Busy { tries }), "given up, it is looked at once");
    }
    fs::write(&path, page(3, 5)).unwrap();
    assert_eq!(reader.snapshot(), Err(VmClockError::Busy { tries: 1_000 }));
    let mut late = VmClockReader::new(&path).expect("a page, though it is being written");
    assert_eq!(late.snapshot(), Err(VmClockError::Busy { tries: 1_000 }));
    fs::write(&path, page(2, 5)).unwrap();
    assert!(reader.snapshot().is_ok());
    for (bytes, error) in
        [(&page(2, 5)[..0x67], VmClockError::Malformed), (&[], VmClockError::Malformed), (&[0; 0x70], VmClockError::Malformed)]
    {
        fs::write(&path, bytes).unwrap();
        assert_eq!(reader.snapshot(), Err(error.clone()));
        assert_eq!(VmClockReader::new(&path).err(), Some(error));
    }
    assert_eq!(VmClockReader::new(folder.path()).err(), Some(VmClockError::Malformed));
    assert_eq!(VmClockReader::new(folder.path().join("none")).err(), Some(VmClockError::SyscallError(libc::ENOENT, c"open")));
}

#[test]
fn no_torn_page_is_read_beside_a_hypervisor_at_full_speed() {
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    let path = folder.path().join("vmclock0");
    fs::write(&path, page(0, 0)).unwrap();
    let file = File::options().write(true).open(&path).unwrap();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut count = 0_u32;
            for number in 1_u64.. {
                file.write_all_at(&(count + 1).to_le_bytes(), 0x0C).unwrap();
                // Marker, counter, seconds: each tells the number.
                for at in [0x10, 0x28, 0x48] {
                    file.write_all_at(&number.to_le_bytes(), at).unwrap();
                }
                count = count.wrapping_add(2);
                file.write_all_at(&count.to_le_bytes(), 0x0C).unwrap();
                if is_over.load(Relaxed) {
                    return;
                }
                for _ in 0..if number % 8 == 0 { 20_000 } else { 0 } {
                    std::hint::spin_loop();
                }
            }
        });
        let _over = Over(&is_over);
        let (mut reader, mut last, mut news) = (VmClockReader::new(&path).unwrap(), 0, 0);
        while news < 300 {
            match reader.snapshot() {
                Ok(clock) => {
                    let numbers = [clock.disruption_marker(), clock.counter_value(), clock.time().0];
                    assert_eq!(numbers, [numbers[0]; 3], "torn");
                    assert!(numbers[0] >= last, "an older one came after a newer");
                    news += u32::from(numbers[0] != last);
                    last = numbers[0];
                }
                Err(error) => assert!(matches!(error, VmClockError::Busy { .. }), "{error}"),
            }
        }
    });
}

/// Ends the other thread also when this one panics.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

#[test]
fn a_client_compares_the_markers_if_the_daemon_watches_for_disruptions() {
    for layout in LAYOUTS {
        let segment = Segment::new(layout);
        let vmclock = segment.folder.path().join("vmclock0");
        let mut writer = ShmWriter::with_layout(&segment.path, layout).unwrap();
        let mut write = |marker, is_watched| {
            // As void as can be by now, so that no status but the page's is told.
            let builder = ClockErrorBoundBuilder::new().disruption_marker(marker).clock_disruption_support_enabled(is_watched);
            writer.write(&builder.build(layout).into()).unwrap();
        };
        let client = || ClockBoundClient::new_with_paths(&segment.path, &vmclock);
        write(5, false);
        let mut unwatched = client().expect("without a page");
        assert_eq!(unwatched.now().unwrap().clock_status, ClockStatus::Unknown);

        write(5, true);
        assert_eq!(unwatched.now(), Err(ClientError::SupportChanged { is_enabled: true }));
        assert_eq!(client().err(), Some(ClientError::VmClock(VmClockError::SyscallError(libc::ENOENT, c"open"))));
        fs::write(&vmclock, page(0, 5)).unwrap();
        let mut watched = client().unwrap();
        assert_eq!(watched.now().unwrap().clock_status, ClockStatus::Unknown);
        for marker in [4, 6] {
            fs::write(&vmclock, page(0, marker)).unwrap();
            assert_eq!(watched.now().unwrap().clock_status, ClockStatus::Disrupted, "any other marker: {marker}");
        }
        write(6, true);
        assert_eq!(watched.now().unwrap().clock_status, ClockStatus::Unknown, "the daemon has made it good");
        write(6, false);
        assert_eq!(watched.now(), Err(ClientError::SupportChanged { is_enabled: false }));
        segment.generation(0);
        assert_eq!(watched.now(), Err(ClientError::Segment(ShmError::SegmentNotInitialized)));
    }
}

#[test]
fn an_error_of_the_client_says_whose_it_is_and_what_to_do() {
    for (error, cause, part) in [
        (ClientError::from(ShmError::SegmentMalformed), Cause::Corruption, "ClockBound segment"),
        (ClientError::from(VmClockError::Malformed), Cause::Corruption, "VMClock page"),
        (ClientError::SupportChanged { is_enabled: true }, Cause::Contention, "make a new client, which opens"),
        (ClientError::SupportChanged { is_enabled: false }, Cause::Contention, "make a new client, which does without"),
    ] {
        assert_eq!(error.cause(), cause, "{error}");
        assert_eq!(error.errno(), if cause == Cause::Corruption { libc::EPROTO } else { libc::EAGAIN });
        assert!(error.to_string().contains(part), "{error}");
        assert_eq!(std::error::Error::source(&error).is_some(), cause == Cause::Corruption);
    }
}

#[test]
fn a_machine_that_was_moved_is_disrupted_also_if_its_clock_or_counter_started_anew() {
    for layout in LAYOUTS {
        let segment = Segment::new(layout);
        let vmclock = segment.folder.path().join("vmclock0");
        let mut writer = ShmWriter::with_layout(&segment.path, layout).unwrap();
        // Before the move clock and counter were far ahead of what they are now.
        let date = TimeSpec::new(1 << 50, 0).unwrap();
        let builder =
            ClockErrorBoundBuilder::new().as_of(date).void_after(date).as_of_tsc(u64::MAX / 2).period(Fraction::from_f64(1e-9).unwrap());
        let builder = builder.bound_nsec(7).disruption_marker(5).clock_disruption_support_enabled(true);
        writer.write(&builder.clock_status(ClockStatus::Synchronized).build(layout).into()).unwrap();
        fs::write(&vmclock, page(0, 5)).unwrap();
        let mut client = ClockBoundClient::new_with_paths(&segment.path, &vmclock).unwrap();
        if client.now() == Err(ClientError::Segment(ShmError::NoCounter)) {
            continue;
        }
        assert_eq!(client.now(), Err(ClientError::Segment(ShmError::CausalityBreach)), "{layout:?}: not moved, and out of joint");
        fs::write(&vmclock, page(2, 6)).unwrap();
        // ClockBound 3.0 answers the time of the update, `Disrupted`.
        let window = client.now().unwrap();
        assert_eq!(window.clock_status, ClockStatus::Disrupted, "{layout:?}");
        assert_eq!(window.latest.as_nanos() - window.earliest.as_nanos(), 14);
        assert_eq!(client.now_with(seqslot::Rules::V2).map(|window| window.clock_status), Ok(ClockStatus::Disrupted));
        match layout {
            Layout::V3 => assert_eq!(window.latest, TimeSpec::new(1 << 50, 7).unwrap(), "the date of the update"),
            _ => assert!(window.latest.tv_sec() < 1 << 40, "the present time: {window:?}"),
        }
    }
}
