//! Hostile bytes: the fuzz targets under AddressSanitizer, the kept inputs, and the adversary that writes over a segment in use.
//!
//! Builds with cargo-fuzz and a nightly toolchain. What the targets do is in `tests/hostile`, whose own tests replay the same inputs
//! without either.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use crate::run::{Outcome, capture, need, pass, root, target_dir};

/// The targets; each has a corpus of its name.
const TARGETS: [&str; 5] = ["attach", "operations", "clockbound", "flink", "zds2"];
/// A single input that takes so many seconds is a loop without an end.
const HANGS: u32 = 60;

#[derive(clap::Args)]
pub struct Args {
    /// Seconds of fuzzing in all, shared by the targets
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Seconds of the adversary in all
    #[arg(long, default_value_t = 12)]
    adversary_seconds: u64,
    /// Only replay the kept inputs: no fuzzing, no adversary
    #[arg(long, conflicts_with_all = ["seconds", "adversary_seconds", "minimise"])]
    replay: bool,
    /// Only this target
    #[arg(long, value_parser = TARGETS)]
    target: Option<String>,
    /// Afterwards put the smallest set of inputs that covers as much, of the kept and the new ones, in fuzz/corpus
    #[arg(long)]
    minimise: bool,
}

impl Default for Args {
    fn default() -> Self {
        Self { seconds: 600, adversary_seconds: 60, replay: false, target: None, minimise: false }
    }
}

/// Counts of the whole run.
#[derive(Default)]
struct Counts {
    replayed: u64,
    executions: u64,
    writes: u64,
    operations: u64,
}

pub fn run(args: &Args) -> Outcome {
    let start = Instant::now();
    let programs = build()?;
    let targets: Vec<&str> = TARGETS.into_iter().filter(|name| args.target.as_deref().is_none_or(|only| only == *name)).collect();
    let mut counts = Counts::default();
    for target in &targets {
        let kept = files(&corpus(target))?;
        eprintln!("replaying {kept} inputs of {target}");
        let said = execute(&programs, target, &["-runs=0".to_owned()], &[corpus(target)])?;
        // An empty input of its own comes on top.
        let ran = number_after(&said, "\nDone ").unwrap_or(0);
        if kept == 0 || ran < kept {
            return Err(format!("{target}: {ran} of {kept} kept inputs ran\n{said}").into());
        }
        counts.replayed += kept;
    }
    if args.replay {
        return Ok(format!("fuzz: corpus of {} inputs replayed over {} targets; no fault", counts.replayed, targets.len()));
    }
    for target in &targets {
        // None at all would be without an end.
        let seconds = (args.seconds / targets.len() as u64).max(1);
        eprintln!("fuzzing {target} for {seconds} s");
        let limits = [format!("-max_total_time={seconds}"), "-max_len=4200".to_owned(), "-print_final_stats=1".to_owned()];
        let said = execute(&programs, target, &limits, &[scratch(target)?, corpus(target)])?;
        counts.executions += number_after(&said, "stat::number_of_executed_units:").ok_or("the fuzzer did not say how much it did")?;
    }
    eprintln!("the adversary, for {} s", args.adversary_seconds);
    let (said, _) = capture(Command::new(programs.join("adversary")).arg(args.adversary_seconds.to_string()))?;
    print!("{said}");
    for line in said.lines().filter(|line| line.starts_with("adversary ")) {
        counts.writes += number_after(line, ": ").unwrap_or(0);
        counts.operations += number_after(line, " beside ").unwrap_or(0);
    }
    if counts.executions == 0 || args.adversary_seconds != 0 && counts.operations == 0 {
        return Err("nothing was executed".into());
    }
    if args.minimise {
        targets.iter().try_for_each(|target| minimise(&programs, target))?;
    }
    Ok(format!(
        "fuzz: {} executions over {} targets in {} s, corpus of {} inputs replayed, adversary made {} writes beside {} operations; no fault",
        counts.executions,
        targets.len(),
        start.elapsed().as_secs(),
        counts.replayed,
        counts.writes,
        counts.operations
    ))
}

/// Builds the targets and the adversary under AddressSanitizer; where the programs are.
fn build() -> Result<PathBuf, Box<dyn Error>> {
    need("rustup", "rustup, with a nightly toolchain")?;
    need("cargo-fuzz", "cargo-fuzz: `cargo install --locked cargo-fuzz`")?;
    let folder = target_dir().join("fuzz");
    let mut command = nightly("cargo");
    command.args(["fuzz", "build", "--sanitizer", "address", "--fuzz-dir", "fuzz", "--target-dir"]).arg(&folder);
    pass(&mut command)?;
    let (version, _) = capture(nightly("rustc").arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).ok_or("rustc does not say its host")?;
    Ok(folder.join(host).join("release"))
}

/// A program of the nightly toolchain, in the workspace's root; what cargo told this process of the stable one is not passed on.
fn nightly(program: &str) -> Command {
    let mut command = Command::new("rustup");
    command.args(["run", "nightly", program]).current_dir(root());
    for name in ["CARGO", "RUSTC", "RUSTUP_TOOLCHAIN", "RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS"] {
        command.env_remove(name);
    }
    command
}

/// Runs a target; what it said. An input that fails stays in `fuzz/artifacts`, and the error says how to replay it.
fn execute(programs: &Path, target: &str, limits: &[String], folders: &[PathBuf]) -> Result<String, Box<dyn Error>> {
    let artifacts = root().join("fuzz/artifacts").join(target);
    std::fs::create_dir_all(&artifacts)?;
    let mut command = Command::new(programs.join(target));
    command.arg(format!("-artifact_prefix={}/", artifacts.display())).arg(format!("-timeout={HANGS}")).args(limits).args(folders);
    match capture(&mut command) {
        Ok((out, err)) => Ok(out + &err),
        Err(error) => Err(format!(
            "{error}\n{target}: a fault; the input is in {}. Replay it: `rustup run nightly cargo fuzz run {target} FILE`, or put it in \
             fuzz/corpus/{target} and `cargo test -p seqslot-hostile --test replay`",
            artifacts.display()
        )
        .into()),
    }
}

/// Chooses few of the new and kept inputs that reach every branch that all of them reach.
fn minimise(programs: &Path, target: &str) -> Result<(), Box<dyn Error>> {
    let (kept, small) = (corpus(target), scratch(target)?.with_extension("small"));
    let _ = std::fs::remove_dir_all(&small);
    std::fs::create_dir_all(&small)?;
    execute(
        programs,
        target,
        &["-set_cover_merge=1".to_owned(), "-use_counters=0".to_owned()],
        &[small.clone(), kept.clone(), scratch(target)?],
    )?;
    for entry in std::fs::read_dir(&kept)? {
        let path = entry?.path();
        // What has a name of its own was put there by hand: a golden segment, a fault of the past.
        if path.file_name().is_some_and(|name| name.len() == 40) {
            std::fs::remove_file(path)?;
        }
    }
    for entry in std::fs::read_dir(&small)? {
        let path = entry?.path();
        std::fs::copy(&path, kept.join(path.file_name().unwrap_or_default()))?;
    }
    eprintln!("{target}: {} inputs kept", files(&kept)?);
    Ok(std::fs::remove_dir_all(&small)?)
}

fn corpus(target: &str) -> PathBuf {
    root().join("fuzz/corpus").join(target)
}

/// Where new inputs go, outside the repository.
fn scratch(target: &str) -> Result<PathBuf, Box<dyn Error>> {
    let folder = target_dir().join("fuzz-corpus").join(target);
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

fn files(folder: &Path) -> Result<u64, Box<dyn Error>> {
    Ok(std::fs::read_dir(folder)?.count() as u64)
}

/// The number that stands behind `mark`.
fn number_after(text: &str, mark: &str) -> Option<u64> {
    let (_, rest) = text.split_once(mark)?;
    let digits: String = rest.trim_start().chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}
