//! The flink file: read and checked, locked, written whole or not at all.
//!
//! A flink is put at a path where nothing is in one step, out of a file that has no name before (`O_TMPFILE`). Where the system cannot do
//! that, and to take over, it is drafted beside its place. A draft of the dead is removed by whoever drafts next, or takes the flink away.
//!
//! Cases, by what a process killed at that instant leaves:
//!
//! | after | left behind | what a later create does |
//! |---|---|---|
//! | the file without a name is made | nothing | |
//! | it is linked to the path | a flink that names no object | takes over |
//! | the draft is made | `.<file>.seqslot-new`, unlocked | removes it, makes its own |
//! | the draft is linked to the path | both names of one file | removes the draft's name; takes over the flink, which names no object |
//! | the object is made, not yet owned | a flink and its object | takes over: removes the object, replaces the flink |
//! | takeover: the old object is removed | a flink that names no object | takes over |
//! | takeover: the draft is renamed | a flink that names no object | takes over |

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::marker::PhantomData;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::PathBuf;

use seqslot_core::OsError;

use crate::call::{failed, user};
use crate::fork::Claim;
use crate::locking::Locking;
use crate::name::{NAME_MAX, ObjectName, Place};
use crate::object::{mode, set_mode};
#[cfg(target_os = "linux")]
use crate::unnamed;

/// Why there is no flink to work with.
#[derive(Debug)]
pub(crate) enum FlinkFault {
    /// Nothing has the path.
    Missing,
    /// Something that is not a flink has it.
    Foreign,
    /// A system call failed.
    Os(OsError),
}

/// A flink that was read: its file and what it names.
#[derive(Debug)]
pub(crate) struct Flink {
    file: File,
    pub(crate) name: ObjectName,
}

impl Flink {
    /// Opens and reads the flink, for writing too if it is to be locked. A link at the path is not followed; anything but
    /// a small plain file is not even opened.
    pub(crate) fn open(place: &Place, lockable: bool) -> Result<Self, FlinkFault> {
        let wrong = |call, error: &std::io::Error| match (error.kind(), error.raw_os_error()) {
            (ErrorKind::NotFound, _) => FlinkFault::Missing,
            // ELOOP: a link; the others: it became something else since the look.
            (_, Some(libc::ELOOP | libc::EISDIR | libc::ENXIO)) => FlinkFault::Foreign,
            _ => FlinkFault::Os(failed(call, error, place.text())),
        };
        let small = |meta: &fs::Metadata| meta.is_file() && (2..=NAME_MAX as u64).contains(&meta.len());
        let before = fs::symlink_metadata(place.path()).map_err(|e| wrong("lstat", &e))?;
        if !small(&before) {
            return Err(FlinkFault::Foreign);
        }
        let mut options = OpenOptions::new();
        options.read(true).write(lockable).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
        let file = options.open(place.path()).map_err(|e| wrong("open", &e))?;
        if !small(&file.metadata().map_err(|e| wrong("fstat", &e))?) {
            return Err(FlinkFault::Foreign);
        }
        let mut bytes = [0; NAME_MAX + 1];
        let len = file.read_at(&mut bytes, 0).map_err(|e| wrong("pread", &e))?;
        let name = ObjectName::parse(&bytes[..len]).ok_or(FlinkFault::Foreign)?;
        Ok(Self { file, name })
    }

    /// Whether it belongs to the caller or to root.
    pub(crate) fn is_ours(&self) -> bool {
        self.file.metadata().is_ok_and(|meta| meta.uid() == user() || meta.uid() == 0)
    }

    /// Locks it, without waiting; `None` if somebody has it locked. It must have been opened lockable.
    pub(crate) fn try_lock<L: Locking>(self, place: &Place) -> Result<Option<Locked>, OsError> {
        let lock = Claim::keep(self.file.into(), L::unlock, place.text())?;
        Ok(L::try_lock_file(lock.as_fd(), place.text())?.then_some(Locked { lock, name: self.name }))
    }
}

/// A flink that nobody else can replace or remove.
#[derive(Debug)]
pub(crate) struct Locked {
    lock: Claim,
    pub(crate) name: ObjectName,
}

impl Locked {
    /// Puts a flink that names `name` at `place`, whole and locked, if nothing is there: in one step, without a draft. `None` if something
    /// is there, or anything else was in the way: then a [`Draft`] tells what.
    #[cfg(target_os = "linux")]
    pub(crate) fn publish<L: Locking>(place: &Place, name: &ObjectName, group: bool) -> Option<Self> {
        let file = unnamed::make(place, name.text(), mode(group))?;
        L::try_lock_file(file.as_fd(), place.text()).ok()?.then_some(())?;
        let lock = Claim::keep(file.into(), L::unlock, place.text()).ok()?;
        unnamed::link(lock.as_fd(), place).then(|| Self { lock, name: name.clone() })
    }

    /// There is no such step here.
    #[cfg(not(target_os = "linux"))]
    pub(crate) fn publish<L: Locking>(_place: &Place, _name: &ObjectName, _group: bool) -> Option<Self> {
        None
    }

    /// Whether the path still names the file that was locked.
    pub(crate) fn is_current(&self, place: &Place) -> Result<bool, OsError> {
        let held = self.lock.metadata().map_err(|e| failed("fstat", &e, place.text()))?;
        is_named(&held, place.path(), place.text())
    }

    /// Removes the flink, if it is still the one that was locked.
    pub(crate) fn remove(&self, place: &Place) -> Result<(), OsError> {
        if !self.is_current(place)? {
            return Ok(());
        }
        fs::remove_file(place.path()).map_err(|e| failed("unlink", &e, place.text()))
    }
}

/// Whether `path` names the file that `held` is about.
fn is_named(held: &fs::Metadata, path: &std::path::Path, label: &str) -> Result<bool, OsError> {
    match fs::symlink_metadata(path) {
        Ok(now) => Ok((now.dev(), now.ino()) == (held.dev(), held.ino())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(failed("lstat", &error, label)),
    }
}

/// A flink that is written and locked, and not yet at its path. Dropping it removes it.
#[derive(Debug)]
pub(crate) struct Draft<L: Locking> {
    path: PathBuf,
    locked: Option<Locked>,
    _locking: PhantomData<L>,
}

/// How drafting ended without a draft.
#[derive(Debug)]
pub(crate) enum DraftFault {
    /// Somebody else is drafting the same flink.
    Busy,
    /// A system call failed.
    Os(OsError),
}

impl From<OsError> for DraftFault {
    fn from(error: OsError) -> Self {
        Self::Os(error)
    }
}

impl<L: Locking> Draft<L> {
    /// How often the draft's name is tried while others come and go.
    const TRIES: u32 = 100;

    /// Writes a flink that names `name` beside `place`. There is one name for drafts, so that the dead leave at most one.
    pub(crate) fn write(place: &Place, name: &ObjectName, group: bool) -> Result<Self, DraftFault> {
        let path = Self::path(place);
        let label = path.to_str().unwrap_or(place.text());
        for _ in 0..Self::TRIES {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create_new(true).mode(mode(group)).custom_flags(libc::O_NOFOLLOW);
            let mut file = match options.open(&path) {
                Ok(file) => file,
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                    Self::remove_dead(&path, label)?;
                    continue;
                }
                Err(error) => return Err(failed("open", &error, label).into()),
            };
            let status = file.metadata().map_err(|e| failed("fstat", &e, label))?;
            let written = file.write_all(name.text().as_bytes()).map_err(|e| failed("write", &e, label));
            let written = written.and_then(|()| set_mode(&file, &status, mode(group), label));
            // Until it is locked, others take it for a dead one's, remove it, and put theirs at the path. So nothing is removed here
            // before the lock is had: where no lock can be had, the next create removes what this one leaves.
            if !L::try_lock_file(file.as_fd(), label)? || !is_named(&status, &path, label)? {
                continue;
            }
            let lock = match Claim::keep_or_return(file.into(), L::unlock, label) {
                Ok(lock) => lock,
                Err((_locked, error)) => {
                    // The first error is the one to tell.
                    let _ = fs::remove_file(&path);
                    return Err(error.into());
                }
            };
            // From here on the draft itself removes it.
            let draft = Self { path: path.clone(), locked: Some(Locked { lock, name: name.clone() }), _locking: PhantomData };
            // An error here drops the draft, which removes it.
            written?;
            return Ok(draft);
        }
        Err(DraftFault::Busy)
    }

    /// Where drafts of the flink at `place` are.
    fn path(place: &Place) -> PathBuf {
        place.beside("seqslot-new")
    }

    /// Removes the draft that a dead creator may have left, where the flink goes and nobody may ever draft again. A living one's stays.
    pub(crate) fn sweep(place: &Place) {
        let path = Self::path(place);
        // What this fails at, the next to draft meets again, and tells.
        let _ = Self::remove_dead(&path, place.text());
    }

    /// Removes a draft that nobody has locked.
    fn remove_dead(path: &std::path::Path, label: &str) -> Result<(), DraftFault> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
        let file = match options.open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(failed("open", &error, label).into()),
        };
        let lock = Claim::keep(file.into(), L::unlock, label)?;
        if !L::try_lock_file(lock.as_fd(), label)? {
            return Err(DraftFault::Busy);
        }
        if is_named(&lock.metadata().map_err(|e| failed("fstat", &e, label))?, path, label)? {
            fs::remove_file(path).map_err(|e| failed("unlink", &e, label))?;
        }
        Ok(())
    }

    /// Puts it at `place` if nothing is there. The draft comes back if something is.
    pub(crate) fn publish(mut self, place: &Place) -> Result<Result<Locked, Self>, OsError> {
        match fs::hard_link(&self.path, place.path()) {
            Ok(()) => Ok(match self.locked.take() {
                Some(locked) => {
                    // The name of the draft is not needed any more; left behind, it is removed by the next create.
                    let _ = fs::remove_file(&self.path);
                    Ok(locked)
                }
                None => Err(self),
            }),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(Err(self)),
            Err(error) => Err(failed("link", &error, place.text())),
        }
    }

    /// Puts it at `place` over the flink that is there, which the caller has locked.
    pub(crate) fn replace(mut self, place: &Place) -> Result<Option<Locked>, OsError> {
        fs::rename(&self.path, place.path()).map_err(|e| failed("rename", &e, place.text()))?;
        Ok(self.locked.take())
    }
}

impl<L: Locking> Drop for Draft<L> {
    fn drop(&mut self) {
        // Still locked, so the name is this draft's; the lock goes after it.
        if self.locked.is_some() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
#[allow(unsafe_code, reason = "a way to lock that never gives a lock")]
mod tests {
    use std::os::fd::BorrowedFd;

    use seqslot_core::Lock;

    use super::*;
    use crate::object::Object;

    /// What happens to a draft between its opening and its lock.
    #[derive(Debug)]
    struct Robbed;

    // SAFETY: no lock is ever given, no claim ever made.
    unsafe impl Locking for Robbed {
        /// Another process takes the draft for a dead one's, removes it, and puts its own at the path; then no lock is to be had.
        fn try_lock_file(_file: BorrowedFd<'_>, path: &str) -> Result<bool, OsError> {
            fs::remove_file(path).unwrap();
            fs::write(path, SUCCESSOR).unwrap();
            Err(OsError::new("fcntl(F_OFD_SETLK)", libc::ENOLCK, path))
        }

        fn unlock(_file: BorrowedFd<'_>) {}

        fn claim(_object: &Object, _lock: Lock) -> Result<Option<Claim>, OsError> {
            Ok(None)
        }

        fn is_claimed(_object: &Object, _lock: Lock) -> Result<bool, OsError> {
            Ok(false)
        }
    }

    /// Gives every lock that is asked for, as a system without other processes would.
    #[derive(Debug)]
    struct Alone;

    // SAFETY: no claim is ever made.
    unsafe impl Locking for Alone {
        fn try_lock_file(_file: BorrowedFd<'_>, _path: &str) -> Result<bool, OsError> {
            Ok(true)
        }

        fn unlock(_file: BorrowedFd<'_>) {}

        fn claim(_object: &Object, _lock: Lock) -> Result<Option<Claim>, OsError> {
            Ok(None)
        }

        fn is_claimed(_object: &Object, _lock: Lock) -> Result<bool, OsError> {
            Ok(false)
        }
    }

    #[test]
    fn a_draft_and_a_file_without_a_name_become_the_same_flink_and_replace_none() {
        let dir = tempfile::tempdir().unwrap();
        let names = || fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>();
        for drafted in [true, false] {
            let place = Place::new(&dir.path().join("s.flink")).unwrap();
            let publish = |name: &ObjectName| match drafted {
                true => Draft::<Alone>::write(&place, name, true).unwrap().publish(&place).unwrap().ok(),
                false => Locked::publish::<Alone>(&place, name, true),
            };
            let name = ObjectName::random();
            let Some(locked) = publish(&name) else {
                assert!(!drafted, "a draft works everywhere");
                continue;
            };
            assert_eq!((names(), fs::read_to_string(place.path()).unwrap().as_str()), (vec!["s.flink".into()], name.text()));
            assert_eq!(fs::metadata(place.path()).unwrap().mode() & 0o777, 0o660, "whatever the mask says");
            assert!(publish(&ObjectName::random()).is_none());
            assert_eq!((names(), fs::read_to_string(place.path()).unwrap().as_str()), (vec!["s.flink".into()], name.text()));
            locked.remove(&place).unwrap();
            assert!(names().is_empty());
        }
    }

    const SUCCESSOR: &str = "/seqslot-0123456789abcdef";

    #[test]
    fn a_draft_that_could_not_be_locked_is_left_for_it_may_be_anothers() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::new(&dir.path().join("s.flink")).unwrap();
        let fault = Draft::<Robbed>::write(&place, &ObjectName::random(), false).err();
        assert!(matches!(fault, Some(DraftFault::Os(error)) if error.errno() == libc::ENOLCK));
        assert_eq!(fs::read_to_string(place.beside("seqslot-new")).ok().as_deref(), Some(SUCCESSOR));
    }
}
