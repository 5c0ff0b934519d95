//! What the run adds up to.

use serde::Serialize;

use crate::outcome::Fault;
use crate::zerodds::differential::Tally;

/// Everything that was counted.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Calls made on theirs and on ours side by side.
    pub differential: Tally,
    /// Samples that one application read over theirs, and over ours.
    pub application: (u64, u64),
    /// Faults of the originals that were shown.
    pub faults: Vec<Fault>,
    /// Seconds.
    pub seconds: f64,
}

impl Report {
    /// The closing line.
    pub fn line(&self) -> String {
        let tally = &self.differential;
        format!(
            "interop: {} differential steps in {} sequences ({} answered alike, each of the others for a named reason), {} samples by one application over both; {} faults of the originals shown; {:.0} s",
            tally.steps,
            tally.sequences,
            tally.same,
            self.application.0 + self.application.1,
            self.faults.len(),
            self.seconds,
        )
    }

    /// A table of the differences and how often each was seen.
    pub fn table(&self) -> String {
        let rows = self.differential.differs.iter();
        rows.map(|(difference, count)| format!("  {:<26} {:<7} {count}\n", format!("{difference:?}"), format!("{:?}", difference.kind())))
            .collect()
    }
}
