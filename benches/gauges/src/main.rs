//! Each operation by itself, in one thread, so that it can be counted and timed: `gauges --help`.

mod bare;
mod operations;
mod scaling;
mod slots;
mod snapshot;

use clap::{Parser, Subcommand};

/// What can go wrong is told and ends the program.
type Outcome = Result<(), Box<dyn std::error::Error>>;
/// Does an operation so many times, and fails if it did not do what it should.
type Body<'a> = &'a mut dyn FnMut(u64) -> Outcome;
/// Whoever counts or times: is given an operation that was set up.
type Run<'a> = &'a mut dyn FnMut(Body<'_>) -> Outcome;

#[derive(Parser)]
#[command(about = "Each operation of seqslot by itself, in one thread")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Print the names of the operations, one a line
    Names,
    /// Do one operation so many times (to be run by something that counts)
    Operation {
        /// One of `gauges names`
        name: String,
        /// How often
        count: u64,
    },
    /// Time operations as slots, payload, readers and writers grow; tables go to the standard output
    Scaling {
        /// Where pictures and `scaling.json` go
        folder: std::path::PathBuf,
        /// How often all of it is measured; a figure is the median
        #[arg(long, default_value_t = 5)]
        sweeps: usize,
    },
}

fn main() -> Outcome {
    match Args::parse().command {
        Command::Names => operations::names().for_each(|name| println!("{name}")),
        Command::Operation { name, count } => operations::run(&name, &mut |body| body(count))?,
        Command::Scaling { folder, sweeps } => scaling::run(&folder, sweeps)?,
    }
    Ok(())
}

/// A path for a segment of this thread.
fn path(name: &str) -> std::path::PathBuf {
    let thread = std::thread::current();
    std::env::temp_dir().join(format!("seqslot-gauges-{name}-{}-{:?}.flink", std::process::id(), thread.id()))
}

/// Ends the program where something was not as it must be.
fn expect(is_so: bool, what: &str) -> Outcome {
    if is_so { Ok(()) } else { Err(what.into()) }
}
