//! Why there is no bound on the clock's error.

use core::ffi::CStr;
use core::fmt;

use super::layout::Layout;
use crate::error::Cause;

/// EPROTO as Linux numbers it: the content of the segment is not usable.
const EPROTO: i32 = 71;
/// EAGAIN as Linux numbers it: the daemon wrote all the time.
const EAGAIN: i32 = 11;
/// EBUSY as Linux numbers it: another writer has the segment.
const EBUSY: i32 = 16;
/// EINVAL as Linux numbers it: a value of another layout.
const EINVAL: i32 = 22;
/// ESTALE as Linux numbers it: the file is another one by now.
const ESTALE: i32 = 116;
/// ENOTSUP as Linux numbers it: the processor has no counter that is known here.
const ENOTSUP: i32 = 95;

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
    /// The clock or counter read is 1,000 ns or more before the update it is compared with.
    CausalityBreach,
    /// The segment has another layout version.
    SegmentVersionNotSupported,
    /// The daemon wrote during each of so many tries.
    Contended {
        /// How many.
        tries: u32,
    },
    /// The bound is of this layout, and what was asked for is another's: an interval by the clocks (2) or by the counter (3), a write to
    /// a segment of the other layout.
    OtherLayout {
        /// The bound's layout.
        found: Layout,
    },
    /// A bound of layout 3 is read against the processor's counter, and of this processor none is known.
    NoCounter,
    /// Another writer, here or in another process, has the segment.
    WriterExists,
    /// The file that is to be written to is something else than a ClockBound segment, and was left as it is.
    NotASegment,
    /// The file that a writer has was cut short, removed, or replaced at its path.
    SegmentLost,
}

impl ShmError {
    /// The error number: the system call's own; 71 (EPROTO) for content that is not usable, 11 (EAGAIN) for a segment written all the time,
    /// 16 (EBUSY) for one that has a writer, 22 (EINVAL) for the other layout, 95 (ENOTSUP) where there is no counter, 116 (ESTALE) for a
    /// writer whose file is lost: as Linux numbers them.
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
            Self::OtherLayout { .. } => EINVAL,
            Self::NoCounter => ENOTSUP,
            Self::WriterExists => EBUSY,
            Self::SegmentLost => ESTALE,
            _ => EPROTO,
        }
    }

    /// What kind of error this is.
    #[must_use]
    pub fn cause(&self) -> Cause {
        match self {
            Self::SyscallError(..) | Self::NoCounter => Cause::Os,
            Self::SegmentNotInitialized | Self::Contended { .. } | Self::WriterExists | Self::SegmentLost => Cause::Contention,
            Self::SegmentMalformed | Self::SegmentVersionNotSupported | Self::NotASegment => Cause::Corruption,
            Self::CausalityBreach | Self::OtherLayout { .. } => Cause::Misuse,
        }
    }
}

impl fmt::Display for ShmError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SyscallError(errno, call) => write!(f, "{} failed with error {errno}", call.to_str().unwrap_or("a system call")),
            Self::SegmentNotInitialized => f.write_str(
                "the ClockBound segment is not initialised: its daemon has not finished, or died; look whether it runs, and try again",
            ),
            Self::SegmentMalformed => f.write_str(
                "the ClockBound segment holds what its daemon never writes; is the path right? Its daemon makes it anew when it starts",
            ),
            Self::CausalityBreach => {
                f.write_str("the clock read is before the last update of the ClockBound segment; take a new snapshot, then read the clock")
            }
            Self::SegmentVersionNotSupported => {
                f.write_str("the ClockBound segment has a layout version that is not read here; 2 (shm0) and 0x0303 (shm1) are")
            }
            Self::Contended { tries } => write!(f, "the ClockBound daemon wrote during each of {tries} tries; try again"),
            Self::OtherLayout { found: Layout::V2 } => {
                f.write_str("the bound is of layout 2: it is read against the clocks, and written to a segment of layout 2")
            }
            Self::OtherLayout { found: Layout::V3 } => {
                f.write_str("the bound is of layout 3: it is read against the counter, and written to a segment of layout 3")
            }
            Self::NoCounter => f.write_str("no counter of this processor is known, which a bound of layout 3 needs; read shm0, layout 2"),
            Self::WriterExists => f.write_str("the ClockBound segment has a writer already; stop it, or choose another path"),
            Self::NotASegment => {
                f.write_str("the file is not a ClockBound segment, and was left as it is; remove it, or choose another path")
            }
            Self::SegmentLost => {
                f.write_str("the file of this ClockBound writer was cut short, removed, or replaced at its path; make the writer anew")
            }
        }
    }
}

impl core::error::Error for ShmError {}

#[cfg(feature = "std")]
impl From<ShmError> for std::io::Error {
    /// A failed system call as the error of its number; everything else as an error that holds the value.
    fn from(error: ShmError) -> Self {
        use std::io::ErrorKind;
        match error {
            ShmError::SyscallError(errno, _) if errno != 0 => Self::from_raw_os_error(errno),
            ShmError::Contended { .. } | ShmError::WriterExists => Self::new(ErrorKind::ResourceBusy, error),
            ShmError::OtherLayout { .. } => Self::new(ErrorKind::InvalidInput, error),
            ShmError::NoCounter => Self::new(ErrorKind::Unsupported, error),
            _ => Self::new(ErrorKind::InvalidData, error),
        }
    }
}
