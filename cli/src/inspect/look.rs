//! Finds the bytes behind a path, whatever the path is.

use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use seqslot::Platform;
use seqslot_core::{Access, OpenFault, Os};
use seqslot_os_posix::{Object, ObjectName, PosixMapping};

use crate::fail::{self, Failure, Kind};

/// A mapped object of this host.
pub type Mapping = <Platform as Os>::Mapping;

/// What is behind a path.
pub struct Look {
    /// The bytes, mapped read-only.
    pub mapping: Mapping,
    /// Name of the shared memory object that the path names; none if the path is the object.
    pub object: Option<String>,
    /// What errors call it.
    pub label: String,
}

/// Something else that bytes can be.
#[derive(Debug, PartialEq, Eq)]
pub struct Other {
    /// What it is.
    pub what: &'static str,
    /// What to do with it.
    pub next: &'static str,
}

/// Maps what `path` names, or is.
///
/// # Errors
/// Nothing is there, it is no plain file, or the system refused.
pub fn open(path: &Path) -> Result<Look, Failure> {
    let label = path.display().to_string();
    let meta = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let failure = Failure::new(Kind::Contention, format!("{label}: no such path (yet)"));
            return Err(failure.next("start the writer (`seqslot pub PATH`), or look whether the path is right"));
        }
        Err(error) => return Err(Failure::io(&label, &error)),
        Ok(meta) => meta,
    };
    let kind = meta.file_type();
    if kind.is_symlink() {
        let failure = Failure::new(Kind::Corruption, format!("{label}: a symbolic link; segments are never opened through one"));
        return Err(match fs::read_link(path) {
            Ok(target) => failure.next(format!("give its target: {}", target.display())),
            Err(_) => failure,
        });
    }
    if !kind.is_file() {
        let what = match () {
            () if kind.is_dir() => "a directory",
            () if kind.is_fifo() => "a pipe",
            () if kind.is_socket() => "a socket",
            () => "a device",
        };
        let failure = Failure::new(Kind::Corruption, format!("{label}: {what}, not a segment"));
        return Err(failure.next("give the path that the writer was given"));
    }
    match name_in(path, meta.len()) {
        Some(name) => by_name(path, name, label),
        None => raw(path, label),
    }
}

/// The name in a name file; `None` if it is none, or cannot be read.
fn name_in(path: &Path, len: u64) -> Option<String> {
    if len > seqslot_os_posix::name::NAME_MAX as u64 {
        return None;
    }
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(seqslot_os_posix::name::NAME_MAX as u64 + 1).read_to_end(&mut bytes).ok()?;
    ObjectName::parse(&bytes).map(|name| name.text().to_owned())
}

fn by_name(path: &Path, object: String, label: String) -> Result<Look, Failure> {
    match seqslot::platform().inspect(path) {
        Ok(mapping) => Ok(Look { mapping, object: Some(object), label }),
        Err(OpenFault::NotFound) => {
            let text = format!(
                "{label}: names the object {object}, which is not there: its creator is at it just now, or died, or it was removed"
            );
            Err(Failure::new(Kind::Contention, text).next("try again; if it stays so: `seqslot rm PATH`"))
        }
        Err(OpenFault::Os(error)) => Err(Failure::of(error.cause(), &label, &error).next(fail::os_advice(&error))),
        Err(error) => Err(Failure::of(error.cause(), &label, &error)),
    }
}

/// Maps the file itself.
fn raw(path: &Path, label: String) -> Result<Look, Failure> {
    let file = File::open(path).map_err(|error| Failure::io(&label, &error))?;
    let object = Object::nameless(OwnedFd::from(file), Access::ReadOnly);
    let refused = |error: seqslot::OsError| Failure::of(error.cause(), &label, &error).next(fail::os_advice(&error));
    let Some(mapping) = PosixMapping::of(object).map_err(refused)? else {
        let failure = Failure::new(Kind::Corruption, format!("{label}: an empty file, not a segment"));
        return Err(failure.next("give the path that the writer was given"));
    };
    Ok(Look { mapping, object: None, label })
}

/// What the first bytes say, where they are not ours but known.
pub fn identify(start: &[u8; 16]) -> Option<Other> {
    let word = |at: usize| u32::from_ne_bytes([start[at], start[at + 1], start[at + 2], start[at + 3]]);
    let other = |what, next| Some(Other { what, next });
    match (word(0), word(4)) {
        (0x414D_5A4E, 0x4342_0200) => other("a ClockBound segment", "read it with seqslot::ShmReader, or ClockBound's own tools"),
        (0x5A44_5332, _) => other("a \"ZDS2\" slots segment of ZeroDDS", "use the tools of the program that made it"),
        (0x4B4C_4356, _) => other("a VMClock page", "read it with a program for the virtual machine's clock"),
        _ if start.starts_with(b"\x7fELF") => other("an executable or library", "give the path that the writer was given"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_formats_are_known_by_their_first_words() {
        let mut start = [0; 16];
        assert_eq!(identify(&start), None);
        start[..4].copy_from_slice(&0x5A44_5332_u32.to_ne_bytes());
        assert!(identify(&start).unwrap().what.contains("ZDS2"));
        start[..4].copy_from_slice(&0x414D_5A4E_u32.to_ne_bytes());
        assert_eq!(identify(&start), None, "half a magic is none");
        start[4..8].copy_from_slice(&0x4342_0200_u32.to_ne_bytes());
        assert!(identify(&start).unwrap().what.contains("ClockBound"));
    }
}
