//! Making a segment, attaching to one, and how large it is.

use std::os::fd::AsFd;
use std::path::Path;
use std::time::Instant;

use seqslot::Config;
use zerodds_flatdata::PosixSlotAllocator;

use super::object::{Object, map_named, object_named};
use crate::figure::{Figure, Unit};
use crate::peers::{Made, iceoryx2_node};
use crate::plan::{Outcome, Plan};

/// Payload bytes of a slot.
const CAPACITY: usize = 1024;
/// Slots of the large segments.
const MANY: usize = 16_384;

/// Makes something, tells what it took in nanoseconds, and takes it down again.
type Once<'a> = Box<dyn FnMut() -> Made<f64> + 'a>;

/// As a contest, but each operation is timed alone: what it made is taken down untimed.
struct Trial<'a> {
    row: &'a str,
    times: usize,
    systems: Vec<(String, Once<'a>)>,
}

impl<'a> Trial<'a> {
    fn new(row: &'a str, times: usize) -> Self {
        Self { row, times, systems: Vec::new() }
    }

    fn system<T>(&mut self, name: &str, mut make: impl FnMut() -> Made<T> + 'a) {
        let once = move || {
            let start = Instant::now();
            let made = make()?;
            let elapsed = start.elapsed();
            drop(made);
            Ok(elapsed.as_nanos() as f64)
        };
        self.systems.push((name.into(), Box::new(once)));
    }

    fn run(mut self, plan: &Plan, out: &mut Vec<Figure>) -> Outcome {
        let times = plan.scaled(self.times);
        let mut rounds = vec![Vec::new(); self.systems.len()];
        for _ in 0..plan.rounds {
            for ((name, once), rounds) in self.systems.iter_mut().zip(&mut rounds) {
                let mut once = || once().map_err(|error| format!("{name}: {error}"));
                once()?;
                rounds.push((0..times).map(|_| once()).collect::<Result<Vec<_>, _>>()?);
            }
        }
        for ((name, _), mut rounds) in self.systems.into_iter().zip(rounds) {
            out.push(Figure::of_rounds(self.row, &name, Unit::Nanoseconds, &mut rounds));
        }
        Ok(())
    }
}

/// One writer, as the peers have it.
fn config(slots: usize) -> Config {
    Config::slots(slots as u64, CAPACITY as u64).writers(1)
}

/// Makes segments of `SLOTS` slots whose memory is reserved, beside reserving as much and no more.
///
/// # Errors
/// If a system refuses.
pub fn create<const SLOTS: usize>(plan: &Plan, row: &str, out: &mut Vec<Figure>) -> Outcome {
    let [ours, theirs, bare] = ["create", "create-zerodds", "create-bare"].map(|name| plan.scratch().join(name));
    let node = iceoryx2_node(plan.scratch())?;
    let len = config(SLOTS).len()?;
    let mut trial = Trial::new(row, if SLOTS > 1000 { 10 } else { 100 });
    trial.system("limit, fallocate", || Object::reserve(&bare, len));
    trial.system("seqslot", || Ok(seqslot::create(&ours, &config(SLOTS))?));
    trial.system("zerodds", || Ok(PosixSlotAllocator::create(&theirs, SLOTS, CAPACITY)?));
    if SLOTS <= 1000 {
        // A service for as many samples, and its publisher; the node is there already.
        trial.system("iceoryx2", || {
            let builder = node.service_builder(&"create".try_into()?).publish_subscribe::<[u8; CAPACITY]>();
            let service = builder.max_subscribers(1).max_publishers(1).subscriber_max_buffer_size(SLOTS).create()?;
            let publisher = service.publisher_builder().create()?;
            Ok((publisher, service))
        });
    }
    trial.run(plan, out)
}

/// Makes segments whose memory is not reserved: all sizes should cost the same.
///
/// # Errors
/// If the system refuses.
pub fn create_sparse(plan: &Plan, row: &str, out: &mut Vec<Figure>) -> Outcome {
    let path = plan.scratch().join("sparse");
    let theirs = plan.scratch().join("sparse-zerodds");
    let mut trial = Trial::new(row, 50);
    for slots in [64, MANY, 262_144] {
        let path = path.clone();
        trial.system(&format!("seqslot, {slots} slots"), move || Ok(seqslot::create(&path, &config(slots).sparse())?));
    }
    // It has no such option: what it does have, at the smallest of these sizes.
    trial.system("zerodds, 64 slots reserved", || Ok(PosixSlotAllocator::create(&theirs, 64, CAPACITY)?));
    trial.run(plan, out)
}

/// Attaches to a segment of 64 slots, beside reading its name, opening and mapping the object, and no more.
///
/// # Errors
/// If a system refuses.
pub fn attach(plan: &Plan, row: &str, out: &mut Vec<Figure>) -> Outcome {
    let [ours, theirs] = ["attach", "attach-zerodds"].map(|name| plan.scratch().join(name));
    let _segment = seqslot::create(&ours, &config(64))?;
    let _zerodds = PosixSlotAllocator::create(&theirs, 64, CAPACITY)?;
    let mut trial = Trial::new(row, 200);
    trial.system("limit, open and map", || map_named(&theirs));
    trial.system("seqslot", || Ok(seqslot::attach(&ours)?));
    trial.system("zerodds", || Ok(PosixSlotAllocator::attach(&theirs)?));
    trial.run(plan, out)
}

/// What the operating system's objects of a segment take beyond its payload, at 16,384 slots of 1 KiB and one writer; and by parts.
///
/// # Errors
/// If a system refuses.
pub fn overhead(plan: &Plan, row: &str, out: &mut Vec<Figure>) -> Outcome {
    let path = plan.scratch().join("overhead");
    let ours = |config: &Config| -> Made<f64> {
        let segment = seqslot::create(&path, config)?;
        let object = std::fs::File::from(segment.mapping().as_fd().try_clone_to_owned()?).metadata()?.len();
        Ok((object + flink_len(&path)?) as f64)
    };
    let beyond = |bytes: f64, slots: usize| (bytes / (slots * CAPACITY) as f64 - 1.0) * 100.0;
    let mut tell = |system: &str, unit, value| out.push(Figure::exact(row, system, unit, value));

    let (few, many) = (ours(&config(64).sparse())?, ours(&config(MANY).sparse())?);
    tell("seqslot", Unit::Percent, beyond(many, MANY));
    let theirs = plan.scratch().join("overhead-zerodds");
    let zerodds = PosixSlotAllocator::create(&theirs, MANY, CAPACITY)?;
    let object = object_named(&theirs)?.metadata()?.len();
    tell("zerodds", Unit::Percent, beyond((object + flink_len(&theirs)?) as f64, MANY));
    drop(zerodds);

    let per_slot = (many - few) / (MANY - 64) as f64;
    let per_writer = ours(&config(64).writers(2).sparse())? - few;
    tell("parts, a slot beyond its payload", Unit::Bytes, per_slot - CAPACITY as f64);
    tell("parts, a further writer of 64 slots", Unit::Bytes, per_writer);
    tell("parts, the segment with its name and one writer", Unit::Bytes, few - 64.0 * per_slot);
    Ok(())
}

fn flink_len(path: &Path) -> Made<u64> {
    Ok(std::fs::metadata(path)?.len())
}
