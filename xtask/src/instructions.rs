//! Instructions of one cycle, by callgrind: the same at any slot count.

use std::process::Command;

use crate::run::{Outcome, capture, cargo, need, pass, target_dir};

/// Two counts whose difference leaves the set-up out.
const COUNTS: [u64; 2] = [1_000, 11_000];
/// Slots, held.
const CASES: [(u64, u64); 4] = [(4, 0), (65_536, 0), (4, 2), (65_536, 65_534)];
/// Largest difference between the slot counts, in per cent.
const LIMIT: f64 = 10.0;

#[derive(clap::Args)]
pub struct Args {}

pub fn run(_args: &Args) -> Outcome {
    need("valgrind", "valgrind")?;
    pass(cargo().args(["build", "--quiet", "--release", "--example", "cycle"]))?;
    let mut cycles = Vec::new();
    for (slots, held) in CASES {
        let [less, more] = [count(slots, held, COUNTS[0])?, count(slots, held, COUNTS[1])?];
        let cycle = (more - less) as f64 / (COUNTS[1] - COUNTS[0]) as f64;
        println!("{slots:>6} slots, {held:>6} held: {cycle:>7.1} instructions a cycle");
        cycles.push(cycle);
    }
    let differ = |a: f64, b: f64| (a - b).abs() / a.min(b) * 100.0;
    let (free, scarce) = (differ(cycles[0], cycles[1]), differ(cycles[2], cycles[3]));
    let line = format!("4 and 65,536 slots differ by {free:.1} % when free, by {scarce:.1} % when all but two are held (limit {LIMIT} %)");
    if free < LIMIT && scarce < LIMIT { Ok(line) } else { Err(line.into()) }
}

fn count(slots: u64, held: u64, cycles: u64) -> Result<u64, Box<dyn std::error::Error>> {
    let program = target_dir().join("release/examples/cycle");
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(program);
    command.args([slots, held, cycles].map(|number| number.to_string()));
    let (_, log) = capture(&mut command)?;
    let collected = log.lines().find_map(|line| line.split_once("Collected : "));
    let (_, number) = collected.ok_or_else(|| format!("no count in valgrind's output:\n{log}"))?;
    Ok(number.trim().parse()?)
}
