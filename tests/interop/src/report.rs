//! What the run adds up to.

use serde::Serialize;

use crate::clockbound::Tally as Clock;
use crate::outcome::Fault;
use crate::zerodds::differential::Tally;
use crate::zerodds::exchange::Tally as Exchanged;

/// Everything that was counted.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Bounds between processes.
    pub clock: Clock,
    /// Calls made on theirs and on ours side by side.
    pub differential: Tally,
    /// Steps of typed writers and readers, made on both, all answered alike.
    pub typed: u64,
    /// Samples that one application read over theirs, and over ours.
    pub application: (u64, u64),
    /// Samples between processes on one segment.
    pub exchange: Exchanged,
    /// Faults of the originals that were shown.
    pub faults: Vec<Fault>,
    /// Seconds.
    pub seconds: f64,
}

impl Report {
    /// The closing line.
    pub fn line(&self) -> String {
        let (tally, exchange, clock) = (&self.differential, &self.exchange, &self.clock);
        format!(
            "interop: {} snapshots exchanged between processes (layout 2: {} from theirs to ours, {} from ours to theirs; layout 3: {} from ours to theirs; {} looks, none torn; {} writers killed, {} in an update), {} VMClock pages, {} now() between two of theirs, {} lines of seqslot clock beside their writer, {} samples exchanged between processes ({} from theirs to ours, {} from ours to theirs; {} killed on the way), {} differential steps in {} sequences ({} answered alike, each of the others for a named reason), {} typed steps, {} samples by one application over both; {} faults of the originals shown; {:.0} s",
            clock.exchanged(),
            clock.v2_from_theirs,
            clock.v2_from_ours,
            clock.v3_from_ours,
            clock.looks,
            clock.killed,
            clock.killed_in_an_update,
            clock.pages.fresh,
            clock.together,
            clock.told,
            exchange.from_theirs + exchange.from_ours,
            exchange.from_theirs,
            exchange.from_ours,
            exchange.killed,
            tally.steps,
            tally.sequences,
            tally.same,
            self.typed,
            self.application.0 + self.application.1,
            self.faults.len(),
            self.seconds,
        )
    }

    /// A table of the differences and how often each was seen, and what readers saw of a writer that does not rest.
    pub fn table(&self) -> String {
        let speeds = self.clock.full_speed.iter().map(|(who, updates, seen)| {
            let old = if seen.told_old == 0 { String::new() } else { format!(", {} said to be old", seen.told_old) };
            format!("{who}, no rest: {updates} updates, {} looks, {} of them new{old}\n", seen.looks, seen.fresh)
        });
        let gave_up = format!("looks that readers of theirs gave up, as a writer died in an update: {}\n", self.clock.gave_up_in_theirs);
        let rows = self.differential.differs.iter();
        let rows = rows.map(|(name, count)| format!("  {:<26} {:<7} {count}\n", format!("{name:?}"), format!("{:?}", name.kind())));
        let title = "differences between zerodds-flatdata and seqslot, and how often each was seen:\n";
        speeds.chain([gave_up, title.into()]).chain(rows).collect()
    }
}
