//! Everything that takes too long for every change, one after the other; the closing lines are kept in `docs/proof/full.md`.

use std::fmt::Write;
use std::process::Command;
use std::time::Instant;

use crate::run::{Outcome, capture, root};
use crate::{coverage, crash, fuzz, instructions, interop, loom, mutants, sanitize, sim, size, soak, syscalls, targets};

#[derive(clap::Args)]
pub struct Args {
    /// Deaths of the soak
    #[arg(long, default_value_t = 1000)]
    rounds: u32,
    /// Seconds of the simulation
    #[arg(long, default_value_t = 600)]
    sim_seconds: u64,
}

pub fn run(args: &Args) -> Outcome {
    let (commit, _) = capture(Command::new("git").args(["rev-parse", "--short=12", "HEAD"]).current_dir(root()))?;
    let (changed, _) = capture(Command::new("git").args(["status", "--porcelain", "--untracked-files=no"]).current_dir(root()))?;
    let (date, _) = capture(Command::new("date").args(["-u", "+%Y-%m-%d %H:%M UTC"]))?;
    let mut report = format!(
        "# Last full run\n\nCommit {}{}, {}. Each line is what the command printed last.\n\n",
        commit.trim(),
        if changed.is_empty() { "" } else { " with local changes" },
        date.trim()
    );
    let mut failed = Vec::new();
    let soaked = soak::Args::rounds(args.rounds);
    let simulated = sim::Args::seconds(args.sim_seconds);
    let steps: &[(&str, &dyn Fn() -> Outcome)] = &[
        ("instructions", &|| instructions::run(&instructions::Args::default())),
        ("size", &|| size::run(&size::Args::default())),
        ("syscalls", &|| syscalls::run(&syscalls::Args::default())),
        ("soak", &|| soak::run(&soaked)),
        ("soak --pause", &|| soak::run(&soak::Args::pause())),
        ("targets", &|| targets::run(&targets::Args {})),
        ("sim", &|| sim::run(&simulated)),
        ("interop", &|| interop::run(&interop::Args::seconds(300))),
        ("crash", &|| crash::run(&crash::Args::all(false))),
        ("loom", &|| loom::run(&loom::Args::all())),
        ("fuzz", &|| fuzz::run(&fuzz::Args::default())),
        ("mutants", &|| mutants::run(&mutants::Args::all())),
        ("tsan", &|| sanitize::thread(&sanitize::ThreadArgs::full())),
        ("asan", &|| sanitize::address(&sanitize::AddressArgs::full())),
        ("coverage", &|| coverage::run(&coverage::Args::quiet())),
    ];
    for &(name, step) in steps {
        eprintln!("== {name}");
        let start = Instant::now();
        let (verdict, line) = match step() {
            Ok(line) => ("ok", line),
            Err(error) => {
                failed.push(name);
                ("FAILED", error.to_string())
            }
        };
        println!("{name}: {verdict}: {line}");
        writeln!(report, "- `cargo xtask {name}`: {verdict} in {} s. {line}", start.elapsed().as_secs())?;
    }
    let folder = root().join("docs/proof");
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join("full.md"), report)?;
    if failed.is_empty() {
        Ok("all of it passed; docs/proof/full.md says what and how long".into())
    } else {
        Err(format!("failed: {}", failed.join(", ")).into())
    }
}
