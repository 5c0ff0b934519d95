//! seqslot beside its peers and the machine's limits, each by its own recommended fast path, in one run.

mod figure;
mod pair;
mod peers;
mod picture;
mod plan;
mod report;
mod scratch;
mod single;
mod table;

use std::path::PathBuf;

use clap::Parser;

use crate::plan::{Outcome, Plan};
use crate::report::Report;

/// Measure seqslot, its peers and the machine's limits, row by row.
#[derive(Parser)]
#[command(name = "peers")]
struct Args {
    /// Keep the figures in this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Keep the table in this file
    #[arg(long, value_name = "FILE")]
    table: Option<PathBuf>,
    /// Keep a list of every figure, with its percentiles, in this file
    #[arg(long, value_name = "FILE")]
    list: Option<PathBuf>,
    /// Draw the table into this file
    #[arg(long, value_name = "FILE")]
    picture: Option<PathBuf>,
    /// Measure nothing: show the figures that `--json` kept
    #[arg(long, value_name = "FILE", conflicts_with_all = ["quick", "rounds", "json"])]
    from: Option<PathBuf>,
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

fn run(args: &Args) -> Outcome {
    let report = match &args.from {
        Some(path) => serde_json::from_str(&std::fs::read_to_string(path)?)?,
        None => measure(args)?,
    };
    if let Some(path) = &args.json {
        std::fs::write(path, serde_json::to_string_pretty(&report)? + "\n")?;
    }
    if let Some(path) = &args.table {
        std::fs::write(path, report.table(&args.only))?;
    }
    if let Some(path) = &args.list {
        std::fs::write(path, report.list())?;
    }
    if let Some(path) = &args.picture {
        std::fs::write(path, picture::draw(&report))?;
    }
    if args.from.is_none() {
        println!("{}", report.list());
    }
    println!("{}\n{}", report.table(&args.only), report.closing(&args.only));
    Ok(())
}

/// Runs the wanted rows.
fn measure(args: &Args) -> Result<Report, Box<dyn std::error::Error>> {
    if let Some(row) = args.only.iter().find(|only| table::ROWS.iter().all(|row| row.key != **only)) {
        let keys: Vec<&str> = table::ROWS.iter().map(|row| row.key).collect();
        return Err(format!("there is no row {row}; the rows are {}", keys.join(", ")).into());
    }
    let plan = Plan::new(args.only.clone(), args.quick, args.rounds.max(1))?;
    let mut figures = Vec::new();
    let start = std::time::Instant::now();
    let mut progress = |what: &str| eprintln!("{:>4} s  {what}", start.elapsed().as_secs());
    single::measure(&plan, &mut figures, &mut progress)?;
    pair::measure(&plan, &mut figures, &mut progress)?;
    Report::new(plan.rounds, figures)
}
