//! Target: a ClockBound segment of any bytes, in memory that changes while it is read, and as a file that does.
//!
//! The input: a count, so many forgeries, then the bytes.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt as _;

use arbitrary::{Arbitrary, Unstructured};
use seqslot_core::Mapping as _;
use seqslot_core::clockbound::layout::{MAGIC_0, MAGIC_1};
use seqslot_core::clockbound::{CLOCKBOUND_TRIES_MAX, ClockErrorBound, Layout, TimeSpec};
use seqslot_os_posix::ShmReader;

use crate::spoil::{Spoil, script};
use crate::world::{HostileOs, World};

#[derive(Debug, Arbitrary)]
struct Input {
    /// Put a good header before the bytes.
    is_headed: bool,
    generation: u16,
    forgeries: u8,
    /// What the file holds the second time: so many bytes.
    cut: u8,
}

/// Runs the target.
pub fn clockbound(bytes: &[u8]) {
    let mut rest = Unstructured::new(bytes);
    let Ok(input) = Input::arbitrary(&mut rest) else { return };
    let script = script(&mut rest, input.forgeries);
    let bytes = rest.take_rest();
    let mut image = Vec::new();
    if input.is_headed {
        for word in [MAGIC_0, MAGIC_1, Layout::V2.segment_len() as u32] {
            image.extend(word.to_ne_bytes());
        }
        image.extend(Layout::V2.version().to_ne_bytes());
        image.extend(input.generation.to_ne_bytes());
    }
    image.extend(&bytes[..bytes.len().min(4096)]);
    in_memory(&image, script);
    as_file(&image, usize::from(input.cut));
}

fn in_memory(image: &[u8], script: Vec<Spoil>) {
    let world = World::holding(image).copy_read_only();
    world.plan(script, None, false);
    // Each try looks at the generation twice and copies twice; attach looks at the header.
    world.begin("clockbound", u64::from(CLOCKBOUND_TRIES_MAX) * 6 * 4 + 16);
    let Ok(mut view) = crate::world::clockbound_view(HostileOs::new(&world).mapping().memory()) else { return };
    for _ in 0..3 {
        if let Ok(bound) = view.snapshot() {
            check(bound);
        }
        std::hint::black_box((view.is_current(), view.cached().copied()));
    }
}

fn as_file(image: &[u8], cut: usize) {
    // Removed when it is dropped.
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), image).expect("a file of our own");
    let name = CString::new(file.path().as_os_str().as_bytes()).expect("no NUL in it");
    let Ok(mut reader) = ShmReader::new(&name) else { return };
    if let Ok(bound) = reader.snapshot() {
        check(bound);
    }
    // The daemon cuts it short, or writes something else, under the reader.
    let mut changed = image.to_vec();
    changed.truncate(cut);
    changed.iter_mut().skip(16).step_by(3).for_each(|byte| *byte ^= 0x80);
    std::fs::write(file.path(), &changed).expect("a file of our own");
    for _ in 0..2 {
        if let Ok(bound) = reader.snapshot() {
            check(bound);
        }
        std::hint::black_box(reader.is_current());
    }
}

/// The arithmetic of `now()`, for every clock reading that could be.
fn check(bound: &ClockErrorBound) {
    for (seconds, nanoseconds) in [(0, 0), (i64::MAX, 999_999_999), (i64::MIN, 0), (1_700_000_000, 5)] {
        let Some(time) = TimeSpec::new(seconds, nanoseconds) else { continue };
        for monotonic in [time, bound.as_of(), bound.void_after()] {
            let _ = std::hint::black_box(bound.at(time, monotonic));
        }
    }
    std::hint::black_box(format!("{bound:?}"));
}
