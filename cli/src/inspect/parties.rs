//! Who is in a segment, as plain values: parties, masks, totals.

use serde::Serialize;

/// Who holds, or held, an entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Party {
    pub pid: u32,
    /// Whether its lock is held; none if the system did not tell.
    pub alive: Option<bool>,
    pub state: EntryState,
    /// Which holder of the entry it is.
    pub generation: u32,
    pub start_time: u64,
    pub pid_namespace: u32,
}

/// What the entry's state word says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum EntryState {
    Clean,
    InUse,
    SeedsFace,
    Evicted,
}

impl Party {
    /// Somebody who left the entry without cleaning up.
    pub fn is_dead(&self) -> bool {
        self.alive == Some(false) && self.state != EntryState::Clean
    }

    /// Nobody has it, and nothing is to be recovered.
    pub fn is_vacant(&self) -> bool {
        self.alive == Some(false) && self.state == EntryState::Clean
    }
}

/// A writer entry in use, or used before.
#[derive(Debug, Serialize)]
pub struct Writer {
    pub index: u32,
    #[serde(flatten)]
    pub party: Party,
    pub published: u32,
    pub positions_burnt: u32,
    pub retries: u32,
    pub overwritten: u32,
    pub on_loan: u32,
    pub closed: bool,
    pub died: bool,
}

/// A reader entry in use.
#[derive(Debug, Serialize)]
pub struct Reader {
    pub index: u32,
    #[serde(flatten)]
    pub party: Party,
    pub active: bool,
    pub taken: u32,
    pub missed: u32,
    pub sweeps: u32,
    pub bad_sizes: u32,
    /// Slots whose samples it owes a read (overwriting segments: is inside of).
    pub owed: u32,
}

/// The masks of the control lines, as indices.
#[derive(Debug, Serialize)]
pub struct Masks {
    pub active: Vec<u32>,
    pub reader_waiters: Vec<u32>,
    pub writer_waiters: Vec<u32>,
    pub change_waiters: Vec<u32>,
    pub disconnected: Vec<u32>,
    pub quarantined: Vec<u32>,
    pub scarce: bool,
    pub seeds_face: bool,
}

/// Totals of the segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Counters {
    pub recovered_writers: u32,
    pub recovered_readers: u32,
    pub recovered_slots: u32,
    pub evicted_readers: u32,
}
