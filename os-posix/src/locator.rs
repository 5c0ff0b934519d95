//! Locators of segments on this host.

use std::path::{Path, absolute};

use seqslot_core::{OsError, ShmLocator, SlotBackend, SlotsOs, fnv1a_32};

use crate::allocator::SlotAllocator;
use crate::call::{failed, host_name, user};

/// What discovery tells readers on this host of a segment: host, user, slots, and the path of the flink, made absolute.
///
/// # Errors
/// [`OsError`]: the host's name is not known; the path is relative, and the working directory is not known or not UTF-8.
pub fn locator_of<O: SlotsOs>(slots: &SlotAllocator<O>) -> Result<ShmLocator, OsError>
where
    SlotAllocator<O>: SlotBackend,
{
    let given = slots.flink_path();
    let path = absolute(Path::new(given)).map_err(|error| failed("getcwd", &error, given))?;
    let path = path.to_str().ok_or_else(|| OsError::new("getcwd", libc::EILSEQ, given))?;
    Ok(ShmLocator {
        hostname_hash: fnv1a_32(&host_name()?),
        uid: user(),
        // The layout has 32 bits for both.
        slot_count: slots.slot_count().map_or(0, |count| count as u32),
        slot_size: slots.slot_total_size() as u32,
        segment_path: path.into(),
    })
}

/// Whether `locator` was made on this host by this user, so that its path can be attached to.
///
/// # Errors
/// [`OsError`]: the host's name is not known.
pub fn is_local(locator: &ShmLocator) -> Result<bool, OsError> {
    Ok(locator.hostname_hash == fnv1a_32(&host_name()?) && locator.uid == user())
}
