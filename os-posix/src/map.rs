//! Mappings of shared memory.

use core::ptr::NonNull;
use std::os::fd::{AsRawFd, BorrowedFd};

use seqslot_core::{Access, OsError};

use crate::call::last_failure;

/// A mapping; dropping it unmaps. It is exactly as long as was asked for.
#[derive(Debug)]
pub struct Map {
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: a `Map` is an address range that it owns until dropped; nothing in it belongs to a thread.
unsafe impl Send for Map {}
// SAFETY: it gives out the address and the length only.
unsafe impl Sync for Map {}

impl Map {
    /// Maps the first `len` bytes of `file`, shared. `label` names the object in the error.
    ///
    /// # Errors
    /// `mmap` failed: no bytes (EINVAL), no address space or memory, a descriptor that does not allow `access`.
    pub fn shared(file: BorrowedFd<'_>, len: usize, access: Access, label: &str) -> Result<Self, OsError> {
        let protection = match access {
            Access::ReadOnly => libc::PROT_READ,
            Access::ReadWrite => libc::PROT_READ | libc::PROT_WRITE,
        };
        // SAFETY: a new mapping at an address that the kernel picks touches no memory in use; the descriptor is open.
        let base = unsafe { libc::mmap(core::ptr::null_mut(), len, protection, libc::MAP_SHARED, file.as_raw_fd(), 0) };
        if base == libc::MAP_FAILED {
            return Err(last_failure("mmap", label));
        }
        match NonNull::new(base.cast()) {
            Some(base) => Ok(Self { base, len }),
            None => Err(OsError::new("mmap", libc::ENOMEM, label)),
        }
    }

    /// Address of the first byte; a multiple of the page size.
    #[must_use]
    pub fn base(&self) -> NonNull<u8> {
        self.base
    }

    /// Length in bytes; never 0.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "the kernel makes no empty mappings")]
    pub fn len(&self) -> usize {
        self.len
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        // SAFETY: base and length are those of a mapping that this value made and owns; its users are gone (the duty of
        // whoever took the address). In a forked child it unmaps the child's copy only.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.len) };
    }
}
