//! Events: what a simulated process does to shared memory and to the system, and the record of the last ones.

use core::fmt;

/// How many events a world remembers.
pub(crate) const TRACE_LEN: usize = 64;

/// What kind of thing a process is about to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EventKind {
    /// Loads a word.
    Load,
    /// Copies a range out.
    CopyOut,
    /// Gets a pointer for reading a payload.
    View,
    /// Stores a word.
    Store,
    /// Compares and exchanges a word.
    Exchange,
    /// Adds to a word.
    Add,
    /// Sets bits of a word.
    Or,
    /// Clears bits of a word.
    And,
    /// Copies a range in: one event before the first word, and for ranges over one word another in the middle.
    CopyIn,
    /// Gets a pointer for filling a payload.
    Grant,
    /// Creates an object.
    Create,
    /// Opens an object.
    Open,
    /// Tries to take a lock; the offset is the lock's number.
    Claim,
    /// Asks whether a lock is held; the offset is the lock's number.
    Test,
    /// Unlinks an object.
    Unlink,
    /// Waits on a word; the offset is 0, the value the one expected.
    Wait,
    /// Wakes waiters; the value is the mask.
    Wake,
    /// Sleeps.
    Sleep,
    /// Makes a fence in all processes.
    FenceAll,
}

impl EventKind {
    /// Whether the event is counted, and a process can be made to die before it. Others change nothing that anybody could see.
    #[must_use]
    pub fn is_crash_point(self) -> bool {
        !matches!(self, Self::Load | Self::CopyOut | Self::View | Self::Test)
    }
}

/// One event of one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event {
    /// Who: the process's number.
    pub pid: u32,
    /// What.
    pub kind: EventKind,
    /// Where: a byte offset into the object, or a lock's number.
    pub at: usize,
    /// With what: the value stored, the operand, the length of a range.
    pub value: u32,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} {:?} at {:#x} value {:#x}", self.pid, self.kind, self.at, self.value)
    }
}
