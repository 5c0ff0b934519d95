//! Target: a region in which anything may stand is attached, looked at, and used.
//!
//! The first byte chooses: 0 the rest is the region; 1 the rest describes a slots segment and what is done to it ([`Plan`]); 2 the same
//! with a snapshot segment.

use arbitrary::{Arbitrary, Unstructured};
use std::sync::Arc;

use seqslot_core::layout::slots::SlotsGeometry;
use seqslot_core::{Bare, Config, Lock, Mapping, Segment, SnapshotConfig, SnapshotReader, SnapshotWriter};

use crate::exercise::{self, BRIEF, bound};
use crate::inspect;
use crate::party::sum;
use crate::spoil::{Spoil, script};
use crate::world::{HostileOs, World};

/// Longest region of the raw inputs.
const RAW_MAX: usize = 1 << 16;

/// A segment, and what is done to it.
#[derive(Debug, Clone, Arbitrary)]
pub struct Plan {
    slots: u8,
    capacity: u16,
    parties: u8,
    align: u8,
    overwrite: bool,
    /// Samples sent before.
    samples: u8,
    /// The parties of before are killed, not dropped.
    are_dead: bool,
    /// Locks that somebody else holds.
    occupied: u16,
    /// So many words are forged before the attach (their `after` is ignored), and so many while it is used.
    forged: u8,
    forgeries: u8,
    /// Above 128: words cut off the end.
    cut: u8,
}

/// Runs the target.
pub fn attach(bytes: &[u8]) {
    if let Some((world, script)) = region_of(bytes) {
        use_slots(&world, script.clone());
        use_snapshot(&world, script);
        use_bare(&world.bytes());
    }
}

/// The region that an input stands for, and what is forged while it is used. `None` for an input too short to be one.
#[must_use]
pub fn region_of(bytes: &[u8]) -> Option<(Arc<World>, Vec<Spoil>)> {
    let (kind, rest) = bytes.split_first()?;
    if kind % 3 == 0 {
        return Some((World::holding(&rest[..rest.len().min(RAW_MAX)]), Vec::new()));
    }
    let mut rest = Unstructured::new(rest);
    let plan = Plan::arbitrary(&mut rest).ok()?;
    let (world, geometry) = if kind % 3 == 1 { plan.slots() } else { (plan.snapshot(), None) };
    world.plan(Vec::new(), geometry, false);
    // Often none: what is attached in order can be used.
    for spoil in script(&mut rest, plan.forged.saturating_sub(192)) {
        world.spoil_now(spoil);
    }
    let bytes = world.bytes();
    let world = World::holding(&bytes[..bytes.len().saturating_sub(usize::from(plan.cut.saturating_sub(128)) * 4)]);
    for lock in 0..16_u8 {
        if plan.occupied >> lock & 1 != 0 {
            world.occupy(if lock < 8 { Lock::reader(lock) } else { Lock::writer(lock - 8) });
        }
    }
    Some((world, script(&mut rest, plan.forgeries)))
}

impl Plan {
    fn config(&self) -> Config {
        let config = Config::slots(u64::from(self.slots % 80) + 1, u64::from(self.capacity % 300) + 1)
            .writers(u32::from(self.parties % 4) + 1)
            .readers(u32::from(self.parties / 4 % 31) + 1)
            .align(1 << (self.align % 7));
        if self.overwrite { config.overwrite() } else { config }
    }

    /// A slots segment with some samples in it.
    fn slots(&self) -> (Arc<World>, Option<SlotsGeometry>) {
        let config = self.config();
        let world = World::new(config.len().expect("a shape inside its limits"));
        let segment = Segment::create(HostileOs::new(&world), &(), &config).expect("a fresh region");
        {
            let (reader, writer) = (segment.reader().expect("a free entry"), segment.writer().expect("a free entry"));
            let mut held = Vec::new();
            for sample in 0..self.samples % 16 {
                let _ = writer.send(&[sample; 300][..usize::from(sample).min(segment.geometry().capacity as usize)]);
                if sample % 3 == 0 {
                    held.extend(reader.take().ok().flatten());
                }
            }
            let loan = writer.try_loan();
            if self.are_dead {
                world.kill(Lock::reader(reader.index().get() as u8));
                world.kill(Lock::writer(writer.index().get() as u8));
            }
            drop(loan);
        }
        let geometry = *segment.geometry();
        drop(segment);
        (world, Some(geometry))
    }

    /// A snapshot segment with some values published.
    fn snapshot(&self) -> Arc<World> {
        let len = usize::from(self.capacity % 300) + 1;
        let config = SnapshotConfig::bytes(len).buffers(2 << (self.slots % 4)).align(1 << (self.align % 7)).always_wake(self.overwrite);
        // Longer than any of these, then cut to what the head says.
        let world = World::new(64 * 1024);
        let mut writer = SnapshotWriter::<_, [u8]>::create(HostileOs::new(&world), &(), config).expect("a fresh region");
        for value in 0..self.samples % 16 {
            writer.publish_bytes(&vec![value; len]).expect("its length");
        }
        if self.are_dead {
            world.kill(Lock::writer(0));
        }
        drop(writer);
        let bytes = world.bytes();
        let total = u32::from_ne_bytes([bytes[24], bytes[25], bytes[26], bytes[27]]) as usize;
        World::holding(&bytes[..total])
    }
}

fn use_slots(world: &Arc<World>, script: Vec<Spoil>) {
    let os = HostileOs::new(world);
    let spoils = script.len();
    world.plan(script, None, false);
    world.begin("inspect", u64::MAX);
    let _ = inspect::draw(&os.mapping());
    world.begin("attach", 10_000);
    let Ok(segment) = Segment::adopt(os.clone(), os.mapping()) else { return };
    let g = *segment.geometry();
    drop(segment);
    // What is still to be forged is aimed with the geometry that was found.
    world.aim(g);
    let begin = |what, waits| world.begin(what, bound(&g, spoils, waits));
    exercise::segment(&|| Segment::attach(os.clone(), &()).ok(), world.base(), &begin);
    world.begin("inspect", bound(&g, spoils, false));
    let _ = inspect::draw(&os.mapping());
}

fn use_snapshot(world: &Arc<World>, script: Vec<Spoil>) {
    // Readers map read-only: a store would be a fault of the processor.
    let read_only = world.copy_read_only();
    read_only.plan(script.clone(), None, false);
    read_only.begin("observe", 200_000);
    let mut into = vec![0; world.len()];
    if let Ok(mut reader) = SnapshotReader::<_, [u8]>::attach(HostileOs::new(&read_only), &()) {
        let len = reader.value_len();
        assert!(len <= world.len());
        for _ in 0..2 {
            std::hint::black_box((reader.snapshot().map(|value| sum(&value)).ok(), reader.read_into(&mut into[..len]).ok()));
            std::hint::black_box((reader.freshness(), reader.wait_newer(BRIEF), reader.latest()));
        }
        std::hint::black_box(reader.cached().map(|value| sum(&value)));
    }
    if let Ok(mut reader) = SnapshotReader::<_, [u32; 4]>::attach(HostileOs::new(&read_only), &()) {
        std::hint::black_box(reader.snapshot().map(|value| value[3]).ok());
    }
    let _ = inspect::draw(&HostileOs::new(&read_only).mapping());
    world.plan(script, None, false);
    world.begin("publish", 200_000);
    if let Ok(mut writer) = SnapshotWriter::<_, [u8]>::attach(HostileOs::new(world), &()) {
        let len = SnapshotReader::<_, [u8]>::attach(HostileOs::new(world), &()).map_or(0, |reader| reader.value_len());
        for value in 0..3 {
            let _ = writer.publish_bytes(&vec![value; len]);
        }
    }
}

/// The same bytes as a region without an operating system, whose locks are words of it.
fn use_bare(bytes: &[u8]) {
    let world = World::holding(bytes);
    world.as_region(|region| {
        exercise::observe(region);
        let bare = Bare::new(region);
        exercise::segment(&|| Segment::attach(bare, &()).ok(), world.base(), &|_, _| {});
        std::hint::black_box(Mapping::alignment(&region));
    });
}
