//! What was done, in numbers.

use core::fmt;

/// Counts of one system, or of many.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tally {
    /// Accesses and system calls.
    pub steps: u64,
    /// Systems that came to their end.
    pub systems: u64,
    /// Processes killed.
    pub deaths: u64,
    /// Calls that failed, returned for no reason, or came late.
    pub faults: u64,
    /// Pauses of a process.
    pub pauses: u64,
    /// Jumps of the clock.
    pub jumps: u64,
    /// Samples committed.
    pub committed: u64,
    /// Samples taken.
    pub taken: u64,
    /// Readers joined.
    pub joins: u64,
    /// Readers evicted.
    pub evicted: u64,
    /// Entries found dead and recovered.
    pub recovered: u64,
    /// Times that everybody was asleep.
    pub quiet: u64,
    /// Of those, waits that were looked at: nothing was there for them.
    pub parks: u64,
    /// Snapshots read.
    pub snapshots: u64,
    /// Segments created or taken over in a race.
    pub creations: u64,
}

impl Tally {
    /// Adds another's counts.
    pub fn add(&mut self, other: &Self) {
        let Self {
            steps,
            systems,
            deaths,
            faults,
            pauses,
            jumps,
            committed,
            taken,
            joins,
            evicted,
            recovered,
            quiet,
            parks,
            snapshots,
            creations,
        } = other;
        for (mine, theirs) in [
            (&mut self.steps, steps),
            (&mut self.systems, systems),
            (&mut self.deaths, deaths),
            (&mut self.faults, faults),
            (&mut self.pauses, pauses),
            (&mut self.jumps, jumps),
            (&mut self.committed, committed),
            (&mut self.taken, taken),
            (&mut self.joins, joins),
            (&mut self.evicted, evicted),
            (&mut self.recovered, recovered),
            (&mut self.quiet, quiet),
            (&mut self.parks, parks),
            (&mut self.snapshots, snapshots),
            (&mut self.creations, creations),
        ] {
            *mine += theirs;
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            systems,
            deaths,
            faults,
            pauses,
            jumps,
            committed,
            taken,
            joins,
            evicted,
            recovered,
            quiet,
            parks,
            snapshots,
            creations,
            ..
        } = self;
        write!(
            f,
            "{systems} systems, {deaths} deaths, {recovered} recoveries, {faults} faults, {pauses} pauses, {jumps} clock jumps, \
             {joins} joins, {evicted} evictions, {committed} samples committed and {taken} taken, {snapshots} snapshots, {creations} creations, \
             {quiet} times all asleep with {parks} waits looked at"
        )
    }
}
