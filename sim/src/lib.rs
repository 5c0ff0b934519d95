//! Whole systems of simulated processes: a seed decides who they are, how their accesses interleave, who dies, pauses or is refused by
//! the system; a plain model says what each may see.
//!
//! | file | what |
//! |---|---|
//! | `plan` | what a seed makes of a system: counts, policy, pace, deaths, faults |
//! | `model` | samples, loans and readers as they should be; every disagreement is a panic |
//! | `writing`, `reading`, `caring` | what writers, readers, and those who recover and evict do |
//! | `cell` | a snapshot cell: one writer at a time, its successors, readers |
//! | `race` | several processes that create, attach and take over one name |
//! | `face` | the published slot face in place of the safe one |
//! | `drive` | runs it: kills, pauses, jumps of the clock |
//! | `quiet` | what is to hold when all are asleep, and at the end |
//!
//! A step is one access to shared memory, or one system call, of one process. Interleavings are sequentially consistent.
#![deny(unsafe_code)]

mod caring;
mod cell;
mod drive;
mod env;
#[allow(unsafe_code, reason = "fills and reads slots through the pointers of the published face")]
mod face;
mod failure;
mod model;
mod plan;
#[allow(unsafe_code, reason = "writes positions that would take 2^32 commits; evicts")]
mod poke;
mod quiet;
mod race;
mod reading;
mod tally;
mod writing;

pub use drive::{Options, run};
pub use failure::Failure;
pub use tally::Tally;
