//! Why there is no bound on the clock's error.

use core::ffi::CStr;
use core::fmt;

use crate::error::Cause;

/// EPROTO as Linux numbers it: the content of the segment is not usable.
const EPROTO: i32 = 71;
/// EAGAIN as Linux numbers it: the daemon wrote all the time.
const EAGAIN: i32 = 11;

/// Why there is no bound on the clock's error.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ShmError {
    /// A system call failed: its error number, and its name.
    SyscallError(i32, &'static CStr),
    /// The daemon has not initialised the segment, has wiped it, or was writing it when it was first looked at (and may have died there).
    SegmentNotInitialized,
    /// The segment holds what the daemon never writes, or is shorter than it says.
    SegmentMalformed,
    /// The monotonic clock read is before the update it is compared with.
    CausalityBreach,
    /// The segment has another layout version.
    SegmentVersionNotSupported,
    /// The daemon wrote during each of so many tries.
    Contended {
        /// How many.
        tries: u32,
    },
}

impl ShmError {
    /// The error number: the system call's own; 71 (EPROTO) for content that is not usable, 11 (EAGAIN) for a segment written all the time.
    ///
    /// ```
    /// use seqslot_core::clockbound::ShmError;
    /// assert_eq!(ShmError::SyscallError(2, c"open").errno(), 2);
    /// assert_eq!(ShmError::SegmentMalformed.errno(), 71);
    /// ```
    #[must_use]
    pub fn errno(&self) -> i32 {
        match self {
            Self::SyscallError(errno, _) => *errno,
            Self::Contended { .. } => EAGAIN,
            _ => EPROTO,
        }
    }

    /// What kind of error this is.
    #[must_use]
    pub fn cause(&self) -> Cause {
        match self {
            Self::SyscallError(..) => Cause::Os,
            Self::SegmentNotInitialized | Self::Contended { .. } => Cause::Contention,
            Self::SegmentMalformed | Self::SegmentVersionNotSupported => Cause::Corruption,
            Self::CausalityBreach => Cause::Misuse,
        }
    }
}

impl fmt::Display for ShmError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SyscallError(errno, call) => write!(f, "{} failed with error {errno}", call.to_str().unwrap_or("a system call")),
            Self::SegmentNotInitialized => f.write_str("the ClockBound segment is not initialised: its daemon has not finished, or died"),
            Self::SegmentMalformed => f.write_str("the ClockBound segment holds what its daemon never writes"),
            Self::CausalityBreach => f.write_str("the monotonic clock is before the last update of the ClockBound segment"),
            Self::SegmentVersionNotSupported => f.write_str("the ClockBound segment has a layout version that this library does not read"),
            Self::Contended { tries } => write!(f, "the ClockBound daemon wrote during each of {tries} tries; try again"),
        }
    }
}

impl core::error::Error for ShmError {}
