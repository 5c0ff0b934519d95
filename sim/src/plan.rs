//! What a seed makes of a system.

use core::time::Duration;

use seqslot_core::Config;
use seqslot_os_mock::{Fault, Pace, World};

/// Name of the segment of slots, of the snapshot cell, and of what is raced for.
pub(crate) const SLOTS: &str = "slots";
pub(crate) const CELL: &str = "cell";
pub(crate) const RACE: &str = "race";

/// What a writer does when nothing is free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Policy {
    Fail,
    Block,
    Overwrite,
}

/// A system.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) slots: u32,
    pub(crate) capacity: u32,
    pub(crate) policy: Policy,
    /// Through the published face, in place of the safe one.
    pub(crate) by_face: bool,
    pub(crate) writers: u32,
    pub(crate) readers: u32,
    pub(crate) writer_entries: u32,
    pub(crate) reader_entries: u32,
    /// What the head words begin with.
    pub(crate) start: u32,
    /// Samples that a reader holds at most.
    pub(crate) hold: u32,
    /// Longest session of a writer and of a reader, in acts: short ones come and go all the time.
    pub(crate) session: u64,
    /// Which kinds of acts there are at all: systems that leave something out see more of the rest.
    pub(crate) acts: u64,
    /// How long an idle party sleeps at most, as a power of two of [`IDLE`].
    pub(crate) idle: u64,
    pub(crate) evictions: bool,
    pub(crate) carers: u32,
    /// Readers of a snapshot cell; `None` for no cell.
    pub(crate) cell: Option<u32>,
    /// Processes that race for a name.
    pub(crate) racers: u32,
    pub(crate) pace: Pace,
    pub(crate) steps: u64,
    /// Mean distance of two acts of the driver, and how likely each is, in percent.
    pub(crate) act_every: u64,
    pub(crate) kills: u64,
    pub(crate) pauses: u64,
    pub(crate) jumps: u64,
    /// In the calls of a thousand.
    pub(crate) faults: [(Fault, u32); 6],
}

impl Plan {
    pub(crate) fn draw(world: &World) -> Self {
        let below = |bound| world.random_below(bound);
        let chance = |percent| world.random_below(100) < percent;
        let one_of = |from: &[u32]| from[world.random_below(from.len() as u64) as usize];
        let by_face = chance(20);
        let policy = match below(4) {
            0 => Policy::Fail,
            1 if !by_face => Policy::Overwrite,
            _ => Policy::Block,
        };
        let slots = if chance(70) {
            1 + below(5) as u32
        } else if chance(80) {
            1 + below(16) as u32
        } else {
            65 + below(8) as u32
        };
        let writers = 1 + below(4) as u32;
        let readers = if chance(4) { 32 } else { below(7) as u32 };
        let reader_max = if policy == Policy::Overwrite { 31 } else { 32 };
        let reader_entries = if by_face {
            readers.max(1)
        } else if chance(30) {
            (1 + readers.saturating_sub(below(3) as u32)).min(reader_max)
        } else {
            reader_max.min(readers.max(1) + 2)
        };
        let pace = match below(3) {
            0 => Pace::Priorities { change_every: 1 << (3 + below(9)) },
            _ => Pace::Random { loads: 1 << below(17), others: 1 << (8 + below(9)) },
        };
        let has_deaths = chance(60);
        let has_faults = chance(40);
        let fault = |fault, most| (fault, if has_faults && chance(50) { 1 + below(most) as u32 } else { 0 });
        Self {
            slots,
            capacity: one_of(&[8, 12, 64, 200]),
            policy,
            by_face,
            writers,
            readers,
            writer_entries: writers + if chance(30) { 0 } else { 2 },
            reader_entries,
            start: if chance(30) { u32::MAX - below(40) as u32 } else { 0 },
            hold: 1 + below(u64::from(slots)) as u32,
            session: 1 << (1 + below(9)),
            acts: below(1 << 32) | below(1 << 32),
            idle: 1 + below(11),
            evictions: !by_face && chance(25),
            carers: below(3) as u32,
            cell: chance(40).then(|| below(4) as u32),
            racers: if chance(25) { 2 + below(3) as u32 } else { 0 },
            pace,
            steps: 1 << (12 + below(5)),
            act_every: 1 << (6 + below(6)),
            kills: if has_deaths { 10 + below(60) } else { 0 },
            pauses: if chance(50) { 5 + below(30) } else { 0 },
            jumps: if chance(30) { 5 + below(30) } else { 0 },
            faults: [
                fault(Fault::Allocate, 300),
                fault(Fault::Map, 300),
                fault(Fault::Claim, 200),
                fault(Fault::Spurious, 500),
                fault(Fault::LateWake, 500),
                fault(Fault::FenceAll, 300),
            ],
        }
    }

    pub(crate) fn config(&self) -> Config {
        let config =
            Config::slots(u64::from(self.slots), u64::from(self.capacity)).writers(self.writer_entries).readers(self.reader_entries);
        if self.policy == Policy::Overwrite { config.overwrite() } else { config }
    }

    pub(crate) fn overwrites(&self) -> bool {
        self.policy == Policy::Overwrite
    }

    /// Whether calls may fail because of `fault`.
    pub(crate) fn has(&self, fault: Fault) -> bool {
        self.faults.iter().any(|&(kind, rate)| kind == fault && rate != 0)
    }

    /// The plan of the race's segment, known to all racers.
    pub(crate) fn race_config() -> Config {
        Config::slots(3, 16).writers(3).readers(3)
    }
}

/// How long an idle party sleeps.
pub(crate) const IDLE: Duration = Duration::from_micros(50);
