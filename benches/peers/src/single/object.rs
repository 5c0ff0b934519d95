//! Shared memory objects with nothing around them: what making and attaching cannot be quicker than.

use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use crate::peers::Made;
use crate::scratch::OBJECTS;

/// An object that was reserved; goes with the value.
pub struct Object {
    path: PathBuf,
}

impl Object {
    /// Reserves an object of `len` bytes, named after the folder and the file of `path`.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn reserve(path: &Path, len: usize) -> Made<Self> {
        let of = |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
        let path = Path::new(OBJECTS).join(format!("{}-{}", of(path.parent().and_then(Path::file_name)), of(path.file_name())));
        let file = OpenOptions::new().write(true).create_new(true).open(&path)?;
        let object = Self { path };
        // SAFETY: a plain system call on a descriptor of ours.
        let errno = unsafe { libc::posix_fallocate(file.as_raw_fd(), 0, len.try_into()?) };
        if errno == 0 { Ok(object) } else { Err(std::io::Error::from_raw_os_error(errno).into()) }
    }
}

impl Drop for Object {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// A mapping of an object; goes with the value.
pub struct Mapped {
    base: *mut libc::c_void,
    len: usize,
    _file: File,
}

/// Opens the object that a file names.
///
/// # Errors
/// If there is no such file or object, or the system refuses.
pub fn object_named(path: &Path) -> Made<File> {
    let name = std::fs::read_to_string(path)?;
    Ok(OpenOptions::new().read(true).write(true).open(Path::new(OBJECTS).join(name.trim().trim_start_matches('/')))?)
}

/// Opens and maps the object that a file names, and reads its first word.
///
/// # Errors
/// If there is no such object, or the system refuses.
pub fn map_named(path: &Path) -> Made<Mapped> {
    let file = object_named(path)?;
    let len = usize::try_from(file.metadata()?.len())?;
    // SAFETY: a new mapping at an address that the kernel picks.
    let base = unsafe { libc::mmap(core::ptr::null_mut(), len, libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED, file.as_raw_fd(), 0) };
    if base == libc::MAP_FAILED {
        return Err(std::io::Error::last_os_error().into());
    }
    let mapped = Mapped { base, len, _file: file };
    // SAFETY: the mapping is at least a word long (an object that is shorter cannot be a segment), readable, and aligned to a page.
    let word = unsafe { base.cast::<u32>().read_volatile() };
    if word == 0 { Err("the object is empty".into()) } else { Ok(mapped) }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY: the mapping made above, which nothing borrows.
        unsafe { libc::munmap(self.base, self.len) };
    }
}
