//! The writer: reads the file straight into slots.

use std::time::{Duration, Instant};

use seqslot::{Config, LoanError, Segment, Writer};

/// A loan of this process.
type Loan<'w, 's> = seqslot_core::Loan<'w, &'s Segment>;

use super::RoleArgs;
use super::event::{Event, WriteReport};
use super::progress::Cell;
use super::sample::{HEADER, Header, now_ns};
use super::stream::Stream;
use crate::fail::{self, Failure};
use crate::signals::{self, For};

/// Readers that see the stream from its start.
const READERS: u32 = 3;
/// How long a wait lasts before Ctrl-C is looked at.
const SLICE: Duration = Duration::from_millis(200);
const NAP: Duration = Duration::from_millis(1);

/// Runs it.
///
/// # Errors
/// What stopped it.
pub fn run(args: &RoleArgs) -> Result<(), Failure> {
    let stream = Stream::reopen(&args.file, args.total).map_err(|error| Failure::io(&args.file.display().to_string(), &error))?;
    let mut cell = Cell::create(&args.progress_path()).map_err(|error| fail::create(&args.progress_path(), &error))?;
    let config = Config::slots(args.slots, args.sample.saturating_add(HEADER as u64)).writers(1).readers(READERS * 2);
    let segment = seqslot::create(args.slots_path(), &config).map_err(|error| fail::create(&args.slots_path(), &error))?;
    let writer = segment.writer().map_err(|error| fail::join(&args.slots_path(), &error))?;
    while segment.active_readers().count_ones() < READERS {
        nap()?;
    }
    let start = Instant::now();
    let mut report = WriteReport::default();
    while report.bytes < stream.total {
        if signals::requested() {
            return Err(Failure::interrupted());
        }
        let mut loan = loan(&writer, &mut report)?;
        let len = args.sample.min(stream.total - report.bytes);
        let data = &mut loan[HEADER..HEADER + len as usize];
        stream
            .read_at(report.bytes, data)
            .map_err(|error| Failure::io("reading the file", &error).next("leave the file alone meanwhile"))?;
        Header { offset: report.bytes, committed_ns: now_ns() }.write(&mut loan);
        loan.commit_len(HEADER + len as usize).map_err(|error| Failure::of(error.cause(), "publishing", &error))?;
        report.samples += 1;
        report.bytes += len;
        cell.publish(report.bytes, report.samples);
    }
    writer.close();
    drain(&segment)?;
    report.seconds = start.elapsed().as_secs_f64();
    let stats = segment.stats();
    report.retries = stats.retries;
    report.recovered_readers = stats.recovered_readers;
    report.recovered_slots = stats.recovered_slots;
    Event::Written(report).tell()?;
    // The parent looks at the slots now, and closes our input when it has seen them.
    while !signals::requested() && signals::wait(Some(std::os::fd::AsFd::as_fd(&std::io::stdin())), For::Reading, None).is_err() {}
    Ok(())
}

/// A free slot, waiting as long as it takes.
fn loan<'w, 's>(writer: &'w Writer<'s>, report: &mut WriteReport) -> Result<Loan<'w, 's>, Failure> {
    match writer.try_loan() {
        Err(LoanError::NoFreeSlot) => report.waits += 1,
        answer => return answer.map_err(|error| Failure::of(error.cause(), "publishing", &error)),
    }
    let start = Instant::now();
    loop {
        match writer.loan_timeout(SLICE) {
            Err(LoanError::TimedOut) if signals::requested() => return Err(Failure::interrupted()),
            Err(LoanError::TimedOut) => {}
            answer => {
                report.longest_wait_ms = report.longest_wait_ms.max(start.elapsed().as_secs_f64() * 1e3);
                return answer.map_err(|error| Failure::of(error.cause(), "publishing", &error));
            }
        }
    }
}

/// Waits until nobody alive owes a read.
fn drain(segment: &Segment) -> Result<(), Failure> {
    loop {
        let mut owed = 0;
        segment.lag(|lag| owed += lag.owed);
        if owed == 0 {
            return Ok(());
        }
        nap()?;
        segment.recover().map_err(|error| Failure::of(error.cause(), "looking for dead readers", &error).next(fail::os_advice(&error)))?;
    }
}

fn nap() -> Result<(), Failure> {
    if signals::sleep(NAP) { Err(Failure::interrupted()) } else { Ok(()) }
}
