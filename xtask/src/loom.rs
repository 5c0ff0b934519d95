//! The loom models over the protocol's own code.

use crate::run::{Outcome, capture, cargo, target_dir};

#[derive(clap::Args)]
pub struct Args {
    /// The small models only: what CI has time for
    #[arg(long)]
    small: bool,
}

impl Args {
    /// All models.
    pub fn all() -> Self {
        Self { small: false }
    }
}

/// Test binaries of the core that hold models.
pub const TESTS: [&str; 4] = ["loom_clockbound", "loom_snapshot", "loom_zds2", "loom_slots"];

pub fn run(args: &Args) -> Outcome {
    let (mut passed, mut left_out, mut executions) = (0, 0, 0_u64);
    for test in TESTS {
        let mut command = cargo();
        command.env("RUSTFLAGS", "--cfg loom").env("CARGO_TARGET_DIR", target_dir().join("loom"));
        // What somebody left in the environment must not make the run smaller than it says.
        command.env_remove("LOOM_ONLY").env_remove("LOOM_SMALL");
        if args.small {
            command.env("LOOM_SMALL", "1");
        }
        command.args([
            "test",
            "--release",
            "-p",
            "seqslot-core",
            "--features",
            "alloc",
            "--test",
            test,
            "--",
            "--nocapture",
            "--test-threads=2",
        ]);
        let (out, err) = capture(&mut command)?;
        println!("{err}{out}");
        let before = (passed - left_out, executions);
        for line in out.lines().chain(err.lines()) {
            if let Some((_, count)) = line.split_once(" executions").and_then(|(before, _)| before.rsplit_once(' ')) {
                executions += count.replace(',', "").parse::<u64>().unwrap_or(0);
            }
            // Such a test returns at once, and passes.
            left_out += u32::from(line.ends_with(": left out of LOOM_SMALL"));
            if let Some(rest) = line.strip_prefix("test result: ok. ") {
                passed += rest.split(' ').next().and_then(|count| count.parse::<u32>().ok()).unwrap_or(0);
            }
        }
        if passed - left_out == before.0 || executions == before.1 {
            return Err(format!("no model of {test} ran, or none said how many executions it explored").into());
        }
    }
    let others = if left_out == 0 { String::new() } else { format!(", {left_out} large models left out") };
    Ok(format!("{} models and mutation runs passed{others}, {executions} executions explored", passed - left_out))
}
