//! A seeds' face over a plain region, for tests.
#![allow(dead_code, missing_docs, reason = "each test binary uses a part of it")]

use core::sync::atomic::AtomicU8;

use seqslot_core::{Bare, Config, Exclusion, Exclusive, Region, Segment, SlotFace};

#[repr(align(64))]
struct Line(#[allow(dead_code, reason = "reached through the slice")] [AtomicU8; 64]);

/// A fresh zeroed region, leaked: tests are short.
pub fn region(len: usize) -> Region<'static> {
    let lines: Vec<Line> = (0..len.div_ceil(64)).map(|_| Line([const { AtomicU8::new(0) }; 64])).collect();
    let lines: &'static [Line] = lines.leak();
    // SAFETY: lines are arrays of atomics without padding, one behind the other, for ever.
    let bytes = unsafe { core::slice::from_raw_parts(lines.as_ptr().cast::<AtomicU8>(), lines.len() * 64) };
    // SAFETY: 1. and 2. each test has a region of its own, with one segment in it.
    unsafe { Region::new(bytes) }.unwrap()
}

#[derive(Debug)]
pub struct Guarded<T>(std::sync::Mutex<T>);

impl<T> Exclusive<T> for Guarded<T> {
    fn new(value: T) -> Self {
        Self(std::sync::Mutex::new(value))
    }

    fn with<R>(&self, act: impl FnOnce(&mut T) -> R) -> R {
        act(&mut self.0.lock().unwrap())
    }
}

#[derive(Debug)]
pub struct Mutexes;

impl Exclusion for Mutexes {
    type Of<T> = Guarded<T>;
}

pub type Face = SlotFace<Bare<'static>, Mutexes>;

pub fn segment(config: &Config) -> Segment<Bare<'static>> {
    Segment::create(Bare::new(region(config.len().unwrap())), &(), config).unwrap()
}

/// `slots` slots of `capacity` bytes, as `PosixSlotAllocator::create` makes them.
pub fn face(slots: u64, capacity: u64) -> Face {
    SlotFace::new(segment(&Config::slots(slots, capacity))).unwrap()
}

/// The same segment as another process would have it.
pub fn attach(face: &Face) -> Face {
    let segment = face.segment();
    SlotFace::new(Segment::adopt(*segment.os(), *segment.mapping()).unwrap()).unwrap()
}

/// The same segment for the safe face.
pub fn safe(face: &Face) -> Segment<Bare<'static>> {
    Segment::adopt(*face.segment().os(), *face.segment().mapping()).unwrap()
}

/// Tells that a party is gone whose handles the test does not use to look at payloads any more.
#[allow(dead_code, reason = "not every test needs it")]
pub fn dead<O: seqslot_core::SlotsOs>(
    segment: &seqslot_core::Segment<O>,
    lock: seqslot_core::Lock,
) -> Result<seqslot_core::Recovered, seqslot_core::OsError> {
    // SAFETY: as said.
    unsafe { segment.declare_dead(lock) }
}

/// Evicts a reader whose samples the test does not look at any more.
#[allow(dead_code, reason = "not every test needs it")]
pub fn evict<O: seqslot_core::SlotsOs>(
    segment: &seqslot_core::Segment<O>,
    reader: seqslot_core::ReaderId,
) -> Result<(), seqslot_core::EvictError> {
    // SAFETY: as said.
    unsafe { segment.evict(reader) }
}
