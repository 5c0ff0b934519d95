//! `pub`: standard input into slots.

use std::io::{self, Read};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use seqslot::{Config, LoanError, Segment, SendError, Writer};
use serde::Serialize;

use crate::fail::{self, Failure};
use crate::signals::{self, For, Ready};

/// How long a wait for a free slot lasts before Ctrl-C is looked at.
const SLICE: Duration = Duration::from_millis(200);
/// The first and the longest sleep of a wait for readers.
const NAP_MIN: Duration = Duration::from_micros(500);
const NAP_MAX: Duration = Duration::from_millis(20);
/// Bytes read at a time.
const READ: usize = 256 * 1024;

const AFTER: &str = "\
Makes a segment at PATH, publishes standard input in it, sample by sample, and removes it at the end: after every sample was read by every
reader that had joined when it was published. Nothing is ever dropped: when all slots are taken, pub waits for the slowest reader. Readers
that die meanwhile are recovered and not waited for. Readers that join later get what is published after they joined; without any
reader samples go nowhere, so give --readers where every line matters.

A PATH that a dead process left is taken over; one whose owner lives is an error (4). If pub itself is killed, its readers get what it
published and are told that it died.

Ctrl-C stops reading, closes the stream, removes the segment and exits with 0; readers that are attached still get what was published.

Examples:
  seq 1 1000000 | seqslot pub /tmp/numbers --readers 4
  tail -f /var/log/syslog | seqslot pub /tmp/log --capacity 16K
  seqslot pub /tmp/image --bytes 1M --slots 16 --readers 1 < disk.img";

/// Arguments of `pub`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub struct Args {
    /// File by which readers find the segment
    path: PathBuf,
    /// Wait for so many readers before the first sample
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=32))]
    readers: u32,
    /// Number of slots
    #[arg(long, value_name = "N", default_value_t = 1024)]
    slots: u64,
    /// Bytes of a slot (K, M, G); a longer line goes on in the next sample. Default: 4096, or what --bytes says
    #[arg(long, value_name = "BYTES", value_parser = crate::size::parse)]
    capacity: Option<u64>,
    /// Samples of BYTES bytes each in place of lines; the last one may be shorter
    #[arg(long, value_name = "BYTES", value_parser = crate::size::parse)]
    bytes: Option<u64>,
    /// No summary
    #[arg(long, short)]
    quiet: bool,
    /// Summary and errors as JSON, on standard error
    #[arg(long)]
    pub json: bool,
}

/// What was done.
#[derive(Debug, Default, Serialize)]
struct Summary {
    samples: u64,
    bytes: u64,
    seconds: f64,
    readers_recovered: u32,
    interrupted: bool,
}

/// How input becomes samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    /// A line each, its newline included, at most so many bytes.
    Lines(usize),
    /// So many bytes each.
    Blocks(usize),
}

impl Cut {
    /// Length of the next sample at the start of `bytes`; `None` if more input is needed to know.
    fn next(self, bytes: &[u8], at_end: bool) -> Option<usize> {
        let found = match self {
            Self::Lines(max) => {
                let line = bytes.iter().take(max).position(|&byte| byte == b'\n').map(|newline| newline + 1);
                line.or_else(|| (bytes.len() >= max).then_some(max))
            }
            Self::Blocks(len) => (bytes.len() >= len).then_some(len),
        };
        found.or_else(|| (at_end && !bytes.is_empty()).then_some(bytes.len()))
    }
}

/// Runs it.
///
/// # Errors
/// What stopped it.
pub fn run(args: &Args) -> Result<(), Failure> {
    let capacity = args.capacity.or(args.bytes).unwrap_or(4096);
    let cut = cut(args, capacity)?;
    let config = Config::slots(args.slots, capacity).writers(1);
    let segment = seqslot::create(&args.path, &config).map_err(|error| fail::create(&args.path, &error))?;
    let writer = segment.writer().map_err(|error| fail::join(&args.path, &error))?;
    let mut summary = Summary::default();
    let mut start = Instant::now();
    if await_readers(&segment, args.readers)? {
        start = Instant::now();
        pump(&writer, cut, &mut summary)?;
    }
    writer.close();
    if !signals::requested() {
        drain(&segment)?;
    }
    summary.interrupted = signals::requested();
    summary.readers_recovered = segment.stats().recovered_readers;
    summary.seconds = start.elapsed().as_secs_f64();
    drop(segment);
    if !args.quiet {
        tell(&summary, args.json);
    }
    Ok(())
}

/// How to cut, once the numbers agree; the segment's own limits are left to it.
fn cut(args: &Args, capacity: u64) -> Result<Cut, Failure> {
    let misuse = |text: String| Err(Failure::new(fail::Kind::Misuse, text));
    match args.bytes {
        Some(0) => misuse("--bytes 0: a sample needs at least one byte".into()),
        Some(block) if block > capacity => {
            misuse(format!("--bytes {block} does not fit --capacity {capacity}; leave --capacity out, or make it larger"))
        }
        Some(block) => Ok(Cut::Blocks(usize::try_from(block).unwrap_or(usize::MAX))),
        None => Ok(Cut::Lines(usize::try_from(capacity).unwrap_or(usize::MAX))),
    }
}

fn tell(summary: &Summary, json: bool) {
    if json {
        return fail::say_json(summary);
    }
    let Summary { samples, bytes, seconds, readers_recovered, interrupted } = summary;
    let died = if *readers_recovered == 0 { String::new() } else { format!(", {readers_recovered} dead readers recovered") };
    let how = if *interrupted { ", interrupted" } else { "" };
    fail::say(&format!("published {samples} samples, {bytes} bytes in {seconds:.2} s{died}{how}"));
}

/// Waits until so many living readers have joined; false if a signal came first.
fn await_readers(segment: &Segment, wanted: u32) -> Result<bool, Failure> {
    let mut nap = NAP_MIN;
    while segment.active_readers().count_ones() < wanted {
        if signals::sleep(nap) {
            return Ok(false);
        }
        nap = (nap * 2).min(NAP_MAX);
        recover(segment)?;
    }
    Ok(true)
}

/// Waits until no living reader owes a read, or a signal comes.
fn drain(segment: &Segment) -> Result<(), Failure> {
    let mut nap = NAP_MIN;
    loop {
        let mut owed = 0;
        segment.lag(|lag| owed += lag.owed);
        if owed == 0 || signals::sleep(nap) {
            return Ok(());
        }
        nap = (nap * 2).min(NAP_MAX);
        recover(segment)?;
    }
}

fn recover(segment: &Segment) -> Result<(), Failure> {
    match segment.recover() {
        Ok(_) => Ok(()),
        Err(error) => Err(Failure::of(error.cause(), "looking for dead readers", &error).next(fail::os_advice(&error))),
    }
}

/// Standard input into samples, until its end or a signal.
fn pump(writer: &Writer<'_>, cut: Cut, summary: &mut Summary) -> Result<(), Failure> {
    let mut input = io::stdin().lock();
    let mut held: Vec<u8> = Vec::with_capacity(2 * READ);
    loop {
        let count = read(&mut input, &mut held).map_err(|error| Failure::io("reading standard input", &error))?;
        let Some(count) = count else { return Ok(()) };
        let mut start = 0;
        while let Some(len) = cut.next(&held[start..], count == 0) {
            if !send(writer, &held[start..start + len])? {
                return Ok(());
            }
            start += len;
            summary.samples += 1;
            summary.bytes += len as u64;
        }
        if count == 0 {
            return Ok(());
        }
        held.drain(..start);
    }
}

/// Reads what is there behind `held`, waiting for something; the number of bytes (0 at the end), `None` if a signal came.
fn read(input: &mut io::StdinLock<'_>, held: &mut Vec<u8>) -> io::Result<Option<usize>> {
    loop {
        if signals::requested() {
            return Ok(None);
        }
        // The lock's own buffer is empty, since reads as large as READ go around it.
        if signals::wait(Some(std::os::fd::AsFd::as_fd(input)), For::Reading, None)? == Ready::Interrupted {
            continue;
        }
        let len = held.len();
        held.resize(len + READ, 0);
        let answer = input.read(&mut held[len..]);
        held.truncate(len + answer.as_ref().copied().unwrap_or(0));
        match answer {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            answer => return answer.map(Some),
        }
    }
}

/// Publishes one sample, waiting for a slot as long as it takes; false if a signal came first.
fn send(writer: &Writer<'_>, bytes: &[u8]) -> Result<bool, Failure> {
    loop {
        match writer.send_timeout(bytes, SLICE) {
            Ok(_) => return Ok(true),
            Err(SendError::Loan(LoanError::TimedOut)) if !signals::requested() => {}
            Err(SendError::Loan(LoanError::TimedOut)) => return Ok(false),
            Err(error) => return Err(fail::send(&error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(cut: Cut, mut bytes: &[u8]) -> Vec<&[u8]> {
        let mut samples = Vec::new();
        while let Some(len) = cut.next(bytes, true) {
            samples.push(&bytes[..len]);
            bytes = &bytes[len..];
        }
        samples
    }

    #[test]
    fn a_line_keeps_its_newline_and_a_longer_one_goes_on() {
        assert_eq!(
            all(Cut::Lines(4), b"a\n\nabc\nabcd\nabcdefghi"),
            [&b"a\n"[..], b"\n", b"abc\n", b"abcd", b"\n", b"abcd", b"efgh", b"i"]
        );
    }

    #[test]
    fn a_line_that_is_not_whole_waits_for_more() {
        assert_eq!(Cut::Lines(8).next(b"abc", false), None);
        assert_eq!(Cut::Lines(8).next(b"abcdefgh", false), Some(8));
        assert_eq!(Cut::Lines(8).next(b"", true), None);
    }

    #[test]
    fn blocks_are_whole_but_for_the_last() {
        assert_eq!(Cut::Blocks(3).next(b"ab", false), None);
        assert_eq!(all(Cut::Blocks(3), b"abcdefgh"), [&b"abc"[..], b"def", b"gh"]);
    }
}
