//! The bytes of a ClockBound segment, layouts 2 (ClockBound 2.x) and 3 (3.0). All numbers are in the machine's byte order.
//!
//! | offset | width | header |
//! |---|---|---|
//! | 0 | 4 | magic 0x414D5A4E |
//! | 4 | 4 | magic 0x43420200 |
//! | 8 | 4 | segment size: header and payload, at least 80 or 104 |
//! | 12 | 2 | version: 0x0002, or 0x0303 (the least version and the present one, a byte each); 0 while the segment is not initialised |
//! | 14 | 2 | generation: 0 while not initialised, odd while the daemon writes; 65535 is followed by 2 |
//!
//! | offset | width | payload of layout 2, read against CLOCK_REALTIME and CLOCK_MONOTONIC_COARSE |
//! |---|---|---|
//! | 16 | 8, 8 | as_of: CLOCK_MONOTONIC_COARSE at the update, seconds and nanoseconds |
//! | 32 | 8, 8 | void_after: the bound means nothing after that |
//! | 48 | 8 | bound, nanoseconds |
//! | 56 | 8 | disruption marker |
//! | 64 | 4 | maximum drift, parts in 10^9 |
//! | 68 | 4 | clock status: 0 unknown, 1 synchronized, 2 free running, 3 disrupted |
//! | 72 | 1 | disruption support: 0 or 1 |
//! | 73 | 7 | padding |
//!
//! | offset | width | payload of layout 3, read against the processor's counter |
//! |---|---|---|
//! | 16 | 8 | the counter at the update |
//! | 24 | 8, 8 | as_of: the time at the update, seconds and nanoseconds |
//! | 40 | 8, 8 | void_after: the bound means nothing after that |
//! | 56 | 8 | period: fraction; the counter's period in seconds is fraction / 2^(64 + shift) |
//! | 64 | 8 | error of the period: fraction; a ratio below 1 |
//! | 72 | 8 | bound, nanoseconds |
//! | 80 | 8 | disruption marker |
//! | 88 | 4 | maximum drift, parts in 10^9 |
//! | 92 | 4 | clock status, as above |
//! | 96 | 1 | disruption support: 0 or 1 |
//! | 97 | 1 | shift of the period |
//! | 98 | 1 | shift of its error |
//! | 99 | 5 | padding |

/// First magic word, at offset 0.
pub const MAGIC_0: u32 = 0x414D_5A4E;
/// Second magic word, at offset 4.
pub const MAGIC_1: u32 = 0x4342_0200;
/// Offset of the segment size.
pub const SEGMENT_SIZE_AT: usize = 8;
/// Offset of the word that holds version and generation.
pub const VERSION_GENERATION_AT: usize = 12;
/// Length of the header.
pub const HEADER_LEN: usize = 16;
/// Length of the longest payload.
pub const PAYLOAD_LEN_MAX: usize = v3::PAYLOAD_LEN;
/// Length of the longest segment.
pub const SEGMENT_LEN_MAX: usize = HEADER_LEN + PAYLOAD_LEN_MAX;

/// Offsets in a payload of layout 2.
pub mod v2 {
    /// as_of.
    pub const AS_OF: usize = 0;
    /// void_after.
    pub const VOID_AFTER: usize = 16;
    /// Bound.
    pub const BOUND: usize = 32;
    /// Disruption marker.
    pub const DISRUPTION_MARKER: usize = 40;
    /// Maximum drift.
    pub const MAX_DRIFT: usize = 48;
    /// Clock status.
    pub const CLOCK_STATUS: usize = 52;
    /// Disruption support.
    pub const DISRUPTION_SUPPORT: usize = 56;
    /// Length.
    pub const PAYLOAD_LEN: usize = 64;

    const _: () = assert!(VOID_AFTER == AS_OF + 16 && BOUND == VOID_AFTER + 16 && DISRUPTION_MARKER == BOUND + 8);
    const _: () = assert!(MAX_DRIFT == DISRUPTION_MARKER + 8 && CLOCK_STATUS == MAX_DRIFT + 4 && DISRUPTION_SUPPORT == CLOCK_STATUS + 4);
    const _: () = assert!(DISRUPTION_SUPPORT + 8 == PAYLOAD_LEN);
}

/// Offsets in a payload of layout 3.
pub mod v3 {
    /// The counter at the update.
    pub const AS_OF_TSC: usize = 0;
    /// as_of.
    pub const AS_OF: usize = 8;
    /// void_after.
    pub const VOID_AFTER: usize = 24;
    /// Fraction of the period.
    pub const PERIOD: usize = 40;
    /// Fraction of the period's error.
    pub const PERIOD_ERROR: usize = 48;
    /// Bound.
    pub const BOUND: usize = 56;
    /// Disruption marker.
    pub const DISRUPTION_MARKER: usize = 64;
    /// Maximum drift.
    pub const MAX_DRIFT: usize = 72;
    /// Clock status.
    pub const CLOCK_STATUS: usize = 76;
    /// Disruption support.
    pub const DISRUPTION_SUPPORT: usize = 80;
    /// Shift of the period.
    pub const PERIOD_SHIFT: usize = 81;
    /// Shift of the period's error.
    pub const PERIOD_ERROR_SHIFT: usize = 82;
    /// Length.
    pub const PAYLOAD_LEN: usize = 88;

    const _: () = assert!(AS_OF == AS_OF_TSC + 8 && VOID_AFTER == AS_OF + 16 && PERIOD == VOID_AFTER + 16 && PERIOD_ERROR == PERIOD + 8);
    const _: () = assert!(BOUND == PERIOD_ERROR + 8 && DISRUPTION_MARKER == BOUND + 8 && MAX_DRIFT == DISRUPTION_MARKER + 8);
    const _: () = assert!(CLOCK_STATUS == MAX_DRIFT + 4 && DISRUPTION_SUPPORT == CLOCK_STATUS + 4);
    const _: () = assert!(PERIOD_ERROR_SHIFT == PERIOD_SHIFT + 1 && DISRUPTION_SUPPORT + 8 == PAYLOAD_LEN);
}

/// Which layout a segment has.
///
/// ```
/// use seqslot_core::clockbound::Layout;
/// assert_eq!(Layout::of_version(0x0303), Some(Layout::V3));
/// assert_eq!((Layout::V2.version(), Layout::V2.segment_len(), Layout::V3.segment_len()), (2, 80, 104));
/// assert_eq!(Layout::of_version(3), None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Layout {
    /// Of ClockBound 2.x; 3.0 writes it to `shm0`.
    V2,
    /// Of ClockBound 3.0, which writes it to `shm1`.
    V3,
}

impl Layout {
    /// The layout whose segments have this version; `None` if it is another one, or 0.
    #[must_use]
    pub const fn of_version(version: u16) -> Option<Self> {
        match version {
            0x0002 => Some(Self::V2),
            0x0303 => Some(Self::V3),
            _ => None,
        }
    }

    /// The version in the header.
    #[must_use]
    pub const fn version(self) -> u16 {
        match self {
            Self::V2 => 0x0002,
            Self::V3 => 0x0303,
        }
    }

    /// Length of its payload.
    #[must_use]
    pub const fn payload_len(self) -> usize {
        match self {
            Self::V2 => v2::PAYLOAD_LEN,
            Self::V3 => v3::PAYLOAD_LEN,
        }
    }

    /// Length of its header and payload: the least size of a segment.
    #[must_use]
    pub const fn segment_len(self) -> usize {
        HEADER_LEN + self.payload_len()
    }
}

const _: () = assert!(Layout::V2.segment_len() == 80 && Layout::V3.segment_len() == 104 && SEGMENT_LEN_MAX == 104);
const _: () = assert!(VERSION_GENERATION_AT.is_multiple_of(4) && VERSION_GENERATION_AT + 4 == HEADER_LEN);
