//! The seeds' slot face: slots by handle, with reader masks given by the caller, over the same protocol as the safe face.
//!
//! [`SlotBackend`] has the names and signatures of ZeroDDS flatdata's trait; [`SlotFace`] implements it over a [`Segment`](crate::Segment).
//!
//! # A handle's life
//!
//! A handle names a slot and a generation. The same handle goes from the reserve to the last mark; what may be done with it follows
//! from the slot's shared words alone, so that whoever holds a copy gets the same answer.
//!
//! | the slot | state word | `unread` | commit, discard, data pointer | read, mark |
//! |---|---|---|---|---|
//! | is on loan under this handle | owner is this allocator, the handle's generation | 0 | do it | `StaleHandle`: nothing is published |
//! | holds the handle's sample | unowned | not 0 | `StaleHandle` | do it; a mark of what was marked changes nothing and is `Ok` |
//! | was discarded, or has moved on | another generation, or 0 in `unread` | any | `StaleHandle` | `StaleHandle` |
//!
//! # Who counts
//!
//! A commit stores all 32 bits: every reader may read. A slot is free for `reserve_slot(mask)` when nobody owns it and
//! `unread & ((mask & !disconnected) | active) == 0`: the readers of the safe face count always, those of this face when the caller says so.
//!
//! | reader r is | set by | its bit in `mask` | its samples |
//! |---|---|---|---|
//! | not heard of | | counts | kept for it from the first commit on |
//! | in use | its first `next_unread_slot` or `mark_read`, which takes r's lock (state 2) | counts | from the oldest it owes |
//! | disconnected | `mark_reader_disconnected`, recovery of a dead r, eviction | does not count | those before are gone; later ones stay only while nobody needs the slot |
//! | a straggler | `evict_sample` of one sample, while it lives and does not read | counts | that sample is gone; the others are as before. Stopped in the midst of a mark: disconnected as well, but what is in the slots stays until its next mark |
//! | in use again | its next mark, or the first use by a new holder: sweep, then the bit in `disconnected` is cleared | counts | from then on |
//!
//! # Edges beyond those of the slots protocol
//!
//! | edge | release side | acquire side | carries |
//! |---|---|---|---|
//! | changed | whatever publishes or frees: its counter or head, after the change | `notify_generation`: load of each | the change |
//! | disconnect | `disconnected \|= bit` before the sweep | reserve: load of `disconnected` | that r's use is declared over |
//! | one kind of writer | a writer of the safe face: its entry's state, fence; this face: the flag SEEDS, fence | each looks for the other behind its fence | that of the two at least one sees the other, and gives way |
//! | reuse | reserve: fence Release after the claim | `read_slot`: fence Acquire after the copy | that the slot was claimed: no byte of the next sample passes for the last one's |

#![allow(
    clippy::result_large_err,
    reason = "errors of the system carry their path inline: core has no heap; on the data path they are not made"
)]

mod backend;
mod change;
mod connect;
mod error;
mod exclusive;
mod face;
#[allow(unsafe_code, reason = "payloads in place")]
mod payload;
mod reading;
mod writing;

pub use backend::{ReaderMask, SLOT_HEADER_SIZE, SlotBackend, SlotHandle, SlotHeader};
pub use error::SlotError;
pub use exclusive::{Exclusion, Exclusive};
pub use face::SlotFace;
