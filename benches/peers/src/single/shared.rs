//! A value in shared memory, and nothing around it: what a bare copy is measured on.

use crate::peers::Made;

/// Where the value is in its mapping: about where a segment with a head has it.
const AT: usize = 768;

/// A value in a shared mapping of its own.
pub struct Shared<T: Copy> {
    base: *mut libc::c_void,
    value: *mut T,
}

impl<T: Copy> Shared<T> {
    /// A shared mapping that holds `value`.
    ///
    /// # Errors
    /// If the system refuses the mapping.
    pub fn new(value: T) -> Made<Self> {
        // SAFETY: a new mapping at an address that the kernel picks.
        let base = unsafe {
            libc::mmap(
                core::ptr::null_mut(),
                AT + size_of::<T>(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(std::io::Error::last_os_error().into());
        }
        // SAFETY: inside the mapping.
        let place = unsafe { base.byte_add(AT) }.cast::<T>();
        // SAFETY: the mapping is new, writable and long enough; the place is aligned to more than any `T` here asks for.
        unsafe { place.write(value) };
        Ok(Self { base, value: place })
    }

    /// The value in place.
    pub fn get(&self) -> &T {
        // SAFETY: written in `new`, mapped as long as `self`, and changed through `&mut self` only.
        unsafe { &*self.value }
    }

    /// The value in place, to be written.
    pub fn get_mut(&mut self) -> &mut T {
        // SAFETY: as in `get`; `&mut self` makes it the only reference.
        unsafe { &mut *self.value }
    }
}

impl<T: Copy> Drop for Shared<T> {
    fn drop(&mut self) {
        // SAFETY: the mapping made in `new`, which nothing borrows any more.
        unsafe { libc::munmap(self.base, AT + size_of::<T>()) };
    }
}
