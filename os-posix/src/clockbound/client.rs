//! ClockBound 3.0's client: the daemon's segment, and beside it the VMClock page, which tells of a disruption before the daemon does.

use core::fmt;
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use seqslot_core::Cause;
use seqslot_core::clockbound::{ClockStatus, Rules, ShmError, TimeSpec, VmClockError};

use super::bound::ClockErrorBound;
use super::reader::ShmReader;
use super::vmclock::{VMCLOCK_DEFAULT_PATH, VmClockReader};

/// Where ClockBound 2.x and 3.0 write layout 2.
pub const CLOCKBOUND_SHM_DEFAULT_PATH_V0: &str = "/var/run/clockbound/shm0";
/// Where ClockBound 3.0 writes layout 3.
pub const CLOCKBOUND_SHM_DEFAULT_PATH_V1: &str = "/var/run/clockbound/shm1";

/// The interval that holds the true time, and what the clock is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TimeWindow {
    /// The true time is not before this.
    pub earliest: TimeSpec,
    /// The true time is not after this.
    pub latest: TimeSpec,
    /// Whether the interval may be relied on: where it is `Synchronized` or `FreeRunning`.
    pub clock_status: ClockStatus,
}

/// Reads the daemon's segment, of either layout, and, if the daemon watches for disruptions, the VMClock page.
///
/// ```
/// # let folder = std::env::temp_dir().join(format!("seqslot-client-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// # let (segment, page) = (folder.join("shm0"), folder.join("vmclock0"));
/// # let mut bytes = vec![0; 80];
/// # bytes[..16].copy_from_slice(&[0x414D_5A4E_u32, 0x4342_0200, 80, u32::from_ne_bytes([2_u16.to_ne_bytes(), [2; 2]].concat().try_into().unwrap())].map(u32::to_ne_bytes).concat());
/// # bytes[72] = 1;
/// # std::fs::write(&segment, &bytes)?;
/// # let mut clock = vec![0; 0x68];
/// # clock[..4].copy_from_slice(b"VCLK");
/// # (clock[4], clock[8]) = (0x68, 1);
/// # std::fs::write(&page, &clock)?;
/// use seqslot_core::clockbound::ClockStatus;
/// use seqslot_os_posix::clockbound::ClockBoundClient;
///
/// let mut client = ClockBoundClient::new_with_paths(&segment, &page)?;
/// assert_ne!(client.now()?.clock_status, ClockStatus::Disrupted);
///
/// // The hypervisor has moved the machine, and the daemon has not noticed yet:
/// clock[0x10] = 1;
/// clock[0x0C] = 2;
/// std::fs::write(&page, &clock)?;
/// assert_eq!(client.now()?.clock_status, ClockStatus::Disrupted);
/// # std::fs::remove_dir_all(&folder)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct ClockBoundClient {
    reader: ShmReader,
    /// If the daemon watches for disruptions.
    vmclock: Option<VmClockReader>,
}

impl ClockBoundClient {
    /// A client of the daemon of ClockBound 3.0, at the usual paths.
    ///
    /// # Errors
    /// As [`new_with_paths`](Self::new_with_paths).
    pub fn new() -> Result<Self, ClientError> {
        Self::new_with_path(CLOCKBOUND_SHM_DEFAULT_PATH_V1)
    }

    /// A client of the daemon whose segment is at `segment`.
    ///
    /// # Errors
    /// As [`new_with_paths`](Self::new_with_paths).
    pub fn new_with_path(segment: impl AsRef<Path>) -> Result<Self, ClientError> {
        Self::new_with_paths(segment, VMCLOCK_DEFAULT_PATH)
    }

    /// A client of the daemon whose segment is at `segment`, and the VMClock page at `page`, which is looked at only if the segment says that
    /// the daemon watches for disruptions.
    ///
    /// # Errors
    /// [`ClientError`]: the segment or the page cannot be opened, or is none.
    pub fn new_with_paths(segment: impl AsRef<Path>, page: impl AsRef<Path>) -> Result<Self, ClientError> {
        let bytes = segment.as_ref().as_os_str().as_bytes();
        let name = CString::new(bytes).map_err(|_| ClientError::Segment(ShmError::SyscallError(libc::EINVAL, c"open")))?;
        let mut reader = ShmReader::new(&name)?;
        let is_watched = reader.snapshot()?.clock_disruption_support_enabled();
        let vmclock = if is_watched { Some(VmClockReader::new(page)?) } else { None };
        Ok(Self { reader, vmclock })
    }

    /// The time now, within its interval. `Disrupted` if the hypervisor tells of a disruption that the daemon has not made good yet; where
    /// clock or counter began anew with it, the interval is that of the update ([`ClockErrorBound::at_update`]). Never waits, but where the
    /// page's driver does ([`VmClockReader::snapshot`]).
    ///
    /// # Errors
    /// [`ClientError`]: as the reader's snapshot, the bound's `now` and the page's snapshot; and [`ClientError::SupportChanged`].
    pub fn now(&mut self) -> Result<TimeWindow, ClientError> {
        self.window(ClockErrorBound::now)
    }

    /// As [`now`](Self::now), by other rules for the status than those of the ClockBound that writes the segment's layout.
    ///
    /// # Errors
    /// As [`now`](Self::now).
    pub fn now_with(&mut self, rules: Rules) -> Result<TimeWindow, ClientError> {
        self.window(|bound| bound.now_with(rules))
    }

    fn window(
        &mut self,
        now: impl FnOnce(&ClockErrorBound) -> Result<(TimeSpec, TimeSpec, ClockStatus), ShmError>,
    ) -> Result<TimeWindow, ClientError> {
        let bound = self.reader.snapshot()?;
        let told = now(bound);
        // The page after the clock: a disruption between the two is told.
        let is_disrupted = match (&mut self.vmclock, bound.clock_disruption_support_enabled()) {
            (None, false) => false,
            (Some(page), true) => page.snapshot()?.disruption_marker() != bound.disruption_marker(),
            (_, is_enabled) => return Err(ClientError::SupportChanged { is_enabled }),
        };
        let (earliest, latest, clock_status) = match told {
            Err(ShmError::CausalityBreach) if is_disrupted => bound.at_update()?,
            told => told?,
        };
        Ok(TimeWindow { earliest, latest, clock_status: if is_disrupted { ClockStatus::Disrupted } else { clock_status } })
    }
}

/// Why there is no time.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientError {
    /// Of the daemon's segment.
    Segment(ShmError),
    /// Of the VMClock page.
    VmClock(VmClockError),
    /// The daemon has begun to watch for disruptions, or has ceased, since the client was made.
    SupportChanged {
        /// Whether it watches now.
        is_enabled: bool,
    },
}

impl ClientError {
    /// The error number: of the segment's error, or of the page's; 11 (EAGAIN) where a new client is needed.
    #[must_use]
    pub fn errno(&self) -> i32 {
        match self {
            Self::Segment(error) => error.errno(),
            Self::VmClock(error) => error.errno(),
            Self::SupportChanged { .. } => libc::EAGAIN,
        }
    }

    /// What kind of error this is.
    #[must_use]
    pub fn cause(&self) -> Cause {
        match self {
            Self::Segment(error) => error.cause(),
            Self::VmClock(error) => error.cause(),
            Self::SupportChanged { .. } => Cause::Contention,
        }
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Segment(error) => error.fmt(f),
            Self::VmClock(error) => error.fmt(f),
            Self::SupportChanged { is_enabled: true } => {
                f.write_str("the ClockBound daemon has begun to watch for disruptions: make a new client, which opens the VMClock page")
            }
            Self::SupportChanged { is_enabled: false } => f.write_str(
                "the ClockBound daemon has ceased to watch for disruptions: make a new client, which does without the VMClock page",
            ),
        }
    }
}

impl core::error::Error for ClientError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Segment(error) => Some(error),
            Self::VmClock(error) => Some(error),
            Self::SupportChanged { .. } => None,
        }
    }
}

impl From<ShmError> for ClientError {
    fn from(error: ShmError) -> Self {
        Self::Segment(error)
    }
}

impl From<VmClockError> for ClientError {
    fn from(error: VmClockError) -> Self {
        Self::VmClock(error)
    }
}
