//! A reader: hashes what it sees, in place.

use std::path::Path;
use std::time::{Duration, Instant};

use seqslot::{Cause, Reader, Segment, TakeError};
use sha2::{Digest, Sha256};

use super::event::{Event, ReadReport};
use super::latency::Latency;
use super::sample::{Header, now_ns};
use super::stream::hex;
use super::{Role, RoleArgs};
use crate::fail::{self, Failure, Kind};
use crate::signals;

/// How long the segment is waited for.
const WAIT: Duration = Duration::from_secs(10);
const NAP: Duration = Duration::from_millis(2);
/// How long a wait for a sample lasts before Ctrl-C is looked at.
const SLICE: Duration = Duration::from_millis(200);

/// Runs it.
///
/// # Errors
/// What stopped it.
pub fn run(args: &RoleArgs) -> Result<(), Failure> {
    let path = args.slots_path();
    let segment = attach(&path)?;
    let reader = segment.reader().map_err(|error| fail::join(&path, &error))?;
    Event::Joined.tell()?;
    let stop_at = if args.role == Role::Victim { args.total / 2 } else { u64::MAX };
    let report = follow(&reader, stop_at).map_err(|stop| match stop {
        Stop::Stream(error) => fail::take(&path, &error),
        Stop::Failure(failure) => failure,
    })?;
    // The parent looks at the slots once everybody is done: by then this reader is to have left.
    drop(reader);
    Event::Read(report).tell()
}

/// The segment, once the writer has made it.
fn attach(path: &Path) -> Result<Segment, Failure> {
    let start = Instant::now();
    loop {
        match seqslot::attach(path) {
            Err(error) if error.cause() == Cause::Contention && start.elapsed() < WAIT => {}
            answer => return answer.map_err(|error| fail::attach(path, &error)),
        }
        if signals::sleep(NAP) {
            return Err(Failure::interrupted());
        }
    }
}

/// Why it did not come to the end of the stream.
enum Stop {
    Stream(TakeError),
    Failure(Failure),
}

fn follow(reader: &Reader<'_>, stop_at: u64) -> Result<ReadReport, Stop> {
    let mut report = ReadReport::default();
    let (mut hasher, mut latency) = (Sha256::new(), Latency::new());
    let mut start = Instant::now();
    loop {
        let taken = match reader.take() {
            Ok(None) => {
                report.waits += 1;
                // Spins for a moment, then sleeps on the futex.
                reader.take_timeout(SLICE).map(Some)
            }
            taken => taken,
        };
        match taken {
            Ok(Some(sample)) => {
                let now = now_ns();
                let Some((header, data)) = Header::split(&sample) else {
                    return Err(Stop::Failure(Failure::new(Kind::Verification, "a sample shorter than its header")));
                };
                latency.record(now.saturating_sub(header.committed_ns));
                if report.samples == 0 {
                    start = Instant::now();
                    (report.from, report.to) = (header.offset, header.offset);
                    report.first_sequence = sample.sequence();
                } else if header.offset != report.to || sample.sequence() != report.last_sequence.wrapping_add(1) {
                    report.gaps += 1;
                }
                if header.offset >= stop_at {
                    return Err(Stop::Failure(stay_inside(header.offset)));
                }
                hasher.update(data);
                report.last_sequence = sample.sequence();
                report.to = header.offset + data.len() as u64;
                report.samples += 1;
                report.bytes += data.len() as u64;
            }
            Ok(None) | Err(TakeError::TimedOut) => {}
            Err(TakeError::Closed) => break,
            Err(error) => return Err(Stop::Stream(error)),
        }
        if signals::requested() {
            return Err(Stop::Failure(Failure::interrupted()));
        }
    }
    report.missed = reader.missed();
    report.seconds = start.elapsed().as_secs_f64();
    report.latency = latency.percentiles();
    report.sha256 = hex(&hasher.finalize());
    Ok(report)
}

/// Never comes back but for a signal: the sample is held until this process is killed.
fn stay_inside(offset: u64) -> Failure {
    if let Err(failure) = (Event::Stopped { offset }).tell() {
        return failure;
    }
    while !signals::sleep(Duration::from_secs(60)) {}
    Failure::interrupted()
}
