//! The typed layer that ZeroDDS flatdata has over its slots, under its names: typed writers and readers over any
//! [`SlotBackend`](crate::SlotBackend), and locators for discovery.
//!
//! What is read is copied out and found whole afterwards, so nothing here rests on the backend's word; only who asks for a loan in
//! place does, by an unsafe call.

portable_atomic::cfg_has_atomic_cas! {
mod data;
mod newest;
mod reader;
#[allow(unsafe_code, reason = "loans in place")]
mod slot;
#[cfg(feature = "alloc")]
mod stragglers;
mod waiting;
mod writer;

pub use data::FlatStruct;
pub use reader::{FlatReader, FlatSampleRef};
pub use slot::FlatSlot;
#[cfg(feature = "alloc")]
pub use stragglers::STRAGGLER_TIMEOUT;
pub use writer::{FlatWriter, Reliability, WriteOutcome};
}

#[cfg(feature = "alloc")]
mod locator;

#[cfg(feature = "alloc")]
pub use locator::{LocatorError, PID_SHM_LOCATOR, ShmLocator, fnv1a_32, is_same_host};
