//! `sub`: slots to standard output.

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use seqslot::{AttachError, Cause, Reader, Segment, TakeError, WriterIndex};
use serde::Serialize;

use crate::fail::{self, Failure};
use crate::out::Out;
use crate::signals;

/// How long a wait for a sample lasts before Ctrl-C, and whether anybody still reads our output, are looked at.
const SLICE: Duration = Duration::from_millis(200);
/// The longest sleep of a wait for the segment.
const NAP_MAX: Duration = Duration::from_millis(20);

const AFTER: &str = "\
Writes every sample published after it joined to standard output, as it is, and ends with 0 when the writer has closed and everything
is written. If the writer dies, what it had published is written and the exit code is 4.

It may be started before the writer: it waits for PATH (--wait). A segment that a dead writer left counts as not there yet, since a new writer
takes its path over. Started while the writer only waits for others to finish, it ends at once with 0 and no sample; started
after the writer has gone, it waits for the next one.

It ends with 0 too when nobody reads its output any more, and on Ctrl-C; the writer goes on without it. While its output is blocked it
holds the writer up, as a pipe would.

Examples:
  seqslot sub /tmp/numbers > out.txt
  seqslot sub /tmp/log --wait 3600 | grep error";

/// Arguments of `sub`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub struct Args {
    /// Path that the writer was given
    path: PathBuf,
    /// Seconds to wait for the segment
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0, value_parser = seconds)]
    wait: f64,
    /// No summary
    #[arg(long, short)]
    quiet: bool,
    /// Summary and errors as JSON, on standard error
    #[arg(long)]
    pub json: bool,
}

/// A number of seconds, as an argument.
pub fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| "a number of seconds is wanted".to_owned())?;
    if Duration::try_from_secs_f64(seconds).is_ok() { Ok(seconds) } else { Err("a number of seconds from 0 on is wanted".to_owned()) }
}

/// What was done.
#[derive(Debug, Default, Serialize)]
struct Summary {
    samples: u64,
    bytes: u64,
    seconds: f64,
    missed: u32,
    end: End,
}

/// How the stream ended for us.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum End {
    /// The writer closed.
    #[default]
    Closed,
    /// The writer died, or another error that the exit code tells.
    Failed,
    /// Ctrl-C or SIGTERM.
    Interrupted,
    /// Nobody reads our output any more.
    OutputClosed,
}

/// Runs it.
///
/// # Errors
/// What stopped it.
pub fn run(args: &Args) -> Result<(), Failure> {
    let mut summary = Summary { end: End::Interrupted, ..Summary::default() };
    let mut outcome = Ok(());
    if let Some(segment) = attach(args)? {
        let reader = segment.reader().map_err(|error| fail::join(&args.path, &error))?;
        let mut out = crate::out::open().map_err(|error| Failure::io("standard output", &error))?;
        let start = Instant::now();
        match follow(&reader, &mut out, &mut summary) {
            Ok(end) => summary.end = end,
            Err(Stop::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => summary.end = End::OutputClosed,
            Err(Stop::Output(_)) if signals::requested() => summary.end = End::Interrupted,
            Err(Stop::Output(error)) => {
                summary.end = End::Failed;
                outcome = Err(Failure::io("writing standard output", &error).next("make room, or write somewhere else"));
            }
            Err(Stop::Stream(error)) => {
                summary.end = End::Failed;
                outcome = Err(fail::take(&args.path, &error));
            }
        }
        summary.missed = reader.missed();
        summary.seconds = start.elapsed().as_secs_f64();
        // What could not be written is not tried again by the drop.
        let _ = out.into_parts();
    }
    if !args.quiet {
        tell(&summary, args.json);
    }
    outcome
}

fn tell(summary: &Summary, json: bool) {
    if json {
        return fail::say_json(summary);
    }
    let Summary { samples, bytes, seconds, missed, end } = summary;
    let how = match end {
        End::Closed => "the writer closed",
        End::Failed => "failed",
        End::Interrupted => "interrupted",
        End::OutputClosed => "the output was closed",
    };
    fail::say(&format!("received {samples} samples, {bytes} bytes in {seconds:.2} s, {missed} missed; {how}"));
}

/// The segment, once it is there and somebody lives in it that could publish; `None` if a signal came first.
fn attach(args: &Args) -> Result<Option<Segment>, Failure> {
    let wait = Duration::try_from_secs_f64(args.wait).unwrap_or(Duration::MAX);
    let start = Instant::now();
    let mut nap = Duration::from_millis(1);
    loop {
        let error = match seqslot::attach(&args.path) {
            Ok(segment) if has_writer(&segment)? => return Ok(Some(segment)),
            Ok(_) => {
                Failure::new(fail::Kind::Contention, format!("{}: the segment's writer is dead, and no other came", args.path.display()))
                    .next("start a new writer; it takes the path over. Or `seqslot rm PATH`")
            }
            Err(error) if error.cause() == Cause::Contention => not_yet(args, &error),
            Err(error) => return Err(fail::attach(&args.path, &error)),
        };
        let left = wait.saturating_sub(start.elapsed());
        if left.is_zero() {
            return Err(error);
        }
        if signals::sleep(nap.min(left)) {
            return Ok(None);
        }
        nap = (nap * 2).min(NAP_MAX);
    }
}

fn not_yet(args: &Args, error: &AttachError) -> Failure {
    let failure = fail::attach(&args.path, error);
    Failure { error: format!("{} (waited {} s)", failure.error, args.wait), ..failure }
}

/// Whether the owner lives, or any writer.
fn has_writer(segment: &Segment) -> Result<bool, Failure> {
    let lives = || {
        if segment.owner_lives()? {
            return Ok(true);
        }
        for index in (0..segment.geometry().writers).filter_map(WriterIndex::new) {
            if segment.writer_lives(index)? {
                return Ok(true);
            }
        }
        Ok(false)
    };
    lives().map_err(|error: seqslot::OsError| Failure::of(error.cause(), "looking for the writer", &error).next(fail::os_advice(&error)))
}

/// Why the stream stopped before its end.
enum Stop {
    Output(io::Error),
    Stream(TakeError),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

/// Samples to the output, until the stream ends. What is buffered is written whenever nothing is there to be read.
fn follow(reader: &Reader<'_>, out: &mut Out, summary: &mut Summary) -> Result<End, Stop> {
    loop {
        let taken = match reader.take() {
            Ok(None) => {
                out.flush()?;
                if signals::is_deaf(out.get_ref()) {
                    return Ok(End::OutputClosed);
                }
                reader.take_timeout(SLICE).map(Some)
            }
            taken => taken,
        };
        match taken {
            Ok(Some(sample)) => {
                out.write_all(&sample)?;
                summary.samples += 1;
                summary.bytes += sample.len() as u64;
            }
            Ok(None) | Err(TakeError::TimedOut) => {}
            Err(error) => {
                out.flush()?;
                return if error == TakeError::Closed { Ok(End::Closed) } else { Err(Stop::Stream(error)) };
            }
        }
        if signals::requested() {
            out.flush()?;
            return Ok(End::Interrupted);
        }
    }
}
