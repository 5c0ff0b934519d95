//! One reading of a segment (and of the VMClock page beside it), as plain values.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use seqslot::{
    ClockBoundLayout, ClockStatus, OsError, Rules, ShmError, ShmReader, SnapshotStatus, TimeSpec, VmClockError, VmClockReader,
    VmClockStatus,
};
use serde::Serialize;

use crate::fail::{self, Failure, Kind};

/// The page's usual place.
const VMCLOCK: &str = "/dev/vmclock0";

/// An open segment.
#[derive(Debug)]
pub struct Clock {
    path: PathBuf,
    reader: ShmReader,
    /// Device and inode, to notice another file at the path.
    file: Option<(u64, u64)>,
    page: PagePlace,
}

/// The VMClock page: where it is, and whether it must be there.
#[derive(Debug)]
struct PagePlace {
    path: PathBuf,
    is_wanted: bool,
    reader: Option<VmClockReader>,
}

/// A point of time, for people and for scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Stamp {
    pub sec: i64,
    pub nsec: i64,
}

impl From<TimeSpec> for Stamp {
    fn from(time: TimeSpec) -> Self {
        Self { sec: time.tv_sec(), nsec: time.tv_nsec() }
    }
}

/// What was read.
#[derive(Debug, Clone, Serialize)]
pub struct Reading {
    pub path: String,
    pub layout: u8,
    pub earliest: Stamp,
    pub latest: Stamp,
    /// From the earliest to the latest.
    pub width_ns: u64,
    pub status: &'static str,
    /// What the daemon wrote.
    pub stored_status: &'static str,
    /// `None` if clock or counter began anew since.
    pub age_ns: Option<u64>,
    pub segment: &'static str,
    pub max_drift_ppb: u32,
    pub disruption_support: bool,
    pub disruption_marker: u64,
    /// If the page was read.
    pub vmclock: Option<Page>,
}

/// What the VMClock page says.
#[derive(Debug, Clone, Serialize)]
pub struct Page {
    pub status: &'static str,
    pub disruption_marker: u64,
}

impl Clock {
    /// Opens the segment at `path`, and the page at `page` if one was given.
    ///
    /// # Errors
    /// One of them is not there, or not what it should be.
    pub fn open(path: &Path, page: Option<&Path>) -> Result<Self, Failure> {
        let (reader, file) = open(path)?;
        let mut page = PagePlace { path: page.unwrap_or(VMCLOCK.as_ref()).to_path_buf(), is_wanted: page.is_some(), reader: None };
        if page.is_wanted {
            page.open()?;
        }
        Ok(Self { path: path.to_path_buf(), reader, file, page })
    }

    /// Opens the segment anew if another file has come to its path, as a daemon may leave that does not write to the one it finds.
    pub fn follow(&mut self) {
        if let found @ Some(_) = file_at(&self.path)
            && found != self.file
            && let Ok((reader, file)) = open(&self.path)
        {
            (self.reader, self.file) = (reader, file);
        }
    }

    /// Reads the segment, then the clock, then the page. Of a machine that was moved, so that clock or counter began anew, the interval is that
    /// of the update, and nobody knows its age.
    ///
    /// # Errors
    /// There is no finished update, or none any more; the clock or the page cannot be read.
    pub fn read(&mut self, rules: impl Fn(u8) -> Rules) -> Result<Reading, Failure> {
        let refused = |error: ShmError| refused(&self.path, &error);
        let snapshot = self.reader.snapshot_status().map_err(refused)?;
        let bound = snapshot.bound();
        let layout = if bound.layout() == ClockBoundLayout::V3 { 3 } else { 2 };
        let (now, age) = (bound.now_with(rules(layout)), bound.age());
        let is_watched = bound.clock_disruption_support_enabled();
        let vmclock = self.page.read(is_watched)?;
        let is_disrupted = is_watched && vmclock.as_ref().is_some_and(|page| page.disruption_marker != bound.disruption_marker());
        let (earliest, latest, status) = match now {
            Err(ShmError::CausalityBreach) if is_disrupted => bound.at_update(),
            now => now,
        }
        .map_err(refused)?;
        let age = match age {
            Err(ShmError::CausalityBreach) if is_disrupted => None,
            age => Some(age.map_err(refused)?),
        };
        let status = if is_disrupted { ClockStatus::Disrupted } else { status };
        Ok(Reading {
            path: self.path.display().to_string(),
            layout,
            earliest: earliest.into(),
            latest: latest.into(),
            width_ns: u64::try_from(latest.as_nanos() - earliest.as_nanos()).unwrap_or(u64::MAX),
            status: name_of(status),
            stored_status: name_of(bound.clock_status()),
            age_ns: age.map(|age| u64::try_from(age.as_nanos()).unwrap_or(u64::MAX)),
            segment: freshness(snapshot.status()),
            max_drift_ppb: bound.max_drift_ppb(),
            disruption_support: is_watched,
            disruption_marker: bound.disruption_marker(),
            vmclock,
        })
    }
}

/// The reader of the segment at `path`, and which file that is.
fn open(path: &Path) -> Result<(ShmReader, Option<(u64, u64)>), Failure> {
    let file = file_at(path);
    let name = CString::new(path.as_os_str().as_bytes()).map_err(|_| Failure::new(Kind::Misuse, "a path has no NUL in it"))?;
    Ok((ShmReader::new(&name).map_err(|error| refused(path, &error))?, file))
}

fn file_at(path: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(path).ok().map(|status| (status.dev(), status.ino()))
}

impl PagePlace {
    fn open(&mut self) -> Result<(), Failure> {
        self.reader = Some(VmClockReader::new(&self.path).map_err(|error| self.refused(&error))?);
        Ok(())
    }

    /// The page, if it was asked for, or if the daemon compares it and it is at its usual place.
    fn read(&mut self, is_watched: bool) -> Result<Option<Page>, Failure> {
        if self.reader.is_none() && is_watched && self.path.exists() {
            self.open()?;
        }
        let Some(reader) = &mut self.reader else { return Ok(None) };
        if !self.is_wanted && !is_watched {
            return Ok(None);
        }
        match reader.snapshot() {
            Ok(clock) => Ok(Some(Page { status: page_status(clock.clock_status()), disruption_marker: clock.disruption_marker() })),
            Err(error) => Err(self.refused(&error)),
        }
    }

    fn refused(&self, error: &VmClockError) -> Failure {
        let failure = Failure::of(error.cause(), &self.path.display().to_string(), error);
        match error {
            VmClockError::SyscallError(libc::ENOENT, _) => Failure { cause: Kind::Contention, ..failure }
                .next("this machine has no VMClock there: leave --vmclock out, or give the path of the page"),
            VmClockError::SyscallError(errno, call) => failure.next(advice(*errno, call.to_str().unwrap_or_default())),
            VmClockError::Busy { .. } => failure.next("try again"),
            _ => failure.next("give the path of a VMClock page, as /dev/vmclock0 is"),
        }
    }
}

/// The segment at `path` gave no reading.
fn refused(path: &Path, error: &ShmError) -> Failure {
    let failure = Failure::of(error.cause(), &path.display().to_string(), error);
    match error {
        ShmError::SyscallError(libc::ENOENT, _) => {
            Failure { cause: Kind::Contention, ..failure }.next("start ClockBound's daemon (clockbound), or look whether the path is right")
        }
        ShmError::SyscallError(errno, call) => failure.next(advice(*errno, call.to_str().unwrap_or_default())),
        ShmError::SegmentNotInitialized => failure.next("look whether ClockBound's daemon runs, and try again"),
        ShmError::CausalityBreach => Failure { cause: Kind::Contention, ..failure }
            .next("the segment is of before the machine's start, or of another machine: restart the daemon"),
        ShmError::SegmentMalformed => failure.next("`seqslot inspect PATH` tells what it is, if it is one of ours"),
        ShmError::SegmentVersionNotSupported => failure.next("use the ClockBound 2.x or 3.0 that wrote it, or its other segment"),
        ShmError::NoCounter => failure.next("read the segment of layout 2, which ClockBound 3.0 writes to shm0"),
        _ => failure.next("try again"),
    }
}

/// What to do about a failed system call.
fn advice(errno: i32, call: &'static str) -> &'static str {
    match errno {
        libc::EACCES | libc::EPERM => "run as a user that may read the file",
        _ => fail::os_advice(&OsError::new(call, errno, "")),
    }
}

fn name_of(status: ClockStatus) -> &'static str {
    match status {
        ClockStatus::Unknown => "unknown",
        ClockStatus::Synchronized => "synchronized",
        ClockStatus::FreeRunning => "free-running",
        ClockStatus::Disrupted => "disrupted",
    }
}

fn page_status(status: VmClockStatus) -> &'static str {
    match status {
        VmClockStatus::Unknown => "unknown",
        VmClockStatus::Initializing => "initializing",
        VmClockStatus::Synchronized => "synchronized",
        VmClockStatus::FreeRunning => "free-running",
        VmClockStatus::Unreliable => "unreliable",
    }
}

fn freshness(status: SnapshotStatus) -> &'static str {
    match status {
        SnapshotStatus::Fresh => "fresh",
        SnapshotStatus::Unchanged => "unchanged",
        SnapshotStatus::WriterBusy => "writer-busy",
        SnapshotStatus::Wiped => "wiped",
    }
}
