//! `seqslot`: shared memory segments from the shell.
//!
//! This file has the arguments and the dispatch; each command has a module of its own, and shares [`fail`] (exit codes),
//! [`signals`] (Ctrl-C), [`size`] (arguments like `64K`).
#![deny(unsafe_code)]
#![allow(clippy::result_large_err, reason = "the library's errors carry their path inline; none of this is on the data path")]

mod clock;
mod demo;
mod fail;
mod inspect;
mod out;
mod publish;
mod recover;
mod remove;
#[allow(unsafe_code, reason = "sigaction, pipe, poll, prctl")]
mod signals;
mod size;
mod subscribe;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// What holds for every command.
const AFTER: &str = "\
Exit codes: 0 done; 1 a check failed; 2 wrong use; 3 the bytes are not a valid segment; 4 somebody is in the way, or is not there
(yet, or any more); 5 the system refused; 130 a demo was interrupted.

Examples:
  seqslot demo
  seq 1 1000000 | seqslot pub /tmp/numbers --readers 2
  seqslot sub /tmp/numbers > out.txt
  seqslot inspect /tmp/numbers
  seqslot clock --watch
  seqslot rm /tmp/numbers";

/// Same-host shared memory: slots and snapshots between processes.
#[derive(Debug, Parser)]
#[command(name = "seqslot", version, after_help = AFTER)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Stream a real file from one process to three others, kill one of them, verify the rest
    Demo(demo::Args),
    /// Standard input into the slots of a new segment
    Pub(publish::Args),
    /// The samples of a segment to standard output
    Sub(subscribe::Args),
    /// Look into a segment (or whatever the path is) without changing anything
    Inspect(inspect::Args),
    /// What a ClockBound segment says of the time: interval, status, age
    Clock(clock::Args),
    /// Put right what dead processes left in a segment
    Recover(recover::Args),
    /// Remove a segment nobody lives in
    Rm(remove::Args),
    /// A process of the demo
    #[command(hide = true)]
    DemoRole(demo::RoleArgs),
}

impl Command {
    /// Whether errors are wanted as JSON.
    fn json(&self) -> bool {
        match self {
            Self::Demo(args) => args.json,
            Self::Pub(args) => args.json,
            Self::Sub(args) => args.json,
            Self::Inspect(args) => args.json,
            Self::Clock(args) => args.json,
            Self::Recover(args) => args.json,
            Self::Rm(args) => args.json,
            Self::DemoRole(_) => false,
        }
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    signals::install();
    let json = cli.command.json();
    let outcome = match cli.command {
        Command::Demo(args) => demo::run(&args),
        Command::Pub(args) => publish::run(&args),
        Command::Sub(args) => subscribe::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Clock(args) => clock::run(&args),
        Command::Recover(args) => recover::run(&args),
        Command::Rm(args) => remove::run(&args),
        Command::DemoRole(args) => demo::run_role(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(json),
    }
}
