//! Reads the VMClock page, of the device `/dev/vmclock0` or of a file, by `pread`.

use std::ffi::CString;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use portable_atomic::{Ordering, fence};
use seqslot_core::clockbound::{ShmError, VMCLOCK_LEN, VmClock, VmClockError};

use super::file::{failed, open, read};

/// Looks before a hypervisor that keeps writing is given up. It is never waited for: a page that is half written tells of no disruption.
const TRIES: u32 = 1_000;

/// The page's place.
pub const VMCLOCK_DEFAULT_PATH: &str = "/dev/vmclock0";

/// Reads the VMClock page. It keeps the file open, and the last page it read.
///
/// ```
/// use seqslot_os_posix::VmClockReader;
/// let mut page = [0; 0x68];
/// page[0x00..0x04].copy_from_slice(b"VCLK");
/// page[0x04] = 0x68;
/// page[0x08] = 1;
/// page[0x10] = 7;
/// # let path = std::env::temp_dir().join(format!("seqslot-vmclock-{}", std::process::id()));
/// std::fs::write(&path, page)?;
/// let mut reader = VmClockReader::new(&path)?;
/// assert_eq!(reader.snapshot()?.disruption_marker(), 7);
/// # std::fs::remove_file(&path)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct VmClockReader {
    file: File,
    /// What is known of the length: nothing of a device.
    is_plain: bool,
    last: Option<(Image, VmClock)>,
    /// The odd count at which it was given up that the hypervisor was writing: who finds it again need not look so often.
    stuck: Option<u32>,
}

/// The first bytes of the page, and how many there were.
type Image = ([u8; VMCLOCK_LEN], usize);

impl VmClockReader {
    /// Opens the page at `path` ([`VMCLOCK_DEFAULT_PATH`]), and reads it once.
    ///
    /// # Errors
    /// [`VmClockError`]: it cannot be opened or read, is not a VMClock page, or of another version. Whether the page is being written is for
    /// the [`snapshot`](Self::snapshot) to find out, unless the driver says so itself ([`VmClockError::Busy`]).
    pub fn new(path: impl AsRef<Path>) -> Result<Self, VmClockError> {
        let name = CString::new(path.as_ref().as_os_str().as_bytes()).map_err(|_| VmClockError::SyscallError(libc::EINVAL, c"open"))?;
        let file = open(&name).map_err(told)?;
        let kind = file.metadata().map_err(|error| told(failed(&error, c"fstat")))?.file_type();
        if !kind.is_file() && !kind.is_char_device() {
            return Err(VmClockError::Malformed);
        }
        let reader = Self { file, is_plain: kind.is_file(), last: None, stuck: None };
        reader.look()?;
        Ok(reader)
    }

    /// The page as it is: a reference to the reader's own copy. Every sequence count counts, 0 as well.
    ///
    /// Never waits where the page is a file; at most 1,000 tries, and one if the page is found where the last snapshot gave it up. The driver of
    /// the device (Linux 6.14) waits itself, up to 100 ms, while the hypervisor writes.
    ///
    /// # Errors
    /// As [`new`](Self::new); and [`VmClockError::Busy`] if the hypervisor wrote during every try, or for longer than its driver waits. A page
    /// read earlier is no answer: what is asked is whether it has changed.
    pub fn snapshot(&mut self) -> Result<&VmClock, VmClockError> {
        let (mut odd, mut tries) = (None, 0);
        while tries < TRIES && (odd.is_none() || odd != self.stuck) {
            tries += 1;
            if let Some(found) = self.attempt(&mut odd)? {
                self.stuck = None;
                return Ok(&self.last.insert(found).1);
            }
            std::hint::spin_loop();
        }
        self.stuck = odd;
        Err(VmClockError::Busy { tries })
    }

    /// A page that is whole, if one is to be had; else at which odd count the hypervisor was found, if at one.
    fn attempt(&self, odd: &mut Option<u32>) -> Result<Option<(Image, VmClock)>, VmClockError> {
        let before = self.look()?;
        // The very bytes of a page that was whole are that page, whatever happened in between.
        if self.last.is_some_and(|last| last.0 == before.0) {
            return Ok(self.last);
        }
        *odd = before.1.is_busy().then(|| before.1.sequence());
        if odd.is_some() {
            return Ok(None);
        }
        // ORDERING: SeqCst fence, edge "payload": the page is read after its count (by this processor, in the kernel); pairs with the
        // hypervisor's store of the even count.
        fence(Ordering::SeqCst);
        let during = self.look()?;
        // ORDERING: SeqCst fence, edge "torn": the count is read after the page; pairs with what orders the hypervisor's odd count before
        // what it writes.
        fence(Ordering::SeqCst);
        let after = self.look()?;
        let counts = [before, during, after].map(|(_, clock)| clock.sequence());
        Ok((counts == [counts[0]; 3]).then_some(during))
    }

    /// The page as it reads at this moment, checked.
    fn look(&self) -> Result<(Image, VmClock), VmClockError> {
        let mut bytes = [0; VMCLOCK_LEN];
        let len = read(&self.file, &mut bytes).map_err(told)?;
        let size = if self.is_plain { Some(self.file.metadata().map_err(|error| told(failed(&error, c"fstat")))?.len()) } else { None };
        Ok(((bytes, len), VmClock::of_bytes(&bytes[..len], size)?))
    }
}

/// A failed call of `file` as this face tells it.
fn told(error: ShmError) -> VmClockError {
    match error {
        // The device's driver has waited for the hypervisor.
        ShmError::SyscallError(libc::ETIMEDOUT, _) => VmClockError::Busy { tries: 1 },
        ShmError::SyscallError(errno, call) => VmClockError::SyscallError(errno, call),
        _ => VmClockError::Malformed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_driver_that_has_waited_in_vain_tells_of_a_busy_page() {
        assert_eq!(told(ShmError::SyscallError(libc::ETIMEDOUT, c"pread")), VmClockError::Busy { tries: 1 });
        assert_eq!(told(ShmError::SyscallError(libc::EIO, c"pread")), VmClockError::SyscallError(libc::EIO, c"pread"));
    }
}
