//! Layout version 2 of a ClockBound segment, as the daemon of ClockBound 2.x writes it. All numbers are in the machine's byte order.
//!
//! | offset | width | field |
//! |---|---|---|
//! | 0 | 4 | magic 0x414D5A4E |
//! | 4 | 4 | magic 0x43420200 |
//! | 8 | 4 | segment size: header and payload, 80 |
//! | 12 | 2 | version: 2; 0 while the segment is not initialised |
//! | 14 | 2 | generation: 0 while not initialised, odd while the daemon writes; 65535 is followed by 2 |
//! | 16 | 8, 8 | as_of: CLOCK_MONOTONIC_COARSE at the update, seconds and nanoseconds |
//! | 32 | 8, 8 | void_after: the bound means nothing after that |
//! | 48 | 8 | bound, nanoseconds |
//! | 56 | 8 | disruption marker |
//! | 64 | 4 | maximum drift, parts in 10^9 |
//! | 68 | 4 | clock status: 0 unknown, 1 synchronized, 2 free running, 3 disrupted |
//! | 72 | 1 | disruption support: 0 or 1 |
//! | 73 | 7 | padding |

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
/// Length of a version 2 payload.
pub const PAYLOAD_LEN: usize = 64;
/// Least segment size of version 2.
pub const SEGMENT_LEN: usize = HEADER_LEN + PAYLOAD_LEN;
/// The version read here.
pub const VERSION: u16 = 2;

/// Payload: as_of.
pub const AS_OF: usize = 0;
/// Payload: void_after.
pub const VOID_AFTER: usize = 16;
/// Payload: bound.
pub const BOUND: usize = 32;
/// Payload: disruption marker.
pub const DISRUPTION_MARKER: usize = 40;
/// Payload: maximum drift.
pub const MAX_DRIFT: usize = 48;
/// Payload: clock status.
pub const CLOCK_STATUS: usize = 52;
/// Payload: disruption support.
pub const DISRUPTION_SUPPORT: usize = 56;

const _: () = assert!(DISRUPTION_SUPPORT + 8 == PAYLOAD_LEN && SEGMENT_LEN == 80);
const _: () = assert!(VERSION_GENERATION_AT.is_multiple_of(4) && VERSION_GENERATION_AT + 4 == HEADER_LEN);
