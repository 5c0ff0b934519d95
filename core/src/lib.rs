//! The core of seqslot.
#![no_std]
#![deny(unsafe_code)]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(any(test, feature = "std"))]
extern crate std;

#[allow(unsafe_code, reason = "moves bytes between private and shared memory")]
mod copy;
mod error;
mod index;
pub mod layout;
#[allow(unsafe_code, reason = "the trait's implementation for real memory")]
mod memory;
mod os;
#[allow(unsafe_code, reason = "bounds are established here")]
mod region;
mod snapshot;

pub use error::*;
pub use index::*;
pub use memory::*;
pub use os::*;
pub use portable_atomic::{AtomicU32, Ordering};
pub use region::*;
pub use snapshot::*;
