//! Target: a ClockBound segment of any bytes, in memory that changes while it is read and while it is taken over for writing, and as a file
//! that does; and a VMClock page of any bytes, as a file.
//!
//! The input: a count, so many forgeries, then the bytes. The two high bits of the count choose the head that is put before the bytes.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use arbitrary::{Arbitrary, Unstructured};
use seqslot::{ClockBoundClient, ShmWrite, ShmWriter, VmClockReader};
use seqslot_core::Mapping as _;
use seqslot_core::clockbound::layout::{MAGIC_0, MAGIC_1};
use seqslot_core::clockbound::{
    CLOCKBOUND_TRIES_MAX, ClockErrorBound, ClockErrorBoundBuilder, ClockStatus, Fraction, Layout, Rules, SegmentHeader, ShmError, TimeSpec,
    VMCLOCK_MAGIC,
};
use seqslot_os_posix::ShmReader;

use crate::spoil::{Spoil, script};
use crate::world::{HostileOs, World};

#[derive(Debug, Arbitrary)]
struct Input {
    /// Put a good head before the bytes.
    is_headed: bool,
    generation: u16,
    forgeries: u8,
    /// What the file holds the second time: so many bytes.
    cut: u8,
}

impl Input {
    fn layout(&self) -> Layout {
        if self.forgeries & 0x40 == 0 { Layout::V2 } else { Layout::V3 }
    }

    /// The head of a segment, or of a VMClock page.
    fn head(&self) -> Vec<u8> {
        let mut head = Vec::new();
        if self.forgeries & 0x80 == 0 {
            for word in [MAGIC_0, MAGIC_1, self.layout().segment_len() as u32] {
                head.extend(word.to_ne_bytes());
            }
            head.extend(self.layout().version().to_ne_bytes());
            head.extend(self.generation.to_ne_bytes());
        } else {
            for word in [VMCLOCK_MAGIC, 0x68, 1, u32::from(self.generation)] {
                head.extend(word.to_le_bytes());
            }
        }
        head
    }
}

/// Runs the target.
pub fn clockbound(bytes: &[u8]) {
    let mut rest = Unstructured::new(bytes);
    let Ok(input) = Input::arbitrary(&mut rest) else { return };
    let script = script(&mut rest, input.forgeries);
    let bytes = rest.take_rest();
    let mut image = if input.is_headed { input.head() } else { Vec::new() };
    image.extend(&bytes[..bytes.len().min(4096)]);
    read_in_memory(&image, script.clone());
    write_in_memory(&image, input.layout(), script);
    as_file(&image, usize::from(input.cut), input.layout());
}

fn read_in_memory(image: &[u8], script: Vec<Spoil>) {
    let world = World::holding(image).copy_read_only();
    world.plan(script, None, false);
    // Each try looks at the generation twice and copies twice; attach looks at the header.
    world.begin("clockbound", u64::from(CLOCKBOUND_TRIES_MAX) * 6 * 4 + 16);
    let Ok(mut view) = crate::world::clockbound_view(HostileOs::new(&world).mapping().memory()) else { return };
    for _ in 0..3 {
        if let Ok(bound) = view.snapshot() {
            check(bound);
        }
        std::hint::black_box(view.snapshot_status().map(|(bound, status)| (*bound, status)).ok());
        std::hint::black_box((view.is_current(), view.cached().copied()));
    }
}

/// A writer takes over what it finds; where nobody forges, what it writes is what is read.
fn write_in_memory(image: &[u8], layout: Layout, script: Vec<Spoil>) {
    let world = World::holding(image);
    let is_quiet = script.is_empty();
    world.plan(script, None, false);
    world.begin("clockbound writer", 256);
    let memory = || HostileOs::new(&world).mapping().memory();
    let Ok(mut pen) = crate::world::clockbound_pen(memory(), layout) else { return };
    for number in 1..3 {
        pen.write(&bound(layout, number)).expect("of its layout, and good");
    }
    if is_quiet {
        let mut view = crate::world::clockbound_view(memory()).expect("a segment");
        assert_eq!(view.snapshot(), Ok(&bound(layout, 2)));
    }
}

/// A good bound.
fn bound(layout: Layout, number: i64) -> ClockErrorBound {
    let date = TimeSpec::new(number, number).expect("below a second");
    let builder = ClockErrorBoundBuilder::new().as_of_tsc(number as u64).as_of(date).void_after(date).period(Fraction::new(1 << 63, 30));
    builder.bound_nsec(number).max_drift_ppb(number as u32).clock_status(ClockStatus::FreeRunning).build(layout)
}

fn as_file(image: &[u8], cut: usize, layout: Layout) {
    // Removed when it is dropped, with the writer's lock file.
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = &folder.path().join("shm");
    std::fs::write(path, image).expect("a file of our own");
    let name = CString::new(path.as_os_str().as_bytes()).expect("no NUL in it");
    let mut reader = ShmReader::new(&name).ok();
    let mut page = VmClockReader::new(path).ok();
    let mut client = ClockBoundClient::new_with_paths(path, path).ok();
    look(&mut reader, &mut page, &mut client);
    // The daemon cuts it short, or writes something else, under the reader.
    let mut changed = image.to_vec();
    changed.truncate(cut);
    changed.iter_mut().skip(16).step_by(3).for_each(|byte| *byte ^= 0x80);
    std::fs::write(path, &changed).expect("a file of our own");
    for _ in 0..2 {
        look(&mut reader, &mut page, &mut client);
    }
    take_over(path, &name, layout);
    look(&mut reader, &mut page, &mut client);
}

/// Whatever whoever was there before has left.
fn look(reader: &mut Option<ShmReader>, page: &mut Option<VmClockReader>, client: &mut Option<ClockBoundClient>) {
    if let Some(reader) = reader {
        if let Ok(bound) = reader.snapshot() {
            check(bound);
            std::hint::black_box((bound.now(), bound.at_update(), bound.age())).0.ok();
        }
        std::hint::black_box(reader.snapshot_status().map(|snapshot| snapshot.status()).ok());
        std::hint::black_box(reader.is_current());
    }
    if let Some(Ok(clock)) = page.as_mut().map(VmClockReader::snapshot) {
        std::hint::black_box(format!("{clock:?}"));
    }
    std::hint::black_box(client.as_mut().map(ClockBoundClient::now)).and_then(Result::ok);
}

/// A writer of this library over whatever the file holds: what it writes is what is read; or it is left as it is.
fn take_over(path: &Path, name: &CString, layout: Layout) {
    let before = std::fs::read(path).expect("a file of our own");
    let mut writer = match ShmWriter::with_layout(path, layout) {
        Err(ShmError::NotASegment) => {
            assert!(!SegmentHeader::is_begun(&before));
            assert_eq!(std::fs::read(path).expect("a file of our own"), before);
            return;
        }
        writer => writer.expect("a file of our own"),
    };
    assert!(SegmentHeader::is_begun(&before));
    let written = bound(layout, 7);
    writer.write(&written.into()).expect("of its layout, and good");
    let mut reader = ShmReader::new(name).expect("a segment");
    assert_eq!(reader.snapshot().map(|found| **found), Ok(written));
}

/// The arithmetic of `now()`, for every reading of clock or counter that could be.
fn check(bound: &ClockErrorBound) {
    for (seconds, nanoseconds) in [(0, 0), (i64::MAX, 999_999_999), (i64::MIN, 0), (1_700_000_000, 5)] {
        let Some(time) = TimeSpec::new(seconds, nanoseconds) else { continue };
        for monotonic in [time, bound.as_of(), bound.void_after()] {
            let _ = std::hint::black_box(bound.at(time, monotonic));
            let _ = std::hint::black_box(bound.at_with(time, monotonic, Rules::V3));
            let _ = std::hint::black_box(bound.age_at(monotonic));
        }
    }
    let as_of = bound.as_of_tsc().unwrap_or(0);
    for tsc in [0, 1, as_of.wrapping_sub(1), as_of, as_of.wrapping_add(1 << 40), u64::MAX] {
        if let Ok((earliest, latest, _)) = std::hint::black_box(bound.at_counter(tsc)) {
            assert!(earliest <= latest);
        }
        let _ = std::hint::black_box(bound.at_counter_with(tsc, Rules::V2));
        let _ = std::hint::black_box(bound.age_at_counter(tsc));
    }
    assert_eq!(ClockErrorBound::of_payload(bound.layout(), &bound.to_payload()), Ok(*bound), "there and back");
    std::hint::black_box(format!("{bound:?}"));
}
