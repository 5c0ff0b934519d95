//! Forged words in segments that the crate made: none of them leads our side out of the mapping.

use std::os::unix::fs::FileExt;
use std::path::Path;

use seqslot::SlotBackend as _;
use zerodds_flatdata::SlotBackend as _;

use crate::outcome::{Outcome, ensure};
use crate::scratch::object_of;

/// Slots of the segment, and bytes of each.
const SLOTS: usize = 4;
const CAPACITY: usize = 48;
/// Where the words are: magic, slot count, bytes of a slot; of the first slot, the sample's size.
const MAGIC: u64 = 0;
const COUNT: u64 = 4;
const TOTAL: u64 = 8;
const FIRST_SIZE: u64 = 0x20 + 4;

/// Words that lie.
const LIES: &[(u64, u32)] = &[
    (MAGIC, 0),
    (MAGIC, 0x5A44_5353),
    (COUNT, 0),
    (COUNT, SLOTS as u32 + 100),
    (COUNT, 1_000_000),
    (COUNT, u32::MAX),
    (TOTAL, 0),
    (TOTAL, 8),
    (TOTAL, 16),
    (TOTAL, 65),
    (TOTAL, 1 << 31),
    (TOTAL, u32::MAX),
];

/// Tells each lie to an attach, and again to one that is attached already; how many attaches were refused.
pub fn refused(folder: &Path) -> Outcome<u64> {
    let path = folder.join("lies.flink");
    let owner = zerodds_flatdata::PosixSlotAllocator::create(&path, SLOTS, CAPACITY)?;
    let handle = owner.reserve_slot(1)?;
    owner.commit_slot(handle, b"true")?;
    let file = std::fs::OpenOptions::new().read(true).write(true).open(object_of(&path).ok_or("no flink")?)?;
    let attached = seqslot::PosixSlotAllocator::attach(&path)?;
    let mut refused = 0;
    for &(at, lie) in LIES {
        let mut word = [0; 4];
        file.read_exact_at(&mut word, at)?;
        file.write_all_at(&lie.to_ne_bytes(), at)?;
        let answer = seqslot::PosixSlotAllocator::attach(&path);
        ensure(answer.is_err(), || format!("{lie:#x} at {at} was believed"))?;
        refused += 1;
        let found = attached.next_unread_slot(0)?.ok_or("a lie hides a sample from one that is attached")?;
        ensure(attached.read_slot(found)?.1 == b"true", || "a lie changes a sample of one that is attached".into())?;
        file.write_all_at(&word, at)?;
    }
    // A sample that says that it is larger than its slot.
    file.write_all_at(&u32::MAX.to_ne_bytes(), FIRST_SIZE)?;
    let read = attached.next_unread_slot(0).and_then(|found| found.map(|found| attached.read_slot(found)).transpose());
    ensure(!matches!(&read, Ok(Some((_, bytes))) if bytes.len() > CAPACITY), || format!("a forged size was believed: {read:?}"))?;
    Ok(refused + 1)
}
