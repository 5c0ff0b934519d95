//! Shared memory objects: made, opened, sized; whether to trust them; who owns them.

use std::fs::{File, Metadata, Permissions};
#[cfg(target_os = "linux")]
use std::os::fd::AsRawFd;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use seqslot_core::layout::control::{ENTRY_NAMESPACE, ENTRY_PID, OWNER_AT};
use seqslot_core::zerodds::layout as zerodds;
use seqslot_core::{Access, ObjectSpec, OpenFault, OsError};

use crate::call::{failed, in_group, user};
use crate::map::Map;
use crate::name::{ObjectName, Place};

/// What `shm_open` gets besides the access: no inheritance by exec, no links.
#[cfg(not(target_os = "macos"))]
const FLAGS: i32 = libc::O_CLOEXEC | libc::O_NOFOLLOW;
/// There the kernel knows neither flag for objects, and closes them on exec by itself.
#[cfg(target_os = "macos")]
const FLAGS: i32 = 0;

/// The bits of a mode that say what kind of file it is, and the kind that is plain; the same numbers on every platform.
const FILE_TYPE: u32 = 0o170_000;
const PLAIN_FILE: u32 = 0o100_000;

/// An open object: its descriptor, which holds no lock, and where it came from.
#[derive(Debug)]
pub struct Object {
    file: File,
    named: Option<Named>,
    access: Access,
}

/// What an object with a name is called, and which file that was: device and inode.
#[derive(Debug)]
struct Named {
    place: Place,
    name: ObjectName,
    file: (u64, u64),
}

impl Named {
    fn new(place: &Place, name: &ObjectName, status: &Metadata) -> Self {
        Self { place: place.clone(), name: name.clone(), file: (status.dev(), status.ino()) }
    }
}

impl Object {
    /// Makes the object `name` with `spec`'s length and mode. Its length goes from 0 to the whole in one step, after the
    /// memory is reserved.
    ///
    /// # Errors
    /// The call that failed: `shm_open`, `fchmod`, `fallocate` (ENOSPC: /dev/shm is full), `ftruncate`. If the object had been made, it is
    /// gone again.
    pub fn create(place: &Place, name: &ObjectName, spec: ObjectSpec) -> Result<Self, OsError> {
        let mode = mode(spec.group);
        let (file, status) =
            shm_open(name, libc::O_RDWR | libc::O_CREAT | libc::O_EXCL, mode).map_err(|e| failed("shm_open", &e, &place_of(name)))?;
        let object = Self { file, named: Some(Named::new(place, name, &status)), access: Access::ReadWrite };
        match set_mode(&object.file, &status, mode, name.text()).and_then(|()| object.size(&status, spec)) {
            Ok(()) => Ok(object),
            Err(error) => {
                // The first error is the one to tell.
                let _ = unlink(name);
                Err(error)
            }
        }
    }

    /// Opens the object that the flink at `place` names; `None` if there is no such object.
    ///
    /// # Errors
    /// `shm_open` failed otherwise.
    pub fn open(place: &Place, name: &ObjectName, access: Access) -> Result<Option<Self>, OsError> {
        Ok(Self::open_and_look(place, name, access)?.map(|(object, _)| object))
    }

    /// As [`open`](Self::open), and what the kernel says about it: the open itself asks.
    pub(crate) fn open_and_look(place: &Place, name: &ObjectName, access: Access) -> Result<Option<(Self, Metadata)>, OsError> {
        let flags = match access {
            Access::ReadOnly => libc::O_RDONLY,
            Access::ReadWrite => libc::O_RDWR,
        };
        match shm_open(name, flags, 0) {
            Ok((file, status)) => Ok(Some((Self { file, named: Some(Named::new(place, name, &status)), access }, status))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("shm_open", &error, &place_of(name))),
        }
    }

    /// Another description of it, for reading and writing, by its name; `None` if it has none, or the name does not lead to it any more.
    #[must_use]
    pub fn open_again(&self) -> Option<OwnedFd> {
        let named = self.named.as_ref()?;
        let (file, status) = shm_open(&named.name, libc::O_RDWR, 0).ok()?;
        ((status.dev(), status.ino()) == named.file).then(|| file.into())
    }

    /// An object that came as a descriptor and has no name.
    #[must_use]
    pub fn nameless(fd: OwnedFd, access: Access) -> Self {
        Self { file: File::from(fd), named: None, access }
    }

    /// Gives a new, empty object its length, and its memory if asked for. An object that has a length keeps it: mappings rely on it.
    ///
    /// # Errors
    /// EEXIST if it has a length; `fallocate` or `ftruncate` failed.
    pub fn resize(&self, spec: ObjectSpec) -> Result<(), OsError> {
        self.size(&self.status()?, spec)
    }

    /// As [`resize`](Self::resize), of an object whose status is known.
    fn size(&self, status: &Metadata, spec: ObjectSpec) -> Result<(), OsError> {
        if status.len() != 0 {
            return Err(OsError::new("ftruncate", libc::EEXIST, self.label()));
        }
        let too_large = || OsError::new("ftruncate", libc::EFBIG, self.label());
        let len = u64::try_from(spec.len).map_err(|_| too_large())?;
        if libc::off_t::try_from(len).is_err() {
            return Err(too_large());
        }
        #[cfg(target_os = "linux")]
        if spec.reserve {
            return reserve(&self.file, len, self.label());
        }
        // Elsewhere objects are anonymous memory and cannot be reserved; nor is there a file system that could be full.
        self.file.set_len(len).map_err(|e| failed("ftruncate", &e, self.label()))
    }

    /// Maps it whole, whatever length it has at this moment; `None` if it has none.
    ///
    /// # Errors
    /// `fstat` or `mmap` failed.
    pub fn map(&self) -> Result<Option<Map>, OsError> {
        self.map_len(self.status()?.len())
    }

    /// Maps its first `len` bytes, which it was just seen to have; `None` if that is none.
    pub(crate) fn map_len(&self, len: u64) -> Result<Option<Map>, OsError> {
        let len = usize::try_from(len).map_err(|_| OsError::new("mmap", libc::ENOMEM, self.label()))?;
        if len == 0 {
            return Ok(None);
        }
        Map::shared(self.file.as_fd(), len, self.access, self.label()).map(Some)
    }

    /// The process number in the owner's registry entry, or what stands for it; 0 if it cannot be read. What a peer wrote, for people.
    #[must_use]
    pub fn alleged_owner(&self) -> u32 {
        let at = if self.is_zds2() { zerodds::OWNER_AT } else { OWNER_AT + ENTRY_PID };
        self.peek(at).unwrap_or(0)
    }

    /// The pid namespace that the owner's entry says it is in; 0 if it says none.
    #[must_use]
    pub fn alleged_namespace(&self) -> u32 {
        if self.is_zds2() { 0 } else { self.peek(OWNER_AT + ENTRY_NAMESPACE).unwrap_or(0) }
    }

    /// Whether it begins as a segment of zerodds-flatdata does, which has no registry.
    fn is_zds2(&self) -> bool {
        self.peek(0) == Some(zerodds::MAGIC)
    }

    /// Reads a word without mapping, so that a file that is cut meanwhile is no fault.
    #[cfg(not(target_os = "macos"))]
    fn peek(&self, at: usize) -> Option<u32> {
        let mut word = [0; 4];
        std::os::unix::fs::FileExt::read_exact_at(&self.file, &mut word, at as u64).ok()?;
        Some(u32::from_ne_bytes(word))
    }

    /// Objects cannot be read there otherwise; nor can they be cut.
    #[cfg(target_os = "macos")]
    fn peek(&self, at: usize) -> Option<u32> {
        use seqslot_core::{Memory, Ordering, Raw};
        let map = self.map().ok()??;
        if at + 4 > map.len() {
            return None;
        }
        // SAFETY: base and length of a mapping that outlives the value; page-aligned; read once, atomically; no `&mut` exists.
        let memory = unsafe { Raw::new(map.base(), map.len()) };
        // SAFETY: `at` is a multiple of 4, inside by the check above, and the mapping is still there.
        Some(unsafe { memory.load(at, Ordering::Relaxed) })
    }

    /// What the kernel says about it.
    ///
    /// # Errors
    /// `fstat` failed.
    pub fn status(&self) -> Result<Metadata, OsError> {
        self.file.metadata().map_err(|e| failed("fstat", &e, self.label()))
    }

    /// Its name and the place of its flink; `None` for an object without a name.
    #[must_use]
    pub fn named(&self) -> Option<(&Place, &ObjectName)> {
        self.named.as_ref().map(|named| (&named.place, &named.name))
    }

    /// How it was opened.
    #[must_use]
    pub fn access(&self) -> Access {
        self.access
    }

    /// What errors call it: the path of its flink, or `memfd`.
    #[must_use]
    pub fn label(&self) -> &str {
        self.named.as_ref().map_or("memfd", |named| named.place.text())
    }
}

impl AsFd for Object {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Mode of flinks and objects.
pub(crate) fn mode(group: bool) -> u32 {
    if group { 0o660 } else { 0o600 }
}

/// Sets the mode where the process's mask has taken bits away, as `status` tells.
pub(crate) fn set_mode(file: &File, status: &Metadata, mode: u32, label: &str) -> Result<(), OsError> {
    if status.mode() & 0o777 == mode {
        return Ok(());
    }
    file.set_permissions(Permissions::from_mode(mode)).map_err(|e| failed("fchmod", &e, label))
}

/// Where an object of this name is, for errors: on Linux a file that people can look at.
fn place_of(name: &ObjectName) -> String {
    let folder = if cfg!(target_os = "linux") { "/dev/shm" } else { "" };
    format!("{folder}{}", name.text())
}

/// Takes a name away; a name that is not there is no error.
///
/// # Errors
/// `shm_unlink` failed.
pub fn unlink(name: &ObjectName) -> Result<(), OsError> {
    // SAFETY: a string that ends with NUL and lives through the call.
    if unsafe { libc::shm_unlink(name.raw().as_ptr()) } == 0 {
        return Ok(());
    }
    let error = std::io::Error::last_os_error();
    if error.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(failed("shm_unlink", &error, &place_of(name))) }
}

/// The object, which must be memory or a plain file and not, say, the directory of all objects; and its status, which told that.
fn shm_open(name: &ObjectName, flags: i32, mode: u32) -> std::io::Result<(File, Metadata)> {
    #[cfg(not(target_os = "macos"))]
    let mode: libc::mode_t = mode;
    let fd = loop {
        // SAFETY: a string that ends with NUL and lives through the call.
        let fd = unsafe { libc::shm_open(name.raw().as_ptr(), flags | FLAGS, mode) };
        if fd >= 0 {
            break fd;
        }
        let error = std::io::Error::last_os_error();
        if error.kind() != std::io::ErrorKind::Interrupted {
            return Err(error);
        }
    };
    // SAFETY: a descriptor that was just opened and that nobody else has.
    let file = File::from(unsafe { OwnedFd::from_raw_fd(fd) });
    // macOS gives objects no file type at all.
    let status = file.metadata()?;
    let kind = status.mode() & FILE_TYPE;
    if kind == 0 || kind == PLAIN_FILE { Ok((file, status)) } else { Err(std::io::Error::from_raw_os_error(libc::EINVAL)) }
}

/// Checks that nobody but its owner, root, or a group that we are in can write an object, and that the owner is us, root, or in that group.
pub(crate) fn check_trust(status: &Metadata) -> Result<(), OpenFault> {
    if is_trusted(status.uid(), status.gid(), status.mode()) {
        return Ok(());
    }
    Err(OpenFault::Untrusted { uid: status.uid(), mode: status.mode() & 0o7777 })
}

fn is_trusted(uid: u32, gid: u32, mode: u32) -> bool {
    let ours = uid == 0 || uid == user() || (mode & 0o060 == 0o060 && in_group(gid));
    ours && mode & 0o002 == 0
}

/// Reserves memory beyond the end of the file, in steps, so that a signal in one does not undo them all, and moves the end with the last;
/// what the file system has no room for is refused before the first, which would only take the machine's memory away for a while.
#[cfg(target_os = "linux")]
pub(crate) fn reserve(file: &File, len: u64, label: &str) -> Result<(), OsError> {
    const STEP: u64 = 64 << 20;
    // Less than this is not worth the question: trying takes and gives back no more than that.
    const LITTLE: u64 = 1 << 20;
    if len > LITTLE && room(file).is_some_and(|room| len > room) {
        return Err(OsError::new("fallocate", libc::ENOSPC, label));
    }
    let mut at = 0;
    while at < len {
        let step = STEP.min(len - at);
        let (Ok(from), Ok(count)) = (libc::off_t::try_from(at), libc::off_t::try_from(step)) else {
            return Err(OsError::new("fallocate", libc::EFBIG, label));
        };
        let how = if at + step < len { libc::FALLOC_FL_KEEP_SIZE } else { 0 };
        // SAFETY: an open descriptor and numbers.
        if unsafe { libc::fallocate(file.as_raw_fd(), how, from, count) } == 0 {
            at += step;
            continue;
        }
        let error = std::io::Error::last_os_error();
        if error.kind() != std::io::ErrorKind::Interrupted {
            return Err(failed("fallocate", &error, label));
        }
    }
    Ok(())
}

/// Bytes that the file system has left; `None` where it has no limit or does not tell.
#[cfg(target_os = "linux")]
fn room(file: &File) -> Option<u64> {
    // SAFETY: a plain C struct for which zero is valid.
    let mut status: libc::statvfs = unsafe { core::mem::zeroed() };
    // SAFETY: an open descriptor and a value to write to.
    let answer = unsafe { libc::fstatvfs(file.as_raw_fd(), &raw mut status) };
    #[allow(clippy::useless_conversion, reason = "narrower on 32-bit platforms")]
    let (blocks, free, size) = (u64::try_from(status.f_blocks), u64::try_from(status.f_bavail), u64::try_from(status.f_frsize));
    if answer != 0 || blocks == Ok(0) {
        return None;
    }
    free.ok()?.checked_mul(size.ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_us_root_and_our_groups_are_trusted() {
        let me = user();
        let other = me.wrapping_add(12_345).max(1);
        // SAFETY: takes nothing, cannot fail.
        let group = unsafe { libc::getegid() };
        assert!(is_trusted(me, group, 0o600));
        assert!(is_trusted(0, group.wrapping_add(999), 0o600));
        assert!(!is_trusted(other, group, 0o600));
        assert!(is_trusted(other, group, 0o660));
        assert!(!is_trusted(other, group, 0o640));
        assert!(!is_trusted(other, group.wrapping_add(999), 0o660));
        assert!(!is_trusted(me, group, 0o602));
    }
}
