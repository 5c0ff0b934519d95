//! The two names of a segment: the path of its flink, and the name of the shared memory object that the flink holds.

use std::ffi::CString;
use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Longest name of an object, in bytes; the flink is never longer.
pub const NAME_MAX: usize = 255;
/// What the names of our objects start with; 16 hexadecimal digits follow.
const PREFIX: &str = "/seqslot-";

/// A path that can be a flink's: UTF-8, with a file name.
///
/// ```
/// use std::path::Path;
/// use seqslot_os_posix::Place;
/// let place = Place::new(Path::new("/run/frames.flink"))?;
/// assert_eq!((place.text(), place.beside("new")), ("/run/frames.flink", "/run/.frames.flink.new".into()));
/// assert!(Place::new(Path::new("/run/..")).is_err());
/// # Ok::<(), &'static str>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    path: PathBuf,
    text: String,
}

impl Place {
    /// Checks `path`.
    ///
    /// # Errors
    /// The reason why it cannot be used.
    ///
    /// ```
    /// use seqslot_os_posix::Place;
    /// assert!(Place::new("/tmp/app/frames.flink".as_ref()).is_ok());
    /// assert_eq!(Place::new("/tmp/app/".as_ref()), Err("the path has no file name"));
    /// ```
    pub fn new(path: &Path) -> Result<Self, &'static str> {
        let text = path.to_str().ok_or("the path is not UTF-8")?;
        if text.contains('\0') {
            return Err("the path contains a NUL byte");
        }
        if text.ends_with('/') || text.ends_with("/.") || path.file_name().is_none() {
            return Err("the path has no file name");
        }
        Ok(Self { path: path.to_path_buf(), text: text.to_owned() })
    }

    /// The path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path as text, for errors.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// A file beside the flink: its name with a dot before it and `suffix` after it.
    #[must_use]
    pub fn beside(&self, suffix: &str) -> PathBuf {
        // `new` has seen to it that there is a file name and that it is UTF-8.
        let file = self.path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        self.path.with_file_name(format!(".{file}.{suffix}"))
    }
}

/// The name of a shared memory object: a slash, then 1 to 254 bytes without a slash.
///
/// ```
/// use seqslot_os_posix::ObjectName;
/// let name = ObjectName::random();
/// assert!(name.is_ours());
/// assert_eq!(name.digits().map(str::len), Some(16));
/// assert_eq!(ObjectName::parse(name.text().as_bytes()), Some(name));
/// assert_eq!(ObjectName::parse(b"no slash"), None);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectName {
    text: String,
    raw: CString,
}

impl ObjectName {
    /// A new name that nobody can guess.
    #[must_use]
    pub fn random() -> Self {
        // SipHash under keys that the operating system drew; pid and time tell a forked child, which has the same keys, apart.
        let mut hasher = RandomState::new().build_hasher();
        hasher.write_u32(std::process::id());
        if let Ok(time) = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
            hasher.write_u128(time.as_nanos());
        }
        let text = format!("{PREFIX}{:016x}", hasher.finish());
        let raw = CString::new(text.as_bytes()).unwrap_or_default();
        Self { text, raw }
    }

    /// Parses what a flink holds; `None` if it is not the name of an object.
    ///
    /// ```
    /// use seqslot_os_posix::ObjectName;
    /// assert!(ObjectName::parse(b"/shmem_F749159A8917D0D5").is_some());
    /// assert!(ObjectName::parse(b"/a/../b").is_none());
    /// assert!(ObjectName::parse(b"/name\n").is_none());
    /// ```
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let name = text.strip_prefix('/')?;
        let plain = !name.is_empty() && name != "." && name != ".." && !name.contains('/') && !name.chars().any(char::is_control);
        if !plain || bytes.len() > NAME_MAX {
            return None;
        }
        Some(Self { text: text.to_owned(), raw: CString::new(text).ok()? })
    }

    /// Whether it is a name that [`random`](Self::random) makes: an object with another name is somebody else's, and its
    /// owner holds no lock that we could see.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        self.digits().is_some()
    }

    /// The 16 digits of one of our names.
    #[must_use]
    pub fn digits(&self) -> Option<&str> {
        let digits = self.text.strip_prefix(PREFIX)?;
        (digits.len() == 16 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))).then_some(digits)
    }

    /// The name as text, with its slash.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The name as the system wants it.
    #[must_use]
    pub fn raw(&self) -> &std::ffi::CStr {
        &self.raw
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStrExt;

    #[test]
    fn random_names_are_ours_differ_and_parse() {
        let (a, b) = (ObjectName::random(), ObjectName::random());
        assert_ne!(a, b);
        assert!(a.is_ours());
        assert_eq!(a.text().len(), 25);
        assert_eq!(ObjectName::parse(a.text().as_bytes()), Some(a));
    }

    #[test]
    fn what_is_not_an_objects_name_is_refused() {
        let long = format!("/{}", "x".repeat(NAME_MAX));
        for bad in [&b""[..], b"/", b"name", b"/..", b"/.", b"//x", b"/a/b", b"/x\n", b"/x\0", b"/\xff", long.as_bytes()] {
            assert_eq!(ObjectName::parse(bad), None, "{bad:?}");
        }
        assert!(ObjectName::parse(&long.as_bytes()[..NAME_MAX]).is_some());
        assert!(!ObjectName::parse(b"/shmem_F749159A8917D0D5").unwrap().is_ours());
        assert!(!ObjectName::parse(b"/seqslot-0123456789ABCDEF").unwrap().is_ours());
    }

    #[test]
    fn paths_without_a_file_name_or_not_utf8_are_refused() {
        for bad in ["", "/", "a/", "a/..", "..", "a/."] {
            assert!(Place::new(Path::new(bad)).is_err(), "{bad}");
        }
        assert!(Place::new(Path::new(std::ffi::OsStr::from_bytes(b"/tmp/\xff"))).is_err());
        assert!(Place::new(Path::new("/tmp/a\0b")).is_err());
        assert_eq!(Place::new(Path::new("/x/y")).unwrap().beside("new"), Path::new("/x/.y.new"));
        assert_eq!(Place::new(Path::new("y")).unwrap().beside("new"), Path::new(".y.new"));
    }
}
