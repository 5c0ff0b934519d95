//! "ZDS2" segments: the layout of zerodds-flatdata 1.0.0-rc.7, read and written through the seeds' face.
//!
//! [`Zds2Face`] attaches to a segment that the crate made, and makes segments that the crate attaches to. The bytes are in [`layout`]; why
//! it is so, and what beside [`SlotFace`](crate::SlotFace) it cannot promise, is ADR 15.
//!
//! # What a reader may rely on
//!
//! | promise | the owner is this library's | the owner is the crate |
//! |---|---|---|
//! | samples come oldest first, across the wrap of the numbers | yes | yes; where a processor reorders stores (not x86-64), as soon as the waiting for a change has returned |
//! | `read_slot` gives bytes of the handle's sample, or `StaleHandle` | yes, to everybody | while the owner waits for this reader (its bit is in the mask of each reserve, and not set yet); it writes over a sample whose header still stands, so another's copy may be a mix of two |
//! | a late `mark_read` hides no other sample | it is taken back; until then, a few instructions, the owner may take the sample for read | likewise, where number, size and mask are stored in this order, as they are compiled for x86-64 |
//! | a sample is whole when it is found | yes | on x86-64; elsewhere once the generation was seen that its commit moved to |
//! | a wait ends when something changes | yes | yes |
//!
//! A reader that was not waited for, and marks late what was written over, may get the sample that came instead twice, not never. Two
//! exceptions, where all 32 indexes are read by: it does not get that sample if the last of the others marks it between the late
//! mark and its taking back; and a reader that is waited for may get a sample twice if the owner is stopped in the midst of its commit.
//!
//! # Edges
//!
//! | edge | release side | acquire side | carries |
//! |---|---|---|---|
//! | made | create: the magic, last | attach: load of the magic | head, zeros |
//! | reuse | reserve: mask all ones, size 0, fence Release; then bytes, number | `read_slot`: fence Acquire after the copy, then the size; `look`: load of the number | that the slot was withdrawn: no byte, size or mask of one sample passes for another's |
//! | commit | commit: the size | `look`, `still_holds`: loads of the size | number, bytes |
//! | publish | commit: mask := 0, last | `look`: load of the mask; `mark`: load of the mask behind its bit | number, size, bytes |
//! | read | `mark_read`, `mark_reader_disconnected`: the bit (an eviction's carries nothing: it is the owner's, under its lock) | reserve: load of the mask | that the reader is done with the bytes |
//! | changed | a bump of the generation, after the change (a commit's, before the next commit) | `notify_generation`: load of it | the change |
//! | notify | a bump: full fence, then a look at the count of waiters | a wait: count, full fence, then a look at the generation | that one of the two sees the other |

#![allow(
    clippy::result_large_err,
    reason = "errors of the system carry their path inline: core has no heap; on the data path they are not made"
)]

mod backend;
mod change;
#[allow(unsafe_code, reason = "keeps the mapping longer than the view")]
mod face;
pub mod layout;
mod owner;
mod sample;
#[allow(unsafe_code, reason = "bounds are established here, payloads in place")]
mod view;

pub use face::Zds2Face;
pub use layout::Zds2Geometry;
