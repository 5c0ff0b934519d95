//! Why there is no allocator.

use core::fmt;

use seqslot_core::{AttachError, Cause, CreateError, GeometryError, HeadError, SlotError};

/// Why shared memory was not created or attached to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ShmFault {
    /// It was not created: [`CreateError::AlreadyExists`] has the process number of the living owner.
    Create(CreateError),
    /// It was not attached to.
    Attach(AttachError),
}

impl ShmFault {
    /// What kind of error this is.
    #[must_use]
    pub fn cause(&self) -> Cause {
        match self {
            Self::Create(error) => error.cause(),
            Self::Attach(error) => error.cause(),
        }
    }
}

impl fmt::Display for ShmFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create(error) => error.fmt(f),
            Self::Attach(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ShmFault {}

/// Why there is no [`SlotAllocator`](super::SlotAllocator). Nothing is left behind.
///
/// A living owner is `Shm(ShmFault::Create(CreateError::AlreadyExists { pid }))`; [`owner_pid`](Self::owner_pid) takes it apart.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PosixSlotError {
    /// The object or its flink: the name is taken, not there, not trusted, or a system call failed.
    Shm(ShmFault),
    /// The capacity, or the whole with it, is beyond what the layout can say.
    CapacityOverflow,
    /// The object is not a segment of slots that this library reads, or not one that keeps account of who owes a read.
    InvalidHeader,
    /// An operation on slots failed.
    Slot(SlotError),
}

impl PosixSlotError {
    /// What kind of error this is.
    #[must_use]
    pub fn cause(&self) -> Cause {
        match self {
            Self::Shm(fault) => fault.cause(),
            Self::CapacityOverflow => Cause::Misuse,
            Self::InvalidHeader => Cause::Corruption,
            Self::Slot(error) => error.cause(),
        }
    }

    /// The process number of the living owner that has the path, if that is what was wrong.
    #[must_use]
    pub fn owner_pid(&self) -> Option<u32> {
        match self {
            Self::Shm(ShmFault::Create(CreateError::AlreadyExists { pid })) => Some(*pid),
            _ => None,
        }
    }
}

impl fmt::Display for PosixSlotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shm(fault) => fault.fmt(f),
            Self::CapacityOverflow => f.write_str("slots of that capacity, or that many of them, do not fit a segment"),
            Self::InvalidHeader => f.write_str("the object is not a segment of slots that this library reads"),
            Self::Slot(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for PosixSlotError {}

impl From<SlotError> for PosixSlotError {
    fn from(error: SlotError) -> Self {
        Self::Slot(error)
    }
}

impl From<CreateError> for PosixSlotError {
    fn from(error: CreateError) -> Self {
        match error {
            CreateError::Geometry(GeometryError::CapacityOverflow { .. } | GeometryError::TotalOverflow) => Self::CapacityOverflow,
            error => Self::Shm(ShmFault::Create(error)),
        }
    }
}

impl From<AttachError> for PosixSlotError {
    fn from(error: AttachError) -> Self {
        match error {
            // Still being made, or its creator died at it: there is nothing wrong with the header yet.
            AttachError::Head(HeadError::NotReady) => Self::Shm(ShmFault::Attach(error)),
            AttachError::Head(_) | AttachError::NotASegment => Self::InvalidHeader,
            error => Self::Shm(ShmFault::Attach(error)),
        }
    }
}
