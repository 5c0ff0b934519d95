//! What children tell their parent: a line of JSON each, on their standard output.

use serde::{Deserialize, Serialize};

use super::latency::Percentiles;
use crate::fail::{self, Failure};

/// One line.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// A reader counts from now on.
    Joined,
    /// The victim is inside a sample and stays there.
    Stopped {
        /// Offset of the sample's data in the stream.
        offset: u64,
    },
    /// A reader is done.
    Read(ReadReport),
    /// The writer is done, and everything was read.
    Written(WriteReport),
}

impl Event {
    /// Tells it.
    ///
    /// # Errors
    /// The parent is gone.
    pub fn tell(&self) -> Result<(), Failure> {
        // Plain structures always serialize.
        fail::print(&serde_json::to_string(self).unwrap_or_default())
    }
}

/// What a reader saw.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ReadReport {
    /// Where its data begins and ends in the stream.
    pub from: u64,
    pub to: u64,
    pub samples: u64,
    pub bytes: u64,
    pub first_sequence: u32,
    pub last_sequence: u32,
    /// Samples that did not follow the one before.
    pub gaps: u64,
    pub missed: u32,
    /// Times it found nothing and waited.
    pub waits: u64,
    pub seconds: f64,
    pub latency: Percentiles,
    pub sha256: String,
}

/// What the writer did.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct WriteReport {
    pub samples: u64,
    pub bytes: u64,
    /// Times it found no free slot and waited.
    pub waits: u64,
    /// The longest of those waits.
    pub longest_wait_ms: f64,
    pub seconds: f64,
    pub retries: u32,
    pub recovered_readers: u32,
    pub recovered_slots: u32,
}
