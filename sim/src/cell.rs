//! A snapshot cell: one writer at a time, successors of the dead, readers. A value tells its own number in every word.

use core::time::Duration;

use seqslot_core::{AttachError, CreateError, SnapshotConfig, SnapshotError, SnapshotReader, SnapshotWriter, WriterLife};
use seqslot_os_mock::{Fault, MockOs, World, bounded};

use crate::env::{Env, LONG, SHORT};
use crate::model::Parked;
use crate::plan::CELL;

type Value = [u64; 5];

/// The value of number `number`.
fn value(number: u64) -> Value {
    core::array::from_fn(|at| (number + at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ number)
}

/// The cell as it should be.
#[derive(Debug, Default)]
pub(crate) struct CellModel {
    /// The last number whose publication was told of, and the last that was begun.
    acknowledged: u64,
    begun: u64,
    /// Who has the writer's handle, and since when.
    writer: Option<(u32, u64)>,
}

impl CellModel {
    pub(crate) fn died(&mut self, pid: u32) {
        if self.writer.is_some_and(|(writer, _)| writer == pid) {
            self.writer = None;
        }
    }

    /// Whether somebody who has seen `seen` has something newer to see.
    pub(crate) fn has_newer(&self, seen: u64) -> bool {
        self.acknowledged > seen
    }
}

/// Makes the cell, for others to attach to.
pub(crate) fn create(world: &World) -> Result<(), CreateError> {
    let config = SnapshotConfig::of::<Value>().buffers(2 << world.random_below(3)).always_wake(world.random_below(2) == 0);
    SnapshotWriter::<_, Value>::create(world.process(), CELL, config)?.leave();
    Ok(())
}

/// The whole life of a process that writes the cell.
pub(crate) fn write(env: &Env) {
    while !env.stops() {
        match bounded("attach to the cell", SHORT, || SnapshotWriter::<_, Value>::attach(env.os.clone(), CELL)) {
            Ok(writer) => publish(env, writer),
            Err(AttachError::Taken { .. }) => env.idle(),
            Err(AttachError::Os(error)) => env.refused(&error),
            Err(error) => panic!("attach to the cell: {error}"),
        }
    }
}

fn publish(env: &Env, mut writer: SnapshotWriter<MockOs, Value>) {
    let now = env.model().tick();
    let other = env.shared.cell.borrow_mut().writer.replace((env.pid, now));
    assert!(other.is_none(), "{} writes the cell, and so does {other:?}", env.pid);
    for _ in 0..env.session() {
        if env.stops() {
            break;
        }
        let number = {
            let mut cell = env.shared.cell.borrow_mut();
            cell.begun += 1;
            cell.begun
        };
        if let Err(error) = bounded("publish", SHORT, || writer.publish(&value(number))) {
            panic!("publish: {error}");
        }
        env.shared.cell.borrow_mut().acknowledged = number;
        if env.chance(20) {
            env.idle();
        }
    }
    env.shared.cell.borrow_mut().writer = None;
    // The name stays, for whoever comes after.
    bounded("leave the cell", SHORT, || writer.leave());
}

/// The whole life of a process that reads the cell.
pub(crate) fn read(env: &Env) {
    while !env.stops() {
        match bounded("attach to the cell", SHORT, || SnapshotReader::<_, Value>::attach(env.os.clone(), CELL)) {
            Ok(mut reader) => follow(env, &mut reader),
            Err(AttachError::Os(error)) => env.refused(&error),
            Err(error) => panic!("attach to the cell: {error}"),
        }
    }
}

fn follow(env: &Env, reader: &mut SnapshotReader<MockOs, Value>) {
    // The number and the generation seen last.
    let mut seen = (0, 0);
    for _ in 0..env.session() {
        match env.below(10) {
            _ if env.stops() => break,
            0..6 => look(env, reader, &mut seen),
            6 => freshness(env, reader),
            7 => env.idle(),
            _ => {
                let timeout = env.some_time(Duration::from_secs(2));
                env.model().parked.insert(env.pid, Parked::Newer(seen.0));
                bounded("wait_newer", LONG, || reader.wait_newer(timeout));
                env.model().parked.remove(&env.pid);
            }
        }
    }
}

fn look(env: &Env, reader: &mut SnapshotReader<MockOs, Value>, seen: &mut (u64, u64)) {
    let acknowledged = env.shared.cell.borrow().acknowledged;
    let found = bounded("snapshot", SHORT, || reader.snapshot().map(|found| (*found, found.generation(), found.is_fresh())));
    let begun = env.shared.cell.borrow().begun;
    let (found, generation, is_fresh) = match found {
        Ok(found) => found,
        Err(SnapshotError::Contended { .. }) => return,
        Err(SnapshotError::Empty) => {
            assert_eq!((acknowledged, seen.0), (0, 0), "the cell is said to be empty");
            return;
        }
        Err(error) => panic!("snapshot: {error}"),
    };
    let number = (acknowledged.max(seen.0).max(1)..=begun).find(|number| value(*number) == found);
    let number =
        number.unwrap_or_else(|| panic!("{found:x?} is none of the values {acknowledged} to {begun}: torn, older than {seen:?}, or lost"));
    assert_eq!(is_fresh, generation != seen.1, "fresh, of generation {generation} after {seen:?}");
    assert!(
        generation >= seen.1 && (number == seen.0) == (generation == seen.1),
        "number {number}, generation {generation} after {seen:?}"
    );
    *seen = (number, generation);
    env.model().tally.snapshots += 1;
}

fn freshness(env: &Env, reader: &mut SnapshotReader<MockOs, Value>) {
    let began = env.model().tick();
    let told = bounded("freshness", SHORT, || reader.freshness()).writer;
    let lives = env.shared.cell.borrow().writer.is_some_and(|(_, since)| since < began);
    let unknown = told == WriterLife::Unknown && env.plan().has(Fault::Claim);
    assert!(!lives || unknown || told == WriterLife::Alive, "the living writer is said to be {told:?}");
}
