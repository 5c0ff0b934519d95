//! The stream: a file's bytes, whole, as often as it takes.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::fail::{Failure, Kind};

/// Bytes hashed at a time.
const CHUNK: usize = 1 << 20;

/// A file, repeated up to `total` bytes.
#[derive(Debug)]
pub struct Stream {
    file: File,
    pub path: PathBuf,
    /// Bytes of the file.
    pub len: u64,
    /// Bytes of the stream: a multiple of `len`.
    pub total: u64,
}

impl Stream {
    /// Opens `path`, or the largest file found readily, repeated to at least `bytes`.
    ///
    /// # Errors
    /// It cannot be read, or is no plain file, or is empty.
    pub fn open(path: Option<&Path>, bytes: u64) -> Result<Self, Failure> {
        let path = path.map_or_else(readily, |path| Ok(path.to_path_buf()));
        let path = path.map_err(|error| Failure::io("looking for a file to stream", &error).next("name one with --file"))?;
        let wrong = |error: &io::Error| Failure::io(&path.display().to_string(), error).next("name another with --file");
        let file = File::open(&path).map_err(|error| wrong(&error))?;
        let meta = file.metadata().map_err(|error| wrong(&error))?;
        if !meta.is_file() || meta.len() == 0 {
            let text = format!("{}: a plain file with something in it is wanted", path.display());
            return Err(Failure::new(Kind::Misuse, text).next("name another with --file"));
        }
        let len = meta.len();
        let total = bytes.max(1).div_ceil(len).checked_mul(len);
        let total = total.ok_or_else(|| Failure::new(Kind::Misuse, "--bytes: more than 64 bits can count"))?;
        Ok(Self { file, path, len, total })
    }

    /// The stream of `total` bytes that another process opened.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn reopen(path: &Path, total: u64) -> io::Result<Self> {
        let file = File::open(path)?;
        let len = file.metadata()?.len();
        if len == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
        }
        Ok(Self { file, path: path.to_path_buf(), len, total })
    }

    /// Fills `into` with the stream's bytes from `offset` on.
    ///
    /// # Errors
    /// The file cannot be read, or became shorter.
    pub fn read_at(&self, mut offset: u64, mut into: &mut [u8]) -> io::Result<()> {
        while !into.is_empty() {
            let at = offset % self.len;
            let count = usize::try_from(self.len - at).unwrap_or(usize::MAX).min(into.len());
            let (piece, rest) = into.split_at_mut(count);
            self.file.read_exact_at(piece, at)?;
            offset += count as u64;
            into = rest;
        }
        Ok(())
    }

    /// SHA-256 of the stream's bytes from `from` up to `to`, read from the file: nothing of it comes from shared memory.
    ///
    /// # Errors
    /// As [`read_at`](Self::read_at).
    pub fn sha256(&self, from: u64, to: u64) -> io::Result<String> {
        let mut hasher = Sha256::new();
        let mut chunk = vec![0; CHUNK];
        let mut at = from;
        while at < to {
            let count = usize::try_from(to - at).unwrap_or(CHUNK).min(CHUNK);
            self.read_at(at, &mut chunk[..count])?;
            hasher.update(&chunk[..count]);
            at += count as u64;
        }
        Ok(hex(&hasher.finalize()))
    }
}

/// Bytes as people compare them.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The largest file found readily: the Rust compiler's driver library in a toolchain or in the system, else this executable.
fn readily() -> io::Result<PathBuf> {
    let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".rustup"));
    let rustup = std::env::var_os("RUSTUP_HOME").map(PathBuf::from).or_else(home);
    let toolchains = rustup.map(|home| list(&home.join("toolchains"))).unwrap_or_default();
    let mut places: Vec<PathBuf> = toolchains.into_iter().map(|toolchain| toolchain.join("lib")).collect();
    places
        .extend(["/usr/lib", "/usr/local/lib", "/usr/lib64", "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu"].map(PathBuf::from));
    let files = places.iter().flat_map(|place| list(place)).filter(|path| is_driver(path));
    let sized = files.filter_map(|path| Some((path.metadata().ok().filter(std::fs::Metadata::is_file)?.len(), path)));
    match sized.max() {
        Some((_, path)) => Ok(path),
        None => std::env::current_exe(),
    }
}

fn is_driver(path: &Path) -> bool {
    path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with("librustc_driver"))
}

/// What is in a directory; nothing if it cannot be read.
fn list(directory: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(directory).map(|entries| entries.filter_map(|entry| Some(entry.ok()?.path())).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_is_the_file_again_and_again() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), b"abcde").unwrap();
        let stream = Stream::open(Some(file.path()), 12).unwrap();
        assert_eq!((stream.len, stream.total), (5, 15));
        let mut bytes = [0; 9];
        stream.read_at(3, &mut bytes).unwrap();
        assert_eq!(&bytes, b"deabcdeab");
        assert_eq!(stream.sha256(3, 12).unwrap(), hex(&Sha256::digest(b"deabcdeab")));
        assert_ne!(stream.sha256(3, 12).unwrap(), stream.sha256(3, 11).unwrap());
    }

    #[test]
    fn an_empty_file_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(Stream::open(Some(file.path()), 1).unwrap_err().cause, Kind::Misuse);
        assert_eq!(Stream::open(Some("/nothing/there".as_ref()), 1).unwrap_err().cause, Kind::Os);
    }
}
