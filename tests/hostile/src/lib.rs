//! Hostile bytes: what a process does that is attached to memory in which anything may stand, and change at any access.
//!
//! Each target is a function of bytes that a fuzzer makes. It returns, or panics: then a promise was broken. The fuzz targets in
//! `fuzz/` and the plain test `tests/replay.rs`, which replays the kept inputs without a fuzzer, call the same functions.
//!
//! | target | what is hostile |
//! |---|---|
//! | [`attach()`] | a whole region: raw bytes, or a segment with words changed, cut short, and changed again while it is used |
//! | [`operations()`] | a region in use by writers, readers, the seeds' face and snapshots: words change between and within their steps |
//! | [`clockbound()`] | a ClockBound segment, in memory and as a file, read and taken over by a writer; a VMClock page |
//! | [`flink()`] | a flink's contents, and names |
//! | [`zds2()`] | a segment of the layout "ZDS2": any bytes, or one in use while its words change; without forgeries, against a plain model |
//!
//! What is checked, beside the sanitizer's view of the exact allocation that a region is: no panic; every access is inside, aligned, and
//! of a whole word; an operation makes no more accesses than its bound, which is linear in slots and entries; loans and samples lie inside
//! the payload of one slot. Where only hints and counters are forged, all promises hold: nothing is lent twice, and every sample arrives.
#![deny(unsafe_code)]

mod attach;
mod clockbound;
mod exercise;
mod flink;
pub mod inspect;
pub mod malformed;
mod operations;
#[allow(unsafe_code, reason = "handles and what they lend, in one value")]
mod party;
#[cfg(target_os = "linux")]
#[allow(unsafe_code, reason = "writes words behind the protocol's back")]
pub mod siege;
#[path = "../../../cli/src/size.rs"]
#[allow(dead_code, missing_docs, reason = "the command's own file; it reads sizes, too")]
mod size;
mod spoil;
#[allow(unsafe_code, reason = "owns the region, implements the unsafe traits of a platform")]
mod world;
mod zds2;

pub use attach::{Plan, attach, region_of};
pub use clockbound::clockbound;
pub use flink::flink;
pub use operations::operations;
pub use party::Guards;
pub use spoil::{Place, Spoil, Value};
pub use world::{HostileClaim, HostileMapping, HostileMemory, HostileOs, World};
pub use zds2::zds2;

/// A target: what the fuzzer calls with its bytes.
pub type Target = fn(&[u8]);

/// All targets, by the names of their corpora in `fuzz/corpus`.
pub const TARGETS: [(&str, Target); 5] =
    [("attach", attach), ("operations", operations), ("clockbound", clockbound), ("flink", flink), ("zds2", zds2)];
