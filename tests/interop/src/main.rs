//! seqslot against the published crates that it stands in for: the same calls, the same files, the same segments.

mod child;
mod clockbound;
mod outcome;
mod random;
mod report;
mod scratch;
mod zerodds;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::{Parser, Subcommand};

use crate::outcome::Outcome;
use crate::report::Report;
use crate::scratch::Scratch;

/// Test seqslot against zerodds-flatdata, clock-bound-shm and clock-bound.
#[derive(Parser)]
#[command(name = "interop")]
struct Args {
    /// How long to run, about
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Where the random sequences begin
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Run only this part
    #[arg(long, value_enum)]
    only: Option<Part>,
    /// Run the one sequence of this seed, and say what each step showed
    #[arg(long, value_name = "SEED", conflicts_with_all = ["seconds", "seed", "only", "json"])]
    replay: Option<u64>,
    /// The command `seqslot`, to try it beside ClockBound's writer
    #[arg(long, value_name = "PATH")]
    seqslot: Option<PathBuf>,
    /// Print the counts as JSON
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    role: Option<Command>,
}

/// A part of the run.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// Bounds of clocks
    Clockbound,
    /// Samples between processes
    Exchange,
    /// Calls side by side
    Calls,
}

#[derive(Subcommand)]
enum Command {
    /// Be another process of a test (started by it)
    #[command(hide = true)]
    Role {
        /// What it does
        role: String,
        /// Over which library
        side: String,
        /// On which file
        path: Option<PathBuf>,
    },
}

fn main() -> std::process::ExitCode {
    let args = Args::parse();
    let outcome = match &args.role {
        Some(Command::Role { role, side, path }) => play(role, side, path.clone().unwrap_or_default()),
        None => run(&args),
    };
    match outcome {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("failed: {error}");
            std::process::ExitCode::FAILURE
        }
    }
}

fn play(role: &str, side: &str, path: PathBuf) -> Outcome<()> {
    match role {
        "party" => zerodds::differential::serve(side),
        "clock-write" | "clock-read" => clockbound::roles::play(role, side, &path),
        "vmclock-write" | "vmclock-read" => clockbound::vmclock::play(role, &path),
        "clock-daemon" => clockbound::command::serve(&path),
        "clock-cut" => clockbound::truncated(side, &path),
        "send" | "take" => zerodds::exchange::play(role, side, path),
        "believe" => zerodds::crashes::believe(side, &path),
        _ => zerodds::crashes::play(role, side, &path),
    }
}

fn run(args: &Args) -> Outcome<()> {
    let (scratch, begin) = (Scratch::new()?, Instant::now());
    if let Some(seed) = args.replay {
        return zerodds::differential::replay(&scratch.join(""), seed);
    }
    let mut report = Report::default();
    let chosen = args.only.map_or_else(|| vec![Part::Clockbound, Part::Exchange, Part::Calls], |only| vec![only]);
    let (folder, time) = (scratch.join(""), Duration::from_secs(args.seconds) / chosen.len() as u32);
    for part in chosen {
        match part {
            Part::Clockbound => clockbound::run(&folder, args.seed, time, args.seqslot.as_deref(), &mut report)?,
            Part::Exchange => zerodds::exchange(&folder, args.seed, time, &mut report)?,
            Part::Calls => zerodds::calls(&folder, args.seed, time, &mut report)?,
        }
    }
    report.seconds = begin.elapsed().as_secs_f64();
    if args.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        println!("{}", report.table());
        println!("{}", report.line());
    }
    Ok(())
}
