//! Code as it stands for zerodds_flatdata, with one import changed: an owner that writes, and a consumer (this program again) that reads in place.
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

// Before: use zerodds_flatdata::{PosixSlotAllocator, SlotBackend, SlotError};
use seqslot::{PosixSlotAllocator, SlotBackend, SlotError};

const READER: u8 = 0;
const SAMPLES: u32 = 10;
const PATIENCE: Duration = Duration::from_secs(10);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    match std::env::args_os().nth(1) {
        Some(path) => consume(path.into()),
        None => own(),
    }
}

fn own() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::temp_dir().join(format!("from-zerodds-{}.flink", std::process::id()));
    let slots = PosixSlotAllocator::create(&path, 4, 256)?;
    let mut child = Command::new(std::env::current_exe()?).arg(slots.segment_path()).spawn()?;
    for number in 0..SAMPLES {
        let before = slots.notify_generation();
        let loan = match slots.reserve_slot(1 << READER) {
            Err(SlotError::NoFreeSlot) => {
                slots.wait_for_change(before, PATIENCE);
                slots.reserve_slot(1 << READER)?
            }
            answer => answer?,
        };
        slots.commit_slot(loan, format!("sample number {number}").as_bytes())?;
    }
    if child.wait()?.success() { Ok(()) } else { Err("the consumer failed".into()) }
}

fn consume(path: PathBuf) -> Result<(), Box<dyn std::error::Error>> {
    let slots = PosixSlotAllocator::attach(path)?;
    let mut read = 0;
    while read < SAMPLES {
        let before = slots.notify_generation();
        let Some(sample) = slots.next_unread_slot(READER)? else {
            slots.wait_for_change(before, PATIENCE);
            continue;
        };
        let (header, bytes) = slots.read_slot(sample)?;
        println!("read {}: {}", header.sequence_number, String::from_utf8_lossy(&bytes));
        slots.mark_read(sample, READER)?;
        read += 1;
    }
    Ok(())
}
