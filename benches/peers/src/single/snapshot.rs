//! Snapshots: unchanged, read afresh, written; beside the bare copy out of and into shared memory.

use std::cell::Cell;
use std::ffi::CString;
use std::hint::black_box;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use clock_bound_shm::{ClockErrorBound, ClockStatus, ShmReader, ShmWrite, ShmWriter};
use iceoryx2::port::reader::EntryHandle;
use iceoryx2::port::writer::EntryHandleMut;
use iceoryx2::prelude::{Node, ipc};
use seqlock::SeqLock;
use seqslot::{SnapshotConfig, SnapshotReader, SnapshotWriter, platform};

use super::contest::Contest;
use super::shared::Shared;
use crate::figure::Figure;
use crate::peers::{Made, iceoryx2_node};
use crate::plan::{Outcome, Plan};

const BATCH: u64 = 1024;
const BATCHES: usize = 200;

/// Both sides of ours.
type Sides<T> = (SnapshotWriter<T>, SnapshotReader<T>);

/// Ours, of values of `WORDS` words.
fn ours<const WORDS: usize>(folder: &Path) -> Made<Sides<[u64; WORDS]>> {
    let path = folder.join("snapshot");
    let mut writer = SnapshotWriter::create(platform(), &path, SnapshotConfig::of::<[u64; WORDS]>())?;
    writer.publish(&[1; WORDS])?;
    Ok((writer, SnapshotReader::attach(platform(), &path)?))
}

type Handles<const WORDS: usize> = (EntryHandleMut<ipc::Service, u64, [u64; WORDS]>, EntryHandle<ipc::Service, u64, [u64; WORDS]>);

/// A blackboard of iceoryx2 with one entry, for which its keys are there.
fn blackboard<const WORDS: usize>(node: &Node<ipc::Service>) -> Made<Handles<WORDS>> {
    let service = node.service_builder(&"snapshot".try_into()?).blackboard_creator::<u64>().add::<[u64; WORDS]>(0, [1; WORDS]).create()?;
    let writer = service.writer_builder().create()?.entry::<[u64; WORDS]>(&0)?;
    Ok((writer, service.reader_builder().create()?.entry::<[u64; WORDS]>(&0)?))
}

/// The one segment that ClockBound has, in a file of ours.
fn clock_bound(folder: &Path) -> Made<(ShmWriter, ShmReader)> {
    let path = folder.join("clock-bound");
    let mut writer = ShmWriter::new(&path)?;
    writer.write(&bound(1));
    let reader = ShmReader::new(&CString::new(path.as_os_str().as_bytes())?).map_err(|error| format!("{error:?}"))?;
    Ok((writer, reader))
}

/// A value of ClockBound that says which one it is.
fn bound(number: u64) -> ClockErrorBound {
    let never = nix::sys::time::TimeSpec::new(0, 0);
    ClockErrorBound::new(never, never, 1, number, 1, ClockStatus::Synchronized, false)
}

/// Looks at a value that stays the same.
///
/// # Errors
/// If a system fails, or says that it changed.
pub fn unchanged(plan: &Plan, row: &str, out: &mut Vec<Figure>) -> Outcome {
    let (_writer, mut reader) = ours::<8>(plan.scratch())?;
    reader.snapshot()?;
    let node = iceoryx2_node(plan.scratch())?;
    let (_entry, handle) = blackboard::<8>(&node)?;
    let value = handle.get();
    let (_theirs, mut clock) = clock_bound(plan.scratch())?;
    let word = AtomicU32::new(1);

    let mut contest = Contest::new(row, BATCH, BATCHES);
    contest.system("limit, one load", |count| {
        // ORDERING: Acquire, as a look needs; it carries nothing here.
        same(count, (0..count).filter(|_| black_box(&word).load(Ordering::Acquire) == 1).count())
    });
    contest.system("seqslot", |count| {
        let mut found = 0;
        for _ in 0..count {
            found += usize::from(!black_box(&mut reader).snapshot()?.is_fresh());
        }
        same(count, found)
    });
    contest.system("iceoryx2", |count| same(count, (0..count).filter(|_| black_box(&handle).is_up_to_date(&value)).count()));
    contest.system("clock-bound", |count| {
        let mut found = 0;
        for _ in 0..count {
            let value = black_box(&mut clock).snapshot().map_err(|error| format!("{error:?}"))?;
            found += usize::from(value.disruption_marker == 1);
        }
        same(count, found)
    });
    contest.run(plan, out)
}

fn same(count: u64, found: usize) -> Outcome {
    if found as u64 == count { Ok(()) } else { Err(format!("{found} of {count} looks were right").into()) }
}

/// Where values are copied to, at the start of a line.
#[repr(align(64))]
struct Place<T>(T);

/// Copies the newest value out, whether it was seen before or not.
///
/// # Errors
/// If a system fails, or reads something else than was written.
pub fn read<const WORDS: usize>(plan: &Plan, row: &str, out: &mut Vec<Figure>) -> Outcome {
    let shared = Shared::new([1_u64.to_ne_bytes(); WORDS])?;
    let (_writer, reader) = ours::<WORDS>(plan.scratch())?;
    let node = iceoryx2_node(plan.scratch())?;
    let (_entry, handle) = blackboard::<WORDS>(&node)?;
    let lock = SeqLock::new([1_u64; WORDS]);
    let whole = |value: &[[u8; 8]; WORDS]| {
        let is_same = value.iter().all(|word| u64::from_ne_bytes(*word) == 1);
        if is_same { Ok(()) } else { Err("another value than was written".into()) }
    };

    let mut contest = Contest::new(row, if WORDS > 100 { BATCH / 4 } else { BATCH }, BATCHES);
    contest.system("limit, memcpy", |count| {
        let mut into = Place([[0; 8]; WORDS]);
        for _ in 0..count {
            black_box(&mut into).0.copy_from_slice(black_box(&shared).get());
        }
        whole(&into.0)
    });
    contest.system("seqslot", |count| {
        let mut into = Place([[0; 8]; WORDS]);
        for _ in 0..count {
            black_box(&reader).read_into(black_box(&mut into).0.as_flattened_mut())?;
        }
        whole(&into.0)
    });
    contest.system("iceoryx2, kept", |count| {
        let mut into = Place([0; WORDS]);
        for _ in 0..count {
            black_box(&mut into).0.copy_from_slice(&*black_box(&handle).get());
        }
        whole(&into.0.map(u64::to_ne_bytes))
    });
    contest.system("iceoryx2, looked at", |count| {
        for _ in 0..count {
            black_box(&*black_box(&handle).get());
        }
        whole(&handle.get().map(u64::to_ne_bytes))
    });
    contest.system("seqlock, one process only", |count| {
        for _ in 0..count {
            black_box(&black_box(&lock).read());
        }
        whole(&lock.read().map(u64::to_ne_bytes))
    });
    contest.run(plan, out)
}

/// Publishes values that differ from each other.
///
/// # Errors
/// If a system fails, or the last value written is not the one that is read.
pub fn write<const WORDS: usize>(plan: &Plan, row: &str, out: &mut Vec<Figure>) -> Outcome {
    let mut shared = Shared::<[u64; WORDS]>::new([1; WORDS])?;
    let (mut writer, mut reader) = ours::<WORDS>(plan.scratch())?;
    let node = iceoryx2_node(plan.scratch())?;
    let (entry, handle) = blackboard::<WORDS>(&node)?;
    let entry = Cell::new(Some(entry));
    let lock = SeqLock::new([1_u64; WORDS]);
    let (mut clock, mut clock_reader) = clock_bound(plan.scratch())?;
    let values = [[1_u64; WORDS], [2; WORDS]];
    let bounds = [bound(1), bound(2)];
    let last = |count: u64| ((count - 1) % 2) as usize;
    let whole = |count, value: &[u64; WORDS]| if *value == values[last(count)] { Ok(()) } else { Err("not the last value written".into()) };

    let mut contest = Contest::new(row, if WORDS > 100 { BATCH / 4 } else { BATCH }, BATCHES);
    contest.system("limit, memcpy", |count| {
        for number in 0..count {
            black_box(&mut shared).get_mut().copy_from_slice(black_box(&values[last(number + 1)]));
        }
        whole(count, shared.get())
    });
    contest.system("seqslot", |count| {
        for number in 0..count {
            black_box(&mut writer).publish(black_box(&values[last(number + 1)]))?;
        }
        whole(count, reader.snapshot()?.value())
    });
    contest.system("iceoryx2, by copy", |count| {
        let held = entry.take().ok_or("the entry is away")?;
        for number in 0..count {
            black_box(&held).update_with_copy(*black_box(&values[last(number + 1)]));
        }
        entry.set(Some(held));
        whole(count, &handle.get())
    });
    contest.system("iceoryx2, in place", |count| {
        let mut held = entry.take().ok_or("the entry is away")?;
        for number in 0..count {
            held = held.loan_uninit().update_with_copy(*black_box(&values[last(number + 1)]));
        }
        entry.set(Some(held));
        whole(count, &handle.get())
    });
    contest.system("seqlock, one process only", |count| {
        for number in 0..count {
            *black_box(&lock).lock_write() = *black_box(&values[last(number + 1)]);
        }
        whole(count, &lock.read())
    });
    if WORDS == 8 {
        contest.system("clock-bound", |count| {
            for number in 0..count {
                clock.write(black_box(&bounds[last(number + 1)]));
            }
            let value = clock_reader.snapshot().map_err(|error| format!("{error:?}"))?;
            same(bounds[last(count)].disruption_marker, value.disruption_marker as usize)
        });
    }
    contest.run(plan, out)
}
