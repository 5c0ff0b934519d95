//! `clock`: what a ClockBound segment says of the time.
//!
//! [`reading`] takes one reading into plain values, [`text`] draws it.

mod reading;
mod text;

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::time::Duration;

use seqslot::{Cause, Rules};
use serde::Serialize;

use crate::fail::{self, Failure};
use crate::signals;
use crate::subscribe::seconds;
use reading::Clock;

/// Where ClockBound's daemons write: 3.0, then 2.x (and 3.0 for clients of 2.x).
const USUAL: [&str; 2] = ["/var/run/clockbound/shm1", "/var/run/clockbound/shm0"];

const AFTER: &str = "\
Without PATH it reads /var/run/clockbound/shm1 (layout 3) if it is there, else shm0 (layout 2). The file is read, not mapped, and nothing
is written.

  earliest, latest   the true time lies between them, as long as the status is synchronized or free-running
  status             by the rules of the ClockBound that writes the layout, or by --rules and --grace
  age                how long ago the daemon wrote it (unknown, null: the machine was moved, and its clock began anew)
  segment            fresh or unchanged: what the segment holds; writer-busy or wiped: the last bound before that

If the daemon watches for disruptions, the VMClock page (/dev/vmclock0, or --vmclock) is compared with the segment: disrupted, if the
hypervisor tells of a disruption that the daemon has not made good yet. Where the clock began anew with it, the interval is that of the
update.

Exit codes: 0 done, whatever the status; 3 not a ClockBound segment, or not a VMClock page; 4 there is none (yet), or no update was finished;
5 the system refused. --watch ends on Ctrl-C, with 0.

Examples:
  seqslot clock
  seqslot clock /var/run/clockbound/shm0 --watch --interval 0.5
  seqslot clock --json | jq .width_ns
  seqslot clock --rules 3 --grace 10";

/// Arguments of `clock`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub struct Args {
    /// Path of the segment
    path: Option<PathBuf>,
    /// Follow it: on a terminal in place, else a line each time
    #[arg(long, short)]
    watch: bool,
    /// Seconds between two readings of --watch
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0, value_parser = interval, requires = "watch")]
    interval: f64,
    /// Path of the VMClock page
    #[arg(long, value_name = "PATH")]
    vmclock: Option<PathBuf>,
    /// Rules of ClockBound 2.x or 3.0 for the status, whatever the layout
    #[arg(long, value_name = "2|3", value_parser = clap::value_parser!(u8).range(2..=3))]
    rules: Option<u8>,
    /// Seconds that the daemon's status holds without an update (2.x: 5, 3.0: 60)
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    grace: Option<f64>,
    /// One JSON object a line; errors as JSON, too
    #[arg(long)]
    pub json: bool,
}

fn interval(text: &str) -> Result<f64, String> {
    match seconds(text)? {
        seconds if seconds >= 0.001 => Ok(seconds),
        _ => Err("at least 0.001 seconds are wanted".to_owned()),
    }
}

impl Args {
    /// The rules for a segment of this layout.
    fn rules(&self, layout: u8) -> Rules {
        let rules = if self.rules.unwrap_or(layout) == 3 { Rules::V3 } else { Rules::V2 };
        // `seconds` has tried the conversion.
        self.grace.map_or(rules, |grace| rules.with_grace(Duration::from_secs_f64(grace)))
    }
}

/// Runs it.
///
/// # Errors
/// There is no segment at the path, or nothing that can be read from it.
pub fn run(args: &Args) -> Result<(), Failure> {
    let path = path(args)?;
    let mut clock = Clock::open(&path, args.vmclock.as_deref())?;
    if args.watch {
        return watch(args, &mut clock);
    }
    let reading = clock.read(|layout| args.rules(layout))?;
    if args.json { line(&reading) } else { fail::print(&text::lines(&reading)) }
}

/// The path given, or the usual one that is there.
fn path(args: &Args) -> Result<PathBuf, Failure> {
    let usual = || USUAL.iter().map(Path::new).find(|path| path.exists()).map(Path::to_path_buf);
    args.path.clone().or_else(usual).ok_or_else(|| {
        let error = format!("there is neither {} nor {}", USUAL[0], USUAL[1]);
        Failure::of(Cause::Contention, "no ClockBound segment", &error)
            .next("start ClockBound's daemon (clockbound), or give the path of a segment")
    })
}

/// An error between two readings, for scripts.
#[derive(Debug, Serialize)]
struct Gap<'f> {
    error: &'f str,
}

/// Reads again and again, until a signal, or until nobody listens. A reading that fails because of somebody in the way does not end it.
fn watch(args: &Args, clock: &mut Clock) -> Result<(), Failure> {
    let in_place = io::stdout().is_terminal() && !args.json;
    let mut drawn = 0;
    loop {
        let reading = match clock.read(|layout| args.rules(layout)) {
            Err(failure) if failure.cause != fail::Kind::Contention => return Err(failure),
            reading => reading,
        };
        match &reading {
            Ok(reading) if args.json => line(reading)?,
            Err(failure) if args.json => line(&Gap { error: &failure.error })?,
            answer if in_place => {
                let lines = answer.as_ref().map_or_else(|failure| failure.error.clone(), text::lines);
                fail::print(&format!("{}{lines}", text::back_over(drawn)))?;
                drawn = lines.trim_end().lines().count();
            }
            Ok(reading) => fail::print(&text::line(reading))?,
            Err(failure) => fail::print(&failure.error)?,
        }
        if signals::sleep(Duration::from_secs_f64(args.interval)) || signals::is_deaf(&io::stdout()) {
            return Ok(());
        }
        clock.follow();
    }
}

/// One JSON object on a line.
fn line(value: &impl Serialize) -> Result<(), Failure> {
    // Plain structures of numbers and strings always serialize.
    fail::print(&serde_json::to_string(value).unwrap_or_default())
}
