//! Standard output for streams: whole buffers, and never stuck when Ctrl-C comes.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::fd::{AsFd, BorrowedFd};

use crate::signals::{self, For, Ready};

/// Bytes collected before they are written.
const BUFFER: usize = 256 * 1024;
/// What a pipe that is ready takes without blocking (`PIPE_BUF` is at least 512 everywhere, 4096 on Linux).
const ATOMIC: usize = 512;

/// Standard output, behind a buffer.
pub type Out = BufWriter<Raw>;

/// Standard output itself.
#[derive(Debug)]
pub struct Raw(File);

/// Opens standard output.
///
/// # Errors
/// The descriptor could not be duplicated.
pub fn open() -> io::Result<Out> {
    let fd = io::stdout().as_fd().try_clone_to_owned()?;
    Ok(BufWriter::with_capacity(BUFFER, Raw(File::from(fd))))
}

impl AsFd for Raw {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Write for Raw {
    /// Writes what can be written. Once a signal has come it takes only what does not block, and fails where everything would.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            if signals::wait(Some(self.0.as_fd()), For::Writing, None)? == Ready::Interrupted {
                if signals::requested() {
                    return Err(io::Error::other("interrupted"));
                }
                continue;
            }
            let len = if signals::requested() { bytes.len().min(ATOMIC) } else { bytes.len() };
            match self.0.write(&bytes[..len]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                answer => return answer,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
