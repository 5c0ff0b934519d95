//! Why an operation of the seeds' face was refused.

use core::fmt;

use crate::error::{Cause, JoinError, OsError};

/// Why an operation of the seeds' face was refused. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum SlotError {
    /// Every slot is on loan, or owed to a reader that counts; dead owners were looked for.
    NoFreeSlot,
    /// A slot or reader index is not below the segment's count.
    OutOfBounds,
    /// The sample does not fit the slot (or a peer wrote a size that does not).
    SampleTooLarge {
        /// Bytes of the sample.
        sample: usize,
        /// Bytes that a slot has.
        slot_capacity: usize,
    },
    /// A lock was poisoned. The seed's variant: the locks used here cannot be.
    LockPoisoned,
    /// The backend has no access in place.
    InPlaceUnsupported,
    /// The handle's loan or sample is not in its slot (any more), or the handle is another segment's.
    StaleHandle,
    /// Another process has claimed the slot just now; try again.
    SlotBusy,
    /// Every writer entry of the segment is taken by somebody alive.
    NoWriterEntry,
    /// The reader index is registered by the safe face, or just changing hands.
    ReaderTaken,
    /// The segment allows overwriting: it keeps no account of who owes a read.
    Overwrites,
    /// A writer of the safe face lives in the segment: it would not wait for readers of this face.
    SafeWriter {
        /// Its index.
        index: u32,
    },
    /// The layout marks an empty slot by size 0, so it has no empty samples. The loan is still out.
    EmptySample,
    /// The layout has one writer, the process that made the segment, and this is not it.
    NotOwner,
    /// The segment is for values of another type, or, where the type was asked for, for none.
    TypeMismatch {
        /// Identity of the type that was asked for.
        expected: [u8; 16],
        /// That of the segment's.
        found: Option<[u8; 16]>,
    },
    /// A sample has not the size of the type that is read: somebody writes another type here. The sample was marked read.
    SampleSize {
        /// Bytes of the sample.
        sample: usize,
        /// Bytes of the type.
        expected: usize,
    },
    /// The allocator was inherited by a fork; attach anew in the child.
    Forked,
    /// A system call failed.
    Os(OsError),
}

impl SlotError {
    /// What kind of error this is.
    #[must_use]
    pub fn cause(&self) -> Cause {
        match self {
            Self::NoFreeSlot | Self::SlotBusy | Self::NoWriterEntry | Self::ReaderTaken | Self::SafeWriter { .. } => Cause::Contention,
            Self::OutOfBounds
            | Self::SampleTooLarge { .. }
            | Self::InPlaceUnsupported
            | Self::StaleHandle
            | Self::Overwrites
            | Self::EmptySample
            | Self::NotOwner
            | Self::TypeMismatch { .. }
            | Self::Forked => Cause::Misuse,
            Self::LockPoisoned | Self::SampleSize { .. } => Cause::Corruption,
            Self::Os(_) => Cause::Os,
        }
    }
}

impl fmt::Display for SlotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoFreeSlot => f.write_str("no slot is free: all are on loan or not yet read"),
            Self::OutOfBounds => f.write_str("a slot or reader index is out of bounds"),
            Self::SampleTooLarge { sample, slot_capacity } => {
                write!(f, "a sample of {sample} bytes does not fit a slot of {slot_capacity}")
            }
            Self::LockPoisoned => f.write_str("a lock is poisoned"),
            Self::InPlaceUnsupported => f.write_str("this backend has no access in place"),
            Self::StaleHandle => f.write_str("the handle's loan or sample is not in its slot any more, or the handle is another segment's"),
            Self::SlotBusy => f.write_str("another process has claimed the slot just now; try again"),
            Self::NoWriterEntry => f.write_str("every writer entry of the segment is taken by a living process"),
            Self::ReaderTaken => f.write_str("the reader index is taken by a reader of the safe face"),
            Self::Overwrites => f.write_str("the segment allows overwriting: it keeps no account of who owes a read"),
            Self::SafeWriter { index } => write!(f, "writer {index} of the safe face lives in the segment; stop it, or use another segment"),
            Self::EmptySample => f.write_str("a ZDS2 segment has no empty samples; send one byte at least, or discard the loan"),
            Self::NotOwner => f.write_str("only the process that made a ZDS2 segment writes to it; make one with create_zds2, or use a native one"),
            Self::TypeMismatch { expected, found: Some(found) } => write!(
                f,
                "the segment is for type {:032x}, not {:032x}; build both sides with the same definition",
                u128::from_be_bytes(*found),
                u128::from_be_bytes(*expected)
            ),
            Self::TypeMismatch { expected, found: None } => {
                write!(f, "the segment is for no type, not for {:032x}; create it for that type", u128::from_be_bytes(*expected))
            }
            Self::SampleSize { sample, expected } => {
                write!(f, "a sample of {sample} bytes is no value of {expected}: another type is written here; it was skipped")
            }
            Self::Forked => f.write_str("the allocator belongs to the parent process; attach anew after fork"),
            Self::Os(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for SlotError {}

impl From<OsError> for SlotError {
    fn from(error: OsError) -> Self {
        Self::Os(error)
    }
}

/// Why a writer's entry was not had.
pub(super) fn no_writer(error: JoinError) -> SlotError {
    match error {
        JoinError::Os(error) => SlotError::Os(error),
        JoinError::Forked => SlotError::Forked,
        _ => SlotError::NoWriterEntry,
    }
}
