//! seqslot beside its peers and the machine's limits, each by its own recommended fast path, in one run.

mod figure;
mod pair;
mod peers;
mod plan;
mod scratch;
mod single;

use std::path::PathBuf;

use clap::Parser;

use crate::plan::{Outcome, Plan};

/// Measure seqslot, its peers and the machine's limits, row by row.
#[derive(Parser)]
#[command(name = "peers")]
struct Args {
    /// Keep the figures in this file
    #[arg(long)]
    json: Option<PathBuf>,
    /// Run only this row (may be repeated)
    #[arg(long, value_name = "ROW")]
    only: Vec<String>,
    /// A tenth of the work: to see that everything runs
    #[arg(long)]
    quick: bool,
    /// Rounds of each row, in which the systems take turns
    #[arg(long, default_value_t = 9)]
    rounds: usize,
    /// Be the other side of a row
    #[command(subcommand)]
    role: Option<pair::Role>,
}

fn main() -> std::process::ExitCode {
    let args = Args::parse();
    let outcome = match &args.role {
        Some(role) => pair::play(role),
        None => run(args),
    };
    match outcome {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("failed: {error}");
            std::process::ExitCode::FAILURE
        }
    }
}

fn run(args: Args) -> Outcome {
    let plan = Plan::new(args.only, args.quick, args.rounds.max(1))?;
    let mut figures = Vec::new();
    let mut progress = |what: &str| eprintln!("{what}");
    single::measure(&plan, &mut figures, &mut progress)?;
    pair::measure(&plan, &mut figures, &mut progress)?;
    for figure in &figures {
        println!("{:<16} {:<24} {:>12.2} {:?}", figure.row, figure.system, figure.median, figure.unit);
    }
    if let Some(path) = &args.json {
        std::fs::write(path, serde_json::to_string_pretty(&figures)? + "\n")?;
    }
    Ok(())
}
