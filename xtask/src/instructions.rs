//! Instructions of each operation, by callgrind: compared with a baseline, and the same at any slot count.

use std::collections::VecDeque;
use std::error::Error;
use std::process::Command;
use std::sync::Mutex;

use crate::baseline::{self, Figures};
use crate::run::{Outcome, capture, cargo, need, pass, target_dir};

/// Two counts whose difference leaves the set-up out.
const COUNTS: [u64; 2] = [1_000, 4_200];
/// The same for what calls the system, which is far slower.
const COUNTS_OF_SYSTEM: [u64; 2] = [20, 84];
/// What calls the system.
const SYSTEM: [&str; 4] = ["join-leave", "create", "attach", "snapshot-attach"];
/// Operations at few and at many slots: names, and what they have in common.
const FLAT: [(&str, &str, &str); 3] = [
    // From 32 slots on both sides ask for cache lines ahead: some thirty instructions that fewer slots do without.
    ("cycle-64", "cycle-65536", "when free"),
    ("held-4", "held-65536", "when all but two are held"),
    ("poll-4", "poll-65536", "when there is nothing to take"),
];
/// Largest difference between the slot counts, in per cent.
const LIMIT: f64 = 10.0;

#[derive(clap::Args, Default)]
pub struct Args {
    /// Keep the counts as the new baseline, for this reason
    #[arg(long, value_name = "REASON")]
    accept: Option<String>,
    /// Count only operations with this in their names, and compare with nothing
    #[arg(long, value_name = "TEXT", conflicts_with = "accept")]
    only: Option<String>,
}

pub fn run(args: &Args) -> Outcome {
    need("valgrind", "valgrind")?;
    pass(cargo().args(["build", "--quiet", "--release", "-p", "seqslot-gauges"]))?;
    let (names, _) = capture(Command::new(target_dir().join("release/gauges")).arg("names"))?;
    let wanted = args.only.as_deref().unwrap_or_default();
    let names: Vec<&str> = names.lines().filter(|name| name.contains(wanted)).collect();
    if names.is_empty() {
        return Err(format!("no operation has {wanted} in its name; without --only all are counted").into());
    }
    let figures = count_all(&names)?;
    for name in &names {
        println!("{name:>22}: {:>8.1} instructions", figures[*name]);
    }
    if args.only.is_some() {
        return Ok(format!("{} operations counted, compared with nothing", figures.len()));
    }
    let flat = flatness(&figures)?;
    let (version, _) = capture(Command::new("rustc").arg("--version"))?;
    let unit = format!("instructions an operation, {}", std::env::consts::ARCH);
    let line = baseline::settle("instructions", &unit, version.trim(), &figures, args.accept.as_deref())?;
    Ok(format!("{line}; {flat}"))
}

/// Few slots (4; 64 when free) and 65,536 beside each other.
fn flatness(figures: &Figures) -> Outcome {
    let (mut texts, mut is_flat) = (Vec::new(), true);
    for (few, many, when) in FLAT {
        let (few, many) = (figures[few], figures[many]);
        let differ = (few - many).abs() / few.min(many) * 100.0;
        is_flat &= differ < LIMIT;
        texts.push(format!("{differ:.1} % {when}"));
    }
    let line = format!("few and 65,536 slots differ by {} (limit {LIMIT} %)", texts.join(", "));
    if is_flat { Ok(line) } else { Err(line.into()) }
}

/// Counts operations, as many at a time as there are CPUs.
fn count_all(names: &[&str]) -> Result<Figures, Box<dyn Error>> {
    let left: Mutex<VecDeque<&str>> = Mutex::new(names.iter().copied().collect());
    let done = Mutex::new(Vec::new());
    let next = || left.lock().map_or(None, |mut left| left.pop_front());
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cpus {
            scope.spawn(|| {
                while let Some(name) = next() {
                    let counted = operation(name).map_err(|error| format!("{name}: {error}"));
                    if let Ok(mut done) = done.lock() {
                        done.push(counted.map(|figure| (name.to_string(), figure)));
                    }
                }
            });
        }
    });
    let done = done.into_inner().map_err(|_| "a counting thread panicked")?;
    Ok(done.into_iter().collect::<Result<Figures, String>>()?)
}

/// Instructions of one operation, to a tenth.
fn operation(name: &str) -> Result<f64, Box<dyn Error>> {
    let counts = if SYSTEM.contains(&name) { COUNTS_OF_SYSTEM } else { COUNTS };
    let [less, more] = [count(name, counts[0])?, count(name, counts[1])?];
    let between = (more as f64 - less as f64) / (counts[1] - counts[0]) as f64;
    Ok((between * 10.0).round() / 10.0)
}

fn count(name: &str, times: u64) -> Result<u64, Box<dyn Error>> {
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(target_dir().join("release/gauges"));
    let (_, log) = capture(command.args(["operation", name, &times.to_string()]))?;
    let collected = log.lines().find_map(|line| line.split_once("Collected : "));
    let (_, number) = collected.ok_or_else(|| format!("no count in valgrind's output:\n{log}"))?;
    Ok(number.trim().parse()?)
}
