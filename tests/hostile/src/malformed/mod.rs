//! Files that are wrong in one way each, and what is answered to them: the committed corpus in `tests/hostile/malformed`.
//!
//! `cargo run -p seqslot-hostile --example malformed` writes the corpus anew; `tests/malformed.rs` checks that what is committed is what is
//! made here, and that every door through which such a file can come in gives the documented answer.

mod clockbound;
mod flink;
mod vmclock;
mod zds2;

/// A file that is wrong in one way (or right, for contrast).
#[derive(Debug, Clone)]
pub struct Malformed {
    /// Its name in the corpus.
    pub name: String,
    /// The answer: `Ok`, or the name of an error.
    pub answer: &'static str,
    /// What is wrong with it.
    pub why: &'static str,
    /// Its contents.
    pub bytes: Vec<u8>,
}

impl Malformed {
    fn new(name: impl Into<String>, answer: &'static str, why: &'static str, bytes: impl Into<Vec<u8>>) -> Self {
        Self { name: name.into(), answer, why, bytes: bytes.into() }
    }
}

/// A kind of file, by the name of its folder, and its files.
pub type Kind = (&'static str, fn() -> Vec<Malformed>);

/// All kinds.
pub const KINDS: [Kind; 4] =
    [("clockbound", clockbound::files), ("vmclock", vmclock::files), ("flink", flink::files), ("zds2", zds2::files)];

/// The table that stands beside a kind's files: name, answer and what is wrong, separated by tabs.
#[must_use]
pub fn table(files: &[Malformed]) -> String {
    let mut table = String::from("file\tanswer\twhat is wrong\n");
    for Malformed { name, answer, why, .. } in files {
        table.push_str(&format!("{name}\t{answer}\t{why}\n"));
    }
    table
}

/// Bytes with fields put into them, little-endian.
#[derive(Clone)]
struct Image(Vec<u8>);

impl Image {
    fn zeros(len: usize) -> Self {
        Self(vec![0; len])
    }

    /// Puts `bytes` at `at`.
    fn put(mut self, at: usize, bytes: impl AsRef<[u8]>) -> Self {
        let bytes = bytes.as_ref();
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }

    /// Cuts it short, or adds zeros.
    fn resized(mut self, len: usize) -> Self {
        self.0.resize(len, 0);
        self
    }
}

impl From<Image> for Vec<u8> {
    fn from(image: Image) -> Self {
        image.0
    }
}
