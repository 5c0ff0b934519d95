//! Target: a flink's contents, and names, of any bytes.
//!
//! The input: the length of a name, the name, then the contents.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use seqslot_core::{Access, Config, Os as _};
use seqslot_os_posix::{ObjectName, Place};

/// Runs the target.
pub fn flink(bytes: &[u8]) {
    let Some((len, rest)) = bytes.split_first() else { return };
    let (name, contents) = rest.split_at(rest.len().min(usize::from(*len)));
    if let Some(object) = ObjectName::parse(contents) {
        assert_eq!(object.text().as_bytes(), contents, "a name is what the flink holds");
        assert_eq!(object.raw().to_bytes(), contents);
        assert!(contents.len() <= seqslot_os_posix::name::NAME_MAX && contents[0] == b'/' && !contents[1..].contains(&b'/'));
        assert_eq!(object.is_ours(), object.digits().is_some_and(|digits| digits.len() == 16));
    }
    if let Ok(place) = Place::new(Path::new(OsStr::from_bytes(name))) {
        let beside = place.beside("new");
        assert_eq!(beside.parent(), place.path().parent(), "a draft stands beside its flink");
        assert_ne!(beside, place.path());
    }
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    opened(&folder.path().join("flink"), contents);
    named(folder.path(), name);
    let left: Vec<_> = std::fs::read_dir(folder.path()).expect("our folder").map(|entry| entry.expect("our folder").file_name()).collect();
    assert!(left.is_empty(), "left behind: {left:?}");
}

/// A file with these contents, under a path of ours: opened, inspected, and, if it is no flink, offered to a create, which must refuse.
fn opened(path: &Path, contents: &[u8]) {
    std::fs::write(path, contents).expect("a file of our own");
    let platform = seqslot::platform();
    std::hint::black_box((platform.open(path, Access::ReadOnly).is_ok(), platform.inspect(path).is_ok()));
    // What the name leads to may be somebody's: it is not made, not taken over, and not removed here.
    if ObjectName::parse(contents).is_none() {
        assert!(platform.open(path, Access::ReadWrite).is_err(), "opened what is no flink");
        assert!(seqslot::create(path, &Config::slots(1, 1)).is_err(), "created over a file that is no flink");
        assert_eq!(std::fs::read(path).ok().as_deref(), Some(contents), "changed a file that is no flink");
    }
    std::fs::remove_file(path).expect("a file of our own");
}

/// A segment under a name of these bytes in our folder, if it can be one: made, attached, gone.
fn named(folder: &Path, name: &[u8]) {
    if name.contains(&b'/') || name.len() > 200 {
        return;
    }
    let path = folder.join(OsStr::from_bytes(name));
    if let Ok(made) = seqslot::create(&path, &Config::slots(1, 1)) {
        let attached = seqslot::attach(&path).expect("made just now");
        assert_eq!(made.head(), attached.head());
    }
}
