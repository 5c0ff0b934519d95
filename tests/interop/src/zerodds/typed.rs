//! Typed writers and readers: the same calls on theirs, over the memory of one process (all that theirs works over), and on ours, over a
//! shared segment.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::outcome::{Outcome, ensure};
use crate::random::Random;

/// Steps of a sequence, and sequences.
const STEPS: u64 = 60;
const SEQUENCES: u64 = 400;
/// Slots, bytes of each, and readers that count.
const SLOTS: usize = 4;
const CAPACITY: usize = 16;
const ACTIVE: u32 = 0b11;

/// A value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Pose {
    x: u64,
    y: u64,
}

/// The same bytes under another identity.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Other {
    x: u64,
    y: u64,
}

const HASH: [u8; 16] = *b"Pose{x:u64,y:u64";
const OTHER_HASH: [u8; 16] = *b"Other{x:u64,y:u6";

// SAFETY: plain numbers, repr(C), no padding.
unsafe impl zerodds_flatdata::FlatStruct for Pose {
    const TYPE_HASH: [u8; 16] = HASH;
}

// SAFETY: as above.
unsafe impl zerodds_flatdata::FlatStruct for Other {
    const TYPE_HASH: [u8; 16] = OTHER_HASH;
}

impl seqslot::FlatStruct for Pose {
    const TYPE_HASH: [u8; 16] = HASH;
}

impl seqslot::FlatStruct for Other {
    const TYPE_HASH: [u8; 16] = OTHER_HASH;
}

/// One call.
#[derive(Debug, Clone, Copy)]
enum Step {
    Write(u64),
    BestEffort(u64),
    Loan(u64),
    LoanDropped,
    Read(u8),
    /// A reference that is held while so many are written.
    ReadRef(u8, u64),
}

fn draw(random: &mut Random, value: u64) -> Step {
    let reader = random.below(2) as u8;
    match random.below(10) {
        0..=2 => Step::Write(value),
        3 => Step::BestEffort(value),
        4 => Step::Loan(value),
        5 => Step::LoanDropped,
        6..=8 => Step::Read(reader),
        _ => Step::ReadRef(reader, random.below(6)),
    }
}

/// What a step came to: the same words on both sides.
fn words<T: std::fmt::Debug, E: std::fmt::Debug>(answer: Result<T, E>) -> String {
    format!("{answer:?}")
}

const fn pose(value: u64) -> Pose {
    Pose { x: value, y: value.wrapping_mul(31) }
}

struct Theirs {
    writer: zerodds_flatdata::FlatWriter<Pose>,
    readers: [zerodds_flatdata::FlatReader<Pose>; 2],
}

impl Theirs {
    fn new() -> Self {
        let slots = Arc::new(zerodds_flatdata::InMemorySlotAllocator::new(1, SLOTS, CAPACITY));
        let reader = |index| zerodds_flatdata::FlatReader::new(slots.clone(), index);
        Self { writer: zerodds_flatdata::FlatWriter::new(slots.clone(), ACTIVE), readers: [reader(0), reader(1)] }
    }

    fn make(&self, step: Step) -> String {
        let Self { writer, readers } = self;
        match step {
            Step::Write(value) | Step::BestEffort(value) => words(writer.write(&pose(value))),
            Step::Loan(value) => words(writer.loan_slot().and_then(|slot| slot.commit(pose(value)))),
            Step::LoanDropped => words(writer.loan_slot().map(drop)),
            Step::Read(reader) => words(readers[usize::from(reader)].read()),
            Step::ReadRef(reader, writes) => words(readers[usize::from(reader)].read_ref().map(|held| {
                let written: Vec<String> = (0..writes).map(|value| words(writer.write(&pose(value)))).collect();
                (held.map(zerodds_flatdata::FlatSampleRef::into_inner), written)
            })),
        }
    }
}

/// Makes a step on ours.
fn make<B>(writer: &seqslot::FlatWriter<Pose, B>, readers: &mut [seqslot::FlatReader<Pose, B>; 2], step: Step) -> Outcome<String>
where
    B: std::ops::Deref<Target = seqslot::PosixSlotAllocator>,
{
    Ok(match step {
        Step::Write(value) => words(writer.write(&pose(value))),
        // The crate has the call, and does not export the names of what it takes and gives: as a write there.
        Step::BestEffort(value) => match writer.write_bp(&pose(value), seqslot::Reliability::BestEffort, Duration::ZERO)? {
            seqslot::WriteOutcome::Written(number) => words(Ok::<_, ()>(number)),
            _ => words(Err::<u32, _>(seqslot::SlotError::NoFreeSlot)),
        },
        Step::Loan(value) => words(writer.loan_slot().and_then(|slot| slot.commit(pose(value)))),
        Step::LoanDropped => words(writer.loan_slot().map(drop)),
        Step::Read(reader) => words(readers[usize::from(reader)].read()),
        Step::ReadRef(reader, writes) => words(readers[usize::from(reader)].read_ref().map(|held| {
            let written: Vec<String> = (0..writes).map(|value| words(writer.write(&pose(value)))).collect();
            (held.map(seqslot::FlatSampleRef::into_inner), written)
        })),
    })
}

/// Makes random sequences on both; how many steps.
pub fn compare(folder: &Path, seed: u64) -> Outcome<u64> {
    let mut random = Random::new(seed);
    for sequence in 0..SEQUENCES {
        let theirs = Theirs::new();
        let slots = seqslot::PosixSlotAllocator::create_typed::<Pose>(folder.join(format!("typed-{sequence}.flink")), SLOTS)?;
        let writer = seqslot::FlatWriter::new(&slots, ACTIVE)?;
        let mut readers = [seqslot::FlatReader::new(&slots, 0)?, seqslot::FlatReader::new(&slots, 1)?];
        for step in (0..STEPS).map(|value| draw(&mut random, value)).collect::<Vec<_>>() {
            let (as_theirs, as_ours) = (theirs.make(step), make(&writer, &mut readers, step)?);
            ensure(as_theirs == as_ours, || format!("typed, sequence {sequence}, {step:?}: theirs {as_theirs}, ours {as_ours}"))?;
        }
    }
    mismatch(folder)?;
    Ok(SEQUENCES * STEPS)
}

/// Another type's reader: both refuse; theirs when it reads, by an error about a size; ours when it attaches, by the two identities.
fn mismatch(folder: &Path) -> Outcome<()> {
    let slots = Arc::new(zerodds_flatdata::InMemorySlotAllocator::new(1, SLOTS, CAPACITY).with_type_hash(HASH));
    let theirs = words(zerodds_flatdata::FlatReader::<Other>::new(slots, 0).read().map(|found| found.is_some()));
    ensure(theirs.contains("SampleTooLarge"), || format!("theirs: another type's reader gets {theirs}"))?;
    let path = folder.join("mismatch.flink");
    let _owner = seqslot::PosixSlotAllocator::create_typed::<Pose>(&path, SLOTS)?;
    let ours = words(seqslot::PosixSlotAllocator::attach_typed::<Other>(&path));
    ensure(ours.contains("TypeMismatch"), || format!("ours: another type's reader gets {ours}"))
}
