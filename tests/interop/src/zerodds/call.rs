//! What is asked of both sides, and what they answer.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Allocators that a party can have open at once.
pub const PLACES: usize = 2;
/// Handles that a party can keep.
pub const KEPT: usize = 8;
/// Parties: this process, and another.
pub const PARTIES: usize = 2;

/// Where a handle's index is moved to when it is to be out of range.
pub const FAR: u32 = u32::MAX;

/// One call, by whatever party it is given to. `place` says which of its allocators, `kept` which of its handles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Call {
    /// `PosixSlotAllocator::create`.
    Create { place: usize, slots: usize, capacity: usize },
    /// `PosixSlotAllocator::attach`.
    Attach { place: usize },
    /// Drops the allocator. Its handles are kept.
    Drop { place: usize },
    /// `reserve_slot`; the handle is kept.
    Reserve { place: usize, active: u32, kept: usize },
    /// `commit_slot` of `len` bytes, each `fill`.
    Commit { place: usize, kept: usize, len: usize, fill: u8 },
    /// `slot_data_ptr`, `len` bytes written through it if there is one, and `commit_in_place`.
    CommitInPlace { place: usize, kept: usize, len: usize, fill: u8 },
    /// `slot_data_ptr`.
    DataPtr { place: usize, kept: usize },
    /// `discard_slot`.
    Discard { place: usize, kept: usize },
    /// `read_slot`.
    Read { place: usize, kept: usize },
    /// `slot_read_ptr`, and the bytes behind it.
    ReadPtr { place: usize, kept: usize },
    /// `next_unread_slot`; the handle is kept.
    Next { place: usize, reader: u8, kept: usize },
    /// `mark_read`.
    Mark { place: usize, kept: usize, reader: u8 },
    /// `mark_reader_disconnected`.
    Disconnect { place: usize, reader: u8 },
    /// `wait_for_change` with a timeout of so many microseconds; for the generation as it is, or for one that it is not.
    Wait { place: usize, is_stale: bool, micros: u64 },
    /// `slot_count`, `slot_capacity`, `slot_total_size`, `type_hash`, `flink_path`, `segment_path`.
    Numbers { place: usize },
    /// The kept handle's index becomes [`FAR`].
    Spoil { kept: usize },
    /// Keeps a copy of a handle.
    Copy { from: usize, to: usize },
}

/// One call and who makes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// 0 is this process.
    pub party: usize,
    /// What it does.
    pub call: Call,
}

/// A sample as `read_slot` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// `sequence_number`.
    pub number: u32,
    /// `sample_size`.
    pub size: u32,
    /// `reader_mask`.
    pub read_by: u32,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// An error: the variant's name and, for a sample that is too large, its numbers.
pub type Refusal = String;

/// What a call came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// There is no allocator at the place, or one too many, or no such handle: nothing was called.
    Absent,
    /// It was done, or refused.
    Done(Result<(), Refusal>),
    /// A slot's index.
    Slot(Result<u32, Refusal>),
    /// A sequence number.
    Number(Result<u32, Refusal>),
    /// Whether there was a pointer, and the sequence number.
    InPlace { pointer: Result<usize, Refusal>, number: Result<u32, Refusal> },
    /// The capacity behind a pointer.
    Capacity(Result<usize, Refusal>),
    /// Header and bytes.
    Sample(Result<Shown, Refusal>),
    /// Bytes.
    Bytes(Result<Vec<u8>, Refusal>),
    /// The index of the slot that is next.
    Next(Result<Option<u32>, Refusal>),
    /// What the allocator says of itself; the path is said to be the one it was given.
    Numbers { slots: Result<usize, Refusal>, capacity: usize, total: usize, has_hash: bool, is_path_kept: bool },
}

/// The outcome, and whether `notify_generation` of the same allocator moved meanwhile (if there was one before and after).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// What came back.
    pub outcome: Outcome,
    /// The generation moved.
    pub moved: Option<bool>,
}

/// Somebody with allocators at places and handles kept: one process's worth of one side.
pub trait Party {
    /// Makes a call.
    fn call(&mut self, call: Call) -> Answer;

    /// Drops everything; from now on `path` is the flink.
    fn reset(&mut self, path: PathBuf);
}

impl Call {
    /// The allocator that is called, if one is.
    pub const fn place(&self) -> Option<usize> {
        match *self {
            Self::Create { place, .. }
            | Self::Attach { place }
            | Self::Drop { place }
            | Self::Reserve { place, .. }
            | Self::Commit { place, .. }
            | Self::CommitInPlace { place, .. }
            | Self::DataPtr { place, .. }
            | Self::Discard { place, .. }
            | Self::Read { place, .. }
            | Self::ReadPtr { place, .. }
            | Self::Next { place, .. }
            | Self::Mark { place, .. }
            | Self::Disconnect { place, .. }
            | Self::Wait { place, .. }
            | Self::Numbers { place } => Some(place),
            Self::Spoil { .. } | Self::Copy { .. } => None,
        }
    }
}
