//! The typed layer that ZeroDDS flatdata has over its slots: locators for discovery, under its names.

#[cfg(feature = "alloc")]
mod locator;

#[cfg(feature = "alloc")]
pub use locator::{LocatorError, PID_SHM_LOCATOR, ShmLocator, fnv1a_32, is_same_host};
