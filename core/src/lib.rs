//! seqslot's core: slots and snapshots over raw shared regions, without an operating system and without a heap.
//!
//! - [`Segment`], [`Writer`], [`Reader`]: zero-copy publish and subscribe over slots.
//! - [`SnapshotWriter`], [`SnapshotReader`]: the newest state, never torn.
//! - [`Os`], [`Mapping`]: what a platform gives; [`Bare`] is the platform of a plain [`Region`].
//! - [`layout`]: the bytes, an ABI.
//!
//! # Features
//!
//! `alloc`: handles over `Arc<Segment>`, and `zerodds` segments, whose owner keeps its loans in its own memory. `std`: error texts of the system (implies `alloc`). `defmt`: formatting for embedded logs.
//! On targets without compare-and-swap only what needs none is there: layouts, snapshots.
#![no_std]
#![deny(unsafe_code)]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(any(test, feature = "std"))]
extern crate std;

pub mod clockbound;
#[allow(unsafe_code, reason = "moves bytes between private and shared memory")]
mod copy;
mod deadline;
mod error;
mod flat;
mod index;
pub mod layout;
#[allow(unsafe_code, reason = "the trait's implementation for real memory")]
mod memory;
#[allow(unsafe_code, reason = "declares the unsafe trait Mapping")]
mod os;
#[allow(unsafe_code, reason = "bounds are established here")]
mod region;
mod snapshot;

pub use error::*;
#[allow(unused_imports, reason = "without compare-and-swap and without a heap there is none of it")]
pub use flat::*;
pub use index::*;
pub use memory::*;
pub use os::*;
pub use portable_atomic::{AtomicU32, Ordering};
pub use region::*;
pub use snapshot::*;

portable_atomic::cfg_has_atomic_cas! {
#[allow(unsafe_code, reason = "implements the unsafe traits Mapping and Os")]
mod bare;
mod batch;
mod config;
#[allow(unsafe_code, reason = "declares an unsafe function")]
mod evict;
#[allow(unsafe_code, reason = "payloads in place")]
mod loan;
mod reader;
#[allow(unsafe_code, reason = "declares an unsafe function")]
mod registry;
#[allow(unsafe_code, reason = "payloads in place")]
mod sample;
mod seeds;
#[allow(unsafe_code, reason = "keeps the mapping longer than the view")]
mod segment;
mod slots;
mod typed;
mod writer;
#[cfg(feature = "alloc")]
pub mod zerodds;

pub use bare::*;
pub use batch::*;
pub use config::*;
pub use evict::*;
pub use loan::*;
pub use reader::{Reader, ReaderId};
pub use registry::Recovered;
pub use sample::*;
pub use seeds::*;
pub use segment::*;
pub use slots::inspect::Inspection;
pub use slots::parts::{Entry, HeaderWords, Ring, Slot};
pub use slots::view::SlotsView;
pub use typed::*;
pub use writer::*;
}
